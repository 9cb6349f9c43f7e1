"""Which of several recorded runs is the best."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ml_experiment_runner.config.metrics import RENAMED, greater_is_better, objective

if TYPE_CHECKING:
    from ml_experiment_runner.record.run_reader import RecordedRun


def best_run(runs: "Sequence[RecordedRun]", chosen: str | None = None) -> "RecordedRun | None":
    """The best finished run on the rows of the latest; a debug run is judged on too few.

    Args:
        runs: Also those within others.
        chosen: The objective; None for that of the latest.
    """
    judged = [
        run
        for run in runs
        if run.status == "FINISHED" and "test/rows" in run.metrics and not is_debug(run)
    ]
    judged.sort(key=lambda run: run.started, reverse=True)
    if chosen is None:
        names = (chosen_objective(run) for run in judged)
        own = zip(judged, names, strict=True)
        chosen = next((name for run, name in own if objective(name, run.metrics) in run.metrics),
                      None)  # fmt: skip
    scored = [run for run in judged if objective(chosen, run.metrics) in run.metrics]
    # results on other rows are not comparable
    same = [run for run in scored if judged_on(run) == judged_on(scored[0])]
    return max(reversed(same), key=lambda run: value(run, chosen), default=None)


def chosen_objective(run: "RecordedRun") -> str | None:
    """The objective that a run was configured with; None for what suits its label."""
    name = run.params.get("objective", "None")
    return None if name == "None" else RENAMED.get(name, name)


def value(run: "RecordedRun", chosen: str | None) -> float:
    """How good a run is: its objective, turned round where lower is better."""
    metric = objective(chosen, run.metrics)
    return run.metrics[metric] * (1 if greater_is_better(metric) else -1)


def is_debug(run: "RecordedRun") -> bool:
    """Whether a run was judged on a slice, or on what it had learned."""
    rows, overfit = run.params.get("debug.rows", "None"), run.params.get("debug.overfit", "False")
    return rows != "None" or overfit == "True"


def judged_on(run: "RecordedRun") -> str:
    """Names the rows that a run was judged on; only runs on the same can be ranked."""
    told = run.provenance
    return str(told.get("dataset.judged") or told.get("dataset.fingerprint") or f"of {run.id}")
