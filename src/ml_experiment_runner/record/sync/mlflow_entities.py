"""Translates a journal's events into what MLflow stores: params, tags, metrics, datasets."""

import json
import math
from collections.abc import Sequence

import ml_experiment_runner.record.sync.mlflow_environment  # noqa: F401 - before MLflow
from ml_experiment_runner.record.journal import Event
from ml_experiment_runner.record.names import mlflow_name

# isort: split
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

PARAM_LENGTH, TAG_LENGTH = 6000, 8000
"""Characters that MLflow keeps of a value."""


def params_of(events: Sequence[Event]) -> list[Param]:
    """The params that events set."""
    values = {
        name: value
        for event in events
        if event["kind"] == "params"
        for name, value in event["values"].items()
    }
    return [Param(mlflow_name(name), value[:PARAM_LENGTH]) for name, value in values.items()]


def tags_of(events: Sequence[Event]) -> list[RunTag]:
    """The tags that events set, cut to MLflow's length."""
    return [
        RunTag(mlflow_name(name), value[:TAG_LENGTH]) for name, value in tag_values(events).items()
    ]


def tag_values(events: Sequence[Event]) -> dict[str, str]:
    """Tags by name: tags, provenance, and infinite metrics, which MLflow would change."""
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


def metrics_of(events: Sequence[Event]) -> list[Metric]:
    """The points that events add, without infinite ones: see `tag_values`."""
    return [
        Metric(mlflow_name(event["name"]), float(event["value"]), event["time"], event["step"])
        for event in events
        if event["kind"] == "metric" and not math.isinf(float(event["value"]))
    ]


def datasets_of(events: Sequence[Event]) -> list[DatasetInput]:
    """The datasets that events name, one for each signal."""
    return [_dataset(event) for event in events if event["kind"] == "dataset"]


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
