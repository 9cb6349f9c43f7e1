"""What the past of a figure lets expect of its next value, and how far off that may be.

A figure is one number for each delivery, such as the share of rows without a value. Its next value
is predicted from those before it; how far earlier predictions were off is the measure for the next
one (Dawid, Present Position and Potential Developments: the Prequential Approach, JRSS A 1984).
Figures of one kind share their limit, as Schelter et al., Automating Large-Scale Data Quality
Verification, VLDB 2018, watch the metrics of a table.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ml_experiment_runner.signals.drift.rows import Numbers

FEWEST = 4  # predictions that have to be known before another one is compared
SEASONS, TRENDS = 6, 12  # the same, of predictions from a year before without and with trend
ENOUGH = 8  # predictions of which the worst may be an accepted odd delivery
ODD = 2.0  # times the second worst one is so odd
PRIOR = 4.0  # predictions that other figures of the kind stand for
LEVEL = 0.0003  # of all figures of a kind together, if chance were all that moved them
TAILS = 1.09  # times as far, as what moves them has longer tails than chance
SHORT = 6.6  # standard deviations more for one prediction alone
MARGIN = 1.65  # how much further than ever before a kind of figure has to be off
PREFERRED = (1.0, 1.2, 1.5, 1.8)  # a later candidate has to be so much better
MANY = 6  # figures of one field that are looked at together, too
TOGETHER, FEWER = 1.3, 1.65  # times as far as ever before, and how much more for one prediction
SIGMAS = 5.5  # standard errors of the root mean square of as many independent figures


@dataclass(frozen=True)
class Forecast:
    """Predictions of the next values of some figures.

    Attributes:
        expected: The next value of each figure; NaN where it cannot be told.
        floor: What is too small to matter.
        width: How many standard errors such predictions were off, as a standard deviation.
        limit: How many of these a figure of the kind may be off.
        groups: By figure, the number of the fields that it is about.
        alike: By figure, how far the rows of a day were alike.
        together: By these, how far all figures about them may be off on average (root mean square).
    """

    expected: Numbers
    floor: Numbers
    width: Numbers
    limit: float
    groups: NDArray[np.int64]
    alike: Numbers
    together: Numbers

    def deviations(self, values: Numbers, noise: Numbers) -> Numbers:
        """How many times the limit new values are off, without a sign; NaN where untold.

        Args:
            values: The new value of each figure.
            noise: Its standard error.
        """
        off = np.abs(values - self.expected) / np.hypot(noise, self.floor)
        deviations: Numbers = off / self.width / self.limit
        return deviations

    def deviations_together(self, deviations: Numbers) -> Numbers:
        """The same by group, of many small deviations; NaN where a group has few figures."""
        off = _together((deviations * self.limit)[:, None], self.groups)[:, 0]
        beyond: Numbers = off / self.together
        return beyond


def forecast(
    values: Numbers, noise: Numbers, floor: Numbers, groups: NDArray[np.int64], alike: Numbers,
    season: int,
) -> Forecast | None:  # fmt: skip
    """Predicts the next value of figures by what predicted each of them best so far.

    Candidates are the mean of all values, that of the last three, and the value a season before
    with and without what has changed since.

    Args:
        values: Figures by deliveries, in the order of time; NaN where there is none.
        noise: Their standard errors, in the same shape.
        floor: By figure, what is too small to matter.
        groups: By figure, the number of the fields that it is about.
        alike: By figure, how far rows of a day are alike; the noise allows for it.
        season: After how many deliveries a year is over.

    Returns:
        None where the past is too short for any of them.
    """
    candidates = _candidates(values, season)
    rows = np.arange(len(values))
    unit = np.hypot(noise, floor[:, None])
    off = np.stack([np.abs(values - predicted[:, :-1]) / unit for predicted in candidates])
    off[:, :, 0] = np.nan
    off[0] /= np.sqrt(1 + 1 / np.maximum(np.arange(off.shape[2]), 1))  # a mean of few is a poor one
    known = (~np.isnan(off)).sum(axis=2)
    squares = np.nansum(_without_odd(off) ** 2, axis=2)
    with np.errstate(all="ignore"):
        score = squares / known * (1 + 3 / known) * np.array(PREFERRED)[:, None]
    needed = np.array([FEWEST, FEWEST, SEASONS, TRENDS])[:, None]
    score[known < needed] = np.inf
    best = np.argmin(score, axis=0)
    usable = np.isfinite(score[best, rows])
    if not usable.any():
        return None
    off, known, squares = off[best, rows], known[best, rows], squares[best, rows]
    following = np.stack([predicted[:, -1] for predicted in candidates])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of figures that were never there
        following[0] = np.nanmedian(values, axis=1)  # an odd delivery moves a mean for long
    expected = following[best, rows]
    expected[~usable] = np.nan
    usual = max(1.0, float(np.median(squares[usable] / known[usable])))
    width = np.sqrt(np.maximum(1.0, (PRIOR * usual + squares) / (PRIOR + known)))
    # what its own past would have said of each delivery
    said = np.nan_to_num(_without_odd(off)) ** 2
    earlier = np.cumsum(said, axis=1) - said
    count = np.cumsum(~np.isnan(off), axis=1) - ~np.isnan(off)
    before = np.sqrt(np.maximum(1.0, (PRIOR * usual + earlier) / (PRIOR + count)))
    deviations = np.where(usable[:, None], off / before, np.nan)
    return Forecast(
        expected, floor, width, _limit(deviations, groups), groups, alike,
        _limits_together(deviations, groups),
    )  # fmt: skip


def _candidates(values: Numbers, season: int) -> list[Numbers]:
    """Predictions of each value and of the next one, by way of predicting."""
    figures, deliveries = values.shape
    none = np.full((figures, deliveries + 1), np.nan)
    there = ~np.isnan(values)
    total = np.cumsum(np.where(there, values, 0.0), axis=1)
    count = np.cumsum(there, axis=1)
    mean, latest, before, moved = none.copy(), none.copy(), none.copy(), none.copy()
    with np.errstate(all="ignore"):
        mean[:, 1:] = total / np.where(count > 0, count, np.nan)
    recent = _mean_of_latest(values)
    latest[:, 1:] = recent
    if deliveries >= season:
        before[:, season:] = values[:, : deliveries - season + 1]
        moved[:, season + 1 :] = (
            values[:, 1 : deliveries - season + 1]
            + recent[:, season:]
            - recent[:, : deliveries - season]
        )
    return [mean, latest, before, moved]


def _mean_of_latest(values: Numbers, count: int = 3) -> Numbers:
    """The mean of the last known values up to each delivery, its own among them."""
    latest = np.full((len(values), count), np.nan)
    means = np.full(values.shape, np.nan)
    for delivery, known in enumerate(~np.isnan(values).T):
        latest[known] = np.column_stack([latest[known, 1:], values[known, delivery]])
        there = ~np.isnan(latest)
        with np.errstate(all="ignore"):
            means[:, delivery] = np.where(there, latest, 0.0).sum(axis=1) / there.sum(axis=1)
    return means


def _without_odd(off: Numbers) -> Numbers:
    """Deviations of which one that is far beyond all others is taken for as large as the next.

    One odd delivery that was accepted would blind a check for good.
    """
    ordered = np.sort(np.where(np.isnan(off), 0.0, off), axis=-1)
    if ordered.shape[-1] < 2:
        return off
    known = (~np.isnan(off)).sum(axis=-1, keepdims=True)
    first, second = ordered[..., -1:], ordered[..., -2:-1]
    is_odd = (known >= ENOUGH) & (first > ODD * second)
    return np.where(is_odd, np.minimum(off, second), off)


def _limit(deviations: Numbers, groups: NDArray[np.int64]) -> float:
    """How many standard deviations the worst figure of a delivery may be off.

    Groups of a kind share it, as one that never moved may do so once; a delivery that was odd for
    one of them alone does not count. The more figures a kind has, the further one of them is off
    by chance (Bonferroni).
    """
    known = ~np.isnan(deviations)
    count, figures = int(known.any(axis=0).sum()), int(known.any(axis=1).sum())
    least = TAILS * float(stats.norm.isf(LEVEL / 2 / figures))
    worst = np.zeros((int(groups.max()) + 1, deviations.shape[1]))
    np.maximum.at(worst, groups, np.nan_to_num(deviations))
    own = _without_odd(worst).max(axis=1)
    return max(least + SHORT / count, MARGIN * float(own.max()))


def _together(deviations: Numbers, groups: NDArray[np.int64]) -> Numbers:
    """The root mean square of deviations by group and delivery; NaN for groups of few figures."""
    shape = (int(groups.max()) + 1, deviations.shape[1])
    total, count = np.zeros(shape), np.zeros(shape)
    np.add.at(total, groups, np.nan_to_num(deviations**2))
    np.add.at(count, groups, ~np.isnan(deviations))
    with np.errstate(all="ignore"):
        mean: Numbers = np.sqrt(np.where(count >= MANY, total / count, np.nan))
    return mean


def _limits_together(deviations: Numbers, groups: NDArray[np.int64]) -> Numbers:
    """By group, how far its figures may be off on average."""
    together = _together(deviations, groups)
    known = (~np.isnan(together)).sum(axis=1)
    usual = np.max(np.nan_to_num(_without_odd(together)), axis=1)
    figures = np.bincount(groups)
    limits = np.maximum(
        usual * (TOGETHER + FEWER / np.maximum(known, 1)), 1 + SIGMAS / np.sqrt(2 * figures)
    )
    limits_known: Numbers = np.where(known > 0, limits, np.nan)
    return limits_known
