"""What rows say of themselves: the types of their fields, which tell them apart, and when."""

import itertools
import math
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import polars as pl

from runner.errors import UserError
from runner.signals import checks, date_patterns
from runner.signals.odcs import NO_NAME, NUMERIC
from runner.signals.rules import CLOCKS

NULLS = (
    *("NA", "N/A", "n/a", "#N/A", "NULL", "Null", "null", "NaN", "nan", "NaT", "None", "none"),
    *("nil", "-", "--", "?", "."),
)
"""Texts that stand for nothing, where the rest of a column is no text."""
PERSONAL = re.compile(
    r"e_?mail|phone|mobile|(^|_)(tel|fax|ssn|iban|passport|surname|birth_?(day|date)|dob)(_|$)"
    r"|(first|last|full|family)_?name|street|address",
    re.IGNORECASE,
)
MAIL_OR_PHONE = (
    r"^([^@\s]+@[^@\s]+\.[^@\s]+|(\+|00)[\d\s()./-]{7,20}|\(?0\d+[\s()./-][\d\s()./-]{4,})$"
)
FIELDS_OF_KEY = 4
"""Larger sets are not tried: nearly any tells the rows apart."""
SAMPLE = 10_000
"""So many rows are tried before all are."""


@dataclass(frozen=True)
class Column:
    """What the data say of a field.

    Attributes:
        values: In the contract's type.
        personal: They may be about a person, by the name or by what they look like.
        physical_name: What the source calls it.
        format: How it writes dates and times, if not as ISO 8601 has it.
        formats: Ways to read its dates, where nothing tells which is right.
    """

    name: str
    type: str
    values: pl.Series
    personal: bool
    physical_name: str
    format: str | None = None
    formats: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """What the data say.

    Attributes:
        nulls: Texts that stand for nothing.
        times: Fields that may be the event time.
        keys: Sets of fields that tell the rows apart, the likeliest first.
        daily: The event time is a day.
    """

    columns: list[Column]
    nulls: list[str]
    times: list[str]
    keys: list[tuple[str, ...]]
    rows: int
    daily: bool

    def parts(self) -> list[pl.DataFrame]:
        """The rows by month of the event time."""
        frame = pl.DataFrame([each.values for each in self.columns])
        if not self.times:
            return [frame]
        month = pl.col(self.times[0]).dt.truncate("1mo").alias("")
        return frame.with_columns(month).partition_by("", include_key=False)


def inspect(
    frame: pl.DataFrame, written: Collection[str], nulls: Sequence[str], said: str, now: datetime
) -> Table:
    """Looks at rows.

    Args:
        frame: The rows under the names of their source.
        written: Columns whose source writes every type as a text, as a CSV does.
        nulls: Texts in them that stand for nothing, and are null here.
        said: What messages call it.
        now: No event is later.

    Raises:
        UserError: They have no key, or fields that no signal can have.
    """
    if frame.is_empty():
        raise UserError(f"{said}: it has no rows to draft a contract from")
    names = names_of(frame.columns)
    columns = [
        _column(series, name, said, is_written=series.name in written)
        for name, series in zip(names, frame, strict=True)
    ]
    times = _times(columns, "timestamp", now + CLOCKS)
    days = [] if times else _times(columns, "date", now.date())[:1]
    columns = [_of_moments(each) if each.name in days else each for each in columns]
    times = times or days
    keys = _keys(columns, times[0] if times else None)
    if not keys:
        whole = any(not each.values.has_nulls() for each in columns)
        why = "some are the same in all" if whole else "each field lacks a value in some"
        raise UserError(
            f"{said}: no fields tell its rows apart, for {why}.\n"
            "Mend that at the source, or number the rows."
        )
    return Table(columns, list(nulls), times, keys, frame.height, bool(days))


def _times(columns: Sequence[Column], kind: str, latest: date) -> list[str]:
    """Fields of a type that may say when a row happened."""
    return [
        each.name
        for each in columns
        if each.type == kind
        and not (each.personal or each.values.has_nulls())
        and each.values.max() <= latest  # type: ignore[operator]
    ]


def _of_moments(column: Column) -> Column:
    """A field of days as their first moments: an event's time is a timestamp."""
    values = column.values.cast(checks.DTYPES["timestamp"])
    return replace(column, type="timestamp", values=values)


def names_of(columns: Sequence[str]) -> list[str]:
    """Names for fields: those of the source, cleaned where they cannot name one."""
    names: list[str] = []
    for position, column in enumerate(columns):
        name = column.strip()
        if not name or NO_NAME.fullmatch(name):
            name = re.sub(r"\W+", "_", name).strip("_") or f"column_{position + 1}"
        taken = {*names, *columns[position + 1 :]}
        while name in taken:
            name = f"{name}_{position + 1}"
        names.append(name)
    return names


def type_of_texts(texts: pl.Series) -> str:
    """The narrowest type that all texts of a CSV's column are."""
    given = texts.drop_nulls().unique()
    if given.is_empty():
        return "string"
    # as numbers, 007 and what is longer than 64 bits would be others
    if not given.str.contains(r"^[+-]?0\d|^[+-]?\d{20}|^\s|\s$").any():
        if given.is_in(["true", "false", "True", "False", "TRUE", "FALSE"]).all():
            return "boolean"
        for kind in NUMERIC:
            if not given.cast(checks.DTYPES[kind], strict=False).has_nulls():
                return kind
    return _type_of_times(given)


def _date_format(texts: pl.Series) -> date_patterns.Found | None:
    """How dates are written that are no integers of an identifier, and not in ISO 8601."""
    if _type_of_times(texts) != "string":
        return None
    return date_patterns.find(texts)


def _type_of_times(texts: pl.Series) -> str:
    given = texts.drop_nulls().unique()
    for kind in ("date", "timestamp"):
        if not given.is_empty() and not checks.times(given, kind, "UTC").has_nulls():
            return kind
    return "string"


def _column(series: pl.Series, name: str, said: str, *, is_written: bool) -> Column:
    source, is_text = series.name, series.dtype == pl.String
    series = series.alias(name)  # polars takes some names of sources for patterns
    kind = type_of_texts(series) if is_written else _type(series, said)
    found = _date_format(series) if is_text and kind in ("string", "integer") else None
    pattern = found.patterns[0] if found and len(found.patterns) == 1 else None
    values = series
    if found and pattern:
        kind = found.type
        values = date_patterns.parsed(series, pattern, kind)
    elif is_text and kind in ("date", "timestamp"):
        values = checks.times(series, kind, "UTC")
    elif is_text and kind == "boolean":
        values = series.str.to_lowercase() == "true"
    if isinstance(values.dtype, pl.Datetime) and values.dtype.time_zone is None:
        values = values.dt.replace_time_zone("UTC")
    nulls = values.null_count()
    values = values.cast(checks.DTYPES[kind], strict=False).alias(name)
    if values.null_count() > nulls:
        raise UserError(
            f"{said}: the field '{source}' has whole numbers of more than 64 bits: write them as "
            "texts at the source"
        )
    if kind == "number":
        values = values.fill_nan(None)
    personal = PERSONAL.search(name) is not None
    if kind == "string" and (given := values.drop_nulls().head(SAMPLE)).len():
        personal = personal or given.str.contains(MAIL_OR_PHONE).sum() > given.len() / 2
    either = found.patterns if found and not pattern else ()
    return Column(name, kind, values, personal, source, pattern, either)


def _type(series: pl.Series, said: str) -> str:
    """The contract's type of a column that has one of its own."""
    dtype = series.dtype
    if dtype == pl.String:
        return _type_of_times(series)
    for kind, fits in (
        ("boolean", dtype == pl.Boolean),
        ("integer", dtype.is_integer()),
        ("number", dtype.is_numeric()),
        ("date", dtype == pl.Date),
        ("timestamp", isinstance(dtype, pl.Datetime)),
        ("string", isinstance(dtype, pl.Categorical | pl.Enum | pl.Null)),
    ):
        if fits:
            return kind
    raise UserError(
        f"{said}: the field '{series.name}' is a {dtype}; a signal holds texts, numbers, booleans, "
        "dates and timestamps: unfold it at the source"
    )


def _keys(columns: Sequence[Column], time: str | None) -> list[tuple[str, ...]]:
    """Smallest sets of fields that tell all rows apart, the likeliest first."""
    whole = [each for each in columns if not each.values.has_nulls()]
    frame = pl.DataFrame([each.values for each in whole])
    if not whole or frame.n_unique() < frame.height:
        return []
    different = {each.name: each.values.n_unique() for each in whole}

    def rank(key: tuple[str, ...]) -> tuple[bool, int]:
        """A row happens at a time, and little more is needed to tell it apart."""
        return len(key) > 1 and time not in key, math.prod(different[name] for name in key)

    plain = [each.name for each in whole if each.type not in ("number", "boolean")]
    for names in (plain, list(different)):
        for size in range(1, FIELDS_OF_KEY + 1):
            sets = itertools.combinations(names, size)
            if keys := [key for key in sets if _is_key(frame, key, different)]:
                return sorted(keys, key=rank)
    return [tuple(different)]


def _is_key(frame: pl.DataFrame, names: Sequence[str], different: dict[str, int]) -> bool:
    if math.prod(different[name] for name in names) < frame.height:
        return False
    few = frame.select(names).head(SAMPLE)
    return few.n_unique() == few.height and (
        few.height == frame.height or frame.select(names).n_unique() == frame.height
    )
