"""Brings other signals to the spine's rows: only what was known at each row's prediction time.

Two things always hold. Every row of the spine is kept, exactly once and in its place; and no value
is used that became known after the row's prediction time. A row is *known* its contract's delay
after its event time, may be used from that very instant on, and for as long as the contract's
freshness.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.suggestions import nearest
from ml_experiment_runner.signals.contract.contract import Contract

PREDICTION_TIME = "prediction_time"  # the spine's column that holds when its prediction is made
LONG_AGO = datetime.min.replace(tzinfo=UTC)
AHEAD = timedelta(days=31)  # of a signal are read at once


@dataclass(frozen=True)
class Joined:
    """A signal to be joined.

    Attributes:
        rows: In key order, columns `<signal>.<field>`.
        contract: Its contract.
        on: Its key fields (without the event time) to the spine's fields.
        wanted: The fields that the spine's rows get.
    """

    rows: pl.DataFrame
    contract: Contract
    on: Mapping[str, str]
    wanted: Collection[str]

    @property
    def columns(self) -> list[str]:
        """What the spine's rows get."""
        return [f"{self.contract.name}.{field}" for field in self.wanted]


def attach(rows: pl.DataFrame, spine: Contract, signals: Sequence[Joined]) -> pl.DataFrame:
    """The spine's rows, in their order, with what is wanted of other signals.

    Args:
        rows: Columns `<spine>.<field>`, and `prediction_time` where a signal has an event time.
        spine: The spine's contract.
        signals: What is joined.

    Raises:
        UserError: A signal's `on` is not its key, or its fields are of different types.
    """
    as_of = []
    for signal in signals:
        check(spine, signal.contract, signal.on)
        if signal.contract.event_time is None:
            rows = _at_any_time(rows, spine, signal)
        else:
            as_of.append(signal)
    if not as_of:
        return rows
    if PREDICTION_TIME not in rows.columns:
        raise UserError(
            f"dataset.prediction_time is missing: {as_of[0].contract.name} is joined as of it; "
            "set it to one of PREDICTION_TIMES in features.py"
        )
    # in order of time once for all of them
    ordered = rows.with_columns(_places("place")).sort(PREDICTION_TIME)
    columns = [column for signal in as_of for column in _as_of(ordered, spine, signal)]
    return rows.hstack(pl.DataFrame(columns).select(pl.all().gather(ordered["place"].arg_sort())))


def _at_any_time(rows: pl.DataFrame, spine: Contract, signal: Joined) -> pl.DataFrame:
    # a many-to-one join on a unique key: it neither loses nor doubles a row
    joined = rows.join(
        signal.rows,
        left_on=[f"{spine.name}.{field}" for field in signal.on.values()],
        right_on=[f"{signal.contract.name}.{field}" for field in signal.on],
        how="left", validate="m:1", coalesce=False, maintain_order="left",
    )  # fmt: skip
    return joined.select(*rows.columns, *signal.columns)


def _as_of(rows: pl.DataFrame, spine: Contract, signal: Joined) -> pl.DataFrame:
    """What is wanted of a signal, for rows in order of time."""
    contract = signal.contract
    event = f"{contract.name}.{contract.event_time}"
    left = [f"{spine.name}.{field}" for field in signal.on.values()]
    right = [f"{contract.name}.{field}" for field in signal.on]
    # stable: of two events at once, the later in key order is taken, always
    other = signal.rows.sort(event, maintain_order=True)
    # only what decides is joined; everything else is then taken by its place
    places = rows.select(PREDICTION_TIME, *left).join_asof(
        other.select((pl.col(event) + contract.delay).alias("known"), *right, _places("row")),
        left_on=PREDICTION_TIME,
        right_on="known",
        by_left=left or None,
        by_right=right or None,
        strategy="backward",
        tolerance=contract.freshness,
        check_sortedness=False,
    )
    return other.select(pl.col(signal.columns).gather(places["row"]))


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
        self._first = self._read = LONG_AGO
        # what earlier slices leave, and what is read and not yet needed
        self._kept = self._ahead = signal.clear().collect()

    def at(self, rows: pl.DataFrame) -> pl.DataFrame:
        """What a slice needs; all if nothing says when its predictions are made."""
        if self._contract.event_time is None or PREDICTION_TIME not in rows.columns:
            self._kept = self._signal.collect() if self._kept.is_empty() else self._kept
            return self._kept
        span = rows.select(
            pl.min(PREDICTION_TIME).alias("first"), pl.max(PREDICTION_TIME).alias("last")
        ).row(0)
        first, last = (time - self._contract.delay for time in span)
        event = pl.col(f"{self._contract.name}.{self._contract.event_time}")
        if first < self._first:  # back in time: what it needs was let go
            self._read = LONG_AGO
            self._kept = self._ahead = self._kept.clear()
        if last > self._read:
            # a file is a month; in shorter steps it would be read again and again
            until = last + AHEAD
            new = self._signal.filter(event.is_between(self._read, until, closed="right"))
            self._ahead = pl.concat([self._ahead, new.collect()])
            self._read = until
        needed = pl.concat([self._kept, self._ahead.filter(event <= last)])
        self._ahead = self._ahead.filter(event > last)
        past = needed.filter(event <= first)
        if self._key:
            # those of one key are in order of time: in key order within a slice
            past = past.unique(self._key, keep="last", maintain_order=True)
        else:
            past = past.tail(1)
        self._kept = pl.concat([past, needed.filter(event > first)])
        self._first = first
        return self._kept


def check(spine: Contract, contract: Contract, on: Mapping[str, str]) -> None:
    """Checks that `on` finds at most one row of the other signal.

    Raises:
        UserError: It names other fields than the key's, or fields of different types, or the other
            signal has no key that a field could name.
    """
    place = f"dataset.joins.{contract.name}"
    wanted = [field for field in contract.key if field != contract.event_time]
    for field in wanted:
        if contract.field(field).generated:
            raise UserError(
                f"{place}: {contract.name} has no key that {spine.name} could be joined on; "
                "mark its key in its contract, or make it the spine"
            )
        if field not in on:
            raise UserError(
                f"{place}: the key field '{field}' of {contract.name} is missing; "
                f"write {field}: <field of {spine.name}>"
            )
    for field, partner in on.items():
        if not wanted:
            raise UserError(
                f"{place}: {contract.name} is joined by its event time alone; remove the fields"
            )
        if field not in wanted:
            raise UserError(
                f"{place}.{field}: '{field}' is not a key field of {contract.name}. "
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
                f"{place}.{field}: {contract.name}.{field} is of type {types[0]}, but "
                f"{spine.name}.{partner} of type {types[1]}; they can never be equal"
            )
        if spine.field(partner).known_after_event:
            raise UserError(
                f"{place}.{field}: {spine.name}.{partner} is known only after the event, so it "
                "cannot be joined on at prediction time"
            )
