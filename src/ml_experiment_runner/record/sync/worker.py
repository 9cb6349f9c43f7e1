"""The sync worker: a process that sends the journals of all pending runs to one MLflow store.

It is started beside a run and ends with its work. A lock makes it the only one for its store.
"""

import gc
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from ml_experiment_runner.project.atomic import write_atomically
from ml_experiment_runner.project.secrets import MASK, mask, register, register_environment
from ml_experiment_runner.record.console import Output
from ml_experiment_runner.record.sync.embedded_store import unported
from ml_experiment_runner.record.sync.markers import (
    OTHER_WORKER,
    STORE,
    URI_VARIABLE,
    is_working,
    markers_locked,
    read_json,
)

if TYPE_CHECKING:
    from ml_experiment_runner.record.sync.mlflow_store import Store
    from ml_experiment_runner.record.sync.run_sync import RunSync

_FIRST_PAUSE = 0.25  # Seconds before the second attempt; each later one takes twice as long.
_IDLE = 0.02  # Seconds between two looks at journals in which nothing is new.
_LONGEST_PAUSE = 10.0


def main(pending: Path) -> int:
    """Sync a store's pending runs until there are none and the parent has gone."""
    gc.disable()  # Much of an import's cost; on again when the store is open.
    register_environment()
    if read_json(pending / "store.json").get("uri") == MASK:  # the whole of it is secret
        register(os.environ[URI_VARIABLE])
    sys.stdout, sys.stderr = Output(sys.stdout), Output(sys.stderr)
    parent = _Parent()
    lock = FileLock(pending / "lock", thread_local=False)
    worker = SyncWorker(pending, parent)
    while True:
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return OTHER_WORKER
        try:
            finished = worker.sync()
        finally:
            lock.release()
        # A run that was registered before the release found the lock taken: it is ours to see.
        if not finished or not worker.markers():
            return 0


class SyncWorker:
    """Goes round the pending runs; one that fails does not hold up the others."""

    def __init__(self, pending: Path, parent: "_Parent") -> None:
        self._pending = pending
        self._outputs = pending.parent.parent
        self._parent = parent
        self._shown = unported(read_json(pending / "store.json").get("uri", ""), self._outputs)
        self._store: Store | None = None
        self._runs: dict[str, RunSync] = {}
        self._failures: dict[str, _Failure] = {}

    def markers(self) -> list[Path]:
        """The markers of pending runs, the newest first."""
        times = {path: path.stat().st_mtime for path in self._pending.glob("*.run")}
        return sorted(times, key=lambda path: times[path], reverse=True)

    def sync(self) -> bool:
        """Send until nothing is pending and the parent has gone.

        Returns:
            False if something is left that cannot be sent now and that nobody waits for.
        """
        self._publish()
        alone = False
        while True:
            if self._parent.gone.is_set() and not alone:
                alone = True
                for failure in self._failures.values():
                    failure.retry_at = 0.0  # One last attempt.
            markers = self.markers()
            if not self._round(markers):
                if alone and self._given_up(markers):
                    return not markers
                time.sleep(_IDLE)

    def _given_up(self, markers: list[Path]) -> bool:
        """Whether all that is pending fails, and no run among it still works."""
        stuck = STORE in self._failures or all(path.stem in self._failures for path in markers)
        return stuck and not any(is_working(path) for path in markers)

    def _round(self, markers: list[Path]) -> bool:
        """Send what is new in each run; returns whether there was anything."""
        busy = False
        if self._try(STORE, self._open):
            for marker in markers:
                busy |= self._try(marker.stem, partial(self._advance, marker))
                if STORE in self._failures:
                    return False
            awaited = any(run.awaits_model for run in self._runs.values())
            if self._store and awaited and not busy:
                self._store.prepare()
        return busy

    def _try(self, name: str, action: Callable[[], bool]) -> bool:
        """Do something unless it failed a moment ago; publish the reason of a failure."""
        failure = self._failures.get(name)
        if failure and time.monotonic() < failure.retry_at:
            return False
        try:
            result = action()
        except Exception as error:
            self._runs.pop(name, None)  # What is not noted will be sent again.
            if name != STORE and not self._answers():
                name, self._store = STORE, None
            pause = failure.pause * 2 if failure else _FIRST_PAUSE
            self._failures[name] = _Failure(self._explain(error), min(pause, _LONGEST_PAUSE))
            self._publish()
            return False
        if failure:
            del self._failures[name]
            self._publish()
        return result

    def _open(self) -> bool:
        if self._store is None:
            from ml_experiment_runner.record.sync.mlflow_environment import set_timeout
            from ml_experiment_runner.record.sync.mlflow_store import Store

            # A slow store gets more time with every attempt.
            set_timeout(5 + 10 * (self._failures[STORE].pause if STORE in self._failures else 0.0))
            self._store = Store(os.environ[URI_VARIABLE])
            gc.freeze()
            gc.enable()
        return True

    def _answers(self) -> bool:
        try:
            if self._store:
                self._store.check()
        except Exception:
            return False
        return True

    def _advance(self, marker: Path) -> bool:
        from ml_experiment_runner.record.sync.run_sync import RunSync

        if self._store is None or not (content := read_json(marker)):
            return False
        run = self._runs.get(marker.stem)
        if run is None:
            run = RunSync(self._store, self._outputs / content["folder"], self._pending)
            self._runs[marker.stem] = run
        alive = is_working(marker)  # Before reading: what it wrote until then is read below.
        busy = run.advance()
        if not busy and not alive:
            run.close_dead()
        if run.finished:
            with markers_locked(self._pending):
                if not run.has_news():  # else it goes on, and is taken up again
                    marker.unlink(missing_ok=True)
            del self._runs[marker.stem]
        return busy

    def _publish(self) -> None:
        reasons = {name: failure.reason for name, failure in self._failures.items()}
        with suppress(OSError):  # a full disk, which those who wait meet too
            write_atomically(self._pending / "status.json", json.dumps(reasons))

    def _explain(self, error: Exception) -> str:
        """The error in one line; all of it goes into delivery.log."""
        print("".join(traceback.format_exception(error)), file=sys.stderr)
        root: BaseException = error
        while root.__cause__ or root.__context__:
            root = root.__cause__ or root.__context__ or root
        detail = (str(root).strip() or type(root).__name__).splitlines()[0]
        return f"upload to the MLflow store {self._shown} failed ({mask(detail)[:200]})"


class _Failure:
    """A failed action, and when to try it again."""

    def __init__(self, reason: str, pause: float) -> None:
        self.reason = reason
        self.pause = pause
        self.retry_at = time.monotonic() + pause


class _Parent(threading.Thread):
    """Waits for the end of stdin, which is the end of the process that started this one."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.gone = threading.Event()
        self.start()

    def run(self) -> None:
        while os.read(0, 1):
            pass
        self.gone.set()


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stderr.flush()
    os._exit(code)  # Nothing is left to do, and imports may be going on beside.
