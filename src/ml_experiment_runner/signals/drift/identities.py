"""Sums, products and ratios that the numbers of a row always obey."""

# ruff: noqa: D102  Detector documents learn and measure

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ml_experiment_runner.signals.drift.rows import (
    Detector,
    Flags,
    Measure,
    Numbers,
    Rows,
    blocks,
    decimals,
)


class Sums(Detector):
    """Differences of two or three fields that take a few values only: a = b + c, and the like.

    When nothing changed, they take the values that they took. Compare Ernst et al., The Daikon
    System for Dynamic Detection of Likely Invariants, Science of Computer Programming 2007.
    """

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
    """Fields that are the product or the ratio of two others, or a multiple of one, as rounded.

    When nothing changed, they are so to half of their last decimal. Compare Ernst et al., The
    Daikon System for Dynamic Detection of Likely Invariants, Science of Computer Programming 2007.
    """

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
            ratios = rows.numbers[target][large] / rows.numbers[fields[0]][large]
        ratios = ratios[np.isfinite(ratios)]
        return float(np.median(ratios)) if len(ratios) else np.nan

    def _wrong(
        self, rows: Rows, target: str, fields: Sequence[str], how: str, factor: float, count: int
    ) -> Flags:
        values, predicted = rows.numbers[target], self._predicted(rows, fields, how, factor)
        there = np.isfinite(values) & np.isfinite(predicted)
        values, predicted = values[there], predicted[there]
        wrong: Flags = np.abs(values - predicted) > 0.51 * 10.0**-count + 1e-5 * np.abs(values)
        return wrong
