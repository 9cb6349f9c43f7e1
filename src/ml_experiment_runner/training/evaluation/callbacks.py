"""Callbacks that say how good a model is while it is fitted: after an epoch, after a fold."""

from typing import Any

import numpy as np
from omegaconf import DictConfig

from ml_experiment_runner.dataset.dataset import Dataset, Examples
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.training.evaluation.evaluate import measure
from ml_experiment_runner.training.models.pipeline import AfterEpoch, predict
from ml_experiment_runner.training.pruning import report


def point_metrics(dataset: Dataset, estimator: Any, examples: Examples) -> dict[str, float]:
    """Metrics of some rows without intervals, those that have a value."""
    features, label = examples
    prediction = predict(estimator, dataset.task_type, features, dataset.classes)
    measured = measure(dataset.task_type, label, prediction, None, dataset.classes)
    values = measured.metrics(np.ones((1, len(label)), dtype=np.int64))
    return {name: float(value[0]) for name, value in values.items() if not np.isnan(value[0])}


def report_to_search(config: DictConfig, run: Run, metrics: dict[str, float], step: int) -> None:
    """Reports the metric of the objective to the search that a run belongs to.

    Args:
        config: Its `objective` may name another than the task type's own.
        run: A job's run.
        metrics: What was measured so far.
        step: Number of the epoch or fold, from 0.

    Raises:
        Pruned: The search ends the job.
    """
    chosen = (config.objective or "").rpartition("/")[2]
    name = chosen or next((main for main in ("roc_auc", "r2") if main in metrics), "")
    if name in metrics:
        report(run, metrics[name], step)


def after_epoch(config: DictConfig, run: Run, dataset: Dataset, examples: Examples) -> AfterEpoch:
    """A callback that records metrics as `epoch/<metric>`, for a search too unless folds report.

    Args:
        config: The composed configuration.
        run: The run.
        dataset: What is learned.
        examples: What is evaluated, the validation split.
    """

    def record(estimator: Any, epoch: int) -> None:
        metrics = point_metrics(dataset, estimator, examples)
        run.log_metrics({f"epoch/{name}": value for name, value in metrics.items()}, epoch)
        if not config.evaluation.folds:
            report_to_search(config, run, metrics, epoch)

    return record
