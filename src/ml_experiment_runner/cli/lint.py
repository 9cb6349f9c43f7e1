"""Check style, format and types of the project's code."""

import argparse
import os
import subprocess
import sys

from ml_experiment_runner.project.repository import root

CHECKS = {
    "style": ["-m", "ruff", "check", "--quiet", "."],
    "format": ["-m", "ruff", "format", "--quiet", "--check", "."],
    "types": ["-m", "mypy", "--no-error-summary"],
}


def lint(arguments: list[str]) -> int:
    """Runs the checks.

    Returns:
        1 if a check fails.
    """
    parser = argparse.ArgumentParser("python run.py lint", description=__doc__)
    parser.add_argument("checks", nargs="*", metavar="check",
                        help=f"only these of {', '.join(CHECKS)}")  # fmt: skip
    names = parser.parse_args(arguments).checks
    for name in names:
        if name not in CHECKS:
            parser.error(f"unknown check '{name}'; choose from {', '.join(CHECKS)}")
    failed = False
    for name in names or CHECKS:
        done = subprocess.run(
            [sys.executable, *CHECKS[name]], cwd=root(), env={**os.environ, "PYTHONUTF8": "1"},
            capture_output=True, encoding="utf-8", check=False,
        )  # fmt: skip
        print(f"{name}: {'failed' if done.returncode else 'ok'}", flush=True)
        if done.returncode:
            print(done.stdout + done.stderr, flush=True)
            failed = True
    return 1 if failed else 0
