"""Puts the faults of `faults.yaml` into a delivery."""

# ruff: noqa: ARG001  one signature for all kinds

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from ml_experiment_runner.signals.contract.contract import Contract

FAULTS = yaml.safe_load((Path(__file__).parent / "faults.yaml").read_text(encoding="utf-8"))
CALENDAR = ("year", "month", "day", "hour")  # fields that an upstream fills from its own clock
SIZES = ("shares", "factors", "hours", "how", "values", "days", "to")


@dataclass(frozen=True)
class Fault:
    """One way to break a delivery.

    Attributes:
        kind: Such as `unit`.
        field: The field that is wrong; None where it is the delivery as a whole.
        size: How large, by the names of `faults.yaml`.
        unit: The other unit, for the kind `unit`.
    """

    kind: str
    field: str | None
    size: Mapping[str, Any]
    unit: Mapping[str, float] | None = None

    def __str__(self) -> str:
        size = " ".join(f"{value}" for value in self.size.values())
        return f"{self.kind} {size}".strip() + (f" of {self.field}" if self.field else "")


def faults(signal: str) -> Iterator[Fault]:
    """All faults that fit a signal, in every size."""
    for entry in FAULTS["faults"]:
        names = [name for name in SIZES if name in entry]
        sizes = [
            dict(zip(names, values, strict=True))
            for values in itertools.product(*(entry[name] for name in names))
        ]
        fields = entry["fields"].get(signal, [])
        for field in fields:
            unit = fields[field] if isinstance(fields, dict) else None
            yield from (Fault(entry["kind"], field, size, unit) for size in sizes)


def inject(contract: Contract, rows: pl.DataFrame, fault: Fault, seed: list[int]) -> pl.DataFrame:
    """The rows with the fault in them; keys stay as they are unless the fault is about them."""
    rng = np.random.default_rng(seed)
    return globals()[f"_{fault.kind}"](contract, rows, fault, rng)


def _round(contract: Contract, values: pl.Expr, field: str) -> pl.Expr:
    decimals = FAULTS["decimals"][contract.name].get(field, 0)
    kind = pl.Int64 if contract.field(field).type == "integer" else pl.Float64
    return values.round(decimals).cast(kind)


def _some(rows: pl.DataFrame, share: float, rng: np.random.Generator) -> pl.Series:
    return pl.Series(rng.random(rows.height) < share)


def _day(contract: Contract) -> pl.Expr:
    return pl.col(contract.event_time).dt.convert_time_zone(contract.time_zone).dt.date()


def _last_days(contract: Contract, rows: pl.DataFrame, days: int) -> pl.Series:
    day = rows.select(_day(contract)).to_series()
    return day > day.max() - timedelta(days=days)


def _unit(contract, rows, fault, rng):
    factor, offset = fault.unit["factor"], fault.unit["offset"]
    kind = pl.Int64 if contract.field(fault.field).type == "integer" else pl.Float64
    new = (pl.col(fault.field) * factor + offset).round(int(fault.unit["decimals"])).cast(kind)
    if fault.size["shares"] == 1.0:
        return rows.with_columns(new)
    if contract.event_time is None:
        chosen = _some(rows, fault.size["shares"], rng)
    else:  # from one day on
        day = rows.select(_day(contract)).to_series()
        chosen = _last_days(contract, rows, round(day.n_unique() * fault.size["shares"]))
    return rows.with_columns(pl.when(chosen).then(new).otherwise(pl.col(fault.field)))


def _rescale(contract, rows, fault, rng):
    return rows.with_columns(
        _round(contract, pl.col(fault.field) * fault.size["factors"], fault.field)
    )


def _swapped_codes(contract, rows, fault, rng):
    codes = rows[fault.field].drop_nulls().value_counts(sort=True)[fault.field].to_list()[:2]
    first, second = codes
    return rows.with_columns(pl.col(fault.field).replace({first: second, second: first})).sort(
        contract.key
    )


def _new_code(contract, rows, fault, rng):
    chosen = _some(rows, fault.size["shares"], rng)
    return rows.with_columns(
        pl.when(chosen).then(pl.lit("NEW")).otherwise(pl.col(fault.field)).alias(fault.field)
    )


def _renamed(contract, rows, fault, rng):
    return rows.rename({fault.field: f"{fault.field}_2"})


def _retyped(contract, rows, fault, rng):
    return rows.with_columns(pl.col(fault.field).cast(pl.String) + " units")


def _time_zone(contract, rows, fault, rng):
    return rows.with_columns(pl.col(fault.field) + timedelta(hours=fault.size["hours"]))


def _misjoined(contract, rows, fault, rng):
    if fault.size["how"] == "next_row":
        return rows.with_columns(
            pl.col(fault.field).shift(-1).fill_null(pl.col(fault.field).first())
        )
    order = rng.permutation(rows.height)
    return rows.with_columns(rows[fault.field].gather(order))


def _nulls(contract, rows, fault, rng):
    chosen = _some(rows, fault.size["shares"], rng)
    return rows.with_columns(pl.when(~chosen).then(pl.col(fault.field)))


def _filled(contract, rows, fault, rng):
    chosen = _some(rows, fault.size["shares"], rng)
    value = fault.size["values"]
    if value == "median":
        value = rows[fault.field].quantile(0.5, "nearest")
    return rows.with_columns(
        pl.when(chosen)
        .then(pl.lit(value).cast(rows.schema[fault.field]))
        .otherwise(pl.col(fault.field))
        .alias(fault.field)
    )


def _frozen(contract, rows, fault, rng):
    place = [name for name in contract.key if name != contract.event_time]
    place = place if contract.name == "weather" else []
    last = _last_days(contract, rows, fault.size["days"])
    before = rows.filter(~last)
    if not place:
        value = before[fault.field].drop_nulls()[-1]
        return rows.with_columns(
            pl.when(last).then(pl.lit(value)).otherwise(pl.col(fault.field)).alias(fault.field)
        )
    values = (
        before.drop_nulls(fault.field)
        .group_by(place)
        .agg(pl.col(fault.field).last().alias("_frozen"))
    )
    return (
        rows.with_columns(last.alias("_last"))
        .join(values, on=place, how="left", maintain_order="left")
        .with_columns(
            pl.when("_last")
            .then(pl.col("_frozen"))
            .otherwise(pl.col(fault.field))
            .alias(fault.field)
        )
        .drop("_last", "_frozen")
    )


def _stopped(contract, rows, fault, rng):
    return rows.filter(~_last_days(contract, rows, fault.size["days"]))


def _half_volume(contract, rows, fault, rng):
    return rows.filter(_some(rows, 0.5, rng))


def _duplicated(contract, rows, fault, rng):
    return pl.concat([rows, rows.filter(_some(rows, fault.size["shares"], rng))]).sort(contract.key)


def _truncated(contract, rows, fault, rng):
    to = fault.size["to"]
    return rows.with_columns(
        ((pl.col(fault.field) / to).round(0) * to).cast(rows.schema[fault.field])
    )


def _stale_day(contract, rows, fault, rng):
    """One day's values again at the same hour and place on the days after it."""
    keep = {*contract.key, *CALENDAR}
    days = rows.select(_day(contract)).to_series()
    distinct = sorted(days.unique())
    source = distinct[int(rng.integers(0, len(distinct) - fault.size["days"]))]
    values = [name for name in rows.columns if name not in keep]
    place = [name for name in contract.key if name != contract.event_time]
    hour = pl.col(contract.event_time).dt.convert_time_zone(contract.time_zone).dt.hour()
    rows = rows.with_columns(days.alias("_day"), hour.alias("_hour"))
    stale = rows.filter(pl.col("_day") == source).unique([*place, "_hour"], keep="first")
    stale = stale.select(*place, "_hour", *(pl.col(name).alias(f"_{name}") for name in values))
    target = (pl.col("_day") > source) & (
        pl.col("_day") <= source + timedelta(days=fault.size["days"])
    )
    joined = rows.join(
        stale.with_columns(_there=True), on=[*place, "_hour"], how="left", maintain_order="left"
    )
    return joined.with_columns(
        pl.when(target & pl.col("_there"))
        .then(pl.col(f"_{name}"))
        .otherwise(pl.col(name))
        .alias(name)
        for name in values
    ).select(name for name in rows.columns if not name.startswith("_"))


def _future(contract, rows, fault, rng):
    last = _last_days(contract, rows, 1)
    return rows.with_columns(
        pl.when(last)
        .then(pl.col(fault.field) + timedelta(hours=fault.size["hours"]))
        .otherwise(pl.col(fault.field))
        .alias(fault.field)
    ).sort(contract.key)
