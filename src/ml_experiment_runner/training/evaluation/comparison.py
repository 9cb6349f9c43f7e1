"""Compares recorded runs: ranks those evaluated on the same rows, and says what differs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ml_experiment_runner.config.metrics import greater_is_better, main_metric
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record.config_diff import ChangedKey
from ml_experiment_runner.record.ranking import evaluated_rows, is_debug
from ml_experiment_runner.record.run_diff import changed_settings
from ml_experiment_runner.record.run_reader import RecordedRun
from ml_experiment_runner.training.evaluation.paired_bootstrap import Difference, paired_difference
from ml_experiment_runner.training.evaluation.predictions import Predictions, read_predictions


@dataclass
class ComparedRun:
    """A run within its group.

    Attributes:
        run: The run.
        value: The metric.
        low: Lower end of its interval; None without one.
        high: Upper end.
        verdict: What the difference means, in a few words.
        difference: The metric minus that of the best run, on the same rows; None for the best, and
            where there are no predictions to compare.
        changes: Configuration and data that differ from the best run's.
    """

    run: RecordedRun
    value: float
    low: float | None
    high: float | None
    verdict: str = ""
    difference: Difference | None = None
    changes: list[ChangedKey] = field(default_factory=list)


@dataclass
class Group:
    """Runs that were evaluated on the same rows, the best first.

    Attributes:
        rows: Names the rows.
        metric: What they are ranked by, without its split.
        members: The runs.
        changes: Configuration and data that differ from the first group's.
    """

    rows: str
    metric: str
    members: list[ComparedRun]
    changes: list[ChangedKey] = field(default_factory=list)


def is_evaluated(run: RecordedRun) -> bool:
    """Whether a run has metrics of a test split."""
    return any(name.startswith("test/") for name in run.metrics)


def compare_runs(runs: Iterable[RecordedRun], metric: str | None = None) -> list[Group]:
    """Groups runs by the rows that they were evaluated on, the largest group first.

    Args:
        runs: Recorded runs.
        metric: What they are ranked by; None for the main metric of their task type.

    Raises:
        UserError: A run has no metrics of a test split, or not this one.
    """
    by_rows: dict[str, list[RecordedRun]] = {}
    for run in runs:
        if not is_evaluated(run):
            raise UserError(f"{run.id}: this run ({run.status}) has no metrics of a test split")
        by_rows.setdefault(evaluated_rows(run), []).append(run)
    groups = []
    for rows, members in sorted(by_rows.items(), key=lambda item: -len(item[1])):
        name = metric.removeprefix("test/") if metric else _main_metric(members)
        groups.append(Group(rows, name, _ranked(members, name)))
    for group in groups[1:]:
        group.changes = changed_settings(groups[0].members[0].run, group.members[0].run)
    return groups


def _main_metric(runs: Sequence[RecordedRun]) -> str:
    is_regression = any("test/r2" in run.metrics for run in runs)
    return main_metric("regression" if is_regression else "binary")


def _ranked(runs: Sequence[RecordedRun], metric: str) -> list[ComparedRun]:
    members = [_member(run, metric) for run in runs]
    members.sort(key=lambda member: member.value, reverse=greater_is_better(metric))
    best = members[0]
    best.verdict = "best" if len(members) > 1 else ""
    reference = read_predictions(best.run.folder)
    for member in members[1:]:
        member.changes = changed_settings(best.run, member.run)
        member.difference = _paired(reference, read_predictions(member.run.folder), metric)
        member.verdict = _verdict(member.difference, is_debug(member.run))
    return members


def _member(run: RecordedRun, metric: str) -> ComparedRun:
    name, metrics = f"test/{metric}", run.metrics
    if name not in metrics:
        known = sorted(known.removeprefix("test/") for known in metrics
                       if known.startswith("test/") and known.count("/") == 1)  # fmt: skip
        raise UserError(f"--metric {metric}: run {run.id} has none; it has {', '.join(known)}")
    return ComparedRun(run, metrics[name], metrics.get(f"{name}/low"), metrics.get(f"{name}/high"))


def _paired(best: Predictions | None, other: Predictions | None, metric: str) -> Difference | None:
    if best is None or other is None or not np.array_equal(best.label, other.label):
        return None
    try:
        return paired_difference(best.task_type, best.label, best.prediction, other.prediction,
                                 metric, classes=best.classes)  # fmt: skip
    except KeyError:  # a metric that needs a threshold
        return None


def _verdict(difference: Difference | None, debug: bool) -> str:
    if debug:
        return "debug run, not comparable"
    if difference is None:
        return "no predictions to pair"
    return "worse" if difference.is_real else "no significant difference"
