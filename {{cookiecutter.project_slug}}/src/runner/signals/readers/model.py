"""The output of a registered MLflow model on another signal: a signal made of a signal.

The model is loaded in a process of its own: its code is not this run's, and neither is mlflow.
"""

import os
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from runner.config import nearest
from runner.record import embedded
from runner.signals import snapshot as snapshots
from runner.signals.contract import Contract
from runner.signals.contract_file import read_contracts

_NAME = "runner.signals.readers.model"


def read(contract: Contract, since: datetime | None) -> pl.DataFrame:  # noqa: ARG001
    """The input's key and event time, and beside them what the model says of each row."""
    given, rows = _input(contract)
    kept = [name for name in contract.names if name in rows.columns and name != _column(contract)]
    said = [name for name in contract.names if name not in kept]
    predicted = _predicted(contract, given, rows)
    if len(said) == 1 and predicted.width == 1:
        predicted.columns = said
    for name in said:
        if name not in predicted.columns:
            raise contract.mistake(
                f"the model {contract.model} gives no '{name}'. {nearest(name, predicted.columns)}"
            )
    return pl.concat([rows.select(kept), predicted.select(said)], how="horizontal")


def _column(contract: Contract) -> str | None:
    return contract.server.options.get("prediction")


def _input(contract: Contract) -> tuple[Contract, pl.DataFrame]:
    """The signal that the model is applied to, and its rows."""
    name = contract.server.options["input"]
    others = read_contracts(contract.root)
    if name not in others or name == contract.name:
        raise contract.mistake(
            f"its input '{name}' is no other signal. "
            f"{nearest(name, set(others) - {contract.name})}",
            f"Correct 'input' in signals/{contract.path.name}",
        )
    if contract.model is None or "@" not in contract.model:
        raise contract.mistake(
            "nothing says which model it is the output of",
            "Write `- {property: model, value: name@alias}` under customProperties in "
            f"signals/{contract.path.name}",
        )
    snapshot = snapshots.current(others[name])
    if snapshot is None:
        raise contract.mistake(
            f"its input '{name}' has not been received",
            f"python run.py task=ingest signals=[{name}]",
        )
    return others[name], snapshots.scan(snapshot).collect()


def _predicted(contract: Contract, given: Contract, rows: pl.DataFrame) -> pl.DataFrame:
    registry = contract.server.resolved().get("location") or os.environ.get("MLFLOW_TRACKING_URI")
    registry = registry or f"sqlite:///{(contract.root / 'mlflow.db').as_posix()}"
    if (file := embedded.store_file(registry)) and file.is_file():
        embedded.correct(file)  # the project may have been moved
    with tempfile.TemporaryDirectory() as folder:
        asked, got = Path(folder) / "rows.parquet", Path(folder) / "predictions.parquet"
        rows.write_parquet(asked)
        source = os.pathsep.join([str(contract.root / "src"), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [sys.executable, "-m", _NAME, str(contract.model), str(asked), str(got)],
            env={
                **os.environ,
                "PYTHONPATH": source,
                "MLFLOW_TRACKING_URI": embedded.address(registry),
                "MLFLOW_DISABLE_TELEMETRY": "true",
            },
            cwd=contract.root,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines()
            reason = lines[-1] if lines else "it gave no reason"
            if given.is_classified or contract.is_classified:
                reason = reason.partition(":")[0]  # the rest may show a value
            raise contract.mistake(
                f"the model {contract.model} could not be applied to "
                f"{contract.server.options['input']} ({contract.server.hide(reason)})"
            )
        return pl.read_parquet(got)


def _apply(model: str, given: Path, got: Path) -> None:
    """In the process of its own: loads the model and writes what it says of each row."""
    import mlflow
    import numpy as np

    name, _, alias = model.rpartition("@")
    loaded = mlflow.pyfunc.load_model(f"models:/{name}@{alias}")
    frame: Any = pl.read_parquet(given).to_pandas()
    signature = loaded.metadata.get_input_schema()
    if signature is not None and signature.has_input_names():
        lacking = [name for name in signature.input_names() if name not in frame]
        if lacking:
            raise ValueError(f"it needs {', '.join(lacking)}, which the input does not have")
        frame = frame[signature.input_names()]
    said = loaded.predict(frame)
    if hasattr(said, "to_frame"):  # a series
        said = said.to_frame()
    if not hasattr(said, "columns"):
        said = np.asarray(said)
        said = {"prediction": said.reshape(len(said), -1)[:, 0] if said.size == len(said) else said}
    predictions = pl.DataFrame(said)
    if predictions.height != len(frame):
        raise ValueError(f"it gives {predictions.height:,} rows for {len(frame):,}")
    predictions.write_parquet(got)


if __name__ == "__main__":
    try:
        _apply(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    except Exception as problem:
        # one line for the one who called
        print(f"{type(problem).__name__}: {str(problem).strip().partition(chr(10))[0]}")
        sys.exit(1)
