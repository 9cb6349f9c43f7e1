"""Files that are never half written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """Gives a path to write to, which takes the place of `path` when the block ends well.

    Its name is nobody else's: processes in two containers may have the same number.
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
    """Write a file so that a reader sees the old content or the new one, never a part."""
    with draft_of(path) as draft:
        draft.write_bytes(text.encode())  # as bytes: lines end alike everywhere, as git keeps them
