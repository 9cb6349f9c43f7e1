"""Drafts of first months, left as they are: no later month that is usual breaks a rule of them."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml_experiment_runner.signals.checks import quality
from ml_experiment_runner.signals.contract.contract import UNKNOWN
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.drafts.draft import draft
from ml_experiment_runner.signals.snapshots import snapshot
from ml_experiment_runner.signals.sources import fetch

START, DAYS = date(2022, 1, 1), 730
Chance = np.random.Generator


def seasonal(chance: Chance) -> pl.DataFrame:
    """Hourly weather at two places, from a cold January on, with instruments that fail at times."""
    hours = pl.datetime_range(START, START + timedelta(days=DAYS), "6h", eager=True)
    at = pl.DataFrame({"at": hours}).join(pl.DataFrame({"place": ["north", "south"]}), how="cross")
    year = at["at"].dt.ordinal_day().to_numpy() / 365 * 2 * np.pi
    temp = 12 - 12 * np.cos(year) + chance.normal(0, 3, at.height)
    rain = np.where(chance.random(at.height) < 0.2, chance.gamma(1, 2, at.height), 0)
    fails = chance.random(at.height) < 0.02 * (1 - np.cos(year))
    local = pl.col("at").dt
    return at.with_columns(
        local.month().alias("month"), local.hour().alias("hour"),
        temp=pl.Series(temp.round(1)).set(pl.Series(fails), None),
        humidity=pl.Series((60 + 30 * np.cos(year) + chance.normal(0, 3, at.height)).clip(0, 100)),
        rain=rain.round(1), season=pl.when(local.month() < 4).then(pl.lit("winter"))
        .when(local.month() < 10).then(pl.lit("summer")).otherwise(pl.lit("autumn")),
    )  # fmt: skip


def growing(chance: Chance) -> pl.DataFrame:
    """A shop whose orders grow twentyfold: new customers, products and ways to pay."""
    counts = (5 * np.exp(np.arange(DAYS) / 240)).astype(int)
    day = np.repeat(np.arange(DAYS), counts)
    rows = len(day)
    seconds = chance.integers(0, 86_400, rows)
    ways = np.array(["card", "invoice", "wallet", "crypto"])
    products = chance.integers(0, 4 + day // 60)
    return pl.DataFrame({
        "order_id": np.arange(10_000, 10_000 + rows),
        "ordered_at": [datetime(2022, 1, 1) + timedelta(days=int(d), seconds=int(s))
                       for d, s in zip(day, seconds, strict=True)],
        "customer_id": chance.integers(0, 50 + day * 3),
        "product": [f"P{number}" for number in products],
        "payment": ways[chance.integers(0, 2 + (day > 300) + (day > 500))],
        "is_new": chance.integers(0, 2, rows),
        "pieces": 1 + chance.poisson(0.5 + day / 400),
        "total": (chance.gamma(2, 10, rows) * (1 + day / 300)).round(2),
        "refund": np.where(day > 400, -chance.gamma(1, 5, rows).round(2), 0.5),
    })  # fmt: skip


def meters(_: Chance) -> pl.DataFrame:
    """Three meters that only rise, one of which comes later, and a count of all there was."""
    days = pl.date_range(START, START + timedelta(days=DAYS), eager=True)
    return pl.concat([
        pl.DataFrame({"day": days, "meter": [meter] * len(days)}).with_columns(
            kwh=pl.int_range(pl.len()) * (3.5 + meter), starts=pl.int_range(pl.len()) * 2,
        ).filter(pl.col("day") > START + timedelta(days=150 * (meter == 3)))
        for meter in (1, 2, 3)
    ])  # fmt: skip


def ratings(chance: Chance) -> pl.DataFrame:
    """Marks from 1 to 5, of which the worst are rare and the first months are few."""
    day = np.sort((DAYS * chance.random(6_000) ** 0.6).astype(int))
    rows = len(day)
    moments = [datetime(2022, 1, 1) + timedelta(days=int(d), seconds=int(s))
               for d, s in zip(day, chance.integers(0, 86_400, rows), strict=True)]  # fmt: skip
    pairs = chance.permutation(400 * 300)[:rows]
    return pl.DataFrame({
        "user_id": 1 + pairs % 400, "film_id": 1 + pairs // 400, "rated_at": moments,
        "rating": chance.choice([1, 2, 3, 4, 5], rows, p=[0.002, 0.01, 0.2, 0.4, 0.388]),
        "comment": [None if number % 3 else f"seen {number} times or so" for number in pairs],
    })  # fmt: skip


@pytest.mark.parametrize("table", [seasonal, growing, meters, ratings])
@pytest.mark.parametrize("first", [3, 6])
def test_later_months_that_are_usual_keep_the_draft(
    tmp_path: Path, table: Callable[[Chance], pl.DataFrame], first: int
) -> None:
    rows = table(np.random.default_rng(0))
    time = next(name for name, dtype in rows.schema.items() if dtype.is_temporal())
    months = rows.with_columns(_=pl.col(time).dt.truncate("1mo")).partition_by(
        "_", as_dict=True, include_key=False
    )
    parts = [months[month] for month in sorted(months)]
    (tmp_path / "signals").mkdir()
    file = tmp_path / "rows.csv"
    pl.concat(parts[:first]).write_csv(file)
    path = draft(tmp_path, "rows", str(file)).path
    path.write_text(path.read_text().replace(UNKNOWN, "Ada").replace(": draft", ": active"))
    contract = read_contracts(tmp_path)["rows"]
    rows.write_csv(file)
    fetched = fetch.fetch_rows(contract)  # the key holds for all of them
    partitions = snapshot.by_partition(contract, fetched)
    assert len(partitions) >= 24
    assert quality.broken(contract, partitions, datetime.now(UTC)) == []
