"""Generated projects are clean for every choice."""

import os
import shutil
import subprocess
import sys

import pytest

from support.baking import CHECKS, ROOT

OPTIONS = [
    {},
    {"example": "none", "ci": "gitlab", "license": "Apache-2.0"},
]


@pytest.mark.parametrize("answers", OPTIONS, ids=["default", "none"])
@pytest.mark.parametrize("check", CHECKS)
def test_generated_project_is_clean(bake, answers, check):
    project = bake(**answers)
    environment = {**os.environ, "PYTHONPATH": str(project / "src"), "PYTHONUTF8": "1"}
    result = subprocess.run(
        [sys.executable, *CHECKS[check]],
        cwd=project,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def lint(project, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "run.py", "lint", *words], cwd=project, capture_output=True,
        encoding="utf-8", check=False,
    )  # fmt: skip


def test_lint_command_names_the_failed_checks(bake, tmp_path):
    project = shutil.copytree(bake(), tmp_path / "project")
    (project / "src" / "flight_delays" / "own.py").write_text('"""Own."""\nimport os\n\n\n\nx=1\n')
    done = lint(project, "style", "format")
    assert done.returncode == 1
    assert "style: failed\n" in done.stdout
    assert "`os` imported but unused" in done.stdout
    assert "format: failed\n" in done.stdout
    assert "types" not in done.stdout


def test_lint_command_runs_every_check_and_refuses_others(bake):
    done = lint(bake(), "layers")
    assert done.returncode == 2
    assert f"choose from {', '.join(CHECKS)}" in done.stderr


def test_what_tests_import_and_call_is_there():
    """Also what long tests call, which run seldom."""
    command = [sys.executable, "-m", "mypy", "--config-file", "tests/mypy.ini"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
