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
"""Written last, and touched at each use: a folder without it is not a whole environment."""
LOG = "setup.log"
_LOCKS = ".locks"


def environments_folder() -> Path:
    """Where they are kept: beside the other caches, which git, DVC and Docker pass over."""
    return root() / "data" / "cache" / "environments"


def python_of(folder: Path) -> Path:
    """The Python of the environment in a folder."""
    programs = folder / ".venv" / ("Scripts" if sys.platform == "win32" else "bin")
    return programs / ("python.exe" if sys.platform == "win32" else "python")


@contextlib.contextmanager
def kept_environment(then: Requirements) -> Iterator[Path]:
    """An environment, built where it is not there yet; nobody removes it until the block ends.

    Args:
        then: What it is made from.

    Yields:
        Its folder, which holds `.venv`.

    Raises:
        UserError: It cannot be built.
    """
    for name in (SETUP, LOCK):
        if name not in then.files:
            raise UserError(f"{name} is missing in the recorded commit")
    place = environments_folder().resolve() / then.key()
    building = _building(place)
    try:
        building.acquire(timeout=0.1)
    except Timeout:
        print("another rerun builds this environment; waiting for it", flush=True)
        building.acquire()
    try:
        if not (place / STAMP).is_file():
            _build(place, then)
        attempt = place / json.loads((place / STAMP).read_text(encoding="utf-8"))["folder"]
        os.utime(place / STAMP)
        user = FileLock(place.parent / _LOCKS / f"{place.name}-{secrets.token_hex(4)}.lock")
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
    found = []
    for place in sorted(environments_folder().glob("[0-9a-f]*")):
        with contextlib.suppress(FileNotFoundError):
            stamp = place / STAMP
            found.append((place, (stamp if stamp.is_file() else place).stat().st_mtime))
    return found


def is_environment_in_use(place: Path) -> bool:
    """Whether a rerun builds it or works in it; a killed one does not."""
    try:
        with _building(place).acquire(timeout=0):
            return _has_users(place)
    except Timeout:
        return True


def remove_environment(place: Path) -> None:
    """Remove a kept environment; one that was taken away in part is not taken for a whole one.

    Raises:
        BlockingIOError: It is in use.
    """
    try:
        with _building(place).acquire(timeout=0):
            if _has_users(place):
                raise BlockingIOError
            (place / STAMP).unlink(missing_ok=True)
            shutil.rmtree(place, ignore_errors=True)
    except Timeout:
        raise BlockingIOError from None


def _build(place: Path, then: Requirements) -> None:
    """Have the set-up of then create `.venv` in a folder of its own, which the stamp names.

    Each attempt has another one: the set-up of a rerun that was killed may still write to its own.
    """
    pin = then.pin_to_install()
    if place.exists():
        print("an earlier set-up of this environment was interrupted; beginning again")
        shutil.rmtree(place, ignore_errors=True)
    attempt = next(path for path in (place / str(n) for n in count(1)) if not path.exists())
    for name, content in then.files.items():
        path = attempt / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (attempt / "src").mkdir(exist_ok=True)
    if pin is not None and pin != then.pin:
        (attempt / PIN).write_text(f"{pin}\n", encoding="utf-8")
    runner = mask_addresses(pin) if pin else "the project's own src/runner"
    print(f"building the recorded environment in {os.path.relpath(attempt, root())}, once")
    print(f"  packages: {', '.join(then.locks)}; runner: {runner}", flush=True)
    started = time.monotonic()
    _set_up(attempt, then)
    facts = {"folder": attempt.name, "pin": pin and mask_addresses(pin), "locks": then.locks,
             "extras": then.extras or ()}  # fmt: skip
    write_atomically(place / STAMP, json.dumps(facts))
    print(f"  built in {time.monotonic() - started:.0f} s", flush=True)


def _set_up(folder: Path, then: Requirements) -> None:
    """Call the set-up; what it prints is progress, and its errors go to a file."""
    # above it, git would find today's repository, where another runner may be remembered
    variables = clean_environment(GIT_CEILING_DIRECTORIES=str(folder.parent))
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        variables.pop(name, None)
    log = folder / LOG
    with log.open("w", encoding="utf-8") as errors:
        done = subprocess.run(
            [sys.executable, SETUP, *(then.extras or ())], cwd=folder, env=variables,
            stdin=subprocess.DEVNULL, stderr=errors, check=False,
        )  # fmt: skip
    if done.returncode or not python_of(folder).exists():
        said = log.read_text(encoding="utf-8", errors="replace")
        raise UserError(f"{_reason(said)} (see {os.path.relpath(log, root())})")


def _reason(log: str) -> str:
    """The sentence of a set-up's errors that says most about what went wrong."""
    lines = [re.sub(r"^\W+", "", line) for line in log.splitlines()]
    lines = [line for line in lines if line and "lines above" not in line]
    marked = [line for line in lines if re.match(r"(?i)(fatal|error|cause|caused by)\b.*:", line)]
    line = (lines[-1:] if lines and lines[-1] not in marked else marked[-1:]) or ["no reason given"]
    first = re.split(r"(?<=[.)])\s+(?=[A-Z])", line[0])[0]
    return mask_addresses(first).rstrip(".")[:300]


def _building(place: Path) -> FileLock:
    """Whoever has it may build or remove the environment, and look who works in it.

    Its file stays: two processes would have a lock each where one removed it.
    """
    folder = place.parent / _LOCKS
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"{place.name}.lock")


def _has_users(place: Path) -> bool:
    """Whether a rerun works in it; what killed ones left behind is removed.

    The caller has the lock of `_building`, so that no rerun is about to begin.
    """
    in_use = False
    for path in (place.parent / _LOCKS).glob(f"{place.name}-*.lock"):
        try:
            with FileLock(path).acquire(timeout=0):
                path.unlink(missing_ok=True)
        except Timeout:
            in_use = True
    return in_use
