"""From a typed line to an exit code: a command, the listing, or a task through Hydra."""

import gc
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from ml_experiment_runner.project.errors import (
    ExitCode,
    UserError,
    exit_code,
    full_disk,
    is_interrupt,
)
from ml_experiment_runner.project.repository import enter, read_environment
from ml_experiment_runner.record.console import open_standard_streams

COMMANDS = (
    *("clean", "compare", "doctor", "experiments", "holds", "lint", "new", "rerun", "signals"),
    *("sync", "update"),
)
"""Each is the function of its name in the module of its name beside this one."""
RENAMED = {"deliver": "sync"}
"""Former names of commands, with the present ones."""
HELP = ("-h", "--help")


def main(arguments: Sequence[str], project: Path | None = None) -> int:
    """Runs what was typed, and prints errors that have a plain message without a traceback.

    Args:
        arguments: The words after `run.py`.
        project: The folder that holds `run.py`; None if the process is in a project already.

    Returns:
        One of `ml_experiment_runner.project.errors.ExitCode`.
    """
    # most of an import's cost is the garbage collector
    gc.disable()
    open_standard_streams()
    try:
        if project is not None:
            enter(project)
        read_environment()
        return _dispatch(list(arguments) or ["--help"])
    except (UserError, KeyboardInterrupt) as error:
        if is_interrupt(error):
            print("stopped", file=sys.stderr)
            return ExitCode.INTERRUPTED
        print(full_disk(error) or error, file=sys.stderr)
        return exit_code([error])
    except Exception as error:
        if (message := full_disk(error)) is None:
            raise
        print(message, file=sys.stderr)
        return ExitCode.FAILED


def _dispatch(arguments: list[str]) -> int:
    """A first word without `=` and without a leading `+`, `-` or `~` is a command."""
    first = arguments[0]
    if "=" not in first and not first.startswith(("+", "-", "~")):
        return _run_command(first, arguments[1:])
    if any(option in arguments for option in HELP):
        from ml_experiment_runner.cli.listing import listing

        print(listing(COMMANDS))
        return ExitCode.FINISHED
    from ml_experiment_runner.cli.hydra_task import run_task

    return run_task(arguments)


def _run_command(name: str, arguments: list[str]) -> int:
    if name in RENAMED:
        raise UserError(f"{name} is called {RENAMED[name]} now: python run.py {RENAMED[name]}")
    if name not in COMMANDS:
        from ml_experiment_runner.project.suggestions import nearest

        raise UserError(f"unknown command '{name}'. {nearest(name, COMMANDS)} "
                        "To choose a task, type task=NAME.")  # fmt: skip
    module = importlib.import_module(f"ml_experiment_runner.cli.{name}")
    return int(getattr(module, name)(arguments))
