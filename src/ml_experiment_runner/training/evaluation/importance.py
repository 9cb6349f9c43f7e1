"""How much a model's quality depends on each feature."""

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from omegaconf import DictConfig

from ml_experiment_runner.config.metrics import greater_is_better, main_metric
from ml_experiment_runner.dataset.dataset import Dataset, Examples
from ml_experiment_runner.training.arrays import Floats
from ml_experiment_runner.training.evaluation.evaluate import measure
from ml_experiment_runner.training.models.pipeline import predict


def importance(
    config: DictConfig, dataset: Dataset, estimator: object, examples: Examples
) -> tuple[list[str], Floats]:
    """Permutation importance (Breiman 2001) on rows spread evenly over the examples.

    scikit-learn's function takes no polars frame; here all shuffles of a feature are predicted at
    once.

    Returns:
        The features, and how much worse the main metric becomes for each feature and
        shuffle, shape (features, repeats).
    """
    features, label = examples
    rows = _spread(label, config.evaluation.importance_rows)
    features, label = features[rows.tolist()], label[rows]
    task_type, classes = dataset.task_type, dataset.classes
    metric = main_metric(task_type)
    sign = 1 if greater_is_better(metric) else -1
    once = np.ones((1, len(label)), dtype=np.int64)

    def quality(prediction: Floats) -> float:
        measured = measure(task_type, label, prediction, None, classes).metrics(once)
        return sign * float(measured[metric][0])

    reference = quality(predict(estimator, task_type, features, classes))
    repeats = config.evaluation.importance_repeats
    rng = np.random.default_rng(config.seed)
    copies = pl.concat([features] * repeats)
    drops = np.empty((features.width, repeats))
    for number, name in enumerate(features.columns):
        order = np.concatenate([rng.permutation(len(label)) for _ in range(repeats)])
        shuffled = copies.with_columns(features[name][order.tolist()])
        predictions = predict(estimator, task_type, shuffled, classes)
        drops[number] = [
            reference - quality(prediction) for prediction in np.split(predictions, repeats)
        ]
    return features.columns, drops


def _spread(label: NDArray[Any], most: int) -> NDArray[Any]:
    """Rows spread evenly; all of them where these have one label only."""
    rows = np.linspace(0, len(label) - 1, min(most, len(label))).astype(int)
    return rows if len(np.unique(label[rows])) > 1 else np.arange(len(label))
