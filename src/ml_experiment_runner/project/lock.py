"""The lock that lets one process at a time change data."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from ml_experiment_runner.project.errors import UserError

log = logging.getLogger(__name__)


@contextlib.contextmanager
def data_lock(root: Path) -> Iterator[None]:
    """Waits until no other process of the project ingests, decides on or assembles data.

    A process that has the lock may take it again.

    Raises:
        UserError: The folder of the lock cannot be written.
    """
    from filelock import FileLock, Timeout

    folder = root / "data" / "signals" / ".index"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock", is_singleton=True)
        try:
            lock.acquire(timeout=0.1)
        except Timeout:
            log.info("waiting for another run that ingests signals or assembles a dataset")
            lock.acquire()
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror})") from None
    try:
        yield
    finally:
        lock.release()
