"""Small files that are never half written."""

import os
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old content or the new one, never a part."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(text.encode())  # as bytes: lines end alike on every system, as in git
        part.replace(path)
    except OSError:  # such as a full disk
        part.unlink(missing_ok=True)
        raise
