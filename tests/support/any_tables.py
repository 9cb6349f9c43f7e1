"""Tables of several shapes over some months, each a past and the month after it.

All are drawn with a fixed seed. None is real, so each has only the faults that a test puts into it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml_experiment_runner.signals.contract.contract import Contract, Field
from ml_experiment_runner.signals.contract.source_configuration import SourceConfiguration
from ml_experiment_runner.signals.snapshots import snapshot

START = datetime(2023, 1, 1, tzinfo=UTC)
MOMENT = pl.Datetime("us", "UTC")
TYPES: Mapping[type[pl.DataType], str] = {
    pl.Int64: "integer", pl.Float64: "number", pl.String: "string", pl.Boolean: "boolean",
    pl.Datetime: "timestamp", pl.Date: "date", pl.Time: "time",
}  # fmt: skip
WORDS = (
    *("please", "ring", "the", "bell", "twice", "leave", "it", "with", "our", "neighbour", "at"),
    *("number", "nine", "gift", "wrap", "in", "blue", "paper", "no", "rush", "before", "noon"),
    *("call", "me", "when", "you", "are", "near", "thank", "your", "team", "parcel", "fragile"),
)
PRODUCTS = {"Lamp": 40, "Chair": 90, "Desk": 220, "Shelf": 75, "Rug": 130, "Vase": 25, "Clock": 55}
STATUSES = {"paid": 0.6, "sent": 0.25, "returned": 0.1, "lost": 0.02, "fraud": 0.015, "test": 0.015}


@dataclass(frozen=True)
class Table:
    """A signal's contract and its rows.

    Attributes:
        contract: The contract.
        frame: All rows, in the order in which they come.
    """

    contract: Contract
    frame: pl.DataFrame

    @cached_property
    def months(self) -> dict[str, pl.DataFrame]:
        """Its rows by partition."""
        return snapshot.by_partition(self.contract, self.frame)

    @property
    def past(self) -> dict[str, pl.DataFrame]:
        """All months but the last one."""
        return {name: rows for name, rows in self.months.items() if name < self.last}

    @property
    def last(self) -> str:
        """The last month's name."""
        return max(self.months)

    @property
    def next(self) -> pl.DataFrame:
        """The last month's rows, which come after the past."""
        return self.months[self.last]

    @property
    def before(self) -> pl.DataFrame:
        """The rows of the month before the last one."""
        return self.months[max(self.past)]


def table(frame: pl.DataFrame, *key: str, event: str | None = "at", **semantic: str) -> Table:
    """A table of these rows; `semantic` are types of fields that are not told from the rows."""
    fields = tuple(
        Field(name, TYPES[dtype.base_type()], required=name in key or name == event,
              key=name in key, semantic_type=semantic.get(name))
        for name, dtype in frame.schema.items()
    )  # fmt: skip
    contract = Contract(
        "any", "1.0.0", "owner", "contact", SourceConfiguration("files", {}), fields, key, event,
        "UTC", timedelta(0), None, (), Path("project/signals/any.yaml"),
    )  # fmt: skip
    return Table(contract, frame)


def first_days(months: int) -> list[date]:
    """The first days of so many months and of the one after them."""
    return [date(2023 + month // 12, month % 12 + 1, 1) for month in range(months + 1)]


def moments(chance: np.random.Generator, counts: list[int]) -> list[datetime]:
    """Moments of so many rows a month, in order: more by day than by night."""
    found: list[datetime] = []
    weight = 1 + 6 * np.exp(-(((np.arange(24) - 14) / 4) ** 2))
    for number, first in enumerate(first_days(len(counts))[:-1]):
        length = (first_days(len(counts))[number + 1] - first).days
        size = counts[number]
        hours = 24 * chance.integers(0, length, size) + chance.choice(
            24, size, p=weight / weight.sum()
        )
        begin = datetime(first.year, first.month, 1, tzinfo=UTC)
        seconds = np.sort(hours * 3600 + chance.integers(0, 3600, size))
        found += [begin + timedelta(seconds=int(second)) for second in seconds]
    return found


def regular(months: int, hours: int) -> pl.Series:
    """Moments every so many hours for so many months."""
    last = first_days(months)[-1]
    end = datetime(last.year, last.month, 1, tzinfo=UTC)
    return pl.datetime_range(
        START, end, timedelta(hours=hours), closed="left", time_unit="us", eager=True
    ).alias("at")


def drawn(chance: np.random.Generator, shares: Mapping[str, float], size: int) -> NDArray[np.str_]:
    """Codes with these shares."""
    return chance.choice(list(shares), size, p=list(shares.values()))


def note(chance: np.random.Generator) -> str | None:
    """What a customer may write."""
    if chance.random() < 0.4:
        return None
    return " ".join(chance.choice(WORDS, int(chance.integers(5, 12)))).capitalize() + "."


def orders(months: int = 16, rows: int = 300, seed: int = 1) -> Table:
    """Orders with an id, the event time beside it; a shop that grows by 2 % a month."""
    chance = np.random.default_rng(seed)
    times = moments(chance, [round(rows * 1.02**month) for month in range(months)])
    size = len(times)
    product = drawn(
        chance, dict(zip(PRODUCTS, (0.25, 0.2, 0.1, 0.15, 0.1, 0.12, 0.08), strict=True)), size
    )
    base = np.array([PRODUCTS[name] for name in product])
    price = (base * chance.normal(1, 0.06, size)).round(2)
    quantity = chance.choice([1, 2, 3, 4, 5], size, p=[0.5, 0.25, 0.12, 0.08, 0.05])
    total = (price * quantity).round(2)
    shipping = np.where(base > 100, 19.9, chance.choice([0.0, 2.95, 4.95], size))
    discount = np.where(chance.random(size) < 0.7, np.nan, (5 + 20 * chance.random(size)).round(1))
    frame = pl.DataFrame({
        "id": 10_000 + np.arange(size),
        "at": pl.Series(times, dtype=MOMENT),
        "customer_id": (600 * chance.random(size) ** 1.5).astype(np.int64) + 1,
        "product": product.tolist(),
        "price": price, "quantity": quantity, "total": total,
        "shipping": shipping, "paid": (total + shipping).round(2),
        "discount": pl.Series(discount).fill_nan(None),
        "status": drawn(chance, STATUSES, size).tolist(),
        "note": [note(chance) for _ in range(size)],
    })  # fmt: skip
    return table(frame, "id")


def hourly(months: int = 15, seed: int = 2) -> Table:
    """One series whose key is the event time: an hourly number with a daily course and a season."""
    chance = np.random.default_rng(seed)
    at = regular(months, 1)
    hour = np.arange(len(at))
    rest = np.zeros(len(at))
    pushes = chance.normal(0, 1.5, len(at))
    for number in range(1, len(at)):
        rest[number] = 0.8 * rest[number - 1] + pushes[number]
    load = 50 + 12 * np.sin(2 * np.pi * (hour - 8) / 24) + rest
    load -= 10 * np.cos(2 * np.pi * hour / (24 * 365.25))
    return table(pl.DataFrame({"at": at, "load": load.round(1)}), "at")


def weather(months: int = 15, seed: int = 7) -> Table:
    """Two numbers every hour, each with a daily course."""
    series, chance = hourly(months, seed), np.random.default_rng(seed + 100)
    hour = np.arange(series.frame.height)
    temp = 12 - 9 * np.cos(2 * np.pi * hour / (24 * 365.25))
    temp += 5 * np.sin(2 * np.pi * (hour - 9) / 24) + chance.normal(0, 1.5, len(hour))
    return table(series.frame.with_columns(temp=pl.Series(temp.round(1))), "at")


def panel(months: int = 15, places: int = 51, seed: int = 3) -> Table:
    """Places by day, in the same order every day."""
    chance = np.random.default_rng(seed)
    days = regular(months, 24)
    level = np.exp(chance.normal(3.5, 0.7, places))
    warm = chance.normal(12, 4, places)
    day = np.repeat(np.arange(len(days)), places)
    place = np.tile(np.arange(places), len(days))
    tests = chance.poisson(level[place] * (1.1 - 0.2 * ((day % 7) > 4)))
    season = -9 * np.cos(2 * np.pi * day / 365.25)
    weather = np.repeat(chance.normal(0, 2, len(days)), places)
    frame = pl.DataFrame({
        "at": pl.Series(np.repeat(days.to_numpy(), places)).cast(pl.Datetime("us")).dt
              .replace_time_zone("UTC"),
        "place": [f"P{number:02}" for number in place],
        "tests": tests,
        "positive": chance.binomial(tests, 0.12),
        "temp": (warm[place] + season + weather + chance.normal(0, 1, len(day))).round(1),
    })  # fmt: skip
    return table(frame, "at", "place")


def stations(months: int = 15, seed: int = 11) -> Table:
    """Three stations near each other every hour, which hardly differ beside the weather."""
    chance = np.random.default_rng(seed)
    hours = regular(months, 1)
    hour, place = np.repeat(np.arange(len(hours)), 3), np.tile(np.arange(3), len(hours))

    def weather(spread: float) -> NDArray[np.float64]:
        smooth = np.convolve(chance.normal(0, 1, len(hours) + 71), np.ones(72) / 72**0.5, "valid")
        return spread * smooth.repeat(3)

    season = -9 * np.cos(2 * np.pi * hour / (24 * 365.25))
    numbers = {
        "temp": 12 + season + weather(4) + np.array([0.05, 0.0, -0.05])[place],
        "humid": 65 + weather(12) + np.array([-0.1, 0.0, 0.1])[place],
        "wind": np.abs(9 + weather(3)) + np.array([-0.025, 0.0, 0.025])[place],
    }
    frame = pl.DataFrame({
        "at": pl.Series(np.repeat(hours.to_numpy(), 3)).cast(MOMENT),
        "place": np.array(["North", "East", "Coast"])[place],
        **{
            name: (values + chance.normal(0, values.std() / 8, len(hour))).round(1)
            for name, values in numbers.items()
        },
    })  # fmt: skip
    return table(frame, "at", "place")


def numbers(months: int = 16, rows: int = 375, seed: int = 4) -> Table:
    """A single number."""
    chance = np.random.default_rng(seed)
    times = moments(chance, [rows + int(chance.integers(-15, 16)) for _ in range(months)])
    amount = chance.normal(100, 20, len(times)).round(2)
    frame = pl.DataFrame({
        "id": 1 + np.arange(len(times)), "at": pl.Series(times, dtype=MOMENT), "amount": amount,
    })  # fmt: skip
    return table(frame, "id")


def integer_codes(months: int = 16, rows: int = 375, seed: int = 5) -> Table:
    """Whole numbers that are names: a region, and a kind of which others follow."""
    chance = np.random.default_rng(seed)
    times = moments(chance, [rows + int(chance.integers(-15, 16)) for _ in range(months)])
    size = len(times)
    shares = np.array([0.3, 0.2, 0.15, 0.12, 0.1, 0.08, 0.02, 0.01, 0.01, 0.01])
    kind = chance.choice([10, 20, 30, 40], size, p=[0.4, 0.3, 0.2, 0.1])
    frame = pl.DataFrame({
        "id": 1 + np.arange(size), "at": pl.Series(times, dtype=MOMENT),
        "region_code": chance.choice(np.arange(1, 11), size, p=shares / shares.sum()),
        "kind": kind,
        "weight": (kind * np.exp(chance.normal(0, 0.3, size))).round(1),
    })  # fmt: skip
    return table(frame, "id")


def calendar(months: int = 16, seed: int = 6) -> Table:
    """A number every other hour, with fields that repeat the clock as numbers and as texts."""
    chance = np.random.default_rng(seed)
    at = pl.col("at").dt
    frame = regular(months, 2).to_frame().with_columns(
        year=at.year().cast(pl.Int64), month=at.month().cast(pl.Int64), day=at.day().cast(pl.Int64),
        hour=at.hour().cast(pl.Int64), weekday=at.strftime("%a"), month_name=at.strftime("%B"),
    )  # fmt: skip
    course = 12 * np.sin(2 * np.pi * (frame["hour"].to_numpy() - 8) / 24)
    weekend = -15.0 * frame["weekday"].is_in(["Sat", "Sun"]).to_numpy()
    riders = chance.poisson(np.maximum(60 + course + weekend, 1))
    return table(frame.with_columns(riders=pl.Series(riders)), "at")


def meters(months: int = 15, places: int = 12, seed: int = 8) -> Table:
    """Meters that are read every six hours: what each has counted since it was installed."""
    chance = np.random.default_rng(seed)
    times = regular(months, 6)
    moment = np.repeat(np.arange(len(times)), places)
    place = np.tile(np.arange(places), len(times))
    usual = chance.uniform(2, 9, places)
    course = np.array([0.6, 1.1, 1.5, 0.9])[moment % 4] * (
        1 + 0.3 * np.cos(2 * np.pi * moment / (4 * 365.25))
    )
    used = (usual[place] * course * np.exp(chance.normal(0, 0.2, len(moment)))).round(1)
    counted = np.cumsum(used.reshape(-1, places), axis=0).ravel()
    frame = pl.DataFrame({
        "at": pl.Series(np.repeat(times.to_numpy(), places)).cast(pl.Datetime("us")).dt
              .replace_time_zone("UTC"),
        "meter": [f"M{number:02}" for number in place],
        "counted": (chance.integers(1000, 90_000, places)[place] + counted).round(1),
        "volt": (230 + chance.normal(0, 2, len(moment))).round(1),
    })  # fmt: skip
    return table(frame, "at", "meter")


SHAPES: Mapping[str, Callable[[], Table]] = {
    "orders": orders, "hourly": hourly, "weather": weather, "panel": panel, "stations": stations,
    "numbers": numbers,
    "integer_codes": integer_codes, "calendar": calendar, "meters": meters,
}  # fmt: skip
