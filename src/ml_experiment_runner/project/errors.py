"""Errors that are printed without a traceback, and exit codes."""

import errno
from collections.abc import Iterable, Iterator
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit code of `python run.py`.

    Attributes:
        FINISHED: Success.
        FAILED: A task or the runner failed, or the result of a command is negative.
        UNUSABLE: The command line, the configuration or the data are invalid.
        DECISION: The work is done, and a person must decide about its result.
        INTERRUPTED: Stopped by Ctrl+C or SIGTERM.
    """

    FINISHED = 0
    FAILED = 1
    UNUSABLE = 2
    DECISION = 3
    INTERRUPTED = 130


class UserError(Exception):
    """What is wrong, where, and what to do next, in one or two lines.

    The app prints the message without a traceback and leaves with exit code 2.
    """


class ObjectiveError(UserError):
    """A run lacks the metric that runs are compared by."""


class RefusedError(UserError):
    """The result of a finished task exceeds a limit; exit code 3."""


def exit_code(errors: Iterable[BaseException], held: bool = False) -> ExitCode:
    """The exit code of the gravest error.

    Args:
        errors: All errors of a command.
        held: Whether something is held, so that a person must decide.
    """
    codes = {_code(error) for error in errors} | ({ExitCode.DECISION} if held else set())
    gravest_first = (ExitCode.INTERRUPTED, ExitCode.FAILED, ExitCode.UNUSABLE, ExitCode.DECISION)
    return next((code for code in gravest_first if code in codes), ExitCode.FINISHED)


def _code(error: BaseException) -> ExitCode:
    if full_disk(error):
        return ExitCode.FAILED
    if isinstance(error, RefusedError):
        return ExitCode.DECISION
    if isinstance(error, UserError):
        return ExitCode.UNUSABLE
    return ExitCode.INTERRUPTED if isinstance(error, KeyboardInterrupt) else ExitCode.FAILED


def is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl+C caused an error: extension modules turn it into an ImportError."""
    return any(isinstance(cause, KeyboardInterrupt) for cause in _chain(error))


def full_disk(error: BaseException | None) -> str | None:
    """A message if a full disk caused an error, else None."""
    for cause in _chain(error):
        is_full = isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
        # errors of polars and SQLite have no errno
        if is_full or any(text in _text(cause) for text in ("No space left on", "disk is full")):
            names = (getattr(cause, name, None) for name in ("filename2", "filename"))
            place = next((f" for {name}" for name in names if name), "")
            return f"no space left on the disk{place}: free some space, then run the same again"
    return None


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # its __str__ fails
        return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and its causes."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
