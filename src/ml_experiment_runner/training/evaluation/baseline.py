"""What a model must beat: the same prediction for every row."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_experiment_runner.config.metrics import METRICS
from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.training.arrays import Floats
from ml_experiment_runner.training.evaluation.evaluate import measure


def baseline(
    task_type: TaskType, learned: NDArray[Any], label: NDArray[Any], classes: Sequence[str] = ()
) -> dict[str, float]:
    """Metrics of the training split's share of positives, shares of classes, or mean.

    Args:
        task_type: The question, which follows from the label.
        learned: The labels of the training split, shape (training rows,).
        label: The labels to evaluate on, shape (rows,).
        classes: The classes, of a label that names several.

    Returns:
        `name/baseline` for each metric that can be better or worse and has a value.
    """
    prediction = constant(task_type, learned, len(label), classes)
    counts = np.ones((1, len(label)), dtype=np.int64)
    measured = measure(task_type, label, prediction, None, classes).metrics(counts)
    return {
        f"{name}/baseline": float(value[0])
        for name, value in measured.items()
        if METRICS[name].greater_is_better is not None and not np.isnan(value[0])
    }


def constant(
    task_type: TaskType, learned: NDArray[Any], rows: int, classes: Sequence[str] = ()
) -> Floats:
    """The same prediction for every row, as `evaluate` takes it.

    Args:
        task_type: The question, which follows from the label.
        learned: The labels of the training split, shape (training rows,).
        rows: How many rows are predicted.
        classes: The classes, of a label that names several.
    """
    if task_type == TaskType.MULTICLASS:
        shares = (learned[:, None] == np.array(classes)[None, :]).mean(axis=0)
        return np.tile(shares, (rows, 1))
    return np.full(rows, float(learned.mean()))
