"""Casts a column as its source has it to the contract's type: each value as it is, or null."""

import json
from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import polars as pl

from ml_experiment_runner.signals.casting import exact_numbers, times
from ml_experiment_runner.signals.contract.contract import Contract, Field

DTYPES: dict[str, pl.DataType] = {
    "string": pl.String(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "timestamp": pl.Datetime("us", "UTC"),
    "time": pl.Time(),
    # as JSON
    "object": pl.String(),
    "array": pl.String(),
}
PAIRS = (("true", "false"), ("t", "f"), ("1", "0"), ("1.0", "0.0"), ("yes", "no"), ("y", "n"))
"""How producers write true and false, in any case; one pair for a column."""


class Number(str):
    """A number as JSON writes it, which would lose digits as any number of Python's."""

    __slots__ = ()


def given(series: pl.Series, contract: Contract, field: Field) -> pl.Series:
    """The column with the contract's `nullValues` as null."""
    nulls = contract.null_values
    if series.dtype == pl.String:
        if nulls and contract.format != "csv":  # there its reader has done so
            series = series.set(series.is_in(list(nulls)) & series.is_not_null(), None)
        # a quoted nothing, which some producers write for null
        if field.type != "string" and contract.format == "csv" and (series == "").any():
            series = series.set((series == "").fill_null(value=False), None)
    elif nulls and series.dtype.is_float():
        numbers = [float(text) for text in nulls if exact_numbers.is_number(text)]
        series = series.set(series.is_in(numbers).fill_null(value=False), None)
        if any(text.lower() == "nan" for text in nulls):
            series = series.fill_nan(None)
    elif nulls and series.dtype.is_numeric():
        texts = exact_numbers.plain(series.cast(pl.String))
        series = series.set(texts.is_in(list(nulls)).fill_null(value=False), None)
    return series


def cast(series: pl.Series, field: Field, zone: str) -> pl.Series:
    """The column in the contract's type; null where a value is not valid.

    Args:
        series: As the source has it.
        field: The contract's field.
        zone: Where times without an offset are.
    """
    if isinstance(series.dtype, pl.Categorical | pl.Enum):
        series = series.cast(pl.String)
    if series.dtype == pl.Null:
        values = pl.Series([None] * len(series), dtype=DTYPES[field.type])
    elif field.type == "integer":
        values = exact_numbers.integers(series)
    elif field.type == "number":
        values = exact_numbers.numbers(series)
        values = values.set(values.is_nan().fill_null(value=False), None)
    elif field.type == "boolean":
        values = _booleans(series)
    elif field.type == "date":
        values = times.dates(series, field.format)
    elif field.type == "timestamp":
        values = times.moments(series, zone, field.format)
    elif field.type == "time":
        values = times.clocks(series, field.format)
    elif field.type == "string":
        values = _strings(series)
    else:
        values = _json(series, field.type)
    return values.alias(field.name)


def value_at(series: pl.Series, row: int) -> object:
    """A value as Python has it; as words where it has none."""
    value = series[row : row + 1]
    if isinstance(value.dtype, pl.Date | pl.Datetime) and times.within_years(value).has_nulls():
        return "a time beyond the years 1 to 9999"
    return value.to_list()[0]


def why_not(value: object, field: Field, zone: str) -> str:
    """What a message adds on a value that `cast` refuses."""
    if isinstance(value, bytes):
        return ", which is bytes that are not UTF-8" if field.type == "string" else ""
    if field.type == "integer":
        return exact_numbers.why_no_integer(value)
    if field.type == "number":
        return exact_numbers.why_no_number(value)
    if field.type == "timestamp":
        return times.why_no_moment(value, zone, field.format)
    if field.type == "boolean" and any(str(value).lower() in pair for pair in PAIRS):
        return ", and true and false are written in another way in other rows"
    return ""


def compact(value: Any) -> str:
    """A value as JSON without spaces: keys in their order, numbers with all their digits.

    Raises:
        ValueError: JSON has no such value, as NaN.
    """
    if isinstance(value, dict):
        pairs = (
            f"{json.dumps(str(key), ensure_ascii=False)}:{compact(item)}"
            for key, item in value.items()
        )
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(compact, value)) + "]"
    if isinstance(value, Number):
        if not value.lstrip("-")[0].isdigit():
            raise ValueError(f"{value} is not valid JSON")
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime | date | time):
        return f'"{value.isoformat()}"'
    if isinstance(value, pl.Series):
        return compact(value.to_list())
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except (TypeError, UnicodeEncodeError) as error:
        raise ValueError(str(error)) from None
    return text


def loads(text: str, *, strict: bool = False) -> Any:
    """The value of a JSON text, with numbers as they are written.

    Args:
        text: The text.
        strict: NaN and Infinity, which Python writes and JSON does not have, are refused.

    Raises:
        ValueError: It is not valid JSON, or has a duplicate key.
    """
    return (STRICT if strict else DECODER).decode(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"duplicate key '{twice}'")
    return values


def _no_json(word: str) -> Any:
    raise ValueError(f"{word} is not valid JSON")


DECODER = json.JSONDecoder(
    parse_float=Number, parse_int=Number, parse_constant=Number, object_pairs_hook=_object
)
STRICT = json.JSONDecoder(
    parse_float=Number, parse_int=Number, parse_constant=_no_json, object_pairs_hook=_object
)


def _booleans(series: pl.Series) -> pl.Series:
    if series.dtype == pl.Boolean:
        return series
    texts = series
    if series.dtype.is_numeric():
        texts = exact_numbers.plain(series.cast(pl.String))
    elif series.dtype != pl.String:
        return exact_numbers.nulls(series, pl.Boolean())
    texts = texts.str.to_lowercase()
    # the pair that the first value is of: another one would be another way to write it
    first = texts.drop_nulls().head(1)
    pair = next((pair for pair in PAIRS for text in first if text in pair), PAIRS[0])
    return texts.replace_strict(pair, (True, False), default=None, return_dtype=pl.Boolean)


def _strings(series: pl.Series) -> pl.Series:
    dtype = series.dtype
    if dtype == pl.String:
        return series
    if dtype.is_decimal() or dtype in (pl.UInt64, pl.Int128, pl.UInt128):
        return series.cast(pl.String)
    if dtype == pl.Binary:
        return _texts_of_bytes(series)
    return exact_numbers.nulls(series, pl.String())


def _texts_of_bytes(series: pl.Series) -> pl.Series:
    """Bytes as the UTF-8 text that they are, as old writers of Parquet have texts."""
    try:
        return series.cast(pl.String)
    except pl.exceptions.ComputeError:
        return pl.Series([_text(value) for value in series], dtype=pl.String)


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _json(series: pl.Series, kind: str) -> pl.Series:
    """Objects or lists, of a type of their own or as JSON texts, as compact JSON."""
    dtype, start = series.dtype, "{" if kind == "object" else "["
    if dtype == pl.String:
        texts = series.unique().drop_nulls()
        compacts = pl.Series(_of_texts(texts, start), dtype=pl.String)
        return series.replace_strict(texts, compacts, default=None, return_dtype=pl.String)
    if not dtype.is_nested() or _has(dtype, (pl.Duration, pl.Binary, pl.Object)):
        return exact_numbers.nulls(series, pl.String())
    is_fine = pl.Series([False] * len(series))
    if (coarse := _in_microseconds(dtype)) != dtype:
        shorter = series.cast(coarse, strict=False)
        is_fine = shorter.cast(dtype).ne_missing(series)
        series = shorter
    values = [
        None if value is None or fine else _compact(value, start)
        for value, fine in zip(series.to_list(), is_fine, strict=True)
    ]
    return pl.Series(values, dtype=pl.String)


def _of_texts(texts: Iterable[str], start: str) -> list[str | None]:
    values = []
    for text in texts:
        try:
            values.append(_compact(loads(text), start))
        except (ValueError, RecursionError):
            values.append(None)
    return values


def _compact(value: Any, start: str) -> str | None:
    try:
        text = compact(value)
    except ValueError:
        return None
    return text if text[0] == start else None


def _has(dtype: Any, kinds: tuple[Any, ...]) -> bool:
    inner = [inner_type.dtype for inner_type in getattr(dtype, "fields", [])]
    inner += [dtype.inner] if hasattr(dtype, "inner") else []
    return dtype in kinds or any(_has(inner_type, kinds) for inner_type in inner)


def _in_microseconds(dtype: Any) -> Any:
    """A type whose times Python has too."""
    if isinstance(dtype, pl.Datetime):
        return pl.Datetime("us", dtype.time_zone)
    if isinstance(dtype, pl.Struct):
        return pl.Struct({field.name: _in_microseconds(field.dtype) for field in dtype.fields})
    if isinstance(dtype, pl.Array):
        return pl.Array(_in_microseconds(dtype.inner), dtype.shape[0])
    return pl.List(_in_microseconds(dtype.inner)) if isinstance(dtype, pl.List) else dtype
