"""Whether an MLflow store holds all of a run's record: compares the journal with the store."""

import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ml_experiment_runner.record.journal import Event, all_events
from ml_experiment_runner.record.names import mlflow_name, mlflow_path
from ml_experiment_runner.record.run_reader import RecordedRun, read_run
from ml_experiment_runner.record.sync.markers import read_json
from ml_experiment_runner.record.sync.mlflow_entities import PARAM_LENGTH, tag_values

if TYPE_CHECKING:  # imported before, with its environment
    from mlflow import MlflowClient
    from mlflow.entities import Run


def missing(client: "MlflowClient", mlflow_run_id: str, folder: Path) -> str | None:
    """The first thing of a run's record that the store does not hold; None if it holds all.

    Args:
        client: The store.
        mlflow_run_id: MLflow's id of the run.
        folder: The run's folder.

    Raises:
        Exception: Any error of the store, such as that it has no such run.
    """
    stored, recorded = client.get_run(mlflow_run_id), read_run(folder)
    events = list(all_events(folder / "journal.jsonl"))
    missing_items = itertools.chain(
        _of_its_end(stored, recorded),
        _of_values(stored, recorded, events),
        _of_files(client, stored, folder, events),
    )
    return next(missing_items, None)


def _of_its_end(stored: "Run", recorded: RecordedRun) -> Iterator[str]:
    if stored.info.lifecycle_stage != "active":
        yield "the run, which was deleted"
    if stored.info.status != recorded.status:
        yield f"its end: it is {stored.info.status} there and {recorded.status} here"
    if refused := stored.data.tags.get("record.refused"):
        yield f"what it refused ({refused})"
    sent = read_json(recorded.folder / "delivery.json").get("offset", 0)
    if any(all_events(recorded.folder / "journal.jsonl", sent)):
        yield "the end of its journal"


def _of_values(stored: "Run", recorded: RecordedRun, events: Sequence[Event]) -> Iterator[str]:
    for name, value in recorded.params.items():
        if stored.data.params.get(mlflow_name(name)) != value[:PARAM_LENGTH]:
            yield f"param {name}"
    for name in tag_values(events):  # their values may have been edited there
        if mlflow_name(name) not in stored.data.tags:
            yield f"tag {name}"
    for name in recorded.points:
        points = [point for point in recorded.series(name) if not math.isinf(point.value)]
        last = [point.value for point in points if point.step == points[-1].step]
        there = stored.data.metrics.get(mlflow_name(name))
        if points and not any(_is_same(there, value) for value in last):
            yield f"metric {name}"
    inputs = stored.inputs.dataset_inputs if stored.inputs else []
    datasets = {(item.dataset.name, item.dataset.digest) for item in inputs}
    for event in recorded.datasets:
        if (event["signal"], event["md5"]) not in datasets:
            yield f"dataset {event['signal']}"


def _of_files(
    client: "MlflowClient", stored: "Run", folder: Path, events: Sequence[Event]
) -> Iterator[str]:
    names = {"console.log": "console.log"}
    names |= {event["name"]: event["path"] for event in events if event["kind"] == "artifact"}
    files = set(_files(client, stored.info.run_id))
    for name, path in names.items():
        if mlflow_path(name) not in files and (folder / path).is_file():
            yield f"artifact {name}"
    if any(event["kind"] == "model" for event in events) and not _has_model(client, stored):
        yield "its model"


def _is_same(stored: float | None, recorded: float) -> bool:
    if stored is None:
        return False
    return stored == recorded or (math.isnan(stored) and math.isnan(recorded))


def _files(client: "MlflowClient", mlflow_run_id: str) -> Iterator[str]:
    folders: list[str | None] = [None]
    while folders:
        for entry in client.list_artifacts(mlflow_run_id, folders.pop()):
            if entry.is_dir:
                folders.append(entry.path)
            else:
                yield entry.path


def _has_model(client: "MlflowClient", stored: "Run") -> bool:
    """Whether the model that the runner has sent is there, with its files."""
    outputs = stored.outputs.model_outputs if stored.outputs else []
    models = [client.get_logged_model(output.model_id) for output in outputs]
    return any(
        model.tags.get("record.model") == "true"
        and model.status.name == "READY"
        and client.list_logged_model_artifacts(model.model_id)
        for model in models
    )
