"""The breakages that `make mutants` tries are of lines that there are."""

import subprocess
import sys

from support import ROOT


def test_every_breakage_is_of_a_line_that_stands_once():
    command = [sys.executable, "tests/mutants/run.py", "--look"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
