"""Rows that come in clusters: those of one day are alike, and tell less than independent ones."""

from dataclasses import dataclass

import numpy as np

from ml_experiment_runner.signals.drift.figures.parts import Parts
from ml_experiment_runner.signals.drift.rows import Numbers


@dataclass(frozen=True)
class Clusters:
    """How far the rows of a day are alike, by which a standard error is larger.

    The design effect of cluster samples (Kish, Survey Sampling, 1965).

    Attributes:
        alike: By figure, the correlation of two rows of a day, from 0 to 1.
        crowding: By part, on how many rows' day a row lies, on average.
    """

    alike: Numbers
    crowding: Numbers

    def effect(self, alike: Numbers) -> Numbers:
        """How many times larger the standard errors are, by figure and part.

        Args:
            alike: By figure, as the past tells it: a fault of some days must not excuse itself.
        """
        effect: Numbers = np.sqrt(1 + np.maximum(self.crowding - 1, 0)[None] * alike[:, None])
        return effect


def in_parts(parts: Parts, daily: Numbers) -> Numbers:
    """What is counted by figure and day, by figure and part."""
    counts = np.zeros((parts.count, len(daily)))
    np.add.at(counts, parts.days_with_rows[0], daily.T)
    return counts.T


def clusters_of_shares(parts: Parts, daily: Numbers, totals: Numbers) -> Clusters:
    """Of figures that are shares of rows.

    Args:
        parts: The parts.
        daily: Rows that count, by figure and day.
        totals: All rows, by day.
    """
    part = parts.days_with_rows[0]
    whole = in_parts(parts, totals[None])[0]
    with np.errstate(all="ignore"):
        share = np.nan_to_num(in_parts(parts, daily) / whole)
    return _clusters(parts, daily - share[:, part] * totals, (share * (1 - share))[:, part], totals)


def clusters_of_means(parts: Parts, values: Numbers) -> Clusters:
    """Of one figure that is a mean.

    Args:
        parts: The parts.
        values: By row; NaN where there is none.
    """
    there = ~np.isnan(values)
    part, days = parts.days_with_rows[0], len(parts.days_with_rows[0])
    day, values = parts.day_of_row[there], values[there]
    totals = np.bincount(day, minlength=days).astype(np.float64)
    sums, squares = (np.bincount(day, weights=each, minlength=days) for each in (values, values**2))
    whole, total, square = in_parts(parts, np.array([totals, sums, squares]))
    with np.errstate(all="ignore"):
        mean = np.nan_to_num(total / whole)
        variance = np.maximum(np.nan_to_num(square / whole) - mean**2, 0)
    return _clusters(parts, (sums - mean[part] * totals)[None], variance[None, part], totals)


def _clusters(parts: Parts, rest: Numbers, variance: Numbers, totals: Numbers) -> Clusters:
    """From what the days' sums are off, and the variance of single rows."""
    by_chance = (variance * totals).sum(axis=1)
    if_alike = (variance * totals * np.maximum(totals - 1, 0)).sum(axis=1)
    with np.errstate(all="ignore"):
        alike = np.nan_to_num(((rest**2).sum(axis=1) - by_chance) / if_alike).clip(0, 1)
        square, whole = in_parts(parts, np.array([totals**2, totals]))
        crowding = np.nan_to_num(square / whole, nan=1.0)
    return Clusters(alike, crowding)
