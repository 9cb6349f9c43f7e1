"""List the experiments: question, owner, runs, best result, days left."""

import argparse
import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from runner.composition import choices, compose

if TYPE_CHECKING:
    from runner.record.recorded import RecordedRun


def experiments(arguments: list[str]) -> int:
    """Prints one row for each file in `conf/experiment/`, from the run folders on this machine."""
    parser = argparse.ArgumentParser(prog="python run.py experiments", description=__doc__)
    parser.parse_args(arguments)
    from rich.console import Console
    from rich.table import Table

    names = choices("experiment")
    if not names:
        print("none yet: python run.py new experiment NAME --question '…'")
        return 0
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("experiment", "question", "owner", "status", "days left", "runs", "last run",
                   "best", "on data"):  # fmt: skip
        table.add_column(column, overflow="fold")
    for name in names:
        config = compose(f"+experiment={name}")
        table.add_row(name, *_row(name, config))
    Console(highlight=False).print(table)
    return 0


def _row(name: str, config: DictConfig) -> list[str]:
    finished = [run for run in _runs(Path(config.outputs) / name) if run.status == "FINISHED"]
    scored = [run for run in finished if config.objective in run.metrics]
    last = max(finished, key=lambda run: run.started, default=None)
    best = max(scored, key=lambda run: run.metrics[config.objective], default=None)
    experiment = config.experiment
    return [
        experiment.question,
        experiment.owner,
        experiment.status,
        days_left(experiment.until),
        str(len(finished)),
        f"{last.started:%Y-%m-%d %H:%M}" if last else "-",
        f"{config.objective} {best.metrics[config.objective]:.4f}" if best else "-",
        str(best.provenance.get("dataset.fingerprint", "-"))[:8] if best else "-",
    ]


def days_left(until: str | None) -> str:
    """Days up to the last day set for an experiment; `overdue` behind it."""
    if until is None:
        return "-"
    days = (datetime.date.fromisoformat(until) - datetime.date.today()).days
    return str(days) if days >= 0 else f"overdue by {-days}"


def _runs(folder: Path) -> "list[RecordedRun]":
    from runner.record.recorded import load_run

    return [load_run(path.parent) for path in sorted(folder.rglob("journal.jsonl"))]
