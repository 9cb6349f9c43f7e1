"""What `logicalTypeOptions` and `enum` say of values, and what a value that breaks it is told."""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.odcs.type_options import read_options
from ml_experiment_runner.signals.odcs.yaml_document import parse
from support.rule_contract import PATH, VALUES, a_contract, count_in, violations, written

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
    found = violations(contract, values)
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
    found = violations(a_contract(kind, logicalTypeOptions={"multipleOf": float(step)}), values)
    assert [count_in(each) for each in found] == ([count] if count else [])


def test_number_without_end_is_no_multiple() -> None:
    contract = a_contract("number", logicalTypeOptions={"multipleOf": 0.1})
    (violation,) = violations(contract, [0.3, 0.1 + 0.2, 1e22, None, float("inf")])
    assert violation.message == (
        "2 of 5 values of it (40 %) are not multiples of 0.1; the worst is 0.3, first at row=1"
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
    found = violations(a_contract(logicalTypeOptions=options), texts)
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
    found = violations(contract, texts)
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
    assert violations(contract, [*found, None]) == []
    for text in not_found:
        assert [each.kind for each in violations(contract, [text])] == ["pattern"], text


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
    assert violations(contract, [*good, None]) == []
    for text in bad:
        (violation,) = violations(contract, [*good, text])
        assert (violation.kind, count_in(violation)) == ("format", 1), text


@pytest.mark.parametrize("bits", [8, 16, 32, 64, 128])
@pytest.mark.parametrize("sign", ["i", "u"])
def test_whole_number_that_does_not_fit_its_format_is_a_breach(sign: str, bits: int) -> None:
    least = 0 if sign == "u" else -(2 ** (bits - 1))
    most = 2**bits - 1 if sign == "u" else 2 ** (bits - 1) - 1
    contract = a_contract("integer", logicalTypeOptions={"format": f"{sign}{bits}"})
    ends = [max(least, -(2**63)), min(most, 2**63 - 1)]
    assert violations(contract, ends) == []
    beyond = [each for each in (least - 1, most + 1) if -(2**63) <= each < 2**63]
    found = violations(contract, [*ends, *beyond])
    assert [count_in(each) for each in found] == ([len(beyond)] if beyond else [])


@pytest.mark.parametrize("kind", sorted(set(VALUES) - {"boolean"}))
@pytest.mark.parametrize("place", ["enum", "rule"])
def test_value_that_no_enum_lists_is_a_breach(kind: str, place: str) -> None:
    known, other = VALUES[kind][:2]
    texts = [written(known)]
    contract = {
        "enum": lambda: a_contract(kind, enum=[{"value": text, "label": "One"} for text in texts]),
        "rule": lambda: a_contract(kind, [{"rule": "validValues", "validValues": texts}]),
    }[place]()
    assert violations(contract, [known, None]) == []
    (violation,) = violations(contract, [known, other, other, None])
    assert (violation.kind, count_in(violation)) == ("values", 2)


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
    (violation,) = violations(contract, [value, value])
    told = violation.message.replace("one of secret", "")  # what the contract itself says
    assert str(value) not in told.replace(",", "")
    assert "a classified value" in told


@pytest.mark.parametrize("text", ["x" * 5000, "a\nb\tc", ""])
def test_value_in_a_message_fits_into_a_line(text: str) -> None:
    (violation,) = violations(a_contract(logicalTypeOptions={"pattern": "^y+$"}), [text])
    assert len(violation.message) < 200
    assert violation.message.isprintable()
    assert "the worst is , first" not in violation.message


def test_bound_without_an_offset_is_of_the_contracts_time_zone() -> None:
    contract = a_contract("timestamp", logicalTypeOptions={"minimum": "2024-01-01"})
    before = datetime(2023, 12, 31, 22, 59, tzinfo=UTC)
    assert violations(contract, [before + timedelta(minutes=1)]) == []
    (violation,) = violations(contract, [before])
    assert "are not at least 2024-01-01; the worst is 2023-12-31 23:59" in violation.message
    exact = a_contract("timestamp", logicalTypeOptions={"exclusiveMaximum": "2024-01-01T00:00Z"})
    assert len(violations(exact, [datetime(2024, 1, 1, tzinfo=UTC)])) == 1


@pytest.mark.parametrize(("flag", "value", "is_kept"), [
    (True, 5, False), (False, 5, True), (True, 6, True),
])  # fmt: skip
def test_exclusive_bound_may_be_a_flag_as_in_v3_0(flag: bool, value: int, is_kept: bool) -> None:
    for kind in ("integer", "number"):
        options = {"minimum": 5, "exclusiveMinimum": flag}
        found = violations(a_contract(kind, logicalTypeOptions=options), [value])
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
    ("timestamp", {"timezone": True}, "timezone of it"),
    ("object", {"minProperties": 1}, "minProperties of it"),
    ("array", {"uniqueItems": True}, "uniqueItems of it"),
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


@pytest.mark.parametrize(
    "form", ["yyyy-MM-dd VV", "QQ yyyy", "HH", "hh:mm", "dd/MM", "'a", "yyyyy", "nonsense!!"]
)
def test_unreadable_format_of_dates_is_told_with_contract(form: str) -> None:
    with pytest.raises(UserError, match=r"air\.yaml:\d+: the format of \w+ cannot be read"):
        a_contract("timestamp", logicalTypeOptions={"format": form})


@pytest.mark.parametrize("form", ["date", "date-time", "datetime", "ISO8601", "iso-8601"])
def test_words_for_iso_8601_are_no_pattern(form: str) -> None:
    contract = a_contract("timestamp", logicalTypeOptions={"format": form})
    assert contract.fields[-1].format is None
