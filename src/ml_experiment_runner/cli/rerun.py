"""Run a recorded run again as it was, and compare the metrics."""

import argparse
import contextlib
import importlib.metadata
import math
import os
import platform
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ml_experiment_runner.config.metrics import number
from ml_experiment_runner.config.overrides import quoted
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.project.secrets import MASK
from ml_experiment_runner.record.find_run import NAMES_OF_RUNS, load_run
from ml_experiment_runner.record.run_reader import RecordedRun, read_run
from ml_experiment_runner.record.sync.embedded_store import recorded_store, store_file

if TYPE_CHECKING:
    from filelock import FileLock

NOT_COMPARED = ("seconds/", "system/")
WORKTREES = ".rerun"
"""The folder of reruns' worktrees, in `outputs`."""
OURS = ("outputs", "tracking.uri", "threads")
"""Keys of the config that a rerun sets itself."""


def rerun(arguments: list[str]) -> int:
    """Runs the recorded commit, changes, config and data again in a git worktree of its own.

    Returns:
        0 if every metric is equal to the last digit, else 1.
    """
    parser = argparse.ArgumentParser("python run.py rerun", description=__doc__)
    parser.add_argument("run", help=NAMES_OF_RUNS)
    recorded = load_run(parser.parse_args(arguments).run)
    for note in _surroundings(recorded):
        print(f"note: {note}")
    name = f"{time.strftime('%H-%M-%S')}-{secrets.token_hex(4)}"
    folder = recorded.outputs / recorded.experiment / time.strftime("%Y-%m-%d") / name
    words = _words(recorded, folder)
    with _worktree(recorded) as project:
        _bring_data(recorded, project)
        environment = {**os.environ, "PYTHONPATH": str(project / "src")}
        _check_code(recorded, project, environment)
        environment["RUNNER_RERUN_OF"] = recorded.id
        environment["RUNNER_RERUN_AT"] = recorded.started.isoformat()
        print(f"run.py {' '.join(words)}\n", flush=True)
        done = subprocess.run([sys.executable, "run.py", *words], cwd=project, env=environment)
    if not (folder / "journal.jsonl").is_file():
        raise UserError(f"the rerun of {recorded.id} did not start (exit code {done.returncode})")
    return 0 if _compare(recorded, read_run(folder)) else 1


def _words(recorded: RecordedRun, folder: Path) -> list[str]:
    """The recorded overrides, and where the rerun belongs: beside the original."""
    words: list[str] = []
    for word in recorded.provenance.get("overrides", []):
        if MASK not in word:
            words.append(word)
        elif word.lstrip("+").startswith("tracking."):
            print(f"note: {word} was masked in the record; the rerun goes to the default store")
        else:
            raise UserError(f"{recorded.id}: the override {word} was masked in the record, so it "
                            "cannot be run again")  # fmt: skip
    words += [f"outputs={quoted(recorded.outputs)}", f"hydra.run.dir={quoted(folder)}"]
    before = Path(recorded.params.get("outputs", recorded.outputs))
    uri = recorded_store(recorded.params.get("tracking.uri", ""), before, recorded.outputs)
    if store := store_file(uri):
        store = store if store.is_file() else root() / "mlflow.db"
        words.append(f"tracking.uri={quoted(f'sqlite:///{store.as_posix()}')}")
    cores = recorded.provenance.get("cpu_count")
    if recorded.params.get("threads") == "None" and cores != os.cpu_count():
        words.append(f"threads={cores}")
    return words


def _surroundings(recorded: RecordedRun) -> Iterator[str]:
    """What is different here, and may change the result."""
    found = recorded.provenance
    for name, here in (
        ("python", platform.python_version()),
        ("platform", platform.platform()),
        ("cpu_count", os.cpu_count()),
    ):
        if found.get(name) not in (None, here):
            yield f"{name.replace('_', ' ')} is {here} here and was {found[name]}"
    if left := found.get("git_left_out"):
        yield f"too large for the record, and missing in the rerun: {', '.join(left)}"
    lock = recorded.folder / "artifacts" / "requirements.lock"
    if not lock.is_file():
        yield "the run had no requirements.lock: its packages are not known"
    elif others := _other_packages(lock.read_text(encoding="utf-8")):
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        yield f"installed packages differ from the recorded lock: {', '.join(others[:5])}{more}"


def _other_packages(lock: str) -> list[str]:
    """Installed packages whose version is none of those that the lock names for them."""
    locked: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock, re.MULTILINE):
        locked.setdefault(name, set()).add(version)
    others = []
    for name, versions in locked.items():
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            here = importlib.metadata.version(name)
            if here not in versions:
                others.append(f"{name} {here} (was {' or '.join(sorted(versions))})")
    return others


@contextlib.contextmanager
def _worktree(recorded: RecordedRun) -> Iterator[Path]:
    """The project as it was, in a folder of its own; today's files and index are not touched."""
    commit = str(recorded.provenance.get("git_commit", "none: the record does not say"))
    if commit.startswith("none"):
        raise UserError(f"{recorded.id} cannot be run again; its commit is {commit}")
    if _run("git", "cat-file", "-e", commit + "^{commit}").returncode:
        raise UserError(
            f"{recorded.id} was made from commit {commit}, which is not in this repository; "
            f"get it with `git fetch origin {commit}`"
        )
    place = recorded.outputs / WORKTREES / f"{recorded.id}-{secrets.token_hex(4)}"
    place.parent.mkdir(parents=True, exist_ok=True)
    patch = recorded.folder / "artifacts" / "uncommitted.patch"
    lock = _lock(place)
    lock.acquire()
    try:
        # No hook of the user's runs for a checkout that is none of theirs.
        _git("-c", f"core.hooksPath={os.devnull}", "worktree", "add", "--quiet", "--detach",
             str(place), commit)  # fmt: skip
        masked = recorded.provenance.get("git_masked", [])
        if masked:
            print(f"note: uncommitted.patch has {MASK} in place of secrets, in {', '.join(masked)}")
        if patch.is_file():
            _apply(patch, place, masked)
        elif recorded.provenance.get("git_dirty"):
            raise UserError(f"{patch} is missing: the run had uncommitted changes")
        print(f"code: commit {commit[:10]}{' and uncommitted.patch' if patch.is_file() else ''}")
        inside = _git("rev-parse", "--show-prefix").strip()
        yield (place / inside).resolve()
    finally:
        remove_worktree(place)
        lock.release()


def _apply(patch: Path, place: Path, masked: list[str]) -> None:
    """Make the changes that a patch holds; masked, a line that git has is another one there."""
    try:
        _git("apply", "--whitespace=nowarn", str(patch), folder=place)
    except UserError as error:
        if not masked:
            raise
        raise UserError(
            f"{error}\n{patch} has {MASK} in place of secrets, in {', '.join(masked)}: where a "
            "line beside a change is masked, git does not find it. Write the secrets back into "
            "the patch and repeat the rerun"
        ) from None


def remove_worktree(place: Path) -> None:
    """Remove a rerun's worktree, its folder and git's note of it, whatever is left of them."""
    # forced twice: git locks one while it makes it, and a kill leaves it locked
    if _run("git", "worktree", "remove", "--force", "--force", str(place)).returncode:
        shutil.rmtree(place, ignore_errors=True)
        _run("git", "worktree", "unlock", str(place))
        _run("git", "worktree", "prune")
    Path(_lock(place).lock_file).unlink(missing_ok=True)


def is_in_use(place: Path) -> bool:
    """Whether the rerun that made a worktree still works; a killed one does not."""
    from filelock import Timeout

    try:
        with _lock(place).acquire(timeout=0):
            return False
    except Timeout:
        return True


def _lock(place: Path) -> "FileLock":
    from filelock import FileLock

    return FileLock(f"{place}.lock")


def _bring_data(recorded: RecordedRun, project: Path) -> None:
    """The recorded snapshots, out of this repository's DVC cache or from its remote."""
    artifacts = recorded.folder / "artifacts"
    kept = sorted([*artifacts.glob("signals/*.dvc"), *artifacts.glob("versions/*/*")])
    if not kept:
        return
    targets = []
    for path in kept:
        target = project / "data" / path.relative_to(artifacts)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        if path.suffix == ".dvc":
            targets.append(target.relative_to(project).as_posix())
    local = root() / ".dvc" / "config.local"
    if local.is_file():  # Where a remote is and how to enter it is this machine's matter.
        shutil.copyfile(local, project / ".dvc" / "config.local")
    cache = _dvc(root(), "cache", "dir").stdout.strip()
    _dvc(project, "config", "--local", "cache.dir", cache)
    if _dvc(project, "checkout", "--quiet", *targets).returncode:
        _point_to_remotes(project)
        pulled = _dvc(project, "pull", "--quiet", *targets)
        if pulled.returncode:
            print("note: neither DVC's cache nor its remote has all of the recorded data; what is "
                  "missing is received again from its source")  # fmt: skip
    names = [target.removeprefix("data/").removesuffix(".dvc") for target in targets]
    names = [name.removeprefix("signals/").removeprefix("versions/") for name in names]
    print(f"data: {', '.join(names)} as recorded")


def _point_to_remotes(project: Path) -> None:
    """A remote that is a folder beside this repository lies elsewhere from the worktree."""
    for line in _dvc(root(), "remote", "list").stdout.splitlines():
        found = re.fullmatch(r"(\S+)\s+(.*?)(?:\s+\(default\))?", line)
        if found and "://" not in found.group(2):
            _dvc(project, "remote", "modify", "--local", found.group(1), "url", found.group(2))


def _check_code(recorded: RecordedRun, project: Path, environment: dict[str, str]) -> None:
    """Whether Python finds the recorded code: an editable install would find today's."""
    for package in ("runner", recorded.params["package"]):
        asked = f"import importlib.util as u; print(u.find_spec({package!r}).origin)"
        done = _run(sys.executable, "-c", asked, folder=project, environment=environment)
        found = done.stdout.strip()
        if done.returncode or not Path(found).resolve().is_relative_to(project):
            raise UserError(f"Python finds {package} in {found or 'no place'} and not in {project}")
        print(f"{package}: {Path(found).parent}")


def _compare(recorded: RecordedRun, again: RecordedRun) -> bool:
    """Print both runs' metrics side by side, equal bounds left out; whether all are equal."""
    print(f"\nrecorded {recorded.id} ({recorded.status}), rerun {again.id} ({again.status})")
    data = [{one["signal"]: one["md5"] for one in run.datasets} for run in (recorded, again)]
    for signal in sorted(data[0].keys() | data[1].keys()):
        was, now = data[0].get(signal, "not read"), data[1].get(signal, "not read")
        if was != now:
            print(f"data differ: {signal} was {was} and is {now}")
    for name in {**recorded.params, **again.params}:
        old, new = recorded.params.get(name), again.params.get(name)
        if old != new and name not in OURS:
            print(f"params differ: {name} was {old} and is {new}")
    names = [
        name for name in {**recorded.metrics, **again.metrics}
        if not name.startswith(NOT_COMPARED)
    ]  # fmt: skip
    width = max(map(len, names), default=0)
    print(f"{'metric':<{width}}  {'recorded':>18}  {'rerun':>18}  difference")
    different = 0
    for name in names:
        was, now = recorded.metrics.get(name), again.metrics.get(name)
        equal = was == now or (
            was is not None and now is not None and math.isnan(was) and math.isnan(now)
        )
        different += not equal
        if equal and name.endswith(("/low", "/high")):
            continue
        gap = "0" if equal else "-" if was is None or now is None else f"{now - was:+.3g}"
        print(f"{name:<{width}}  {_shown(was):>18}  {_shown(now):>18}  {gap}")
    if different or not names:
        print(f"{different} of {len(names)} metrics differ")
        return False
    print(f"equal to the last digit: {len(names)} metrics")
    return recorded.status == again.status


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return number(value) if value.is_integer() else f"{value:,.12g}"


def _git(*arguments: str, folder: Path | None = None) -> str:
    done = _run("git", *arguments, folder=folder)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        command = next(word for word in arguments if word in ("worktree", "apply", "rev-parse"))
        raise UserError(f"git {command} failed: {lines[0]}")
    return done.stdout


def _dvc(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    return _run(sys.executable, "-m", "dvc", *arguments, folder=folder, environment=environment)


def _run(
    *command: str, folder: Path | None = None, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, cwd=folder or root(), env=environment, capture_output=True, text=True
        )
    except FileNotFoundError:
        raise UserError(f"{command[0]} is not installed, and a rerun needs it") from None
