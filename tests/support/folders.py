"""Writes the folders that runs leave behind, without running anything."""

import os
from pathlib import Path
from typing import Any

from ml_experiment_runner.record.journal import Journal
from ml_experiment_runner.record.process_identity import identity

NOBODY = {**identity(), "pid": 1, "started": "0"}
"""A process on this machine that is no more."""

PARAMS = {
    "experiment.question": "Will it be late?",
    "experiment.owner": "Ada",
    "objective": "validation/roc_auc",
    "threshold.policy": "f_beta",
    "threshold.beta": "1.0",
    "threshold.target": "None",
    "dataset.spine": "flights",
    "dataset.label": "late",
    "dataset.features": "['hour', 'carrier']",
    "rows.train": "800",
    "rows.validation": "100",
    "rows.test": "100",
    "rows.without_label": "7",
}
METRICS = {
    "test/roc_auc": 0.7,
    "test/roc_auc/low": 0.65,
    "test/roc_auc/high": 0.75,
    "test/roc_auc/baseline": 0.5,
    "test/base_rate": 0.2,
    "test/precision": 0.4,
    "test/recall": 0.5,
    "test/flagged": 0.25,
    "test/rows": 100,
    "threshold": 0.31,
    "seconds/fit": 2.5,
    "system/cpu_percent": 80,
}


def write_run(
    outputs: Path,
    place: str = "baseline/2026-11-01/10-00-00-aaaa1111",
    status: str | None = "FINISHED",
    writer: dict[str, Any] | None = None,
    params: dict[str, str] | None = None,
    metrics: dict[str, float] | None = None,
    read: dict[str, str] | None = None,
    **provenance: Any,
) -> Path:
    """A run's folder as the runner writes it; without a status it has not ended."""
    folder = outputs / place
    (folder / "artifacts").mkdir(parents=True)
    journal = Journal(folder / "journal.jsonl")
    experiment, *name = Path(place).parts
    journal.write(
        "start",
        id=folder.name[-8:],
        experiment=f"flights/{experiment}",
        name=" ".join(name),
        depth=len(name),
        parent=None,
        package="own",
        writer=writer or NOBODY,
    )
    journal.write("params", values=PARAMS | (params or {}))
    for key, value in provenance.items():
        journal.write("provenance", name=key, value=value)
    what = {"signal": "flights", "version": "1.0.0", "md5": "0123.dir", "context": "spine"}
    journal.write("dataset", **what | (read or {}), source="raw.csv", rows=1007,
                  schema={"hour": "integer"})  # fmt: skip
    for key, number in (METRICS if metrics is None else metrics).items():
        journal.metric(key, number, 0)
    if status:
        journal.write("end", status=status, error=None)
    journal.close()
    return folder


def make_old(folder: Path) -> None:
    """Sets a folder's times back by years."""
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (1.5e9, 1.5e9))
