"""Perturbations: faults that a signal may have, and how far they move a model's predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import polars as pl
from scipy.special import logit

from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.training.arrays import Floats
from ml_experiment_runner.training.evaluation.evaluate import LEAST


class Fault(StrEnum):
    """What happens to all features of a signal at once."""

    SHIFT = "shift"  # numbers by three standard deviations, texts to the next one, truth turned
    RESCALE = "rescale"  # numbers tenfold, as in another unit
    SHUFFLE = "shuffle"  # rows are mixed up, as by a wrong join
    REMOVE = "remove"  # no values


@dataclass(frozen=True)
class Moved:
    """How far answers have moved: the most, the 99th percentile and the mean over the rows."""

    most: float
    percentile: float
    mean: float


def perturb(features: pl.DataFrame, names: Sequence[str], fault: Fault, seed: int) -> pl.DataFrame:
    """The features with a fault in some of them, the others untouched.

    Args:
        features: The rows.
        names: The features of the signal.
        fault: What happens to them.
        seed: Seed of the order that shuffled rows get; the same for all features of the signal.
    """
    if fault == Fault.SHUFFLE:
        order = np.random.default_rng(seed).permutation(len(features)).tolist()
        return features.with_columns(features[name][order] for name in names)
    if fault == Fault.REMOVE:
        return features.with_columns(
            pl.lit(None, features.schema[name]).alias(name) for name in names
        )
    return features.with_columns(_wrong(features[name], fault) for name in names)


def _wrong(values: pl.Series, fault: Fault) -> pl.Series:
    if values.dtype == pl.String:
        if fault == Fault.RESCALE:
            return values
        known = values.drop_nulls().unique().sort().to_list()
        return values.replace_strict(known, [*known[1:], *known[:1]], default=None)
    if values.dtype == pl.Boolean:
        return ~values if fault == Fault.SHIFT else values
    number = values.cast(pl.Float64)
    spread = number.std()
    shifted = number + 3 * (spread if isinstance(spread, float) else 0.0)
    return shifted if fault == Fault.SHIFT else number * 10


def moved_scores(task_type: TaskType, before: Floats, after: Floats) -> Moved:
    """How far the logit, the logit between two classes, or the number has moved.

    Args:
        task_type: The question, which follows from the label.
        before: Predictions as `evaluate` takes them.
        after: The same of perturbed rows.
    """
    if task_type == TaskType.REGRESSION:
        return _moved(np.abs(after - before))
    if task_type == TaskType.BINARY:
        both = [logit(np.clip(prediction, LEAST, 1 - LEAST)) for prediction in (before, after)]
        return _moved(np.abs(both[1] - both[0]))
    both = [np.log(np.clip(prediction, LEAST, 1.0)) for prediction in (before, after)]
    change = both[1] - both[0]
    return _moved(change.max(axis=1) - change.min(axis=1))


def moved_answers(before: Floats, after: Floats) -> Moved:
    """How far the prediction itself has moved; of classes, the one that has moved most."""
    change = np.abs(after - before)
    return _moved(change if change.ndim == 1 else change.max(axis=1))


def _moved(by_row: Floats) -> Moved:
    return Moved(float(by_row.max()), float(np.quantile(by_row, 0.99)), float(by_row.mean()))
