"""What the fields of a row always obey: nothing a season changes."""

# ruff: noqa: D102  Detector documents learn and measure

import itertools
from collections.abc import Iterator

import numpy as np
import polars as pl

from ml_experiment_runner.signals.drift.rows import Detector, Measure, Numbers, Rows, blocks


class Clock(Detector):
    """Fields that repeat a part of the event time, such as its hour."""

    kind, floor, factor = "clock", 0.004, 2.0

    def learn(self, rows: Rows) -> list[tuple[str, str]]:
        return [
            (name, part)
            for name in rows.calendar
            for part, clock in rows.clock.items()
            if self._differ(rows, name, clock) < 0.005
        ]

    def measure(self, model: list[tuple[str, str]], rows: Rows) -> Iterator[Measure]:
        for name, part in model:
            share = self._differ(rows, name, rows.clock[part])
            assert rows.event is not None
            yield Measure(
                (rows.event, name), share,
                f"in {share:.1%} of the rows {name} is not the {part} of {rows.event}",
            )  # fmt: skip

    @staticmethod
    def _differ(rows: Rows, name: str, clock: Numbers) -> float:
        written = rows.frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        return float((written != clock).mean())


class Twice(Detector):
    """Rows that differ in the event time, but not in the fields that repeat it.

    So it is with the hour that comes twice when summer time ends, and with a day sent again.
    """

    kind, floor, is_share = "twice", 0.5, False

    def learn(self, rows: Rows) -> list[str]:
        key = [*rows.places, *sorted(rows.calendar)]
        return key if rows.calendar and not self._count(rows, key) else []

    def measure(self, model: list[str], rows: Rows) -> Iterator[Measure]:
        if model:
            assert rows.event is not None
            count = self._count(rows, model)
            yield Measure(
                (rows.event, *rows.places), float(count),
                f"{count:,} rows share {', '.join(model)} with another, never so before",
            )  # fmt: skip

    @staticmethod
    def _count(rows: Rows, key: list[str]) -> int:
        return int(rows.frame.select(key).is_duplicated().sum())


class Sums(Detector):
    """Differences of two or three fields that take a few values only: a = b + c, and the like."""

    kind, floor, factor = "sum", 0.006, 2.0
    SOME = 3000

    def learn(self, rows: Rows) -> dict[tuple[str, ...], Numbers]:
        names = [name for name in rows.numbers if len(np.unique(rows.known(name))) > 20]
        some = rows.every(len(rows) // self.SOME)
        model = {}
        for fields in itertools.chain.from_iterable(map(self._sets, blocks(names))):
            values, counts = np.unique(self._difference(some, fields), return_counts=True)
            usual = counts >= max(3, 0.002 * counts.sum())
            if (
                counts.sum() >= 300
                and usual.sum() <= 12
                and (counts[usual].sum() > 0.97 * counts.sum())
            ):
                values, counts = np.unique(self._difference(rows, fields), return_counts=True)
                model[fields] = values[counts >= max(2, 0.0002 * counts.sum())]
        return model

    def measure(self, model: dict[tuple[str, ...], Numbers], rows: Rows) -> Iterator[Measure]:
        for fields, usual in model.items():
            values = self._difference(rows, fields)
            if len(values) >= 30:
                share = float((~np.isin(values, usual)).mean())
                yield Measure(
                    fields, share,
                    f"in {share:.1%} of the rows {' - '.join(fields)} has an unusual value",
                )  # fmt: skip

    @staticmethod
    def _sets(names: list[str]) -> Iterator[tuple[str, ...]]:
        """Pairs of fields, and triples of one and a pair."""
        pairs = list(itertools.combinations(names, 2))
        yield from pairs
        yield from ((name, *pair) for name in names for pair in pairs if name not in pair)

    @staticmethod
    def _difference(rows: Rows, fields: tuple[str, ...]) -> Numbers:
        difference = rows.numbers[fields[0]] - sum(rows.numbers[name] for name in fields[1:])
        return np.round(difference[~np.isnan(difference)], 4)


class Dependence(Detector):
    """Fields that follow from one or two texts: the distance from origin and destination.

    Approximate functional dependencies, as Huhtala et al., TANE, The Computer Journal 1999, mine.
    """

    kind, floor, factor = "dependence", 0.02, 2.5
    SOME = 20_000

    def learn(self, rows: Rows) -> dict[tuple[tuple[str, ...], str], pl.DataFrame]:
        some = rows.every(len(rows) // self.SOME).frame
        dependencies: list[tuple[tuple[str, ...], str]] = []
        for names in blocks(rows.frame.columns):
            texts = [name for name in names if name in rows.texts]
            follow = self._vary(some, [name for name in names if name != rows.event])
            for given in (*((name,) for name in texts), *itertools.combinations(texts, 2)):
                if not 2 <= some.select(pl.struct(given).n_unique()).item() <= 0.35 * len(some):
                    continue
                rest = [
                    name
                    for name in follow
                    if name not in given
                    and not any(((single,), name) in dependencies for single in given)
                ]
                dependencies += [(given, name) for name in self._follow(some, given, rest)]
        return {
            dependency: _usual(rows.frame, *dependency).drop("\0rows")
            for dependency in dependencies
        }

    def measure(
        self, model: dict[tuple[tuple[str, ...], str], pl.DataFrame], rows: Rows
    ) -> Iterator[Measure]:
        for (given, name), usual in model.items():
            both = (
                rows.frame.select(*given, name).drop_nulls(name).join(usual, on=given, how="inner")
            )
            if both.height > 0.02 * len(rows):
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
