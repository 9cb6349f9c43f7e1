"""The quarantine: changed partitions of held deliveries, in `data/held/<hold>/`."""

import json
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from ml_experiment_runner.holds import holds
from ml_experiment_runner.holds.holds import Hold
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.snapshots import snapshot as snapshots
from ml_experiment_runner.signals.snapshots.writer import Delivery, write_rows

NOTE = "delivery.json"


def keep(hold: Hold, delivery: Delivery) -> None:
    """Writes a delivery's new and changed partitions, replacing those of an earlier delivery."""
    contract = delivery.contract
    folder = folder_of(contract.root, hold.id)
    draft = snapshots.home(contract.root) / ".index" / f"{contract.name}.held"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for name, part in delivery.changed(snapshots.recorded(contract)).items():
        write_rows(part, draft / f"{name}.parquet")
    note = {
        "version": contract.version,
        "promise": snapshots.schema_hash(contract),
        "contract": delivery.text,
        "received": delivery.fetched_rows,
        "contents": dict(delivery.contents),
        "rows": delivery.rows,
        "last_event": delivery.last_event.isoformat() if delivery.last_event else None,
        "announced": dict(delivery.declared_changes),
    }
    (draft / NOTE).write_text(json.dumps(note), encoding="utf-8")
    drop(contract.root, hold.id)
    folder.parent.mkdir(exist_ok=True)
    draft.replace(folder)


def read(contract: Contract, hold: Hold) -> Delivery | None:
    """The quarantined delivery; None if it is not here or no longer fits.

    It has to fit the contract and the last good snapshot that it was compared with.
    """
    folder = folder_of(contract.root, hold.id)
    recorded = snapshots.recorded(contract)
    try:
        note: Mapping[str, Any] = json.loads((folder / NOTE).read_bytes())
    except (OSError, ValueError):
        return None
    if snapshots.combined_hash(note["contents"]) != hold.delivery[-1]:
        return None  # the hold came with git, and is of another delivery than what is here
    if (note["version"], note["promise"]) != (contract.version, snapshots.schema_hash(contract)):
        return None
    if hold.last_good != (recorded.content if recorded else "none"):
        return None
    if recorded is not None and not snapshots.is_here(contract, recorded):
        return None
    last = note["last_event"]
    return Delivery(
        contract=contract,
        text=note["contract"],
        fetched_rows=note["received"],
        partitions={
            path.stem: pl.read_parquet(path, glob=False)
            for path in sorted(folder.glob("*.parquet"))
        },
        contents=note["contents"],
        rows=note["rows"],
        last_event=datetime.fromisoformat(last) if last else None,
        declared_changes=note["announced"],
    )


def drop(root: Path, hold: str) -> None:
    """Removes quarantined rows; if it is stopped half way, `read` finds nothing."""
    folder = folder_of(root, hold)
    (folder / NOTE).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def folder_of(root: Path, hold: str) -> Path:
    """The folder of a hold's rows."""
    return holds.rows_folder(root, hold)
