"""What ODCS contracts are made of: lists of properties and rules, ranges, shares, durations."""

import re
from collections.abc import Mapping
from datetime import timedelta

from runner.signals.document import Entry

NUMERIC = ("integer", "number")
NO_NAME = re.compile(r"\*|\^.*\$", re.DOTALL)
"""What names other fields in a feature: all of them, or those of a pattern."""
RULE = ("metric", "type", "description", "unit")
UNITS = {
    **dict.fromkeys(("min", "minute", "minutes"), timedelta(minutes=1)),
    **dict.fromkeys(("h", "hour", "hours"), timedelta(hours=1)),
    **dict.fromkeys(("d", "day", "days"), timedelta(days=1)),
}


def properties(
    entry: Entry | None, known: tuple[str, ...] = (), more: tuple[str, ...] = ()
) -> dict[str, dict[str, Entry]]:
    """ODCS lists of `{property: …, value: …}` by the property's name; any, if none is known."""
    found: dict[str, dict[str, Entry]] = {}
    for item in entry.items() if entry else []:
        values = item.mapping(("property", "value", "description", *more), ("property", "value"))
        name = values["property"].choice(known) if known else values["property"].text()
        if name in found:
            raise values["property"].mistake(f"'{name}' stands twice; remove one")
        found[name] = values
    return found


def metrics(
    entry: Entry | None, known: tuple[str, ...], more: tuple[str, ...]
) -> dict[str, dict[str, Entry]]:
    """ODCS lists of `{metric: …}` by the metric."""
    found: dict[str, dict[str, Entry]] = {}
    for item in entry.items() if entry else []:
        values = item.mapping((*RULE, *more), ("metric",))
        metric = values["metric"].choice(known)
        if metric in found:
            raise values["metric"].mistake(f"the rule on {metric} stands twice; remove one")
        if "type" in values:
            values["type"].choice(("library",))
        check_texts(values, "description")
        found[metric] = values
    return found


def share(rule: Mapping[str, Entry]) -> float:
    """The tolerated share of rows, 0 to 1."""
    for needed in ("mustBeLessOrEqualTo", "unit"):
        if needed not in rule:
            raise rule["metric"].mistake(
                f"'{needed}' is missing; write `mustBeLessOrEqualTo: 0.1, unit: percent`"
            )
    rule["unit"].choice(("percent",))
    percent = rule["mustBeLessOrEqualTo"]
    if percent.number() > 100:
        raise percent.mistake(f"{percent.text()} percent is more than all rows")
    return percent.number() / 100


def value_range(options: Entry | None, kind: str) -> tuple[float | None, float | None]:
    """The least and greatest value of a field of this type."""
    if options is None or (kind in ("date", "timestamp", "time") and options.find("format")):
        return None, None
    if kind not in NUMERIC:
        raise options.mistake(f"a {kind} has no range here; an integer or a number has")
    bounds = options.mapping(("minimum", "maximum"))
    if not bounds:
        raise options.mistake(f"{options.name} says nothing: write a minimum or maximum")
    read = {
        name: float(entry.whole(signed=True) if kind == "integer" else entry.number(signed=True))
        for name, entry in bounds.items()
    }
    low, high = read.get("minimum"), read.get("maximum")
    if low is not None and high is not None and low > high:
        raise bounds["minimum"].mistake(
            f"the minimum {bounds['minimum'].text()} is greater than the maximum "
            f"{bounds['maximum'].text()}"
        )
    return low, high


def valid_values(arguments: Entry, field: Mapping[str, Entry]) -> tuple[str, ...]:
    """The only values of a field; its range has to hold them."""
    kind = field["logicalType"].text()
    if kind not in ("string", *NUMERIC):
        raise arguments.mistake(f"a {kind} has no list of values here; a string or a number has")
    low, high = value_range(field.get("logicalTypeOptions"), kind)
    listed = arguments.mapping(("validValues",), ("validValues",))["validValues"]
    values: dict[str | float, str] = {}
    for entry in listed.items():
        value: str | float = entry.text()
        if kind in NUMERIC:
            value = entry.whole(signed=True) if kind == "integer" else entry.number(signed=True)
            if (low is not None and value < low) or (high is not None and value > high):
                raise entry.mistake(f"the valid value {entry.text()} is outside the field's range")
        if value in values:
            raise entry.mistake(f"the valid value '{entry.text()}' stands twice")
        values[value] = str(value) if kind == "integer" else entry.text()
    if not values:
        raise listed.mistake("validValues is empty: no value could be valid")
    return tuple(values.values())


def row_count(quality: Entry | None) -> tuple[int | None, int | None]:
    """The least and greatest number of rows in a partition."""
    if quality is None:
        return None, None
    bounds = ("mustBeBetween", "mustBeGreaterOrEqualTo", "mustBeLessOrEqualTo")
    rule = metrics(quality, ("rowCount",), bounds).get("rowCount")
    if rule is None:
        raise quality.mistake(f"{quality.name} is empty: write a rule, or nothing")
    given = [name for name in bounds if name in rule]
    if len(given) != 1:
        raise rule["metric"].mistake(f"rowCount needs exactly one of {', '.join(bounds)}")
    if "unit" in rule:
        rule["unit"].choice(("rows",))
    bound = rule[given[0]]
    if given[0] == "mustBeBetween":
        ends = [entry.whole() for entry in bound.items()]
        if len(ends) != 2 or ends[0] >= ends[1]:
            raise bound.mistake("mustBeBetween takes two numbers, the smaller one first")
        return ends[0], ends[1]
    return (bound.whole(), None) if given[0] == "mustBeGreaterOrEqualTo" else (None, bound.whole())


def duration(values: Mapping[str, Entry]) -> timedelta:
    """A value with its unit."""
    if "unit" not in values:
        raise values["value"].mistake(f"'unit' is missing; write one of {', '.join(UNITS)}")
    unit = values["unit"].choice(UNITS)
    return span(values["value"], values["value"].number(), unit)


def span(entry: Entry, number: float, unit: str) -> timedelta:
    """So many units; dates beyond a century or so are no dates any more."""
    if number > timedelta(days=36_525) / UNITS[unit]:
        raise entry.mistake(f"{entry.text()} is more than a hundred years")
    return number * UNITS[unit]


def check_texts(entries: Mapping[str, Entry], *names: str) -> None:
    """What only people read must be a text all the same; `tags` a list of them."""
    for name in names:
        if name in entries:
            for word in entries[name].items() if name == "tags" else [entries[name]]:
                word.text()
