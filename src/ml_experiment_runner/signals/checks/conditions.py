"""What a contract says of single rows, as expressions that count the rows which break it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from ml_experiment_runner.signals.checks.schema import DTYPES
from ml_experiment_runner.signals.contract.contract import Contract, Field
from ml_experiment_runner.signals.odcs.patterns import TEXT_FORMATS, listed, shortened, translated
from ml_experiment_runner.signals.odcs.quality_rules import Rule
from ml_experiment_runner.signals.odcs.values import value_of

CLOCKS = timedelta(minutes=5)
"""By how much two machines' clocks may differ."""
LEAST_INTEGER, GREATEST_INTEGER = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class Condition:
    """What rows may not be.

    Attributes:
        kind: Of the violation.
        field: The field.
        bad: Whether a row is such.
        description: What such rows are, in words.
        tolerated: The share of a partition's rows that may be such; None where the rule says how
            many of all may be.
        rule: The quality rule that it comes from, unless it comes from the field.
    """

    kind: str
    field: Field
    bad: pl.Expr
    description: str
    tolerated: float | None = 0.0
    rule: Rule | None = None


def conditions(contract: Contract, now: datetime) -> list[Condition]:
    """All that a contract says of single rows.

    Args:
        contract: The signal's contract.
        now: When the rows arrived.
    """
    result: list[Condition] = []
    for field in contract.fields:
        column = pl.col(field.name)
        if field.tolerated_nulls is not None:
            bad = column.is_null()
            result.append(Condition("nulls", field, bad, "have no value", field.tolerated_nulls))
        for kind, bad, description in _of_values(contract, field):
            result.append(Condition(kind, field, bad, description, field.tolerated_invalid))
        if field.name == contract.event_time:
            description = f"are after {moment_text(now, contract)}, when they came"
            result.append(Condition("future", field, column > now + CLOCKS, description))
        result += [
            Condition(kind, field, bad, description, rule.tolerated, rule)
            for rule in field.rules
            if rule.metric != "duplicateValues"
            for kind, bad, description in _of_a_rule(contract, field, rule)
        ]
    return result


def _of_values(contract: Contract, field: Field) -> Iterator[tuple[str, pl.Expr, str]]:
    """What the field's own entries say of its values."""
    column = pl.col(field.name)
    outside = _outside(contract, field)
    if outside is not None:
        yield "range", outside, f"are not {_range_text(contract, field)}"
    if field.allowed:
        yield _listed(contract, field, field.allowed)
    if field.multiple_of is not None:
        description = f"are not multiples of {field.multiple_of:f}"
        yield "multiple", _is_no_multiple(field), description
    if field.length != (None, None):
        low, high = field.length
        length = column.str.len_chars()
        allowed = (f"at least {low:,}" if high is None else f"at most {high:,}" if low is None
                 else f"{low:,} to {high:,}")  # fmt: skip
        yield "length", _beyond(length, low, high), f"do not have {allowed} characters"
    if field.pattern is not None:
        yield _without(field, field.pattern)
    if field.text_format is not None:
        bad = ~column.str.contains(TEXT_FORMATS[field.text_format])
        yield "format", bad, f"are not a valid {field.text_format}"


def _of_a_rule(contract: Contract, field: Field, rule: Rule) -> Iterator[tuple[str, pl.Expr, str]]:
    column = pl.col(field.name)
    if rule.metric == "nullValues":
        yield "nulls", column.is_null(), "have no value"
    elif rule.metric == "missingValues":
        texts = listed(rule.missing)
        missing = column.is_null() | _is_one_of(contract, field, rule.missing)
        yield "missing", missing, f"have no value or one of {texts}" if texts else "have no value"
    elif rule.valid and rule.pattern is not None:
        (_, unlisted, none_of), (_, other, description) = (
            _listed(contract, field, rule.valid), _without(field, rule.pattern)
        )  # fmt: skip
        yield "values", unlisted | other, f"{none_of} or {description}"
    elif rule.valid:
        yield _listed(contract, field, rule.valid)
    elif rule.pattern is not None:
        yield _without(field, rule.pattern)
    else:  # whatever the field's own entries call invalid
        value_conditions = list(_of_values(contract, field))
        if value_conditions:
            bad = pl.any_horizontal(bad for _, bad, _ in value_conditions)
            yield "invalid", bad, " or ".join(description for _, _, description in value_conditions)


def _listed(contract: Contract, field: Field, allowed: tuple[str, ...]) -> tuple[str, pl.Expr, str]:
    bad = ~_is_one_of(contract, field, allowed)
    return "values", bad, f"are none of {listed(allowed)}"


def _without(field: Field, pattern: str) -> tuple[str, pl.Expr, str]:
    bad = ~pl.col(field.name).str.contains(translated(pattern))
    return "pattern", bad, f"do not match {shortened(pattern)}"


def _is_one_of(contract: Contract, field: Field, texts: tuple[str, ...]) -> pl.Expr:
    kind = "string" if field.type in ("object", "array") else field.type
    values = [_moment(value_of(text, kind), contract) for text in texts]
    known = [value for value in values if value is not None and _fits(value)]
    return pl.col(field.name).is_in(pl.Series(known, dtype=DTYPES[field.type]).implode())


def _fits(value: object) -> bool:
    return not isinstance(value, int) or LEAST_INTEGER <= value <= GREATEST_INTEGER


def _moment(value: object, contract: Contract) -> object:
    """A time without an offset is one of the contract's time zone."""
    if not isinstance(value, datetime):
        return value
    aware = value if value.tzinfo else value.replace(tzinfo=ZoneInfo(contract.time_zone))
    try:
        return aware.astimezone(UTC)
    except OverflowError:  # at the ends of the calendar
        return aware.replace(tzinfo=UTC)


def _bounds(contract: Contract, field: Field) -> tuple[Any, Any, Any, Any]:
    """What values are at least, at most, above and below; None for no bound."""
    pairs = (
        (field.minimum, field.earliest), (field.maximum, field.latest),
        (field.exclusive_minimum, field.after), (field.exclusive_maximum, field.before),
    )  # fmt: skip
    low, high, above, below = (
        _moment(number if when is None else when, contract) for number, when in pairs
    )
    return low, high, above, below


def _outside(contract: Contract, field: Field) -> pl.Expr | None:
    """Whether a value is beyond the bounds; None where there are none."""
    column = pl.col(field.name)
    low, high, above, below = _bounds(contract, field)
    if field.type == "integer":
        # whole bounds of whole numbers: a comparison with 0.5 would turn the column into floats
        low, high = (None if bound is None else int(bound) for bound in (low, high))
        if (low or 0) > GREATEST_INTEGER or (high or 0) < LEAST_INTEGER:
            return column.is_not_null()
        low = None if low is None or low <= LEAST_INTEGER else low
        high = None if high is None or high >= GREATEST_INTEGER else high
    parts = []
    if low is not None or high is not None:
        parts.append(_beyond(column, low, high))
    if above is not None:
        parts.append(column <= above)
    if below is not None:
        parts.append(column >= below)
    if len(parts) > 1:
        return pl.any_horizontal(parts)
    return parts[0] if parts else None


def _beyond(column: pl.Expr, low: Any, high: Any) -> pl.Expr:
    if low is None:
        return column.gt(high)
    return column.lt(low) if high is None else ~column.is_between(low, high)


def _is_no_multiple(field: Field) -> pl.Expr:
    """Whether a number is not a multiple, in the decimal numbers that people write.

    A float is one if it is the nearest float to a multiple: 0.3 is one of 0.1, though neither is
    exact. That can be told up to 15 digits.
    """
    assert field.multiple_of is not None
    column = pl.col(field.name)
    step = Fraction(field.multiple_of)
    if field.type == "integer":
        # a whole number is a multiple of 3/2 if it is one of 3
        if step.numerator > GREATEST_INTEGER:
            return column != 0
        return column % step.numerator != 0
    digits = -min(0, int(field.multiple_of.as_tuple().exponent))
    scaled = float(step * 10**digits)
    nearest = (column / float(step)).round() * scaled
    # polars multiplies by the inverse of one divisor, which is not exact; by a column it divides
    power = column.pow(0) * 10.0**digits
    return ~column.is_finite() | (nearest / power != column)


def _range_text(contract: Contract, field: Field) -> str:
    low, high, above, below = (
        None if bound is None else _bound_text(bound, contract)
        for bound in _bounds(contract, field)
    )
    parts = [f"within {low} to {high}"] if low and high else []
    if not parts:
        parts += [f"at least {low}"] if low else []
        parts += [f"at most {high}"] if high else []
    is_time = field.after is not None or field.before is not None
    parts += [f"{'after' if is_time else 'above'} {above}"] if above else []
    parts += [f"{'before' if is_time else 'below'} {below}"] if below else []
    return " and ".join(parts)


def _bound_text(bound: Any, contract: Contract) -> str:
    return value_text(bound, contract).removesuffix(" 00:00")


def value_text(value: object, contract: Contract) -> str:
    """A value in a message."""
    if isinstance(value, datetime):
        return moment_text(value, contract)
    if isinstance(value, str):
        return shortened(value) or "''"
    return f"{value:,.10g}" if isinstance(value, float) else str(value)


def moment_text(moment: datetime, contract: Contract) -> str:
    """A moment in the contract's time zone."""
    try:
        return f"{contract.local(moment):%Y-%m-%d %H:%M}"
    except OverflowError:  # at the ends of the calendar
        return f"{moment:%Y-%m-%d %H:%M}"


def worst_of(contract: Contract, condition: Condition, values: pl.Series) -> object:
    """The value farthest off, or the one that comes most often."""
    low, high, above, below = _bounds(contract, condition.field)
    least = above if low is None else low
    greatest = below if high is None else high
    if condition.kind == "future" or (condition.kind == "range" and least is None):
        return values.max()
    if condition.kind != "range":
        return values.drop_nulls().mode().sort().first()
    if greatest is None:
        return values.min()
    if not values.dtype.is_numeric():
        last: Any = values.max()
        return last if last >= greatest else values.min()
    middle = (least + greatest) / 2
    return values[int((values - middle).abs().arg_max() or 0)]
