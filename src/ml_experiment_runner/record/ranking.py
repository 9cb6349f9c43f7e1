"""Which of several recorded runs is the best."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ml_experiment_runner.config.metrics import RENAMED, greater_is_better, objective

if TYPE_CHECKING:
    from ml_experiment_runner.record.run_reader import RecordedRun


def best_run(runs: "Sequence[RecordedRun]", chosen: str | None = None) -> "RecordedRun | None":
    """The best finished run on the rows of the latest; debug runs have too few and are left out.

    Args:
        runs: Also those within others.
        chosen: The objective; None for that of the latest.
    """
    evaluated = [
        run
        for run in runs
        if run.status == "FINISHED" and "test/rows" in run.metrics and not is_debug(run)
    ]
    evaluated.sort(key=lambda run: run.started, reverse=True)
    if chosen is None:
        names = (chosen_objective(run) for run in evaluated)
        chosen = next((name for run, name in zip(evaluated, names, strict=True)
                       if objective(name, run.metrics) in run.metrics), None)  # fmt: skip
    scored = [run for run in evaluated if objective(chosen, run.metrics) in run.metrics]
    # results on other rows are not comparable
    comparable = [run for run in scored if evaluated_rows(run) == evaluated_rows(scored[0])]
    return max(reversed(comparable), key=lambda run: value(run, chosen), default=None)


def chosen_objective(run: "RecordedRun") -> str | None:
    """The objective that a run was configured with; None for what suits its label."""
    name = run.params.get("objective", "None")
    return None if name == "None" else RENAMED.get(name, name)


def value(run: "RecordedRun", chosen: str | None) -> float:
    """How good a run is: its objective, negated where lower is better."""
    metric = objective(chosen, run.metrics)
    return run.metrics[metric] * (1 if greater_is_better(metric) else -1)


def is_debug(run: "RecordedRun") -> bool:
    """Whether a run was evaluated on a few rows only, or on those that it was trained on."""
    rows, overfit = run.params.get("debug.rows", "None"), run.params.get("debug.overfit", "False")
    return rows != "None" or overfit == "True"


def evaluated_rows(run: "RecordedRun") -> str:
    """Names the rows that a run was evaluated on; only runs with equal rows can be ranked."""
    return str(run.provenance.get("dataset.judged") or f"of {run.id}")
