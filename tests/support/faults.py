"""Faults that an upstream makes in a month of a table, without a word."""

from collections.abc import Callable, Mapping
from datetime import timedelta

import numpy as np
import polars as pl

from support.any_tables import MOMENT, Table

Fault = Callable[[Table], pl.DataFrame]
Named = str | None | tuple[str | None, ...]


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


def cut(unit: str) -> Fault:
    """Times are those of the day or of the hour only."""
    return lambda table: table.next.with_columns(pl.col("at").dt.truncate(unit))


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


def merged(name: str, **codes: str) -> Fault:
    """Some codes become others."""
    return changed(**{name: pl.col(name).replace(codes)})


WEEKDAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
NEXT_DAY = pl.col("weekday").replace(dict(zip(WEEKDAYS, WEEKDAYS[1:] + WEEKDAYS[:1], strict=True)))
RARE = pl.col("status").is_in(["lost", "fraud", "test"])
FAULTS: Mapping[str, tuple[str, Fault, Named]] = {
    # whole rows
    "orders: copies": ("orders", copies, None),
    "numbers: copies": ("numbers", copies, None),
    "integer codes: copies": ("integer_codes", copies, None),
    "orders: month again": ("orders", month_again, None),
    "numbers: month again": ("numbers", month_again, None),
    "integer codes: month again": ("integer_codes", month_again, None),
    "hourly: month again": ("hourly", moved, None),
    "panel: month again": ("panel", moved, None),
    "weather: month again": ("weather", moved, None),
    "orders: half the rows": ("orders", half, None),
    "hourly: half the rows": ("hourly", half, None),
    "panel: half the rows": ("panel", half, None),
    "numbers: half the rows": ("numbers", half, None),
    "integer codes: half the rows": ("integer_codes", half, None),
    "calendar: half the rows": ("calendar", half, None),
    "orders: days missing": ("orders", without_days, None),
    "hourly: days missing": ("hourly", without_days, None),
    "panel: days missing": ("panel", without_days, None),
    "numbers: days missing": ("numbers", without_days, None),
    "integer codes: days missing": ("integer_codes", without_days, None),
    "calendar: days missing": ("calendar", without_days, None),
    # identifiers
    "orders: ids of another system": ("orders", changed(id=pl.col("id") + 400_000), "id"),
    "orders: ids issued anew": ("orders", changed(id=pl.col("id") - 9_999), "id"),
    "numbers: ids of another system": ("numbers", changed(id=pl.col("id") + 40_000_000), "id"),
    "orders: a fifth left out": ("orders", without(pl.col("id").hash(seed=3) % 5 == 0), None),
    "orders: ids of other rows": ("orders", changed(id=pl.col("id").shuffle(seed=2)), ("id", "at")),
    # times
    "orders: some a day later": ("orders", changed(0.2, at=pl.col("at").dt.offset_by("1d")), "at"),
    "numbers: some an hour later": (
        "numbers", changed(0.3, at=pl.col("at").dt.offset_by("1h")), "at"),
    "orders: times cut": ("orders", cut("1d"), "at"),
    "numbers: times cut": ("numbers", cut("1d"), "at"),
    "integer codes: times cut": ("integer_codes", cut("1d"), "at"),
    "orders: times cut to the hour": ("orders", cut("1h"), "at"),
    "numbers: times cut to the minute": ("numbers", cut("1m"), "at"),
    "orders: five hours later": ("orders", later(5), "at"),
    "numbers: five hours later": ("numbers", later(5), "at"),
    # of one number alone nobody can tell whether it or the time is wrong
    "hourly: five hours later": ("hourly", later(5), ("at", "load")),
    "weather: five hours later": ("weather", later(5), "at"),
    "calendar: five hours later": ("calendar", later(5), "at"),
    "integer codes: a kind five hours later": (
        "integer_codes",
        changed(at=pl.when(pl.col("kind") == 10).then(pl.col("at").dt.offset_by("5h"))
                .otherwise("at")),
        "at",
    ),
    "calendar: next weekday": ("calendar", changed(weekday=NEXT_DAY), "weekday"),
    "calendar: next month": ("calendar", changed(month=pl.col("month") % 12 + 1), "month"),
    "calendar: weekday of some": ("calendar", changed(0.1, weekday=NEXT_DAY), "weekday"),
    "calendar: hours from 1": ("calendar", changed(hour=pl.col("hour") + 1), "hour"),
    # codes
    "orders: code gone": ("orders", without(pl.col("status") == "sent"), "status"),
    "integer codes: code gone": (
        "integer_codes", without(pl.col("region_code") == 3), "region_code"
    ),
    "orders: codes merged": ("orders", merged("status", returned="paid"), "status"),
    "integer codes: merged": (
        "integer_codes", changed(region_code=pl.col("region_code").replace({4: 1})), "region_code"
    ),
    "integer codes: kinds merged": (
        "integer_codes", changed(kind=pl.col("kind").replace({40: 10})), "kind"
    ),
    "orders: rare codes": (
        "orders", changed(status=pl.when(RARE).then(pl.lit("Other")).otherwise("status")), "status"
    ),
    "integer codes: rare codes": (
        "integer_codes",
        changed(region_code=pl.when(pl.col("region_code") > 6).then(99).otherwise("region_code")),
        "region_code",
    ),
    # values
    "orders: nulls filled": (
        "orders", changed(discount=pl.col("discount").fill_null(0)), "discount"
    ),
    "orders: notes filled": ("orders", changed(note=pl.col("note").fill_null("")), "note"),
    "integer codes: low values dropped": (
        "integer_codes", low_values_dropped("weight"), "weight"
    ),
    "numbers: low values dropped": ("numbers", low_values_dropped("amount"), "amount"),
    # of a feed that never lacked an hour, and whose low ones are those of the night, all are true
    "hourly: low values dropped": (
        "hourly", low_values_dropped("load", 0.2), ("load", "at", None)
    ),
    "numbers: clipped": ("numbers", clipped("amount"), "amount"),
    "panel: clipped": ("panel", clipped("tests"), "tests"),
    "integer codes: clipped": ("integer_codes", clipped("weight"), "weight"),
    "numbers: other sign": ("numbers", changed(0.1, amount=-pl.col("amount")), "amount"),
    "hourly: other sign": ("hourly", changed(0.1, load=-pl.col("load")), "load"),
    "orders: other sign": ("orders", changed(0.1, discount=-pl.col("discount")), "discount"),
    "integer codes: other sign": (
        "integer_codes", changed(0.1, weight=-pl.col("weight")), "weight"
    ),
    "panel: a place scaled": (
        "panel",
        changed(tests=pl.when(pl.col("place") == "P07").then(pl.col("tests") * 1.3)
                .otherwise("tests").round(0)),
        "tests",
    ),
    "panel: a place in another unit": (
        "panel",
        changed(temp=pl.when(pl.col("place") == "P07").then(pl.col("temp") * 1.8 + 32)
                .otherwise("temp").round(1)),
        "temp",
    ),
    "panel: a place with another name": (
        "panel", changed(place=pl.col("place").replace({"P07": "p07"})), "place"
    ),
    "panel: other sign": ("panel", changed(0.1, temp=-pl.col("temp")), "temp"),
    "panel: some without value": ("panel", changed(0.05, temp=pl.lit(None)), "temp"),
    "stations: swapped": (
        "stations",
        changed(place=pl.col("place").replace({"North": "Coast", "Coast": "North"})),
        "place",
    ),
    "weather: another unit": (
        "weather", changed(temp=(pl.col("temp") * 1.8 + 32).round(1)), "temp"
    ),
    "weather: exchanged": (
        "weather", changed(temp=pl.col("load"), load=pl.col("temp")), ("temp", "load")
    ),
    "weather: frozen": ("weather", frozen("temp", 10, 13), "temp"),
    "weather: of other hours": ("weather", shuffled("temp"), "temp"),
    "calendar: twice as many": (
        "calendar", changed(riders=pl.col("riders") * 2), "riders"
    ),
    "panel: a place missing": ("panel", without(pl.col("place") == "P07"), "place"),
    "hourly: frozen": ("hourly", frozen("load", 10, 13), "load"),
    "panel: frozen": ("panel", frozen("temp", 10, 15), "temp"),
    "calendar: frozen": ("calendar", frozen("riders", 10, 13), "riders"),
    "meters: another unit": ("meters", changed(counted=pl.col("counted") * 1000), "counted"),
    "meters: some in another unit": (
        "meters",
        changed(counted=pl.when(pl.col("meter") < "M03").then(pl.col("counted") * 1.1)
                .otherwise("counted").round(1)),
        "counted",
    ),
    "meters: other meters' totals": ("meters", shuffled("counted"), "counted"),
    "meters: stand still": ("meters", frozen("counted", 10, 13), "counted"),
    "meters: some without value": ("meters", changed(0.05, counted=pl.lit(None)), "counted"),
    "meters: exchanged": ("meters", changed(counted=pl.lit(0.0)), "counted"),
    # rows
    "orders: new prices, old totals": (
        "orders", changed(price=(pl.col("price") * 1.1).round(2)), "price"
    ),
    "orders: new prices of some": (
        "orders", changed(0.1, price=(pl.col("price") * 1.1).round(2)), "price"
    ),
    "orders: paid is no sum": ("orders", changed(0.1, paid=pl.col("paid") + 1), "paid"),
    "orders: total is neither": (
        "orders", changed(0.1, total=(pl.col("total") * 1.19).round(2)), "total"
    ),
    "orders: another shipping": ("orders", changed(0.3, shipping=pl.lit(3.5)), "shipping"),
    "orders: products of other rows": ("orders", shuffled("product"), "product"),
    "integer codes: kinds of other rows": ("integer_codes", shuffled("kind"), "kind"),
    "panel: positives of other rows": ("panel", shuffled("positive"), "positive"),
    "panel: temperatures of other rows": ("panel", shuffled("temp"), "temp"),
    # texts
    "orders: text cut": ("orders", changed(note=pl.col("note").str.head(20)), "note"),
    "orders: text in lower case": (
        "orders", changed(note=pl.col("note").str.to_lowercase()), "note"
    ),
    "orders: codes in upper case": (
        "orders", changed(status=pl.col("status").str.to_uppercase()), "status"
    ),
    "orders: codes cut": ("orders", changed(product=pl.col("product").str.head(3)), "product"),
}  # fmt: skip
"""By name: the table, the fault, and the fields of which one has to be named first."""
