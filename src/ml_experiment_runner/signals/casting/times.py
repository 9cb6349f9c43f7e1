"""Dates and times as a source writes them: as days, as times of the day, or as moments in UTC."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

import polars as pl

from ml_experiment_runner.signals.casting.exact_numbers import integers
from ml_experiment_runner.signals.odcs import date_patterns

MOMENT = pl.Datetime("us", "UTC")
LOCAL = pl.Datetime("us")
ISO = (
    r"^(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ](?P<clock>(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]+)?)?)"
    r" ?(?P<offset>Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?$"
)
CLOCK = r"^(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,9}0*)?)?$"
DAYS = (-719_162, 2_932_897)
"""The first day of the year 1, and the one after the last of 9999, counted from 1970."""
PER_SECOND = {"ms": 1_000, "us": 1_000_000}
TOO_FINE = r"\.[0-9]{6}[0-9]*[1-9]"


@dataclass(frozen=True)
class Written:
    """Texts as they are read, before it is asked where on earth.

    Attributes:
        local: What clocks on the wall showed; null where a text says no time.
        offset: How far those clocks were ahead of UTC; null where a text does not say.
        is_day: It says no time of the day.
    """

    local: pl.Series
    offset: pl.Series
    is_day: pl.Series


def within_years(series: pl.Series) -> pl.Series:
    """Days or times of the years 1 to 9999, beyond which Python has none; null for others.

    A database has its infinity there.
    """
    size = 1
    if isinstance(series.dtype, pl.Datetime):
        if series.dtype.time_unit == "ns":  # 64 bits of them are no six hundred years
            return series
        size = 86_400 * PER_SECOND[series.dtype.time_unit]
    good = series.to_physical().is_between(DAYS[0] * size, DAYS[1] * size, closed="left")
    return series.set((~good).fill_null(value=False), None)


def dates(series: pl.Series, form: str | None = None) -> pl.Series:
    """Days; null where a value is not a date, or has a time of day other than midnight."""
    if series.dtype == pl.Date:
        return within_years(series)
    if isinstance(series.dtype, pl.Datetime):
        series = within_years(series)
        days = series.dt.date()
        return days.set((series.dt.time() != time()).fill_null(value=False), None)
    if form in date_patterns.EPOCHS:
        return dates(moments(series, "UTC", form))
    if series.dtype != pl.String:
        return pl.Series(series.name, [None] * len(series), pl.Date)
    return _each_once(series, lambda texts: dates(_written(texts, form).local), pl.Date())


def clocks(series: pl.Series, form: str | None = None) -> pl.Series:
    """Times of day; null where a value is not one."""
    if series.dtype == pl.Time:
        return series
    if series.dtype != pl.String:
        return pl.Series(series.name, [None] * len(series), pl.Time)
    if form is not None:
        pattern = date_patterns.parse(form)
        if pattern.has_day or pattern.offset:
            return pl.Series(series.name, [None] * len(series), pl.Time)
        return _each_once(series, lambda texts: _back(texts, pattern, time=True), pl.Time())
    return _each_once(series, _iso_clocks, pl.Time())


def moments(series: pl.Series, zone: str, form: str | None = None) -> pl.Series:
    """Timestamps in UTC; null where a value is not one, or is finer than a microsecond.

    A time without an offset is in the zone; the hour that comes twice is taken as its first, and
    one that does not exist is null. A day is its first moment.
    """
    dtype = series.dtype
    if isinstance(dtype, pl.Datetime | pl.Date):
        return _of_dtype(series, zone)
    if form in date_patterns.EPOCHS:
        return _since_1970(series, date_patterns.EPOCHS[form])
    if dtype != pl.String:
        return pl.Series(series.name, [None] * len(series), MOMENT)
    return _each_once(series, lambda texts: _of_written(_written(texts, form), zone), MOMENT)


def why_no_moment(value: object, zone: str, form: str | None) -> str:
    """What a message adds on a value that `moments` refuses."""
    forward = f", which does not exist in {zone}: clocks went forward then"
    fine = (
        ", which is finer than a microsecond; cut it at the source, or write `logicalType: string`"
    )
    if isinstance(value, str):
        if form not in date_patterns.EPOCHS:
            written = _written(pl.Series([value]), form)
            if written.local[0] is not None and written.offset[0] is None:
                return forward
        return fine if pl.Series([value]).str.contains(TOO_FINE)[0] else ""
    if not isinstance(value, datetime):
        return ""
    is_lost = value.tzinfo is None and _of_dtype(pl.Series([value], dtype=LOCAL), zone).has_nulls()
    return forward if is_lost else fine


def _each_once(
    series: pl.Series, read: Callable[[pl.Series], pl.Series], dtype: pl.DataType
) -> pl.Series:
    """What a function says of each text; a column of hours has far fewer than rows."""
    texts = series.unique().drop_nulls()
    if len(texts) > len(series) // 2:
        return read(series).alias(series.name)
    return series.replace_strict(texts, read(texts), default=None, return_dtype=dtype)


def _written(texts: pl.Series, form: str | None) -> Written:
    if form is not None:
        return _by_pattern(texts, date_patterns.parse(form))
    parts = texts.str.extract_groups(ISO).struct.unnest()
    day, clock = parts["day"], parts["clock"]
    day = day.set(day.str.starts_with("0000") | texts.str.contains(TOO_FINE), None)
    minutes = clock.set((clock.str.len_bytes() == 5).fill_null(value=False), None)
    clock = minutes.fill_null(clock + ":00").fill_null("00:00:00").str.head(len("00:00:00.000000"))
    text = day + " " + clock
    local = text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
    return Written(local, _offset(parts["offset"]), parts["clock"].is_null())


def _by_pattern(texts: pl.Series, pattern: date_patterns.Pattern) -> Written:
    offset = pl.Series([None] * len(texts), dtype=pl.String)
    if pattern.offset:
        parts = texts.str.extract_groups(f"^(?P<rest>.*?)(?P<offset>{pattern.offset})$")
        texts, offset = parts.struct.field("rest"), parts.struct.field("offset")
    if not pattern.has_day:
        local = pl.Series([None] * len(texts), dtype=LOCAL)
    elif pattern.has_clock:
        local = _back(texts, pattern, time=False)
    else:
        local = _back(texts, pattern, time=False).cast(LOCAL)
    return Written(local, _offset(offset), pl.repeat(not pattern.has_clock, len(texts), eager=True))


def _back(texts: pl.Series, pattern: date_patterns.Pattern, *, time: bool) -> pl.Series:
    """Texts by a pattern; null where the value, written by the pattern, is another text."""
    if time:
        values = texts.str.to_time(pattern.directives, strict=False)
    elif pattern.has_clock:
        values = texts.str.to_datetime(pattern.directives, time_unit="us", strict=False)
    else:
        values = texts.str.to_date(pattern.directives, strict=False)
    again = values.dt.to_string(pattern.directives)
    if any(name in pattern.directives for name in date_patterns.NAMES):
        texts, again = texts.str.to_lowercase(), again.str.to_lowercase()
    return values.set((again != texts).fill_null(value=False), None)


def _offset(texts: pl.Series) -> pl.Series:
    """How far clocks were ahead of UTC."""
    names = "|".join(("Z", *date_patterns.UTC_NAMES))
    plain = texts.str.replace(names, "+0000").str.replace(":", "", literal=True)
    plain = plain.str.pad_end(5, "0")
    minutes = plain.str.slice(1, 2).cast(pl.Int64) * 60 + plain.str.slice(3, 2).cast(pl.Int64)
    sign = (plain.str.head(1) == "-").cast(pl.Int64) * -2 + 1
    return (minutes * sign * 60_000_000).cast(pl.Duration("us"))


def _of_written(written: Written, zone: str) -> pl.Series:
    known = (written.local - written.offset).dt.replace_time_zone("UTC")
    if not written.offset.has_nulls():
        return known
    local = written.local.set(written.offset.is_not_null(), None)
    return known.fill_null(to_utc(local, zone, written.is_day | _are_days(local)))


def _of_dtype(series: pl.Series, zone: str) -> pl.Series:
    """Moments of a column that has a type of its own."""
    series = within_years(series)
    if series.dtype == pl.Date:
        return to_utc(series.cast(LOCAL), zone, pl.repeat(value=True, n=len(series), eager=True))
    exact = series.cast(pl.Datetime("us", series.dtype.time_zone), strict=False)  # type: ignore[attr-defined]
    if series.dtype.time_unit == "ns":  # type: ignore[attr-defined]
        is_fine = series.to_physical() % 1000 != 0
        exact = exact.set(is_fine.fill_null(value=False), None)
    if exact.dtype.time_zone is not None:  # type: ignore[attr-defined]
        return exact.dt.convert_time_zone("UTC")
    return to_utc(exact, zone, _are_days(exact))


def _are_days(local: pl.Series) -> pl.Series:
    """True for a column of midnights: a database or a data frame has days so."""
    is_midnight = (local.dt.time() == time()).all()
    return pl.repeat(is_midnight, len(local), dtype=pl.Boolean, eager=True)


def to_utc(local: pl.Series, zone: str, is_day: pl.Series) -> pl.Series:
    """Wall clock times as moments; the hour that comes twice is taken as its first.

    A day without midnight, because clocks went forward then, begins at one.
    """
    result = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    if (lost := result.is_null() & is_day & local.is_not_null()).any():
        first_hour = (local + timedelta(hours=1)).dt.replace_time_zone(
            zone, ambiguous="earliest", non_existent="null"
        )
        result = result.zip_with(~lost, first_hour)
    return result.dt.convert_time_zone("UTC")


def _since_1970(series: pl.Series, size: int) -> pl.Series:
    """Whole numbers of seconds, or of what else, since 1970."""
    whole = integers(series)
    least = round(datetime(1, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000 // size
    greatest = round(datetime(9999, 12, 31, tzinfo=UTC).timestamp()) * 1_000_000 // size
    whole = whole.set(~whole.is_between(least, greatest), None)
    return (whole * size).cast(MOMENT)


def _iso_clocks(texts: pl.Series) -> pl.Series:
    good = texts.set(~texts.str.contains(CLOCK), None)
    minutes = good.set((good.str.len_bytes() == 5).fill_null(value=False), None)
    return minutes.fill_null(good + ":00").str.head(18).str.to_time("%H:%M:%S%.f", strict=False)
