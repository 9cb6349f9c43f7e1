"""The rules of ODCS: what a contract says of values, and what a delivery that breaks it is told."""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from runner.errors import UserError
from runner.holds import Breach
from runner.signals import versions
from runner.signals.checks import DTYPES
from runner.signals.contract import Contract
from runner.signals.contract_file import contract_of
from runner.signals.document import parse
from runner.signals.quality import read_rules
from runner.signals.rules import broken
from runner.signals.tolerance import too_many
from runner.signals.type_options import read_options

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
PATH = Path("signals/air.yaml")
HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: air
version: 1.0.0
status: active
team: {name: Weather desk}
support: [{channel: desk, url: "mailto:desk@example.com"}]
servers: [{server: source, type: local, path: air.csv, format: csv}]
customProperties: [{property: timeZone, value: Europe/Paris}]
"""
COMPARE: dict[str, Callable[[Fraction, Sequence[Fraction]], bool]] = {
    "mustBe": lambda value, ends: value == ends[0],
    "mustNotBe": lambda value, ends: value != ends[0],
    "mustBeGreaterThan": lambda value, ends: value > ends[0],
    "mustBeGreaterOrEqualTo": lambda value, ends: value >= ends[0],
    "mustBeLessThan": lambda value, ends: value < ends[0],
    "mustBeLessOrEqualTo": lambda value, ends: value <= ends[0],
    "mustBeBetween": lambda value, ends: ends[0] <= value <= ends[1],
    "mustNotBeBetween": lambda value, ends: not ends[0] <= value <= ends[1],
}


def a_contract(
    kind: str = "string", quality: Any = (), table: Any = (), **entries: Any
) -> Contract:
    """A contract with a key and the field `it`; JSON is YAML."""
    it = {"name": "it", "logicalType": kind, "quality": list(quality), **entries}
    keys = [
        {"name": "row", "logicalType": "integer", "primaryKey": True},
        {"name": "day", "logicalType": "string"},
    ]
    schema = [{"name": "air", "quality": list(table), "properties": [*keys, it]}]
    return contract_of(parse(f"{HEAD}schema: {json.dumps(schema)}\n", PATH), PATH)


def rows(kind: str, values: Sequence[Any], start: int = 0, day: str | None = "d") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "row": pl.Series(range(start, start + len(values)), dtype=pl.Int64),
            "day": pl.Series([day] * len(values), dtype=pl.String),
            "it": pl.Series(values, dtype=DTYPES[kind]),
        }
    )


def breaches(contract: Contract, *parts: Sequence[Any]) -> list[Breach]:
    """Those of a delivery of these partitions."""
    kind, start, delivery = contract.field("it").type, 0, {}
    for number, values in enumerate(parts):
        delivery[f"2024-0{number + 1}"] = rows(kind, values, start)
        start += len(values)
    return broken(contract, delivery, NOW)


def count_in(breach: Breach) -> int:
    found = re.match(r"([\d,]+) of [\d,]+ values of ", breach.message)
    assert found, breach.message
    return int(found[1].replace(",", ""))


TEXTS = ["", " ", "a", "A1", "N/A", "é", "a\nb", "12"]
VALUES: dict[str, list[Any]] = {
    "string": TEXTS,
    "integer": [-3, -1, 0, 1, 2, 9, 2**62],
    "number": [-0.3, 0.1, 0.5, 1.0, 9.9, float("inf"), float("-inf")],
    "boolean": [True, False],
    "date": [date(1, 1, 1), date(2024, 1, 1), date(2024, 2, 29), date(9999, 12, 31)],
    "timestamp": [datetime(2023, 12, 31, 23, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)],
    "time": [time(0), time(8, 30), time(23, 59, 59)],
}


def written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date | time) else str(value)


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

    found = breaches(a_contract(kind, [rule]), *parts)

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
    (breach,) = breaches(a_contract(kind, [{**rule, "mustNotBe": count}]), *parts)
    assert count_in(breach) == count
    kept = [{**rule, "mustBeBetween": [count, count + 1]}]
    assert breaches(a_contract(kind, kept), *parts) == []


BOUNDS: dict[str, Callable[[Any, Any], bool]] = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
    "exclusiveMaximum": lambda value, bound: value < bound,
}
ORDERED: dict[str, tuple[st.SearchStrategy[Any], st.SearchStrategy[Any]]] = {
    # values, and bounds
    "integer": (
        st.integers(-3, 3) | st.sampled_from([-(2**63), 2**63 - 1, 2**53 + 1]),
        st.integers(-4, 4)
        | st.sampled_from([-(2**63), 2**63, -(10**30), 10**30, 2**53 + 1, 2**53, 0.5, -1.5]),
    ),
    "number": (
        st.sampled_from([-1.5, -1, 0, 0.1, 0.3, 1.5, float("inf"), float("-inf"), 1e300]),
        st.sampled_from([-1.5, 0, 0.1, 0.3, 1.5, 1e300]),
    ),
    "date": (
        st.dates(date(2023, 12, 30), date(2024, 1, 3)),
        st.dates(date(2023, 12, 30), date(2024, 1, 3)),
    ),
    "timestamp": (
        st.datetimes(datetime(2023, 12, 31), datetime(2024, 1, 2), timezones=st.just(UTC)),
        st.sampled_from([datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in (0, 6, 23)]),
    ),
    "time": (st.times(), st.times()),
}


@given(data=st.data(), kind=st.sampled_from(sorted(ORDERED)))
def test_value_beyond_a_bound_is_a_breach_and_any_other_is_not(
    data: st.DataObject, kind: str
) -> None:
    of_values, of_bounds = ORDERED[kind]
    values = data.draw(st.lists(st.none() | of_values, min_size=1, max_size=8))
    options = data.draw(st.dictionaries(st.sampled_from(sorted(BOUNDS)), of_bounds, min_size=1))
    bounds = {name: written(bound) if kind in ("date", "timestamp", "time") else bound
              for name, bound in options.items()}  # fmt: skip
    try:
        contract = a_contract(kind, logicalTypeOptions=bounds)
    except UserError:  # no value lies between
        lows = [bound for name, bound in options.items() if "inimum" in name]
        highs = [bound for name, bound in options.items() if "aximum" in name]
        if kind == "integer":
            near = {round(bound) + step for bound in options.values() for step in (-1, 0, 1)}
            assert not any(
                all(BOUNDS[name](each, bound) for name, bound in options.items()) for each in near
            )
        else:
            assert max(lows) >= min(highs)
        return
    count = sum(
        value is not None and not all(BOUNDS[name](value, bound) for name, bound in options.items())
        for value in values
    )
    found = breaches(contract, values)
    assert [count_in(each) for each in found] == ([count] if count else [])


@given(
    step=st.decimals("0.01", "12", places=2) | st.integers(1, 20).map(Decimal),
    values=st.lists(
        st.decimals("-9999", "9999", places=3).map(float) | st.integers(-999, 999).map(float),
        min_size=1, max_size=8,
    ),
    times=st.lists(st.integers(-9999, 9999), max_size=4),
    is_whole=st.booleans(),
)  # fmt: skip
def test_multiple_is_told_as_people_write_numbers(
    step: Decimal, values: list[float], times: list[int], is_whole: bool
) -> None:
    values = [*values, *(float(step * each) for each in times)]
    if is_whole:
        values = [int(value) for value in values]
    count = sum(Decimal(repr(value)) % step != 0 for value in values)
    kind = "integer" if is_whole else "number"
    found = breaches(a_contract(kind, logicalTypeOptions={"multipleOf": float(step)}), values)
    assert [count_in(each) for each in found] == ([count] if count else [])


def test_number_without_end_is_no_multiple() -> None:
    contract = a_contract("number", logicalTypeOptions={"multipleOf": 0.1})
    (breach,) = breaches(contract, [0.3, 0.1 + 0.2, 1e22, None, float("inf")])
    assert breach.message == (
        "2 of 5 values of it (40 %) are no multiples of 0.1; the worst is 0.3, first at row=1"
    )


@given(
    texts=st.lists(
        st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
        min_size=1,
        max_size=8,
    ),
    least=st.none() | st.integers(0, 3),
    more=st.none() | st.integers(0, 3),
)
def test_text_that_is_too_short_or_too_long_is_a_breach(
    texts: list[str | None], least: int | None, more: int | None
) -> None:
    most = None if more is None else (least or 0) + more
    lengths = {"minLength": least, "maxLength": most}
    options = {name: length for name, length in lengths.items() if length is not None}
    count = sum(
        text is not None and not (least or 0) <= len(text) <= (99 if most is None else most)
        for text in texts
    )
    found = breaches(a_contract(logicalTypeOptions=options), texts)
    assert [count_in(each) for each in found] == ([count] if count else [])


PARTS = [
    *(r"\d", r"\D", r"\w+", r"\W", r"\bA", "[a-c]", r"[^\d_]", r"[\w-]", "[[]", "[]x]?", "[&~-]"),
    *("a|b", "(?:ab)+", "é", r"\.", r"\/", ".", "x?", "a{1,2}", "(b)", "^", "$", r"[\]a]", "[a--]"),
]


@pytest.mark.filterwarnings("ignore:Possible:FutureWarning")
@given(
    parts=st.lists(st.sampled_from(PARTS), min_size=1, max_size=4),
    texts=st.lists(st.text("abAé٣_1[]&~-./x\n \u2028", max_size=5), min_size=1, max_size=8),
)
def test_pattern_is_searched_as_the_standard_reads_it(parts: list[str], texts: list[str]) -> None:
    pattern = "".join(parts)
    try:
        # as ECMA-262: ASCII classes, an end that is one, a dot that is no end of a line
        python = pattern.replace("$", r"\Z")
        python = re.sub(r"(?<!\\)\.(?![^\[]*\])", lambda _: r"[^\n\r\u2028\u2029]", python)
        reference = re.compile(python, re.ASCII)
    except re.error:
        assume(False)
    contract = a_contract(logicalTypeOptions={"pattern": pattern})
    assert contract.field("it").pattern == pattern
    count = sum(reference.search(text) is None for text in texts)
    found = breaches(contract, texts)
    assert [count_in(each) for each in found] == ([count] if count else [])


@pytest.mark.parametrize(("pattern", "found", "not_found"), [
    ("^.$", ["a", "é", " "], ["\n", "\r", "\u2028", "\u2029", ""]),
    ("^[.]$", ["."], ["a"]), ("^[a&&b]$", ["a", "b", "&"], ["c"]),
    ("^[a~~b]$", ["a", "b", "~"], ["c"]), ("^[!--b]$", ["!", "+", "-", "b"], ["c", "."]),
    ("^[[a]$", ["[", "a"], ["]"]), ("^[^[]$", ["a", "]"], ["["]),
    (r"\bA", ["A", "éA", "-A"], ["aA", "_A", "1A"]), (r"^\d$", ["1"], ["٣", "a"]),
    (r"^[\d]$", ["1"], ["٣"]), (r"^\w$", ["a", "_"], ["é", "-"]), (r"^[^\w]$", ["é"], ["a"]),
    ("a$", ["a", "ba"], ["a\n", "ab"]), ("b", ["abc"], ["ac"]), ("", ["", "a"], []),
    (r"^\/\.$", ["/."], ["/a"]),
    (r"^\u00e9$", ["é"], ["e"]), ("^(?<year>\\d{4})", ["2024"], ["24"]),
])  # fmt: skip
def test_pattern_finds_what_ecma_262_finds(
    pattern: str, found: list[str], not_found: list[str]
) -> None:
    contract = a_contract(logicalTypeOptions={"pattern": pattern})
    assert breaches(contract, [*found, None]) == []
    for text in not_found:
        assert [each.kind for each in breaches(contract, [text])] == ["pattern"], text


FORMATS = {
    "uuid": (["123e4567-e89b-12d3-A456-426614174000"], ["123e4567e89b12d3a456426614174000", ""]),
    "email": (["a@example.com", "a.b+c@localhost"], ["a", "a@", "@b", "a b@c", "a@b..c", "a@b@c"]),
    "uri": (["https://example.com/?q=1", "urn:isbn:1"], ["example.com", "/path", "https://a b"]),
    "hostname": (["example.com", "a", "x-1.y"], ["-a.com", "a-.com", "a..b", "a_b", "a" * 64, ""]),
    "ipv4": (["0.0.0.0", "255.249.199.9"], ["256.1.1.1", "1.1.1", "1.1.1.1.1", "1.1.1.1.", "01x"]),
}


@pytest.mark.parametrize("form", sorted(FORMATS))
def test_text_of_another_format_is_a_breach(form: str) -> None:
    good, bad = FORMATS[form]
    contract = a_contract(logicalTypeOptions={"format": form})
    assert breaches(contract, [*good, None]) == []
    for text in bad:
        (breach,) = breaches(contract, [*good, text])
        assert (breach.kind, count_in(breach)) == ("format", 1), text


@pytest.mark.parametrize("bits", [8, 16, 32, 64, 128])
@pytest.mark.parametrize("sign", ["i", "u"])
def test_whole_number_that_does_not_fit_its_format_is_a_breach(sign: str, bits: int) -> None:
    least = 0 if sign == "u" else -(2 ** (bits - 1))
    most = 2**bits - 1 if sign == "u" else 2 ** (bits - 1) - 1
    contract = a_contract("integer", logicalTypeOptions={"format": f"{sign}{bits}"})
    ends = [max(least, -(2**63)), min(most, 2**63 - 1)]
    assert breaches(contract, ends) == []
    beyond = [each for each in (least - 1, most + 1) if -(2**63) <= each < 2**63]
    found = breaches(contract, [*ends, *beyond])
    assert [count_in(each) for each in found] == ([len(beyond)] if beyond else [])


@pytest.mark.parametrize("kind", sorted(set(VALUES) - {"boolean"}))
@pytest.mark.parametrize("place", ["enum", "logicalTypeOptions", "rule"])
def test_value_that_no_enum_lists_is_a_breach(kind: str, place: str) -> None:
    known, other = VALUES[kind][:2]
    texts = [written(known)]
    contract = {
        "enum": lambda: a_contract(kind, enum=[{"value": text, "label": "One"} for text in texts]),
        "logicalTypeOptions": lambda: a_contract(kind, logicalTypeOptions={"enum": texts}),
        "rule": lambda: a_contract(kind, [{"rule": "validValues", "validValues": texts}]),
    }[place]()
    assert breaches(contract, [known, None]) == []
    (breach,) = breaches(contract, [known, other, other, None])
    assert (breach.kind, count_in(breach)) == ("values", 2)


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
        (breach,) = broken(contract, {"all": rows("string", ["a"] * number)}, NOW)
        assert breach.kind == "volume"
        assert breach.message.startswith(f"{number} rows in all where ")


def test_two_rules_on_the_number_of_rows_hold_together() -> None:
    rules = [
        {"metric": "rowCount", "mustBeGreaterThan": 0},
        {"rule": "rowCount", "mustBeLessThan": 9},
    ]
    assert a_contract(table=rules).rows == (1, 8)
    with pytest.raises(UserError, match="no number is at least 10 and at most 8"):
        a_contract(table=[*rules, {"metric": "rowCount", "mustBe": 10}])


@pytest.mark.parametrize(("former", "kind", "bad"), [
    ({"rule": "nullCheck"}, "string", None), ({"rule": "notNull", "mustBe": 0}, "string", None),
    ({"rule": "nullCount", "mustBeLessThan": 1}, "string", None),
    ({"type": "library", "rule": "nullValues", "mustBe": 0}, "string", None),
    ({"rule": "missingCount", "mustBe": 0, "missingValues": ["-"]}, "string", "-"),
    ({"rule": "duplicateCount", "mustBeLessThan": 1, "unit": "rows"}, "string", "a"),
    ({"rule": "uniqueCheck"}, "string", "a"), ({"rule": "unique"}, "string", "a"),
    ({"type": "default", "rule": "validValues", "validValues": ["a"]}, "string", "b"),
    ({"rule": "validValues", "arguments": {"validValues": [1]}}, "integer", 2),
    ({"metric": "invalidValues", "mustBe": 0, "arguments": None, "pattern": "^a$"}, "string", "b"),
    ({"rule": "patternCheck", "pattern": "^a$"}, "string", "b"),
])  # fmt: skip
def test_rule_of_an_earlier_version_of_the_standard_is_checked(
    former: dict[str, Any], kind: str, bad: Any
) -> None:
    good = 1 if kind == "integer" else "a"
    contract = a_contract(kind, [former])
    assert breaches(contract, [good]) == []
    assert [count_in(each) for each in breaches(contract, [good, bad])] == [1]


def unchecked(kind: str, rule: Any) -> list[str]:
    """What is said to be not checked of a field's rule, or of a table's if it has no type."""
    found: list[str] = []
    quality = parse(f"quality: {json.dumps([rule])}", PATH).find("quality")
    assert read_rules(quality, "it", found, kind) == ()
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
    ("string", {"metric": "duplicateValues", "mustBe": 0, "arguments": {"properties": ["a"]}},
     "duplicateValues of several fields belongs to the table"),
    ("string", {"metric": "nullValues", "mustBe": 0, "unit": "euro"}, "nullValues in euro"),
    ("", {"rule": "countCheck"}, "rowCount without an operator"),
    ("string", {"rule": "validValues", "validValues": ["a"], "mustBe": 0},
     "validValues with an operator"),
    ("object", {"metric": "invalidValues", "mustBe": 0, "validValues": ["a"]},
     "invalidValues of an object"),
    ("integer", {"metric": "invalidValues", "mustBe": 0, "pattern": "1"}, "pattern of a integer"),
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
    assert breaches(contract, ["x"]) == []


@pytest.mark.parametrize(("kind", "entries", "says"), [
    ("string", {"quality": [{"metric": "nullValue", "mustBe": 0}]}, "Did you mean 'nullValues'?"),
    ("string", {"quality": [{"metric": "nullValues"}]}, "nullValues needs an operator"),
    ("string", {"quality": [{"type": "library", "mustBe": 0}]}, "'metric' is missing"),
    ("string", {"quality": [{"type": "sequel", "mustBe": 0}]}, "'sequel' is no choice"),
    ("string", {"quality": [{"metric": "nullValues", "mustBe": "few"}]}, "'few' is no number"),
    ("string", {"quality": [{"metric": "nullValues", "mustBeLessThan": 0}]}, "never below 0"),
    ("string", {"quality": [{"metric": "nullValues", "mustBe": -1}]}, "never below 0"),
    ("string", {"quality": [{"metric": "nullValues", "mustBeGreaterThan": 100, "unit": "percent"}]},
     "never above 100 percent"),
    ("string", {"quality": [{"metric": "nullValues", "mustBe": 101, "unit": "percent"}]},
     "101 percent is more than all rows"),
    ("string", {"quality": [{"metric": "nullValues", "mustBeBetween": [2, 1]}]}, "smaller one"),
    ("string", {"enum": []}, "no value could be valid"),
    ("integer", {"enum": [{"value": 1}, {"value": "1.0"}]}, "stands twice"),
    ("date", {"enum": [{"value": "yesterday"}]}, "'yesterday' is no date"),
    ("string", {"logicalTypeOptions": {"minLength": 3, "maxLength": 2}}, "is greater than"),
    ("string", {"logicalTypeOptions": {"minLength": -1}}, "at least 0, got -1"),
    ("number", {"logicalTypeOptions": {"multipleOf": 0}}, "must be above 0"),
    ("number", {"logicalTypeOptions": {"minimum": 2, "exclusiveMaximum": 2}}, "not less than"),
    ("date", {"logicalTypeOptions": {"minimum": "2024-01-02", "maximum": "2024-01-01"}}, "greater"),
    ("integer", {"logicalTypeOptions": {"format": "i7"}}, "'i7' is no choice"),
    ("integer", {"logicalTypeOptions": {"minimum": "1e99999999"}}, "is no number"),
    ("boolean", {"logicalTypeOptions": {"minimum": 1}}, "unknown entry"),
    ("string", {"unique": "yes"}, "'yes' is no choice"),
])  # fmt: skip
def test_rule_that_nobody_could_keep_is_a_mistake(
    kind: str, entries: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match=re.escape(says)) as error:
        a_contract(kind, **entries)
    assert re.match(r"signals/air.yaml:\d+: ", str(error.value))
    assert "\n" not in str(error.value)


def test_rule_of_two_fields_names_fields_that_there_are() -> None:
    rule = {"metric": "duplicateValues", "mustBe": 0, "arguments": {"properties": ["dya", "it"]}}
    with pytest.raises(UserError, match=r"there is no field 'dya'\. Did you mean 'day'"):
        a_contract(table=[rule])


def test_share_that_is_tolerated_covers_all_that_the_field_says_of_its_values() -> None:
    options = {"maxLength": 2, "pattern": "^[a-z]*$"}
    rule = {"metric": "invalidValues", "mustBeLessOrEqualTo": 10, "unit": "percent"}
    contract = a_contract(quality=[rule], logicalTypeOptions=options)
    good = ["ab"] * 90
    assert breaches(contract, [*good, *["abc"] * 5, *["A"] * 5]) == []
    found = breaches(contract, [*good, *["abc"] * 40, *["A"] * 5])
    assert [each.kind for each in found] == ["length"]
    assert "; tolerated are 10 %; the worst is abc, first at row=90" in found[0].message


def test_number_of_invalid_values_is_the_bound_where_no_share_is() -> None:
    rule = {"metric": "invalidValues", "mustBeLessThan": 3}
    contract = a_contract(
        quality=[rule], logicalTypeOptions={"maxLength": 2, "pattern": "^[a-z]*$"}
    )
    assert breaches(contract, ["abc", "A"], ["ab"]) == []
    (breach,) = breaches(contract, ["ab", "A"], ["abc", "Abc"])
    assert breach.message == (
        "3 of 4 values of it (75 %) have not at most 2 characters or do not match ^[a-z]*$ where "
        "less than 3 are promised; the worst is A, first at row=1"
    )
    assert breach.partition == "2024-01"


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


@pytest.mark.parametrize(("options", "bounds"), [
    ({"minimum": -1.5, "maximum": 1.5}, (-1, 1)), ({"minimum": 0.5}, (1, None)),
    ({"exclusiveMinimum": -1.5, "exclusiveMaximum": 1.5}, (-1, 1)),
    ({"minimum": 2**53 + 1, "maximum": 1e20}, (2**53 + 1, 10**20)),
    ({"exclusiveMinimum": 0, "minimum": 5}, (5, None)), ({"format": "i8", "maximum": 5}, (-128, 5)),
    ({}, (None, None)),
])  # fmt: skip
def test_bounds_of_whole_numbers_are_whole(
    options: dict[str, Any], bounds: tuple[int | None, int | None]
) -> None:
    field = a_contract("integer", logicalTypeOptions=options).field("it")
    assert (field.minimum, field.maximum) == bounds


def test_invalid_values_of_a_field_that_says_nothing_are_not_checked() -> None:
    assert breaches(a_contract(quality=[{"metric": "invalidValues", "mustBe": 0}]), ["a"]) == []


SECRET = [
    ({"logicalTypeOptions": {"maxLength": 2}}, "string", "secret"),
    ({"logicalTypeOptions": {"pattern": "^x"}}, "string", "secret"),
    ({"logicalTypeOptions": {"format": "uuid"}}, "string", "secret"),
    ({"logicalTypeOptions": {"multipleOf": 2}}, "integer", 4_711),
    ({"logicalTypeOptions": {"exclusiveMaximum": 2}}, "integer", 4_711),
    ({"enum": [{"value": "x"}]}, "string", "secret"),
    ({"unique": True}, "string", "secret"),
    ({"quality": [{"metric": "missingValues", "mustBe": 0, "missingValues": ["secret"]}]},
     "string", "secret"),
]  # fmt: skip


@pytest.mark.parametrize(("entries", "kind", "value"), SECRET)
def test_classified_value_is_never_told(entries: dict[str, Any], kind: str, value: Any) -> None:
    contract = a_contract(kind, classification="restricted", **entries)
    (breach,) = breaches(contract, [value, value])
    told = breach.message.replace("one of secret", "")  # what the contract itself says
    assert str(value) not in told.replace(",", "")
    assert "a classified value" in told


@pytest.mark.parametrize("text", ["x" * 5000, "a\nb\tc", ""])
def test_value_in_a_message_fits_into_a_line(text: str) -> None:
    (breach,) = breaches(a_contract(logicalTypeOptions={"pattern": "^y+$"}), [text])
    assert len(breach.message) < 200
    assert breach.message.isprintable()
    assert "the worst is , first" not in breach.message


def test_bound_without_an_offset_is_of_the_contracts_time_zone() -> None:
    contract = a_contract("timestamp", logicalTypeOptions={"minimum": "2024-01-01"})
    before = datetime(2023, 12, 31, 22, 59, tzinfo=UTC)
    assert breaches(contract, [before + timedelta(minutes=1)]) == []
    (breach,) = breaches(contract, [before])
    assert "are not at least 2024-01-01; the worst is 2023-12-31 23:59" in breach.message
    exact = a_contract("timestamp", logicalTypeOptions={"exclusiveMaximum": "2024-01-01T00:00Z"})
    assert len(breaches(exact, [datetime(2024, 1, 1, tzinfo=UTC)])) == 1


@pytest.mark.parametrize(("flag", "value", "is_kept"), [
    (True, 5, False), (False, 5, True), (True, 6, True),
])  # fmt: skip
def test_exclusive_bound_may_be_a_flag_as_in_v3_0(flag: bool, value: int, is_kept: bool) -> None:
    for kind in ("integer", "number"):
        options = {"minimum": 5, "exclusiveMinimum": flag}
        found = breaches(a_contract(kind, logicalTypeOptions=options), [value])
        assert (found == []) == is_kept


@pytest.mark.parametrize(("kind", "option", "bound"), [
    ("date", "minimum", "now"), ("date", "exclusiveMaximum", "2024-01-01T00:00:00Z"),
    ("timestamp", "maximum", "01/02/2024"), ("time", "minimum", "08:00Z"),
])  # fmt: skip
def test_bound_that_is_no_time_is_not_checked(kind: str, option: str, bound: str) -> None:
    found: list[str] = []
    options = parse(f"options: {json.dumps({option: bound})}", PATH).find("options")
    assert read_options(options, None, kind, "it", found) == {}
    assert found == [f"{option} of it: '{bound}'"]


@pytest.mark.parametrize(("kind", "options", "says"), [
    ("string", {"format": "password"}, "format of it: password"),
    ("string", {"pattern": "(?=a)"}, "pattern of it (look-around, including"),
    ("number", {"format": "f32"}, "format of it"), ("number", {"multipleOf": 1e-20}, "multipleOf"),
    ("integer", {"exclusiveMinimum": True}, "exclusiveMinimum of it without a minimum"),
    ("timestamp", {"defaultTimezone": "Etc/UTC"}, "defaultTimezone of it"),
    ("object", {"minProperties": 1}, "minProperties of it"),
    ("array", {"uniqueItems": True}, "uniqueItems of it"), ("array", {"enum": ["a"]}, "enum of it"),
])  # fmt: skip
def test_option_that_is_not_checked_is_listed_and_no_mistake(
    kind: str, options: dict[str, Any], says: str
) -> None:
    found: list[str] = []
    entry = parse(f"options: {json.dumps(options)}", PATH).find("options")
    read_options(entry, None, kind, "it", found)
    assert len(found) == 1
    assert found[0].startswith(says)
    a_contract(kind, logicalTypeOptions=options)


def test_several_rules_of_one_field_are_told_each() -> None:
    rules = [
        {"metric": "invalidValues", "mustBe": 0, "arguments": {"validValues": ["a", "b"]}},
        {"metric": "invalidValues", "mustBe": 0, "arguments": {"pattern": "^a"}},
        {"metric": "nullValues", "mustBe": 0}, {"metric": "duplicateValues", "mustBeLessThan": 1},
    ]  # fmt: skip
    found = breaches(a_contract(quality=rules), ["a", "x", None], ["x"])
    assert sorted(each.kind for each in found) == ["duplicates", "nulls", "pattern", "values"]
    kinds = {each.kind: each for each in found}
    assert kinds["values"].message.endswith("; also in 2024-02")


@pytest.mark.parametrize(("operator", "kind"), list(product(sorted(COMPARE), ["object", "array"])))
def test_nulls_of_a_json_field_are_counted(operator: str, kind: str) -> None:
    ends = [1, 2] if operator.endswith("Between") else 1
    contract = a_contract(kind, [{"metric": "nullValues", operator: ends}])
    for count in range(4):
        kept = COMPARE[operator](Fraction(count), ends if isinstance(ends, list) else [ends])
        found = breaches(contract, ["{}", *[None] * count])
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
