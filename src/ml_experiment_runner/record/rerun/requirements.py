"""The requirements of a recorded run's environment: locks, extras, and the runner."""

import hashlib
import json
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.installed_runner import DISTRIBUTION, PACKAGE, digest
from ml_experiment_runner.project.runner_pin import PIN, Facts, describe, pin_line
from ml_experiment_runner.project.secrets import MASK
from ml_experiment_runner.record.provenance import extras
from ml_experiment_runner.record.run_reader import RecordedRun

LOCK = "requirements.lock"
SETUP = "tools/setup.py"
VENDORED = "src/runner/__init__.py"
"""A file that only projects with a vendored runner have."""
_COPIED = (
    *("tools/*.py", "requirements*.lock", PIN, "pyproject.toml", "uv.toml"),
    *("src/runner/requirements-build.lock", "src/runner/extras/*.txt"),
)
"""What `tools/setup.py` reads, in this version and in vendored ones."""


@dataclass(frozen=True)
class Requirements:
    """What an environment is made from.

    Attributes:
        files: Content of the files that its set-up reads, by path in the project.
        locks: The names of the locks among them.
        extras: The chosen extras of the runner; None where they are not recorded.
        runner: The recorded runner; empty where it is not recorded.
        pin: The line that pinned the runner; None where the project had none.
        is_vendored: Whether the runner was among the project's own code.
    """

    files: Mapping[str, bytes]
    locks: tuple[str, ...]
    extras: tuple[str, ...] | None
    runner: Facts
    pin: str | None
    is_vendored: bool

    def key(self) -> str:
        """A key of the environment, the same for equal locks, extras, runner and Python."""
        build = [name for name in self.files if name.endswith("-build.lock")]
        content = {name: hashlib.sha256(self.files[name]).hexdigest()
                   for name in sorted({*self.locks, *build})}  # fmt: skip
        made_from = [content, self.extras or (), self.pin_to_install(), self.runner.get("digest"),
                     platform.python_version()]  # fmt: skip
        return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:16]

    def pin_to_install(self) -> str | None:
        """The requirement that installs the recorded runner; None where it is vendored.

        Raises:
            UserError: Its code was not kept.
        """
        if self.is_vendored:
            return None
        if not self.runner or (self.pin and _names(self.pin, self.runner)):
            if self.pin:
                return self.pin
            raise UserError(f"neither the record nor its {PIN} names the runner")
        return _requirement(self.runner)


def requirements_of(recorded: RecordedRun, project: Path) -> Requirements:
    """The requirements of a recorded run's environment.

    Args:
        recorded: The run.
        project: Its project at the recorded commit.
    """
    files = {
        path.relative_to(project).as_posix(): path.read_bytes()
        for pattern in _COPIED
        for path in sorted(project.glob(pattern))
    }
    kept = recorded.folder / "artifacts" / LOCK
    recorded_hash = recorded.provenance.get("lock_sha256")
    if kept.is_file() and hashlib.sha256(files.get(LOCK, b"")).hexdigest() != recorded_hash:
        files[LOCK] = kept.read_bytes()  # as where git ignores it
    is_vendored = (project / VENDORED).is_file()
    chosen = recorded.provenance.get("extras")
    if chosen is None and is_vendored:
        chosen = _vendored_extras(recorded, files)
    names = [LOCK, "requirements-example.lock", *(_lock_of(name) for name in chosen or ())]
    return Requirements(
        files=files,
        locks=tuple(name for name in names if name in files),
        extras=None if chosen is None else tuple(chosen),
        runner=recorded.provenance.get("runner", {}),
        pin=pin_line(project),
        is_vendored=is_vendored,
    )


def differences(requirements: Requirements, today: Path, runner: Facts) -> Iterator[str]:
    """What differs between a recorded environment and today's, for people.

    Args:
        requirements: What it was made from.
        today: The project as it is.
        runner: The runner that is installed.
    """
    for name in requirements.locks:
        path = today / name
        if not path.is_file() or path.read_bytes() != requirements.files[name]:
            yield name
    if missing := sorted(set(requirements.extras or ()) - set(extras())):
        yield f"extras {' '.join(missing)}"
    if requirements.is_vendored:
        return
    if requirements.runner:
        if not same_runner(requirements.runner, runner):
            yield f"runner ({describe(requirements.runner)}; today {describe(runner)})"
    elif requirements.pin != pin_line(today):
        yield f"runner ({requirements.pin or 'not pinned'})"


def same_runner(one: Facts, other: Facts) -> bool:
    """Whether two runners have the same code, by digest, commit, or version and origin."""
    if "digest" in one and "digest" in other:
        return bool(one["digest"] == other["digest"])
    if one.get("commit") and other.get("commit"):
        changed = one.get("changed", False) or other.get("changed", False)
        return bool(one["commit"] == other["commit"] and not changed)
    if one.get("source") == other.get("source"):
        same = ("version", "sha256") if "sha256" in one else ("version", "address")
        return all(one.get(name) == other.get(name) for name in same)
    return False


def _names(pin: str, runner: Facts) -> bool:
    """Whether a pin's line installs a runner with the same code."""
    if commit := runner.get("commit"):
        return not runner.get("changed") and f"@{commit}" in pin
    version = re.match(r"[\w.-]+\s*==\s*([^\s;]+)", pin)
    return runner["source"] == "index" and version is not None and version[1] == runner["version"]


def _requirement(runner: Facts) -> str:
    """The requirement of a recorded runner that the project's pin does not name."""
    address, source = str(runner.get("address", "")), runner["source"]
    if source == "index":
        return f"{DISTRIBUTION}=={runner['version']}"
    if MASK in address:
        raise UserError(f"the address of the runner is masked in the record ({address})")
    if source == "git":
        return f"{DISTRIBUTION} @ git+{address}@{runner['commit']}"
    if source == "file":
        return f"{DISTRIBUTION} @ {address}"
    folder = Path(address)
    if runner.get("commit") and runner.get("changed") is False:
        return f"{DISTRIBUTION} @ git+{folder.as_uri()}@{runner['commit']}"
    if "digest" not in runner:  # as where the run was killed at its start
        raise UserError(f"the runner was the checkout {folder}, whose state is not recorded")
    if digest(folder / "src" / PACKAGE) == runner["digest"]:
        return f"{DISTRIBUTION} @ {folder.as_uri()}"
    raise UserError(f"the runner was the checkout {folder} with uncommitted changes, and it has "
                    "changed since")  # fmt: skip


def _lock_of(extra: str) -> str:
    """The lock of an extra in a vendored project."""
    return f"requirements-{extra}.lock"


def _vendored_extras(recorded: RecordedRun, files: Mapping[str, bytes]) -> list[str]:
    """The extras that the run's classes come from, and those that are chosen today.

    Vendored runs did not record which were installed.
    """
    targets = {value.partition(".")[0].lower().replace("_", "-")
               for name, value in recorded.params.items() if name.endswith("_target_")}  # fmt: skip
    base = _locked_names(files.get(LOCK, b""))
    chosen = []
    for path in sorted(files):
        if match := re.fullmatch(r"src/runner/extras/([\w-]+)\.txt", path):
            names = _locked_names(files.get(_lock_of(match[1]), b"")) - base
            if targets & names or match[1] in extras():
                chosen.append(match[1])
    return chosen


def _locked_names(lock: bytes) -> set[str]:
    """The names of the packages in a lock."""
    return set(re.findall(r"^([a-z0-9._-]+)==", lock.decode(), re.MULTILINE))
