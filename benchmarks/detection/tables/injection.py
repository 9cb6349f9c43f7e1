"""What a fault works with: a delivery, its rows, and what an upstream would know of the table."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from faults import Fault, groups, identifiers

from ml_experiment_runner.signals.contract.contract import Contract

if TYPE_CHECKING:
    from deliveries import Delivery
    from tables import Table

DECIMALS = 6  # numbers with more were calculated, and are not rounded
_DECIMALS: dict[tuple[str, str], int | None] = {}


@dataclass(frozen=True)
class Injection:
    """A fault, the rows it goes into, and the draws that it needs.

    Attributes:
        rows: Those of the delivery.
        rng: Draws rows, days and groups.
    """

    delivery: "Delivery"
    rows: pl.DataFrame
    fault: Fault
    rng: np.random.Generator

    @property
    def table(self) -> "Table":
        """The table that the delivery is of."""
        return self.delivery.table

    @property
    def contract(self) -> Contract:
        """The table's contract."""
        return self.delivery.table.contract

    @property
    def field(self) -> str:
        """The field at fault."""
        assert self.fault.field is not None
        return self.fault.field

    @property
    def size(self) -> Mapping[str, Any]:
        """How large the fault is."""
        return self.fault.size

    @property
    def event(self) -> str:
        """Name of the event time."""
        assert self.contract.event_time is not None
        return self.contract.event_time

    @property
    def values(self) -> pl.Series:
        """The field's values."""
        return self.rows[self.field]

    @property
    def is_number(self) -> bool:
        """Whether the field has numbers."""
        return self.values.dtype.is_numeric()

    # --- which rows

    def some(self, share: float) -> pl.Series:
        """So many rows, drawn one by one."""
        return pl.Series(self.rng.random(self.rows.height) < share)

    def local(self, rows: pl.DataFrame | None = None) -> pl.Series:
        """The event time as a clock at the place shows it."""
        rows = self.rows if rows is None else rows
        local = rows[self.event].dt.convert_time_zone(self.contract.time_zone)
        return local.dt.replace_time_zone(None)

    @cached_property
    def days(self) -> pl.Series:
        """The rows' local days."""
        return self.local().dt.date()

    @cached_property
    def distinct_days(self) -> list[date]:
        """The days that have rows, in order."""
        return sorted(self.days.unique().to_list())

    def last_days(self, count: int) -> pl.Series:
        """The rows of the last days that have rows."""
        first = self.distinct_days[-min(count, len(self.distinct_days))]
        return self.days >= first

    def group(self, rank: int | None = None) -> tuple[str, pl.Series]:
        """A field and the rows that have one of its most frequent values.

        Args:
            rank: Which value, 0 for the most frequent; None draws one of the first three.
        """
        names = [
            name for name in groups(self.table)
            if name != self.fault.field and self.rows[name].drop_nulls().len()
        ]  # fmt: skip
        if not names:
            return "", self.some(0.0)
        name = names[int(self.rng.integers(len(names)))]
        codes = self.codes(name)
        if rank is None:
            rank = int(self.rng.integers(min(3, len(codes))))
        value = codes[min(rank, len(codes) - 1)]
        return name, (self.rows[name] == value).fill_null(value=False)

    def codes(self, name: str | None = None) -> list[Any]:
        """A field's values in these rows, the most frequent first."""
        counts = self.rows[name or self.field].drop_nulls().value_counts(sort=True)
        counts = counts.sort(["count", counts.columns[0]], descending=[True, False])
        return counts[:, 0].to_list()

    # --- what becomes of them

    def rounded(self, values: pl.Expr | pl.Series, name: str | None = None) -> Any:
        """Values with the decimals and the type of their field."""
        name = name or self.field
        dtype = self.rows.schema[name]
        places = 0 if dtype.is_integer() else decimals(self.table, name)
        values = values if places is None else values.round(places)
        return values.cast(dtype)

    def replaced(self, new: pl.Series, where: pl.Series | None = None) -> pl.DataFrame:
        """The rows with new values of the field, in all or in some of them."""
        if where is not None:
            old, where = self.values, where.fill_null(value=False)
            new = old.zip_with(~where, new.cast(old.dtype))
        return self.sorted(self.rows.with_columns(new.alias(self.field)))

    def sorted(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Rows in the order of the key, as a snapshot has them."""
        return rows.sort(self.contract.key, maintain_order=True)

    def within(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows of the delivery's period: an upstream cuts it out by its own clock."""
        days = self.local(rows).dt.date()
        if self.delivery.every == "month":
            first = self.distinct_days[0].replace(day=1)
            return rows.filter(days.dt.truncate("1mo") == first)
        end = self.local(pl.DataFrame({self.event: [self.delivery.now]})).dt.date()[0]
        return rows.filter((days >= end - timedelta(days=7)) & (days < end))

    # --- new rows

    def with_new_keys(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Copies of rows under keys of their own."""
        names = identifiers(self.table)
        if names:
            return rows.with_columns(self.new_identifiers(name, rows.height) for name in names)
        return rows.with_columns(pl.col(self.event) + timedelta(seconds=1))

    def new_identifiers(self, name: str, count: int) -> pl.Series:
        """Identifiers that look like those of the table and are none of them."""
        known = self.table.rows[name].drop_nulls()
        if known.dtype.is_integer():
            first = int(known.max()) + 1  # type: ignore[arg-type]
            return pl.Series(name, np.arange(first, first + count), dtype=known.dtype)
        models = self.rows[name].drop_nulls()
        taken, found = set(known.to_list()), []
        for number in range(count):
            model = models[int(self.rng.integers(models.len()))]
            new = re.sub(r"\d", lambda _: str(self.rng.integers(10)), model)
            while new in taken:
                new += str(number)
            taken.add(new)
            found.append(new)
        return pl.Series(name, found, dtype=pl.String)

    def past_rows(self) -> pl.DataFrame:
        """The newest rows of the past, those of two partitions."""
        past = self.delivery.past
        frames = [past[name] for name in sorted(past)[-2:]]
        return pl.concat(frames).select(self.rows.columns)

    def under_other_days(self, source: pl.DataFrame, origin: Mapping[date, date]) -> pl.DataFrame:
        """Rows of some days once more, under other days and new keys.

        Fields of the calendar are those of the new day, as an upstream fills them by its own clock.

        Args:
            source: Where the rows are taken from.
            origin: By new day, the day whose rows come again.
        """
        pairs = pl.DataFrame({"_new": list(origin), "_day": list(origin.values())})
        rows = source.with_columns(_day=self.local(source).dt.date(), _local=self.local(source))
        rows = rows.join(pairs, on="_day", maintain_order="left")
        moved = pl.col("_local") + (pl.col("_new") - pl.col("_day"))
        zone = self.contract.time_zone
        moment = (
            moved.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
            .dt.convert_time_zone("UTC")
            .cast(self.rows.schema[self.event])
        )
        rows = rows.with_columns(moment.alias(self.event)).drop_nulls(self.event).sort(self.event)
        rows = self._with_calendar(rows.select(self.rows.columns))
        for name in identifiers(self.table):
            own = self.rows.filter(self.days.is_in(list(origin))).sort(self.event)[name]
            own = own.head(rows.height)
            if own.len() < rows.height:
                own = own.append(self.new_identifiers(name, rows.height - own.len()))
            rows = rows.with_columns(own.alias(name))
        return rows.unique(self.contract.key, keep="first", maintain_order=True)

    def _with_calendar(self, rows: pl.DataFrame) -> pl.DataFrame:
        names = [name for name, kind in self.table.types.items() if kind == "calendar"]
        names = [name for name in names if name not in self.contract.key]
        if not names:
            return rows
        clock = self.rows.with_columns(_hour=self.local().dt.truncate("1h"))
        clock = clock.select("_hour", *names).unique("_hour", keep="first", maintain_order=True)
        rows = rows.with_columns(_hour=self.local(rows).dt.truncate("1h"))
        joined = rows.join(clock, on="_hour", how="left", suffix="_new", maintain_order="left")
        return joined.with_columns(
            pl.coalesce(f"{name}_new", name).alias(name) for name in names
        ).select(self.rows.columns)


def decimals(table: "Table", name: str) -> int | None:
    """Decimals that a field's numbers are written with; None if there are many."""
    if (table.name, name) not in _DECIMALS:
        values = table.rows[name].drop_nulls().cast(pl.Float64)
        some = values.gather_every(max(1, values.len() // 5000)).to_numpy()
        _DECIMALS[table.name, name] = next(
            (
                count for count in range(DECIMALS)
                if np.allclose(some, np.round(some, count), rtol=0, atol=0.01 * 10.0**-count)
            ),
            None,
        )  # fmt: skip
    return _DECIMALS[table.name, name]
