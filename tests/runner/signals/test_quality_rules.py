"""Quality rules of ODCS: what a delivery that breaks one is told, and what is not checked."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ml_experiment_runner.holds.holds import Hold
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.checks.quality import broken
from ml_experiment_runner.signals.checks.tolerance import too_many
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.ingestion.ingestion import ingest_signals
from ml_experiment_runner.signals.odcs.quality_rules import read_rules
from ml_experiment_runner.signals.odcs.yaml_document import parse
from ml_experiment_runner.signals.snapshots import versions
from support.data_project import build, replace
from support.rule_contract import (
    COMPARE,
    NOW,
    PATH,
    VALUES,
    a_contract,
    count_in,
    rows,
    violations,
    written,
)


@st.composite
def rules_of_a_field(draw: st.DrawFn) -> tuple[str, str, dict[str, Any], Callable[[Any], bool]]:
    """A type, a metric with its arguments, and whether a value counts."""
    kind = draw(st.sampled_from(sorted(VALUES)))
    metric = draw(st.sampled_from(["nullValues", "missingValues", "invalidValues"]))
    if metric == "nullValues":
        return kind, metric, {}, lambda value: value is None
    listable = [each for each in VALUES[kind] if each not in (float("inf"), float("-inf"))]
    chosen = draw(st.lists(st.sampled_from(listable), min_size=1, max_size=3, unique=True))
    texts: list[str | None] = [written(each) for each in chosen]
    if metric == "missingValues":
        foreign = draw(st.sampled_from([[], [None], ["no such value"]]))
        counts = lambda value: value is None or value in chosen  # noqa: E731
        return kind, metric, {"missingValues": texts + foreign}, counts
    if kind == "string" and draw(st.booleans()):
        counts = lambda value: value is not None and not re.search("[0-9]", value)  # noqa: E731
        return kind, metric, {"pattern": "[0-9]"}, counts
    return (
        kind,
        metric,
        {"validValues": texts},
        lambda value: value is not None and value not in chosen,
    )


@given(data=st.data(), operator=st.sampled_from(sorted(COMPARE)), is_share=st.booleans())
def test_rule_counts_and_compares_as_it_is_written(
    data: st.DataObject, operator: str, is_share: bool
) -> None:
    kind, metric, arguments, counts = data.draw(rules_of_a_field())
    value = st.none() | st.sampled_from(VALUES[kind])
    parts = data.draw(st.lists(st.lists(value, max_size=6), min_size=1, max_size=3))
    bound = st.sampled_from([0, 1, 2, 5, 50]) if is_share else st.integers(0, 6)
    ends = [data.draw(bound)]
    if operator.endswith("Between"):
        ends.append(ends[0] + data.draw(st.integers(1, 4)))
    assume(not (operator == "mustBeLessThan" and ends == [0]))
    rule = {"metric": metric, operator: ends if len(ends) > 1 else ends[0]}
    rule |= {"arguments": arguments} if arguments else {}
    rule |= {"unit": "percent"} if is_share else {}

    found = violations(a_contract(kind, [rule]), *parts)

    numbers = [sum(map(counts, part)) for part in parts]
    count, total = sum(numbers), sum(map(len, parts))
    exact = [Fraction(end) for end in ends]
    is_tolerance = operator in ("mustBe", "mustBeLessThan", "mustBeLessOrEqualTo", "mustBeBetween")
    if is_tolerance and is_share and (operator != "mustBe" or not ends[0]) and (
        operator != "mustBeBetween" or not ends[0]
    ):  # fmt: skip
        # chance may bring more than the share into a partition
        kept = not any(
            too_many(number, len(part), ends[-1] / 100)
            for number, part in zip(numbers, parts, strict=True)
        )
    else:
        share = Fraction(100 * count, total) if is_share and total else Fraction(count)
        kept = not total or COMPARE[operator](share, exact)
    assert (found == []) == kept, [each.message for each in found]
    if found:
        assert len(found) == 1
        assert found[0].field == "it"
        assert count_in(found[0]) in (count, *numbers)


@given(data=st.data())
def test_rule_counts_every_row_that_is_such(data: st.DataObject) -> None:
    """Whatever the count is, a rule that forbids exactly it is broken, and names it."""
    kind, metric, arguments, counts = data.draw(rules_of_a_field())
    value = st.none() | st.sampled_from(VALUES[kind])
    parts = data.draw(st.lists(st.lists(value, min_size=1, max_size=8), min_size=1, max_size=3))
    count = sum(counts(each) for part in parts for each in part)
    rule = {"metric": metric} | ({"arguments": arguments} if arguments else {})
    (violation,) = violations(a_contract(kind, [{**rule, "mustNotBe": count}]), *parts)
    assert count_in(violation) == count
    kept = [{**rule, "mustBeBetween": [count, count + 1]}]
    assert violations(a_contract(kind, kept), *parts) == []


@given(
    kind=st.sampled_from(["string", "integer", "date"]),
    data=st.data(),
    fields=st.sampled_from([("it",), ("day", "it")]),
    is_unchanged=st.booleans(),
)
def test_value_that_comes_twice_counts_wherever_it_came_first(
    kind: str, data: st.DataObject, fields: tuple[str, ...], is_unchanged: bool
) -> None:
    value = st.none() | st.sampled_from(VALUES[kind])
    parts = data.draw(st.lists(st.lists(value, min_size=1, max_size=6), min_size=2, max_size=3))
    days = [data.draw(st.sampled_from(["d", "e", None])) for _ in parts]
    start, frames = 0, {}
    for number, (part, day) in enumerate(zip(parts, days, strict=True)):
        frames[f"2024-0{number + 1}"] = rows(kind, part, start, day)
        start += len(part)
    keys: Counter[Any] = Counter()
    for part, day in zip(parts, days, strict=True):
        for each in part:
            key = (each,) if len(fields) == 1 else (day, each)
            if None not in key:
                keys[key] += 1
    count = sum(number - 1 for number in keys.values())

    if len(fields) == 1:
        contract = a_contract(kind, unique=True)
    else:
        rule = {"metric": "duplicateValues", "mustBe": 0, "arguments": {"properties": fields}}
        contract = a_contract(kind, table=[rule])
    unchanged: Mapping[str, pl.LazyFrame] = {}
    if is_unchanged:
        unchanged = {"2024-01": frames.pop("2024-01").lazy()}
    found = broken(contract, frames, NOW, unchanged)
    assert [count_in(each) for each in found] == ([count] if count else [])
    if found:
        assert found[0].kind == "duplicates"
        assert found[0].message.startswith(f"{count:,} of {start:,} values of {', '.join(fields)} ")


@pytest.mark.parametrize(("operator", "ends", "good", "bad"), [
    ("mustBe", 2, [2], [1, 3]), ("mustNotBe", 2, [1, 3], [2]), ("mustNotBe", 0, [1], [0]),
    ("mustBeGreaterThan", 1, [2], [1]), ("mustBeGreaterOrEqualTo", 2, [2], [1]),
    ("mustBeLessThan", 3, [2], [3]), ("mustBeLessOrEqualTo", 2.5, [2], [3]),
    ("mustBeBetween", [2, 3], [2, 3], [1, 4]), ("mustNotBeBetween", [2, 3], [1, 4], [2, 3]),
])  # fmt: skip
@pytest.mark.parametrize("metric", ["rowCount", "countCheck"])
def test_number_of_rows_is_what_is_promised(
    metric: str, operator: str, ends: Any, good: list[int], bad: list[int]
) -> None:
    name = "rule" if metric == "countCheck" else "metric"
    contract = a_contract(table=[{name: metric, operator: ends}])
    for number in good:
        assert broken(contract, {"all": rows("string", ["a"] * number)}, NOW) == [], number
    for number in bad:
        (violation,) = broken(contract, {"all": rows("string", ["a"] * number)}, NOW)
        assert violation.kind == "volume"
        assert violation.message.startswith(f"{number} rows in all where ")


def test_two_rules_on_the_number_of_rows_hold_together() -> None:
    rules = [
        {"metric": "rowCount", "mustBeGreaterThan": 0},
        {"rule": "rowCount", "mustBeLessThan": 9},
    ]
    assert a_contract(table=rules).rows == (1, 8)
    with pytest.raises(UserError, match="contradicting rowCount: at least 10 and at most 8"):
        a_contract(table=[*rules, {"metric": "rowCount", "mustBe": 10}])


@pytest.mark.parametrize(("former", "kind", "bad"), [
    ({"rule": "nullCheck"}, "string", None), ({"rule": "notNull", "mustBe": 0}, "string", None),
    ({"rule": "nullCount", "mustBeLessThan": 1}, "string", None),
    ({"type": "library", "rule": "nullValues", "mustBe": 0}, "string", None),
    ({"rule": "missingCount", "mustBe": 0, "missingValues": ["-"]}, "string", "-"),
    ({"rule": "duplicateCount", "mustBeLessThan": 1, "unit": "rows"}, "string", "a"),
    ({"rule": "uniqueCheck"}, "string", "a"), ({"rule": "unique"}, "string", "a"),
    ({"rule": "validValues", "validValues": ["a"]}, "string", "b"),
    ({"rule": "validValues", "arguments": {"validValues": [1]}}, "integer", 2),
    ({"metric": "invalidValues", "mustBe": 0, "arguments": None, "pattern": "^a$"}, "string", "b"),
    ({"rule": "patternCheck", "pattern": "^a$"}, "string", "b"),
])  # fmt: skip
def test_rule_of_an_earlier_version_of_the_standard_is_checked(
    former: dict[str, Any], kind: str, bad: Any
) -> None:
    good = 1 if kind == "integer" else "a"
    contract = a_contract(kind, [former])
    assert violations(contract, [good]) == []
    assert [count_in(each) for each in violations(contract, [good, bad])] == [1]


def unchecked(kind: str, rule: Any) -> list[str]:
    """What is said to be not checked of a field's rule, or of a table's if it has no type."""
    found: list[str] = []
    quality = parse(f"quality: {json.dumps([rule])}", PATH).find("quality")
    assert read_rules(quality, "it", found, kind) == []
    return [each.removeprefix("quality of it: ") for each in found]


@pytest.mark.parametrize(("kind", "rule", "says"), [
    ("string", {"type": "text", "description": "Verified."}, "text"),
    ("string", {"description": "Verified."}, "text"),
    ("", {"type": "sql", "query": "SELECT 1", "mustBe": 1}, "sql"),
    ("", {"query": "SELECT 1", "mustBe": 1}, "sql"),
    ("string", {"type": "sql", "metric": "nullValues", "mustBe": 0, "query": "SELECT 1"}, "sql"),
    ("", {"type": "custom", "engine": "soda", "implementation": "x"}, "custom"),
    ("", {"engine": "soda", "implementation": {"type": "x"}}, "custom"),
    ("string", {"metric": "freshness", "mustBe": 0}, "freshness"),
    ("number", {"rule": "avg", "mustBeBetween": [1, 2]}, "avg"),
    ("string", {"metric": "rowCount", "mustBe": 1}, "rowCount of a field"),
    ("", {"metric": "nullValues", "mustBe": 0}, "nullValues of a table"),
    ("", {"metric": "duplicateValues", "mustBe": 0}, "duplicateValues without properties"),
    ("", {"metric": "duplicateValues", "mustBe": 0, "arguments": {"properties": []}},
     "duplicateValues without properties"),
    ("string", {"metric": "duplicateValues", "mustBe": 0, "arguments": {"properties": ["a"]}},
     "duplicateValues of several fields belongs to the table"),
    ("string", {"metric": "nullValues", "mustBe": 0, "unit": "euro"}, "nullValues in euro"),
    ("", {"rule": "countCheck"}, "rowCount without an operator"),
    ("string", {"rule": "validValues", "validValues": ["a"], "mustBe": 0},
     "validValues with an operator"),
    ("object", {"metric": "invalidValues", "mustBe": 0, "validValues": ["a"]},
     "invalidValues of an object"),
    ("integer", {"metric": "invalidValues", "mustBe": 0, "pattern": "1"},
     "invalidValues with a pattern where the type is integer"),
])  # fmt: skip
def test_rule_of_another_tool_is_not_checked_and_no_mistake(
    kind: str, rule: dict[str, Any], says: str
) -> None:
    assert unchecked(kind, rule) == [says]


@pytest.mark.parametrize("pattern", [r"^(?=.*\d).+$", r"(a)\1", "a{", "(", "(?<!a)b", "a{9999999}"])
def test_pattern_that_cannot_be_searched_is_not_checked(pattern: str) -> None:
    rule = {"metric": "invalidValues", "mustBe": 0, "pattern": pattern}
    (said,) = unchecked("string", rule)
    assert re.fullmatch(r"pattern \([a-z][\w ,()-]+\)", said)
    contract = a_contract(logicalTypeOptions={"pattern": pattern})
    assert violations(contract, ["x"]) == []


@pytest.mark.parametrize(("kind", "entries", "says"), [
    ("string", {"quality": [{"metric": "nullValue", "mustBe": 0}]}, "Did you mean 'nullValues'?"),
    ("string", {"quality": [{"metric": "nullValues"}]}, "nullValues needs an operator"),
    ("string", {"quality": [{"type": "library", "mustBe": 0}]}, "'metric' is missing"),
    ("string", {"quality": [{"type": "sequel", "mustBe": 0}]}, "unknown value 'sequel'"),
    ("string", {"quality": [{"metric": "nullValues", "mustBe": "few"}]}, "a number, got 'few'"),
    ("string", {"quality": [{"metric": "nullValues", "mustBeLessThan": 0}]}, "never below 0"),
    ("string", {"quality": [{"metric": "nullValues", "mustBe": -1}]}, "never below 0"),
    ("string", {"quality": [{"metric": "nullValues", "mustBeGreaterThan": 100, "unit": "percent"}]},
     "never above 100 percent"),
    ("string", {"quality": [{"metric": "nullValues", "mustBe": 101, "unit": "percent"}]},
     "must be at most 100 percent, got 101"),
    ("string", {"quality": [{"metric": "nullValues", "mustBeBetween": [2, 1]}]}, "smaller one"),
    ("string", {"enum": []}, "no value would be valid"),
    ("integer", {"enum": [{"value": 1}, {"value": "1.0"}]}, "duplicate valid value"),
    ("date", {"enum": [{"value": "yesterday"}]}, "invalid date 'yesterday'"),
    ("string", {"logicalTypeOptions": {"minLength": 3, "maxLength": 2}}, "is greater than"),
    ("string", {"logicalTypeOptions": {"minLength": -1}}, "at least 0, got -1"),
    ("number", {"logicalTypeOptions": {"multipleOf": 0}}, "must be above 0"),
    ("number", {"logicalTypeOptions": {"minimum": 2, "exclusiveMaximum": 2}}, "not less than"),
    ("date", {"logicalTypeOptions": {"minimum": "2024-01-02", "maximum": "2024-01-01"}}, "greater"),
    ("integer", {"logicalTypeOptions": {"format": "i7"}}, "unknown value 'i7'"),
    ("integer", {"logicalTypeOptions": {"minimum": "1e99999999"}}, "must be a number"),
    ("string", {"logicalTypeOptions": {"minimum": 1}}, "unknown entry"),
    ("string", {"unique": "yes"}, "unknown value 'yes'"),
])  # fmt: skip
def test_rule_that_nobody_could_keep_is_a_mistake(
    kind: str, entries: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match=re.escape(says)) as error:
        a_contract(kind, **entries)
    assert re.match(r"signals/air.yaml:\d+: ", str(error.value))
    assert "\n" not in str(error.value)


def test_field_that_a_rule_names_twice_counts_once() -> None:
    rule = {"rule": "duplicateCount", "properties": ["it", "it"]}
    contract = a_contract(table=[rule])
    assert [count_in(each) for each in violations(contract, ["a", "b", "a"])] == [1]


def test_rule_of_two_fields_names_fields_that_there_are() -> None:
    rule = {"metric": "duplicateValues", "mustBe": 0, "arguments": {"properties": ["dya", "it"]}}
    with pytest.raises(UserError, match=r"unknown field 'dya'\. Did you mean 'day'"):
        a_contract(table=[rule])


def test_tolerated_share_covers_all_the_field_says() -> None:
    options = {"maxLength": 2, "pattern": "^[a-z]*$"}
    rule = {"metric": "invalidValues", "mustBeLessOrEqualTo": 10, "unit": "percent"}
    contract = a_contract(quality=[rule], logicalTypeOptions=options)
    good = ["ab"] * 90
    assert violations(contract, [*good, *["abc"] * 5, *["A"] * 5]) == []
    found = violations(contract, [*good, *["abc"] * 40, *["A"] * 5])
    assert [each.kind for each in found] == ["length"]
    assert "; tolerated: 10 %; the worst is abc, first at row=90" in found[0].message


def test_number_of_invalid_values_is_a_bound_without_a_share() -> None:
    rule = {"metric": "invalidValues", "mustBeLessThan": 3}
    contract = a_contract(
        quality=[rule], logicalTypeOptions={"maxLength": 2, "pattern": "^[a-z]*$"}
    )
    assert violations(contract, ["abc", "A"], ["ab"]) == []
    (violation,) = violations(contract, ["ab", "A"], ["abc", "Abc"])
    assert violation.message == (
        "3 of 4 values of it (75 %) do not have at most 2 characters or do not match ^[a-z]*$ "
        "where less than 3 are expected; the worst is A, first at row=1"
    )
    assert violation.partition == "2024-01"


@pytest.mark.parametrize(("rule", "attributes"), [
    ({"metric": "nullValues", "mustBe": 0}, {"tolerated_nulls": 0.0}),
    ({"metric": "nullValues", "mustBe": 0, "unit": "percent"}, {"tolerated_nulls": 0.0}),
    ({"metric": "nullValues", "mustBeLessThan": 1, "unit": "rows"}, {"tolerated_nulls": 0.0}),
    ({"metric": "nullValues", "mustBeLessOrEqualTo": 0}, {"tolerated_nulls": 0.0}),
    ({"metric": "nullValues", "mustBeLessThan": 1, "unit": "%"}, {"tolerated_nulls": 0.01}),
    ({"metric": "nullValues", "mustBeBetween": [0, 2.5], "unit": "percent"},
     {"tolerated_nulls": 0.025}),
    ({"metric": "invalidValues", "mustBeLessThan": 5, "unit": "percent", "validValues": ["a", ""]},
     {"allowed": ("a", ""), "tolerated_invalid": 0.05}),
])  # fmt: skip
def test_share_of_nulls_or_of_listed_values_is_the_fields_own(
    rule: dict[str, Any], attributes: dict[str, Any]
) -> None:
    field = a_contract(quality=[rule]).field("it")
    assert {name: getattr(field, name) for name in attributes} == attributes
    assert field.rules == ()


def test_field_that_says_nothing_has_no_invalid_values() -> None:
    assert violations(a_contract(quality=[{"metric": "invalidValues", "mustBe": 0}]), ["a"]) == []


def test_several_rules_of_one_field_are_told_each() -> None:
    rules = [
        {"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": ["a", "b"]}},
        {"metric": "invalidValues", "mustBe": 0, "arguments": {"pattern": "^a"}},
        {"metric": "nullValues", "mustBe": 0}, {"metric": "duplicateValues", "mustBeLessThan": 1},
    ]  # fmt: skip
    found = violations(a_contract(quality=rules), ["a", "x", None], ["x"])
    assert sorted(each.kind for each in found) == ["duplicates", "nulls", "pattern", "values"]
    kinds = {each.kind: each for each in found}
    assert kinds["values"].message.endswith("; also in 2024-02")


@pytest.mark.parametrize(("operator", "kind"), list(product(sorted(COMPARE), ["object", "array"])))
def test_nulls_of_a_json_field_are_counted(operator: str, kind: str) -> None:
    ends = [1, 2] if operator.endswith("Between") else 1
    contract = a_contract(kind, [{"metric": "nullValues", operator: ends}])
    for count in range(4):
        kept = COMPARE[operator](Fraction(count), ends if isinstance(ends, list) else [ends])
        found = violations(contract, ["{}", *[None] * count])
        assert (found == []) == kept


NOTHING: dict[str, Any] = {}


UNIQUE_DAY = {"metric": "duplicateValues", "mustBe": 0, "arguments": {"properties": ["day"]}}


FEW = {"metric": "missingValues", "mustBeLessThan": 5, "unit": "percent", "missingValues": ["-"]}


@pytest.mark.parametrize(("kind", "before", "now", "levels"), [
    ("string", NOTHING, {"unique": True}, [versions.MINOR]),
    ("string", {"unique": True}, NOTHING, [versions.MAJOR]),
    ("string", NOTHING, {"logicalTypeOptions": {"pattern": "^a"}}, [versions.MINOR]),
    ("string", {"logicalTypeOptions": {"pattern": "^a"}},
     {"logicalTypeOptions": {"pattern": "^b"}}, [versions.MAJOR]),
    ("string", {"logicalTypeOptions": {"minLength": 1}},
     {"logicalTypeOptions": {"maxLength": 9}}, [versions.MAJOR, versions.MINOR]),
    ("string", NOTHING, {"logicalTypeOptions": {"format": "uuid"}}, [versions.MINOR]),
    ("number", {"logicalTypeOptions": {"minimum": 0}},
     {"logicalTypeOptions": {"exclusiveMinimum": 0}}, [versions.MAJOR, versions.MINOR]),
    ("number", {"logicalTypeOptions": {"multipleOf": 0.1}},
     {"logicalTypeOptions": {"multipleOf": 0.10}}, []),
    ("number", {"logicalTypeOptions": {"multipleOf": 0.1}},
     {"logicalTypeOptions": {"multipleOf": 0.2}}, [versions.MAJOR]),
    ("date", {"logicalTypeOptions": {"minimum": "2024-01-01"}},
     {"logicalTypeOptions": {"minimum": "2023-01-01"}}, [versions.MAJOR]),
    ("string", NOTHING, {"enum": [{"value": "a"}]}, [versions.MINOR]),
    ("string", NOTHING, {"quality": [FEW]}, [versions.MINOR]),
    ("string", {"quality": [FEW]}, {"quality": [{**FEW, "mustBeLessThan": 9}]}, []),
    ("string", {"quality": [FEW]}, {"quality": [{**FEW, "missingValues": ["?"]}]},
     [versions.MAJOR, versions.MINOR]),
    ("string", {"quality": [{"metric": "nullValues", "mustBeLessThan": 9}]},
     {"quality": [{"metric": "nullValues", "mustBeLessThan": 8}]},
     [versions.MAJOR, versions.MINOR]),
    ("string", NOTHING, {"table": [UNIQUE_DAY]}, [versions.MINOR]),
    ("string", {"table": [UNIQUE_DAY]}, NOTHING, [versions.MAJOR]),
    ("string", NOTHING, {"quality": [{"type": "sql", "query": "SELECT 1"}]}, []),
])  # fmt: skip
def test_rule_that_is_another_asks_for_a_version(
    kind: str, before: dict[str, Any], now: dict[str, Any], levels: list[int]
) -> None:
    changes = versions.changes(a_contract(kind, **before), a_contract(kind, **now))
    assert [change.level for change in changes] == levels


def test_delivery_that_breaks_rules_is_held_with_each_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = build(tmp_path / "project").enter(monkeypatch)
    path = project.contract("shops")
    for old, new in (
        ("logicalType: string,", "logicalType: string, logicalTypeOptions: {minLength: 2},"),
        ("logicalType: date", "logicalType: date, logicalTypeOptions: {minimum: 2021-01-01}"),
        ("logicalType: integer", ("logicalType: integer, logicalTypeOptions: {multipleOf: 5}, "
         "quality: [{metric: nullValues, mustBe: 0}, {type: sql, query: SELECT 1}]")),
        ("  - name: shops\n", ("  - name: shops\n    quality:\n"
         "      - {metric: duplicateValues, mustBe: 0, arguments: {properties: [opened, size]}}\n"
         "      - {metric: duplicateValues, mustBe: 1, arguments: {properties: [opened]}}\n"
         "      - {metric: rowCount, mustNotBe: 2}\n")),
    ):  # fmt: skip
        replace(path, old, new)
    contract = read_contracts(project.root)["shops"]
    outcome = ingest_signals([contract], None, NOW)["shops"]
    assert isinstance(outcome, Hold)
    assert [violation.message for violation in outcome.violations] == [
        (
            "2 of 2 values of shop (100 %) do not have at least 2 characters; the worst is a, "
            "first at shop=a"
        ),
        (
            "1 of 2 values of opened (50 %) are not at least 2021-01-01; the worst is 2020-05-01, "
            "first at shop=a"
        ),
        "1 of 2 values of size (50 %) have no value, first at shop=b",
        "1 of 2 values of size (50 %) are not multiples of 5; the worst is 12, first at shop=a",
        "2 rows in all where any number but 2 are expected",
        "0 of 2 values of opened (0 %) repeat an earlier one where exactly 1 are expected",
    ]
