"""Quality rules of ODCS: what is counted in a table, and how many of it there may be.

What belongs to other tools (SQL, texts, engines) is listed as not checked.
"""

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ml_experiment_runner.project.text import shorten
from ml_experiment_runner.signals.odcs.patterns import listed, read_pattern
from ml_experiment_runner.signals.odcs.values import check_texts, decimal, read_values
from ml_experiment_runner.signals.odcs.yaml_document import Entry

OPERATORS = (
    *("mustBe", "mustNotBe", "mustBeGreaterThan", "mustBeGreaterOrEqualTo"),
    *("mustBeLessThan", "mustBeLessOrEqualTo", "mustBeBetween", "mustNotBeBetween"),
)
UPPER = ("mustBe", "mustBeLessThan", "mustBeLessOrEqualTo", "mustBeBetween")
OF_FIELD = ("nullValues", "missingValues", "invalidValues", "duplicateValues")
OF_TABLE = ("duplicateValues", "rowCount")
METRICS = (*OF_FIELD, "rowCount")
ARGUMENTS = {
    "missingValues": ("missingValues",),
    "invalidValues": ("validValues", "pattern"),
    "duplicateValues": ("properties",),
}
FORMER = {  # names that v3.0 and its drafts had
    **dict.fromkeys(("null", "notNull", "nullCheck", "nullCount"), "nullValues"),
    "missingCount": "missingValues",
    **dict.fromkeys(("validValues", "invalidCount", "patternCheck"), "invalidValues"),
    **dict.fromkeys(("unique", "uniqueness", "uniqueCheck"), "duplicateValues"),
    **dict.fromkeys(("duplicateCheck", "duplicateCount"), "duplicateValues"),
    "countCheck": "rowCount",
}
UNITS = {
    **dict.fromkeys(("rows", "row", "count"), "rows"),
    **dict.fromkeys(("percent", "percentage", "%"), "percent"),
}
LIBRARY = ("library", "default", "implicit")
TEXTS = (
    *("id", "name", "description", "dimension", "severity", "businessImpact", "method"),
    *("schedule", "scheduler", "scheduleCronExpression", "tags"),
)
RULE = (
    *("type", "metric", "rule", "unit", "arguments", *OPERATORS, *TEXTS),
    *("query", "engine", "implementation", "customProperties", "authoritativeDefinitions"),
    # as arguments stood before v3.1
    *("validValues", "pattern", "missingValues", "properties"),
)
UNHEEDED = (
    *("severity", "method", "schedule", "scheduler", "scheduleCronExpression"),
    "customProperties",
)
"""What a rule may say and nothing here acts on: each is checked whenever rows come."""
ALIKE, SIMILAR = 0.6, 0.8  # so alike that one was meant for the other


@dataclass(frozen=True)
class Rule:
    """How many rows of a table may be such.

    Attributes:
        metric: What is counted, one of METRICS.
        operator: One of OPERATORS.
        bounds: What the count is compared with: one number, or two.
        unit: `rows`, or `percent` of all rows.
        valid: Values that are valid, as texts; any, if empty.
        pattern: A regular expression that is found in valid values.
        missing: Values that stand for none, as texts, beside null.
        properties: Fields whose values together may not come twice; of a field's rule, itself.
    """

    metric: str
    operator: str
    bounds: tuple[float, ...]
    unit: str = "rows"
    valid: tuple[str, ...] = ()
    pattern: str | None = None
    missing: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()

    def is_kept(self, count: int, rows: int) -> bool:
        """Whether there may be so many of so many rows; both ends of a range belong to it."""
        value: float = count
        if self.unit == "percent":
            value = 100 * count / rows if rows else 0.0
        low, high = self.bounds[0], self.bounds[-1]
        return {
            "mustBe": value == low,
            "mustNotBe": value != low,
            "mustBeGreaterThan": value > low,
            "mustBeGreaterOrEqualTo": value >= low,
            "mustBeLessThan": value < high,
            "mustBeLessOrEqualTo": value <= high,
            "mustBeBetween": low <= value <= high,
            "mustNotBeBetween": not low <= value <= high,
        }[self.operator]

    @property
    def tolerated(self) -> float | None:
        """The share of rows, 0 to 1, that it tolerates; None if it says something else."""
        low, high = self.bounds[0], self.bounds[-1]
        if self.operator not in UPPER or (self.operator == "mustBeBetween" and low > 0):
            return None
        if self.operator == "mustBe":
            return 0.0 if high == 0 else None
        if self.unit == "percent":
            return high / 100
        most = math.ceil(high) - 1 if self.operator == "mustBeLessThan" else math.floor(high)
        return None if most else 0.0

    @property
    def rows(self) -> tuple[int | None, int | None] | None:
        """Least and greatest number of rows that it allows; None if it allows no range."""
        low, high = self.bounds[0], self.bounds[-1]
        if self.operator == "mustNotBe" and low == 0:
            return 1, None
        if self.operator in ("mustNotBe", "mustNotBeBetween"):
            return None
        least = math.floor(low) + 1 if self.operator == "mustBeGreaterThan" else math.ceil(low)
        most = math.ceil(high) - 1 if self.operator == "mustBeLessThan" else math.floor(high)
        has_least = self.operator not in ("mustBeLessThan", "mustBeLessOrEqualTo")
        has_most = not self.operator.startswith("mustBeGreater")
        return least if has_least else None, most if has_most else None

    @property
    def expected(self) -> str:
        """How many there may be, in words, such as `less than 100`."""
        low, high = (f"{bound:,.10g}" for bound in (self.bounds[0], self.bounds[-1]))
        text = {
            "mustBe": f"exactly {low}",
            "mustNotBe": f"any number but {low}",
            "mustBeGreaterThan": f"more than {low}",
            "mustBeGreaterOrEqualTo": f"at least {low}",
            "mustBeLessThan": f"less than {high}",
            "mustBeLessOrEqualTo": f"at most {high}",
            "mustBeBetween": f"{low} to {high}",
            "mustNotBeBetween": f"less than {low} or more than {high}",
        }[self.operator]
        return f"{text} %" if self.unit == "percent" else text

    def __str__(self) -> str:
        """The rule in one line."""
        lists = (self.valid, self.missing, self.properties)
        arguments = [listed(texts) for texts in lists if texts]
        if self.pattern is not None:
            arguments.append(self.pattern)
        about = f" ({'; '.join(arguments)})" if arguments else ""
        return f"{self.metric}{about}: {self.expected}"


def read_rules(
    entry: Entry | None, place: str, unchecked: list[str], kind: str = ""
) -> list[tuple[Rule, Entry]]:
    """The rules of a `quality` list, each with the entry that a mistake is named at.

    Args:
        entry: The list.
        place: The field's or table's name.
        unchecked: Takes what is not checked, a short text each.
        kind: The field's type; empty for a table.

    Raises:
        UserError: The standard has no such entry, or the rule can never be kept.
    """
    rules: list[tuple[Rule, Entry]] = []
    for item in entry.items() if entry else []:
        values = _entries(item, place, unchecked)
        check_texts(values, *(name for name in TEXTS if name in values))
        read = _of_another_tool(values) or _read(item, values, kind)
        if isinstance(read, str):
            unchecked.append(f"quality of {place}: {read}")
        else:
            rules += read
    return rules


def _entries(item: Entry, place: str, unchecked: list[str]) -> dict[str, Entry]:
    """What a rule says; v3.0 lets it hold anything else, which may be a slip of the finger."""
    if not item.is_mapping:
        raise item.mistake(f"{item.name} must hold keys and values, such as `metric: …`")
    entries = item.entries()
    for name in [*entries]:
        if name in RULE and name not in UNHEEDED:
            continue
        expected_names = (*OPERATORS, "metric", "unit", "arguments")
        cutoff = ALIKE if re.match("must", name, re.IGNORECASE) else SIMILAR
        if name not in RULE and (
            slip := difflib.get_close_matches(name, expected_names, 1, cutoff)
        ):
            raise entries[name].mistake(
                f"unknown entry '{shorten(entries[name].name)}'. Did you mean '{slip[0]}'?"
            )
        unchecked.append(f"quality of {place}: {shorten(name)}")
    return {name: entry for name, entry in entries.items() if name in RULE}


def _of_another_tool(values: Mapping[str, Entry]) -> str:
    """The type of a rule that no metric is counted for; empty for one of the library."""
    if "type" in values:
        kind = values["type"].choice((*LIBRARY, "text", "sql", "custom"))
        return "" if kind in LIBRARY else kind
    if "metric" in values or "rule" in values:
        return ""
    if "query" in values:
        return "sql"
    return "custom" if {"engine", "implementation"} & set(values) else "text"


def _read(item: Entry, values: Mapping[str, Entry], kind: str) -> list[tuple[Rule, Entry]] | str:
    """The rules that one entry says, one for each operator; or why it is not checked."""
    name = values.get("metric", values.get("rule"))
    if name is None:
        raise item.mistake(f"'metric' is missing in {item.name}; write one of {', '.join(METRICS)}")
    metric = _metric(name)
    if metric not in METRICS:
        return metric
    if metric not in (OF_FIELD if kind else OF_TABLE):
        return f"{metric} of a {'field' if kind else 'table'}"
    unit = values["unit"].text() if "unit" in values else "rows"
    if unit not in UNITS:
        return f"{metric} in {unit}"
    if metric == "rowCount" and UNITS[unit] != "rows":
        values["unit"].choice(("rows",))
    arguments = _arguments(values, metric)
    attributes = _attributes(arguments, metric, kind)
    if isinstance(attributes, str):
        return attributes
    operators = _operators(values, name, metric, UNITS[unit])
    if isinstance(operators, str):
        return operators
    place = next(iter(arguments.values()), name)
    return [
        (Rule(metric, operator, bounds, UNITS[unit], **attributes), place)
        for operator, bounds in operators.items()
    ]


def _metric(name: Entry) -> str:
    """What is counted, by today's name; a word like one of the library's is a typo."""
    metric = FORMER.get(name.text(), name.text())
    if metric not in METRICS:
        close = difflib.get_close_matches(metric, METRICS, n=1, cutoff=SIMILAR)
        if close:
            raise name.mistake(f"unknown metric '{metric}'. Did you mean '{close[0]}'?")
    return metric


def _operators(
    values: Mapping[str, Entry], name: Entry, metric: str, unit: str
) -> dict[str, tuple[float, ...]] | str:
    """The numbers by operator; or why the rule is not checked."""
    bounds = {
        operator: _bounds(values[operator], operator, unit, metric)
        for operator in OPERATORS
        if operator in values
    }
    if bounds:
        # of valid ones or of others? tools differ
        return "validValues with an operator" if name.text() == "validValues" else bounds
    if "metric" in values:
        raise name.mistake(
            f"{metric} needs an operator, such as `mustBeLessOrEqualTo: 0.1, unit: percent`. "
            f"There is: {', '.join(OPERATORS)}."
        )
    return "rowCount without an operator" if metric == "rowCount" else {"mustBe": (0.0,)}


def _arguments(values: Mapping[str, Entry], metric: str) -> dict[str, Entry]:
    """The metric's arguments, wherever they stand."""
    known = ARGUMENTS.get(metric, ())
    arguments = {name: values[name] for name in known if name in values}
    if "arguments" not in values or values["arguments"].is_null:
        return arguments
    if not known:
        raise values["arguments"].mistake(f"{metric} takes no arguments")
    for name, entry in values["arguments"].entries().items():
        if name not in known and (slip := difflib.get_close_matches(name, known, 1, ALIKE)):
            raise entry.mistake(f"unknown entry '{entry.name}'. Did you mean '{slip[0]}'?")
        arguments[name] = entry
    return arguments


def _attributes(arguments: Mapping[str, Entry], metric: str, kind: str) -> dict[str, Any] | str:
    """What the arguments say, as attributes of a rule; or why it is not checked."""
    if reason := _why_not(arguments, metric, kind):
        return reason
    attributes: dict[str, Any] = {}
    if "properties" in arguments:
        names = dict.fromkeys(entry.text() for entry in arguments["properties"].items())
        attributes["properties"] = tuple(names)
    if "validValues" in arguments:
        attributes["valid"] = read_values(arguments["validValues"], kind)
    if "missingValues" in arguments:
        listed = (entry.scalar() for entry in arguments["missingValues"].items())
        attributes["missing"] = tuple(text for text in listed if text is not None)
    if "pattern" in arguments:
        pattern, reason = read_pattern(arguments["pattern"])
        if reason:
            return f"pattern ({reason})"
        attributes["pattern"] = pattern
    return attributes


def _why_not(arguments: Mapping[str, Entry], metric: str, kind: str) -> str:
    """Why a rule with these arguments is not checked; empty if it is."""
    reasons = {
        "of several fields belongs to the table": "properties" in arguments and kind,
        "without properties": metric == "duplicateValues"
        and not kind
        and not ("properties" in arguments and arguments["properties"].items()),
        f"of an {kind}": {"validValues", "pattern"} & set(arguments)
        and kind in ("object", "array"),
        f"with a pattern where the type is {kind}": "pattern" in arguments and kind != "string",
    }
    if others := sorted(set(arguments) - {*ARGUMENTS.get(metric, arguments)}):
        return f"{metric} with {', '.join(others)}"
    return next((f"{metric} {reason}" for reason, holds in reasons.items() if holds), "")


def _bounds(entry: Entry, operator: str, unit: str, metric: str) -> tuple[float, ...]:
    if operator.endswith("Between"):
        ends = [float(decimal(end)) for end in entry.items()]
        if len(ends) != 2 or ends[0] >= ends[1]:
            raise entry.mistake(f"{operator} must be two numbers, the smaller one first")
    else:
        ends = [float(decimal(entry))]
    low, high = ends[0], ends[-1]
    if unit == "percent" and high > 100:
        raise entry.mistake(f"{entry.name} must be at most 100 percent, got {high:g}")
    if operator in UPPER and (high < 0 or (high == 0 and operator == "mustBeLessThan")):
        raise entry.mistake(f"{operator} can never hold: {metric} is never below 0")
    if unit == "percent" and operator == "mustBeGreaterThan" and low == 100:
        raise entry.mistake(f"{operator} can never hold: {metric} is never above 100 percent")
    return tuple(ends)
