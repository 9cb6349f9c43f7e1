"""What is pending for a store: a marker for each run, and why the sync fails."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock

from ml_experiment_runner.record.process_identity import is_at_work

URI_VARIABLE = "RUNNER_STORE_URI"
"""The variable that hands the store's address, which may hold a secret, to the sync worker."""

OTHER_WORKER = 3
"""Exit code of a sync worker that found another one at work."""

STORE = "store"
"""The key of the store as a whole, beside those of runs, in the status file."""

BLOCK = 4096  # bytes: less holds no file


def markers_locked(pending: Path) -> FileLock:
    """Held while a marker is written or removed: a run may be resumed just as it is closed."""
    return FileLock(pending / "markers.lock")


def is_working(marker: Path) -> bool:
    """Whether a run's process lives; on another machine, whether its journal still grows."""
    content = read_json(marker)
    if not content:
        return False
    return is_at_work(content["writer"], marker.parents[2] / content["folder"] / "journal.jsonl")


def failure_reason(pending: Path, run_ids: Iterable[str]) -> str | None:
    """Why the store does not answer, or one of these runs cannot be synced, at the moment."""
    failures = read_json(pending / "status.json")
    reason = next((failures[name] for name in (STORE, *run_ids) if name in failures), None)
    if reason is None and shutil.disk_usage(pending).free < BLOCK:
        return "the disk is full"  # and has no room for the worker to say so
    return reason


def read_json(path: Path) -> dict[str, Any]:
    """A small JSON file, empty if it is not there."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
