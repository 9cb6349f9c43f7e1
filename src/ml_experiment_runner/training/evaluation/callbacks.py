"""How good a model is while it is still being made: after an epoch, after a fold."""

from typing import Any

import numpy as np
from omegaconf import DictConfig

from ml_experiment_runner.dataset.dataset import Dataset, Part
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.training.evaluation.evaluate import measure
from ml_experiment_runner.training.models.pipeline import AfterEpoch, predict
from ml_experiment_runner.training.pruning import report

Metrics = dict[str, float]


def point(dataset: Dataset, estimator: Any, part: Part) -> Metrics:
    """Metrics of one part without intervals, those that have a value."""
    features, label = part
    prediction = predict(estimator, dataset.task_type, features, dataset.classes)
    measured = measure(dataset.task_type, label, prediction, None, dataset.classes)
    values = measured.metrics(np.ones((1, len(label)), dtype=np.int64))
    return {name: float(value[0]) for name, value in values.items() if not np.isnan(value[0])}


def tell_search(config: DictConfig, run: Run, metrics: Metrics, step: int) -> None:
    """Tells a search the metric that its objective is about.

    Args:
        config: Its `objective` may name another than the task type's own.
        run: A job's run.
        metrics: What was measured so far.
        step: Number of the epoch or fold, from 0.

    Raises:
        Pruned: The search ends the job.
    """
    chosen = (config.objective or "").rpartition("/")[2]
    name = chosen or next((each for each in ("roc_auc", "r2") if each in metrics), "")
    if name in metrics:
        report(run, metrics[name], step)


def after_epoch(config: DictConfig, run: Run, dataset: Dataset, part: Part) -> AfterEpoch:
    """Records metrics of a part as `epoch/<metric>`, and tells a search where no folds will.

    Args:
        config: The composed configuration.
        run: The run.
        dataset: What is learned.
        part: What is judged, the validation part.
    """

    def record(estimator: Any, epoch: int) -> None:
        metrics = point(dataset, estimator, part)
        run.log_metrics({f"epoch/{name}": value for name, value in metrics.items()}, epoch)
        if not config.evaluation.folds:
            tell_search(config, run, metrics, epoch)

    return record
