"""Faults of a field's values, whatever they are: each takes an injection and gives its rows."""

import numpy as np
import polars as pl
from fault_rows import place_fields
from injection import Injection, decimals


def unit(injection: Injection) -> pl.DataFrame:
    """The numbers are in another unit, in all rows or in those of the last days."""
    factor, offset, places = injection.table.units[injection.field]
    new = (injection.values.cast(pl.Float64) * factor + offset).round(places)
    new = new.cast(injection.values.dtype) if not injection.values.dtype.is_integer() else (
        new.round(0).cast(injection.values.dtype)
    )  # fmt: skip
    share = injection.size["share"]
    if share == 1.0:
        return injection.replaced(new)
    return injection.replaced(
        new, injection.last_days(max(1, round(len(injection.distinct_days) * share)))
    )


def rescale(injection: Injection) -> pl.DataFrame:
    """All numbers are larger or smaller by a factor."""
    return injection.replaced(injection.rounded(injection.values * injection.size["factor"]))


def rescale_group(injection: Injection) -> pl.DataFrame:
    """The same in the rows of one place or code."""
    new = injection.rounded(injection.values * injection.size["factor"])
    return injection.replaced(new, injection.group(0)[1])


def offset(injection: Injection) -> pl.DataFrame:
    """Something is added to all numbers."""
    values = injection.values.cast(pl.Float64)
    spread = (values.quantile(0.75) or 0.0) - (values.quantile(0.25) or 0.0)
    return injection.replaced(
        injection.rounded(values + injection.size["spreads"] * (spread or values.std() or 1.0))
    )


def sign_flipped(injection: Injection) -> pl.DataFrame:
    """Some numbers lose or get a minus."""
    return injection.replaced(-injection.values, injection.some(injection.size["share"]))


def coarser(injection: Injection) -> pl.DataFrame:
    """Rounded to multiples of more than the usual step."""
    places = decimals(injection.table, injection.field)
    spread = float(injection.values.cast(pl.Float64).std() or 1.0)
    # what was calculated has no step of its own: hundredths of its spread are one
    step = 10.0**-places if places is not None else 10.0 ** np.floor(np.log10(spread) - 1)
    step *= injection.size["steps"]
    return injection.replaced(
        injection.rounded((injection.values.cast(pl.Float64) / step).round(0) * step)
    )


def decimals_lost(injection: Injection) -> pl.DataFrame:
    """Whole numbers."""
    cut = injection.size["how"] == "cut"
    return injection.replaced(injection.values.floor() if cut else injection.values.round(0))


def clipped(injection: Injection) -> pl.DataFrame:
    """Nothing is above a value."""
    most = injection.values.quantile(injection.size["quantile"], "nearest")
    return injection.replaced(injection.values.clip(upper_bound=most))


def _low(injection: Injection) -> pl.Series:
    least = injection.values.quantile(injection.size["quantile"], "nearest")
    if least is None:
        return injection.some(0.0)
    return (injection.values < least).fill_null(value=False)


def low_dropped(injection: Injection) -> pl.DataFrame:
    """Rows with small numbers are not logged any more."""
    return injection.rows.filter(~_low(injection))


def low_null(injection: Injection) -> pl.DataFrame:
    """Small numbers are not logged any more."""
    return injection.replaced(_nothing(injection), _low(injection))


def decimal_point(injection: Injection) -> pl.DataFrame:
    """The decimal point of some numbers is lost."""
    new = injection.rounded(injection.values * 100)
    return injection.replaced(new, injection.some(injection.size["share"]))


def frozen(injection: Injection) -> pl.DataFrame:
    """The last value goes on for days, at every place on its own."""
    last = injection.last_days(injection.size["days"])
    before = injection.rows.filter(~last).drop_nulls(injection.field).sort(injection.event)
    if before.is_empty():
        return injection.rows
    places = place_fields(injection)
    if not places:
        value = before[injection.field][-1]
        return injection.replaced(pl.Series([value] * injection.rows.height), last)
    values = before.group_by(places).agg(pl.col(injection.field).last().alias("_last"))
    new = injection.rows.join(values, on=places, how="left", maintain_order="left")["_last"]
    return injection.replaced(new.fill_null(injection.values), last)


def column_swap(injection: Injection) -> pl.DataFrame:
    """Two fields have changed places."""
    first, second = injection.field, injection.fault.also[0]
    return injection.sorted(
        injection.rows.with_columns(pl.col(first).alias(second), pl.col(second).alias(first))
    )


def product_broken(injection: Injection) -> pl.DataFrame:
    """The price has changed and the total is the old one."""
    return rescale(injection)


def sum_broken(injection: Injection) -> pl.DataFrame:
    """A part has changed and the sum is the old one."""
    return rescale(injection)


def slow_drift(injection: Injection) -> pl.DataFrame:
    """So much more with each delivery; `step` says how many there were."""
    factor = injection.size["factor"] ** injection.size.get("step", injection.size["deliveries"])
    return injection.replaced(injection.rounded(injection.values * factor))


def _nothing(injection: Injection) -> pl.Series:
    return pl.Series([None] * injection.rows.height, dtype=injection.values.dtype)


def nulls(injection: Injection) -> pl.DataFrame:
    """Some values are missing."""
    return injection.replaced(_nothing(injection), injection.some(injection.size["share"]))


def nulls_group(injection: Injection) -> pl.DataFrame:
    """All values of one place or code are missing."""
    return injection.replaced(_nothing(injection), injection.group()[1])


def usual(injection: Injection) -> object:
    """The median of numbers, the most frequent of others."""
    if injection.is_number:
        return injection.values.quantile(0.5, "nearest")
    return (injection.codes() or [None])[0]


def nulls_filled(injection: Injection) -> pl.DataFrame:
    """What was missing is now something else."""
    how = injection.size["how"] if injection.is_number else "median"
    if how == "interpolated":
        return injection.replaced(injection.rounded(injection.values.interpolate()))
    value = 0 if how == "zero" else usual(injection)
    return injection.replaced(_all(injection, value), injection.values.is_null())


def _all(injection: Injection, value: object) -> pl.Series:
    return pl.Series([value] * injection.rows.height).cast(injection.values.dtype)


def sentinel(injection: Injection) -> pl.DataFrame:
    """An upstream call fails and leaves a number or a text that stands for nothing."""
    value = injection.size["value"]
    if not injection.is_number:
        value = {-1: "-1", 0: "unknown", 999: "999"}[value]
    return injection.replaced(_all(injection, value), injection.some(injection.size["share"]))


def misjoined(injection: Injection) -> pl.DataFrame:
    """The values belong to other rows."""
    values, how = injection.values, injection.size["how"]
    if how == "next_row":
        return injection.replaced(pl.concat([values[1:], values[:1]]))
    draws = injection.rng.random(injection.rows.height)
    if how == "shuffled":
        return injection.replaced(values.gather(np.argsort(draws)))
    days = injection.days.to_physical().to_numpy()
    by_day = np.lexsort((np.arange(len(days)), days))
    new = np.empty(len(days), dtype=np.int64)
    new[by_day] = np.lexsort((draws, days))
    return injection.replaced(values.gather(new))


def constant(injection: Injection) -> pl.DataFrame:
    """All rows have the same value."""
    return injection.replaced(_all(injection, usual(injection)))


def default_for_group(injection: Injection) -> pl.DataFrame:
    """All rows of one place or code have a default: 0, or the most frequent."""
    value = 0 if injection.is_number and injection.table.types[injection.field] != "code" else (
        injection.codes() or [None]
    )[0]  # fmt: skip
    return injection.replaced(_all(injection, value), injection.group()[1])
