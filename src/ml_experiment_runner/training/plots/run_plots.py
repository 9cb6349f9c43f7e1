"""Records the plots of an evaluated model."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from ml_experiment_runner.config.metrics import METRICS, main_metric
from ml_experiment_runner.dataset.dataset import Dataset
from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.training.arrays import Floats
from ml_experiment_runner.training.evaluation.slices import METRIC, Slice
from ml_experiment_runner.training.plots import model_plots


def log_plots(
    run: Run,
    dataset: Dataset,
    labels: Mapping[str, NDArray[Any]],
    predictions: Mapping[str, Floats],
    metrics: Mapping[str, float],
    drops: tuple[list[str], Floats],
    slices: Sequence[Slice],
) -> None:
    """Records the plots of the task type.

    Args:
        run: The run that records them.
        dataset: The dataset that the model was fitted on.
        labels: Labels by split, `validation` and `test`.
        predictions: Predictions by split.
        metrics: The model's metrics.
        drops: The features and their permutation importance.
        slices: The evaluated slices of the test split, the worst first.
    """
    label, prediction = labels["test"], predictions["test"]
    if dataset.task_type == TaskType.BINARY:
        threshold = metrics.get("threshold")
        validation = labels["validation"], predictions["validation"]
        run.log_figure(model_plots.roc(label, prediction, metrics["test/roc_auc"]), "roc")
        run.log_figure(
            model_plots.precision_recall(label, prediction, threshold), "precision_recall"
        )
        run.log_figure(model_plots.calibration(label, prediction), "calibration")
        run.log_figure(model_plots.threshold_curve(*validation, threshold), "threshold")
        if threshold is not None:
            run.log_figure(model_plots.confusion(label, prediction, threshold), "confusion")
    elif dataset.task_type == TaskType.MULTICLASS:
        scored = label, prediction, dataset.classes
        run.log_figure(model_plots.roc_by_class(*scored), "roc")
        run.log_figure(model_plots.calibration_by_class(*scored), "calibration")
        run.log_figure(model_plots.confusion_by_class(*scored), "confusion")
    else:
        run.log_figure(model_plots.calibration_of_regression(label, prediction), "calibration")
        run.log_figure(model_plots.errors(label, prediction), "errors")
    metric = METRICS[main_metric(dataset.task_type)].label
    if slices:
        name = METRIC[dataset.task_type]
        whole = metrics[f"test/{name}"]
        run.log_figure(model_plots.slices(slices, whole, METRICS[name].label), "slices")
    run.log_figure(model_plots.importance(*drops, metric), "importance")
