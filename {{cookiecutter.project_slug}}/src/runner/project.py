"""Where the project is."""

from pathlib import Path


def root() -> Path:
    """The folder that holds `run.py`."""
    return Path(__file__).resolve().parents[2]
