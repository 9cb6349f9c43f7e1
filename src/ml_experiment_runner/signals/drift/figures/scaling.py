"""Numbers on a scale on which those of all fields are alike."""

import numpy as np

from ml_experiment_runner.signals.drift.figures.parts import Labels
from ml_experiment_runner.signals.drift.rows import Numbers, Rows

Scale = tuple[float, float, float, float]
"""Median, deviation, and bounds beyond which values are cut."""


def scales(rows: Rows) -> dict[str, Scale]:
    """By number: its median, its deviation, and bounds beyond which values are cut."""
    found = {}
    for name in rows.numbers:
        values = rows.known(name)
        if len(values) < 30:
            continue
        low, high = np.quantile(values, [0.005, 0.995])
        deviation = float(values.clip(low, high).std())
        if deviation > 0:
            found[name] = (float(np.median(values)), deviation, float(low), float(high))
    return found


def scale_of(values: Numbers, scale: Scale) -> Numbers:
    """Numbers in standard deviations from their median, cut a good deal beyond usual ones."""
    center, deviation, low, high = scale
    width = high - low
    scaled: Numbers = (values.clip(low - width, high + width) - center) / deviation
    return scaled


def error_of_mean(count: Numbers, deviation: Numbers) -> Numbers:
    """The standard error of means of so many independent rows."""
    error: Numbers = deviation / np.sqrt(np.maximum(count, 1))
    return error


def moments(values: Numbers, label: Labels, count: int) -> tuple[Numbers, Numbers, Numbers]:
    """Rows, mean and standard deviation by label; NaN where there are no rows."""
    there = ~np.isnan(values)
    values, label = values[there], label[there]
    rows = np.bincount(label, minlength=count).astype(np.float64)
    with np.errstate(all="ignore"):
        mean = np.bincount(label, weights=values, minlength=count) / rows
        square = np.bincount(label, weights=values**2, minlength=count) / rows
        deviation = np.sqrt(np.maximum(square - mean**2, 0.0))
    return rows, mean, np.nan_to_num(deviation)
