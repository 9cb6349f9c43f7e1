"""Schema inference: the types of fields, the key and the event time, from rows.

polars' own inference does not fit a contract: it reads `007` as 7, `+1` as a text, `1e400` as
infinity, `0.1234567890123456789` as the nearest float and `01/02/2024` as 1 February.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING

import polars as pl

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.casting import casts, exact_numbers, times
from ml_experiment_runner.signals.checks.conditions import CLOCKS
from ml_experiment_runner.signals.contract.contract import Field
from ml_experiment_runner.signals.drafts import date_detection
from ml_experiment_runner.signals.drafts.inferred_table import InferredColumn, InferredTable
from ml_experiment_runner.signals.drafts.key_inference import Keys
from ml_experiment_runner.signals.odcs.values import NO_NAME
from ml_experiment_runner.signals.semantic_types import CALENDAR, infer

if TYPE_CHECKING:
    from ml_experiment_runner.signals.drafts.raw_table import Raw

NULLS = (
    *("NA", "N/A", "n/a", "#N/A", "NULL", "Null", "null", "NaN", "nan", "NaT", "None", "none"),
    *("nil", "-", "--", "?", "."),
)
"""Texts that mean null in a column of another type."""
PERSONAL = re.compile(
    r"e_?mail|phone|mobile|(^|_)(tel|fax|ssn|iban|passport|surname|birth|dob|geb)(_|$)"
    r"|birth_?(day|date|year)|date_?of_?birth|geburts_?(tag|datum|jahr)|geb_?dat"
    r"|(first|last|full|family)_?name|street|address",
    re.IGNORECASE,
)
MAIL_OR_PHONE = (
    r"^([^@\s]+@[^@\s]+\.[^@\s]+|(\+|00)[\d\s()./-]{7,20}|\(?0\d+[\s()./-][\d\s()./-]{4,})$"
)
OF_CLOCK = re.compile(
    r"(?i)(^|[\W_])(year|month|day|hour|weekday|dow|hr|mnth)$|[a-z](Month|Day|Hour)$"
)
ZONES = (
    *("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles"),
    *("Europe/London", "Europe/Berlin", "Europe/Helsinki", "Asia/Kolkata", "Asia/Shanghai"),
    *("Asia/Tokyo", "Australia/Sydney", "America/Sao_Paulo"),
)
"""Time zones that are tried where fields are called as parts of a clock."""
SAMPLE = 10_000
"""So many texts show whether they are about persons."""


def infer_schema(raw: "Raw", argument: str, now: datetime) -> InferredTable:
    """Looks at rows.

    Args:
        raw: The rows as their source has them.
        argument: How messages name the data.
        now: No event is later.

    Raises:
        UserError: There are none, or they have fields that no signal can have.
    """
    frame = raw.frame
    if frame.is_empty():
        raise UserError(f"{argument}: no rows to draft a contract from")
    columns = [
        _column(series, name, raw, argument, now)
        for name, series in zip(names_of(frame.columns), frame, strict=True)
    ]
    times = _times(columns, "timestamp", now + CLOCKS)
    days = [] if times else _times(columns, "date", now.date())[:1]
    columns = [_of_moments(column) if column.name in days else column for column in columns]
    times = times or days
    keys = Keys(columns, times[0] if times else None)
    semantic_types, zone = _semantic_types(
        columns, keys.found[0] if keys.found else (), times[0] if times else None
    )
    return InferredTable(columns, list(raw.nulls), times, keys.found, frame.height, bool(days),
                         semantic_types, zone, keys.nearly())  # fmt: skip


def _semantic_types(
    columns: Sequence[InferredColumn], key: Collection[str], time: str | None
) -> tuple[dict[str, str], str]:
    """What the fields' values stand for, and the time zone whose clock some of them repeat.

    It is UTC, unless only another one explains a field that is called as a part of the clock.
    """
    fields = [Field(column.name, column.type, key=column.name in key) for column in columns]
    frame = pl.DataFrame([column.values for column in columns])
    types, zone = infer(fields, frame, time, "UTC"), "UTC"
    on_clock = [field.name for field in fields if OF_CLOCK.search(field.name)]
    if time is None or all(types.get(name) == CALENDAR for name in on_clock):
        return types, zone
    for other in ZONES:
        there = infer(fields, frame, time, other)
        if _calendar(there) > _calendar(types):
            types, zone = there, other
    return types, zone


def _calendar(types: Mapping[str, str]) -> int:
    return sum(meaning == CALENDAR for meaning in types.values())


def _times(columns: Sequence[InferredColumn], kind: str, latest: date) -> list[str]:
    """Fields of a type that may say when a row happened."""
    return [
        column.name
        for column in columns
        if column.type == kind
        and not (column.personal or column.values.has_nulls())
        and column.values.max() <= latest  # type: ignore[operator]
    ]


def _of_moments(column: InferredColumn) -> InferredColumn:
    """A field of days as their first moments: an event's time is a timestamp."""
    values = column.values.cast(casts.DTYPES["timestamp"])
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
    # as a number, 007 would be another
    if not given.str.contains(r"^[+-]?0\d|^\s|\s$").any():
        if given.is_in(["true", "false", "True", "False", "TRUE", "FALSE"]).all():
            return "boolean"
        if not given.cast(pl.Int64, strict=False).has_nulls():
            return "integer"
        # whole numbers beyond 64 bits: that floats hold these does not say that they hold the next
        is_long = given.str.contains(r"^[+-]?\d{17,}$").any()
        if not is_long and not exact_numbers.numbers(given).has_nulls():
            return "number"
    return _type_of_times(given)


def _date_format(texts: pl.Series) -> date_detection.Found | None:
    """The format of dates that are neither identifiers nor in ISO 8601."""
    if _type_of_times(texts) != "string":
        return None
    return date_detection.find(texts)


def _type_of_times(texts: pl.Series) -> str:
    given = texts.drop_nulls().unique()
    for kind in ("date", "timestamp"):
        if not given.is_empty() and not _times_of(given, kind).has_nulls():
            return kind
    return "string"


def _times_of(texts: pl.Series, kind: str) -> pl.Series:
    """Texts as days, of which none says a time of the day, or as moments."""
    if kind == "date":
        return times.dates(texts.set(texts.str.len_bytes() != len("2024-01-01"), None))
    return times.moments(texts, "UTC")


def _column(
    series: pl.Series, name: str, raw: "Raw", argument: str, now: datetime
) -> InferredColumn:
    source, is_text = series.name, series.dtype == pl.String
    series = series.alias(name)  # polars takes some names of sources for patterns
    kind = raw.kinds.get(source)
    dates = None
    if kind is None:
        kind = type_of_texts(series) if source in raw.written else _type(series, argument)
        dates = _date_format(series) if is_text and kind in ("string", "integer") else None
    if dates is None and kind == "integer":
        dates = date_detection.find_epoch(name, exact_numbers.integers(series), now)
    pattern = dates.patterns[0] if dates and len(dates.patterns) == 1 else None
    if dates and pattern:
        kind = dates.type
    field = Field(name, kind, format=pattern)
    given = series.fill_nan(None) if series.dtype.is_float() else series
    values = casts.cast(given, field, "UTC")
    if values.null_count() > given.null_count():
        row = (given.is_not_null() & values.is_null()).arg_max()
        assert row is not None
        why = casts.why_not(casts.value_at(given, row), field, "UTC")
        raise UserError(f"{argument}: invalid {kind} in row {row + 1} of the field '{source}'{why}")
    personal = PERSONAL.search(name) is not None
    if kind == "string" and not dates and (there := values.drop_nulls().head(SAMPLE)).len():
        personal = personal or there.str.contains(MAIL_OR_PHONE).sum() > there.len() / 2
    either = dates.patterns if dates and not pattern else ()
    return InferredColumn(name, kind, values, personal, source, pattern, either)


def _type(series: pl.Series, argument: str) -> str:
    """The contract's type of a column that has one of its own."""
    dtype = series.dtype
    if dtype == pl.String:
        return _type_of_times(series)
    if dtype.is_decimal() or dtype.is_integer():
        return _type_of_exact(series)
    for kind, fits in (
        ("boolean", dtype == pl.Boolean),
        ("number", dtype.is_float()),
        ("date", dtype == pl.Date),
        ("timestamp", isinstance(dtype, pl.Datetime)),
        ("time", dtype == pl.Time),
        ("string", isinstance(dtype, pl.Categorical | pl.Enum | pl.Null | pl.Binary)),
        ("array", isinstance(dtype, pl.List | pl.Array)),
        ("object", dtype.is_nested()),
    ):
        if fits:
            return kind
    raise UserError(
        f"{argument}: unsupported type {dtype} of the field '{series.name}'; write it as texts, "
        "numbers, booleans, dates, times, objects or arrays at the source"
    )


def _type_of_exact(series: pl.Series) -> str:
    """The type that keeps every digit of integers and decimals."""
    scale = getattr(series.dtype, "scale", 0)
    for kind, read in (("integer", exact_numbers.integers), ("number", exact_numbers.numbers)):
        possible = scale == 0 if kind == "integer" else scale > 0
        if possible and read(series).null_count() == series.null_count():
            return kind
    return "string"
