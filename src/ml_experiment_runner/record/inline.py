"""Has code that calls `mlflow.*` itself write into the run's own MLflow run."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ml_experiment_runner.record.sync.embedded_store import address

if TYPE_CHECKING:
    from ml_experiment_runner.record.run import Run


@contextmanager
def mlflow_inline(run: "Run") -> Iterator[None]:
    """Where `tracking.inline` is set, code that calls `mlflow.*` itself writes into this run."""
    if not run.config.tracking.inline:
        yield
        return
    os.environ["MLFLOW_TRACKING_URI"] = address(str(run.config.tracking.uri))
    os.environ["MLFLOW_RUN_ID"] = run.mlflow_run_id()
    try:
        yield
    finally:
        os.environ.pop("MLFLOW_RUN_ID", None)  # MLflow removes it when it has read it
        if "mlflow" in sys.modules:
            # or MLflow would end the run at exit, and overwrite its status
            sys.modules["mlflow"].end_run()
