"""Finds what killed processes leave, and caches that can be built again."""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ml_experiment_runner.cli.cleanup.candidate import (
    IN_USE,
    REMOVING,
    RERUN_IN_PROGRESS,
    Candidate,
    paths_below,
    size_of,
)
from ml_experiment_runner.cli.cleanup.runs import BEFORE_THE_RECORD
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.record.rerun.kept_environments import (
    is_environment_in_use,
    kept_environments,
)
from ml_experiment_runner.record.rerun.worktree import WORKTREES, is_in_use
from ml_experiment_runner.record.run_reader import subfolders

_RUN = re.compile(r".+-[0-9a-f]{8}")  # name of a run's folder
_DRAFT = re.compile(r".+\.[0-9a-f]+\.part")  # see ml_experiment_runner.project.atomic
_DEPTH = 5  # of the deepest folder that may hold a run
_DEPTH_OF_DAYS = 2  # in outputs/<experiment>/<day>


def half_removed(outputs: Path) -> Iterator[Candidate]:
    """Runs that a killed `clean` was removing."""
    for path in sorted(subfolders(outputs / REMOVING)):
        yield Candidate(path, size_of(path))


def empty_folders(outputs: Path, before: float) -> Iterator[Candidate]:
    """Folders of runs that were killed before they wrote anything, and the folders above them."""
    level = [path for path in subfolders(outputs) if not path.name.startswith(".")]
    for depth in range(1, _DEPTH + 1):
        next_level: list[Path] = []
        for folder in sorted(level):
            paths = [folder, *paths_below(folder, ignore_errors=True)]
            files = [p for p in paths if not p.is_dir() and p.name != BEFORE_THE_RECORD]
            with suppress(FileNotFoundError):
                if files or any(path.stat().st_mtime >= before for path in paths):
                    next_level += subfolders(folder)
                elif depth <= _DEPTH_OF_DAYS or _RUN.fullmatch(folder.name):
                    yield Candidate(folder, 0)
        level = next_level


def drafts(outputs: Path, before: float) -> Iterator[Candidate]:
    """Half-written files of killed processes."""
    places = [outputs, *(root() / name for name in ("conf", "holds", "signals"))]
    places += [root() / "data" / name for name in ("held", "signals", "versions")]
    for path in sorted(path for place in places for path in paths_below(place, ignore_errors=True)):
        with suppress(FileNotFoundError):
            if _DRAFT.fullmatch(path.name) and path.is_file() and path.stat().st_mtime < before:
                yield Candidate(path, path.stat().st_size)


def cached_datasets(limit: float, is_running: bool) -> Iterator[Candidate]:
    """Assembled datasets, which can be assembled again from the snapshots."""
    for path in sorted((root() / "data" / "cache").glob("*")):
        with suppress(FileNotFoundError):
            stat = path.stat()
            if path.is_file() and max(stat.st_mtime, stat.st_atime) < limit:
                yield Candidate(path, stat.st_size, IN_USE if is_running else None)


def worktrees(outputs: Path, limit: float, is_running: bool) -> Iterator[Candidate]:
    """Worktrees of killed reruns."""
    for path in sorted(subfolders(outputs / WORKTREES)):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < limit:
                kept = IN_USE if is_running or is_in_use(path) else None
                yield Candidate(path, size_of(path), kept)


def rerun_environments(limit: float) -> Iterator[Candidate]:
    """Environments of reruns, which the next rerun builds again."""
    for path, last_used in kept_environments():
        if last_used < limit:
            kept = RERUN_IN_PROGRESS if is_environment_in_use(path) else None
            yield Candidate(path, size_of(path), kept)
