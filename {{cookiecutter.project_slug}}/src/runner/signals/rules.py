"""Compares a delivery with what its contract says of values, volume and time.

A tolerated share is a promise about the source, not about each batch: of 2,000 rows with 0.1 % of
them tolerated, three may be wrong by chance. So a rule is broken when there are more than the
tolerance explains: at least as many would come by chance in one of 10,000 batches at most.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl

from runner.holds import Breach
from runner.signals.checks import shown
from runner.signals.contract import Contract, Field

CHANCE = 1e-4
"""How rarely a delivery whose source keeps its promise may be taken for one that breaks it."""
CLOCKS = timedelta(minutes=5)
"""By how much two machines' clocks may differ."""
COPIES = 20
"""So many different rows, each an even number of times: by chance once in a million batches."""


@dataclass(frozen=True)
class _Rule:
    """A condition that no more than a share of a partition's rows may meet."""

    kind: str
    field: Field
    bad: pl.Expr
    tolerated: float
    promise: str


def broken(contract: Contract, delivery: Mapping[str, pl.DataFrame], now: datetime) -> list[Breach]:
    """The contract's rules that a delivery breaks: one breach for each rule, where it begins.

    Args:
        contract: The signal's contract.
        delivery: New and changed partitions, whole, in the contract's types.
        now: When it arrived.
    """
    rules = _rules(contract, now)
    found: dict[tuple[str, str | None], list[Breach]] = {}
    for partition in sorted(delivery):
        frame = delivery[partition]
        breaches = [
            *_broken_rules(contract, rules, frame, partition),
            *_volume(contract, frame.height, partition, now),
            *_copies(contract, frame, partition),
        ]
        for breach in breaches:
            found.setdefault((breach.kind, breach.field), []).append(breach)
    return [_first(breaches) for breaches in found.values()]


def lateness(contract: Contract, last_event: datetime | None, now: datetime) -> Breach | None:
    """That new rows are overdue; the rows that came may be as good as ever."""
    if contract.event_time is None or contract.frequency is None or last_event is None:
        return None
    due = contract.frequency + contract.delay
    if now - last_event <= due:
        return None
    message = (
        f"the last event is of {_moment(last_event, contract)}, {span(now - last_event)} ago; "
        f"new ones are due within {span(due)}"
    )
    return Breach("freshness", contract.event_time, message, _month(last_event, contract))


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


def too_many(count: int, rows: int, tolerated: float) -> bool:
    """Whether a tolerated share does not explain so many of the rows."""
    share = count / rows if rows else 0.0
    if share <= tolerated:
        return False
    if not tolerated:
        return True
    # Chernoff's bound of the binomial tail
    surprise = share * math.log(share / tolerated)
    if share < 1:
        surprise += (1 - share) * math.log((1 - share) / (1 - tolerated))
    return rows * surprise > -math.log(CHANCE)


def _rules(contract: Contract, now: datetime) -> list[_Rule]:
    rules = []
    for field in contract.fields:
        column = pl.col(field.name)
        if field.tolerated_nulls is not None:
            rules.append(
                _Rule("nulls", field, column.is_null(), field.tolerated_nulls, "have no value")
            )
        if field.minimum is not None or field.maximum is not None:
            promise = f"are not {_range_text(field)}"
            rules.append(_Rule("range", field, _outside(field), field.tolerated_invalid, promise))
        if field.allowed:
            values = pl.Series(field.allowed).cast(_plain(field))
            listed = ", ".join(field.allowed[:8]) + (", …" if len(field.allowed) > 8 else "")
            promise = f"are none of {listed}"
            bad = ~column.is_in(values.implode())
            rules.append(_Rule("values", field, bad, field.tolerated_invalid, promise))
        if field.name == contract.event_time:
            promise = f"are after {_moment(now, contract)}, when they came"
            rules.append(_Rule("future", field, column > now + CLOCKS, 0.0, promise))
    return rules


def _outside(field: Field) -> pl.Expr:
    column = pl.col(field.name)
    # whole bounds of whole numbers: a comparison with 0.5 would turn the column into floats
    low, high = (
        int(bound) if field.type == "integer" and bound is not None else bound
        for bound in (field.minimum, field.maximum)
    )
    if low is None:
        return column > high
    return column < low if high is None else ~column.is_between(low, high)


def _plain(field: Field) -> pl.DataType:
    return {"integer": pl.Int64(), "number": pl.Float64()}.get(field.type, pl.String())


def _broken_rules(
    contract: Contract, rules: list[_Rule], frame: pl.DataFrame, partition: str
) -> list[Breach]:
    if not rules or frame.is_empty():
        return []
    # one pass: all counts at once
    counts = frame.select(rule.bad.sum().alias(str(at)) for at, rule in enumerate(rules)).row(0)
    return [
        Breach(rule.kind, rule.field.name, _told(contract, rule, frame, count), partition)
        for rule, count in zip(rules, counts, strict=True)
        if too_many(count, frame.height, rule.tolerated)
    ]


def _told(contract: Contract, rule: _Rule, frame: pl.DataFrame, count: int) -> str:
    name, field = rule.field.name, rule.field
    bad = frame.select({*contract.key, name}).filter(rule.bad)
    tolerated = f"; tolerated are {_percent(rule.tolerated)}" if rule.tolerated else ""
    worst = ""
    if rule.kind != "nulls":
        worst = f"; the worst is {_worst(contract, rule, bad[name])}"
    first = bad.row(0, named=True)
    key = ", ".join(
        f"{each}={shown(first[each], contract.field(each), lambda value: _text(value, contract))}"
        for each in contract.key
    )
    unit = f" {field.unit}" if field.unit and rule.kind == "range" else ""
    return (
        f"{count:,} of {frame.height:,} values of {name} ({_percent(count / frame.height)}) "
        f"{rule.promise}{unit}{tolerated}{worst}, first at {key}"
    )


def _worst(contract: Contract, rule: _Rule, values: pl.Series) -> str:
    """The value farthest off, or the one that comes most often."""
    field = rule.field
    if rule.kind == "values":
        worst = values.drop_nulls().mode().sort()[0]
    elif field.minimum is None or rule.kind == "future":
        worst = values.max()
    elif field.maximum is None:
        worst = values.min()
    else:
        middle = (field.minimum + field.maximum) / 2
        worst = values[int((values - middle).abs().arg_max() or 0)]
    return shown(worst, field, lambda value: _text(value, contract))


def _volume(contract: Contract, rows: int, partition: str, now: datetime) -> list[Breach]:
    least, most = contract.rows
    if most is not None and rows > most:
        promise = f"at most {most:,}"
    elif least is not None and rows < least and not is_growing(contract, partition, now):
        promise = f"at least {least:,}"
    else:
        return []
    message = f"{rows:,} rows in {partition} where {promise} are promised"
    return [Breach("volume", None, message, partition)]


def _copies(contract: Contract, frame: pl.DataFrame, partition: str) -> list[Breach]:
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
        f"each of {days['different'][0]:,} rows{where} came more than once under another "
        f"{', '.join(contract.key)}: {days['rows'].sum():,} rows are copies or have one"
    )
    return [Breach("duplicates", None, message, partition)]


def _first(breaches: list[Breach]) -> Breach:
    """One breach for all partitions that a rule is broken in."""
    first, *more = breaches
    if not more:
        return first
    also = ", ".join(each.partition for each in more[:3]) + (", …" if len(more) > 3 else "")
    return Breach(first.kind, first.field, f"{first.message}; also in {also}", first.partition)


def _range_text(field: Field) -> str:
    if field.minimum is None:
        return f"at most {_number(field.maximum)}"
    if field.maximum is None:
        return f"at least {_number(field.minimum)}"
    return f"within {_number(field.minimum)} to {_number(field.maximum)}"


def _number(value: float | None) -> str:
    return f"{value:,.10g}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _text(value: object, contract: Contract) -> str:
    if isinstance(value, datetime):
        return _moment(value, contract)
    return _number(value) if isinstance(value, float) else str(value)


def _moment(moment: datetime, contract: Contract) -> str:
    local = moment.astimezone(ZoneInfo(contract.time_zone))
    return f"{local:%Y-%m-%d %H:%M}"


def _month(moment: datetime, contract: Contract) -> str:
    return f"{moment.astimezone(ZoneInfo(contract.time_zone)):%Y-%m}"


def span(length: timedelta) -> str:
    """A length of time for people."""
    hours = length / timedelta(hours=1)
    return f"{hours / 24:.3g} days" if hours >= 48 else f"{hours:.3g} hours"
