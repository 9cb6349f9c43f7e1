"""Generated projects are clean for every choice."""

import os
import subprocess
import sys

import pytest

from support.baking import CHECKS

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


def test_lint_script_runs_every_check(bake):
    script = (bake() / "tools" / "lint.py").read_text(encoding="utf-8")
    assert all(f'"{check}":' in script for check in CHECKS)
