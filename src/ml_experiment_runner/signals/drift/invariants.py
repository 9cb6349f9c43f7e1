"""What the fields of a row always obey: nothing a season changes."""

# ruff: noqa: D102  Detector documents learn and measure

import itertools
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import polars as pl

from ml_experiment_runner.signals.drift.rows import (
    CLOCK,
    FEW,
    Detector,
    Measure,
    Numbers,
    Rows,
    blocks,
)


class Clock(Detector):
    """Fields that follow from a part of the event time: its hour, the name of its weekday.

    When nothing changed, they are the part itself, or each of the part's values has the one of
    theirs that it had in more than one period: a functional dependency (Huhtala et al., TANE, The
    Computer Journal 1999) on the clock.
    """

    kind, floor, factor, is_seasonal = "clock", 0.004, 2.0, False
    MOST = 400  # values of a field; more do not follow from a part of a time
    AGREE = 0.995
    SEASON = 200  # days of which one year may be named that begins in the other half
    SHORT, ALL = ("hour", "minute", "time"), 0.9
    LONGER: ClassVar = {"month": "year", "quarter": "year", "week": "year", "day of year": "year",
                        "day": "month", "weekday": "week", "hour": "day"}  # fmt: skip

    def learn(self, rows: Rows) -> dict[tuple[str, str], dict[Any, Any] | None]:
        """By field and part, which value follows from which; None if it is the part itself."""
        model: dict[tuple[str, str], dict[Any, Any] | None] = {}
        if rows.event is None:
            return model
        some = rows.sample(20_000)
        for field in rows.contract.fields:
            if field.name in rows.calendar and field.name in rows.frame.columns:
                found = self._found(some, field.name, field.type)
                if found is not None:
                    model[field.name, found[0]] = found[1]
        return model

    def _found(self, rows: Rows, name: str, kind: str) -> tuple[str, dict[Any, Any] | None] | None:
        """The part of the time that a field follows from, and how."""
        if kind in ("date", "time"):
            return (kind, None) if self._share(rows, name, kind, None) < 1 - self.AGREE else None
        values = rows.frame[name]
        if kind not in ("integer", "string", "boolean") or (
            values.null_count() > 0.2 * len(rows) or values.n_unique() > self.MOST
        ):
            return None
        if parts := self._same(rows, name):
            # where it never changed, it may be either, or the year of a season
            is_short = values.n_unique() == 1 and np.ptp(rows.days) < self.SEASON
            return parts[0], None if len(parts) == 1 and not is_short else {}
        for part in self.LONGER:
            if follows := self._follows(rows, name, part):
                return part, follows
        return None

    def learn_again(self, model: Any, rows: Rows) -> Any:  # noqa: ARG002
        return model

    def measure(
        self, model: dict[tuple[str, str], dict[Any, Any] | None], rows: Rows
    ) -> Iterator[Measure]:
        differ = {
            (name, part): self._share(rows, name, part, follows)
            for (name, part), follows in model.items()
        }  # fmt: skip
        # where one of several is wrong, the others tell that the time is right; of some rows'
        # hours they do not
        wrong = {
            (name, part): share for (name, part), share in differ.items() if share > self.floor
        }
        alone = len(wrong) == 1 < len(differ) and all(
            part not in self.SHORT or share > self.ALL for (_, part), share in wrong.items()
        )
        for (name, part), share in differ.items():
            assert rows.event is not None
            fields = (name, rows.event) if alone else (rows.event, name)
            yield Measure(
                fields, share,
                f"in {share:.1%} of the rows {name} is not that of the {part} of {rows.event}",
            )  # fmt: skip

    def _share(self, rows: Rows, name: str, part: str, follows: dict[Any, Any] | None) -> float:
        """In which share of the rows a field is not that of the time."""
        if part in ("date", "time"):
            differs = rows.frame[name].ne_missing(rows.local_time(part))
            return float(differs.sum() / max(len(rows), 1))
        if follows is None:
            return self._written(rows, name, rows.clock[part])
        return self._unlike(rows, name, part, follows)

    def _same(self, rows: Rows, name: str) -> list[str]:
        """The parts of the time that a field of whole numbers is; several if it never changed."""
        if not rows.frame[name].dtype.is_integer():
            return []
        parts = [part for part in CLOCK
                 if self._written(rows, name, rows.clock[part]) < 1 - self.AGREE]  # fmt: skip
        if rows.frame[name].n_unique() > 1:
            return parts[:1]
        return [part for part in parts if part not in ("hour", "minute")]

    @staticmethod
    def _written(rows: Rows, name: str, clock: Numbers) -> float:
        """In which share of the rows a field is not a part of the time."""
        written = rows.frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        return float((written != clock).mean())

    def _follows(self, rows: Rows, name: str, part: str) -> dict[Any, Any] | None:
        """Which value of a field follows from which of a part, seen in more than one period."""
        values = rows.frame[name]
        distinct = values.drop_nulls().unique(maintain_order=True)
        places = pl.Series(range(len(distinct)), dtype=pl.Int64)
        codes = values.replace_strict(
            distinct, places, default=-1, return_dtype=pl.Int64
        ).to_numpy()
        there = codes >= 0
        clock = rows.clock[part][there].astype(np.int64)
        counts = np.zeros((int(clock.max(initial=0)) + 1, len(distinct)), dtype=np.int64)
        np.add.at(counts, (clock, codes[there]), 1)
        if counts.max(axis=1).sum() < self.AGREE * there.sum() or len(distinct) < 2:
            return None
        most = counts.argmax(axis=1)
        seen = np.flatnonzero(counts.sum(axis=1))
        if counts.sum(axis=0).max() > 0.9 * there.sum():
            return None
        periods = rows.periods[self.LONGER[part]][there]
        known = [value for value in seen if len(np.unique(periods[clock == value])) >= 2]
        if len(known) < 0.5 * len(seen) or len({most[value] for value in known}) < 2:
            return None
        return {float(value): distinct[int(most[value])] for value in known}

    @staticmethod
    def _unlike(rows: Rows, name: str, part: str, follows: dict[Any, Any]) -> float:
        clock = pl.Series(rows.clock[part])
        known = clock.is_in(list(follows))
        expected = clock.filter(known).replace_strict(follows)
        values = rows.frame[name].filter(known)
        return float((values.ne_missing(expected)).sum() / max(len(rows), 1))


class Twice(Detector):
    """Rows that differ in the event time, but not in the fields that repeat it.

    So it is with the hour that comes twice when summer time ends, and with a day sent again. When
    nothing changed there are none; where the past has any, they are not counted.
    """

    kind, floor, is_share = "twice", 0.5, False
    is_seasonal = False
    needs = "newest"

    def learn(self, rows: Rows) -> list[str]:
        key = [*rows.places, *sorted(rows.calendar - {*rows.places})]
        return key if rows.calendar and not self._count(rows, key) else []

    def measure(self, model: list[str], rows: Rows) -> Iterator[Measure]:
        if model:
            assert rows.event is not None
            count = self._count(rows, model)
            yield Measure(
                (rows.event, *model), float(count),
                f"{count:,} rows share {', '.join(model)} with another, never so before",
            )  # fmt: skip

    @staticmethod
    def _count(rows: Rows, key: list[str]) -> int:
        return int(rows.frame.select(key).is_duplicated().sum())


class Dependence(Detector):
    """Fields that follow from one or two texts: the distance from origin and destination.

    When nothing changed, nearly each row has the value that was the most frequent of its group:
    approximate functional dependencies, as Huhtala et al., TANE, The Computer Journal 1999, mine.
    """

    kind, floor, factor, is_seasonal = "dependence", 0.02, 2.5, False
    SOME, MANY, FEWEST = 10_000, 100_000, 200

    def learn(self, rows: Rows) -> dict[tuple[tuple[str, ...], str], pl.DataFrame]:
        some = rows.sample(self.SOME).frame
        if some.height < self.FEWEST:
            return {}
        dependencies: list[tuple[tuple[str, ...], str]] = []
        for names in blocks(rows.frame.columns):
            texts = [name for name in names if name in rows.texts]
            follow = self._vary(
                some, [name for name in names if name != rows.event and name not in rows.calendar]
            )
            for given in (*((name,) for name in texts), *itertools.combinations(texts, 2)):
                if not 2 <= some.select(pl.struct(given).n_unique()).item() <= 0.2 * len(some):
                    continue
                rest = [
                    name
                    for name in follow
                    if name not in given
                    and not any(((single,), name) in dependencies for single in given)
                ]
                dependencies += [(given, name) for name in self._follow(some, given, rest)]
        return self._usual(rows, dependencies)

    def learn_again(self, model: Any, rows: Rows) -> Any:
        return self._usual(rows, list(model))

    def _usual(
        self, rows: Rows, dependencies: list[tuple[tuple[str, ...], str]]
    ) -> dict[tuple[tuple[str, ...], str], pl.DataFrame]:
        some = rows.sample(self.MANY).frame
        return {dependency: _usual(some, *dependency).drop("\0rows") for dependency in dependencies}

    def measure(
        self, model: dict[tuple[tuple[str, ...], str], pl.DataFrame], rows: Rows
    ) -> Iterator[Measure]:
        for (given, name), usual in model.items():
            both = (
                rows.frame.select(*given, name).drop_nulls(name).join(usual, on=given, how="inner")
            )
            if both.height >= max(FEW, 0.02 * len(rows)):
                share = float((both[name] != both["\0usual"]).sum()) / both.height
                yield Measure(
                    (name, *given), share,
                    f"in {share:.1%} of the rows {name} is not what it always was for "
                    f"{' and '.join(given)}",
                )  # fmt: skip

    @staticmethod
    def _vary(some: pl.DataFrame, names: list[str]) -> list[str]:
        """Fields that are not nearly the same everywhere."""
        most = some.select(pl.col(names).drop_nulls().unique_counts().max())
        return [
            name
            for name in names
            if (there := some.height - some[name].null_count()) and most[name][0] < 0.9 * there
        ]

    @staticmethod
    def _follow(some: pl.DataFrame, given: tuple[str, ...], names: list[str]) -> list[str]:
        """Fields that follow from others: nearly each row has its group's most frequent value."""
        if not names:
            return []
        counts = some.group_by(given).agg(pl.col(names).drop_nulls().unique_counts().max())
        return [
            name
            for name in names
            if counts[name].sum() > 0.985 * (some.height - some[name].null_count())
        ]


def _usual(frame: pl.DataFrame, given: tuple[str, ...], name: str) -> pl.DataFrame:
    """The most frequent value of a field for each value of others, and in how many rows."""
    counts = frame.drop_nulls(name).group_by(*given, pl.col(name).alias("\0usual")).len("\0rows")
    return counts.sort("\0rows", "\0usual", descending=True).unique(given, keep="first")
