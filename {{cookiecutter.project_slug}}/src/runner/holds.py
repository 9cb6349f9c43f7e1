"""List what is held, and release or reject it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Breach:
    """One way in which something is not what it should be.

    Attributes:
        kind: What was looked at, such as `range`, `nulls` or `distribution`.
        field: The field; None where it concerns the whole.
        message: What was found and what was expected, with numbers, in one line.
        partition: Where it begins.
    """

    kind: str
    field: str | None
    message: str
    partition: str
