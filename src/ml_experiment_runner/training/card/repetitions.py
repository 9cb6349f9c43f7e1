"""Means and standard deviations over the folds of a cross-validation and over seeds."""

from typing import Any

from ml_experiment_runner.record.run_reader import RecordedRun
from ml_experiment_runner.training.card.metrics import labelled

PREFIXES = ("cv", "seeds")


def repetitions(run: RecordedRun) -> dict[str, Any] | None:
    """A row for each metric that was measured on several fits."""
    rows = []
    for name, mean in run.metrics.items():
        prefix, _, metric = name.partition("/")
        if prefix in PREFIXES and f"{name}/sd" in run.metrics:
            split, _, bare = metric.rpartition("/")
            fits = f"{run.metrics[f'{name}/count']:.0f}"
            over = (
                f"{fits} fits, cross-validated"
                if prefix == "cv"
                else f"{fits} seeds, {split} split"
            )
            sd = run.metrics[f"{name}/sd"]
            rows.append({"label": labelled(bare).label, "over": over, "mean": mean, "sd": sd})
    return {"rows": rows} if rows else None
