"""The slices of the test split on which the model is weakest."""

from typing import Any

from ml_experiment_runner.record.card.section import read_json
from ml_experiment_runner.record.run_reader import RecordedRun
from ml_experiment_runner.training.card.metrics import labelled

MOST = 12  # slices on the card; all are in slices.json


def weakest_slices(run: RecordedRun) -> dict[str, Any] | None:
    """The weakest slices, and how many were evaluated."""
    recorded = read_json(run, "slices.json")
    if recorded is None:
        return None
    return {
        "metric": labelled(recorded["metric"]).label,
        "whole": recorded["whole"],
        "count": len(recorded["slices"]),
        "weakest": recorded["slices"][:MOST],
    }
