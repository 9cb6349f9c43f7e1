"""The breakages that `make mutants` tries are of lines that there are."""

import subprocess
import sys

from support import ROOT


def try_breakages(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "tests/mutants/run.py", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)


def test_every_breakage_is_of_a_line_that_stands_once():
    done = try_breakages("--look")
    assert done.returncode == 0, done.stdout + done.stderr


def test_breakage_of_the_runner_reaches_the_tests():
    done = try_breakages("digits of a metric are lost")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 caught" in done.stdout
