"""The runner that a project is pinned to: one line of `requirements-runner.txt`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_experiment_runner.project.installed_runner import path_of
from ml_experiment_runner.project.repository import git
from ml_experiment_runner.project.secrets import mask_addresses

PIN = "requirements-runner.txt"
REMEMBERED = "ml-experiment.runner"
"""Key of `.git/config`: a checkout or a wheel that `make setup` installs instead of the pin."""

Facts = Mapping[str, Any]
"""What `ml_experiment_runner.project.installed_runner` returns."""


def pin_line(project: Path) -> str | None:
    """The requirement in the pin's file; None if the file has none or several."""
    path = project / PIN
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    lines = [line.strip().removesuffix("\\").strip() for line in text.splitlines()]
    requirements = [line for line in lines if line and not line.startswith(("#", "-"))]
    return requirements[0] if len(requirements) == 1 else None


def remembered_runner(project: Path) -> Path | None:
    """The checkout or wheel that this machine installs instead of the pin; calls git."""
    place = git(project, "config", "--local", "--get", REMEMBERED)
    return Path(place).expanduser().resolve() if place else None


def describe(runner: Facts) -> str:
    """A runner as text: its version, commit and origin."""
    if runner.get("source") in (None, "missing"):
        return "not installed"
    details = [str(runner.get("version", "unknown version"))]
    if commit := runner.get("commit"):
        details.append(f"at {commit[:10]}")
    if runner.get("changed"):
        details.append("with local changes")
    if address := runner.get("address"):
        details.append(f"from {mask_addresses(address)}")
    if not runner.get("installed", True):
        details.append("(on Python's path, not installed)")
    return " ".join(details)


def is_pinned(runner: Facts, line: str) -> bool:
    """Whether an installed runner is the one that a pin names.

    Args:
        runner: What `installed_runner` returns.
        line: Such as `ml-experiment-runner @ git+https://…@<commit>`.
    """
    requirement = line.partition(" --")[0].partition(";")[0].strip()
    if version := re.fullmatch(r"[\w.-]+\s*==\s*(\S+)", requirement):
        return runner["source"] in ("index", "file") and runner.get("version") == version[1]
    address = requirement.partition("@")[2].strip()
    if address.startswith("git+"):
        commit = runner.get("commit")
        return runner["source"] == "git" and commit is not None and f"@{commit}" in address
    return is_from(runner, path_of(address))


def is_from(runner: Facts, place: Path) -> bool:
    """Whether an installed runner comes from this checkout or wheel."""
    address = str(runner.get("address", ""))
    origin = path_of(address) if runner["source"] == "file" else Path(address)
    return bool(address and runner.get("installed", True) and origin == place)
