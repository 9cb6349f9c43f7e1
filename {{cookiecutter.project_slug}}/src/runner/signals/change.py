"""Finds what has changed in a signal though its contract has not: against its own past."""

from collections.abc import Mapping

import polars as pl

from runner.holds import Breach
from runner.signals.contract import Contract


def changes(
    contract: Contract,
    past: Mapping[str, pl.LazyFrame],
    delivery: Mapping[str, pl.DataFrame],
    accepted: Mapping[str, str],
) -> list[Breach]:
    """The changes in a delivery that the signal's past does not explain.

    Args:
        contract: The signal's contract.
        past: Accepted rows by partition; a partition that the delivery changes stands here as it
            was.
        delivery: New and changed partitions, whole, in the contract's types.
        accepted: The first partition since which a field is what a person has accepted, by field:
            its past before that says nothing.
    """
    return []
