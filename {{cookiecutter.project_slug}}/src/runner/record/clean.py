"""Remove old run folders and dataset caches, never an only copy; shows what it would do."""

import argparse
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from runner.errors import UserError
from runner.project import root
from runner.record.address import real_address
from runner.record.delivery import read_json
from runner.record.embedded import address, correct, recorded_store, store_file
from runner.record.recorded import folders, read_run
from runner.record.rerun import remove_worktree

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True)
class Item:
    """Something to remove; `kept` says why it stays, if it does."""

    path: Path
    size: int
    kept: str | None = None


def clean(arguments: list[str]) -> int:
    """Lists what is old, and removes it with `--yes`; exit code 0."""
    parser = argparse.ArgumentParser("python run.py clean", description=__doc__)
    parser.add_argument("--older-than", default="30d", metavar="AGE", help="such as 12h, 30d, 8w")
    parser.add_argument("--yes", action="store_true", help="remove; without it nothing changes")
    parser.add_argument("--outputs", type=Path, default=root() / "outputs", help="run folders")
    asked = parser.parse_args(arguments)
    limit = time.time() - _age(asked.older_than)
    outputs: Path = asked.outputs.resolve()
    runs = _runs(outputs, limit)
    running = any(item.kept == RUNNING for item in runs)
    items = [
        *runs,
        *_caches(root() / "data" / "cache", limit, running),
        *_worktrees(outputs, limit, running),
    ]
    removed = [item for item in items if item.kept is None]
    for item in removed:
        if asked.yes:
            _remove(item.path, outputs)
        print(f"{_size(item.size):>9}  {os.path.relpath(item.path, root())}")
    total = _size(sum(item.size for item in removed))
    what = f"{len(removed)} folders and files, {total}"
    if asked.yes:
        print(f"removed {what}")
    elif removed:
        print(f"would remove {what}; `--yes` does it")
    else:
        print(f"nothing to remove that is older than {asked.older_than}")
    for reason in sorted({item.kept for item in items if item.kept}):
        print(f"kept {sum(item.kept == reason for item in items)}: {reason}")
    return 0


RUNNING = "still running"
PENDING = "not in MLflow yet (python run.py deliver)"
ONLY_COPY = "not found in MLflow, so the folder is the only copy"
IN_USE = "a run is working and may read it"


def _runs(outputs: Path, limit: float) -> list[Item]:
    """Old runs; one stays unless the store says that it has it."""
    pending = {marker.stem for marker in outputs.glob(".pending/*/*.run")}
    stores = _Stores(outputs)
    items = []
    for folder in folders(outputs):
        # of the runs within it, too
        last = max(path.stat().st_mtime for path in folder.rglob("journal.jsonl"))
        run = read_run(folder)
        if run.status == "RUNNING":
            items.append(Item(folder, 0, RUNNING))
        elif last < limit:
            kept = PENDING if run.id in pending else None
            uri = recorded_store(
                run.params.get("tracking.uri", ""),
                Path(run.params.get("outputs", outputs)),
                outputs,
            )
            if kept is None and not stores.have(uri, folder):
                kept = ONLY_COPY
            items.append(Item(folder, _used(folder), kept))
    return _families(items)


def _families(items: list[Item]) -> list[Item]:
    """Runs with those in their folders: they go together, or stay together."""
    families: dict[Path, list[Item]] = {}
    for item in items:  # a run comes before those within it
        above = next((path for path in item.path.parents if path in families), item.path)
        families.setdefault(above, []).append(item)
    together = []
    for folder, members in families.items():
        kept = next((member.kept for member in members if member.kept), None)
        together.append(Item(folder, max(member.size for member in members), kept))
    return together


class _Stores:
    """Asks MLflow, which takes seconds to import and is loaded only if there is something old."""

    def __init__(self, outputs: Path) -> None:
        self._outputs = outputs
        self._clients: dict[str, MlflowClient | None] = {}

    def have(self, uri: str, folder: Path) -> bool:
        """Whether the store has the finished run, and its artifacts where they can be seen."""
        run_id = read_json(folder / "delivery.json").get("mlflow_run_id")
        if uri not in self._clients:
            self._clients[uri] = self._client(uri)
        client = self._clients[uri]
        if client is None or run_id is None:
            return False
        try:
            run = client.get_run(run_id)
        except Exception:  # Whatever is wrong with the store: it does not say that it has the run.
            return False
        info = run.info
        if "record.refused" in run.data.tags:  # something of it is nowhere but here
            return False
        local = re.fullmatch(r"(?:file:(?://)?)?(/.*|[A-Za-z]:[\\/].*)", info.artifact_uri)
        ended = info.status in ("FINISHED", "FAILED", "KILLED") and info.lifecycle_stage == "active"
        return ended and (local is None or Path(unquote(local.group(1))).is_dir())

    def _client(self, uri: str) -> "MlflowClient | None":
        stores = self._outputs / ".pending"
        real = real_address(uri, lambda key: (stores / key).is_dir(), self._outputs)
        if not real:
            return None
        file = store_file(real)
        if file and not file.is_file():
            return None  # MLflow would create it.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
        from mlflow import MlflowClient

        try:
            if file:
                correct(file)
            return MlflowClient(address(real))
        except Exception:
            return None


def _caches(folder: Path, limit: float, running: bool) -> list[Item]:
    """Assembled datasets, which the snapshots give again at any time."""
    items = []
    for path in sorted(folder.glob("*")):
        stat = path.stat()
        if path.is_file() and max(stat.st_mtime, stat.st_atime) < limit:
            items.append(Item(path, stat.st_size, IN_USE if running else None))
    return items


def _worktrees(outputs: Path, limit: float, running: bool) -> list[Item]:
    """What is left of reruns that were killed."""
    return [
        Item(path, _used(path), IN_USE if running else None)
        for path in sorted((outputs / ".rerun").glob("*"))
        if path.stat().st_mtime < limit
    ]


def _remove(path: Path, outputs: Path) -> None:
    if path.parent.name == ".rerun":
        remove_worktree(path)
    elif path.is_dir():
        shutil.rmtree(path)
        above = path.parent
        while above != outputs and not any(above.iterdir()):
            above.rmdir()
            above = above.parent
    else:
        path.unlink()


def _used(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def _age(text: str) -> float:
    match = re.fullmatch(r"(\d+)([hdw])", text)
    if match is None:
        raise UserError(f"--older-than {text}: not an age; type it such as 12h, 30d or 8w")
    return int(match.group(1)) * _SECONDS[match.group(2)]


def _size(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
