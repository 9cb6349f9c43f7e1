"""Quality rules: checks a delivery's values, volume and time against its contract."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from ml_experiment_runner.holds.holds import Violation
from ml_experiment_runner.project.text import enumerated, percent, time_span
from ml_experiment_runner.signals.checks.conditions import (
    Condition,
    conditions,
    moment_text,
    value_text,
    worst_of,
)
from ml_experiment_runner.signals.checks.schema import shown
from ml_experiment_runner.signals.checks.tolerance import too_many
from ml_experiment_runner.signals.checks.uniqueness import key_text, repeated
from ml_experiment_runner.signals.contract.contract import Contract

COPIES = 20
"""So many different rows, each an even number of times: by chance once in a million batches."""


def broken(
    contract: Contract,
    delivery: Mapping[str, pl.DataFrame],
    now: datetime,
    unchanged: Mapping[str, pl.LazyFrame] | None = None,
) -> list[Violation]:
    """The rules that a delivery breaks: one violation for each, at the first partition.

    A tolerated share holds for each partition. Where a rule says how many rows may be such, it is
    about all rows that came; that no value comes twice is about those and the unchanged ones.

    Args:
        contract: The signal's contract.
        delivery: New and changed partitions, whole, in the contract's types.
        now: When it arrived.
        unchanged: Partitions that stay as they are.
    """
    checks = conditions(contract, now)
    unfinished = _unfinished(contract, delivery, unchanged or ())
    counts = {partition: _counts(checks, delivery[partition]) for partition in sorted(delivery)}
    by_check = [
        (_beyond_the_share if check.tolerated is not None else _beyond_the_bound)(
            contract,
            check,
            delivery,
            {partition: row_counts[at] for partition, row_counts in counts.items()},
        )
        for at, check in enumerate(checks)
    ]
    by_check += [
        [
            violation
            for partition, frame in sorted(delivery.items())
            for violation in _volume(
                contract, frame.height, partition, now, partition == unfinished
            )
        ],
        [
            violation
            for partition, frame in sorted(delivery.items())
            for violation in _copies(contract, frame, partition)
        ],
    ]
    firsts = [in_first_partition(violations) for violations in by_check if violations]
    return [*firsts, *repeated(contract, delivery, unchanged or {})]


def lateness(contract: Contract, last_event: datetime | None, now: datetime) -> Violation | None:
    """That new rows are overdue; those that have come may be as good as ever."""
    if contract.event_time is None or contract.frequency is None or last_event is None:
        return None
    due = contract.frequency + contract.delay
    if now - last_event <= due:
        return None
    message = (
        f"the last event is of {moment_text(last_event, contract)}, "
        f"{time_span(now - last_event)} ago; new ones are due within {time_span(due)}"
    )
    return Violation(
        "freshness", contract.event_time, message, f"{contract.local(last_event):%Y-%m}"
    )


def is_growing(contract: Contract, partition: str, now: datetime) -> bool:
    """Whether more rows of a partition may still come."""
    if contract.event_time is None or partition == "all":
        return False
    year, month = map(int, partition.split("-"))
    zone = ZoneInfo(contract.time_zone)
    if year >= datetime.max.year:  # a moment that stands for none
        return False
    end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=zone)
    return now < end + contract.delay + (contract.frequency or timedelta(0))


def _counts(checks: Sequence[Condition], frame: pl.DataFrame) -> tuple[int, ...]:
    """How many rows of a partition break each condition."""
    if not checks:
        return ()
    # one pass: all counts at once
    return frame.select(check.bad.sum().alias(str(at)) for at, check in enumerate(checks)).row(0)


def _beyond_the_share(
    contract: Contract,
    check: Condition,
    delivery: Mapping[str, pl.DataFrame],
    counts: Mapping[str, int],
) -> list[Violation]:
    """The partitions in which more rows are such than a tolerated share explains."""
    violations = []
    for partition, count in counts.items():
        frame = delivery[partition]
        if too_many(count, frame.height, check.tolerated or 0.0):
            tolerated = f"; tolerated: {percent(check.tolerated)}" if check.tolerated else ""
            message = _told(check, count, frame.height) + tolerated + _seen(contract, check, frame)
            violations.append(Violation(check.kind, check.field.name, message, partition))
    return violations


def _beyond_the_bound(
    contract: Contract,
    check: Condition,
    delivery: Mapping[str, pl.DataFrame],
    counts: Mapping[str, int],
) -> list[Violation]:
    """That the number of such rows in the whole delivery breaks a rule."""
    assert check.rule is not None
    rows = sum(frame.height for frame in delivery.values())
    total = sum(counts.values())
    if not rows or check.rule.is_kept(total, rows):
        return []
    message = f"{_told(check, total, rows)} where {check.rule.expected} are expected"
    where = next((partition for partition, count in counts.items() if count), min(counts))
    if total:
        message += _seen(contract, check, delivery[where])
    return [Violation(check.kind, check.field.name, message, where)]


def _told(check: Condition, count: int, rows: int) -> str:
    field = check.field
    unit = f" {field.unit}" if field.unit and check.kind == "range" else ""
    return (
        f"{count:,} of {rows:,} values of {field.name} ({percent(count / rows)}) "
        f"{check.description}{unit}"
    )


def _seen(contract: Contract, check: Condition, frame: pl.DataFrame) -> str:
    """The worst of a partition's rows, and the first."""
    name = check.field.name
    bad = frame.select({*contract.key, name}).filter(check.bad)
    worst = ""
    if check.kind != "nulls" and bad[name].null_count() < bad.height:
        value = worst_of(contract, check, bad[name])
        worst = f"; the worst is {shown(value, check.field, lambda it: value_text(it, contract))}"
    return f"{worst}, first at {key_text(contract, bad.row(0, named=True))}"


def _unfinished(
    contract: Contract, delivery: Mapping[str, pl.DataFrame], unchanged: Iterable[str]
) -> str | None:
    """The newest month, if its rows end before its last day: more of them may still come."""
    newest = max(delivery, default="all")
    if contract.event_time is None or newest == "all" or newest < max(unchanged, default=""):
        return None
    last = delivery[newest].select(pl.max(contract.event_time)).item()
    if last is None or last.year >= datetime.max.year:
        return None
    day = contract.local(last).date()
    return newest if (day + timedelta(days=1)).month == day.month else None


def _volume(
    contract: Contract, rows: int, partition: str, now: datetime, unfinished: bool
) -> list[Violation]:
    is_open = unfinished or is_growing(contract, partition, now)
    least, most = contract.rows
    others = [
        rule for rule in contract.rules
        if rule.metric == "rowCount" and not rule.is_kept(rows, rows)
    ]  # fmt: skip
    if most is not None and rows > most:
        expected = f"at most {most:,}"
    elif least is not None and rows < least and not is_open:
        expected = f"at least {least:,}"
    elif others and not is_open:
        expected = others[0].expected
    else:
        return []
    message = f"{rows:,} rows in {partition} where {expected} are expected"
    return [Violation("volume", None, message, partition)]


def _copies(contract: Contract, frame: pl.DataFrame, partition: str) -> list[Violation]:
    """Days whose every row came two or more times, under a key that is but a number.

    A key of several fields, or of the event time, says what a row is: copies share it, and are
    found by it.
    """
    rest = [name for name in contract.names if name not in contract.key]
    if not rest or len(contract.key) > 1 or contract.event_time in contract.key:
        return []
    if contract.event_time is None:
        day = pl.lit(0)
    else:
        day = pl.col(contract.event_time).dt.convert_time_zone(contract.time_zone).dt.date()
    hashes = frame.select(day=day, row=pl.struct(rest).hash())
    days = (
        hashes.group_by("day", "row")
        .len()
        .group_by("day")
        .agg(rows=pl.col("len").sum(), different=pl.len(), even=(pl.col("len") % 2 == 0).all())
        .filter(pl.col("even") & (pl.col("different") >= COPIES))
        .sort("day")
    )
    if days.is_empty():
        return []
    where = f" of {days['day'][0]}" if contract.event_time else ""
    message = (
        f"duplicate rows: each of {days['different'][0]:,} rows{where} came more than once under "
        f"another {', '.join(contract.key)}; {days['rows'].sum():,} rows are copies or have one"
    )
    return [Violation("duplicates", None, message, partition)]


def in_first_partition(violations: Sequence[Violation]) -> Violation:
    """One violation for all partitions that have it."""
    first, *more = violations
    if not more:
        return first
    also = tuple(violation.partition for violation in more)
    message = f"{first.message}; also in {enumerated(also, 3)}"
    return replace(first, message=message, also=also)
