"""The one exception for mistakes that a person can correct."""


class UserError(Exception):
    """What is wrong, where, and what to do next, in one or two lines.

    The app prints the message without a traceback and leaves with exit code 2.
    """


def is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl+C is behind it: within an import, an extension makes an ImportError of it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None
