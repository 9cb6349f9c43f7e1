"""Checks names that become part of a path, so that none leaves its folder."""

import re
from pathlib import PurePath

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.text import shorten

LENGTH = 255
"""Most bytes in the name of a file or folder."""


def checked_path(name: str, what: str) -> str:
    """The name, if it is a path within a folder: `a`, `a/b`, but neither `../a` nor `/a`.

    Args:
        name: The name as it was typed, configured or logged.
        what: The beginning of the message, such as `artifact`.

    Raises:
        UserError: It would leave the folder, or file systems refuse it.
    """
    parts = re.split(r"[/\\]", name)
    if not name:
        reason = "must not be empty"
    elif PurePath(name).anchor:
        reason = "must be relative to its folder, not absolute"
    elif ".." in parts:
        reason = "must not leave its folder; remove '..'"
    elif "" in parts or "." in parts:
        reason = "must not have an empty part or '.' between its slashes"
    elif "\0" in name:
        reason = "must not contain a NUL character"
    elif re.search("[\ud800-\udfff]", name):
        reason = "must not contain a lone surrogate (half a character)"
    elif long := [part for part in parts if len(part.encode()) > LENGTH]:
        reason = f"must have at most {LENGTH} bytes per part, got {len(long[0].encode())}"
    else:
        return name
    raise UserError(f"{what} {shorten(name)!r} {reason}")
