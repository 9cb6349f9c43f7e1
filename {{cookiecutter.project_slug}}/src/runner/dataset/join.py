"""Brings other signals to the spine's rows: only what was known at each row's moment.

Two things always hold. Every row of the spine is kept, exactly once and in its place; and no value
is used that became known after the row's moment. A row is *known* its contract's delay after its
event time, may be used from that very instant on, and for as long as the contract's freshness.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

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
    # only what decides is sorted and joined; everything else is then taken by its place
    found = (
        rows.select(MOMENT, *left, _places("place"))
        .sort(MOMENT, maintain_order=True)
        .join_asof(
            # stable: of two events at once, the later in key order is taken, always
            other.select(known, *right, _places("row")).sort("known", maintain_order=True),
            left_on=MOMENT,
            right_on="known",
            by_left=left or None,
            by_right=right or None,
            strategy="backward",
            tolerance=contract.freshness,
            check_sortedness=False,
        )
        .select("place", "row")
        .sort("place")
    )
    return rows.hstack(other.select(pl.all().gather(found["row"])))


def _places(name: str) -> pl.Expr:
    return pl.int_range(pl.len(), dtype=pl.UInt32).alias(name)


class Window:
    """The rows of a signal that a slice of the spine can need, however long the signal is.

    Slices mostly follow one another in time. Then each row of the signal is read once, and of
    those from before a slice only the last of each key is kept.

    Args:
        signal: All its rows in key order, columns `<signal>.<field>`.
        contract: Its contract.
        on: Its key fields (without the event time) to the spine's fields.
    """

    def __init__(self, signal: pl.LazyFrame, contract: Contract, on: Mapping[str, str]) -> None:
        self._signal = signal
        self._contract = contract
        self._key = [f"{contract.name}.{field}" for field in on]
        self._kept: pl.DataFrame | None = None
        self._first = self._last = datetime.min.replace(tzinfo=UTC)

    def at(self, rows: pl.DataFrame) -> pl.DataFrame:
        """What a slice needs; all if nothing says when its predictions are made."""
        if self._contract.event_time is None or MOMENT not in rows.columns:
            self._kept = self._signal.collect() if self._kept is None else self._kept
            return self._kept
        span = rows.select(pl.min(MOMENT).alias("first"), pl.max(MOMENT).alias("last")).row(0)
        first, last = (moment - self._contract.delay for moment in span)
        event = pl.col(f"{self._contract.name}.{self._contract.event_time}")
        if self._kept is None or first < self._first:  # back in time: what it needs was let go
            found = self._signal.filter(event <= last).collect()
            self._last = last
        else:
            new = self._signal.filter(event.is_between(self._last, last, closed="right"))
            found = pl.concat([self._kept, new.collect()])
            self._last = max(last, self._last)
        found = found.sort(event, maintain_order=True)
        past = found.filter(event <= first)
        if self._key:
            past = past.unique(self._key, keep="last", maintain_order=True)
        else:
            past = past.tail(1)
        self._kept = pl.concat([past, found.filter(event > first)])
        self._first = first
        return self._kept


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
