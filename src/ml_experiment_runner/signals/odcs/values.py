"""What ODCS contracts are made of: lists of properties, values, numbers, patterns, durations."""

import re
import zoneinfo
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal

from ml_experiment_runner.signals.odcs.yaml_document import Entry

NUMERIC = ("integer", "number")
NO_NAME = re.compile(r"\*|\^.*\$", re.DOTALL)
"""What names other fields in a feature: all of them, or those of a pattern."""
# three digits of an exponent: int(Decimal("1e999999999")) would take all memory
ISO_SPAN = re.compile(
    r"P(?=.)(?:(?P<w>\d{1,9})W)?(?:(?P<d>\d{1,9})D)?"
    r"(?:T(?=.)(?:(?P<h>\d{1,9})H)?(?:(?P<min>\d{1,9})M)?(?:(?P<s>\d{1,9})S)?)?"
)
NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?"
TIMES: dict[str, type[date] | type[time]] = {"date": date, "timestamp": datetime, "time": time}
UNITS = {
    **dict.fromkeys(("ms", "millisecond", "milliseconds"), timedelta(milliseconds=1)),
    **dict.fromkeys(("s", "second", "seconds"), timedelta(seconds=1)),
    **dict.fromkeys(("min", "minute", "minutes"), timedelta(minutes=1)),
    **dict.fromkeys(("h", "hour", "hours"), timedelta(hours=1)),
    **dict.fromkeys(("d", "day", "days"), timedelta(days=1)),
    **dict.fromkeys(("w", "week", "weeks"), timedelta(weeks=1)),
    **dict.fromkeys(("y", "yr", "year", "years"), timedelta(days=365)),
}


def decimal(entry: Entry) -> Decimal:
    """A number, as exact as it is written."""
    if not re.fullmatch(NUMBER, entry.text()):
        raise entry.mistake(f"{entry.name} must be a number, got '{entry.text()}'")
    return Decimal(entry.text())


def value_of(text: str, kind: str) -> object | None:
    """The value of a field's type that a text stands for; None if it stands for none."""
    try:
        if kind == "string":
            return text
        if kind == "boolean":
            return {"true": True, "false": False}.get(text.lower())
        if kind == "integer":
            return int(text.partition(".")[0]) if re.fullmatch(r"[-+]?\d+(\.0*)?", text) else None
        if kind == "number":
            return float(text) if re.fullmatch(NUMBER, text) else None
        value = TIMES[kind].fromisoformat(text) if kind in TIMES else None
    except ValueError:
        return None
    # of a time of day nobody knows on which day its offset holds
    return None if isinstance(value, time) and value.tzinfo else value


def read_values(listed: Entry, kind: str) -> tuple[str, ...]:
    """The only values of a field of this type, as texts; null is valid wherever it may come."""
    values: dict[object, str] = {}
    for entry in listed.items():
        # of an enum, each has its description beside it
        scalar = entry.find("value") or entry
        text = scalar.scalar()
        if text is None:
            continue
        if kind in NUMERIC:
            number = decimal(scalar)
            text = str(whole(scalar)) if kind == "integer" else scalar.text()
            value: object = number
        else:
            value = value_of(text, kind)
        if value is None:
            raise scalar.mistake(f"invalid {kind} '{text}' among the valid values")
        if value in values:
            raise scalar.mistake(f"duplicate valid value '{scalar.text()}'")
        values[value] = text
    if not values:
        raise listed.mistake(f"{listed.name} must not be empty: no value would be valid")
    return tuple(values.values())


def whole(entry: Entry) -> int:
    """A whole number, as exact as it is written."""
    number = decimal(entry)
    if number != number.to_integral_value():
        raise entry.mistake(f"{entry.name} must be a whole number, got '{entry.text()}'")
    return int(number)


def check_zone(entry: Entry) -> str:
    """The name of a time zone."""
    try:
        zoneinfo.ZoneInfo(entry.text())
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        entry.choice(zoneinfo.available_timezones())
    return entry.text()


def duration(values: Mapping[str, Entry]) -> timedelta:
    """A value with its unit, or a span of ISO 8601 without months and years."""
    if "unit" not in values and (match := ISO_SPAN.fullmatch(values["value"].text())):
        parts = {unit: int(number) for unit, number in match.groupdict().items() if number}
        return sum((span(values["value"], parts[unit], unit) for unit in parts), timedelta(0))
    if "unit" not in values:
        raise values["value"].mistake(f"'unit' is missing; write one of {', '.join(UNITS)}")
    unit = values["unit"].choice(UNITS)
    return span(values["value"], values["value"].number(), unit)


def span(entry: Entry, number: float, unit: str) -> timedelta:
    """So many units, at most a hundred years."""
    if number > timedelta(days=36_525) / UNITS[unit]:
        raise entry.mistake(f"{entry.text()} is more than a hundred years")
    return number * UNITS[unit]


def check_texts(entries: Mapping[str, Entry], *names: str) -> None:
    """What only people read must be a text all the same; `tags` a list of them."""
    for name in names:
        if name in entries:
            for word in entries[name].items() if name == "tags" else [entries[name]]:
                word.text()
