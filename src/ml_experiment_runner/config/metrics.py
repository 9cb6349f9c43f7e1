"""What each metric is called, what it says, and which way is better."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A metric as people read it.

    Attributes:
        label: Its name in words.
        hint: What it says, in a few words.
        greater_is_better: None where neither way is better.
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
"""What stands beside a metric's value."""
COMPARED_ENDS = ("/low", "/high", SPREAD)
"""Those that runs can be compared by."""

RENAMED = {
    f"{split}/price{end}": f"{split}/quality_gap{end}"
    for split in ("validation", "test")
    for end in ("", "/low", "/high")
}
"""Metrics as runs of before recorded them, and what they are called now."""

OBJECTIVES = tuple(
    f"{prefix}/{name}"
    for prefix in ("cv", "seeds/validation", "validation")
    for name in ("roc_auc", "r2")
)
"""What a run is compared by where the configuration names no objective: the first that it has."""


def objective(chosen: str | None, metrics: Mapping[str, float]) -> str:
    """The name of the metric that a run is compared by.

    Args:
        chosen: `objective` of the configuration; None for what suits the task type.
        metrics: What the run has measured.
    """
    if chosen is not None:
        return chosen
    return next((name for name in OBJECTIVES if name in metrics), "validation/roc_auc")


def train_objectives(folds: int | None, seeds: int) -> list[str]:
    """Names of metrics of `task=train` that say which run is better, without what stands beside.

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
    """A metric's value for people: a whole number as it is, of any other four digits."""
    size = abs(value)
    if math.isfinite(value) and value == int(value) and size < 1e15:
        return f"{value:,.0f}"
    if 1e-3 <= size < 1e4:
        return f"{value:.4f}"
    return f"{value:,.1f}" if 1e4 <= size < 1e15 else f"{value:.4g}"


def main_metric(task_type: str) -> str:
    """The metric that models of a task type are compared by."""
    return "r2" if task_type == "regression" else "roc_auc"


def greater_is_better(name: str) -> bool:
    """Whether more of a metric is better, such as `test/roc_auc`; of one not known here, it is.

    An end of an interval goes the metric's way; of a standard deviation, less is better.
    """
    value = next((name.removesuffix(end) for end in ENDS if name.endswith(end)), name)
    metric = METRICS.get(value.rpartition("/")[2])
    if name.endswith(SPREAD):
        return False
    return metric is None or metric.greater_is_better is not False
