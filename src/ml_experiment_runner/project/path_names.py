"""Names that become part of a path; each is checked here, so that none leaves its folder."""

import re
from pathlib import PurePath

from ml_experiment_runner.project.errors import UserError

LENGTH = 255
"""Bytes that a file system takes as the name of a file or folder."""


def checked_path(name: str, what: str) -> str:
    """The name, if it is a path within a folder: `a`, `a/b`, but neither `../a` nor `/a`.

    Args:
        name: What was typed, configured or logged.
        what: What it is, as the message begins.

    Raises:
        UserError: It would leave the folder, or no file system takes it.
    """
    parts = re.split(r"[/\\]", name)
    if not name:
        reason = "is empty; give it at least one character"
    elif PurePath(name).anchor:
        reason = "is an absolute path; it must be relative to its folder"
    elif ".." in parts:
        reason = "leaves its folder; leave out '..'"
    elif "" in parts or "." in parts:
        reason = "has an empty part or '.' between its slashes; leave it out"
    elif "\0" in name:
        reason = "has a NUL character; leave it out"
    elif re.search("[\ud800-\udfff]", name):
        reason = "has half a character (a lone surrogate); leave it out"
    elif long := [part for part in parts if len(part.encode()) > LENGTH]:
        reason = f"has a part of {len(long[0].encode())} bytes, the most is {LENGTH}; shorten it"
    else:
        return name
    shown = name if len(name) <= 60 else f"{name[:40]}…"
    raise UserError(f"{what} {shown!r} {reason}")
