"""Workflows are valid and safe."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.baking import ROOT

SCRIPTS = Path(sys.executable).parent
WORKFLOWS = {
    "template": ROOT / ".github" / "workflows",
    "generated": ROOT / "{{cookiecutter.project_slug}}" / ".github" / "workflows",
}


@pytest.mark.parametrize("where", WORKFLOWS)
def test_workflows_pass_actionlint(where):
    files = sorted(map(str, WORKFLOWS[where].glob("*.yml")))
    assert files
    command = [str(SCRIPTS / "actionlint"), "-no-color", *files]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("where", WORKFLOWS)
def test_workflows_pass_zizmor(where):
    command = [str(SCRIPTS / "zizmor"), "--offline", "--no-progress", "--persona=pedantic"]
    files = sorted(map(str, WORKFLOWS[where].glob("*.yml")))
    result = subprocess.run([*command, *files], capture_output=True, encoding="utf-8", check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("where", WORKFLOWS)
def test_actions_are_pinned_by_commit(where):
    for path in WORKFLOWS[where].glob("*.yml"):
        for action in re.findall(r"uses: (\S+)(.*)", path.read_text(encoding="utf-8")):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action[0])
            assert re.fullmatch(r" # v[\d.]+", action[1])
