"""The template's runner: what `python run.py` does, and the same functions for a notebook."""

import os
from typing import TYPE_CHECKING, Any

# Read when OpenMP and OpenBLAS are loaded: waiting threads sleep. By default they spin, and one
# other busy process (the delivery, a second test) makes a fit several times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

if TYPE_CHECKING:
    from runner.composition import compose as compose
    from runner.dataset.dataset import load_dataset as load_dataset
    from runner.record.recorded import load_run as load_run

__all__ = ["compose", "load_dataset", "load_run"]

_HOMES = {
    "compose": "runner.composition",
    "load_dataset": "runner.dataset.dataset",
    "load_run": "runner.record.recorded",
}


def __getattr__(name: str) -> Any:
    """Imports on first use: a command that needs no data shall not wait for polars."""
    if name not in _HOMES:
        raise AttributeError(f"module 'runner' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
