"""Syncs one run: sends its journal to an MLflow store.

Everything here can be stopped at any point and repeated: what is noted in a run's `delivery.json`
has been sent; what is not noted is sent once more, and MLflow keeps it once.
"""

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from ml_experiment_runner.project.atomic import write_atomically
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.secrets import mask
from ml_experiment_runner.record.journal import Event, now, read_events
from ml_experiment_runner.record.names import checked_artifact, mlflow_path, renamed_copy
from ml_experiment_runner.record.sync import mlflow_entities
from ml_experiment_runner.record.sync.fault_points import fault
from ml_experiment_runner.record.sync.markers import read_json
from ml_experiment_runner.record.sync.mlflow_environment import upload_timeout
from ml_experiment_runner.record.sync.mlflow_store import Store

# isort: split
from mlflow.exceptions import MlflowException

T = TypeVar("T")

_METRICS, _TEXTS = 1000, 100  # What MLflow takes in one batch.
_REFUSALS = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")
_WRONG_VALUES = (ValueError, TypeError, OverflowError)


class RunSync:
    """Sends one run's record to a store.

    Args:
        store: The store.
        folder: The run's folder.
        pending: The folder of the markers of pending runs.

    Attributes:
        finished: Whether the store has all of it, its status included.
    """

    def __init__(self, store: Store, folder: Path, pending: Path) -> None:
        self._store = store
        self._pending = pending
        self._client = store.client
        self._folder = folder
        self._journal = folder / "journal.jsonl"
        self.finished = self._dropped = False
        state = read_json(folder / "delivery.json")
        self._mlflow_run_id: str | None = state.get("mlflow_run_id")
        self._offset: int = state.get("offset", 0)
        self._start: Event = {}
        self._time: int = state.get("time", 0)
        self._refusal: str | None = state.get("refused")
        self._experiment: str | None = state.get("mlflow_experiment_id")
        if self._mlflow_run_id and not self._exists():  # The store was replaced by a new one.
            self._mlflow_run_id, self._offset = None, 0
        if self._offset:
            self._start = read_events(self._journal)[0][0]

    def advance(self) -> bool:
        """Send what is new in the journal; returns whether there was anything."""
        if not self._journal.exists():
            self._drop("its folder was removed")
            return True
        if self._journal.stat().st_size <= self._offset:
            return False
        events, offset = read_events(self._journal, self._offset)
        if not events:  # at most a line that a full disk tore
            self._offset, before = offset, self._offset
            return offset > before
        if not self._start:
            self._start = events[0]
        if self._mlflow_run_id is None and not self._create():
            return False
        self._time = events[-1]["time"]
        try:
            if any(event["kind"] == "resume" for event in events):
                self._client.update_run(self._id, status="RUNNING")
            self._send_events(events)
            if events[-1]["kind"] == "end":  # not noted before it is closed, or it never would be
                self._close(events[-1]["status"], events[-1]["time"])
        except _DeletedError:
            self._drop("it was deleted in MLflow")
            return True
        self._offset = offset
        self._save_state()
        return True

    def close_dead(self) -> None:
        """Close the run of a process that died; everything in its journal has been sent."""
        if self._start:
            self._close("KILLED", self._time)
        else:
            self._drop("its process ended before it began")

    def has_news(self) -> bool:
        """Whether the journal holds whole events that are still to be sent."""
        if self._dropped:
            return False
        return read_events(self._journal, self._offset)[1] > self._offset

    @property
    def awaits_model(self) -> bool:
        """Whether the task fits a model that will have to be sent."""
        return bool(self._start.get("model"))

    @property
    def _id(self) -> str:
        if self._mlflow_run_id is None:
            raise RuntimeError("the run does not exist in MLflow yet")
        return self._mlflow_run_id

    def _exists(self) -> bool:
        try:
            self._client.get_run(self._id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
        return True

    def _create(self) -> bool:
        """Create the run, unless one with its id was created by a process that was stopped.

        Returns:
            False if its parent run has to be created first.
        """
        record, parent = self._start["id"], self._start.get("parent")
        experiment = self._experiment = self._store.experiment(self._start["experiment"])
        parent_tags = {}
        if parent:
            parent_id = self._store.find(experiment, parent)
            if parent_id is None and (self._pending / f"{parent}.run").exists():
                return False
            parent_tags = {"record.parent": parent}
            parent_tags |= {"mlflow.parentRunId": parent_id} if parent_id else {}
        existing = self._store.find(experiment, record)
        if existing:
            self._mlflow_run_id = existing
        else:
            created = self._client.create_run(
                experiment,
                start_time=self._start["time"],
                tags={
                    "record.id": record,
                    "record.folder": str(self._folder),
                    "mlflow.user": self._start["user"],
                    "mlflow.source.name": "run.py",
                    "mlflow.source.type": "LOCAL",
                    **parent_tags,
                },
                run_name=self._start["name"],
            )
            fault("after_create_run")
            self._mlflow_run_id = created.info.run_id
        self._save_state()
        return True

    def _send_events(self, events: Sequence[Event]) -> None:
        """Send events; the order of kinds is that in which a reader wants to see them."""
        client, run_id = self._client, self._id
        params, tags = mlflow_entities.params_of(events), mlflow_entities.tags_of(events)
        metrics, inputs = mlflow_entities.metrics_of(events), mlflow_entities.datasets_of(events)
        self._send(params, _TEXTS, lambda batch: client.log_batch(run_id, params=batch))
        self._send(tags, _TEXTS, lambda batch: client.log_batch(run_id, tags=batch))
        self._send(metrics, _METRICS, lambda batch: client.log_batch(run_id, metrics=batch))
        self._send(inputs, _TEXTS, lambda batch: client.log_inputs(run_id, batch))
        for event in events:
            if event["kind"] == "artifact":
                self._upload(event["path"], event["name"])
        for event in events:
            if event["kind"] == "model":
                self._send_model(event)

    def _send(self, items: Sequence[T], size: int, send: Callable[[Sequence[T]], object]) -> None:
        """Send in batches; an item that MLflow refuses does not keep the others back."""
        for begin in range(0, len(items), size):
            batch = items[begin : begin + size]
            try:
                send(batch)
            except (MlflowException, *_WRONG_VALUES) as error:
                if not _is_refusal(error):
                    raise
                if self._client.get_run(self._id).info.lifecycle_stage == "deleted":
                    raise _DeletedError from None
                if len(batch) > 1:
                    self._send(batch, (len(batch) + 1) // 2, send)
                else:
                    self._note_refusal(str(batch[0]), error)
            fault("after_batch")

    def _upload(self, path: str, name: str) -> None:
        file = self._folder / path
        try:
            checked_artifact(name)  # an edited journal must not lead out of the artifacts
            file.open("rb").close()
        except FileNotFoundError:
            self._log(f"{path} no longer exists and was not sent")
            return
        except (UserError, OSError) as error:
            self._note_refusal(f"the file {name}", error)
            return
        folder, _, name = mlflow_path(name).rpartition("/")
        with upload_timeout(), renamed_copy(file, name) as upload:
            self._send(
                [upload], 1, lambda _: self._client.log_artifact(self._id, upload, folder or None)
            )

    def _send_model(self, event: Event) -> None:
        from ml_experiment_runner.record.sync.models import ModelError, log_model

        begin = time.perf_counter()
        experiment = self._store.experiment(self._start["experiment"])
        folder, package = self._folder / event["path"], self._start["package"]
        try:
            with upload_timeout():
                log_model(self._client, experiment, self._id, folder, package)
        except ModelError as error:
            self._note_refusal("the model", error.__cause__ or error)
        self._log(f"model sent in {time.perf_counter() - begin:.2f} s")

    def _close(self, status: str, end: int) -> None:
        self._upload("console.log", "console.log")
        fault("before_end")
        self._client.set_terminated(self._id, status, end)
        self._log(f"{status}; everything was in MLflow {now() - end} ms later")
        self.finished = True

    def _note_refusal(self, what: str, error: BaseException) -> None:
        self._refusal = mask(f"{what[:500]}: {error}")[: mlflow_entities.TAG_LENGTH]
        self._log(f"MLflow refused {self._refusal}")
        self._client.set_tag(self._id, "record.refused", self._refusal)

    def _drop(self, reason: str) -> None:
        self.finished = self._dropped = True
        with suppress(OSError):
            self._log(f"not synced any further: {reason}")

    def _save_state(self) -> None:
        state = {
            "mlflow_run_id": self._mlflow_run_id,
            "mlflow_experiment_id": self._experiment,
            "refused": self._refusal,
            "offset": self._offset,
            "time": self._time,
        }
        write_atomically(self._folder / "delivery.json", json.dumps(state))

    def _log(self, line: str) -> None:
        with (self._folder / "delivery.log").open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%H:%M:%S')} {mask(line)}\n")


class _DeletedError(Exception):
    """Somebody deleted the run in MLflow while it was synced."""


def _is_refusal(error: Exception) -> bool:
    """Whether the same would be refused again, whenever it is sent."""
    if isinstance(error, MlflowException) and error.error_code in _REFUSALS:
        return True
    root: BaseException = error
    while cause := root.__cause__ or root.__context__:
        root = cause
    # what the HTTP client raises is an OSError, too
    return isinstance(root, _WRONG_VALUES) and not isinstance(root, OSError | MlflowException)
