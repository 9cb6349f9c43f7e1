"""pytest in a project runs the standard tests beside the project's own."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.configured import ANSWERS, write_project

PACKAGE = ANSWERS["package_name"]
LITERALS = "tests/standard/test_literal_thresholds.py::test_no_score_is_compared_with_a_literal"
OWN = """\
import os
import sys


def test_mine() -> None:
    loader = sys.modules["ml_experiment_runner.testing.standard.test_signals"].__loader__
    assert type(loader).__name__ == "AssertionRewritingHook"
    assert os.environ.pop("USED")


def test_wrong() -> None:
    assert 1 + 1 == 3
"""
FIXTURES = """\
import os
import pytest


@pytest.fixture(autouse=True)
def each(monkeypatch):
    monkeypatch.setenv("USED", "1")
    print("a fixture of the project")
"""


def run_pytest(project: Path, *words: str, code: int = 0) -> str:
    """Types `pytest <words>` in a project and gives what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=project, env={**os.environ, "COLUMNS": "200"}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    return done.stdout


def collected(project: Path, *words: str) -> set[str]:
    """Ids of what pytest would run, without parameters."""
    output = run_pytest(project, "--collect-only", "-q", "-p", "no:cacheprovider", *words)
    return {line.partition("[")[0] for line in output.splitlines() if "::" in line}


def files(ids: Sequence[str] | set[str]) -> set[str]:
    return {each.partition("::")[0].removeprefix("tests/") for each in ids}


STANDARD = {f"standard/test_{name}.py" for name in
            ("configuration", "experiments", "literal_thresholds", "signals")}  # fmt: skip
MINE = {"test_mine.py"}


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project without a test of its own."""
    return write_project(tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with tests of its own, and a mistake that a standard test finds."""
    root = write_project(tmp_path_factory.mktemp("own"))
    (root / "tests").mkdir()
    (root / "tests" / "test_mine.py").write_text(OWN, encoding="utf-8")
    (root / "tests" / "conftest.py").write_text(FIXTURES, encoding="utf-8")
    (root / "src" / PACKAGE / "wrong.py").write_text("late = score > 0.5\n", encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", STANDARD | MINE),
        ("tests/test_mine.py", MINE),
        ("-m standard", STANDARD),
        ("tests/standard", STANDARD),
        ("tests/standard/test_signals.py tests/test_mine.py", MINE | {"standard/test_signals.py"}),
        ("--ignore=tests/standard", MINE),
        ("src", set()),
    ],
)
def test_selection_collects_what_was_typed(project: Path, words: str, expected: set[str]) -> None:
    if not expected:
        output = run_pytest(project, "--collect-only", "-q", *words.split(), code=5)
        assert "no tests collected" in output
        return
    assert files(collected(project, *words.split())) == expected


def test_project_without_tests_gets_the_standard_ones(bare: Path) -> None:
    (bare / "data").mkdir()
    (bare / "data" / "test_of_nobody.py").write_text("def test_it() -> None: ...\n")
    ids = collected(bare)
    assert files(ids) == STANDARD
    assert files(collected(bare, "tests")) == STANDARD
    assert "testpaths" not in run_pytest(bare, "-q", "-k", "a_literal")
    (bare / "tests").mkdir()
    assert collected(bare) == ids


def test_pasted_id_runs_this_test(project: Path) -> None:
    output = run_pytest(project, "-rA", f"{LITERALS}[features.py]")
    assert f"PASSED {LITERALS}[features.py]" in output
    assert "1 passed" in output


def test_id_that_does_not_exist_is_refused(project: Path) -> None:
    output = run_pytest(project, f"{LITERALS}[no.py]", code=4)
    assert f"not found: {LITERALS}[no.py]" in output


def test_failures_are_messages_and_run_again_alone(project: Path) -> None:
    words = ("-rA", "-k", "a_literal or test_mine or test_wrong")
    output = run_pytest(project, *words, code=1)
    assert f"PASSED {LITERALS}[features.py]" in output
    assert "PASSED tests/test_mine.py::test_mine" in output
    section = output.partition("test_no_score_is_compared_with_a_literal[wrong.py] ___")[2]
    assert re.match(rf"_*\nsrc/{PACKAGE}/wrong.py:1: score > 0.5\n", section)
    assert "Traceback" not in output
    assert output.count("a fixture of the project") >= output.count("PASSED")
    again = run_pytest(project, "--last-failed", "-rA", code=1)
    assert set(re.findall(r"^(?:FAILED|PASSED) ([^\s]+)", again, re.MULTILINE)) == {
        f"{LITERALS}[wrong.py]", "tests/test_mine.py::test_wrong"}  # fmt: skip


def test_processes_of_xdist_run_the_same(project: Path, bare: Path) -> None:
    output = run_pytest(bare, "-n1", "-rA", "-k", "a_literal")
    assert f"PASSED {LITERALS}[run.py]" in output
    output = run_pytest(project, "-n1", "-rA", f"{LITERALS}[run.py]")
    assert "1 passed" in output


def test_file_of_the_same_name_takes_the_place(tmp_path: Path) -> None:
    root = write_project(tmp_path)
    own = root / "tests" / "standard" / "test_signals.py"
    own.parent.mkdir(parents=True)
    own.write_text("def test_ours() -> None: ...\n", encoding="utf-8")
    ids = collected(root)
    assert files(ids) == STANDARD
    assert {each for each in ids if "test_signals" in each} == {
        "tests/standard/test_signals.py::test_ours"
    }
    assert collected(root, "tests/standard/test_signals.py::test_ours") == {
        "tests/standard/test_signals.py::test_ours"
    }


def test_nothing_is_imported_outside_of_a_project(tmp_path: Path) -> None:
    test = tmp_path / "test_other.py"
    test.write_text(
        "import sys\n\n\ndef test_it(request) -> None:\n"
        "    assert request.config.pluginmanager.has_plugin('ml_experiment_runner')\n"
        "    heavy = {'polars', 'numpy', 'sklearn', 'mlflow'}\n"
        "    assert not heavy & sys.modules.keys()\n"
        "    rooms = {each for each in sys.modules if each.startswith('ml_experiment_runner.')}\n"
        "    assert {each for each in rooms if each.count('.') > 1} <= {\n"
        "        'ml_experiment_runner.testing.plugin', 'ml_experiment_runner.project.errors',\n"
        "        'ml_experiment_runner.project.moved_names'}\n",
        encoding="utf-8",
    )
    assert "1 passed" in run_pytest(tmp_path, "--strict-markers", "-q")
