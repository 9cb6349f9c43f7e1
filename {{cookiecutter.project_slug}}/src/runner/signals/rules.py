"""Compares a delivery with what its contract says of values, volume and time."""

from collections.abc import Mapping
from datetime import datetime

import polars as pl

from runner.holds import Breach
from runner.signals.contract import Contract


def broken(
    contract: Contract, delivery: Mapping[str, pl.DataFrame], now: datetime
) -> list[Breach]:
    """The contract's rules that a delivery breaks.

    Args:
        contract: The signal's contract.
        delivery: New or changed rows by partition, in the contract's types.
        now: When it arrived.
    """
    return []
