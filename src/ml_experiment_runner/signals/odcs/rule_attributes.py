"""What quality rules say, as attributes of a contract's table and its fields."""

from collections.abc import Mapping
from typing import Any

from ml_experiment_runner.project.suggestions import nearest
from ml_experiment_runner.signals.odcs.quality_rules import Rule, read_rules
from ml_experiment_runner.signals.odcs.type_options import says_of_values
from ml_experiment_runner.signals.odcs.yaml_document import Entry


def table_rules(
    quality: Entry | None, name: str, fields: tuple[str, ...], unchecked: list[str]
) -> tuple[tuple[int | None, int | None], tuple[Rule, ...]]:
    """The least and greatest number of rows in a partition, and further rules of the table."""
    least: list[int] = []
    most: list[int] = []
    others = []
    for rule, entry in read_rules(quality, name, unchecked):
        for name in rule.properties:
            if name not in fields:
                raise entry.mistake(
                    f"duplicateValues: unknown field '{name}'. {nearest(name, fields)}"
                )
        if rule.metric != "rowCount" or rule.rows is None:
            others.append(rule)
            continue
        low, high = rule.rows
        least += [] if low is None else [low]
        most += [] if high is None else [high]
        if least and most and max(least) > min(most):
            raise entry.mistake(
                f"contradicting rowCount: at least {max(least):,} and at most {min(most):,}"
            )
    return (max(least, default=None), min(most, default=None)), tuple(others)


def field_rules(
    values: Mapping[str, Entry],
    kind: str,
    options: Mapping[str, Any],
    unchecked: list[str],
    *,
    required: bool,
) -> dict[str, Any]:
    """The attributes of a field that its quality rules set, given those of its type's options.

    Where a share of null or invalid values is tolerated, the field says so itself.
    """
    name = values["name"].text()
    rules = read_rules(values.get("quality"), name, unchecked, kind)
    attributes: dict[str, Any] = {}
    others = []
    # those that name no values are about all that the field says of them
    for rule, entry in sorted(
        rules, key=lambda located: bool(located[0].valid or located[0].pattern)
    ):
        share = rule.tolerated
        if rule.metric == "nullValues" and share is not None:
            if required and share:
                raise entry.mistake(
                    "a required field must have a value in every row; remove `required` or the rule"
                )
            attributes["tolerated_nulls"] = min(share, attributes.get("tolerated_nulls", share))
        elif rule.metric != "invalidValues" or rule.pattern is not None:
            others.append(rule)
        elif not rule.valid and not says_of_values(options):
            unchecked.append(f"quality of {name}: invalidValues of nothing that says what is valid")
        elif not rule.valid:
            if share is None:  # the rule alone says how many
                others.append(rule)
                share = 1.0
            attributes["tolerated_invalid"] = min(share, attributes.get("tolerated_invalid", share))
        elif share is None or "allowed" in {**options, **attributes} or \
                attributes.get("tolerated_invalid", share) != share:  # fmt: skip
            others.append(rule)
        else:
            attributes |= {"allowed": rule.valid, "tolerated_invalid": share}
        _check_valid(rule, entry, options)
    return attributes | {"rules": tuple(others)}


def _check_valid(rule: Rule, entry: Entry, options: Mapping[str, Any]) -> None:
    """Valid numbers lie within the field's range."""
    low, high = options.get("minimum"), options.get("maximum")
    for text in rule.valid:
        if (low is not None and float(text) < low) or (high is not None and float(text) > high):
            raise entry.mistake(f"the valid value {text} is outside the field's range")
