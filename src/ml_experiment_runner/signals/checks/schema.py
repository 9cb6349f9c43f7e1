"""Schema checks of fetched rows: fields, types, nulls and key."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import NoReturn

import polars as pl

from ml_experiment_runner.holds.holds import Violation
from ml_experiment_runner.project.suggestions import nearest
from ml_experiment_runner.signals.casting import casts
from ml_experiment_runner.signals.contract.contract import Contract, Field

DTYPES = casts.DTYPES
LONGEST = 80  # signs of a value in a message


def check_names(names: Sequence[str], contract: Contract, path: str) -> None:
    """Raises a SchemaViolation for the first missing, duplicate or unknown field of the source."""
    for field in contract.source_fields:
        name = field.source_name
        if name not in names:
            message = f"the field '{name}' is missing in {path}. {nearest(name, names)}"
            raise contract.schema_violation(_schema(field.name, message))
    known = set(contract.source_names)
    for position, name in enumerate(names):
        if name not in known or name in names[:position]:
            what = "is a duplicate" if name in known else "is not in the contract"
            raise contract.schema_violation(
                _schema(name, f"the field '{name}' of {path} {what}"),
                f"Add it to signals/{contract.path.name} with a new version, or ask "
                f"{contract.owner_and_contact}",
            )


def conform(frame: pl.DataFrame, contract: Contract, path: str) -> pl.DataFrame:
    """A frame as its source names the fields, with the contract's names, in order and types.

    A generated key is not among them yet.

    Raises:
        SchemaViolation: A value is not of its type; names the field, the row and the value.
    """
    columns = []
    for field in contract.source_fields:
        given = casts.given(frame[field.source_name], contract, field)
        zone = field.time_zone or contract.time_zone
        values = casts.cast(given, field, zone)
        if values.null_count() > given.null_count():
            bad = given.is_not_null() & values.is_null()
            row = bad.arg_max()
            assert row is not None
            value = casts.value_at(given, row)
            why = casts.why_not(value, field, zone)
            refuse(field, value, row + 1, contract, path, why, int(bad.sum()) - 1)
        columns.append(values)
    return pl.DataFrame(columns)


def check_no_texts(frame: pl.DataFrame, contract: Contract, path: str) -> None:
    """Raises a SchemaViolation for texts where a typed source should have numbers."""
    for series in frame:
        field = contract.source_field(series.name)
        is_text = isinstance(series.dtype, pl.String | pl.Categorical | pl.Enum)
        if is_text and field.type in ("integer", "number", "boolean"):
            there = series.is_not_null()
            if (row := there.arg_max()) is not None and there[row]:
                why = ", which is a text"
                refuse(field, series[row], row + 1, contract, path, why, int(there.sum()) - 1)


def check_none(
    bad: pl.Series, values: pl.Series, contract: Contract, field: Field, path: str
) -> None:
    """Raises a SchemaViolation for the first value that is not of the field's type."""
    if (row := bad.arg_max()) is not None and bad[row]:
        refuse(field, values[row], row + 1, contract, path, "", int(bad.sum()) - 1)


def refuse(
    field: Field,
    value: object,
    row: int,
    contract: Contract,
    path: str,
    why: str,
    more: int = 0,
) -> NoReturn:
    """Raises a SchemaViolation for a value that is not of the contract's type.

    Args:
        field: Whose value it is.
        value: As the source has it.
        row: Where, counted from 1.
        contract: The signal's contract.
        path: What messages call the source.
        why: What the message says after the value.
        more: How many other rows have such a value.
    """
    message = (
        f"{field.name} must be {'an' if field.type[0] in 'aio' else 'a'} {field.type}, but row "
        f"{row} of {path} has {shown(value, field, _literal)}{why}"
        f"{f' (and {more:,} more)' if more else ''}"
    )
    raise contract.schema_violation(_schema(field.name, message))


def check_rows(frame: pl.DataFrame, contract: Contract, path: str) -> None:
    """Raises a SchemaViolation for rows without a required value, and for two with the same key."""
    if violations := row_violations(frame, contract, path):
        raise contract.schema_violation(violations[0])


def row_violations(frame: pl.DataFrame, contract: Contract, path: str) -> list[Violation]:
    """Required fields without a value (kind `nulls`) and rows that share their key (`key`)."""
    violations = []
    for field in contract.fields:
        if field.required and (count := frame[field.name].null_count()):
            row = frame[field.name].is_null().arg_max()
            assert row is not None
            message = (
                f"the required field '{field.name}' has no value in {count:,} rows of {path}, "
                f"first in row {row + 1}"
            )
            violations.append(Violation("nulls", field.name, message, "all"))
    if frame.select(contract.key).n_unique() < frame.height:
        twice = frame.select(contract.key).is_duplicated().arg_true()
        values = frame.row(twice[0], named=True)
        key = ", ".join(
            f"{name}={shown(values[name], contract.field(name), str)}" for name in contract.key
        )
        message = (
            f"{len(twice):,} rows of {path} share their key with another, first row "
            f"{twice[0] + 1} ({key}){_hour_that_comes_twice(frame[twice], contract)}"
        )
        violations.append(Violation("key", None, message, "all"))
    return violations


def _hour_that_comes_twice(rows: pl.DataFrame, contract: Contract) -> str:
    """What a message adds where all rows are of an hour that clocks show twice."""
    zone, event = contract.time_zone, contract.event_time
    if event is None or event not in contract.key:
        return ""
    local = rows[event].dt.convert_time_zone(zone).dt.replace_time_zone(None)
    first, last = (
        local.dt.replace_time_zone(zone, ambiguous=choice, non_existent="null")
        for choice in ("earliest", "latest")
    )
    if not (first != last).all():
        return ""
    return (
        f"; clocks in {zone} went back then, and this hour came twice: write {event} with its "
        "offset from UTC at the source"
    )


def _schema(name: str, message: str) -> Violation:
    return Violation("schema", name, message, "all")


def _literal(value: object) -> str:
    """A value as it is written in code, if need be cut."""
    if isinstance(value, Decimal):
        return str(value)
    text = str(value) if isinstance(value, datetime | date | time) else repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def shown(value: object, field: Field, write: Callable[[object], str]) -> str:
    """A value as messages show it."""
    return "a classified value" if field.classification else write(value)
