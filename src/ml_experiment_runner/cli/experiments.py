"""List the experiments: question, owner, runs, best result, days left."""

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
from ml_experiment_runner.record.ranking import best_run, chosen_objective, judged_on
from ml_experiment_runner.record.run_reader import RecordedRun, runs_of


def experiments(arguments: list[str]) -> int:
    """Prints what is known of each experiment, its runs as far as they are on this machine.

    Returns:
        2 if an experiment cannot be composed; the others are listed all the same.
    """
    parser = argparse.ArgumentParser(prog="python run.py experiments", description=__doc__)
    parser.add_argument("--active", action="store_true", help="only those that are not closed")
    given = parser.parse_args(arguments)
    names = options("experiment")
    if not names:
        print("none yet: python run.py new experiment NAME --question '…'")
        return 0
    facts, problems, late = {}, [], []
    for name in names:
        try:
            config = compose(f"experiment={name}")
        except UserError as error:
            problems.append(f"conf/experiment/{name}.yaml: {' '.join(str(error).split())}")
            continue
        if given.active and config.experiment.status != "active":
            continue
        facts[name] = _facts(name, config)
        late += overdue(name, config)
    show(facts)
    for problem in problems:
        print(problem)
    for finding in late:
        print(f"overdue: {finding.message}")
    return 2 if problems else 0


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
    facts["runs"] = _time(runs, finished, experiment.budget_days)
    if last:
        facts["last run"] = f"{last.started:%Y-%m-%d %H:%M}  {last.id}"
    if best:
        metric = objective(config.objective or chosen_objective(best), best.metrics)
        low, high = (best.metrics.get(f"{metric}/{end}") for end in ("low", "high"))
        interval = "" if low is None or high is None else f" [{low:,.4f}, {high:,.4f}]"
        facts["best"] = f"{metric} {best.metrics[metric]:,.4f}{interval}  {best.id}"
        facts["on data"] = f"{judged_on(best)}, {', '.join(_snapshots(best))}"
    return facts


def _time(
    runs: Sequence[RecordedRun], finished: Sequence[RecordedRun], budget: float | None
) -> str:
    told = str(len(finished))
    if len(runs) > len(finished):
        told += f", and {len(runs) - len(finished)} that did not finish"
    # a run within another one takes place in its time
    taken = sum(run.seconds for run in runs if run.parent is None)
    if runs:
        told += f"; {duration(taken)} of computing"
    return told + (f"; {budget:g} working days set aside" if budget else "")


def _snapshots(run: RecordedRun) -> list[str]:
    return [f"{one['signal']} {one['version']}" for one in run.datasets]
