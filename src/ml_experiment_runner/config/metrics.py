"""The metrics: their names, what they mean, and whether greater is better."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A metric as it is shown to people.

    Attributes:
        label: Its name.
        hint: What it means, in a few words.
        greater_is_better: None where neither greater nor less is better.
    """

    label: str
    hint: str
    greater_is_better: bool | None = True


METRICS = {
    "roc_auc": Metric("ROC AUC", "a positive scores higher than a negative; 0.5 is chance"),
    "r2": Metric("R²", "share of the variance that is explained; 0 is the mean"),
    "average_precision": Metric("Average precision", "chance is the share of positives"),
    "log_loss": Metric("Log loss", "lower is better", False),
    "brier": Metric("Brier score", "lower is better", False),
    "accuracy": Metric("Accuracy", "share of rows with the right class"),
    "balanced_accuracy": Metric("Balanced accuracy", "mean recall of the classes"),
    "precision": Metric("Precision", "of the flagged, truly positive"),
    "recall": Metric("Recall", "of the positives, flagged"),
    "f1": Metric("F1", "precision and recall in one"),
    "f1_macro": Metric("Macro F1", "mean F1 of the classes"),
    "mae": Metric("Mean absolute error", "in units of the label; lower is better", False),
    "rmse": Metric("Root mean squared error", "in units of the label; lower is better", False),
    "bias": Metric("Bias", "mean prediction minus what came true", None),
    "flagged": Metric("Flagged", "share above the threshold", None),
    "base_rate": Metric("Base rate", "share of positives", None),
    "quality_gap": Metric("Quality gap", "how much better one model on all features is", False),
    "label_mean": Metric("Mean label", "in units of the label", None),
}
AT_THRESHOLD = ("precision", "recall", "f1", "flagged")
SPREAD = "/sd"
ENDS = ("/low", "/high", "/baseline", SPREAD, "/count")
"""Ends of the names of values that belong to a metric, such as `test/roc_auc/low`."""
COMPARED_ENDS = ("/low", "/high", SPREAD)
"""Those of them that runs can be compared by."""

RENAMED = {
    f"{split}/price{end}": f"{split}/quality_gap{end}"
    for split in ("validation", "test")
    for end in ("", "/low", "/high")
}
"""Old names of metrics, in earlier records, and their present ones."""

OBJECTIVES = tuple(
    f"{prefix}/{name}"
    for prefix in ("cv", "seeds/validation", "validation")
    for name in ("roc_auc", "r2")
)
"""Metrics that runs are compared by where the configuration names none: the first that exists."""


def objective(chosen: str | None, metrics: Mapping[str, float]) -> str:
    """The name of the metric that a run is compared by.

    Args:
        chosen: `objective` of the configuration; None for the default of the task type.
        metrics: The run's metrics.
    """
    if chosen is not None:
        return chosen
    return next((name for name in OBJECTIVES if name in metrics), "validation/roc_auc")


def train_objectives(folds: int | None, seeds: int) -> list[str]:
    """Names of the metrics of `task=train` that rank runs, without intervals and deviations.

    Args:
        folds: `evaluation.folds`.
        seeds: `seeds`.
    """
    prefixes = ["validation", "test"]
    prefixes += ["cv"] if folds else []
    prefixes += ["seeds/validation", "seeds/test"] if seeds > 1 else []
    ranked = [name for name, metric in METRICS.items() if metric.greater_is_better is not None]
    return [f"{prefix}/{name}" for prefix in prefixes for name in ranked]


def needs_threshold(name: str) -> bool:
    """Whether a metric has no value where no threshold is valid."""
    return name.rpartition("/")[2] in AT_THRESHOLD


def number(value: float) -> str:
    """A metric's value for people: all digits of a whole number, four of any other."""
    size = abs(value)
    if math.isfinite(value) and value == int(value) and size < 1e15:
        return f"{value:,.0f}"
    if 1e-3 <= size < 1e4:
        return f"{value:.4f}"
    return f"{value:,.1f}" if 1e4 <= size < 1e15 else f"{value:.4g}"


def with_interval(
    value: float, low: float | None = None, high: float | None = None, *, sign: str = ""
) -> str:
    """A metric's value with its interval, if it has one; `sign` is `+` for a difference."""
    return f"{value:{sign},.4f}  {interval(low, high, sign)}".rstrip()


def interval(low: float | None, high: float | None, sign: str = "") -> str:
    """An interval in brackets; nothing if there is none."""
    if low is None or high is None or math.isnan(low):
        return ""
    return f"[{low:{sign},.4f}, {high:{sign},.4f}]"


def main_metric(task_type: str) -> str:
    """The metric that models of a task type are compared by."""
    return "r2" if task_type == "regression" else "roc_auc"


def greater_is_better(name: str) -> bool:
    """Whether a greater value of a metric is better, such as of `test/roc_auc`.

    So it is for a metric that is not known here. An end of an interval follows its metric; of a
    standard deviation, less is better.
    """
    if name.endswith(SPREAD):
        return False
    value = next((name.removesuffix(end) for end in ENDS if name.endswith(end)), name)
    metric = METRICS.get(value.rpartition("/")[2])
    return metric is None or metric.greater_is_better is not False
