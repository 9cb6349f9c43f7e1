"""The readers: each is one function `(contract, since) -> DataFrame` for one kind of source.

A reader gives all rows of the source, or, where it can tell the source so, those with an event
time of `since` or later. What it gives is checked against the contract by who called it.
"""

import traceback
from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from pathlib import Path

import polars as pl

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.sources import api, dvc, files, model_output, sql

Reader = Callable[[Contract, datetime | None], pl.DataFrame]

READERS: dict[str, Reader] = {
    "files": files.read,
    "postgres": sql.postgres,
    "sqlite": sql.sqlite,
    "duckdb": sql.duckdb,
    "api": api.read,
    "dvc": dvc.read,
    "model": model_output.read,
}


def read(contract: Contract, since: datetime | None) -> pl.DataFrame:
    """The rows as the source has them, by the contract's reader.

    Raises:
        UserError: The source cannot be read, or a secret that it needs is not set.
    """
    for name in contract.source_configuration.unset:
        raise contract.mistake(
            f"the environment variable {name} is not set, and its source needs it",
            "Set it, or write it into .env; .env.example is where its name belongs",
        )
    if contract.source_configuration.reader in READERS:
        return READERS[contract.source_configuration.reader](contract, since)
    return _read_own(contract, since)


def takes_since(contract: Contract) -> bool:
    """Whether the source can be asked for the rows since a moment only."""
    options, reader = contract.source_configuration.options, contract.source_configuration.reader
    if contract.event_time is None:
        return False
    if reader == "api":
        return "since" in options
    if reader in READERS:
        return reader in ("postgres", "sqlite", "duckdb")
    return options.get("incremental") == "true"


def inputs(contract: Contract) -> tuple[str, ...]:
    """The signals that have to be ingested before this one."""
    return (
        (contract.source_configuration.options["input"],)
        if contract.source_configuration.reader == "model"
        else ()
    )


def _read_own(contract: Contract, since: datetime | None) -> pl.DataFrame:
    """Reads by a team's own function; its errors may hold secrets, so they are masked."""
    path = contract.source_configuration.reader
    reader = _own(contract)
    try:
        frame = reader(contract, since)
    except UserError as error:
        raise UserError(contract.source_configuration.hide(str(error))) from None
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise contract.mistake(
            f"its reader {path} failed: {type(error).__name__}: {files.why(error, contract)}",
            f"Correct it; it failed in {Path(last.filename).name}, line {last.lineno}",
        ) from None
    if not isinstance(frame, pl.DataFrame):
        raise contract.mistake(
            f"its reader {path} must return a polars DataFrame, got {type(frame).__name__}",
            f"Correct {path.rpartition('.')[0]}",
        )
    return frame


def _own(contract: Contract) -> Reader:
    module, _, name = contract.source_configuration.reader.rpartition(".")
    try:
        reader: Reader = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise contract.mistake(
            f"unknown reader {contract.source_configuration.reader} ({error})",
            f"Correct 'reader' in signals/{contract.path.name}, or write the function",
        ) from None
    except Exception as error:
        raise contract.mistake(
            f"importing its reader {contract.source_configuration.reader} failed: "
            f"{type(error).__name__}: {files.why(error, contract)}",
            f"Correct {module}",
        ) from None
    return reader
