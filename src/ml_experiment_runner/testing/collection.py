"""Collects the standard tests as if they were in the project's folder `tests/standard`.

That folder does not exist: the files are in the package. Their ids are those of files in the
project, such as `tests/standard/test_signals.py::test_contract_is_valid[weather]`, so an id that
pytest prints can be typed, deselected and remembered by `--last-failed`.
"""

import importlib
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import enter
from ml_experiment_runner.testing import standard

if TYPE_CHECKING:
    from _pytest._code.code import TerminalRepr

FOLDER = "tests/standard"
FILES = tuple(sorted(Path(standard.__path__[0]).glob("test_*.py")))
MARKER = "standard"


class StandardFile(pytest.Module):
    """A file of the standard tests."""

    def _getobj(self) -> ModuleType:
        return importlib.import_module(f"{standard.__name__}.{self.path.stem}")

    def repr_failure(  # type: ignore[override]  # as pytest's own collectors
        self, excinfo: pytest.ExceptionInfo[BaseException]
    ) -> "str | TerminalRepr":
        """Shows an error that prevents collection, such as a broken config.yaml, as its message."""
        error = excinfo.value
        return str(error) if isinstance(error, UserError) else super().repr_failure(excinfo)


class StandardFolder(pytest.Directory):
    """The folder in which the files appear."""

    files: tuple[Path, ...]

    def collect(self) -> Iterator[StandardFile]:
        """The selected files."""
        for path in self.files:
            # pytest would derive the id from the path, which is in the package
            yield StandardFile.from_parent(self, path=path, nodeid=f"{FOLDER}/{path.name}")


class StandardTests:
    """pytest's hooks in a project.

    Args:
        config: Of a pytest session whose root folder is a project.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.root = config.rootpath
        self.folder = self.root / FOLDER
        self.selected: list[str] = []
        self.tests: pytest.Directory | None = None

    def pytest_configure(self, config: pytest.Config) -> None:
        """Registers the marker; adds the standard tests to a session without typed paths."""
        config.addinivalue_line(
            "markers", f"{MARKER}: a standard test of the runner (-m {MARKER} runs only these)"
        )
        enter(self.root)
        source, sources = config.args_source, pytest.Config.ArgsSource
        if source is sources.ARGS or config.invocation_params.dir != self.root:
            return
        if source is sources.INVOCATION_DIR and config.getini("testpaths"):
            config.args[:] = []  # the project has no tests; pytest would search data/ and outputs/
        # in config.args, because these are passed to the processes of pytest-xdist
        if not any(
            self.folder.is_relative_to(self._parsed(typed, config)[0]) for typed in config.args
        ):
            config.args.append(str(self.folder))

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> None:
        """Removes standard tests from the typed arguments, as pytest does not find them on disk."""
        config = session.config
        others = []
        for argument in config.args:
            path, test = self._parsed(argument, config)
            if self._is_standard(path) and not path.is_file():
                name = path.relative_to(self.root).as_posix()
                self.selected.append(f"{name}::{test}" if test else name)
            elif self.folder.is_relative_to(path):
                self.selected.append(FOLDER)
            if path.exists() or not (self._is_standard(path) or path == self.folder.parent):
                others.append(argument)
        config.args[:] = others

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """Remembers the project's own tests: fixtures of their conftest.py hold for all tests."""
        if isinstance(collector, pytest.Directory) and collector.path == self.folder.parent:
            self.tests = collector

    @pytest.hookimpl(tryfirst=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> pytest.CollectReport | None:
        """Prevents `--last-failed`, which compares paths, from skipping files with failures."""
        if not isinstance(collector, StandardFile):
            return None
        runner: Any = collector.config.pluginmanager.get_plugin("runner")
        report: pytest.CollectReport = runner.pytest_make_collect_report(collector)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        """Appends the selected standard tests, before other plugins deselect.

        Raises:
            pytest.UsageError: A typed test does not exist.
        """
        files = tuple(path for path in FILES if self._is_selected(path.name, session.config))
        if not files:
            return
        folder = StandardFolder.from_parent(self._tests(session), path=self.folder)
        folder.files = files
        folder.add_marker(MARKER)
        matched: set[str] = set()
        failed_before = session.testsfailed
        for item in session.genitems(folder):
            matches = [selected for selected in self.selected if _is_within(item.nodeid, selected)]
            matched.update(matches)
            if matches:
                items.append(item)
        missing = sorted(set(self.selected) - matched - {FOLDER})
        if missing and session.testsfailed == failed_before:
            raise pytest.UsageError(*(f"not found: {nodeid}" for nodeid in missing))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Shows a UserError of a standard test as its message, without a traceback."""
        report = yield
        error = call.excinfo.value if call.excinfo else None
        if item.get_closest_marker(MARKER) and isinstance(error, UserError):
            report.longrepr = str(error)
        return report

    def _tests(self, session: pytest.Session) -> pytest.Collector:
        """The folder `tests`, as pytest has collected or would collect it."""
        if self.tests is None:
            directory: pytest.Collector = session.ihook.pytest_collect_directory(
                path=self.folder.parent, parent=session
            )
            if self.folder.parent.is_dir():  # registers the fixtures of its conftest.py
                directory.ihook.pytest_make_collect_report(collector=directory)
            return directory
        return self.tests

    def _is_selected(self, name: str, config: pytest.Config) -> bool:
        """Whether a test of a standard file is selected, and no file of the project replaces it."""
        path = self.folder / name
        if path.exists():  # the project's file replaces it
            return False
        if not any(_is_within(f"{FOLDER}/{name}", selected.partition("::")[0])
                   for selected in self.selected):  # fmt: skip
            return False
        ignored = config.hook.pytest_ignore_collect
        return not any(
            ignored(collection_path=place, config=config) for place in (path.parent, path)
        )

    def _parsed(self, argument: str, config: pytest.Config) -> tuple[Path, str]:
        """The path and the test of an argument such as `tests/test_a.py::test_b[c]`."""
        place, _, test = argument.partition("::")
        # like pytest, this does not follow links
        return Path(os.path.normpath(config.invocation_params.dir / place)), test

    def _is_standard(self, path: Path) -> bool:
        return path == self.folder or (
            path.parent == self.folder and path.name in {file.name for file in FILES}
        )


def _is_within(nodeid: str, selected: str) -> bool:
    """Whether a test is the selected one, is in it, or is one of its parameters."""
    return nodeid == selected or nodeid.startswith(tuple(f"{selected}{mark}" for mark in "/:["))
