"""Brings other signals to the spine's rows: only what was known at each row's moment.

Two things always hold. Every row of the spine is kept, exactly once and in its place; and no value
is used that became known after the row's moment. A row is *known* its contract's delay after its
event time, may be used from that very instant on, and for as long as the contract's freshness.
"""

from collections.abc import Mapping

import polars as pl

from runner.config import nearest
from runner.errors import UserError
from runner.signals.contract import Contract

MOMENT = "moment"  # the spine's column that holds when its prediction is made


def attach(
    rows: pl.DataFrame, spine: Contract, other: pl.DataFrame, contract: Contract,
    on: Mapping[str, str],
) -> pl.DataFrame:  # fmt: skip
    """The spine's rows with another signal's columns.

    Args:
        rows: Columns `<spine>.<field>`, and `moment` where the other signal has an event time.
        spine: The spine's contract.
        other: The other signal's rows in key order, columns `<signal>.<field>`.
        contract: The other signal's contract.
        on: Its key fields (without the event time) to the spine's fields.

    Raises:
        UserError: `on` is not the other signal's key, or the fields are of different types.
    """
    check(spine, contract, on)
    left = [f"{spine.name}.{field}" for field in on.values()]
    right = [f"{contract.name}.{field}" for field in on]
    if contract.event_time is None:
        # a many-to-one join on a unique key: it neither loses nor doubles a row
        return rows.join(
            other, left_on=left, right_on=right, how="left", validate="m:1", coalesce=False,
            maintain_order="left",
        )  # fmt: skip
    if MOMENT not in rows.columns:
        raise UserError(
            f"dataset.moment: {contract.name} is joined as of a moment and none is named; "
            "name one of MOMENTS in features.py"
        )
    known = (pl.col(f"{contract.name}.{contract.event_time}") + contract.delay).alias("known")
    place = pl.int_range(pl.len(), dtype=pl.UInt32).alias("place")
    joined = (
        rows.with_columns(place)
        .sort(MOMENT, maintain_order=True)
        .join_asof(
            # stable: of two events at once, the later in key order is taken, always
            other.with_columns(known).sort("known", maintain_order=True),
            left_on=MOMENT,
            right_on="known",
            by_left=left or None,
            by_right=right or None,
            strategy="backward",
            tolerance=contract.freshness,
            coalesce=False,
            check_sortedness=False,
        )
        .sort("place")
    )
    return joined.drop("place", "known")


def check(spine: Contract, contract: Contract, on: Mapping[str, str]) -> None:
    """Whether `on` finds at most one row of the other signal.

    Raises:
        UserError: It names other fields than the key's, or fields of different types.
    """
    place = f"dataset.joins.{contract.name}"
    wanted = [field for field in contract.key if field != contract.event_time]
    for field in wanted:
        if field not in on:
            raise UserError(
                f"{place}: the key field '{field}' of {contract.name} is missing; "
                f"write {field}: <field of {spine.name}>"
            )
    for field, partner in on.items():
        if field not in wanted:
            raise UserError(
                f"{place}.{field}: this is no key field of {contract.name}. "
                f"{nearest(field, wanted)}"
            )
        if partner not in spine.names:
            raise UserError(
                f"{place}.{field}: {spine.name} has no field '{partner}'. "
                f"{nearest(partner, spine.names)}"
            )
        types = contract.field(field).type, spine.field(partner).type
        if types[0] != types[1]:
            raise UserError(
                f"{place}.{field}: {contract.name}.{field} is of type {types[0]} and "
                f"{spine.name}.{partner} of type {types[1]}; they can never be equal"
            )
        if spine.field(partner).known_after_event:
            raise UserError(
                f"{place}.{field}: {spine.name}.{partner} is known only after the event, so it "
                "cannot find a row at the moment of prediction"
            )
