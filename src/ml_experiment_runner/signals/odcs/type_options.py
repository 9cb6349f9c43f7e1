"""Reads what a field's `logicalTypeOptions` and `enum` say of single values."""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from ml_experiment_runner.signals.odcs import date_patterns
from ml_experiment_runner.signals.odcs.patterns import TEXT_FORMATS, read_pattern
from ml_experiment_runner.signals.odcs.values import (
    NUMERIC,
    TIMES,
    check_zone,
    decimal,
    read_values,
    value_of,
    whole,
)
from ml_experiment_runner.signals.odcs.yaml_document import Entry

BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
OPTIONS = {
    "string": ("minLength", "maxLength", "pattern", "format"),
    **dict.fromkeys(NUMERIC, (*BOUNDS, "multipleOf", "format")),
    **dict.fromkeys(TIMES, (*BOUNDS, "format", "timezone", "defaultTimezone")),
    "object": ("minProperties", "maxProperties", "required"),
    "array": ("minItems", "maxItems", "uniqueItems"),
    "boolean": (),
}
NOT_CHECKED = (*OPTIONS["object"], *OPTIONS["array"], "timezone")
ISO_8601 = ("date", "time", "date-time", "datetime", "iso8601", "iso 8601", "iso-8601")
INTEGERS = {
    f"{sign}{bits}": (0, 2**bits - 1) if sign == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    for sign in "iu"
    for bits in (8, 16, 32, 64, 128)
}
MOST_DIGITS = 15
"""So many digits of a decimal number come through a float unharmed."""


def read_options(
    options: Entry | None, enum: Entry | None, kind: str, name: str, unchecked: list[str]
) -> dict[str, Any]:
    """The attributes of a field that its type's options and its list of values set.

    Args:
        options: Its `logicalTypeOptions`.
        enum: Its `enum`.
        kind: Its type.
        name: Its name.
        unchecked: Takes what is not checked, a short text each.

    Raises:
        UserError: The type has no such option, or two contradict each other.
    """
    entries = options.entries() if options else {}
    # what no type has is a mistake of the contract, told elsewhere
    acted_on = {*OPTIONS[kind]} - {*NOT_CHECKED}
    unchecked += [f"{option} of {name}" for option in entries if option not in acted_on]
    found: dict[str, Any] = {}
    if enum:
        if kind in ("object", "array"):
            unchecked.append(f"enum of {name}")
        else:
            found["allowed"] = read_values(enum, kind)
    if kind in NUMERIC:
        found |= _numbers(entries, kind, name, unchecked)
    elif kind in TIMES:
        found |= _times(entries, kind, name, unchecked)
    elif kind == "string":
        found |= _texts(entries, name, unchecked)
    return found


def says_of_values(attributes: Mapping[str, Any]) -> bool:
    """Whether these attributes of a field tell valid values from others."""
    return any(value not in (None, (None, None)) for name, value in attributes.items()
               if name != "format")  # fmt: skip


def _numbers(
    entries: Mapping[str, Entry], kind: str, name: str, unchecked: list[str]
) -> dict[str, Any]:
    found: dict[str, Any] = {
        attribute: decimal(entry)
        for attribute, entry in _bounds(
            entries,
            name,
            unchecked,
            ("minimum", "maximum", "exclusive_minimum", "exclusive_maximum"),
        ).items()
    }
    if "multipleOf" in entries:
        step = Decimal(f"{decimal(entries['multipleOf']):f}")
        if step <= 0:
            raise entries["multipleOf"].mistake("multipleOf must be above 0")
        _, digits, exponent = step.as_tuple()
        if kind == "integer" or (len(digits) <= MOST_DIGITS and int(exponent) >= -MOST_DIGITS):
            found["multiple_of"] = step
        else:
            unchecked.append(f"multipleOf of {name}")
    if kind == "integer":
        _whole_bounds(found)
        if "format" in entries:
            least, most = INTEGERS[entries["format"].choice(INTEGERS)]
            found["minimum"] = max(least, found.get("minimum", least))
            found["maximum"] = min(most, found.get("maximum", most))
    else:
        found |= {each: float(number) for each, number in found.items() if each != "multiple_of"}
        if "format" in entries and entries["format"].choice(("f32", "f64")) == "f32":
            unchecked.append(f"format of {name}")
    _check_range(entries, found, "minimum", "maximum", "exclusive_minimum", "exclusive_maximum")
    return found


def _whole_bounds(found: dict[str, Any]) -> None:
    """Bounds of whole numbers: the least and the greatest that keep them all."""
    low = [math.ceil(found["minimum"])] if "minimum" in found else []
    high = [math.floor(found["maximum"])] if "maximum" in found else []
    if "exclusive_minimum" in found:
        low.append(math.floor(found.pop("exclusive_minimum")) + 1)
    if "exclusive_maximum" in found:
        high.append(math.ceil(found.pop("exclusive_maximum")) - 1)
    found |= {"minimum": max(low)} if low else {}
    found |= {"maximum": min(high)} if high else {}


def _times(
    entries: Mapping[str, Entry], kind: str, name: str, unchecked: list[str]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    attributes = ("earliest", "latest", "after", "before")
    for attribute, entry in _bounds(entries, name, unchecked, attributes).items():
        bound = value_of(entry.text(), kind)
        if bound is None:
            unchecked.append(f"{entry.name.rpartition('.')[2]} of {name}: '{entry.text()}'")
        else:
            found[attribute] = bound
    if len({getattr(bound, "tzinfo", None) is None for bound in found.values()}) <= 1:
        _check_range(entries, found, *attributes)
    if "format" in entries:
        found["format"] = _format(entries["format"], name)
    if kind == "timestamp" and "defaultTimezone" in entries:
        found["time_zone"] = check_zone(entries["defaultTimezone"])
    return found


def _format(entry: Entry, name: str) -> str | None:
    """The pattern of dates and times; None for ISO 8601, which JSON schema has words for."""
    form = entry.text()
    if form.casefold() in ISO_8601:
        return None
    if form not in date_patterns.EPOCHS:
        try:
            date_patterns.parse(form)
        except ValueError as error:
            raise entry.mistake(f"the format of {name} cannot be read: {error}") from None
    return form


def _texts(entries: Mapping[str, Entry], name: str, unchecked: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    low, high = (
        whole(entries[option]) if option in entries else None
        for option in ("minLength", "maxLength")
    )
    for option, length in (("minLength", low), ("maxLength", high)):
        if length is not None and length < 0:
            raise entries[option].mistake(f"{option} must be at least 0, got {length}")
    if low is not None and high is not None and low > high:
        raise entries["minLength"].mistake(
            f"the minLength {low} is greater than the maxLength {high}"
        )
    found["length"] = (low, high)
    if "pattern" in entries:
        pattern, reason = read_pattern(entries["pattern"])
        if reason:
            unchecked.append(f"pattern of {name} ({reason})")
        else:
            found["pattern"] = pattern
    if "format" in entries:
        if (form := entries["format"].text()) in TEXT_FORMATS:
            found["text_format"] = form
        else:
            unchecked.append(f"format of {name}: {form}")
    return found


def _bounds(
    entries: Mapping[str, Entry], name: str, unchecked: list[str], attributes: tuple[str, ...]
) -> dict[str, Entry]:
    """The bounds' entries by the attributes that they set.

    Since v3.1 an exclusive bound is a value; before, it was a flag of the other bound.
    """
    least, greatest, above, below = attributes
    found: dict[str, Entry] = {}
    for bound, flag, attribute, exclusive in (
        ("minimum", "exclusiveMinimum", least, above),
        ("maximum", "exclusiveMaximum", greatest, below),
    ):
        word = entries[flag].text() if flag in entries else "false"
        if bound in entries:
            found[exclusive if word == "true" else attribute] = entries[bound]
        elif word == "true":
            unchecked.append(f"{flag} of {name} without a {bound}")
        if word not in ("true", "false"):
            found[exclusive] = entries[flag]
    return found


def _check_range(
    entries: Mapping[str, Entry], found: Mapping[str, Any],
    least: str, greatest: str, above: str, below: str,
) -> None:  # fmt: skip
    """Whether any value lies between the bounds."""
    lows = [(found[each], each == above) for each in (least, above) if each in found]
    highs = [(found[each], each == below) for each in (greatest, below) if each in found]
    for low, is_above in lows:
        for high, is_below in highs:
            if low > high or (low == high and (is_above or is_below)):
                entry = next(entries[each] for each in (*BOUNDS, "format") if each in entries)
                what = "not less than" if low == high else "greater than"
                raise entry.mistake(f"the minimum {_text(low)} is {what} the maximum {_text(high)}")


def _text(bound: Any) -> str:
    return (
        f"{Decimal(str(bound)).normalize():f}"
        if isinstance(bound, int | float | Decimal)
        else str(bound)
    )
