"""Faults that an upstream makes in a month of a table, without a word."""

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import polars as pl

from support.any_tables import MOMENT, Table

Fault = Callable[[Table], pl.DataFrame]


def chosen(rows: pl.DataFrame, share: float, seed: int = 0) -> pl.Series:
    """Which rows are meant if it is a share of them."""
    return pl.Series(np.random.default_rng(seed).random(rows.height) < share)


def with_new_ids(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows under ids that were not there yet."""
    last = table.frame["id"].max()
    return rows.with_columns(id=pl.int_range(pl.len(), dtype=pl.Int64) + last + 1)


def copies(table: Table) -> pl.DataFrame:
    """A fifth of the rows comes twice, under another id."""
    rows = table.next
    return pl.concat([rows, with_new_ids(table, rows.filter(chosen(rows, 0.2)))]).sort("at")


def moved(table: Table) -> pl.DataFrame:
    """The rows of the month before, at the times of this month."""
    rows = table.before
    begin = table.next["at"].dt.truncate("1mo")[0]
    later = pl.lit(begin) - pl.col("at").dt.truncate("1mo")
    rows = rows.with_columns(at=(pl.col("at") + later).cast(MOMENT))
    return rows.filter(pl.col("at").dt.truncate("1mo") == begin)


def month_again(table: Table) -> pl.DataFrame:
    """The month before comes again, under new ids and at this month's times."""
    return with_new_ids(table, moved(table))


def half(table: Table) -> pl.DataFrame:
    """Half of the rows."""
    return table.next.filter(chosen(table.next, 0.5))


def without_days(table: Table) -> pl.DataFrame:
    """Five days in the middle have no rows."""
    return table.next.filter(~pl.col("at").dt.day().is_between(11, 15))


def cut_times(table: Table) -> pl.DataFrame:
    """Times are those of the day only."""
    return table.next.with_columns(pl.col("at").dt.truncate("1d"))


def later(hours: int) -> Fault:
    """All times are shifted, as by a forgotten time zone; the month's end stays in the month."""

    def fault(table: Table) -> pl.DataFrame:
        month = pl.col("at").dt.month()
        rows = table.next.with_columns(pl.col("at") + timedelta(hours=hours))
        return rows.filter(month == table.next["at"].dt.month()[0])

    return fault


def changed(share: float = 1.0, /, **values: pl.Expr) -> Fault:
    """Fields have other values in a share of the rows."""

    def fault(table: Table) -> pl.DataFrame:
        rows, there = table.next, chosen(table.next, share)
        return rows.with_columns(
            pl.when(there).then(value).otherwise(pl.col(name)).cast(rows[name].dtype).alias(name)
            for name, value in values.items()
        )

    return fault


def without(condition: pl.Expr) -> Fault:
    """Some rows are missing."""
    return lambda table: table.next.filter(~condition)


def low_values_dropped(name: str, share: float = 0.1) -> Fault:
    """The rows with the lowest values are missing."""

    def fault(table: Table) -> pl.DataFrame:
        least = table.next[name].quantile(share)
        return table.next.filter(pl.col(name) >= least)

    return fault


def clipped(name: str, level: float = 0.95) -> Fault:
    """What lies above a bound is set to it."""

    def fault(table: Table) -> pl.DataFrame:
        most = table.frame[name].quantile(level, "nearest")
        return table.next.with_columns(pl.col(name).clip(upper_bound=most))

    return fault


def shuffled(name: str) -> Fault:
    """The values of a field are those of other rows."""
    return lambda table: table.next.with_columns(pl.col(name).shuffle(seed=1))


def frozen(name: str, first: int, last: int) -> Fault:
    """A number stays as it was at the beginning of some days, at its place if there are any."""

    def fault(table: Table) -> pl.DataFrame:
        days = pl.col("at").dt.day().is_between(first, last)
        stuck = pl.col(name).filter(days).first()
        if "place" in table.frame.columns:
            stuck = stuck.over("place")
        return table.next.with_columns(pl.when(days).then(stuck).otherwise(name).alias(name))

    return fault
