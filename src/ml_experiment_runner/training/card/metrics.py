"""The metrics of the evaluated splits, with their intervals and the baseline's values."""

import math
from typing import Any

from ml_experiment_runner.config.metrics import METRICS, Metric
from ml_experiment_runner.record.card.page import BESIDE_A_VALUE, Mark, words
from ml_experiment_runner.record.run_reader import RecordedRun

EVALUATED_SPLITS = ("validation", "test")


def metrics_by_split(run: RecordedRun) -> dict[str, Any] | None:
    """A row for each metric; drawn on a line if all of its values are between 0 and 1."""
    recorded = [name.partition("/") for name in run.metrics if not name.endswith(BESIDE_A_VALUE)]
    names = [name for split, _, name in recorded if split in EVALUATED_SPLITS and name != "rows"]
    measured = {name.partition("/")[0] for name in run.metrics}
    splits = [split for split in EVALUATED_SPLITS if split in measured]
    rows = []
    for name in sorted(dict.fromkeys(names), key=_position):
        marks = {split: mark for split in splits if (mark := mark_of(run, split, name))}
        metric = labelled(name)
        is_drawn = all(0 <= mark.value <= 1 for mark in marks.values())
        rows.append(
            {"label": metric.label, "hint": metric.hint, "marks": marks, "is_drawn": is_drawn}
        )
    return {"splits": splits, "rows": rows} if rows else None


def mark_of(run: RecordedRun, split: str, name: str) -> Mark | None:
    """A metric of one split; None if it was not measured."""
    key = f"{split}/{name}"
    value = run.metrics.get(key)
    if value is None:
        return None
    low, high = (run.metrics.get(f"{key}/{end}", math.nan) for end in ("low", "high"))
    baseline = run.metrics.get(f"{key}/baseline")
    if math.isnan(low + high):
        return Mark(split, value, None, None, baseline)
    return Mark(split, value, low, high, baseline)


def labelled(name: str) -> Metric:
    """A metric's label and hint; an unknown metric has its name as label."""
    return METRICS.get(name, Metric(words(name), ""))


def _position(name: str) -> int:
    """Known metrics first, in the order of `METRICS`."""
    return list(METRICS).index(name) if name in METRICS else len(METRICS)
