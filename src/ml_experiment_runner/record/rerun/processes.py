"""The programs that a rerun calls, and the variables that they get."""

import os
import subprocess
from pathlib import Path

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import ROOT, root

_OF_PARENT = (ROOT, "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
"""Variables that point to today's project, packages and Python."""


def clean_environment(**more: str) -> dict[str, str]:
    """This process's variables without those that point to today's code.

    Args:
        more: Variables to add.
    """
    kept = {name: value for name, value in os.environ.items() if name not in _OF_PARENT}
    return kept | more


def run_program(
    *command: str, folder: Path | None = None, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program and capture its output.

    Args:
        command: The program and its arguments.
        folder: Its working directory; by default, the project.
        environment: All of its variables; by default, those of this process.

    Raises:
        UserError: It is not installed.
    """
    try:
        return subprocess.run(
            command, cwd=folder or root(), env=environment, capture_output=True, text=True
        )
    except FileNotFoundError:
        raise UserError(f"a rerun needs {command[0]}, which is not installed") from None


def git_output(*arguments: str, folder: Path | None = None) -> str:
    """The output of a git command.

    Raises:
        UserError: It failed; with the first line of its errors.
    """
    done = run_program("git", *arguments, folder=folder)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        command = next(word for word in arguments if word in ("worktree", "apply", "rev-parse"))
        raise UserError(f"git {command} failed: {lines[0]}")
    return done.stdout
