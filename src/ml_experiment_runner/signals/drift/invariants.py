"""What the fields of a row always obey: nothing a season changes."""

# ruff: noqa: D102  Detector documents learn and measure

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import polars as pl

from ml_experiment_runner.signals.drift.rows import (
    CLOCK,
    FEW,
    Detector,
    Flags,
    Measure,
    Numbers,
    Rows,
    blocks,
    decimals,
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
    SHORT = ("hour", "minute", "time")
    LONGER: ClassVar = {"month": "year", "quarter": "year", "week": "year", "day of year": "year",
                        "day": "month", "weekday": "week", "hour": "day"}  # fmt: skip

    def learn(self, rows: Rows) -> dict[tuple[str, str], dict[Any, Any] | None]:
        """By field and part, which value follows from which; None if it is the part itself."""
        model: dict[tuple[str, str], dict[Any, Any] | None] = {}
        if rows.event is None:
            return model
        some = rows.sample(20_000)
        for field in rows.contract.fields:
            name = field.name
            if name not in rows.calendar:
                continue
            if field.type in ("date", "time"):
                model[name, field.type] = None
                continue
            if field.type not in ("integer", "string", "boolean"):
                continue
            values = some.frame[name]
            if values.null_count() > 0.2 * len(some) or values.n_unique() > self.MOST:
                continue
            if parts := self._same(some, name):
                # where it never changed, it may be either
                model[name, parts[0]] = None if len(parts) == 1 else {}
                continue
            for part in self.LONGER:
                if follows := self._follows(some, name, part):
                    model[name, part] = follows
                    break
        return model

    def learn_again(self, model: Any, rows: Rows) -> Any:  # noqa: ARG002
        return model

    def measure(
        self, model: dict[tuple[str, str], dict[Any, Any] | None], rows: Rows
    ) -> Iterator[Measure]:
        differ = {
            (name, part): self._share(rows, name, part, follows)
            for (name, part), follows in model.items()
        }  # fmt: skip
        # where one of several is wrong, the others tell that the time is right, but for hours
        wrong = {(name, part) for (name, part), share in differ.items() if share > self.floor}
        alone = len(wrong) == 1 < len(differ) and not any(part in self.SHORT for _, part in wrong)
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
        key = [*rows.places, *sorted(rows.calendar)]
        return key if rows.calendar and not self._count(rows, key) else []

    def measure(self, model: list[str], rows: Rows) -> Iterator[Measure]:
        if model:
            assert rows.event is not None
            count = self._count(rows, model)
            yield Measure(
                (rows.event, *rows.places, *sorted(rows.calendar)), float(count),
                f"{count:,} rows share {', '.join(model)} with another, never so before",
            )  # fmt: skip

    @staticmethod
    def _count(rows: Rows, key: list[str]) -> int:
        return int(rows.frame.select(key).is_duplicated().sum())


class Sums(Detector):
    """Differences of two or three fields that take a few values only: a = b + c, and the like."""

    kind, floor, factor, is_seasonal = "sum", 0.006, 2.0, False
    SOME = 3000

    def learn(self, rows: Rows) -> dict[tuple[str, ...], Numbers]:
        names = [name for name in rows.numbers if len(np.unique(rows.known(name))) > 20]
        some = rows.sample(self.SOME)
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

    def learn_again(self, model: Any, rows: Rows) -> Any:  # noqa: ARG002
        return model

    def measure(self, model: dict[tuple[str, ...], Numbers], rows: Rows) -> Iterator[Measure]:
        for fields, usual in model.items():
            differences = self._difference(rows, fields)
            wrong = ~np.isin(differences, usual)
            if len(wrong) >= 30:
                yield Measure(
                    fields, float(wrong.mean()),
                    f"in {wrong.mean():.1%} of the rows {' - '.join(fields)} has an unusual value",
                    first=self._culprit(rows, fields, differences, wrong),
                )  # fmt: skip

    @staticmethod
    def _culprit(rows: Rows, fields: tuple[str, ...], differences: Numbers, wrong: Flags) -> str:
        """The field that what is missing goes with, as a scaled summand's does."""
        there = ~np.isnan(sum(rows.numbers[name] for name in fields))
        if wrong.sum() < 20 or np.ptp(differences[wrong]) == 0:
            return fields[0]
        rest = np.argsort(np.argsort(np.abs(differences[wrong])))
        closeness = {}
        for name in fields:
            values = np.abs(rows.numbers[name][there][wrong])
            ranks = np.argsort(np.argsort(values))
            closeness[name] = abs(float(np.corrcoef(rest, ranks)[0, 1]))
        best = max(fields, key=lambda name: closeness[name])
        return best if closeness[best] > 0.8 else fields[0]

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


class Products(Detector):
    """Fields that are the product or the ratio of two others, or a multiple of one, as rounded."""

    kind, floor, factor, is_seasonal = "product", 0.006, 2.0, False
    SOME, MOST = 2000, 14

    def learn(self, rows: Rows) -> dict[tuple[str, ...], tuple[str, float, int]]:
        """By target and other fields: how it follows, times what, and its decimals."""
        some = rows.sample(self.SOME)
        names = [name for name in rows.numbers if len(np.unique(some.known(name))) >= 2]
        model: dict[tuple[str, ...], tuple[str, float, int]] = {}
        for near in blocks(names):
            near = near[: self.MOST]
            for target in near:
                values = some.numbers[target]
                count = decimals(some.known(target))
                if count is None or len(np.unique(some.known(target))) <= 20:
                    continue
                others = [name for name in near if name != target]
                for fields, how in self._ways(others):
                    if any(set(known) == {target, *fields} for known in model):
                        continue
                    factor = self._factor(some, target, fields, how)
                    wrong = self._wrong(some, target, fields, how, factor, count)
                    if len(wrong) >= 0.5 * len(values) and wrong.mean() < 0.03:
                        model[target, *fields] = (how, factor, count)
        return model

    def learn_again(self, model: Any, rows: Rows) -> Any:  # noqa: ARG002
        return model

    def measure(
        self, model: dict[tuple[str, ...], tuple[str, float, int]], rows: Rows
    ) -> Iterator[Measure]:
        for (target, *fields), (how, factor, count) in model.items():
            wrong = self._wrong(rows, target, fields, how, factor, count)
            if len(wrong) >= 30:
                times = f"{factor:.4g} times " if how == "multiple" else ""
                yield Measure(
                    (target, *fields), float(wrong.mean()),
                    f"in {wrong.mean():.1%} of the rows {target} is not {times}"
                    f"{f' {how} '.join(fields)}",
                )  # fmt: skip

    @staticmethod
    def _ways(names: list[str]) -> Iterator[tuple[tuple[str, ...], str]]:
        yield from (((name,), "multiple") for name in names)
        yield from ((pair, "times") for pair in itertools.combinations(names, 2))
        yield from ((pair, "by") for pair in itertools.permutations(names, 2))

    @staticmethod
    def _predicted(rows: Rows, fields: Sequence[str], how: str, factor: float) -> Numbers:
        first = rows.numbers[fields[0]]
        if how == "multiple":
            multiple: Numbers = first * (factor if np.isfinite(factor) else 0.0)
            return multiple
        second = rows.numbers[fields[1]]
        with np.errstate(all="ignore"):
            predicted: Numbers = first * second if how == "times" else first / second
        return predicted

    def _factor(self, rows: Rows, target: str, fields: Sequence[str], how: str) -> float:
        if how != "multiple":
            return 1.0
        with np.errstate(all="ignore"):
            ratios = rows.numbers[target] / rows.numbers[fields[0]]
        ratios = ratios[np.isfinite(ratios)]
        if not len(ratios):
            return np.nan
        # the largest values tell the factor best, as rounding disturbs them least
        weights = np.abs(rows.numbers[fields[0]])
        large = weights >= np.nanquantile(weights, 0.9)
        with np.errstate(all="ignore"):
            return float(np.nanmedian(rows.numbers[target][large] / rows.numbers[fields[0]][large]))

    def _wrong(
        self, rows: Rows, target: str, fields: Sequence[str], how: str, factor: float, count: int
    ) -> Flags:
        values, predicted = rows.numbers[target], self._predicted(rows, fields, how, factor)
        there = np.isfinite(values) & np.isfinite(predicted)
        values, predicted = values[there], predicted[there]
        wrong: Flags = np.abs(values - predicted) > 0.51 * 10.0**-count + 1e-5 * np.abs(values)
        return wrong


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
