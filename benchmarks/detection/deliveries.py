"""The real deliveries: 12 months of flights, of weather and of the growing registry of planes."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.snapshots import snapshot
from ml_experiment_runner.signals.sources import fetch

TEMPLATE = Path(__file__).resolve().parents[2] / "{{cookiecutter.project_slug}}"
NEW_YORK = ZoneInfo("America/New_York")


@dataclass(frozen=True)
class Delivery:
    """What arrived, and what had arrived before.

    Attributes:
        month: 1 to 12 of 2013.
        past: Accepted rows by partition.
        partition: Name of the partition that arrives.
        rows: Its rows, as they truly were.
        now: When it arrives: the month is over.
    """

    contract: Contract
    month: int
    past: dict[str, pl.DataFrame]
    partition: str
    rows: pl.DataFrame
    now: datetime


def deliveries() -> list[Delivery]:
    """All of them, in the order of the signals' names and of time."""
    contracts = read_contracts(TEMPLATE)
    rows = {name: fetch.fetch_rows(contract) for name, contract in contracts.items()}
    found = []
    for name in ("flights", "weather"):
        # the shipped contracts tell of an archive; here the feed lives, and two days are too late
        contract = replace(contracts[name], frequency=timedelta(days=2))
        parts = snapshot.by_partition(contract, rows[name])
        for month in range(1, 13):
            past = {key: part for key, part in parts.items() if key < _key(month)}
            now = _end(month)
            found.append(Delivery(contract, month, past, _key(month), parts[_key(month)], now))
    before: dict[str, pl.DataFrame] = {}
    for month in range(1, 13):
        seen = rows["flights"].filter(pl.col("time_hour") < _end(month))["tailnum"].unique()
        registry = rows["planes"].filter(pl.col("tailnum").is_in(seen.implode()))
        found.append(Delivery(contracts["planes"], month, before, "all", registry, _end(month)))
        before = {"all": registry}
    return found


def _key(month: int) -> str:
    return f"2013-{month:02}"


def _end(month: int) -> datetime:
    following = datetime(2013 + month // 12, month % 12 + 1, 1, tzinfo=NEW_YORK)
    return following.astimezone(UTC)
