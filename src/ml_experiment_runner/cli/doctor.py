"""Check the environment: interpreter, packages, runner, git, DVC, signals, records."""

import argparse
import importlib.metadata
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.installed_runner import runner_with_state
from ml_experiment_runner.project.repository import git, root
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

_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)(?:\s*;\s*(.+?))?\s*\\?$", re.MULTILINE)


class Check(NamedTuple):
    """The result of a check.

    Attributes:
        name: What was checked.
        is_ok: Whether nothing must be done.
        detail: The state; where something must be done, what to do.
    """

    name: str
    is_ok: bool
    detail: str


def doctor(arguments: list[str]) -> int:
    """Prints a line for each check.

    Returns:
        1 if there is a problem.
    """
    argparse.ArgumentParser(prog="python run.py doctor", description=__doc__).parse_args(arguments)
    has_problem = False
    for check in checks():
        has_problem |= not check.is_ok
        print(f"{'ok' if check.is_ok else 'PROBLEM':<8} {check.name:<12} {check.detail}")
    return 1 if has_problem else 0


def checks() -> Iterator[Check]:
    """Runs every check."""
    yield check_python()
    yield check_packages()
    yield check_runner()
    yield check_git()
    yield check_dvc()
    yield check_configuration()
    yield from check_signals()
    yield check_records()
    yield from check_stores()
    yield check_disk()


def check_python() -> Check:
    """Checks that Python's version is supported."""
    version = sys.version_info
    is_supported = (3, 11) <= version[:2] <= (3, 13)
    return Check("python", is_supported,
                 f"{version.major}.{version.minor}.{version.micro} ({sys.executable})")  # fmt: skip


def check_packages() -> Check:
    """Compares the installed packages with the lock."""
    lock = root() / "requirements.lock"
    if not lock.exists():
        return Check("packages", False, "requirements.lock is missing: make lock")
    differences = []
    locked = _REQUIREMENT.findall(lock.read_text(encoding="utf-8"))
    for name, version, marker in locked:
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            # a package with a marker may be for another system
            if not marker:
                differences.append(f"{name} is missing")
            continue
        if installed != version and not marker:
            differences.append(f"{name} {installed} instead of {version}")
    if differences:
        shown = ", ".join(differences[:3]) + (" …" if len(differences) > 3 else "")
        return Check("packages", False, f"{shown}: make setup")
    return Check("packages", True, f"{len(locked)} as in requirements.lock")


def check_runner() -> Check:
    """Compares the installed runner with the pin."""
    project = root()
    pin = pin_line(project)
    runner = runner_with_state()
    installed = describe(runner)
    if place := remembered_runner(project):
        expected, is_ok = f"{place} as .git/config says", is_from(runner, place)
        note = " (as .git/config says)"
    elif pin is None:
        problem = f"{PIN} must name the runner in exactly one line: restore it from git"
        return Check("runner", False, f"{installed}; {problem}")
    else:
        expected, is_ok = f"{mask_addresses(pin)} as {PIN} says", is_pinned(runner, pin)
        note = ""
    if not is_ok:
        return Check("runner", False, f"{installed} instead of {expected}: make setup")
    return Check("runner", True, f"{installed}{note}")


def check_git() -> Check:
    """Checks that git is installed and the project has a commit."""
    if shutil.which("git") is None:
        return Check("git", False, "not installed: runs are recorded without their commit")
    commit = git(root(), "rev-parse", "--short", "HEAD")
    if commit is None:
        return Check("git", False, "no commit yet: git init && git add -A && git commit -m 'Start'")
    return Check("git", True, f"at {commit}")


def check_dvc() -> Check:
    """Checks that DVC has a remote."""
    config = root() / ".dvc" / "config"
    if not config.exists():
        return Check("dvc", False, ".dvc/config is missing: restore it from git")
    url = re.search(r"^\s*url\s*=\s*(.+)$", config.read_text(encoding="utf-8"), re.MULTILINE)
    if url is None:
        return Check("dvc", False, "no remote: dvc remote add -d <name> <url>")
    return Check("dvc", True, f"remote {mask_addresses(url.group(1).strip())}")


def check_configuration() -> Check:
    """Checks that every experiment composes."""
    from ml_experiment_runner.config.composition import compose
    from ml_experiment_runner.config.options import options

    names = options("experiment")
    for name in names:
        try:
            compose(f"+experiment={name}")
        except UserError as error:
            return Check("conf", False, f"{name}: {error}")
    return Check("conf", True, f"{len(names)} experiments compose")


def check_signals() -> Iterator[Check]:
    """Checks every contract and its current snapshot."""
    from ml_experiment_runner.signals.contract.contract_file import read_contracts
    from ml_experiment_runner.signals.snapshots.snapshot import current

    contracts = read_contracts(root())
    for error in contracts.broken.values():
        yield Check("signals", False, str(error))
    if not contracts and not contracts.broken:
        yield Check("signals", True, "none yet (python run.py new signal NAME --from FILE)")
    for name, contract in contracts.items():
        try:
            snapshot = current(contract)
        except UserError as error:
            yield Check("signals", False, str(error))
            continue
        if snapshot is None:
            state = "not ingested yet; the first run does it"
        else:
            state = f"{snapshot.rows:,} rows, version {snapshot.version}"
        yield Check("signals", True, f"{name}: {state}")


def check_records() -> Check:
    """Counts ended runs that are not in MLflow yet."""
    from ml_experiment_runner.record.sync.markers import is_working

    markers = (root() / "outputs" / ".pending").glob("*/*.run")
    # a run in progress is synced as it goes
    pending = sum(not is_working(marker) for marker in markers)
    if pending:
        return Check("records", False, f"{pending} runs are not in MLflow yet: python run.py sync")
    return Check("records", True, "all in MLflow")


def check_stores() -> Iterator[Check]:
    """Corrects the stores of a project that was moved, and looks for their artifacts."""
    import sqlite3

    for file in _store_files():
        try:
            yield _check_store(file)
        except sqlite3.Error as error:
            yield Check("store", False, f"{file.name} cannot be read ({error})")


def _check_store(file: Path) -> Check:
    from ml_experiment_runner.record.sync import embedded_store

    corrected = embedded_store.correct(file)
    strays = embedded_store.strays(file)
    name = file.relative_to(root()).as_posix()
    if missing := [stray for stray in strays if not stray.exists]:
        problem = f"the artifacts of {_runs(missing)} are missing ({missing[0].path})"
        advice = f"restore the folder {embedded_store.ARTIFACTS}"
        return Check("store", False, f"{name}: {problem}; {advice}")
    if strays:
        path = strays[0].path
        artifacts = (parent for parent in path.parents if parent.name == embedded_store.ARTIFACTS)
        folder = next(artifacts, path)
        problem = f"the artifacts of {_runs(strays)} are outside the project ({path})"
        command = f"cp -Rn {shlex.quote(str(folder))} {shlex.quote(str(file.parent))}"
        return Check("store", False, f"{name}: {problem}; {command}, then python run.py doctor")
    if code := re.search("%[0-9A-Fa-f]{2}", str(file.parent)):
        problem = f"MLflow cannot load models from a folder with '{code[0]}' in its path"
        return Check("store", False, f"{file.parent}: {problem}; rename it")
    if corrected.homes:
        state = f"moved from {corrected.homes[0]}; {corrected.count} paths corrected"
        return Check("store", True, f"{name}: {state}")
    return Check("store", True, f"{name}: the artifacts of every run exist")


def _runs(strays: Sequence["Stray"]) -> str:
    return f"run {strays[0].run}" + (f" and {len(strays) - 1} more" if len(strays) > 1 else "")


def _store_files() -> list[Path]:
    """The embedded stores in the project; others may belong to other projects, too."""
    from ml_experiment_runner.record.sync.embedded_store import store_file, unported
    from ml_experiment_runner.record.sync.markers import read_json

    outputs = root() / "outputs"
    files = {root() / "mlflow.db"}
    for note in outputs.glob(".pending/*/store.json"):
        file = store_file(unported(read_json(note).get("uri", ""), outputs))
        if file and file.is_relative_to(root()):
            files.add(file)
    return sorted(file for file in files if file.is_file())


def check_disk() -> Check:
    """Checks that more than 1 GB is free."""
    free = shutil.disk_usage(root()).free / 1e9
    return Check("disk", free > 1, f"{free:,.0f} GB free")
