"""Compare runs or experiments: is the difference real, and what differs?"""

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ml_experiment_runner.config.metrics import METRICS, Metric, greater_is_better, main_metric
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.project.text import duration, show_table
from ml_experiment_runner.record.find_run import NAMES_OF_RUNS, find_run
from ml_experiment_runner.record.ranking import best_run, is_debug, judged_on
from ml_experiment_runner.record.run_reader import RecordedRun, folders, read_run, runs_of
from ml_experiment_runner.training.evaluation.paired_bootstrap import Difference, paired_difference
from ml_experiment_runner.training.evaluation.predictions import Predictions, read_predictions

NOT_COMPARED = (
    *("experiment.", "fail_fast", "hydra.", "outputs", "package", "project", "rows.", "task."),
    "tracking.",
)
NOTHING = "-"


@dataclass
class Compared:
    """A run within its group.

    Attributes:
        run: The run.
        value: The metric.
        low: Lower end of its interval; None without one.
        high: Upper end.
        difference: The metric minus that of the best run, on the same rows; None for the best, and
            where there are no predictions to compare.
        verdict: What the difference says, in words.
        differs: Configuration and data, as (key, the best run's value, this run's).
    """

    run: RecordedRun
    value: float
    low: float | None
    high: float | None
    difference: Difference | None = None
    verdict: str = ""
    differs: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass
class Group:
    """Runs that were judged on the same rows, the best first.

    Attributes:
        judged: Names the rows that they were judged on.
        members: The runs.
        data: What differs from the first group's data, as (key, there, here).
    """

    judged: str
    members: list[Compared]
    data: list[tuple[str, str, str]] = field(default_factory=list)


def compare(arguments: list[str]) -> int:
    """Prints a table for each dataset, the best run first, and writes a page."""
    parser = argparse.ArgumentParser(prog="python run.py compare", description=__doc__)
    parser.add_argument(
        "what", nargs="*",
        help=f"{NAMES_OF_RUNS}; a run that has runs within it stands for those; nothing: the best "
        "run of every experiment",
    )  # fmt: skip
    parser.add_argument("--metric", help="such as log_loss; default: ROC AUC, of a number R²")
    parser.add_argument("--output", type=Path, help="where the page is written")
    given = parser.parse_args(arguments)
    runs = _chosen(given.what)
    groups = _grouped(runs, given.metric)
    for group in groups:
        _print(group, given.metric, len(groups) > 1)
    if len(groups) > 1:
        print("Runs that were judged on other rows are not ranked together.")
    stamp = f"{datetime.now():%Y-%m-%d-%H-%M-%S}"
    page = given.output or root() / "outputs" / "comparisons" / f"{stamp}.html"
    _write(page, groups, given.metric)
    print(f"page  {page.relative_to(root()) if page.is_relative_to(root()) else page}")
    return 0


def _chosen(what: Sequence[str]) -> list[RecordedRun]:
    outputs = root() / "outputs"
    if not what:
        found = [best_run(runs_of(outputs / folder.name)) for folder in sorted(outputs.glob("*/"))]
        runs = [run for run in found if run is not None]
        if not runs:
            raise UserError("there is no finished run yet that was judged on a whole test split; "
                            "python run.py +experiment=<name> makes one")  # fmt: skip
        return runs
    runs = []
    for word in what:
        runs += _with_children(find_run(outputs, word), outputs)
    return list({run.id: run for run in runs}.values())


def _with_children(folder: Path, outputs: Path) -> list[RecordedRun]:
    run = read_run(folder)
    judged = [name for name in run.metrics if name.startswith("test/")]
    if judged:
        return [run]
    children = [read_run(each) for each in folders(outputs) if each.is_relative_to(folder)]
    children = [each for each in children if each.parent == run.id and _is_judged(each)]
    if not children:
        raise UserError(f"{run.id}: this run ({run.status}) has no metrics of a test split")
    return children


def _is_judged(run: RecordedRun) -> bool:
    return any(name.startswith("test/") for name in run.metrics)


def _grouped(runs: Iterable[RecordedRun], metric: str | None) -> list[Group]:
    """Groups by the rows that were judged, those of more runs first."""
    found: dict[str, list[RecordedRun]] = {}
    for run in runs:
        if not _is_judged(run):
            raise UserError(f"{run.id}: this run ({run.status}) has no metrics of a test split")
        found.setdefault(judged_on(run), []).append(run)
    groups = [
        Group(judged, _ranked(group, metric))
        for judged, group in sorted(found.items(), key=lambda each: -len(each[1]))
    ]
    for group in groups[1:]:
        group.data = _differences(groups[0].members[0].run, group.members[0].run)
    return groups


def _ranked(runs: Sequence[RecordedRun], asked: str | None) -> list[Compared]:
    name = f"test/{metric_of(runs, asked)}"
    for run in runs:
        if name not in run.metrics:
            known = sorted(each.removeprefix("test/") for each in run.metrics
                           if each.startswith("test/") and each.count("/") == 1)  # fmt: skip
            raise UserError(f"--metric {name[5:]}: run {run.id} has none; "
                            f"it has {', '.join(known)}")  # fmt: skip
    sign = 1 if greater_is_better(name) else -1
    members = [
        Compared(run, run.metrics[name], run.metrics.get(f"{name}/low"),
                 run.metrics.get(f"{name}/high"))
        for run in runs
    ]  # fmt: skip
    members.sort(key=lambda each: -sign * each.value)
    best = members[0]
    best.verdict = "best" if len(members) > 1 else ""
    reference = read_predictions(best.run.folder)
    for member in members[1:]:
        member.differs = _differences(best.run, member.run)
        member.difference = _paired(reference, read_predictions(member.run.folder), name)
        member.verdict = _verdict(member.difference, is_debug(member.run))
    return members


def _paired(best: Predictions | None, other: Predictions | None, name: str) -> Difference | None:
    if best is None or other is None or not np.array_equal(best.label, other.label):
        return None
    try:
        return paired_difference(
            best.task_type, best.label, best.prediction, other.prediction,
            name.removeprefix("test/"), classes=best.classes,
        )  # fmt: skip
    except KeyError:  # a metric that needs a threshold
        return None


def _verdict(difference: Difference | None, debug: bool) -> str:
    if debug:
        return "debug run, not comparable"
    if difference is None:
        return "no predictions to pair"
    return "worse" if difference.is_real else "no significant difference"


def metric_of(runs: Sequence[RecordedRun], asked: str | None) -> str:
    """The metric, without its part, that runs are ranked by."""
    if asked is not None:
        return asked.removeprefix("test/")
    is_number = any("test/r2" in run.metrics for run in runs)
    return main_metric("regression" if is_number else "binary")


def _differences(first: RecordedRun, other: RecordedRun) -> list[tuple[str, str, str]]:
    """Keys of the configuration that differ, and signals whose rows do.

    Of another model class its parameters are not told one by one, of features those that came and
    went.
    """
    found = []
    classes = [run.params.get("model._target_") for run in (first, other)]
    for key in sorted(first.settings.keys() | other.settings.keys()):
        was, now = first.settings.get(key, NOTHING), other.settings.get(key, NOTHING)
        if was == now or key.startswith(NOT_COMPARED):
            continue
        if key == "dataset.features":
            was, now = _gone(was, now), _gone(now, was)
        if key.startswith("model.") and classes[0] != classes[1]:
            continue
        found.append((key, was, now))
    if classes[0] != classes[1]:
        found.append(("model", model_of(first), model_of(other)))
    was_read, is_read = (
        {one["signal"]: f"{one['version']}, {one['md5'][:8]}" for one in run.datasets}
        for run in (first, other)
    )
    found += [
        (f"signal {name}", was_read.get(name, NOTHING), is_read.get(name, NOTHING))
        for name in sorted(was_read.keys() | is_read.keys())
        if was_read.get(name) != is_read.get(name)
    ]
    return found


def _gone(features: str, others: str) -> str:
    """Features of the one list that are not in the other."""
    left, right = (text.strip("[]").replace("'", "").split(", ") for text in (features, others))
    return ", ".join(name for name in left if name not in right) or NOTHING


def _print(group: Group, asked: str | None, several: bool) -> None:
    metric = metric_of([member.run for member in group.members], asked)
    print(
        f"judged on {group.judged}" + (f": {_words(group.data) or 'the first'}" if several else "")
    )
    show_table(
        ("run", "verdict", metric, "minus the best", "experiment", "model", "fit", "whole run"),
        [
            (
                member.run.id, member.verdict, shown(member.value, member.low, member.high),
                "" if member.difference is None else shown(*member.difference, sign="+"),
                member.run.experiment, model_of(member.run),
                _time(member.run.metrics.get("seconds/fit")),
                _time(member.run.seconds),
            )
            for member in group.members
        ],
    )  # fmt: skip
    for member in group.members[1:]:
        print(f"{member.run.id}: {_words(member.differs) or 'the same configuration'}")
    print()


def _words(differs: Sequence[tuple[str, str, str]]) -> str:
    return ", ".join(f"{key} {was} → {now}" for key, was, now in differs)


def model_of(run: RecordedRun) -> str:
    """The class of a run's model."""
    return run.params.get("model._target_", NOTHING).rpartition(".")[2]


def shown(value: float, low: float | None = None, high: float | None = None, sign: str = "") -> str:
    """A number with its interval, if it has one."""
    return f"{value:{sign},.4f}  {interval(low, high, sign)}".rstrip()


def interval(low: float | None, high: float | None, sign: str = "") -> str:
    """An interval in brackets; nothing if there is none."""
    if low is None or high is None or np.isnan(low):
        return ""
    return f"[{low:{sign},.4f}, {high:{sign},.4f}]"


def _time(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds)


def _write(page: Path, groups: Sequence[Group], asked: str | None) -> None:
    """The same as a page, with a line for each interval; nothing is fetched."""
    from ml_experiment_runner.record.card.page import environment

    template = environment(Path(__file__).parent).get_template("compare.html")
    text = template.render(
        groups=[_drawn(group, asked) for group in groups],
        model_of=model_of,
        shown=shown,
        interval=interval,
        time=_time,
        project=root().name,
    )
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")


def _drawn(group: Group, asked: str | None) -> dict[str, Any]:
    """A group, and where its runs lie on a line from the lowest to the highest interval's end."""
    from ml_experiment_runner.record.card.page import Mark

    name = metric_of([member.run for member in group.members], asked)
    places = [
        place
        for member in group.members
        for place in (member.value, member.low, member.high)
        if place is not None and np.isfinite(place)
    ]
    low, high = min(places, default=0.0), max(places, default=1.0)

    def share(value: float | None) -> float | None:
        if value is None or not np.isfinite(value):
            return None
        return (value - low) / ((high - low) or 1.0)

    members = []
    for member in group.members:
        ends = share(member.low), share(member.high)
        mark = Mark(
            "worse" if member.verdict == "worse" else "test", share(member.value) or 0.0, *ends
        )
        members.append((member, mark))
    return {
        "group": group,
        "members": members,
        "metric": METRICS.get(name, Metric(name, "")),
        "data": _words(group.data),
        "low": low,
        "high": high,
        "reference": share(group.members[0].value),
    }
