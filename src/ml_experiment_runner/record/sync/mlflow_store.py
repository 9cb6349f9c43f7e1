"""An MLflow store, and the replay of one run's journal into it. Only the delivery process loads it.

Everything here can be stopped at any point and done again: what is noted in a run's `delivery.json`
has been sent; what is not noted is sent once more, and MLflow keeps it once.
"""

import gc
import importlib
import json
import math
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from ml_experiment_runner.project.atomic import write_atomically
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.secrets import mask
from ml_experiment_runner.record.journal import Event, now, read_events
from ml_experiment_runner.record.names import checked_artifact, mlflow_name, mlflow_path, named_so
from ml_experiment_runner.record.sync import embedded_store
from ml_experiment_runner.record.sync.markers import read_json

# Before MLflow is imported, because it reads some of these then.
os.environ.update(
    MLFLOW_DISABLE_TELEMETRY="true",
    DO_NOT_TRACK="true",
    MLFLOW_HTTP_REQUEST_MAX_RETRIES="0",  # To try again is the delivery loop's work.
    MLFLOW_HTTP_REQUEST_TIMEOUT="5",
    OMP_NUM_THREADS="1",  # The processor belongs to the run.
)

from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    Metric,
    Param,
    RunTag,
)
from mlflow.exceptions import MlflowException

from ml_experiment_runner.record.sync.fault_points import fault

T = TypeVar("T")

_METRICS, _TEXTS = 1000, 100  # What MLflow takes in one batch.
PARAM_LENGTH, _TAG = 6000, 8000  # Characters that MLflow keeps of a value.
_REFUSALS = ("INVALID_PARAMETER_VALUE", "BAD_REQUEST")
_WRONG_VALUES = (ValueError, TypeError, OverflowError)


class Store:
    """A tracking store; an embedded one is created and migrated under a lock beside its file.

    One that was moved with its project is corrected first: see `embedded_store.py`.

    Args:
        uri: Its real address, password and all.
    """

    def __init__(self, uri: str) -> None:
        self._experiments: dict[str, str] = {}
        self._prepared = False
        self._file = embedded_store.store_file(uri)
        uri = embedded_store.address(uri)
        self.client = MlflowClient(uri)
        if self._file:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self._file}.lock"):
                self._migrate(uri)
            embedded_store.correct(self._file)
        self.check()

    def check(self) -> None:
        """Raises whatever is wrong, if the store does not answer."""
        self.client.search_experiments(max_results=1)

    def experiment(self, name: str) -> str:
        """The experiment's id; it is created when it is new."""
        if name not in self._experiments:
            found = self.client.get_experiment_by_name(name)
            if found and found.lifecycle_stage == "deleted":  # it takes no runs until it is back
                self.client.restore_experiment(found.experiment_id)
            try:
                self._experiments[name] = found.experiment_id if found else self._create(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                return self.experiment(name)  # Another repo's delivery was faster.
        return self._experiments[name]

    def find(self, experiment: str, record: str) -> str | None:
        """MLflow's id of the run with this record, if it is there."""
        found = self.client.search_runs([experiment], f"tags.`record.id` = '{record}'")
        return found[0].info.run_id if found else None

    def prepare(self) -> None:
        """Begin to import what a model needs, beside the work, while the run still trains."""
        if not self._prepared:
            self._prepared = True
            threading.Thread(target=_import_model_packages, daemon=True).start()

    def _create(self, name: str) -> str:
        location = (
            (self._file.parent / embedded_store.ARTIFACTS / name).as_uri() if self._file else None
        )
        identity: str = self.client.create_experiment(name, artifact_location=location)
        return identity

    def _migrate(self, uri: str) -> None:
        try:
            self.check()
        except MlflowException as error:
            if "out-of-date database schema" not in str(error):
                raise
            from mlflow.store.db.utils import _upgrade_db, create_sqlalchemy_engine

            _upgrade_db(create_sqlalchemy_engine(uri))


@contextmanager
def patience() -> Iterator[None]:
    """Gives files the time that they need on their way; whether a server is there shows before."""
    variable = "MLFLOW_HTTP_REQUEST_TIMEOUT"
    usual = os.environ[variable]
    os.environ[variable] = "300"
    try:
        yield
    finally:
        os.environ[variable] = usual


def _import_model_packages() -> None:
    gc.disable()
    importlib.import_module("skops.io")  # It brings scikit-learn: 1.7 s together.
    gc.freeze()
    gc.enable()


class StoredRun:
    """One run on its way into the store.

    Args:
        store: Where to.
        folder: The run's record.
        pending: Where the markers of runs lie that are on their way.

    Attributes:
        finished: Whether all of it is there, its status included.
    """

    def __init__(self, store: Store, folder: Path, pending: Path) -> None:
        self._store = store
        self._pending = pending
        self._client = store.client
        self._folder = folder
        self._journal = folder / "journal.jsonl"
        self.finished = self._dropped = False
        noted = read_json(folder / "delivery.json")
        self._mlflow_run_id: str | None = noted.get("mlflow_run_id")
        self._offset: int = noted.get("offset", 0)
        self._start: Event = {}
        self._time: int = noted.get("time", 0)
        self._refusal: str | None = noted.get("refused")
        self._experiment: str | None = noted.get("mlflow_experiment_id")
        if self._mlflow_run_id and not self._exists():  # The store was replaced by a new one.
            self._mlflow_run_id, self._offset = None, 0
        if self._offset:
            self._start = read_events(self._journal)[0][0]

    def advance(self) -> bool:
        """Send what is new in the journal; returns whether there was anything."""
        if not self._journal.exists():
            self._drop("its folder is gone")
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
            self._replay(events)
            if events[-1]["kind"] == "end":  # not noted before it is closed, or it never would be
                self._close(events[-1]["status"], events[-1]["time"])
        except _DeletedError:
            self._drop("it was deleted in MLflow")
            return True
        self._offset = offset
        self._note()
        return True

    def close_dead(self) -> None:
        """Close the run of a process that died; everything in its journal has been sent."""
        if self._start:
            self._close("KILLED", self._time)
        else:
            self._drop("its process ended before it began")

    def has_news(self) -> bool:
        """Whether the journal holds more whole events than were sent and will still be sent."""
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
            False if the run that it belongs to has to be created first.
        """
        record, parent = self._start["id"], self._start.get("parent")
        experiment = self._experiment = self._store.experiment(self._start["experiment"])
        belongs = {}
        if parent:
            above = self._store.find(experiment, parent)
            if above is None and (self._pending / f"{parent}.run").exists():
                return False
            belongs = {"record.parent": parent} | ({"mlflow.parentRunId": above} if above else {})
        found = self._store.find(experiment, record)
        if found:
            self._mlflow_run_id = found
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
                    **belongs,
                },
                run_name=self._start["name"],
            )
            fault("after_create_run")
            self._mlflow_run_id = created.info.run_id
        self._note()
        return True

    def _replay(self, events: Sequence[Event]) -> None:
        """Send events; the order of kinds is that in which a reader wants to see them."""
        kinds: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            kinds[event["kind"]].append(event)
        values = {name: value for each in kinds["params"] for name, value in each["values"].items()}
        params = [Param(mlflow_name(name), value[:PARAM_LENGTH]) for name, value in values.items()]
        tags = [RunTag(mlflow_name(name), value[:_TAG]) for name, value in tags_of(events).items()]
        metrics = [
            Metric(mlflow_name(each["name"]), float(each["value"]), each["time"], each["step"])
            for each in kinds["metric"]
            if not math.isinf(float(each["value"]))  # See `tags_of`.
        ]
        inputs = [_dataset(each) for each in kinds["dataset"]]
        client, run_id = self._client, self._id
        self._send(params, _TEXTS, lambda part: client.log_batch(run_id, params=part))
        self._send(tags, _TEXTS, lambda part: client.log_batch(run_id, tags=part))
        self._send(metrics, _METRICS, lambda part: client.log_batch(run_id, metrics=part))
        self._send(inputs, _TEXTS, lambda part: client.log_inputs(run_id, part))
        for event in kinds["artifact"]:
            self._upload(event["path"], event["name"])
        for event in kinds["model"]:
            self._model(event)

    def _send(self, items: Sequence[T], size: int, send: Callable[[Sequence[T]], object]) -> None:
        """Send in parts; one that MLflow refuses for good does not keep the others back."""
        for begin in range(0, len(items), size):
            part = items[begin : begin + size]
            try:
                send(part)
            except (MlflowException, *_WRONG_VALUES) as error:
                if not _is_refusal(error):
                    raise
                if self._client.get_run(self._id).info.lifecycle_stage == "deleted":
                    raise _DeletedError from None
                if len(part) > 1:
                    self._send(part, (len(part) + 1) // 2, send)
                else:
                    self._refused(str(part[0]), error)
            fault("after_batch")

    def _upload(self, path: str, name: str) -> None:
        file = self._folder / path
        try:  # also what an older version has let into the journal
            checked_artifact(name)
            if not file.is_file():
                self._say(f"{path} is no longer there and was not sent")
                return
            file.open("rb").close()
        except (UserError, OSError) as error:
            self._refused(f"the file {name}", error)
            return
        place, _, own = mlflow_path(name).rpartition("/")
        with patience(), named_so(file, own) as named:
            self._send(
                [named], 1, lambda _: self._client.log_artifact(self._id, named, place or None)
            )

    def _model(self, event: Event) -> None:
        from ml_experiment_runner.record.sync.models import ModelError, log_model

        begin = time.perf_counter()
        experiment = self._store.experiment(self._start["experiment"])
        folder, package = self._folder / event["path"], self._start["package"]
        try:
            with patience():
                log_model(self._client, experiment, self._id, folder, package)
        except ModelError as error:
            self._refused("the model", error.__cause__ or error)
        self._say(f"model sent in {time.perf_counter() - begin:.2f} s")

    def _close(self, status: str, end: int) -> None:
        self._upload("console.log", "console.log")
        fault("before_end")
        self._client.set_terminated(self._id, status, end)
        self._say(f"{status}; everything was in MLflow {now() - end} ms later")
        self.finished = True

    def _refused(self, what: str, error: BaseException) -> None:
        self._refusal = mask(f"{what[:500]}: {error}")[:_TAG]
        self._say(f"MLflow refused {self._refusal}")
        self._client.set_tag(self._id, "record.refused", self._refusal)

    def _drop(self, reason: str) -> None:
        self.finished = self._dropped = True
        with suppress(OSError):
            self._say(f"not delivered any further: {reason}")

    def _note(self) -> None:
        noted = {
            "mlflow_run_id": self._mlflow_run_id,
            "mlflow_experiment_id": self._experiment,
            "refused": self._refusal,
            "offset": self._offset,
            "time": self._time,
        }
        write_atomically(self._folder / "delivery.json", json.dumps(noted))

    def _say(self, line: str) -> None:
        with (self._folder / "delivery.log").open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%H:%M:%S')} {mask(line)}\n")


class _DeletedError(Exception):
    """Somebody deleted the run in MLflow while it was on its way."""


def _is_refusal(error: Exception) -> bool:
    """Whether the same would be refused again, whenever it is sent."""
    if isinstance(error, MlflowException) and error.error_code in _REFUSALS:
        return True
    root: BaseException = error
    while cause := root.__cause__ or root.__context__:
        root = cause
    # what the HTTP client raises is an OSError, too
    return isinstance(root, _WRONG_VALUES) and not isinstance(root, OSError | MlflowException)


def tags_of(events: Sequence[Event]) -> dict[str, str]:
    """What becomes a tag: tags, provenance, and metrics without end, which MLflow would change."""
    tags: dict[str, str] = {}
    for event in events:
        match event:
            case {"kind": "tag", "name": name, "value": value}:
                tags[name] = value
            case {"kind": "provenance", "name": name, "value": value}:
                tags[f"provenance.{name}"] = value if isinstance(value, str) else json.dumps(value)
                if name == "git_commit" and " " not in value:
                    tags["mlflow.source.git.commit"] = value
            case {"kind": "metric", "name": name, "value": "inf" | "-inf" as value, "step": step}:
                tags[f"metric.{name}"] = f"{value} at step {step}"
    return tags


def _dataset(event: Event) -> DatasetInput:
    columns = [{"name": name, "type": kind} for name, kind in event["schema"].items()]
    dataset = Dataset(
        name=event["signal"],
        digest=event["md5"],
        source_type="local",
        source=json.dumps({"uri": event["source"]}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps({"num_rows": event["rows"], "version": event["version"]}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", event["context"])])
