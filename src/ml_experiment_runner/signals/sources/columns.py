"""Columns of values that have types of their own in each row, as in JSON and SQLite.

A number stays as it is written, and what a column mixes is refused where two different values
would become the same: the number 1 and the text "1".
"""

import codecs
import contextlib
from collections.abc import Sequence
from typing import Any

import polars as pl

from ml_experiment_runner.signals.casting import casts
from ml_experiment_runner.signals.casting.casts import Number
from ml_experiment_runner.signals.checks import schema
from ml_experiment_runner.signals.contract.contract import Contract, Field


def loads(data: bytes) -> dict[str, list[Any]]:
    """The columns of JSON lines, with numbers as they are written; null where a row lacks one.

    Raises:
        ValueError: There is none, or a line is not an object; says so.
    """
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    columns: dict[str, list[Any]] = {}
    rows = 0
    # not splitlines: a text may hold a line separator of Unicode's
    for line in text.split("\n"):
        if not line or line.isspace():
            continue
        record = _record(line, rows + 1)
        # by column at once: a million objects at a time would not find room
        if record.keys() != columns.keys():
            for name in [added for added in record if added not in columns]:
                columns[name] = [None] * rows
            record = {name: record.get(name) for name in columns}
        for name, value in record.items():
            columns[name].append(value)
        rows += 1
    if not rows:
        raise ValueError("is empty")
    return columns


def _record(line: str, row: int) -> dict[str, Any]:
    try:
        record = casts.loads(line)
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", str(error))
        raise ValueError(f"is cut off or invalid JSON lines (row {row}: {reason})") from None
    if not isinstance(record, dict):
        raise ValueError(f"must have a JSON object in each line, got another value in row {row}")
    return record


def of_values(name: str, values: Sequence[Any], path: str, contract: Contract) -> pl.Series:
    """A column; its name is the source's.

    Raises:
        SchemaViolation: A value is none of its field's type, or has another type than those before.
    """
    field = contract.source_field(name)
    series = plain(name, values)
    if series is not None and not (_is_nested(values) and field.type not in ("object", "array")):
        return series
    kinds = [_kind(value) for value in values]
    first = next(kind for kind in kinds if kind)
    texts: list[str | None] = []
    for row, (value, kind) in enumerate(zip(values, kinds, strict=True), 1):
        mixed = field.type in ("string", "object", "array") and kind not in ("", first)
        try:
            text = _text(value, nested=field.type in ("object", "array"))
        except ValueError:
            text = None
        if mixed or (text is None and value is not None):
            _refuse(field, value, first if mixed else "", row, contract, path)
        texts.append(text)
    return pl.Series(name, texts, pl.String)


def plain(name: str, values: Sequence[Any]) -> pl.Series | None:
    """A column of one type; None if there are several, or a text is not Unicode."""
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pl.Series(name, [None] * len(values), pl.Null)
    if len(kinds) > 1:
        return None
    (kind,) = kinds
    try:
        if kind in (dict, list):
            return pl.Series(name, [_text(value, nested=True) for value in values], pl.String)
        dtypes = {Number: pl.String, str: pl.String, bool: pl.Boolean, int: pl.Int64,
                  float: pl.Float64, bytes: pl.Binary}  # fmt: skip
        return pl.Series(name, values, dtypes[kind])
    except ValueError:  # a lone surrogate, or a NaN within
        return None


def _is_nested(values: Sequence[Any]) -> bool:
    return any(isinstance(value, dict | list) for value in values)


def _kind(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Number | int | float) and not isinstance(value, bool):
        return "numbers"
    names = {bool: "booleans", str: "texts", bytes: "bytes", dict: "objects", list: "lists"}
    return names[type(value)]


def _text(value: Any, *, nested: bool) -> str | None:
    """A value as text; None where it has none.

    Raises:
        ValueError: It is not valid Unicode or JSON.
    """
    if value is None or isinstance(value, bytes):
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return casts.compact(value) if nested else None
    text = str(value)
    text.encode()  # fails for a lone surrogate, which JSON allows
    return text


def _refuse(field: Field, value: Any, others: str, row: int, contract: Contract, path: str) -> None:
    shown = value
    if isinstance(value, dict | list):
        with contextlib.suppress(ValueError):  # what JSON does not have is shown as Python has it
            shown = casts.compact(value)
    schema.refuse(field, shown, row, contract, path, f" among {others}" if others else "")
