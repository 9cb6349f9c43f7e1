"""Faults of whole rows and of the event time: each takes an injection and gives its rows."""

import calendar
from datetime import timedelta

import polars as pl
from faults import identifiers
from injection import Injection


def place_fields(injection: Injection) -> list[str]:
    """What tells the series of a panel apart; none where rows are events."""
    if identifiers(injection.table):
        return []
    names = injection.table.places or injection.contract.key
    return [name for name in names if name != injection.event]


def duplicated(injection: Injection) -> pl.DataFrame:
    """Rows come twice, under another identifier or a second later."""
    copies = injection.rows.filter(injection.some(injection.size["share"]))
    return injection.sorted(pl.concat([injection.rows, injection.with_new_keys(copies)]))


def _month_before(injection: Injection) -> pl.DataFrame:
    """The rows of the period before, under the days of this one."""
    past = injection.past_rows()
    if injection.delivery.every == "week":
        origin = {day: day - timedelta(days=7) for day in injection.distinct_days}
    else:
        last = injection.distinct_days[0].replace(day=1) - timedelta(days=1)
        days = calendar.monthrange(last.year, last.month)[1]
        origin = {day: last.replace(day=min(day.day, days)) for day in injection.distinct_days}
    return injection.under_other_days(past, origin)


def stale_month(injection: Injection) -> pl.DataFrame:
    """The period before once more."""
    again = _month_before(injection)
    return injection.sorted(again) if again.height else injection.rows


def stale_day(injection: Injection) -> pl.DataFrame:
    """A day once more, in place of the days after it."""
    days, count = injection.distinct_days, injection.size["days"]
    if len(days) <= count:
        return injection.rows
    start = int(injection.rng.integers(len(days) - count))
    origin = dict.fromkeys(days[start + 1 : start + 1 + count], days[start])
    again = injection.under_other_days(injection.rows, origin)
    rest = injection.rows.filter(~injection.days.is_in(list(origin)))
    return injection.sorted(pl.concat([rest, again]))


def half_volume(injection: Injection) -> pl.DataFrame:
    """Every other row, by chance."""
    return injection.rows.filter(injection.some(0.5))


def more_volume(injection: Injection) -> pl.DataFrame:
    """Rows of the period before come on top."""
    more = _month_before(injection)
    count = min(more.height, round(injection.rows.height * injection.size["share"]))
    more = more.sample(count, seed=int(injection.rng.integers(2**31)))
    return injection.sorted(pl.concat([injection.rows, injection.with_new_keys(more)]))


def place_missing(injection: Injection) -> pl.DataFrame:
    """One place or code has no rows."""
    return injection.rows.filter(~injection.group(injection.size["rank"])[1])


def days_missing(injection: Injection) -> pl.DataFrame:
    """Days in the middle have no rows."""
    days, count = injection.distinct_days, injection.size["days"]
    start = max(0, (len(days) - count) // 2)
    return injection.rows.filter(~injection.days.is_in(days[start : start + count]))


def hours_missing(injection: Injection) -> pl.DataFrame:
    """Some hours of the day have no rows: the busiest and those after it."""
    hours = injection.local().dt.hour()
    first = int(hours.mode().sort()[0])
    gone = [(first + each) % 24 for each in range(injection.size["hours"])]
    return injection.rows.filter(~hours.is_in(gone))


def foreign_rows(injection: Injection) -> pl.DataFrame:
    """What some rows say is about another place."""
    name, inside = injection.group()
    types = injection.table.types
    content = [
        each for each in injection.rows.columns
        if each not in (name, *injection.contract.key, *injection.table.places)
        and types.get(each) not in ("calendar", "identifier", "event time")
    ]  # fmt: skip
    donors = injection.rows.filter(~inside)
    if donors.is_empty() or not content:
        return injection.rows
    chosen = injection.some(injection.size["share"])
    draw = injection.rng.integers(donors.height, size=injection.rows.height)
    other = donors[draw]
    new = [injection.rows[each].zip_with(~chosen, other[each]) for each in content]
    return injection.rows.with_columns(new)


def _moved(injection: Injection, hours: float, where: pl.Series | None) -> pl.DataFrame:
    later = injection.values + timedelta(hours=hours)
    rows = injection.within(injection.replaced(later, where))
    return rows.unique(injection.contract.key, keep="first", maintain_order=True)


def time_shifted(injection: Injection) -> pl.DataFrame:
    """The clock is wrong; the other fields stay."""
    return _moved(injection, injection.size["hours"], None)


def time_shifted_some(injection: Injection) -> pl.DataFrame:
    """The clock of some rows is wrong."""
    return _moved(injection, injection.size["hours"], injection.some(injection.size["share"]))


def time_shifted_group(injection: Injection) -> pl.DataFrame:
    """The clock of one place is in another time zone."""
    return _moved(injection, injection.size["hours"], injection.group()[1])


def days_shifted(injection: Injection) -> pl.DataFrame:
    """Some rows are a day late."""
    where = injection.some(injection.size["share"])
    return _moved(injection, 24.0 * injection.size["days"], where)


def time_truncated(injection: Injection) -> pl.DataFrame:
    """Times are those of the day or the hour that they are in."""
    zone, dtype = injection.contract.time_zone, injection.values.dtype
    local = injection.values.dt.convert_time_zone(zone).dt.truncate(injection.size["to"])
    rows = injection.replaced(local.dt.convert_time_zone("UTC").cast(dtype))
    return rows.unique(injection.contract.key, keep="first", maintain_order=True)
