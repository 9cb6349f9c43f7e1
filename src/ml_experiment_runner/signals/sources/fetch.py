"""Fetches a signal from its source, in the fields, types and order of its contract."""

import hashlib
from datetime import datetime

import polars as pl

from ml_experiment_runner.signals import sources
from ml_experiment_runner.signals.checks import schema
from ml_experiment_runner.signals.contract import generated_key
from ml_experiment_runner.signals.contract.contract import Contract, SchemaViolation


def fetch_rows(contract: Contract, since: datetime | None = None) -> pl.DataFrame:
    """A signal's rows with the contract's fields, types and key, in order of the key.

    Args:
        contract: The signal's contract.
        since: Only rows with this event time or a later one. If the source cannot be asked for
            them (see `sources.takes_since`), all rows are fetched.

    Raises:
        UserError: The source is missing, cut off or breaks the contract; names field, row, owner.
    """
    if not sources.takes_since(contract):
        since = None
    rows = sources.read(contract, since)
    try:
        schema.check_names(rows.columns, contract, contract.source)
        frame = schema.conform(rows, contract, contract.source)
        frame = generated_key.add(frame, contract)
        schema.check_rows(frame, contract, contract.source)
    except SchemaViolation as error:
        content = rows.write_ipc(None).getvalue()
        error.content = hashlib.blake2b(content, digest_size=16).hexdigest()
        raise
    if since is not None:  # a source may be generous, as at an hour that comes twice
        frame = frame.filter(pl.col(str(contract.event_time)) >= since)
    return frame.sort(contract.key)
