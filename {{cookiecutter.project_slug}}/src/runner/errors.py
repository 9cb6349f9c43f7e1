"""The one exception for mistakes that a person can correct."""


class UserError(Exception):
    """What is wrong, where, and what to do next, in one or two lines.

    The app prints the message without a traceback and leaves with exit code 2.
    """
