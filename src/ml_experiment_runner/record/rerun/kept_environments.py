"""Environments of recorded runs: built once by the project's own set-up, kept until `clean`."""

import contextlib
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from filelock import FileLock, Timeout

from ml_experiment_runner.project.atomic import write_atomically
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.project.runner_pin import PIN
from ml_experiment_runner.project.secrets import mask_addresses
from ml_experiment_runner.record.rerun.processes import clean_environment
from ml_experiment_runner.record.rerun.requirements import LOCK, SETUP, Requirements

STAMP = "environment.json"
"""Written last, and touched at each use: a folder without it is incomplete."""
LOG = "setup.log"
_LOCKS = ".locks"


def environments_folder() -> Path:
    """The folder of kept environments, among the caches that git, DVC and Docker ignore."""
    return root() / "data" / "cache" / "environments"


def python_of(folder: Path) -> Path:
    """The Python of the environment in a folder."""
    programs = folder / ".venv" / ("Scripts" if sys.platform == "win32" else "bin")
    return programs / ("python.exe" if sys.platform == "win32" else "python")


@contextlib.contextmanager
def kept_environment(requirements: Requirements) -> Iterator[Path]:
    """A kept environment, which is built if it is missing and not removed until the block ends.

    Args:
        requirements: What it is made from.

    Yields:
        Its folder, which holds `.venv`.

    Raises:
        UserError: It cannot be built.
    """
    for name in (SETUP, LOCK):
        if name not in requirements.files:
            raise UserError(f"{name} is missing in the recorded commit")
    folder = environments_folder().resolve() / requirements.key()
    building = _building(folder)
    try:
        building.acquire(timeout=0.1)
    except Timeout:
        print("another rerun builds this environment; waiting for it", flush=True)
        building.acquire()
    try:
        if not (folder / STAMP).is_file():
            _build(folder, requirements)
        attempt = folder / json.loads((folder / STAMP).read_text(encoding="utf-8"))["folder"]
        os.utime(folder / STAMP)
        user = FileLock(folder.parent / _LOCKS / f"{folder.name}-{secrets.token_hex(4)}.lock")
        user.acquire()
    finally:
        building.release()
    try:
        yield attempt
    finally:
        Path(user.lock_file).unlink(missing_ok=True)
        user.release()


def kept_environments() -> list[tuple[Path, float]]:
    """The folders of all kept environments, unfinished ones too, and when each was last used.

    Times are seconds since 1970.
    """
    environments = []
    for folder in sorted(environments_folder().glob("[0-9a-f]*")):
        with contextlib.suppress(FileNotFoundError):
            stamp = folder / STAMP
            environments.append((folder, (stamp if stamp.is_file() else folder).stat().st_mtime))
    return environments


def is_environment_in_use(folder: Path) -> bool:
    """Whether a rerun builds it or works in it."""
    try:
        with _building(folder).acquire(timeout=0):
            return _has_users(folder)
    except Timeout:
        return True


def remove_environment(folder: Path) -> None:
    """Remove a kept environment; a partly removed one is incomplete and will be built again.

    Raises:
        BlockingIOError: It is in use.
    """
    try:
        with _building(folder).acquire(timeout=0):
            if _has_users(folder):
                raise BlockingIOError
            (folder / STAMP).unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)
    except Timeout:
        raise BlockingIOError from None


def _build(folder: Path, requirements: Requirements) -> None:
    """Have the recorded set-up create `.venv` in a new folder, which the stamp names.

    Each attempt has its own: the set-up of a rerun that was killed may still write to its folder.
    """
    pin = requirements.pin_to_install()
    if folder.exists():
        print("an earlier set-up of this environment was interrupted; starting again")
        shutil.rmtree(folder, ignore_errors=True)
    attempt = next(path for path in (folder / str(n) for n in count(1)) if not path.exists())
    for name, content in requirements.files.items():
        path = attempt / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (attempt / "src").mkdir(exist_ok=True)
    if pin is not None and pin != requirements.pin:
        (attempt / PIN).write_text(f"{pin}\n", encoding="utf-8")
    runner = mask_addresses(pin) if pin else "the project's own src/runner"
    print(f"building the recorded environment in {os.path.relpath(attempt, root())}, once")
    print(f"  packages: {', '.join(requirements.locks)}; runner: {runner}", flush=True)
    started = time.monotonic()
    _set_up(attempt, requirements)
    facts = {"folder": attempt.name, "pin": pin and mask_addresses(pin),
             "locks": requirements.locks, "extras": requirements.extras or ()}  # fmt: skip
    write_atomically(folder / STAMP, json.dumps(facts))
    print(f"  built in {time.monotonic() - started:.0f} s", flush=True)


def _set_up(folder: Path, requirements: Requirements) -> None:
    """Call the set-up; its output is progress, and its errors go to a file."""
    # above it, git would find today's repository, where another runner may be remembered
    variables = clean_environment(GIT_CEILING_DIRECTORIES=str(folder.parent))
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        variables.pop(name, None)
    log = folder / LOG
    with log.open("w", encoding="utf-8") as errors:
        done = subprocess.run(
            [sys.executable, SETUP, *(requirements.extras or ())], cwd=folder, env=variables,
            stdin=subprocess.DEVNULL, stderr=errors, check=False,
        )  # fmt: skip
    if done.returncode or not python_of(folder).exists():
        log_text = log.read_text(encoding="utf-8", errors="replace")
        raise UserError(f"{_reason(log_text)} (see {os.path.relpath(log, root())})")


def _reason(log: str) -> str:
    """The sentence of a set-up's errors that best names the cause."""
    lines = [re.sub(r"^\W+", "", line) for line in log.splitlines()]
    lines = [line for line in lines if line and "lines above" not in line]
    marked = [line for line in lines if re.match(r"(?i)(fatal|error|cause|caused by)\b.*:", line)]
    line = (lines[-1:] if lines and lines[-1] not in marked else marked[-1:]) or ["no reason given"]
    first = re.split(r"(?<=[.)])\s+(?=[A-Z])", line[0])[0]
    return mask_addresses(first).rstrip(".")[:300]


def _building(folder: Path) -> FileLock:
    """The lock for building or removing an environment, and for looking up who works in it.

    Its file stays: if it was removed, two processes could each hold a lock.
    """
    locks = folder.parent / _LOCKS
    locks.mkdir(parents=True, exist_ok=True)
    return FileLock(locks / f"{folder.name}.lock")


def _has_users(folder: Path) -> bool:
    """Whether a rerun works in it; lock files of killed reruns are removed.

    The caller holds the lock of `_building`, so that no rerun is about to start.
    """
    in_use = False
    for path in (folder.parent / _LOCKS).glob(f"{folder.name}-*.lock"):
        try:
            with FileLock(path).acquire(timeout=0):
                path.unlink(missing_ok=True)
        except Timeout:
            in_use = True
    return in_use
