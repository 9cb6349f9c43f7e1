"""List the experiments: question, owner, runs, best result, days left."""

import argparse
import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from runner.composition import choices, compose
from runner.terminal import show

if TYPE_CHECKING:
    from runner.record.recorded import RecordedRun


def experiments(arguments: list[str]) -> int:
    """Prints what is known of each experiment, its runs as far as they are on this machine."""
    parser = argparse.ArgumentParser(prog="python run.py experiments", description=__doc__)
    parser.parse_args(arguments)
    names = choices("experiment")
    if not names:
        print("none yet: python run.py new experiment NAME --question '…'")
        return 0
    show({name: _facts(name, compose(f"experiment={name}")) for name in names})
    return 0


def _facts(name: str, config: DictConfig) -> dict[str, str]:
    finished = [run for run in _runs(Path(config.outputs) / name) if run.status == "FINISHED"]
    scored = [run for run in finished if config.objective in run.metrics]
    last = max(finished, key=lambda run: run.started, default=None)
    best = max(scored, key=lambda run: run.metrics[config.objective], default=None)
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
        value, data = best.metrics[config.objective], best.provenance.get("dataset.fingerprint")
        facts["best"] = f"{config.objective} {value:.4f}  {best.id}, on data {data}"
    return facts


def days_left(until: str | None) -> str:
    """Days up to the last day set for an experiment; `overdue` behind it."""
    if until is None:
        return "-"
    days = (datetime.date.fromisoformat(until) - datetime.date.today()).days
    return str(days) if days >= 0 else f"overdue by {-days}"


def _runs(folder: Path) -> "list[RecordedRun]":
    from runner.record.recorded import load_run

    return [load_run(path.parent) for path in sorted(folder.rglob("journal.jsonl"))]
