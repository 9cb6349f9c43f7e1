"""How often clean deliveries of a week are held for nothing; part of `make bench-detection`.

Partitions are months, so a week goes into a part of one, or of two. A week that was held is
released: it is part of the next one's past.
"""

import argparse
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from deliveries import NEW_YORK, TEMPLATE
from inject import FAULTS
from threadpoolctl import threadpool_limits

from ml_experiment_runner.holds.holds import Violation
from ml_experiment_runner.signals.checks import quality
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.drift import detection
from ml_experiment_runner.signals.snapshots import snapshot
from ml_experiment_runner.signals.sources import fetch

NEW_YEAR, YEAR = date(2013, 1, 1), 365


def replay(signal: str, days: int) -> Iterator[tuple[date, list[Violation]]]:
    """The first day of each delivery of so many days, and what was said of it."""
    contract = read_contracts(TEMPLATE)[signal]
    rows = fetch.fetch_rows(contract)
    day = rows[contract.event_time].dt.convert_time_zone(contract.time_zone).dt.date()
    for start in (NEW_YEAR + timedelta(days=each) for each in range(0, YEAR, days)):
        end = start + timedelta(days=days)
        past = snapshot.by_partition(contract, rows.filter(day < start))
        whole = snapshot.by_partition(contract, rows.filter(day < end))
        parts = {name: part for name, part in whole.items()
                 if name not in past or part.height > past[name].height}  # fmt: skip
        now = datetime(end.year, end.month, end.day, tzinfo=NEW_YORK).astimezone(UTC)
        found = quality.broken(contract, parts, now)
        if past:
            before = {name: part.lazy() for name, part in past.items()}
            found += detection.changes(contract, before, parts, {})
        yield start, found


def is_real(signal: str, violation: Violation) -> bool:
    """Whether a violation is a fault that is really in the data."""
    return any(
        real["signal"] == signal and real["field"] == violation.field
        and violation.partition == f"2013-{real['delivery']:02}"
        for real in FAULTS["real"]
    )  # fmt: skip


def main() -> None:
    """Writes the section."""
    threadpool_limits(limits=1, user_api="blas")  # as receiving has it
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--signals", nargs="*", default=["flights", "weather"])
    parser.add_argument("--days", type=int, default=7, help="of a delivery")
    parser.add_argument("--output", type=Path, help="where the section goes")
    arguments = parser.parse_args()
    table, told = [], []
    for signal in arguments.signals:
        deliveries = list(replay(signal, arguments.days))
        held = [(start, found) for start, found in deliveries if found]
        nothing = [each for each in held if not any(is_real(signal, one) for one in each[1])]
        real = len(held) - len(nothing)
        table.append(f"| {signal} | {len(nothing)} of {len(deliveries)} | {real} |")
        for start, found in held:
            what = "for nothing" if (start, found) in nothing else "a real fault"
            first = next((one for one in found if is_real(signal, one)), found[0])
            told.append(f"- {signal}, from {start:%d %B}, held {what}: {first.kind}: "
                        f"{first.field or 'the rows'}: {first.message}")  # fmt: skip
    days = arguments.days
    lines = [
        "## Weekly deliveries" if days == 7 else f"## Deliveries of {days} days",
        "",
        f"`python benchmarks/detection/weeks.py --days {days}`: the year, {days} days at a time.",
        "How much wider the limits of a short past are was chosen on these same weeks.",
        "",
        "| signal | clean deliveries held for nothing | real faults found |",
        "|---|---|---|",
        *table,
        "",
        *told,
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
