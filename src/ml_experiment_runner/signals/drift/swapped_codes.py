"""A detector of two codes that were swapped, by the numbers at them."""

# ruff: noqa: D102  Detector documents learn and measure

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ml_experiment_runner.signals.drift.figures.scaling import moments
from ml_experiment_runner.signals.drift.rows import Detector, Measure, Numbers, Rows, blocks


@dataclass(frozen=True)
class Offset:
    """How far the numbers at a code are from those of all rows of their days.

    Attributes:
        mean: By number, over the days, in standard deviations.
        variance: Of this mean.
    """

    mean: Numbers
    variance: Numbers

    def distance(self, other: "Offset") -> Numbers:
        """By number, the squared distance in units of chance, and 1."""
        square = (self.mean - other.mean) ** 2 / (self.variance + other.variance + 1e-6)
        distance: Numbers = 1 + square
        return distance


class SwappedCodes(Detector):
    """Whether the numbers at two codes have the values that they had at each other's.

    Against the other codes of the same day: with the seasons all move together. A day counts once,
    for its rows tell the same weather again and again. When nothing changed, each code is nearer to
    what it was than to another one: a ratio of likelihoods (Neyman and Pearson, On the Problem of
    the Most Efficient Tests of Statistical Hypotheses, 1933).
    """

    kind, floor, factor, is_share = "swapped codes", 1.3, 1.5, False
    CODES, DAYS = 12, 5
    POOLED = 0.25  # of what all codes vary from day to day, at least
    EVIDENCE = 100.0  # twice the logarithm of the ratio: of codes that hardly differ any is nearest

    def learn(self, rows: Rows) -> dict[str, Any]:
        if rows.event is None:
            return {}
        scale = {
            name: (*np.quantile(values, [0.01, 0.99]), values.std())
            for name in rows.numbers
            if len(values := rows.known(name)) >= 200 and values.std() > 0
        }
        codes = [
            name for name in rows.codes
            if 2 <= rows.texts[name].drop_nulls().n_unique() <= self.CODES
        ]  # fmt: skip
        rests = self._rests(rows, scale)
        model: dict[str, Any] = {}
        for names in blocks(rows.frame.columns):
            near = {name: scale[name] for name in names if name in scale}
            for code in codes:
                if near and code in names:
                    model[code] = (near, self._offsets(rows, code, [rests[name] for name in near]))
        return model

    def measure(self, model: dict[str, Any], rows: Rows) -> Iterator[Measure]:
        if not model:
            return
        every = {name: scale for near, _ in model.values() for name, scale in near.items()}
        rests = self._rests(rows, every)
        for code, (scale, past) in model.items():
            now = self._offsets(rows, code, [rests[name] for name in scale])
            known = sorted(set(past) & set(now))
            if len(known) < 2:
                continue
            apart = {
                (one, other): now[one].distance(past[other])
                for one, other in itertools.product(known, repeat=2)
            }
            same = sum(float(apart[each, each].sum()) for each in known)
            swapped = {
                (one, other): apart[one, one] + apart[other, other]
                - apart[one, other] - apart[other, one]
                for one, other in itertools.combinations(known, 2)
            }  # fmt: skip
            (one, other), nearer = max(swapped.items(), key=lambda each: float(each[1].sum()))
            evidence = float(nearer.sum())
            value = float(np.sqrt(same / (same - evidence))) if evidence > self.EVIDENCE else 0.0
            telling = list(scale)[int(nearer.argmax())]
            yield Measure(
                (code,), value,
                f"the numbers of {code} {one!r}, most of all {telling}, are those that {other!r} "
                f"had, and the other way round: they are {value:.1f} times as near to them as to "
                f"their own",
            )  # fmt: skip

    @staticmethod
    def _rests(rows: Rows, scale: Mapping[str, tuple[float, float, float]]) -> dict[str, Numbers]:
        """By number, how far each row is from the mean of its day, in standard deviations."""
        day = rows.days - rows.days.min()
        rests = {}
        for name, (low, high, width) in scale.items():
            values = rows.numbers[name].clip(low, high)
            _, mean, _ = moments(values, day, int(day.max()) + 1)
            rests[name] = (values - mean[day]) / width
        return rests

    def _offsets(self, rows: Rows, code: str, rests: Sequence[Numbers]) -> dict[str, Offset]:
        """By code, of those that come on enough days."""
        known = sorted(rows.texts[code].drop_nulls().unique().to_list())
        numbers = rows.code_numbers(code, known)
        there = numbers >= 0
        day = rows.days[there] - rows.days.min()
        shape = (len(known), int(rows.days.max() - rows.days.min()) + 1)
        cell, cells = numbers[there] * shape[1] + day, shape[0] * shape[1]
        days = (np.bincount(cell, minlength=cells).reshape(shape) > 0).sum(axis=1)
        means, variances = [], []
        for rest in rests:
            daily = moments(rest[there], cell, cells)[1].reshape(shape)
            count = np.maximum((~np.isnan(daily)).sum(axis=1), 1)
            mean = np.nansum(daily, axis=1) / count
            squares = np.nansum((daily - mean[:, None]) ** 2, axis=1)
            # one code at which it happened to be the same all the time is no proof
            usual = self.POOLED * squares.sum() / max(count.sum(), 1)
            means.append(mean)
            variances.append(np.maximum(squares / count, usual) / count)
        return {
            each: Offset(mean, variance)
            for each, mean, variance, many in zip(
                known, np.transpose(means), np.transpose(variances), days, strict=True
            )
            if many >= self.DAYS
        }
