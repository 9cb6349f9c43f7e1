"""The tables in deliveries: what came of them month by month, or week by week."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import polars as pl
from split import half
from tables import NAMES, Table, load

from ml_experiment_runner.signals.snapshots import snapshot

Every = Literal["month", "week"]


@dataclass(frozen=True)
class Delivery:
    """What arrived, and what had arrived before.

    Attributes:
        number: 0 for the first.
        past: Rows that were known before, by partition.
        rows: The new rows only, as they truly were.
        days_of_past: Days from the first one with rows to the begin of this period; 0 for none.
        now: When it arrives: the period is over.
    """

    table: Table
    number: int
    every: Every
    past: dict[str, pl.DataFrame]
    rows: pl.DataFrame
    days_of_past: int
    now: datetime

    def parts(self, rows: pl.DataFrame) -> dict[str, pl.DataFrame]:
        """The changed partitions, whole: what was known of them and these rows, in key order."""
        contract = self.table.contract
        return {
            name: pl.concat([self.past[name], new]).sort(contract.key)
            if name in self.past
            else new.sort(contract.key)
            for name, new in snapshot.by_partition(contract, rows).items()
        }


def deliveries(table: Table, every: Every) -> list[Delivery]:
    """All of a table's deliveries in order; a period without rows delivers nothing.

    Weeks begin on Monday, and both begin at midnight in the contract's time zone. The last period
    is left out where the source ends before it: what is missing of it is no fault of the source.
    """
    contract = table.contract
    event, zone = str(contract.event_time), ZoneInfo(contract.time_zone)
    local = pl.col(event).dt.convert_time_zone(contract.time_zone).dt.date()
    begin = local.dt.truncate("1mo" if every == "month" else "1w").alias("_begin")
    periods = table.rows.with_columns(begin).partition_by(
        "_begin", as_dict=True, include_key=False, maintain_order=True
    )
    first = table.rows.select(local.min()).item()
    past: dict[str, pl.DataFrame] = {}
    found = []
    for number, (start,) in enumerate(sorted(periods)):
        rows = periods[(start,)]
        following = start + timedelta(days=32 if every == "month" else 7)
        end = following.replace(day=1) if every == "month" else following
        if end > table.until:
            break
        now = datetime(end.year, end.month, end.day, tzinfo=zone).astimezone(UTC)
        days = max((start - first).days, 0)
        delivery = Delivery(table, number, every, dict(past), rows, days, now)
        found.append(delivery)
        past |= delivery.parts(rows)
    return found


def main() -> None:
    """Prints how large the tables and their deliveries are."""
    print("| table | half | rows | fields | months | rows of one | weeks | rows of one |")
    print("|---|---|--:|--:|--:|--:|--:|--:|")
    for name in NAMES:
        table = load(name)
        cells = [name, half(name), f"{table.rows.height:,}", f"{table.rows.width}"]
        every: Every
        for every in ("month", "week"):
            heights = sorted(each.rows.height for each in deliveries(table, every))
            middle = heights[len(heights) // 2]
            cells += [f"{len(heights)}", f"{heights[0]:,} to {heights[-1]:,}, mostly {middle:,}"]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
