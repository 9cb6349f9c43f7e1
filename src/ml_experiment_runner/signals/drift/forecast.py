"""What the past of a figure lets expect of its next value, and how far off that may be.

A figure is one number for each delivery, such as the share of rows without a value. Its next value
is predicted from those before it; how far earlier predictions were off is the measure for the next
one (Dawid, Present Position and Potential Developments: the Prequential Approach, JRSS A 1984).
Figures of one kind share their limit, as Schelter et al., Automating Large-Scale Data Quality
Verification, VLDB 2018, watch the metrics of a table.
"""

from dataclasses import dataclass

import numpy as np

from ml_experiment_runner.signals.drift.rows import Flags, Numbers

FEWEST = 3  # predictions that have to be known before another one is compared
SEASONS = 6  # the same, of predictions from a year before
ENOUGH = 8  # predictions of which the worst may be an accepted odd delivery
CHANCE = 2.5  # standard errors of a figure that chance alone moves it
MARGIN = 1.5  # how much further than ever before a kind of figure has to be off


@dataclass(frozen=True)
class Forecast:
    """Predictions of the next values of some figures.

    Attributes:
        expected: The next value of each figure; NaN where it cannot be told.
        scale: How far off such predictions were, in the figure's unit.
        limit: How many times its scale a figure of this kind may be off.
    """

    expected: Numbers
    scale: Numbers
    limit: float

    def deviations(self, values: Numbers, noise: Numbers) -> Numbers:
        """How many times the limit new values are off, without a sign; NaN where untold.

        Args:
            values: The new value of each figure.
            noise: Its standard error.
        """
        scale = np.maximum(self.scale, CHANCE * noise)
        return np.abs(values - self.expected) / scale / self.limit


def forecast(values: Numbers, noise: Numbers, floor: Numbers, season: int) -> Forecast | None:
    """Predicts the next value of figures by what predicted each of them best so far.

    Candidates are the mean of all values, the last one, and the one a season before with and
    without what has changed since.

    Args:
        values: Figures by deliveries, in the order of time; NaN where there is none.
        noise: Their standard errors, in the same shape.
        floor: By figure, what is too small to matter.
        season: After how many deliveries a year is over.

    Returns:
        None where the past is too short for any of them.
    """
    candidates = _candidates(values, season)
    rows = np.arange(len(values))
    errors = np.stack([np.abs(values - predicted[:, :-1]) for predicted in candidates])
    errors[:, :, 0] = np.nan
    known = (~np.isnan(errors)).sum(axis=2)
    with np.errstate(all="ignore"):
        score = _quantile(errors, 0.8) * (1 + 3 / np.maximum(known, 1))
    needed = np.array([FEWEST, FEWEST, SEASONS, SEASONS])[:, None]
    score[known < needed] = np.inf
    best = np.argmin(score, axis=0)
    usable = np.isfinite(score[best, rows])
    if not usable.any():
        return None
    errors = errors[best, rows]
    expected = np.stack([predicted[:, -1] for predicted in candidates])[best, rows]
    expected[~usable] = np.nan
    least = np.maximum(floor[:, None], CHANCE * noise)
    scale, others = _scales(errors)
    limit = _limit(errors, np.fmax(others, least), usable)
    return Forecast(expected, np.fmax(scale, floor), limit)


def _candidates(values: Numbers, season: int) -> list[Numbers]:
    """Predictions of each value and of the next one, by way of predicting."""
    figures, deliveries = values.shape
    none = np.full((figures, deliveries + 1), np.nan)
    there = ~np.isnan(values)
    total = np.cumsum(np.where(there, values, 0.0), axis=1)
    count = np.cumsum(there, axis=1)
    mean, last, before, moved = none.copy(), none.copy(), none.copy(), none.copy()
    with np.errstate(all="ignore"):
        mean[:, 1:] = total / np.where(count > 0, count, np.nan)
    at = np.maximum.accumulate(np.where(there, np.arange(deliveries), -1), axis=1)
    last[:, 1:] = np.where(at >= 0, np.take_along_axis(values, at.clip(0), axis=1), np.nan)
    if deliveries >= season:
        before[:, season:] = values[:, : deliveries - season + 1]
        recent = _running_mean(values)
        moved[:, season + 1 :] = (
            values[:, 1 : deliveries - season + 1]
            + recent[:, season:]
            - recent[:, : deliveries - season]
        )
    return [mean, last, before, moved]


def _running_mean(values: Numbers, length: int = 3) -> Numbers:
    """The mean of each value and those just before it."""
    padded = np.concatenate([np.full((len(values), length - 1), np.nan), values], axis=1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, length, axis=1)
    there = ~np.isnan(windows)
    with np.errstate(all="ignore"):
        means: Numbers = np.where(there, windows, 0.0).sum(axis=2) / there.sum(axis=2)
    return means


def _quantile(errors: Numbers, level: float) -> Numbers:
    """A quantile along the last axis, without what is missing."""
    ordered = np.sort(errors, axis=-1)  # NaN goes last
    known = (~np.isnan(errors)).sum(axis=-1)
    at = np.ceil(level * known).astype(np.int64).clip(1, max(1, errors.shape[-1])) - 1
    return np.take_along_axis(ordered, at[..., None], axis=-1)[..., 0]


def _scales(errors: Numbers) -> tuple[Numbers, Numbers]:
    """The largest error of each figure, and for each delivery that of all the others.

    Where there are many, the largest does not count: one odd delivery that was accepted would
    blind the check for good.
    """
    known = (~np.isnan(errors)).sum(axis=1)
    ordered = -np.sort(np.where(np.isnan(errors), 0.0, -errors), axis=1)
    first, second, third = (
        ordered[:, place] if ordered.shape[1] > place else np.zeros(len(errors))
        for place in range(3)
    )
    many = known >= ENOUGH
    scale = np.where(many, second, first)
    is_first: Flags = errors >= first[:, None]
    is_second: Flags = errors >= second[:, None]
    others_few = np.where(is_first, second[:, None], first[:, None])
    others_many = np.where(is_second, third[:, None], second[:, None])
    return scale, np.where(many[:, None], others_many, others_few)


def _limit(errors: Numbers, others: Numbers, usable: Flags) -> float:
    """How many times its scale the worst figure of a delivery is off, in the past itself."""
    with np.errstate(all="ignore"):
        ratios = np.where(usable[:, None], errors / others, np.nan)
    worst = np.sort([float(np.nanmax(ratio)) for ratio in ratios.T if not np.isnan(ratio).all()])
    count = len(worst)
    least = 1.5 + 6 / max(count, 1)
    if not count:
        return least
    usual = worst[-1] if count < ENOUGH or worst[-1] < 2 * worst[-2] else worst[-2]
    return max(least, MARGIN * float(usual))
