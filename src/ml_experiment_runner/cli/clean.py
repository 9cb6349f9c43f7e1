"""Remove old run folders and caches, never an only copy; shows what it would do."""

import argparse
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.record.process_identity import WriterLock
from ml_experiment_runner.record.rerun.kept_environments import (
    environments_folder,
    is_environment_in_use,
    kept_environments,
    remove_environment,
)
from ml_experiment_runner.record.rerun.worktree import WORKTREES, is_in_use, remove_worktree
from ml_experiment_runner.record.run_reader import RecordedRun, folders, read_run, subfolders
from ml_experiment_runner.record.sync.embedded_store import (
    address,
    correct,
    recorded_store,
    store_file,
    unported,
)
from ml_experiment_runner.record.sync.markers import read_json
from ml_experiment_runner.record.sync.store_address import real_address

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400}


@dataclass(frozen=True)
class Item:
    """Something to remove.

    Attributes:
        path: Where it is.
        size: In bytes.
        kept: Why it stays, if it does.
        detail: An example of that.
        last: When a run was last written to.
    """

    path: Path
    size: int
    kept: str | None = None
    detail: str = ""
    last: float | None = None


def clean(arguments: list[str]) -> int:
    """Lists what is old, and removes it with `--yes`; exit code 0."""
    parser = argparse.ArgumentParser("python run.py clean", description=__doc__)
    parser.add_argument("--older-than", default="30d", metavar="AGE", help="such as 12h, 30d, 8w")
    parser.add_argument("--yes", action="store_true", help="remove; without it nothing changes")
    parser.add_argument("--outputs", type=Path, default=root() / "outputs", help="run folders")
    asked = parser.parse_args(arguments)
    outputs: Path = asked.outputs.resolve()
    removed, kept = [], []
    # one by one: whether the store has a run is asked just before the run is removed
    for item in _items(outputs, time.time() - _age(asked.older_than)):
        if item.kept is None and asked.yes:
            item = _remove(item, outputs)
        if item.kept == GONE:
            continue
        if item.kept:
            kept.append(item)
            continue
        removed.append(item)
        print(f"{_size(item.size):>9}  {os.path.relpath(item.path, root())}")
    total = _size(sum(item.size for item in removed))
    what = f"{len(removed)} folders and files, {total}"
    if asked.yes:
        print(f"removed {what}")
    elif removed:
        print(f"would remove {what}; `--yes` does it")
    else:
        print(f"nothing to remove that is older than {asked.older_than}")
    for reason in sorted({str(item.kept) for item in kept}):
        those = [item for item in kept if item.kept == reason]
        print(f"kept {len(those)}: {reason}{those[0].detail}")
    return 0


RUNNING = "still running"
PENDING = "not in MLflow yet (python run.py sync)"
ONLY_COPY = "not found in MLflow, so the folder is the only copy"
INCOMPLETE = "incomplete in MLflow, so the folder is the only copy of the rest"
IN_USE = "a run is working and may read it"
RERUNS = "a rerun works with it"
DENIED = "cannot be removed"
GONE = "gone already: another process removes, too"

REMOVING = ".removing"  # in `outputs`: what was a run and is being removed
OF_HYDRA = "multirun.yaml"  # what it writes before a sweep has a record
OF_NO_RUN = (OF_HYDRA, "journal.jsonl", "delivery.log")  # may be there before a run has begun
_JUST_NOW = 60  # seconds in which a folder may still be empty, and a draft become a file


def _items(outputs: Path, limit: float) -> Iterator[Item]:
    """All that could be removed, each looked at when it is its turn."""
    running = False
    for item in _runs(outputs, limit):
        running |= item.kept == RUNNING
        yield item
    for path in sorted(subfolders(outputs / REMOVING)):  # whoever removed it was killed
        yield Item(path, _used(path))
    before = min(limit, time.time() - _JUST_NOW)
    yield from _empty(outputs, before)
    yield from _drafts(outputs, before)
    yield from _caches(root() / "data" / "cache", limit, running)
    yield from _worktrees(outputs, limit, running)
    yield from _environments(limit)


def _runs(outputs: Path, limit: float) -> Iterator[Item]:
    """Old runs; one stays unless the store says that it has all of it.

    A run and those in its folder go together, or stay together.
    """
    stores = _Stores(outputs)
    families: dict[Path, list[Path]] = {}
    for folder in folders(outputs):  # a run comes before those within it
        above = next((path for path in folder.parents if path in families), folder)
        families.setdefault(above, []).append(folder)
    for folder, members in families.items():
        try:
            last = _last(folder)
            items = [_run(outputs, member, limit, stores) for member in members]
            decisive = next((item for item in items if item.kept), None)
            if decisive is not None:
                yield Item(folder, 0, decisive.kept, decisive.detail)
            elif last < limit:
                yield Item(folder, _used(folder), last=last)
        except FileNotFoundError:  # another process removes it
            continue
        except OSError as error:
            yield Item(folder, 0, DENIED, f" ({folder}: {error.strerror})")


def _last(folder: Path) -> float:
    """When a run or one within it was last written to."""
    times = [path.stat().st_mtime for path in _inside(folder) if path.name == "journal.jsonl"]
    if not times:
        raise FileNotFoundError(folder)
    return max(times)


def _run(outputs: Path, folder: Path, limit: float, stores: "_Stores") -> Item:
    """A run by itself; of one that is not old, only whether it still runs is asked."""
    run, last = read_run(folder), _last(folder)
    begins = not run.has_begun and last >= time.time() - _JUST_NOW
    if run.status == "RUNNING" or begins:
        return Item(folder, 0, RUNNING)
    if last >= limit:
        return Item(folder, 0)
    if not run.has_begun and _is_nothing(folder):
        return Item(folder, 0)
    if any((pending / f"{run.id}.run").exists() for pending in subfolders(outputs / ".pending")):
        return Item(folder, 0, PENDING)
    lacks = [stores.lack(uri, folder) for uri in _stores_of(run, outputs)] or [(ONLY_COPY, "")]
    kept, detail = next((each for each in lacks if each[0] is None), lacks[0])
    return Item(folder, 0, kept, detail)


def _is_nothing(folder: Path) -> bool:
    """Whether a run that never began left no file that tells anything."""
    return all(path.is_dir() or path.name in OF_NO_RUN for path in _inside(folder))


def _stores_of(run: RecordedRun, outputs: Path) -> list[str]:
    """Where a run may be: in any of the stores, if it was killed before it recorded in which."""
    if uri := run.params.get("tracking.uri"):
        return [recorded_store(uri, Path(run.params.get("outputs", outputs)), outputs)]
    notes = [read_json(pending / "store.json") for pending in subfolders(outputs / ".pending")]
    return [unported(note["uri"], outputs) for note in notes if "uri" in note]


class _Stores:
    """Asks MLflow, which takes seconds to import and is loaded only if there is something old."""

    def __init__(self, outputs: Path) -> None:
        self._outputs = outputs
        self._clients: dict[str, MlflowClient | None] = {}

    def lack(self, uri: str, folder: Path) -> tuple[str | None, str]:
        """Why the store is no reason to remove a run's folder, and an example; None if it is."""
        run_id = read_json(folder / "delivery.json").get("mlflow_run_id")
        if uri not in self._clients:
            self._clients[uri] = self._client(uri)
        client = self._clients[uri]
        if client is None or run_id is None:
            return ONLY_COPY, ""
        from mlflow.exceptions import MlflowException

        from ml_experiment_runner.record.sync.completeness import missing

        try:
            lacks = missing(client, run_id, folder)
        except FileNotFoundError:
            raise
        except MlflowException as error:
            gone = error.error_code == "RESOURCE_DOES_NOT_EXIST"
            return ONLY_COPY, "" if gone else f" (it says: {str(error).splitlines()[0][:200]})"
        except Exception:  # whatever is wrong with the store: it does not say that it has the run
            return ONLY_COPY, ""
        if lacks is None:
            return None, ""
        return INCOMPLETE, f" (such as {os.path.relpath(folder, root())}: {lacks} is not there)"

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


def _empty(outputs: Path, before: float) -> Iterator[Item]:
    """Folders of runs that were killed before they wrote anything, and those above them."""
    level = [path for path in subfolders(outputs) if not path.name.startswith(".")]
    for depth in range(1, 6):
        below: list[Path] = []
        for path in sorted(level):
            inside = [path, *_inside(path, passes_over=True)]  # what is not empty cannot be removed
            files = [each for each in inside if not each.is_dir() and each.name != OF_HYDRA]
            with suppress(FileNotFoundError):
                if files or any(each.stat().st_mtime >= before for each in inside):
                    below += subfolders(path)
                elif depth <= 2 or _RUN.fullmatch(path.name):
                    yield Item(path, 0)
        level = below


_RUN = re.compile(r".+-[0-9a-f]{8}")  # how a run's folder is called
_DRAFT = re.compile(r".+\.[0-9a-f]+\.part")  # see ml_experiment_runner.project.atomic


def _drafts(outputs: Path, before: float) -> Iterator[Item]:
    """Files that were being written when their process was killed."""
    places = [outputs, *(root() / name for name in ("conf", "holds", "signals"))]
    places += [root() / "data" / name for name in ("held", "signals", "versions")]
    for path in sorted(path for place in places for path in _inside(place, passes_over=True)):
        with suppress(FileNotFoundError):
            if _DRAFT.fullmatch(path.name) and path.is_file() and path.stat().st_mtime < before:
                yield Item(path, path.stat().st_size)


def _caches(folder: Path, limit: float, running: bool) -> Iterator[Item]:
    """Assembled datasets, which the snapshots give again at any time."""
    for path in sorted(folder.glob("*")):
        with suppress(FileNotFoundError):
            stat = path.stat()
            if path.is_file() and max(stat.st_mtime, stat.st_atime) < limit:
                yield Item(path, stat.st_size, IN_USE if running else None)


def _worktrees(outputs: Path, limit: float, running: bool) -> Iterator[Item]:
    """What is left of reruns that were killed."""
    for path in sorted(subfolders(outputs / WORKTREES)):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < limit:
                yield Item(path, _used(path), IN_USE if running or is_in_use(path) else None)


def _environments(limit: float) -> Iterator[Item]:
    """Environments of reruns, which the next rerun builds again."""
    for path, last in kept_environments():
        if last < limit:
            yield Item(path, _used(path), RERUNS if is_environment_in_use(path) else None)


def _remove(item: Item, outputs: Path) -> Item:
    """Removes it; says why it stays where it does."""
    try:
        path = _delete(item, outputs)
    except BlockingIOError:
        return replace(item, kept=RUNNING)
    except FileNotFoundError:
        return replace(item, kept=GONE)
    except OSError as error:
        return replace(item, kept=DENIED, detail=f" ({item.path}: {error.strerror})")
    if path.is_dir():
        return replace(item, kept=DENIED, detail=f" ({path}; remove it by hand)")
    if item.path.is_relative_to(outputs):
        _remove_empty(item.path.parent, outputs)
    _remove_empty(outputs / REMOVING, outputs)
    return item


def _delete(item: Item, outputs: Path) -> Path:
    """Deletes it; returns what has to be gone then."""
    path = item.path
    if path.parent == outputs / WORKTREES:
        remove_worktree(path)
    elif path.parent == environments_folder():
        remove_environment(path)
    elif item.last is not None or path.parent == outputs / REMOVING:
        path = _taken_away(item, outputs) if item.last is not None else path
        shutil.rmtree(path, ignore_errors=True)
    elif path.is_dir():  # only what is empty: a run may be about to begin in it
        for each in sorted(_inside(path), reverse=True):
            each.unlink() if each.name == OF_HYDRA else each.rmdir()
        path.rmdir()
    else:
        path.unlink()
    return path


def _taken_away(item: Item, outputs: Path) -> Path:
    """Moves a run out of the runs at once, so that half of one is never taken for one.

    Whoever goes on with a run within it needs the lock of the outermost one first. That one alone
    is held: a process may open only so many files, and a sweep has thousands of jobs.

    Raises:
        BlockingIOError: It goes on, so that it stays.
    """
    outermost = item.path / "journal.jsonl"
    lock = WriterLock(outermost)
    try:
        for path in _inside(item.path):
            if path.name == "journal.jsonl" and path != outermost:
                WriterLock(path).release()
        if _last(item.path) != item.last:
            raise BlockingIOError
        target = outputs / REMOVING / f"{secrets.token_hex(4)}-{item.path.name}"
        while True:
            target.parent.mkdir(exist_ok=True)
            try:
                return item.path.rename(target)
            except FileNotFoundError:  # or another one has just removed the empty folder
                if not item.path.exists():
                    raise
    finally:
        lock.release()


def _remove_empty(folder: Path, outputs: Path) -> None:
    """Removes a folder and those above it, as far as they are empty."""
    while folder != outputs:
        try:
            folder.rmdir()
        except FileNotFoundError:  # another process was faster
            pass
        except OSError:
            return
        folder = folder.parent


def _inside(folder: Path, passes_over: bool = False) -> Iterator[Path]:
    """All files and folders in a folder, those below too, while other processes remove some.

    Args:
        folder: Where they are.
        passes_over: Whether a folder that cannot be read counts as empty; else it is an error.
    """

    def tell(error: OSError) -> None:
        if not (passes_over or isinstance(error, FileNotFoundError)):
            raise error

    # a glob of Python 3.11 would raise
    for place, names, files in os.walk(folder, onerror=tell):
        yield from (Path(place, name) for name in (*names, *files))


def _used(folder: Path) -> int:
    size = 0
    for path in _inside(folder, passes_over=True):
        with suppress(FileNotFoundError):  # another process removes it
            size += path.lstat().st_size if path.is_file() else 0
    return size


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
