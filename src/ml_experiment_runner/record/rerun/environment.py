"""The Python and the runner that a rerun works with: today's, or those of then."""

import contextlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ml_experiment_runner.project import installed_runner
from ml_experiment_runner.project.errors import UserError, full_disk
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.project.runner_pin import describe, is_pinned
from ml_experiment_runner.record.rerun.kept_environments import kept_environment, python_of
from ml_experiment_runner.record.rerun.processes import clean_environment, run_program
from ml_experiment_runner.record.rerun.requirements import (
    LOCK,
    VENDORED,
    Requirements,
    differences,
    requirements_of,
    same_runner,
)
from ml_experiment_runner.record.run_reader import RecordedRun


@dataclass(frozen=True)
class Environment:
    """What a rerun is run with.

    Attributes:
        python: Its interpreter.
        path: Folders where that looks for packages after the project's own.
        then: What it was made from; None where it is today's.
    """

    python: Path
    path: tuple[Path, ...] = ()
    then: Requirements | None = None

    def variables(self, project: Path, **more: str) -> dict[str, str]:
        """The variables of a process that works in a project with this environment.

        Args:
            project: The folder of `run.py`.
            more: Variables to add.
        """
        path = os.pathsep.join(map(str, (project / "src", *self.path)))
        variables = clean_environment(PYTHONPATH=path, **more)
        if self.then is not None:  # as if it was activated
            variables["VIRTUAL_ENV"] = str(self.python.parents[1])
            variables["PATH"] = os.pathsep.join(
                [str(self.python.parent), variables.get("PATH", "")]
            )
        return variables


@contextlib.contextmanager
def environment_of(recorded: RecordedRun, project: Path, here: bool) -> Iterator[Environment]:
    """The environment that a recorded run is run again with; says which and why.

    Args:
        recorded: The run.
        project: Its project as it was then.
        here: Whether today's is taken in any case.

    Raises:
        UserError: That of then cannot be built.
    """
    then = requirements_of(recorded, project)
    changed = list(differences(then, root(), installed_runner.runner_with_state()))
    if here or not changed:
        print(f"environment: today's ({sys.prefix})")
        if changed:
            print(f"note: the recorded environment had another {', '.join(changed)}")
        for note in _other_packages(recorded):
            print(f"note: {note}")
        yield Environment(Path(sys.executable), _path_of_today())
        return
    print(f"environment: as recorded, with another {', '.join(changed)}", flush=True)
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(kept_environment(then))
        except (UserError, OSError) as error:
            if full_disk(error):
                raise
            raise UserError(
                f"the recorded environment cannot be built: {error}\npython run.py rerun "
                f"{recorded.id} --here uses today's environment instead"
            ) from None
        print(f"environment: {os.path.relpath(folder, root())}")
        yield Environment(python_of(folder), then=then)


def check_code(recorded: RecordedRun, project: Path, environment: Environment) -> None:
    """Print and check which runner and which of the project's code the rerun gets.

    An editable install would find today's, so the rerun's own Python is asked.

    Raises:
        UserError: It gets others than it should.
    """
    variables = environment.variables(project)
    names = [recorded.params["package"]]
    if (project / VENDORED).is_file():
        names.insert(0, "runner")
    else:
        runner = _ask_runner(project, environment.python, variables)
        print(f"runner: {describe(runner)}, in {runner.get('package', 'no folder')}")
        _check_runner(environment.then, runner)
    for name in names:
        asked = f"import importlib.util as u; print(u.find_spec({name!r}).origin)"
        done = run_program(
            str(environment.python), "-c", asked, folder=project, environment=variables
        )
        found = done.stdout.strip()
        if done.returncode or not Path(found).resolve().is_relative_to(project):
            raise UserError(f"Python finds {name} in {found or 'no place'} and not in {project}")
        print(f"{name}: {Path(found).parent}")


def surroundings(recorded: RecordedRun) -> Iterator[str]:
    """What is different on this machine, and may change the result."""
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


def _path_of_today() -> tuple[Path, ...]:
    """Where this process has its runner from, unless that is an installed one."""
    found = importlib.util.find_spec(installed_runner.PACKAGE)
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).resolve().parents[1]
    return () if folder.name in ("site-packages", "dist-packages") else (folder,)


def _ask_runner(project: Path, python: Path, variables: dict[str, str]) -> dict[str, Any]:
    """Which runner another Python has."""
    text = Path(installed_runner.__file__).read_text(encoding="utf-8")
    done = run_program(str(python), "-c", text, folder=project, environment=variables)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"{python} does not say which runner it has: {reason}")
    return dict(json.loads(done.stdout))


def _check_runner(then: Requirements | None, runner: dict[str, Any]) -> None:
    """Refuse a recorded environment with another runner."""
    if then is None:
        if runner["source"] == "missing":
            raise UserError("the runner is not installed here: make setup")
        return
    pin = then.pin_to_install() or ""
    if same_runner(then.runner, runner) if then.runner else is_pinned(runner, pin):
        return
    raise UserError(f"the recorded environment has the runner {describe(runner)} and not "
                    f"{describe(then.runner) if then.runner else pin}")  # fmt: skip


def _other_packages(recorded: RecordedRun) -> Iterator[str]:
    """Installed packages whose version is none of those that the recorded lock names for them."""
    lock = recorded.folder / "artifacts" / LOCK
    if not lock.is_file():
        yield f"the run had no {LOCK}: its packages are not known"
        return
    locked: dict[str, set[str]] = {}
    text = lock.read_text(encoding="utf-8")
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE):
        locked.setdefault(name, set()).add(version)
    others = []
    for name, versions in locked.items():
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            here = importlib.metadata.version(name)
            if here not in versions:
                others.append(f"{name} {here} (was {' or '.join(sorted(versions))})")
    if others:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        yield f"installed packages differ from the recorded lock: {', '.join(others[:5])}{more}"
