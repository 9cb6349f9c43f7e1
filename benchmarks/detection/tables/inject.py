"""Puts the faults of `faults.yaml` into a delivery."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import fault_codes
import fault_rows
import fault_values
import numpy as np
import polars as pl
from faults import Fault
from injection import Injection

if TYPE_CHECKING:
    from deliveries import Delivery

MODULES = (fault_values, fault_codes, fault_rows)


def inject(delivery: "Delivery", rows: pl.DataFrame, fault: Fault, seed: list[int]) -> pl.DataFrame:
    """The rows with the fault in them; keys stay as they are unless the fault is about them.

    Args:
        delivery: Whose rows they are; what was known before it is where stale rows come from.
        rows: The delivery's new rows.
        fault: One of `faults(delivery.table, …)`.
        seed: Draws rows, days and groups.
    """
    kind = next(getattr(module, fault.kind) for module in MODULES if hasattr(module, fault.kind))
    faulty: pl.DataFrame = kind(Injection(delivery, rows, fault, np.random.default_rng(seed)))
    return faulty


def is_chain(fault: Fault) -> bool:
    """Whether a fault goes on over several deliveries."""
    return "deliveries" in fault.size


def chain(
    following: Sequence["Delivery"], fault: Fault, seed: list[int]
) -> list[tuple["Delivery", pl.DataFrame]]:
    """A fault that grows: each delivery with its faulty rows, and the faulty ones in its past.

    Args:
        following: The delivery and those after it; no more than the fault has are used.
        fault: A fault with `deliveries`.
        seed: As for `inject`.
    """
    found: list[tuple[Delivery, pl.DataFrame]] = []
    altered: dict[str, pl.DataFrame] = {}
    for step, delivery in enumerate(following[: fault.size["deliveries"]], start=1):
        this = replace(fault, size={**fault.size, "step": step})
        rows = inject(delivery, delivery.rows, this, seed)
        changed = replace(delivery, past={**delivery.past, **altered})
        found.append((changed, rows))
        altered |= changed.parts(rows)
    return found
