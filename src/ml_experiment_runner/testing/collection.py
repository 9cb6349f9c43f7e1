"""Collects the standard tests as if they lay in the project's folder `tests/standard`.

No such folder exists: the files lie beside this one. Their ids are those of a project that has
them, such as `tests/standard/test_signals.py::test_contract_is_valid[weather]`, and so an id that
pytest has printed can be typed, deselected and remembered by `--last-failed`.
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
    """One file of the standard tests."""

    def _getobj(self) -> ModuleType:
        return importlib.import_module(f"{standard.__name__}.{self.path.stem}")

    def repr_failure(  # type: ignore[override]  # as pytest's own collectors
        self, excinfo: pytest.ExceptionInfo[BaseException]
    ) -> "str | TerminalRepr":
        """Shows a mistake that leaves nothing to be tested, such as a broken config.yaml."""
        error = excinfo.value
        return str(error) if isinstance(error, UserError) else super().repr_failure(excinfo)


class StandardFolder(pytest.Directory):
    """The folder that the files appear to lie in."""

    files: tuple[Path, ...]

    def collect(self) -> Iterator[StandardFile]:
        """The files that were asked for."""
        for path in self.files:
            # pytest derives an id from the path, which lies elsewhere
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
        """Names the marker; has a session without typed paths collect the standard tests too."""
        config.addinivalue_line(
            "markers", f"{MARKER}: a standard test, of the runner (-m {MARKER} runs only these)"
        )
        enter(self.root)
        source, sources = config.args_source, pytest.Config.ArgsSource
        if source is sources.ARGS or config.invocation_params.dir != self.root:
            return
        if source is sources.INVOCATION_DIR and config.getini("testpaths"):
            config.args[:] = []  # the project has no tests; pytest would search data/ and outputs/
        # written down, because processes of pytest-xdist are told these words
        if not any(
            self.folder.is_relative_to(self._parsed(each, config)[0]) for each in config.args
        ):
            config.args.append(str(self.folder))

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> None:
        """Takes from what was typed what pytest would not find on disk."""
        config = session.config
        others = []
        for word in config.args:
            path, test = self._parsed(word, config)
            if self._is_standard(path) and not path.is_file():
                name = path.relative_to(self.root).as_posix()
                self.selected.append(f"{name}::{test}" if test else name)
            elif self.folder.is_relative_to(path):
                self.selected.append(FOLDER)
            if path.exists() or not (self._is_standard(path) or path == self.folder.parent):
                others.append(word)
        config.args[:] = others

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """Notes the project's own tests: fixtures of their conftest.py hold for all."""
        if isinstance(collector, pytest.Directory) and collector.path == self.folder.parent:
            self.tests = collector

    @pytest.hookimpl(tryfirst=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> pytest.CollectReport | None:
        """Has `--last-failed`, which looks at paths, not skip the files whose tests failed."""
        if not isinstance(collector, StandardFile):
            return None
        runner: Any = collector.config.pluginmanager.get_plugin("runner")
        report: pytest.CollectReport = runner.pytest_make_collect_report(collector)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(
        self, session: pytest.Session, items: list[pytest.Item]
    ) -> None:
        """Appends the selected standard tests, before others select among all.

        Raises:
            pytest.UsageError: One that was typed does not exist.
        """
        files = tuple(path for path in FILES if self._is_asked_for(path.name, session.config))
        if not files:
            return
        folder = StandardFolder.from_parent(self._tests(session), path=self.folder)
        folder.files = files
        folder.add_marker(MARKER)
        found: set[str] = set()
        broken = session.testsfailed
        for item in session.genitems(folder):
            asked = [word for word in self.selected if _is_within(item.nodeid, word)]
            found.update(asked)
            if asked:
                items.append(item)
        missing = sorted(set(self.selected) - found - {FOLDER})
        if missing and session.testsfailed == broken:
            raise pytest.UsageError(*(f"not found: {word}" for word in missing))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Shows a mistake in the project as its message: where, what is wrong, what to do."""
        report = yield
        error = call.excinfo.value if call.excinfo else None
        if item.get_closest_marker(MARKER) and isinstance(error, UserError):
            report.longrepr = str(error)
        return report

    def _tests(self, session: pytest.Session) -> pytest.Collector:
        """The folder `tests`, as pytest has collected it, or would."""
        if self.tests is None:
            directory: pytest.Collector = session.ihook.pytest_collect_directory(
                path=self.folder.parent, parent=session
            )
            if self.folder.parent.is_dir():  # fixtures of its conftest.py become known by this
                directory.ihook.pytest_make_collect_report(collector=directory)
            return directory
        return self.tests

    def _is_asked_for(self, name: str, config: pytest.Config) -> bool:
        """Whether any test of a standard file can be selected, which no file of the project is."""
        path = self.folder / name
        if path.exists():  # the project's own in its place
            return False
        if not any(_is_within(f"{FOLDER}/{name}", word.partition("::")[0]) for word in
                   self.selected):  # fmt: skip
            return False
        ignored = config.hook.pytest_ignore_collect
        return not any(ignored(collection_path=one, config=config) for one in (path.parent, path))

    def _parsed(self, word: str, config: pytest.Config) -> tuple[Path, str]:
        """The path and the test's name of a word such as `tests/test_a.py::test_b[c]`."""
        place, _, test = word.partition("::")
        # links are not followed, as pytest does not
        return Path(os.path.normpath(config.invocation_params.dir / place)), test

    def _is_standard(self, path: Path) -> bool:
        return path == self.folder or (
            path.parent == self.folder and path.name in {each.name for each in FILES}
        )


def _is_within(nodeid: str, selected: str) -> bool:
    """Whether an id is the selected one, or of a test in it, or of one of its parameters."""
    return nodeid == selected or nodeid.startswith(tuple(f"{selected}{mark}" for mark in "/:["))
