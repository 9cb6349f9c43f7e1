"""List the experiments: question, owner, runs, best result, days left."""

import argparse
import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from runner.composition import choices, compose
from runner.errors import UserError
from runner.metrics import greater_is_better, objective
from runner.terminal import show

if TYPE_CHECKING:
    from runner.record.recorded import RecordedRun


def experiments(arguments: list[str]) -> int:
    """Prints what is known of each experiment, its runs as far as they are on this machine.

    Returns:
        2 if an experiment cannot be composed; the others are listed all the same.
    """
    parser = argparse.ArgumentParser(prog="python run.py experiments", description=__doc__)
    parser.parse_args(arguments)
    names = choices("experiment")
    if not names:
        print("none yet: python run.py new experiment NAME --question '…'")
        return 0
    facts, problems = {}, []
    for name in names:
        try:
            config = compose(f"experiment={name}")
        except UserError as error:
            problems.append(f"conf/experiment/{name}.yaml: {' '.join(str(error).split())}")
        else:
            facts[name] = _facts(name, config)
    show(facts)
    for problem in problems:
        print(problem)
    return 2 if problems else 0


def _facts(name: str, config: DictConfig) -> dict[str, str]:
    finished = [run for run in _runs(Path(config.outputs) / name) if run.status == "FINISHED"]
    last = max(finished, key=lambda run: run.started, default=None)
    best = _best(finished, config.objective)
    experiment = config.experiment
    facts = {
        "question": experiment.question,
        "owner": experiment.owner,
        "status": experiment.status,
        "days left": days_left(experiment.until),
        "runs": str(len(finished)),
    }
    if last:
        facts["last run"] = f"{last.started:%Y-%m-%d %H:%M}  {last.id}"
    if best:
        metric = objective(config.objective, best.metrics)
        facts["best"] = f"{metric} {best.metrics[metric]:.4f}  {best.id}, on data {_data(best)}"
    return facts


def _best(finished: "list[RecordedRun]", chosen: str | None) -> "RecordedRun | None":
    """The best run on the data of the latest; a debug run is judged on too little to compare."""
    scored = [
        run
        for run in finished
        if objective(chosen, run.metrics) in run.metrics and not _is_debug(run)
    ]
    latest = max(scored, key=lambda run: run.started, default=None)
    # results on other rows are not comparable
    same = [run for run in scored if latest and _data(run) == _data(latest)]
    return max(same, key=lambda run: value(run, chosen), default=None)


def value(run: "RecordedRun", chosen: str | None) -> float:
    """How good a run is: its objective, turned round where lower is better."""
    metric = objective(chosen, run.metrics)
    return run.metrics[metric] * (1 if greater_is_better(metric) else -1)


def _is_debug(run: "RecordedRun") -> bool:
    rows, overfit = run.params.get("debug.rows", "None"), run.params.get("debug.overfit", "False")
    return rows != "None" or overfit == "True"


def _data(run: "RecordedRun") -> object:
    return run.provenance.get("dataset.fingerprint")


def days_left(until: str | None) -> str:
    """Days up to the last day set for an experiment; `overdue` behind it."""
    if until is None:
        return "-"
    days = (datetime.date.fromisoformat(until) - datetime.date.today()).days
    return str(days) if days >= 0 else f"overdue by {-days}"


def _runs(folder: Path) -> "list[RecordedRun]":
    from runner.record.recorded import load_run

    return [load_run(path.parent) for path in sorted(folder.rglob("journal.jsonl"))]
