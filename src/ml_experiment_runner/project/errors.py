"""The exceptions that are told to people without a traceback, and what the exit codes mean."""

import errno
from collections.abc import Iterable, Iterator
from enum import IntEnum


class ExitCode(IntEnum):
    """What `python run.py` ends with.

    Attributes:
        FINISHED: All went well.
        FAILED: A task or the runner failed, or the answer of a command is no.
        UNUSABLE: Nothing can be made of what was typed, configured or delivered.
        DECISION: The work is done, and a person has to decide about its result.
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
    """A run does not have the metric that runs are compared by."""


class RefusedError(UserError):
    """The result of a task that did its work does not keep a limit; exit code 3."""


def exit_code(errors: Iterable[BaseException], held: bool = False) -> ExitCode:
    """The exit code of a command, which is that of the gravest error.

    Args:
        errors: What went wrong.
        held: Whether something is held for a person to decide.
    """
    kinds = {_kind(error) for error in errors} | ({ExitCode.DECISION} if held else set())
    gravest = (ExitCode.INTERRUPTED, ExitCode.FAILED, ExitCode.UNUSABLE, ExitCode.DECISION)
    return next((kind for kind in gravest if kind in kinds), ExitCode.FINISHED)


def _kind(error: BaseException) -> ExitCode:
    if full_disk(error):
        return ExitCode.FAILED
    if isinstance(error, RefusedError):
        return ExitCode.DECISION
    if isinstance(error, UserError):
        return ExitCode.UNUSABLE
    return ExitCode.INTERRUPTED if isinstance(error, KeyboardInterrupt) else ExitCode.FAILED


def is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl+C is behind it: within an import, an extension makes an ImportError of it."""
    return any(isinstance(each, KeyboardInterrupt) for each in _chain(error))


def full_disk(error: BaseException | None) -> str | None:
    """A line for people where a full disk is behind it, else None."""
    for each in _chain(error):
        is_full = isinstance(each, OSError) and each.errno in (errno.ENOSPC, errno.EDQUOT)
        # polars and SQLite give no number
        if is_full or any(text in _text(each) for text in ("No space left on", "disk is full")):
            names = (getattr(each, name, None) for name in ("filename2", "filename"))
            place = next((f" for {name}" for name in names if name), "")
            return f"no space left on the disk{place}: free some, then run the same again"
    return None


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # its own text fails
        return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error with those that it comes from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
