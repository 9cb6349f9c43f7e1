"""Generated projects are clean for every choice."""

import os
import subprocess
import sys

import pytest
from baking import ROOT

OPTIONS = [
    {},
    {"example": "none", "ci": "gitlab", "license": "Apache-2.0"},
]
CHECKS = {
    "style": ["-m", "ruff", "check", "--no-cache", "."],
    "format": ["-m", "ruff", "format", "--no-cache", "--check", "."],
    "types": ["-m", "mypy", "--cache-dir", str(ROOT / "build" / "mypy")],
    "layers": ["-c", "from importlinter.cli import lint_imports_command as check; check()"],
}


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


def test_lint_script_runs_every_check(bake):
    script = (bake() / "tools" / "lint.py").read_text(encoding="utf-8")
    assert all(f'"{check}":' in script for check in CHECKS)
