"""Which plots an evaluated model gets."""

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
        run: Where they are recorded.
        dataset: What was learned.
        labels: The truth by split, `validation` and `test`.
        predictions: What `evaluate` was given, by split.
        metrics: What was measured.
        drops: The features and their importance.
        slices: The evaluated groups of test rows, the worst first.
    """
    label, prediction = labels["test"], predictions["test"]
    if dataset.task_type == TaskType.BINARY:
        threshold = metrics.get("threshold")
        learned_on = labels["validation"], predictions["validation"]
        run.log_figure(model_plots.roc(label, prediction, metrics["test/roc_auc"]), "roc")
        run.log_figure(
            model_plots.precision_recall(label, prediction, threshold), "precision_recall"
        )
        run.log_figure(model_plots.calibration(label, prediction), "calibration")
        run.log_figure(model_plots.threshold_curve(*learned_on, threshold), "threshold")
        if threshold is not None:
            run.log_figure(model_plots.confusion(label, prediction, threshold), "confusion")
    elif dataset.task_type == TaskType.MULTICLASS:
        answers = label, prediction, dataset.classes
        run.log_figure(model_plots.roc_by_class(*answers), "roc")
        run.log_figure(model_plots.calibration_of_answers(*answers), "calibration")
        run.log_figure(model_plots.confusion_of_classes(*answers), "confusion")
    else:
        run.log_figure(model_plots.calibration_of_numbers(label, prediction), "calibration")
        run.log_figure(model_plots.errors(label, prediction), "errors")
    metric = METRICS[main_metric(dataset.task_type)].label
    if slices:
        name = METRIC[dataset.task_type]
        whole = metrics[f"test/{name}"]
        run.log_figure(model_plots.slices(slices, whole, METRICS[name].label), "slices")
    run.log_figure(model_plots.importance(*drops, metric), "importance")
