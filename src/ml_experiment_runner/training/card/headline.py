"""The headline: the objective on the last evaluated split, compared with the baseline."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ml_experiment_runner.config.metrics import greater_is_better, objective
from ml_experiment_runner.record.card.page import Mark
from ml_experiment_runner.record.run_reader import RecordedRun
from ml_experiment_runner.training.card.metrics import EVALUATED_SPLITS, labelled, mark_of


class Scale(NamedTuple):
    """A line from the baseline to the perfect value 1.

    Attributes:
        start: The value at its left end; 0 where the metric is below the baseline.
        mark: Where the metric is on the line, 0 at the left end and 1 at the right end.
    """

    start: float
    mark: Mark


def headline(run: RecordedRun) -> dict[str, Any] | None:
    """The objective's value and interval, and how it compares with the baseline."""
    name = _objective(run)
    for split in reversed(EVALUATED_SPLITS):
        if (mark := mark_of(run, split, name)) is not None:
            return {
                "label": labelled(name).label,
                "split": split,
                "metric": mark,
                "conclusion": _conclusion(name, mark),
                "scale": _scale(name, mark),
                "base_rate": run.metrics.get(f"{split}/base_rate"),
                "at_threshold": _at_threshold(run.metrics, split),
            }
    return None


def _objective(run: RecordedRun) -> str:
    """The objective without its split."""
    configured = run.params.get("objective", "None")
    chosen = None if configured == "None" else configured
    return objective(chosen, run.metrics).rpartition("/")[2]


def _conclusion(name: str, metric: Mark) -> str | None:
    """How the interval compares with the baseline; None without interval or baseline."""
    if metric.baseline is None or metric.low is None or metric.high is None:
        return None
    is_above, is_below = metric.low > metric.baseline, metric.high < metric.baseline
    if is_above if greater_is_better(name) else is_below:
        return "Clearly better than the baseline"
    if is_below if greater_is_better(name) else is_above:
        return "Worse than the baseline"
    return "No significant difference from the baseline"


def _scale(name: str, metric: Mark) -> Scale | None:
    """The metric between the baseline and 1; None if 1 is not its best value."""
    if metric.baseline is None or not greater_is_better(name) or not 0 <= metric.value <= 1:
        return None
    baseline = max(metric.baseline, 0.0)
    start = baseline if baseline <= metric.value and baseline < 1 else 0.0

    def position(value: float) -> float:
        return (max(value, start) - start) / (1 - start)

    low, high = (None if end is None else position(end) for end in (metric.low, metric.high))
    return Scale(start, Mark("test", position(metric.value), low, high))


def _at_threshold(metrics: Mapping[str, float], split: str) -> dict[str, float] | None:
    """What the model flags at its threshold; None without a threshold or one of the metrics."""
    keys = {name: f"{split}/{name}" for name in ("flagged", "precision", "recall")}
    keys["threshold"] = "threshold"
    if not all(key in metrics for key in keys.values()):
        return None
    return {name: metrics[key] for name, key in keys.items()}
