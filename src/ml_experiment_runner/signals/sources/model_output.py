"""The output of a registered MLflow model on another signal: a signal made of a signal.

The model is loaded in a process of its own: its code is not this run's, and neither is mlflow.
"""

import json
import os
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

import polars as pl

from ml_experiment_runner.project.suggestions import nearest
from ml_experiment_runner.record.sync import embedded_store
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.snapshots import snapshot as snapshots

_NAME = "ml_experiment_runner.signals.sources.model_output"
_UNSUITABLE = 3
"""Exit code of the process whose model does not suit the input; its line shows no value."""


class _UnsuitableError(ValueError):
    """The model does not suit the rows of its input."""


def read(contract: Contract, since: datetime | None) -> pl.DataFrame:  # noqa: ARG001
    """The input's key and event time, and beside them what the model answers for each row."""
    given, rows = _input(contract)
    kept = [
        field.source_name
        for field in contract.source_fields
        if field.source_name in rows.columns
        and _column(contract) not in (field.name, field.source_name)
    ]
    asked = {
        field.source_name: field.type
        for field in contract.source_fields
        if field.source_name not in kept
    }
    answers = _answers(contract, given, rows, asked)
    for name in asked:
        if name not in answers.columns:
            raise contract.mistake(
                f"the model {contract.model} gives no '{name}'. {nearest(name, answers.columns)}"
            )
    return pl.concat([rows.select(kept), answers.select(list(asked))], how="horizontal")


def _column(contract: Contract) -> str | None:
    return contract.source_configuration.options.get("prediction")


def _input(contract: Contract) -> tuple[Contract, pl.DataFrame]:
    """The signal that the model is applied to, and its rows."""
    name = contract.source_configuration.options["input"]
    others = read_contracts(contract.root)
    if name not in others or name == contract.name:
        raise contract.mistake(
            f"its input must be another signal, got '{name}'. "
            f"{nearest(name, set(others) - {contract.name})}",
            f"Correct 'input' in signals/{contract.path.name}",
        )
    if contract.model is None or "@" not in contract.model:
        raise contract.mistake(
            "the property 'model' is missing, which names the model that it is the output of",
            "Write `- {property: model, value: name@alias}` under customProperties in "
            f"signals/{contract.path.name}",
        )
    snapshot = snapshots.current(others[name])
    if snapshot is None:
        raise contract.mistake(
            f"its input '{name}' has not been ingested",
            f"Ingest it: python run.py task=ingest signals=[{name}]",
        )
    return others[name], snapshots.scan(snapshot).collect()


def _answers(
    contract: Contract, given: Contract, rows: pl.DataFrame, asked: dict[str, str]
) -> pl.DataFrame:
    """What the model answers for the rows, in a process of its own."""
    registry = contract.source_configuration.resolved().get("location") or os.environ.get(
        "MLFLOW_TRACKING_URI"
    )
    registry = registry or f"sqlite:///{(contract.root / 'mlflow.db').as_posix()}"
    if (file := embedded_store.store_file(registry)) and file.is_file():
        embedded_store.correct(file)  # the project may have been moved
    with tempfile.TemporaryDirectory() as folder:
        rows.write_parquet(Path(folder) / "rows.parquet")
        source = os.pathsep.join([str(contract.root / "src"), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [sys.executable, "-m", _NAME, str(contract.model), folder, json.dumps(asked)],
            env={
                **os.environ,
                "PYTHONPATH": source,
                "MLFLOW_TRACKING_URI": embedded_store.address(registry),
                "MLFLOW_DISABLE_TELEMETRY": "true",
            },
            cwd=contract.root,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            _refuse(contract, given, done)
        return pl.read_parquet(Path(folder) / "answers.parquet")


def _refuse(
    contract: Contract, given: Contract, done: "subprocess.CompletedProcess[str]"
) -> NoReturn:
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines()
    reason = lines[-1] if lines else "it gave no reason"
    if done.returncode == _UNSUITABLE:
        raise contract.mistake(
            f"the model {contract.model} does not suit {given.name}: {reason}",
            f"A model takes its features by name: let another signal be its input in "
            f"signals/{contract.path.name}, or register a model of the fields of {given.name}",
        )
    if given.is_classified or contract.is_classified:
        reason = reason.partition(":")[0]  # the rest may show a value
    raise contract.mistake(
        f"the model {contract.model} could not be applied to "
        f"{given.name} ({contract.source_configuration.hide(reason)})"
    )


def _apply(model: str, folder: Path, asked: dict[str, str]) -> None:
    """In the process of its own: loads the model and writes what it answers for each row."""
    import mlflow

    name, _, alias = model.rpartition("@")
    loaded = mlflow.pyfunc.load_model(f"models:/{name}@{alias}")
    rows = pl.read_parquet(folder / "rows.parquet")
    answer = loaded.predict(_suitable(rows, loaded.metadata.get_input_schema()))
    if len(answer) != rows.height:
        raise ValueError(f"it gives {len(answer):,} rows for {rows.height:,}")
    _columns(answer, _classes(loaded), asked).write_parquet(folder / "answers.parquet")


def _suitable(rows: pl.DataFrame, schema: Any) -> Any:
    """The model's input as pandas has it, in the types of its signature.

    Raises:
        _UnsuitableError: Columns are lacking, or values that the model cannot do without.
    """
    if schema is None or not schema.has_input_names():
        return rows.to_pandas()
    names = schema.input_names()
    if lacking := [name for name in names if name not in rows.columns]:
        raise _UnsuitableError(f"it needs {', '.join(lacking)}, which the input does not have")
    rows = rows.select(names)
    for name, column in schema.input_dict().items():
        kind, values = str(column.type), rows[name]
        if kind == "DataType.double" and (values.dtype.is_integer() or values.dtype == pl.Boolean):
            rows = rows.with_columns(values.cast(pl.Float64))
        elif kind in ("DataType.long", "DataType.integer") and (count := values.null_count()):
            raise _UnsuitableError(
                f"it needs a value of {name} in every row, and {count:,} rows have none"
            )
    return rows.to_pandas()


def _classes(loaded: Any) -> list[str]:
    """What the columns of its answer are the probabilities of; empty where that is not known."""
    if loaded.metadata.flavors["python_function"].get("predict_fn") != "predict_proba":
        return []
    noted = (loaded.metadata.metadata or {}).get("classes")
    # a run's model notes them: what it was fitted to may be numbers that stand for them
    return list(map(str, noted or getattr(loaded.get_raw_model(), "classes_", [])))


def _columns(answer: Any, classes: list[str], asked: dict[str, str]) -> pl.DataFrame:
    """The answer as columns; one column, whatever its name, is the one field that is asked for.

    Of probabilities, each is named by its class. Is one field asked for that has no class's name,
    it is the likeliest class where it is a text, and of two classes the chance of the second.
    """
    import numpy as np

    if hasattr(answer, "to_frame"):  # a series
        answer = answer.to_frame()
    if hasattr(answer, "columns"):
        columns = pl.DataFrame(answer)
    else:
        values = np.asarray(answer)
        values = values.reshape(len(values), -1)
        names = classes if len(classes) == values.shape[1] else map(str, range(values.shape[1]))
        columns = pl.DataFrame(dict(zip(names, values.T, strict=True)))
    if len(asked) != 1 or set(asked) <= set(columns.columns):
        return columns
    ((name, kind),) = asked.items()
    if columns.width == 1:
        return columns.rename({columns.columns[0]: name})
    if columns.columns == classes and kind == "string":
        likeliest = columns.to_numpy().argmax(axis=1)
        return pl.DataFrame({name: np.array(classes, dtype=object)[likeliest]})
    if columns.columns == classes and len(classes) == 2:
        return columns.select(pl.col(classes[1]).alias(name))
    return columns


if __name__ == "__main__":
    try:
        _apply(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))
    except _UnsuitableError as problem:
        print(problem)
        sys.exit(_UNSUITABLE)
    except Exception as problem:
        # one line for the one who called
        print(f"{type(problem).__name__}: {str(problem).strip().partition(chr(10))[0]}")
        sys.exit(1)
