"""Suggestions for a name that does not exist."""

import difflib
from collections.abc import Iterable

SHOWN = 12


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence with the known name nearest to a mistyped one, or with all where none is near."""
    names = sorted(known)
    longer = [other for other in names if len(name) > 2 and other.startswith(name)]
    if close := longer or difflib.get_close_matches(name, names, n=1, cutoff=0.6):
        return f"Did you mean '{close[0]}'?"
    shown = ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
    return f"Available: {shown or 'none'}."
