"""List experiments with question, owner, runs, best result and days left."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from ml_experiment_runner.config.composition import compose
from ml_experiment_runner.config.metrics import objective
from ml_experiment_runner.config.options import options
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.text import duration, show
from ml_experiment_runner.record.experiment_time import days_left, overdue
from ml_experiment_runner.record.ranking import best_run, chosen_objective, evaluated_rows
from ml_experiment_runner.record.run_reader import RecordedRun, runs_of


def experiments(arguments: list[str]) -> int:
    """Prints each experiment with its runs on this machine.

    Returns:
        2 if an experiment cannot be composed; the others are listed all the same.
    """
    parser = argparse.ArgumentParser(prog="python run.py experiments", description=__doc__)
    parser.add_argument("--active", action="store_true", help="only those that are not closed")
    only_active = parser.parse_args(arguments).active
    names = options("experiment")
    if not names:
        print("none yet: python run.py new experiment NAME --question '…'")
        return 0
    facts, errors, findings = {}, [], []
    for name in names:
        try:
            config = compose(f"experiment={name}")
        except UserError as error:
            errors.append(f"conf/experiment/{name}.yaml: {' '.join(str(error).split())}")
            continue
        if only_active and config.experiment.status != "active":
            continue
        facts[name] = _facts(name, config)
        findings += overdue(name, config)
    show(facts)
    for message in errors:
        print(message)
    for finding in findings:
        print(f"overdue: {finding.message}")
    return 2 if errors else 0


def _facts(name: str, config: DictConfig) -> dict[str, str]:
    runs = runs_of(Path(config.outputs) / name)
    finished = [run for run in runs if run.status == "FINISHED"]
    last = max(finished, key=lambda run: run.started, default=None)
    best = best_run(runs, config.objective)
    experiment = config.experiment
    facts = {"question": experiment.question, "owner": experiment.owner}
    facts["status"] = experiment.status
    if experiment.get("conclusion"):
        facts["conclusion"] = experiment.conclusion
    if experiment.status == "active":
        facts["days left"] = days_left(experiment.until)
    facts["runs"] = _number_and_time(runs, len(finished), experiment.budget_days)
    if last:
        facts["last run"] = f"{last.started:%Y-%m-%d %H:%M}  {last.id}"
    if best:
        facts["best"] = _result(best, config.objective)
        versions = [f"{dataset['signal']} {dataset['version']}" for dataset in best.datasets]
        facts["data"] = f"{evaluated_rows(best)}, {', '.join(versions)}"
    return facts


def _number_and_time(runs: Sequence[RecordedRun], finished: int, budget: float | None) -> str:
    text = f"{finished} finished"
    if len(runs) > finished:
        text += f", {len(runs) - finished} unfinished"
    if runs:
        # the time of a run includes that of the runs within it
        text += f"; {duration(sum(run.seconds for run in runs if run.parent is None))} of computing"
    return text + (f"; budget {budget:g} working days" if budget else "")


def _result(run: RecordedRun, objective_key: str | None) -> str:
    metric = objective(objective_key or chosen_objective(run), run.metrics)
    low, high = (run.metrics.get(f"{metric}/{end}") for end in ("low", "high"))
    interval = "" if low is None or high is None else f" [{low:,.4f}, {high:,.4f}]"
    return f"{metric} {run.metrics[metric]:,.4f}{interval}  {run.id}"
