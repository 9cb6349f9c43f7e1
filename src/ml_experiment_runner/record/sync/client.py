"""The app's side of the sync: registers runs, keeps a sync worker at work, waits for it.

Every store has a folder `<outputs>/.pending/<key>`, with a marker `<run id>.run` for each run that
is not completely in it yet. The sync worker (`worker.py`) removes the markers.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ml_experiment_runner.project import repository
from ml_experiment_runner.project.atomic import write_atomically
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.secrets import (
    mask,
    register_addresses,
    register_environment,
    watch_resolver,
)
from ml_experiment_runner.record.sync.embedded_store import portable
from ml_experiment_runner.record.sync.markers import (
    OTHER_WORKER,
    URI_VARIABLE,
    failure_reason,
    markers_locked,
    read_json,
)
from ml_experiment_runner.record.sync.store_address import store_key

if TYPE_CHECKING:
    from omegaconf import DictConfig


_PATIENCE = 2.5  # Seconds that a store may be away before `wait` gives up.
_ATTEMPTS = 3  # Sync workers that may crash before `wait` gives up.


class SyncClient:
    """Syncs the runs of this process to one MLflow store.

    Attributes:
        pending: The store's folder.
    """

    def __init__(self, outputs: Path, uri: str, shown: str, starts_worker: bool = True) -> None:
        self._starts_worker = starts_worker
        self._outputs = outputs
        self._uri = uri
        self.pending = outputs / ".pending" / store_key(uri, outputs)
        self._process: subprocess.Popen[bytes] | None = None
        self._crashes = 0
        self.pending.mkdir(parents=True, exist_ok=True)
        write_atomically(self.pending / "store.json", json.dumps({"uri": portable(shown, outputs)}))
        self._start_worker()

    @classmethod
    def start(cls, config: "DictConfig", starts_worker: bool = True) -> Self:
        """Start to sync; the earlier, the more of MLflow's start-up is hidden by other work.

        Args:
            config: Its `outputs` and `tracking` are used.
            starts_worker: False where another process syncs, such as a sweep's.
        """
        watch_resolver()
        register_environment()
        outputs = Path(config.outputs).resolve()
        uri = str(config.tracking.uri)
        register_addresses(uri)
        try:
            return cls(outputs, uri, mask(uri), starts_worker)
        except OSError as error:
            raise UserError(
                f"the folder for runs cannot be written: {outputs} ({error.strerror}); "
                "choose another one with outputs=<folder>"
            ) from None

    def register(self, run_id: str, folder: Path, writer: dict[str, Any]) -> None:
        """Ask for a run to be synced: first the marker, then a worker that will see it.

        Args:
            run_id: The run.
            folder: Where its record lies.
            writer: The `identity` of the process that writes it.
        """
        marker = {"folder": os.path.relpath(folder, self._outputs), "writer": writer}
        with markers_locked(self.pending):
            write_atomically(self.pending / f"{run_id}.run", json.dumps(marker))
        self._start_worker()

    def is_registered(self, run_id: str) -> bool:
        """Whether a run is still being synced."""
        return (self.pending / f"{run_id}.run").exists()

    def wait(self, run_ids: Iterable[str], seconds: float | None = None) -> str | None:
        """Wait until the runs are completely in the store.

        Args:
            run_ids: The runs.
            seconds: How long to wait at most; the sync goes on in the background.

        Returns:
            None when everything is in the store, otherwise the reason, in one line.
        """
        run_ids = list(run_ids)
        markers = [self.pending / f"{run_id}.run" for run_id in run_ids]
        begin = time.monotonic()
        away: float | None = None
        while any(marker.exists() for marker in markers):
            now = time.monotonic()
            reason = failure_reason(self.pending, run_ids)
            away = (away or now) if reason else None
            if away is not None and now - away > _PATIENCE:
                return f"pending: {reason}; send it with `python run.py sync`"
            if seconds is not None and now - begin >= seconds:
                return "pending: the sync is still at work; follow it with `python run.py sync`"
            if self.broken:
                return f"pending: {self.broken}"
            self._start_worker(pause=1.0)
            time.sleep(0.005)
        return None

    @property
    def broken(self) -> str | None:
        """Why no further sync worker is started: several have crashed."""
        if self._crashes < _ATTEMPTS:
            return None
        return f"the sync worker crashed {_ATTEMPTS} times, see {self.pending / 'delivery.log'}"

    def wait_until_created(self, folder: Path, seconds: float) -> str:
        """Wait for a run to exist in the store.

        Returns:
            MLflow's id of the run.

        Raises:
            UserError: The store cannot be reached, or not in time.
        """
        begin, reason = time.monotonic(), None
        while time.monotonic() - begin < seconds:
            if run_id := read_json(folder / "delivery.json").get("mlflow_run_id"):
                return str(run_id)
            reason = failure_reason(self.pending, [])
            if reason and time.monotonic() - begin > _PATIENCE:
                break
            self._start_worker(pause=1.0)
            time.sleep(0.005)
        reason = reason or f"it has not created the run within {seconds:.0f} s"
        raise UserError(f"tracking.inline=true needs the MLflow store: {reason}")

    def _start_worker(self, pause: float = 0.0) -> None:
        """Start a sync worker unless ours lives; it leaves at once where another works."""
        if not self._starts_worker:
            return
        if self._process is not None:
            code = self._process.poll()
            if code is None:
                return
            if code == OTHER_WORKER:
                time.sleep(pause)
            elif code != 0:
                self._crashes += 1
        environment = {**os.environ, URI_VARIABLE: self._uri}
        environment.pop("MLFLOW_RUN_ID", None)
        source = str(repository.root() / "src")
        paths = [source, *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        session: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            session = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        with (self.pending / "delivery.log").open("ab") as output:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "ml_experiment_runner.record.sync.worker",
                    str(self.pending),
                ],
                cwd=repository.root(),
                env=environment,
                stdin=subprocess.PIPE,  # Never written to: its end means that this process is gone.
                stdout=output,
                stderr=subprocess.STDOUT,
                **session,
            )
