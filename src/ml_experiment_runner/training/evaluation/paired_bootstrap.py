"""The difference of two models on the same rows, with its bootstrap interval."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.training.arrays import Floats
from ml_experiment_runner.training.evaluation.evaluate import (
    bootstrap_counts,
    measure,
    percentile_interval,
)


class Difference(NamedTuple):
    """A metric of the second model minus that of the first.

    Attributes:
        value: On the rows as they are; NaN where one of the two has no value.
        low: Lower end of the 95 % interval; NaN likewise.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    @property
    def is_real(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def paired_difference(
    task_type: TaskType,
    label: NDArray[Any],
    first: Floats,
    second: Floats,
    metric: str,
    replicates: int = 500,
    seed: int = 0,
    classes: Sequence[str] = (),
) -> Difference:
    """How much a metric of the second model's predictions is above that of the first's.

    Both are measured on the same bootstrap samples of the rows (Efron and Tibshirani 1993), so
    what is hard for both does not blur the difference.

    Args:
        task_type: The question, which follows from the label.
        label: The truth, shape (rows,).
        first: Predictions as `evaluate` takes them.
        second: The same of the other model.
        metric: A metric that `evaluate` knows and that needs no threshold.
        replicates: Number of bootstrap samples.
        seed: Seed of the bootstrap samples.
        classes: The classes, in the order of the columns.
    """
    both = [measure(task_type, label, prediction, None, classes) for prediction in (first, second)]

    def minus(counts: NDArray[np.int64]) -> Floats:
        before, after = (measured.metrics(counts)[metric] for measured in both)
        return after - before

    value = float(minus(np.ones((1, len(label)), dtype=np.int64))[0])
    interval = percentile_interval(
        np.concatenate([minus(counts) for counts in bootstrap_counts(len(label), replicates, seed)])
    )
    return Difference(value, *(interval or (np.nan, np.nan)))
