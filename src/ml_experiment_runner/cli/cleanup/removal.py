"""Removes candidates, so that a killed `clean` leaves no half of a run."""

import secrets
import shutil
from dataclasses import replace
from pathlib import Path

from ml_experiment_runner.cli.cleanup.candidate import (
    DENIED,
    GONE,
    REMOVING,
    RUNNING,
    Candidate,
    paths_below,
)
from ml_experiment_runner.cli.cleanup.runs import BEFORE_THE_RECORD, JOURNAL, last_written
from ml_experiment_runner.record.process_identity import WriterLock
from ml_experiment_runner.record.rerun.kept_environments import (
    environments_folder,
    remove_environment,
)
from ml_experiment_runner.record.rerun.worktree import WORKTREES, remove_worktree


def remove(candidate: Candidate, outputs: Path) -> Candidate:
    """Removes it; the returned candidate says why it is kept if that failed."""
    try:
        path = _delete(candidate, outputs)
    except BlockingIOError:
        return replace(candidate, kept=RUNNING)
    except FileNotFoundError:
        return replace(candidate, kept=GONE)
    except OSError as error:
        return replace(candidate, kept=DENIED, example=f" ({candidate.path}: {error.strerror})")
    if path.is_dir():
        return replace(candidate, kept=DENIED, example=f" ({path}; remove it by hand)")
    if candidate.path.is_relative_to(outputs):
        _remove_empty_parents(candidate.path.parent, outputs)
    _remove_empty_parents(outputs / REMOVING, outputs)
    return candidate


def _delete(candidate: Candidate, outputs: Path) -> Path:
    """Deletes it; returns the path that must not exist any more."""
    path = candidate.path
    if path.parent == outputs / WORKTREES:
        remove_worktree(path)
    elif path.parent == environments_folder():
        remove_environment(path)
    elif candidate.last_written is not None or path.parent == outputs / REMOVING:
        path = _moved_away(candidate, outputs) if candidate.last_written is not None else path
        shutil.rmtree(path, ignore_errors=True)
    elif path.is_dir():  # only if it is empty: a run may be about to start in it
        for inner in sorted(paths_below(path), reverse=True):
            inner.unlink() if inner.name == BEFORE_THE_RECORD else inner.rmdir()
        path.rmdir()
    else:
        path.unlink()
    return path


def _moved_away(run: Candidate, outputs: Path) -> Path:
    """Moves a run out of the runs in one step, so that half of one is never read as a run.

    A process that continues a run in its folder needs the lock of the outermost run first. Only
    that lock is held: a sweep has thousands of jobs, and a process may open only so many files.

    Raises:
        BlockingIOError: The run continues, so it stays.
    """
    outermost = run.path / JOURNAL
    lock = WriterLock(outermost)
    try:
        for path in paths_below(run.path):
            if path.name == JOURNAL and path != outermost:
                WriterLock(path).release()
        if last_written(run.path) != run.last_written:
            raise BlockingIOError
        target = outputs / REMOVING / f"{secrets.token_hex(4)}-{run.path.name}"
        while True:
            target.parent.mkdir(exist_ok=True)
            try:
                return run.path.rename(target)
            except FileNotFoundError:  # or another process has just removed the empty folder
                if not run.path.exists():
                    raise
    finally:
        lock.release()


def _remove_empty_parents(folder: Path, outputs: Path) -> None:
    """Removes a folder and those above it, as long as they are empty."""
    while folder != outputs:
        try:
            folder.rmdir()
        except FileNotFoundError:  # another process was faster
            pass
        except OSError:
            return
        folder = folder.parent
