"""Compare runs or experiments: is the difference real, and what differs?"""

import argparse
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from ml_experiment_runner.config.metrics import METRICS, Metric, interval, with_interval
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.project.text import duration, show_table
from ml_experiment_runner.record.find_run import NAMES_OF_RUNS, find_run
from ml_experiment_runner.record.ranking import best_run
from ml_experiment_runner.record.run_diff import model_of
from ml_experiment_runner.record.run_reader import RecordedRun, folders, read_run, runs_of
from ml_experiment_runner.training.evaluation.comparison import Group, compare_runs, is_evaluated


def compare(arguments: list[str]) -> int:
    """Prints a table for each dataset, the best run first, and writes a page."""
    parser = argparse.ArgumentParser(prog="python run.py compare", description=__doc__)
    parser.add_argument(
        "runs", nargs="*",
        help=f"{NAMES_OF_RUNS}; a run that has runs within it stands for those; nothing: the best "
        "run of every experiment",
    )  # fmt: skip
    parser.add_argument("--metric", help="such as log_loss; default: ROC AUC, for regression R²")
    parser.add_argument("--output", type=Path, help="where the page is written")
    options = parser.parse_args(arguments)
    outputs = root() / "outputs"
    runs = _named(options.runs, outputs) if options.runs else _best_of_each_experiment(outputs)
    groups = compare_runs(runs, options.metric)
    for group in groups:
        _print(group, len(groups) > 1)
    if len(groups) > 1:
        print("Runs that were evaluated on different rows are not ranked together.")
    stamp = f"{datetime.now():%Y-%m-%d-%H-%M-%S}"
    page = options.output or outputs / "comparisons" / f"{stamp}.html"
    _write(page, groups)
    print(f"page  {page.relative_to(root()) if page.is_relative_to(root()) else page}")
    return 0


def _best_of_each_experiment(outputs: Path) -> list[RecordedRun]:
    best = [best_run(runs_of(folder)) for folder in sorted(outputs.glob("*/"))]
    runs = [run for run in best if run is not None]
    if not runs:
        raise UserError("no finished run was evaluated on a whole test split yet; "
                        "python run.py +experiment=<name> makes one")  # fmt: skip
    return runs


def _named(names: Sequence[str], outputs: Path) -> list[RecordedRun]:
    runs = [run for name in names for run in _with_children(find_run(outputs, name), outputs)]
    return list({run.id: run for run in runs}.values())


def _with_children(folder: Path, outputs: Path) -> list[RecordedRun]:
    """A run, or the evaluated runs within it where it has no test metrics, as a sweep."""
    run = read_run(folder)
    if is_evaluated(run):
        return [run]
    inner = [read_run(path) for path in folders(outputs) if path.is_relative_to(folder)]
    return [child for child in inner if child.parent == run.id and is_evaluated(child)] or [run]


def _print(group: Group, is_one_of_several: bool) -> None:
    differs = f": {_listed(group.changes) or 'the first'}" if is_one_of_several else ""
    print(f"evaluated on {group.rows}{differs}")
    show_table(
        ("run", "verdict", group.metric, "minus the best", "experiment", "model", "fit",
         "whole run"),
        [
            (
                member.run.id, member.verdict,
                with_interval(member.value, member.low, member.high),
                "" if member.difference is None else with_interval(*member.difference, sign="+"),
                member.run.experiment, model_of(member.run) or "-",
                _time(member.run.metrics.get("seconds/fit")),
                _time(member.run.seconds),
            )
            for member in group.members
        ],
    )  # fmt: skip
    for member in group.members[1:]:
        print(f"{member.run.id}: {_listed(member.changes) or 'the same configuration'}")
    print()


def _listed(changes: Sequence[object]) -> str:
    return ", ".join(map(str, changes))


def _time(seconds: float | None) -> str:
    return "" if seconds is None else duration(seconds)


def _write(page: Path, groups: Sequence[Group]) -> None:
    """The same as a page, with a line for each interval; nothing is fetched."""
    from ml_experiment_runner.record.card.page import environment

    template = environment(Path(__file__).parent).get_template("compare.html")
    text = template.render(
        groups=[(group, _scale(group)) for group in groups],
        metrics={group.metric: METRICS.get(group.metric, Metric(group.metric, ""))
                 for group in groups},
        model_of=model_of, with_interval=with_interval, interval=interval, time=_time,
        listed=_listed, project=root().name,
    )  # fmt: skip
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")


def _scale(group: Group) -> dict[str, Any]:
    """Where runs and intervals lie on a line from the lowest to the highest end of an interval."""
    from ml_experiment_runner.record.card.page import Mark

    ends = [end for member in group.members for end in (member.value, member.low, member.high)
            if end is not None and np.isfinite(end)]  # fmt: skip
    low, high = min(ends, default=0.0), max(ends, default=1.0)

    def share(value: float | None) -> float | None:
        if value is None or not np.isfinite(value):
            return None
        return (value - low) / ((high - low) or 1.0)

    marks = [
        Mark("worse" if member.verdict == "worse" else "test", share(member.value) or 0.0,
             share(member.low), share(member.high))
        for member in group.members
    ]  # fmt: skip
    return {"low": low, "high": high, "marks": marks, "best": share(group.members[0].value)}
