"""The parameters of the standard tests: everything that belongs to the project."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from ml_experiment_runner.config.composition import compose
from ml_experiment_runner.config.options import folder, groups, own_options
from ml_experiment_runner.dataset import expressions
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.signals.contract.contract_file import contract_files, signal_name


def package() -> str:
    """The name of the project's package."""
    return str(compose("task=ingest").package)


def contracts() -> dict[str, str]:
    """The contract of each signal, as a path from the project's root."""
    return {signal_name(path): f"signals/{path.name}" for path in contract_files(root())}


def features() -> list[str]:
    """Names of all features; none if they cannot be loaded, which another test checks."""
    with suppress(UserError):
        return sorted(expressions.load(package()).features) if contracts() else []
    return []


def own_choices() -> list[str]:
    """The project's options without experiments, such as `model=mine`."""
    return [
        f"{group}={name}"
        for group in groups()
        if group != "experiment"
        for name in own_options(group)
    ]


def sources() -> list[Path]:
    """The project's Python files."""
    return [root() / "run.py", *sorted((root() / "src" / package()).rglob("*.py"))]


def configurations() -> list[Path]:
    """The project's configuration files."""
    return sorted(folder().rglob("*.yaml"))


VALUES: Mapping[str, tuple[Callable[[], Iterable[object]], str]] = {
    "experiment": (lambda: own_options("experiment"), "conf/experiment/ contains no experiment"),
    "dataset": (lambda: own_options("dataset"), "conf/dataset/ contains no dataset"),
    "choice": (own_choices, "conf/ contains no option of the project"),
    "signal": (contracts, "signals/ contains no contract"),
    "feature": (features, "features.py contains no feature that can be loaded"),
    "source": (sources, "the project contains no Python file"),
    "configuration": (configurations, "conf/ contains no file"),
}
"""For each argument of a test: its values, and why a test without values is skipped."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs a test for each value of its argument; skips it if there is none."""
    for name in VALUES.keys() & set(metafunc.fixturenames):
        values, reason = VALUES[name]
        none = pytest.param(None, marks=pytest.mark.skip(reason=reason), id="none")
        metafunc.parametrize(name, list(values()) or [none], ids=_id)


def _id(value: object) -> str | None:
    if isinstance(value, Path):
        is_configuration = value.suffix == ".yaml"
        return f"{value.parent.name}/{value.name}" if is_configuration else value.name
    return None if value is None else str(value)
