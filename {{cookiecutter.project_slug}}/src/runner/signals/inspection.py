"""What data say of themselves: the types of their fields, which tell the rows apart, and when."""

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import polars as pl

from runner.errors import UserError
from runner.signals import casts, exact_numbers, times
from runner.signals.conditions import CLOCKS
from runner.signals.contract import NESTED, Field
from runner.signals.odcs import NO_NAME
from runner.signals.readers import columns as columns_of
from runner.signals.readers import files

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
IDENTIFIER = re.compile(
    r"(?i:(^|[\W_])(id|ids|uuid|guid|key|pk|fk|no|nr|num|number|ref|reference|account|zip|zip_?code"
    r"|post_?code|phone|sku|ean|isbn|hash))$|[a-z](Id|ID|Key|No|Nr|Ref)$"
)
"""What names of fields end with that tell things apart."""
FIELDS_OF_KEY, FIELDS_TRIED = 4, 20
"""All sets of so many fields are tried, of so many; a larger key is put together field by field."""
MANY, SPARSE = 20, 1000
"""From so many rows on, whole numbers up to so many times their number are taken for ids."""
SAMPLE = 10_000
"""So many rows are tried before all are."""


@dataclass(frozen=True)
class Column:
    """What the data say of a field.

    Attributes:
        values: In the contract's type.
        personal: They may be about a person, by the name or by what they look like.
    """

    name: str
    type: str
    values: pl.Series
    personal: bool

    @property
    def names_things(self) -> bool:
        """Whether its values tell things apart, so that new things bring new values."""
        if IDENTIFIER.search(self.name):
            return True
        given = self.values.drop_nulls()
        if self.type != "integer" or len(given) < MANY:
            return False
        # far more numbers than rows, and nearly each but once
        return int(given.max()) > SPARSE * len(given) and given.n_unique() > 0.9 * len(given)


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


def inspect(data: bytes, form: str, said: str, now: datetime) -> Table:
    """Looks at a file's data.

    Args:
        data: The file's content.
        form: Its format.
        said: What messages call it.
        now: No event is later.

    Raises:
        UserError: They cannot be read, have no key, or fields that no signal can have.
    """
    frame, nulls, kinds = _read(data, form, said)
    if frame.is_empty():
        raise UserError(f"{said}: it has no rows to draft a contract from")
    columns = [_column(series, kinds.get(series.name), form, said) for series in frame]
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
    return Table(columns, nulls, times, keys, frame.height, bool(days))


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
    values = column.values.cast(casts.DTYPES["timestamp"])
    return replace(column, type="timestamp", values=values)


def _read(data: bytes, form: str, said: str) -> tuple[pl.DataFrame, list[str], dict[str, str]]:
    """The rows, of a CSV as texts; which texts stand for nothing; types that the file tells."""
    kinds: dict[str, str] = {}
    try:
        if form != "csv":
            if form == "parquet":
                frame = files.parquet(data)
            else:
                frame, kinds = _of_json_lines(data, said)
            _check_names(frame.columns, said)
            has_nan = any(series.dtype.is_float() and series.is_nan().any() for series in frame)
            return frame, ["NaN"] if has_nan else [], kinds
        names = files.header_of(data)
        _check_names(names, said)
        frame = pl.read_csv(files.whole_lines(data, len(names)), infer_schema=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{said}: is no {form} ({str(error).splitlines()[0]})") from None
    except ValueError as error:  # of a CSV: what it is
        raise UserError(f"{said}: {error}") from None
    frame.columns = names  # polars would leave quotes in them doubled
    found = set()
    for series in frame:
        nulls = set(series.filter(series.is_in(NULLS)).unique())
        if nulls and _type_of_texts(_without(series, nulls)) != "string":
            found |= nulls
    return frame.with_columns(_without(series, found) for series in frame), sorted(found), kinds


def _of_json_lines(data: bytes, said: str) -> tuple[pl.DataFrame, dict[str, str]]:
    """The rows of JSON lines, and which fields are objects or lists."""
    frame, kinds = {}, {}
    for name, values in columns_of.loads(data).items():
        types = set(map(type, values)) - {type(None)}
        series = columns_of.plain(name, values)
        if series is None:
            raise UserError(
                f"{said}: the field '{name}' mixes texts, numbers or objects; write one of them "
                "at the source"
            )
        if types == {casts.Number}:
            read = (exact_numbers.integers, exact_numbers.numbers)
            numbers = (each(series) for each in read)
            count = series.null_count()
            series = next((each for each in numbers if each.null_count() == count), series)
        if types and types <= {dict, list}:
            kinds[name] = "object" if types == {dict} else "array"
        frame[name] = series
    return pl.DataFrame(frame), kinds


def _check_names(names: Sequence[str], said: str) -> None:
    if len(names) == 1 and (signs := [sign for sign in ";\t|" if sign in names[0]]):
        raise UserError(f"{said}: its values are parted by {signs[0]!r}; write it with commas")
    for position, name in enumerate(names):
        if not name:
            raise UserError(
                f"{said}: column {position + 1} has no name; give it one at the source (the index "
                "of pandas: to_csv(index=False), or index_label=…)"
            )
        if name in names[:position]:
            raise UserError(f"{said}: the field '{name}' stands twice; rename one at the source")
        if NO_NAME.fullmatch(name) or name != name.strip():
            raise UserError(
                f"{said}: the field {name!r} needs another name at the source: one with no space "
                "around it, not * and not from ^ to $"
            )


def _without(series: pl.Series, nulls: set[str]) -> pl.Series:
    if not nulls:
        return series
    return series.set(series.is_in(list(nulls)) & series.is_not_null(), None)


def _type_of_texts(texts: pl.Series) -> str:
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


def _column(series: pl.Series, known: str | None, form: str, said: str) -> Column:
    name = series.name
    kind = known or (_type_of_texts(series) if form == "csv" else _type(series, said))
    given = series.fill_nan(None) if series.dtype.is_float() else series
    values = casts.cast(given, Field(name, kind), "UTC")
    if values.null_count() > given.null_count():
        row = (given.is_not_null() & values.is_null()).arg_max()
        assert row is not None
        value = casts.value_at(given, row)
        why = casts.why_not(value, Field(name, kind), "UTC")
        raise UserError(
            f"{said}: the field '{name}' has in row {row + 1} what no {kind} can be{why}"
        )
    personal = PERSONAL.search(name) is not None
    if kind == "string" and (there := values.drop_nulls().head(SAMPLE)).len():
        personal = personal or there.str.contains(MAIL_OR_PHONE).sum() > there.len() / 2
    return Column(name, kind, values, personal)


def _type(series: pl.Series, said: str) -> str:
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
        f"{said}: the field '{series.name}' is a {dtype}; a signal holds texts, numbers, booleans, "
        "dates, times, objects and arrays: write it as one of them at the source"
    )


def _type_of_exact(series: pl.Series) -> str:
    """The type that keeps every digit of integers and decimals."""
    scale = getattr(series.dtype, "scale", 0)
    for kind, read in (("integer", exact_numbers.integers), ("number", exact_numbers.numbers)):
        possible = scale == 0 if kind == "integer" else scale > 0
        if possible and read(series).null_count() == series.null_count():
            return kind
    return "string"


def _keys(columns: Sequence[Column], time: str | None) -> list[tuple[str, ...]]:
    """Smallest sets of fields that tell all rows apart, the likeliest first."""
    whole = [each for each in columns if not each.values.has_nulls()]
    frame = pl.DataFrame([each.values for each in whole])
    if not whole or frame.n_unique() < frame.height:
        return []
    different = {each.name: each.values.n_unique() for each in whole}

    def rank(key: tuple[str, ...]) -> tuple[bool, bool, int]:
        """A row happens at a time, and little more is needed to tell it apart."""
        if len(key) == 1:
            return key[0] == time, IDENTIFIER.search(key[0]) is None, 0
        return time not in key, False, math.prod(different[name] for name in key)

    plain = [each.name for each in whole if each.type not in ("number", "boolean", *NESTED)]
    for names in (plain, list(different)):
        few = sorted(names, key=lambda name: name != time)[:FIELDS_TRIED]
        for size in range(1, FIELDS_OF_KEY + 1):
            sets = itertools.combinations(sorted(few if size > 1 else names, key=names.index), size)
            if keys := [key for key in sets if _is_key(frame, key, different)]:
                return sorted(keys, key=rank)
        if names and frame.select(names).n_unique() == frame.height:
            return [_put_together(frame, names, time)]
    return []


def _put_together(frame: pl.DataFrame, names: Sequence[str], time: str | None) -> tuple[str, ...]:
    """A key of many fields: the time, and whatever parts most rows, until all are told apart."""
    key = [time] if time in names else []
    while not key or frame.select(key).n_unique() < frame.height:
        rest = [name for name in names if name not in key]
        key.append(max(rest, key=lambda name: frame.select(*key, name).n_unique()))
    for name in sorted(key, key=names.index, reverse=True):
        less = [each for each in key if each != name]
        if less and frame.select(less).n_unique() == frame.height:
            key = less
    return tuple(sorted(key, key=names.index))


def _is_key(frame: pl.DataFrame, names: Sequence[str], different: dict[str, int]) -> bool:
    if math.prod(different[name] for name in names) < frame.height:
        return False
    few = frame.select(names).head(SAMPLE)
    return few.n_unique() == few.height and (
        few.height == frame.height or frame.select(names).n_unique() == frame.height
    )
