"""The runner of an experiment repository: what `python run.py` does, and the same in a notebook."""

import os
from typing import TYPE_CHECKING, Any

from ml_experiment_runner.project.moved_names import answer_old_imports

answer_old_imports()

# Read when OpenMP and OpenBLAS are loaded: waiting threads sleep. By default they spin, and one
# other busy process (the sync worker, a second test) makes a fit several times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")

if TYPE_CHECKING:
    from ml_experiment_runner.config.composition import compose as compose
    from ml_experiment_runner.dataset.dataset import load_dataset as load_dataset
    from ml_experiment_runner.record.find_run import load_run as load_run

__all__ = ["compose", "load_dataset", "load_run"]

_HOMES = {
    "compose": "ml_experiment_runner.config.composition",
    "load_dataset": "ml_experiment_runner.dataset.dataset",
    "load_run": "ml_experiment_runner.record.find_run",
}


def __getattr__(name: str) -> Any:
    """Imports on first use: a command that needs no data shall not wait for polars."""
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
