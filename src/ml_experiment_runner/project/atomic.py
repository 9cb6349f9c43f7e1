"""Writes files atomically."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """A path to write to, which replaces `path` if the block ends without an error.

    Its name is random: processes in two containers may have the same process id.
    """
    draft = path.with_name(f"{path.name}.{os.urandom(4).hex()}.part")
    try:
        yield draft
        draft.replace(path)
    except BaseException:  # such as a full disk
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, text: str) -> None:
    """Writes a text file; readers see the old content or the new one, never a part."""
    with draft_of(path) as draft:
        draft.write_bytes(text.encode())  # as bytes: lines end with \n everywhere, as in git
