"""Compares received rows with what the contract promises: fields, types, nulls and key."""

from collections.abc import Callable, Mapping, Sequence
from datetime import time, timedelta

import polars as pl

from runner.config import nearest
from runner.holds import Breach
from runner.signals import date_patterns
from runner.signals.contract import Contract, Field

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
TIME = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?"
_BOOLEANS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
OFFSET = r"(Z|[+-]\d\d:?\d\d)$"


def check_names(names: Sequence[str], contract: Contract, path: str) -> None:
    """Raises an Unfit for the first field that the source lacks, has twice or has beyond."""
    for field in contract.fields:
        name = field.source_name
        if name not in names:
            message = f"the field '{name}' is missing in {path}. {nearest(name, names)}"
            raise contract.unfit(_schema(field.name, message))
    known = set(contract.source_names)
    for position, name in enumerate(names):
        if name not in known or name in names[:position]:
            what = "stands twice" if name in known else "is not in the contract"
            raise contract.unfit(
                _schema(name, f"the field '{name}' of {path} {what}"),
                f"Add it to signals/{contract.path.name} with a new version, or ask "
                f"{contract.owner} ({contract.contact})",
            )


def check_texts(
    texts: pl.DataFrame, types: Mapping[str, pl.DataType], contract: Contract, path: str
) -> None:
    """Raises an Unfit for the first text that is no value of its type."""
    for name, dtype in types.items():
        if dtype == pl.Boolean:
            cast = texts[name].is_in(["true", "false", "True", "False", "TRUE", "FALSE"])
            bad = texts[name].is_not_null() & ~cast
        else:
            bad = texts[name].is_not_null() & texts[name].cast(dtype, strict=False).is_null()
        check_none(bad, texts[name], contract, contract.source_field(name), path)


def conform(frame: pl.DataFrame, contract: Contract, path: str) -> pl.DataFrame:
    """A frame as its source names the fields, with the contract's names, in order and types.

    Raises:
        Unfit: A value is not of its type; names the field, the row and the value.
    """
    columns = []
    for field in contract.fields:
        series = frame[field.source_name].alias(field.name)
        if contract.format == "csv" and series.dtype == pl.String:
            series = of_texts(series, contract, field, path)
        if field.type in ("date", "timestamp") and series.dtype == pl.String:
            columns.append(_time(series, contract, field, path))
            continue
        if not _fits(series.dtype, field.type):
            check_none(series.is_not_null(), series, contract, field, path)
            series = pl.Series(field.name, [None] * len(series))
        moments = series
        if field.type == "timestamp" and getattr(series.dtype, "time_zone", None) is None:
            moments = _to_utc(series, contract.time_zone)
        cast = moments.cast(DTYPES[field.type], strict=False)
        check_none(series.is_not_null() & cast.is_null(), series, contract, field, path)
        # polars takes NaN for a value, greater than any other
        columns.append(cast.fill_nan(None) if field.type == "number" else cast)
    return pl.DataFrame(columns)


def of_texts(texts: pl.Series, contract: Contract, field: Field, path: str) -> pl.Series:
    """The values of texts, as a CSV has them; times stay texts."""
    if field.type not in ("integer", "number", "boolean"):
        return texts
    if field.type == "boolean":
        values = texts.replace_strict(_BOOLEANS, default=None, return_dtype=pl.Boolean())
    else:
        values = texts.cast(DTYPES[field.type], strict=False)
    check_none(texts.is_not_null() & values.is_null(), texts, contract, field, path)
    return values


def check_rows(frame: pl.DataFrame, contract: Contract, path: str) -> None:
    """Raises an Unfit for rows without a required value, and for two with the same key."""
    if breaches := row_breaches(frame, contract, path):
        raise contract.unfit(breaches[0])


def row_breaches(frame: pl.DataFrame, contract: Contract, path: str) -> list[Breach]:
    """Required fields without a value (kind `nulls`) and rows that share their key (`key`)."""
    breaches = []
    for field in contract.fields:
        if field.required and (count := frame[field.name].null_count()):
            row = frame[field.name].is_null().arg_max()
            assert row is not None
            message = (
                f"the required field '{field.name}' has no value in {count:,} rows of {path}, "
                f"first in row {row + 1}"
            )
            breaches.append(Breach("nulls", field.name, message, "all"))
    if frame.select(contract.key).n_unique() < frame.height:
        twice = frame.select(contract.key).is_duplicated().arg_true()
        values = frame.row(twice[0], named=True)
        key = ", ".join(
            f"{name}={shown(values[name], contract.field(name), str)}" for name in contract.key
        )
        message = (
            f"{len(twice):,} rows of {path} share their key with another, first row "
            f"{twice[0] + 1} ({key})"
        )
        breaches.append(Breach("key", None, message, "all"))
    return breaches


def _schema(name: str, message: str) -> Breach:
    return Breach("schema", name, message, "all")


def _fits(dtype: pl.DataType, wanted: str) -> bool:
    """Whether every value of a data type can be one of the contract's."""
    if dtype == pl.Null:
        return True
    return {
        "string": isinstance(dtype, pl.String | pl.Categorical | pl.Enum),
        "integer": dtype.is_integer(),
        "number": dtype.is_numeric(),
        "boolean": dtype == pl.Boolean,
        "date": dtype == pl.Date,
        "timestamp": isinstance(dtype, pl.Datetime | pl.Date),
        "time": dtype == pl.Time,
        "object": dtype == pl.String,
        "array": dtype == pl.String,
    }[wanted]


def times(series: pl.Series, kind: str, zone: str) -> pl.Series:
    """Texts in ISO 8601 as dates, or as moments in UTC; null where one is neither."""
    if kind == "date":
        return date_patterns.parsed(series, "yyyy-MM-dd", "date")
    # each text once: a column of hours has far fewer than rows
    texts = series.unique(maintain_order=True).drop_nulls()
    good = texts.filter(texts.str.contains(TIME + OFFSET.replace("$", "?$")))
    zoned = good.filter(good.str.contains(OFFSET))
    local = good.filter(~good.str.contains(OFFSET))
    moments = pl.concat(
        [
            zoned.str.to_datetime(time_unit="us", time_zone="UTC", strict=False),
            # read as if in UTC, for a time without an offset is no moment yet
            _to_utc(
                local.str.to_datetime(
                    time_unit="us", time_zone="UTC", strict=False
                ).dt.replace_time_zone(None),
                zone,
            ),
        ]
    )
    return series.replace_strict(
        pl.concat([zoned, local]), moments, default=None, return_dtype=DTYPES["timestamp"]
    )


def _time(series: pl.Series, contract: Contract, field: Field, path: str) -> pl.Series:
    if field.format:
        parsed = date_patterns.parsed(series, field.format, field.type)
        if field.type == "timestamp":
            parsed = _to_utc(parsed, contract.time_zone)
    else:
        parsed = times(series, field.type, contract.time_zone)
    check_none(series.is_not_null() & parsed.is_null(), series, contract, field, path)
    return parsed.alias(field.name)


def _to_utc(local: pl.Series, zone: str) -> pl.Series:
    """Wall clock times as moments; the hour that comes twice is taken as its first.

    A day without midnight, because clocks went forward then, begins at one.
    """
    local = local.cast(pl.Datetime("us"))
    moments = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    if (lost := moments.is_null() & (local.dt.time() == time())).any():
        one = (local + timedelta(hours=1)).dt.replace_time_zone(
            zone, ambiguous="earliest", non_existent="null"
        )
        moments = moments.zip_with(~lost, one)
    return moments.dt.convert_time_zone("UTC")


def check_none(
    bad: pl.Series, values: pl.Series, contract: Contract, field: Field, path: str
) -> None:
    """Raises an Unfit for the first value that is none of the field's type."""
    if not bad.any():
        return
    row = bad.arg_max()
    assert row is not None
    message = (
        f"{field.name} must be {'an' if field.type[0] == 'i' else 'a'} {field.type}, but row "
        f"{row + 1} of {path} has {shown(values[row], field, repr)}"
    )
    raise contract.unfit(_schema(field.name, message))


def shown(value: object, field: Field, write: Callable[[object], str]) -> str:
    """A value as messages show it."""
    return "a classified value" if field.classification else write(value)
