"""Texts that are never masked: a record without them could not be read."""

import os
import re
import socket
from pathlib import Path

_USUAL = (
    *("true", "false", "none", "null", "yes", "no", "on", "off", "auto", "default", "test"),
    *("debug", "info", "warning", "error", "production", "staging", "development", "local"),
    *("localhost", "bearer", "basic"),
)
_NUMBER = re.compile(r"[-+]?[\d.,:]{1,5}")
_WORDS = re.compile(
    r"(?=.{1,30}\Z)[A-Za-z]{1,16}\d{0,3}(?:[-_. /](?:[A-Za-z]{1,16}\d{0,3}|\d{1,3}))*"
)


def is_usual(text: str) -> bool:
    """Whether a text is a number, a usual word, or a name or path of this machine."""
    if text.lower() in _USUAL or _NUMBER.fullmatch(text) or text in _local_names():
        return True
    path = Path(text)
    # the last folder may not exist yet, so the first one decides
    return path.is_absolute() and len(path.parts) > 1 and Path(*path.parts[:2]).is_dir()


def is_words(text: str) -> bool:
    """Whether a text consists of a few words, as names of places and people do."""
    return _WORDS.fullmatch(text) is not None


def _local_names() -> set[str]:
    """Names of this machine, of its user, and of the folders that lead here."""
    people = {os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME")}
    homes = [os.environ.get(name, "") for name in ("HOME", "USERPROFILE")]
    here = Path(__file__).parents[1]
    folders = {part for folder in (str(here), *homes) for part in Path(folder).parts}
    return people | folders | {socket.gethostname(), socket.gethostname().partition(".")[0]}
