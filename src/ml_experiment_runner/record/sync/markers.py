"""What is pending for a store: a marker for each run, and why something does not arrive."""

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from filelock import FileLock

from ml_experiment_runner.record.process_identity import is_at_work

URI_VARIABLE = "RUNNER_STORE_URI"
"""The store's address reaches the delivery process here and nowhere else: it may hold a secret."""


SERVED_ELSEWHERE = 3
"""Exit code of a delivery process that found another one at work."""


STORE = "store"
"""The name, among those of runs in the status file, of the store as a whole."""

BLOCK = 4096  # bytes: less holds no file


def markers_locked(pending: Path) -> FileLock:
    """Held while a marker is written or taken away: a run may go on just as it is closed."""
    return FileLock(pending / "markers.lock")


def is_working(marker: Path) -> bool:
    """Whether a run's process lives; on another machine, whether its journal still grows."""
    content = read_json(marker)
    if not content:
        return False
    return is_at_work(content["writer"], marker.parents[2] / content["folder"] / "journal.jsonl")


def trouble(pending: Path, run_ids: Iterable[str]) -> str | None:
    """Why the store, or one of these runs, cannot be delivered at the moment."""
    troubles = read_json(pending / "status.json")
    reason = next((troubles[name] for name in (STORE, *run_ids) if name in troubles), None)
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
