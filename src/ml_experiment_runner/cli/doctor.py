"""Check the surroundings: interpreter, packages, git, DVC, signals, records."""

import argparse
import importlib.metadata
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.installed_runner import runner_with_state
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.project.runner_pin import (
    PIN,
    describe,
    is_from,
    is_pinned,
    pin_line,
    remembered_runner,
)
from ml_experiment_runner.project.secrets import mask_addresses

if TYPE_CHECKING:
    from ml_experiment_runner.record.sync.embedded_store import Stray

Finding = tuple[str, bool, str]


def doctor(arguments: list[str]) -> int:
    """Prints one line for each check; exit code 1 where something needs a hand."""
    argparse.ArgumentParser(prog="python run.py doctor", description=__doc__).parse_args(arguments)
    healthy = True
    for name, good, detail in findings():
        healthy &= good
        print(f"{'ok  ' if good else 'LOOK'}  {name:<12} {detail}")
    return 0 if healthy else 1


def findings() -> Iterator[Finding]:
    """Every check as name, whether it is well, and what is so or what to do."""
    yield _python()
    yield _packages()
    yield _runner()
    yield _git()
    yield _data_remote()
    yield _configuration()
    yield from _signals()
    yield _pending()
    yield from _stores()
    yield _space()


def _python() -> Finding:
    version = sys.version_info
    good = (3, 11) <= version[:2] <= (3, 13)
    return "python", good, f"{version.major}.{version.minor}.{version.micro} ({sys.executable})"


def _packages() -> Finding:
    """Compares what is installed with the lock."""
    lock = root() / "requirements.lock"
    if not lock.exists():
        return "packages", False, "requirements.lock is missing: make lock"
    different = []
    locked = re.findall(
        r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(?:\s*;\s*(.+?))?\s*\\?$",
        lock.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    for name, version, marker in locked:
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            # a package with a marker may be for another system
            if not marker:
                different.append(f"{name} is missing")
            continue
        if installed != version and not marker:
            different.append(f"{name} {installed} instead of {version}")
    if different:
        shown = ", ".join(different[:3]) + (" …" if len(different) > 3 else "")
        return "packages", False, f"{shown}: install requirements.lock again (README.md)"
    return "packages", True, f"{len(locked)} as in requirements.lock"


def _runner() -> Finding:
    """Whether the runner that is installed is the pinned one."""
    project = root()
    pin = pin_line(project)
    runner = runner_with_state()
    said = describe(runner)
    if place := remembered_runner(project):
        wanted, good = f"{place}, which .git/config remembers", is_from(runner, place)
    elif pin is None:
        return "runner", False, f"{said}; {PIN} does not name one in one line: restore it from git"
    else:
        wanted, good = f"{mask_addresses(pin)}, which {PIN} names", is_pinned(runner, pin)
    if not good:
        return "runner", False, f"{said}, and not {wanted}: make setup"
    return "runner", True, said if not place else f"{said} (remembered in .git/config)"


def _git() -> Finding:
    if shutil.which("git") is None:
        return "git", False, "not found: runs will not know their commit"
    answer = _output("git", "rev-parse", "--short", "HEAD")
    if answer is None:
        return "git", False, "no commit yet: git init && git add -A && git commit -m 'Start'"
    return "git", True, f"at {answer}"


def _data_remote() -> Finding:
    config = root() / ".dvc" / "config"
    if not config.exists():
        return "dvc", False, ".dvc/config is missing: restore it from git"
    url = re.search(r"^\s*url\s*=\s*(.+)$", config.read_text(encoding="utf-8"), re.MULTILINE)
    if url is None:
        return "dvc", False, "no remote: dvc remote add -d <name> <url>"
    return "dvc", True, f"remote {url.group(1).strip()}"


def _configuration() -> Finding:
    from ml_experiment_runner.config.composition import compose
    from ml_experiment_runner.config.options import options

    wrong = []
    names = options("experiment")
    for name in names:
        try:
            compose(f"+experiment={name}")
        except UserError as error:
            wrong.append(f"{name}: {error}")
    if wrong:
        return "conf", False, wrong[0]
    return "conf", True, f"{len(names)} experiments compose"


def _signals() -> Iterator[Finding]:
    from ml_experiment_runner.signals.contract.contract_file import read_contracts
    from ml_experiment_runner.signals.snapshots.snapshot import current

    contracts = read_contracts(root())
    for error in contracts.broken.values():
        yield "signals", False, str(error)
    if not contracts and not contracts.broken:
        yield "signals", True, "none yet (python run.py new signal NAME --from FILE)"
    for name, contract in contracts.items():
        try:
            snapshot = current(contract)
        except UserError as error:
            yield "signals", False, str(error)
            continue
        if snapshot is None:
            yield "signals", True, f"{name}: not received yet; the first run does it"
        else:
            yield "signals", True, f"{name}: {snapshot.rows:,} rows, version {snapshot.version}"


def _pending() -> Finding:
    from ml_experiment_runner.record.sync.markers import is_working

    markers = (root() / "outputs" / ".pending").glob("*/*.run")
    # a run that still works is delivered as it goes
    waiting = sum(not is_working(marker) for marker in markers)
    if waiting:
        return "records", False, f"{waiting} runs wait for the store: python run.py sync"
    return "records", True, "all delivered"


def _stores() -> Iterator[Finding]:
    """Corrects the stores of a project that was moved, and looks for their artifacts."""
    import sqlite3

    for file in _store_files():
        try:
            yield _store(file)
        except sqlite3.Error as error:
            yield "store", False, f"{file.name} cannot be read ({error})"


def _store(file: Path) -> Finding:
    from ml_experiment_runner.record.sync import embedded_store

    corrected = embedded_store.correct(file)
    strays = embedded_store.strays(file)
    name = file.relative_to(root()).as_posix()
    if missing := [stray for stray in strays if not stray.exists]:
        what = f"{name}: the artifacts of {_runs(missing)} are missing ({missing[0].path})"
        return "store", False, f"{what}; bring the folder {embedded_store.ARTIFACTS} back"
    if strays:
        place = strays[0].path
        folder = next(
            (each for each in place.parents if each.name == embedded_store.ARTIFACTS), place
        )
        what = f"{name}: the artifacts of {_runs(strays)} lie outside ({place})"
        command = f"cp -Rn {shlex.quote(str(folder))} {shlex.quote(str(file.parent))}"
        return "store", False, f"{what}; {command}, then python run.py doctor"
    if code := re.search("%[0-9A-Fa-f]{2}", str(file.parent)):
        what = f"{file.parent}: MLflow loads no models from a folder with '{code[0]}' in its path"
        return "store", False, f"{what}; rename it"
    if corrected.homes:
        what = f"moved from {corrected.homes[0]}; {corrected.count} paths corrected"
        return "store", True, f"{name}: {what}"
    return "store", True, f"{name}: every run's artifacts are there"


def _runs(strays: Sequence["Stray"]) -> str:
    return f"run {strays[0].run}" + (f" and {len(strays) - 1} more" if len(strays) > 1 else "")


def _store_files() -> list[Path]:
    """The embedded stores in the project; others belong to somebody else, too."""
    from ml_experiment_runner.record.sync.embedded_store import store_file, unported
    from ml_experiment_runner.record.sync.markers import read_json

    outputs = root() / "outputs"
    found = {root() / "mlflow.db"}
    for noted in outputs.glob(".pending/*/store.json"):
        file = store_file(unported(read_json(noted).get("uri", ""), outputs))
        if file and file.is_relative_to(root()):
            found.add(file)
    return sorted(file for file in found if file.is_file())


def _space() -> Finding:
    free = shutil.disk_usage(root()).free / 1e9
    return "disk", free > 1, f"{free:,.0f} GB free"


def _output(*command: str) -> str | None:
    answer = subprocess.run(command, cwd=root(), capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else None
