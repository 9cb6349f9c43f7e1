"""The Python and the runner of a rerun: today's, or the recorded ones."""

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
        path: Folders of packages that it searches after the project's own.
        requirements: What it was made from; None where it is today's.
    """

    python: Path
    path: tuple[Path, ...] = ()
    requirements: Requirements | None = None

    def variables(self, project: Path, **more: str) -> dict[str, str]:
        """The variables of a process that works in a project with this environment.

        Args:
            project: The folder of `run.py`.
            more: Variables to add.
        """
        path = os.pathsep.join(map(str, (project / "src", *self.path)))
        variables = clean_environment(PYTHONPATH=path, **more)
        if self.requirements is not None:  # as if it was activated
            variables["VIRTUAL_ENV"] = str(self.python.parents[1])
            variables["PATH"] = os.pathsep.join(
                [str(self.python.parent), variables.get("PATH", "")]
            )
        return variables


@contextlib.contextmanager
def environment_of(recorded: RecordedRun, project: Path, here: bool) -> Iterator[Environment]:
    """The environment in which a recorded run is run again; prints which and why.

    Args:
        recorded: The run.
        project: Its project at the recorded commit.
        here: Whether today's is used in any case.

    Raises:
        UserError: The recorded one cannot be built.
    """
    requirements = requirements_of(recorded, project)
    changed = list(differences(requirements, root(), installed_runner.runner_with_state()))
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
            folder = stack.enter_context(kept_environment(requirements))
        except (UserError, OSError) as error:
            if full_disk(error):
                raise
            raise UserError(
                f"the recorded environment cannot be built: {error}\npython run.py rerun "
                f"{recorded.id} --here uses today's environment instead"
            ) from None
        print(f"environment: {os.path.relpath(folder, root())}")
        yield Environment(python_of(folder), requirements=requirements)


def check_code(recorded: RecordedRun, project: Path, environment: Environment) -> None:
    """Print and check which runner and which of the project's code the rerun imports.

    An editable install would import today's, so the rerun's own Python is asked.

    Raises:
        UserError: It imports others.
    """
    variables = environment.variables(project)
    names = [recorded.params["package"]]
    if (project / VENDORED).is_file():
        names.insert(0, "runner")
    else:
        runner = _ask_runner(project, environment.python, variables)
        print(f"runner: {describe(runner)}, in {runner.get('package', 'no folder')}")
        _check_runner(environment.requirements, runner)
    for name in names:
        code = f"import importlib.util as u; print(u.find_spec({name!r}).origin)"
        answer = run_program(
            str(environment.python), "-c", code, folder=project, environment=variables
        )
        origin = answer.stdout.strip()
        if answer.returncode or not Path(origin).resolve().is_relative_to(project):
            raise UserError(f"{name} must be imported from {project}, got {origin or 'nothing'}")
        print(f"{name}: {Path(origin).parent}")


def surroundings(recorded: RecordedRun) -> Iterator[str]:
    """Differences of this machine that may change the result."""
    provenance = recorded.provenance
    for name, here in (
        ("python", platform.python_version()),
        ("platform", platform.platform()),
        ("cpu_count", os.cpu_count()),
    ):
        if provenance.get(name) not in (None, here):
            yield f"{name.replace('_', ' ')} is {here} here and was {provenance[name]}"
    if left_out := provenance.get("git_left_out"):
        yield f"too large for the record, and missing in the rerun: {', '.join(left_out)}"


def _path_of_today() -> tuple[Path, ...]:
    """The folder of this process's runner, unless it is an installed one."""
    spec = importlib.util.find_spec(installed_runner.PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).resolve().parents[1]
    return () if folder.name in ("site-packages", "dist-packages") else (folder,)


def _ask_runner(project: Path, python: Path, variables: dict[str, str]) -> dict[str, Any]:
    """The runner of another Python."""
    code = Path(installed_runner.__file__).read_text(encoding="utf-8")
    answer = run_program(str(python), "-c", code, folder=project, environment=variables)
    if answer.returncode:
        reason = (answer.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"the runner of {python} is not known: {reason}")
    return dict(json.loads(answer.stdout))


def _check_runner(requirements: Requirements | None, runner: dict[str, Any]) -> None:
    """Refuse a recorded environment with another runner."""
    if requirements is None:
        if runner["source"] == "missing":
            raise UserError("the runner is not installed here: make setup")
        return
    pin = requirements.pin_to_install() or ""
    if same_runner(requirements.runner, runner) if requirements.runner else is_pinned(runner, pin):
        return
    raise UserError(f"the recorded environment has the runner {describe(runner)} and not "
                    f"{describe(requirements.runner) if requirements.runner else pin}")  # fmt: skip


def _other_packages(recorded: RecordedRun) -> Iterator[str]:
    """Installed packages whose versions differ from the recorded lock."""
    lock = recorded.folder / "artifacts" / LOCK
    if not lock.is_file():
        yield f"the run has no {LOCK}: its packages are not known"
        return
    locked: dict[str, set[str]] = {}
    text = lock.read_text(encoding="utf-8")
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE):
        locked.setdefault(name, set()).add(version)
    changed = []
    for name, versions in locked.items():
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            here = importlib.metadata.version(name)
            if here not in versions:
                changed.append(f"{name} {here} (was {' or '.join(sorted(versions))})")
    if changed:
        more = f" and {len(changed) - 5} more" if len(changed) > 5 else ""
        yield f"installed packages differ from the recorded lock: {', '.join(changed[:5])}{more}"
