"""The one exception for mistakes that a person can correct, and what else is told in a line."""

import errno
from collections.abc import Iterator


class UserError(Exception):
    """What is wrong, where, and what to do next, in one or two lines.

    The app prints the message without a traceback and leaves with exit code 2.
    """


def is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl+C is behind it: within an import, an extension makes an ImportError of it."""
    return any(isinstance(each, KeyboardInterrupt) for each in _chain(error))


def full_disk(error: BaseException | None) -> str | None:
    """A line for people where a full disk is behind it, else None."""
    for each in _chain(error):
        is_full = isinstance(each, OSError) and each.errno in (errno.ENOSPC, errno.EDQUOT)
        # polars and SQLite give no number
        if is_full or any(text in str(each) for text in ("No space left on", "disk is full")):
            names = (getattr(each, name, None) for name in ("filename2", "filename"))
            place = next((f" for {name}" for name in names if name), "")
            return f"no space left on the disk{place}: free some, then run the same again"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error with those that it comes from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
