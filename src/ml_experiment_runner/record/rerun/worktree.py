"""The recorded commit and its uncommitted changes, in a git worktree of their own."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.secrets import MASK
from ml_experiment_runner.record.rerun.processes import git_output, run_program
from ml_experiment_runner.record.run_reader import RecordedRun

if TYPE_CHECKING:
    from filelock import FileLock

WORKTREES = ".rerun"
"""The folder of reruns' worktrees, in `outputs`."""


@contextlib.contextmanager
def worktree(recorded: RecordedRun) -> Iterator[Path]:
    """The project at the recorded commit, in a folder of its own; today's files are not touched.

    Yields:
        The folder of the project's `run.py`; it is removed when the block ends.

    Raises:
        UserError: The commit or the uncommitted changes are missing, or git fails.
    """
    commit = _commit(recorded)
    place = recorded.outputs / WORKTREES / f"{recorded.id}-{secrets.token_hex(4)}"
    place.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock(place)
    lock.acquire()
    try:
        # The user's hooks do not run for this checkout.
        git_output("-c", f"core.hooksPath={os.devnull}", "worktree", "add", "--quiet", "--detach",
                   str(place), commit)  # fmt: skip
        patched = _apply_changes(recorded, place)
        print(f"code: commit {commit[:10]}{' and uncommitted.patch' if patched else ''}")
        inside = git_output("rev-parse", "--show-prefix").strip()
        yield (place / inside).resolve()
    finally:
        remove_worktree(place)
        lock.release()


def _commit(recorded: RecordedRun) -> str:
    """The full id of a run's commit, which this repository must have."""
    commit = str(recorded.provenance.get("git_commit", "none: not recorded"))
    if commit.startswith("none"):
        raise UserError(f"run {recorded.id} cannot be run again; its commit is {commit}")
    if run_program("git", "cat-file", "-e", commit + "^{commit}").returncode:
        raise UserError(
            f"run {recorded.id} was made from commit {commit}, which is not in this repository; "
            f"get it with `git fetch origin {commit}`"
        )
    return commit


def _apply_changes(recorded: RecordedRun, place: Path) -> bool:
    """Apply the recorded uncommitted changes to a worktree; returns whether there are any."""
    patch = recorded.folder / "artifacts" / "uncommitted.patch"
    masked = recorded.provenance.get("git_masked", [])
    if masked:
        print(f"note: uncommitted.patch has {MASK} in place of secrets, in {', '.join(masked)}")
    if patch.is_file():
        _apply(patch, place, masked)
    elif recorded.provenance.get("git_dirty"):
        raise UserError(f"{patch} is missing: the run had uncommitted changes")
    return patch.is_file()


def _apply(patch: Path, place: Path, masked: list[str]) -> None:
    """Apply a patch; git refuses one in which a line that it has was masked."""
    try:
        git_output("apply", "--whitespace=nowarn", str(patch), folder=place)
    except UserError as error:
        if not masked:
            raise
        raise UserError(
            f"{error}\n{patch} has {MASK} in place of secrets, in {', '.join(masked)}: where a "
            "line beside a change is masked, git does not find it. Write the secrets back into "
            "the patch and repeat the rerun"
        ) from None


def remove_worktree(place: Path) -> None:
    """Remove what is left of a rerun's worktree: its folder and git's entry."""
    # forced twice: git locks a worktree while it creates it, and a kill leaves it locked
    if run_program("git", "worktree", "remove", "--force", "--force", str(place)).returncode:
        shutil.rmtree(place, ignore_errors=True)
        run_program("git", "worktree", "unlock", str(place))
        run_program("git", "worktree", "prune")
    Path(_lock(place).lock_file).unlink(missing_ok=True)


def is_in_use(place: Path) -> bool:
    """Whether the rerun that made a worktree is still running."""
    from filelock import Timeout

    try:
        with _lock(place).acquire(timeout=0):
            return False
    except Timeout:
        return True


def _lock(place: Path) -> "FileLock":
    from filelock import FileLock

    return FileLock(f"{place}.lock")
