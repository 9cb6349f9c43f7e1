"""The variables that MLflow reads; imported before MLflow, which reads some at its import."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
_UPLOAD_TIMEOUT = 300  # seconds for a file; whether a server answers shows before

os.environ.update(
    {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # The sync worker tries again.
        _TIMEOUT: "5",
        "OMP_NUM_THREADS": "1",  # The processor belongs to the run.
    }
)


def set_timeout(seconds: float) -> None:
    """Set how long MLflow waits for an answer."""
    os.environ[_TIMEOUT] = str(int(seconds))


@contextmanager
def upload_timeout() -> Iterator[None]:
    """Give MLflow the time that an upload of files takes."""
    usual = os.environ[_TIMEOUT]
    set_timeout(_UPLOAD_TIMEOUT)
    try:
        yield
    finally:
        os.environ[_TIMEOUT] = usual
