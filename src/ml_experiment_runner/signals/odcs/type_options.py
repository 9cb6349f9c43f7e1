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
    attributes: dict[str, Any] = {}
    if enum:
        if kind in ("object", "array"):
            unchecked.append(f"enum of {name}")
        else:
            attributes["allowed"] = read_values(enum, kind)
    if kind in NUMERIC:
        attributes |= _numbers(entries, kind, name, unchecked)
    elif kind in TIMES:
        attributes |= _times(entries, kind, name, unchecked)
    elif kind == "string":
        attributes |= _texts(entries, name, unchecked)
    return attributes


def says_of_values(attributes: Mapping[str, Any]) -> bool:
    """Whether these attributes of a field restrict its valid values."""
    return any(value not in (None, (None, None)) for name, value in attributes.items()
               if name != "format")  # fmt: skip


def _numbers(
    entries: Mapping[str, Entry], kind: str, name: str, unchecked: list[str]
) -> dict[str, Any]:
    attributes: dict[str, Any] = {
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
            attributes["multiple_of"] = step
        else:
            unchecked.append(f"multipleOf of {name}")
    if kind == "integer":
        _whole_bounds(attributes)
        if "format" in entries:
            least, most = INTEGERS[entries["format"].choice(INTEGERS)]
            attributes["minimum"] = max(least, attributes.get("minimum", least))
            attributes["maximum"] = min(most, attributes.get("maximum", most))
    else:
        attributes |= {
            attribute: float(number)
            for attribute, number in attributes.items()
            if attribute != "multiple_of"
        }
        if "format" in entries and entries["format"].choice(("f32", "f64")) == "f32":
            unchecked.append(f"format of {name}")
    _check_range(
        entries, attributes, "minimum", "maximum", "exclusive_minimum", "exclusive_maximum"
    )
    return attributes


def _whole_bounds(bounds: dict[str, Any]) -> None:
    """Bounds of whole numbers: the least and the greatest that keep them all."""
    low = [math.ceil(bounds["minimum"])] if "minimum" in bounds else []
    high = [math.floor(bounds["maximum"])] if "maximum" in bounds else []
    if "exclusive_minimum" in bounds:
        low.append(math.floor(bounds.pop("exclusive_minimum")) + 1)
    if "exclusive_maximum" in bounds:
        high.append(math.ceil(bounds.pop("exclusive_maximum")) - 1)
    bounds |= {"minimum": max(low)} if low else {}
    bounds |= {"maximum": min(high)} if high else {}


def _times(
    entries: Mapping[str, Entry], kind: str, name: str, unchecked: list[str]
) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    bounds = ("earliest", "latest", "after", "before")
    for attribute, entry in _bounds(entries, name, unchecked, bounds).items():
        bound = value_of(entry.text(), kind)
        if bound is None:
            unchecked.append(f"{entry.name.rpartition('.')[2]} of {name}: '{entry.text()}'")
        else:
            attributes[attribute] = bound
    if len({getattr(bound, "tzinfo", None) is None for bound in attributes.values()}) <= 1:
        _check_range(entries, attributes, *bounds)
    if "format" in entries:
        attributes["format"] = _format(entries["format"], name)
    if kind == "timestamp" and "defaultTimezone" in entries:
        attributes["time_zone"] = check_zone(entries["defaultTimezone"])
    return attributes


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
    attributes: dict[str, Any] = {}
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
    attributes["length"] = (low, high)
    if "pattern" in entries:
        pattern, reason = read_pattern(entries["pattern"])
        if reason:
            unchecked.append(f"pattern of {name} ({reason})")
        else:
            attributes["pattern"] = pattern
    if "format" in entries:
        if (form := entries["format"].text()) in TEXT_FORMATS:
            attributes["text_format"] = form
        else:
            unchecked.append(f"format of {name}: {form}")
    return attributes


def _bounds(
    entries: Mapping[str, Entry], name: str, unchecked: list[str], attributes: tuple[str, ...]
) -> dict[str, Entry]:
    """The bounds' entries by the attributes that they set.

    Since v3.1 an exclusive bound is a value; before, it was a flag of the other bound.
    """
    least, greatest, above, below = attributes
    by_attribute: dict[str, Entry] = {}
    for bound, flag, attribute, exclusive in (
        ("minimum", "exclusiveMinimum", least, above),
        ("maximum", "exclusiveMaximum", greatest, below),
    ):
        word = entries[flag].text() if flag in entries else "false"
        if bound in entries:
            by_attribute[exclusive if word == "true" else attribute] = entries[bound]
        elif word == "true":
            unchecked.append(f"{flag} of {name} without a {bound}")
        if word not in ("true", "false"):
            by_attribute[exclusive] = entries[flag]
    return by_attribute


def _check_range(
    entries: Mapping[str, Entry], bounds: Mapping[str, Any],
    least: str, greatest: str, above: str, below: str,
) -> None:  # fmt: skip
    """Whether any value lies between the bounds."""
    lows = [(bounds[name], name == above) for name in (least, above) if name in bounds]
    highs = [(bounds[name], name == below) for name in (greatest, below) if name in bounds]
    for low, is_above in lows:
        for high, is_below in highs:
            if low > high or (low == high and (is_above or is_below)):
                entry = next(entries[name] for name in (*BOUNDS, "format") if name in entries)
                what = "not less than" if low == high else "greater than"
                raise entry.mistake(f"the minimum {_text(low)} is {what} the maximum {_text(high)}")


def _text(bound: Any) -> str:
    return (
        f"{Decimal(str(bound)).normalize():f}"
        if isinstance(bound, int | float | Decimal)
        else str(bound)
    )
