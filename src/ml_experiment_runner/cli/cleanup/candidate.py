"""A file or folder that `clean` considers."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

RUNNING = "still running"
PENDING = "not in MLflow yet (python run.py sync)"
ONLY_COPY = "not found in MLflow, so the folder is the only copy"
INCOMPLETE = "incomplete in MLflow, so the folder is the only copy of the rest"
IN_USE = "a run is in progress and may read it"
RERUN_IN_PROGRESS = "a rerun uses it"
DENIED = "cannot be removed"
GONE = "removed by another process"

JUST_NOW = 60  # seconds in which a folder may still be empty, and a draft become a file
REMOVING = ".removing"  # in `outputs`: runs that are being removed


@dataclass(frozen=True)
class Candidate:
    """A file or folder to remove.

    Attributes:
        path: Its path.
        size: In bytes.
        kept: Why it must stay; None if it can be removed.
        example: An example of that reason, in parentheses.
        last_written: When a run's journal was last written to; None for anything else.
    """

    path: Path
    size: int
    kept: str | None = None
    example: str = ""
    last_written: float | None = None


def paths_below(folder: Path, ignore_errors: bool = False) -> Iterator[Path]:
    """All files and folders below a folder, while other processes may remove some.

    Args:
        folder: The folder.
        ignore_errors: Whether a folder that cannot be read counts as empty; otherwise it raises.
    """

    def on_error(error: OSError) -> None:
        if not (ignore_errors or isinstance(error, FileNotFoundError)):
            raise error

    # a glob of Python 3.11 would raise
    for parent, folders, files in os.walk(folder, onerror=on_error):
        yield from (Path(parent, name) for name in (*folders, *files))


def size_of(folder: Path) -> int:
    """The bytes of all files below a folder."""
    size = 0
    for path in paths_below(folder, ignore_errors=True):
        with suppress(FileNotFoundError):  # another process removes it
            size += path.lstat().st_size if path.is_file() else 0
    return size
