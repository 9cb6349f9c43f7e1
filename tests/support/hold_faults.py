"""Made-up hourly sales at four places over fifteen months, and a fault for each kind of change."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from ml_experiment_runner.signals.contract.contract import Contract, Field
from ml_experiment_runner.signals.contract.source_configuration import SourceConfiguration

PLACES = {"Aar": "north", "Bern": "west", "Chur": "east", "Dorf": "north"}
GOODS = {"bread": 12, "cheese": 25, "milk": 8, "wine": 40, "tea": 18}  # and their prices
FIELDS = (
    Field("time", "timestamp", required=True, key=True),
    Field("place", "string", required=True, key=True),
    Field("region", "string"),
    Field("goods", "string"),
    Field("label", "string"),
    Field("hour", "integer"),
    Field("temp", "number", unit="°F"),
    Field("dew", "number", unit="°F"),
    Field("price", "number", unit="CHF"),
    Field("quantity", "integer"),
    Field("total", "number", unit="CHF"),
    Field("fee", "number", unit="CHF"),
    Field("gross", "number", unit="CHF"),
    Field("paid", "boolean"),
    Field("receipt", "integer"),
)
DELIVERED = "2024-03"
FIRST = 11
"""The day of the delivery on which faults begin."""


def sales() -> dict[str, pl.DataFrame]:
    """The rows of each month, the delivery's among them, without a fault."""
    hours = pl.datetime_range(
        pl.datetime(2023, 1, 1), pl.datetime(2024, 3, 31, 23), "1h", time_zone="UTC", eager=True
    ).dt.cast_time_unit("us")  # fmt: skip
    count = len(hours) * len(PLACES)
    rng = np.random.default_rng(5)
    time = hours.to_numpy().repeat(len(PLACES))
    place = np.tile(list(PLACES), len(hours))
    hour = np.tile(np.arange(24), len(hours) // 24).repeat(len(PLACES))
    day = np.arange(count) / (24 * len(PLACES))
    weather = np.convolve(rng.normal(0, 1, len(hours) + 99), np.ones(100) / 10, "valid")
    temp = 50 - 20 * np.cos(2 * np.pi * day / 365) + 8 * np.sin((hour - 9) / 24 * 2 * np.pi)
    temp += 4 * weather.repeat(len(PLACES)) + rng.normal(0, 1.5, count)
    quantity = rng.integers(1, 40, count)
    goods = rng.choice(list(GOODS), count, p=[0.4, 0.25, 0.2, 0.1, 0.05])
    usual = np.array([GOODS[name] for name in goods])
    price = np.round(usual * rng.gamma(9, 1 / 9, count) + 2, 2)
    total, fee = np.round(price * quantity, 2), np.round(rng.uniform(1, 9, count), 2)
    frame = pl.DataFrame(
        {
            "place": place,
            "region": [PLACES[name] for name in place],
            "goods": goods,
            "label": [
                f"{name}-{number:04}"
                for name, number in zip(goods, rng.integers(0, 900, count), strict=True)
            ],
            "hour": hour,
            "temp": np.round(temp, 1),
            "dew": np.round(temp - rng.gamma(6, 1.5, count), 1),
            "price": price,
            "quantity": quantity,
            "total": total,
            "fee": fee,
            "gross": np.round(total + fee, 2),
            "paid": rng.random(count) < 0.9,
        }
    ).insert_column(0, pl.Series("time", time).cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))
    frame = frame.filter(pl.Series(rng.random(count) < 0.93))
    frame = frame.with_columns(receipt=70_001 + pl.int_range(pl.len()))
    months = frame["time"].dt.strftime("%Y-%m")
    return {name: frame.filter(months == name) for name in months.unique().sort()}


Fault = Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]


def since(first: int = FIRST, places: tuple[str, ...] = tuple(PLACES)) -> pl.Expr:
    """Rows that a fault strikes."""
    return (pl.col("time").dt.day() >= first) & pl.col("place").is_in(places)


def put(name: str, value: pl.Expr, where: pl.Expr | None = None) -> Fault:
    """A fault that puts other values into a field."""
    chosen = since() if where is None else where
    return lambda rows, _: rows.with_columns(
        pl.when(chosen).then(value).otherwise(name).cast(rows.schema[name]).alias(name)
    )


def some(share: float) -> pl.Expr:
    """Rows at random, of those that faults strike."""
    return since() & (pl.col("time").hash(seed=3) % 1000 < 1000 * share)


def _swapped(rows: pl.DataFrame, name: str) -> pl.DataFrame:
    """Values that belong to other rows."""
    return rows.with_columns(
        pl.when(since()).then(pl.col(name).shuffle(seed=1)).otherwise(name).alias(name)
    )


def _copied(rows: pl.DataFrame, _: pl.DataFrame) -> pl.DataFrame:
    """Rows of a week that come again under the times of the next one."""
    week = rows.filter(pl.col("time").dt.day().is_between(FIRST, FIRST + 6))
    later = week.with_columns(pl.col("time").dt.offset_by("7d"))
    return pl.concat([rows.join(later, on=("time", "place"), how="anti"), later]).sort("time")


def _at_midnight(rows: pl.DataFrame, _: pl.DataFrame) -> pl.DataFrame:
    minutes = pl.duration(minutes=pl.col("time").hash(seed=5) % 5)
    day = pl.col("time").dt.truncate("1d") + minutes
    return rows.with_columns(pl.when(since()).then(day).otherwise("time").alias("time"))


FAULTS: dict[str, tuple[str | None, Fault]] = {
    "volume": (None, lambda rows, _: rows.filter(~since(places=("Aar", "Bern")))),
    "numbering": (None, lambda rows, _: rows.filter(~since(places=("Aar", "Bern")))),
    "missing values": ("temp", put("temp", pl.lit(None), some(0.3))),
    "shares": ("goods", put("goods", pl.lit("milk"), since() & (pl.col("goods") == "cheese"))),
    "time of day": ("time", lambda rows, _: rows.filter(
        ~(since() & pl.col("time").dt.hour().is_between(0, 5)))),
    "day of week": ("time", lambda rows, _: rows.filter(
        ~(since(1) & (pl.col("time").dt.weekday() == 7) & (pl.col("time").dt.hour() > 3)))),
    "precision of times": ("time", _at_midnight),
    "tails": ("fee", put("fee", -pl.col("fee"), some(0.1))),
    "level": ("temp", put("temp", ((pl.col("temp") - 32) / 1.8).round(1))),
    "level of a group": ("temp", put(
        "temp", ((pl.col("temp") - 32) / 1.8).round(1), since(places=("Chur",)))),
    "swapped codes": ("place", put("temp", pl.col("temp") + 20, since(places=("Aar",)))),
    "daily course": ("temp", put("temp", pl.col("temp").shift(4 * 6).fill_null(40))),
    "association": ("goods", lambda rows, _: _swapped(rows, "goods")),
    "form of texts": ("label", put("label", pl.col("label").str.to_uppercase())),
    "different values": ("label", put("label", pl.col("goods") + "-0000")),
    "copies": (None, _copied),
    "clock": ("hour", put("hour", (pl.col("hour") + 1) % 24)),
    "product": ("total", put("total", (pl.col("total") * 1.08).round(2))),
    "sum": ("gross", put("gross", pl.col("total"))),
    "dependence": ("region", put("region", pl.lit("west"), since(places=("Aar",)))),
    "relation": ("dew", lambda rows, _: _swapped(rows, "dew")),
    "single value": ("fee", put("fee", pl.lit(5.0), some(0.2))),
    "new codes": ("goods", put("goods", pl.lit("beer"), since() & (pl.col("goods") == "tea"))),
    "new values": ("quantity", put("quantity", pl.col("quantity") * 10)),
    "last digits": ("price", put("price", pl.col("price").round(0))),
    "gaps": ("quantity", put("quantity", (pl.col("quantity") / 2).round(0) * 2)),
    "frozen": ("temp", put("temp", pl.lit(41.5), since(20, ("Dorf",)))),
    "steps": ("temp", put("temp", pl.col("temp") + pl.col("time").hash(seed=9) % 9)),
    "repeated day": (None, lambda rows, _: _repeated(rows)),
    "identifiers": ("receipt", put("receipt", pl.col("receipt") % 1000)),
    "order": ("time", put("time", pl.col("time").dt.offset_by("1d"), some(0.2))),
    "extreme": ("temp", put("temp", pl.lit(9999.0), some(0.004))),
}  # fmt: skip
"""By kind, the field that is struck and what strikes it."""


def _repeated(rows: pl.DataFrame) -> pl.DataFrame:
    """A day that has the rows of the day before."""
    day = rows.filter(pl.col("time").dt.day() == FIRST)
    again = day.with_columns(pl.col("time").dt.offset_by("1d"))
    return pl.concat([rows.filter(pl.col("time").dt.day() != FIRST + 1), again]).sort("time")


def contract_of(folder: Path, *restricted: str) -> Contract:
    """Of the sales, with some fields classified."""
    fields = tuple(
        replace(field, classification="restricted") if field.name in restricted else field
        for field in FIELDS
    )
    return Contract(
        name="sales", version="1.0.0", owner="Shop desk", contact="desk@example.com",
        source_configuration=SourceConfiguration("files", {"path": "sales.csv", "format": "csv"}),
        fields=fields, key=("time", "place"), event_time="time", time_zone="UTC", freshness=None,
        null_values=(), delay=None,  # type: ignore[arg-type]
        path=folder / "signals/sales.yaml",
    )  # fmt: skip
