"""Contracts as producers write them: the standard's versions, servers, rules and people.

The first line of each file in `contracts/` says what has to come of it.
"""

import re
import string
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.contract.contract_file import contract_of
from ml_experiment_runner.signals.contract.physical_types import logical_type
from ml_experiment_runner.signals.odcs import standard, yaml_limits
from ml_experiment_runner.signals.odcs.reading import IGNORED
from ml_experiment_runner.signals.odcs.yaml_document import SHOWN, parse, read

FOLDER = Path(__file__).with_name("contracts")
TAKEN = sorted(path.stem for path in FOLDER.glob("*.yaml") if not path.stem.startswith("refused"))
REFUSED = sorted(path.stem for path in FOLDER.glob("refused_*.yaml"))
PATH = Path("signals/orders.yaml")
BASE = """\
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
team: {name: Shop}
support: [{channel: desk}]
servers: [{server: s, type: local, path: a.csv, format: csv}]
schema:
  - name: orders
    properties:
      - {name: number, logicalType: integer, primaryKey: true}
      - {name: at, logicalType: timestamp, required: true}
"""


def read_text(text: str) -> Contract:
    return contract_of(parse(text, PATH), PATH)


def refusal(text: str, path: Path = PATH) -> str:
    """What is told of a text; empty if it is taken."""
    try:
        contract_of(parse(text, path), path).complete()
    except UserError as error:
        return str(error)
    return ""


def promised(name: str, what: str) -> list[str]:
    """What the first line of a file says of `unchecked`, `missing` or `refused`."""
    header = (FOLDER / f"{name}.yaml").read_text("utf-8").partition("\n")[0]
    found = re.search(rf"{what}: (.*?)(?:; missing:|$)", header)
    said = found[1] if found else ""
    return [] if said in ("", "nothing") else re.split(r", (?![^(]*\))", said)


@pytest.mark.parametrize("name", TAKEN)
def test_contract_of_a_producer_is_taken(name: str) -> None:
    contract = contract_of(read(FOLDER / f"{name}.yaml"), FOLDER / f"{name}.yaml")
    assert contract.name == name
    for what in promised(name, "unchecked"):
        assert any(text.startswith(what) for text in contract.unchecked), (what, contract.unchecked)
    missing = promised(name, "missing")
    assert len(contract.missing) == len(missing)
    for what in missing:
        assert any(what in line for line in contract.missing)
    if missing:
        with pytest.raises(UserError) as error:
            contract.complete()
        assert all(re.match(r"contracts/\w+\.yaml:\d+: ", line) for line in contract.missing)
        assert str(error.value).splitlines() == list(contract.missing)


@pytest.mark.parametrize("name", REFUSED)
def test_contract_that_the_standard_forbids_is_refused(name: str) -> None:
    with pytest.raises(UserError) as error:
        contract_of(read(FOLDER / f"{name}.yaml"), FOLDER / f"{name}.yaml")
    lines = str(error.value).splitlines()
    reasons = promised(name, "refused")
    assert len(lines) == len(reasons)
    for reason in reasons:
        assert any(reason in line for line in lines), (reason, lines)
    numbers = [int(re.match(r"contracts/\w+\.yaml:(\d+): ", line)[1]) for line in lines]  # type: ignore[index]
    assert numbers == sorted(numbers)


def test_what_a_semantic_layer_computes_is_no_field_of_the_rows() -> None:
    contract = contract_of(read(FOLDER / "energy_metrics.yaml"), FOLDER / "energy_metrics.yaml")
    assert contract.names == ("reading_id", "kwh", "meter_model")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("primaryKey: true}", "primaryKey: true, quality: [{metric: nullValues}]}", "operator"),
        ("primaryKey: true}", "primaryKey: true, unique: maybe}", "unknown value 'maybe'"),
        ("primaryKey: true}", "primaryKey: true, enum: []}", "no value would be valid"),
        ("required: true}", "required: true, quality: [{type: library}]}", "'metric' is missing"),
        ("logicalType: integer", "logicalType: map", "'map' is missing"),
        ("logicalType: integer", "logicalType: vector, logicalTypeOptions: {normalized: true}",
         "'dimensions' is missing"),
    ],
)  # fmt: skip
def test_mistake_is_told_without_what_follows_from_it(old: str, new: str, says: str) -> None:
    said = refusal(BASE.replace(old, new))
    assert says in said
    assert len(said.splitlines()) == 1


def test_place_of_a_table_may_be_said_for_all_tables_at_once() -> None:
    text = BASE.replace("path: a.csv", '"path": "data/{model}/*.csv"')
    text = text.replace("- name: orders", "- name: orders\n    physicalName: ord_tbl")
    assert read_text(text).source_configuration.options["path"] == "data/orders/*.csv"


LINES = """\
  - name: line_items
    properties:
      - {name: line, logicalType: integer, primaryKey: true}
      - {name: at, logicalType: timestamp, required: true}
customProperties: [{property: eventTime, value: at}, {property: table, value: TABLE}]
slaProperties:
  - {property: freshness, value: 1, unit: d, element: ELEMENT}
"""


@pytest.mark.parametrize(
    ("table", "element", "freshness"),
    [
        ("orders", "orders.at", timedelta(days=1)),
        ("orders", "at", timedelta(days=1)),
        ("orders", "line_items.at", None),
        ("line_items", "orders.at", None),
        ("line_items", "somewhere.at", timedelta(days=1)),
    ],
)
def test_promise_is_of_the_table_that_it_names(
    table: str, element: str, freshness: timedelta | None
) -> None:
    contract = read_text(BASE + LINES.replace("TABLE", table).replace("ELEMENT", element))
    assert contract.complete().freshness == freshness
    told = f"slaProperties freshness ({element})" in contract.unchecked
    assert told == (freshness is None)


@pytest.mark.parametrize(
    ("value", "span"),
    [
        ("PT24H", timedelta(days=1)),
        ("P1DT12H", timedelta(hours=36)),
        ("P2W", timedelta(weeks=2)),
        ("PT90M", timedelta(minutes=90)),
        ("P1M", None),
        ("PT", None),
        ("P", None),
        ("24", None),
        ("P999999D", None),
    ],
)
def test_span_of_time_may_be_written_as_iso_8601_has_it(value: str, span: timedelta | None) -> None:
    more = LINES.replace("value: 1, unit: d", f"value: {value}").replace("TABLE", "orders")
    text = BASE + more.replace("ELEMENT", "at")
    if span is None:
        assert re.search(r"orders\.yaml:\d+: ('unit' is missing|.* a hundred years)", refusal(text))
    else:
        assert read_text(text).complete().freshness == span


@pytest.mark.parametrize("slip", ["mustBeLess", "mustBeLessThen", "mustbe", "metrik", "argument"])
def test_slip_in_a_rule_of_v3_0_is_told_among_any_keys(slip: str) -> None:
    rule = f"required: true, quality: [{{rule: nullCheck, {slip}: 3}}]"
    said = refusal(BASE.replace("v3.1.0", "v3.0.2").replace("required: true", rule))
    assert f"quality[0].{slip}'. Did you mean" in said


def test_fixtures_cover_every_version_and_type_of_server() -> None:
    text = "".join((FOLDER / f"{name}.yaml").read_text("utf-8") for name in TAKEN)
    assert set(re.findall(r"^apiVersion: (\S+)", text, re.MULTILINE)) == set(standard.VERSIONS)
    assert len(TAKEN) + len(REFUSED) > 30


@given(
    st.lists(
        st.sampled_from(
            [
                ("status: active", "statsu: active"),
                ("version: 1.0.0", "version: 1/0"),
                ("team: {name: Shop}", "team: {nam: Shop}"),
                ("type: local", "type: locl"),
                ("logicalType: integer", "logicalType: qqq"),
                ("required: true", "required: perhaps"),
                ("channel: desk", "chanel: desk"),
            ]
        ),
        min_size=1,
        unique=True,
    )
)
@settings(max_examples=40, deadline=None)
def test_mistakes_are_told_all_at_once(mistakes: list[tuple[str, str]]) -> None:
    text = BASE
    for old, new in mistakes:
        text = text.replace(old, new)
    numbers = sorted(
        number
        for number, line in enumerate(text.splitlines(), 1)
        if any(new in line for _, new in mistakes)
    )
    with pytest.raises(UserError) as error:
        read_text(text).complete()
    told = [int(line.split(":")[1]) for line in str(error.value).splitlines()]
    assert told == numbers


def test_very_many_mistakes_are_told_in_part() -> None:
    wrong = "".join(f"wrong{number}: 1\n" for number in range(1000))
    with pytest.raises(UserError) as error:
        read_text(BASE + wrong)
    lines = str(error.value).splitlines()
    assert len(lines) == SHOWN + 1
    assert lines[-1] == f"… and {1000 - SHOWN} more"


VALUES = {
    "flag": "true", "text": "abc", "[text]": "[abc]", "[any]": "[1, a]", "position": "1",
    "=logicalType": "string", "=semanticType": "column", "=table": "object",
}  # fmt: skip
"""A value of each kind that stands for itself."""
ENTRIES = [
    (shape, key, VALUES[kind])
    for shape in ("contract", "property", "table")
    for key, kind in standard.SHAPES[shape].items()
    if kind in VALUES and key not in ("id", "name", "version", "status")
]


@pytest.mark.parametrize(("shape", "key", "value"), ENTRIES)
def test_entry_of_the_standard_is_known(shape: str, key: str, value: str) -> None:
    line = f"{key}: {value}"
    kind = "" if key == "logicalType" else "logicalType: string, "
    text = {
        "contract": BASE + line,
        "table": BASE.replace("  - name: orders\n", f"  - name: orders\n    {line}\n"),
        "property": f"{BASE}      - {{name: more, {kind}{line}}}\n",
    }[shape]
    for version in standard.VERSIONS:
        contract = read_text(text.replace("v3.1.0", version))
        said = any(key in each for each in contract.unchecked)
        assert said == (key in tuple(IGNORED[shape]))


@pytest.mark.parametrize(
    ("version", "taken"), [("v3.0.0", True), ("v3.0.2", True), ("v3.1.0", False), ("v3.2.0", False)]
)
@pytest.mark.parametrize("old", ["server: s", "channel: desk"], ids=["server", "support"])
def test_unknown_entry_is_taken_where_the_version_allows(
    old: str, version: str, taken: bool
) -> None:
    text = BASE.replace("v3.1.0", version).replace(old, f"{old}, colour: red")
    if taken:
        read_text(text).complete()
        return
    with pytest.raises(UserError, match=r"unknown entry '\w+\[0\]\.colour'"):
        read_text(text)


@given(st.text(string.printable, min_size=1, max_size=70))
@example("2024-06")
@example("v2")
@example("../x")
@example("1.0.0-rc.1+build")
def test_version_can_be_the_name_of_a_file(version: str) -> None:
    quoted = yaml.safe_dump(version, width=10_000).split("\n...")[0].strip()
    text = BASE.replace("version: 1.0.0", f"version: {quoted}")
    if told := refusal(text):
        assert "version" in told or "YAML" in told
        return
    contract = read_text(text)
    assert Path(contract.version).name == contract.version
    assert not set(contract.version) & set('/\\:*?"<>|\n\t ')


@pytest.mark.parametrize(
    ("team", "support", "owner", "contact"),
    [
        ("{name: Shop}", "[{channel: desk, url: 'mailto:a@b.c'}]", "Shop", "a@b.c"),
        ("{name: Shop}", "[{channel: desk}]", "Shop", "desk"),
        ("{name: Shop, members: [{username: jo@b.c, role: owner}]}", "", "Shop", "jo@b.c"),
        ("{members: [{username: jo@b.c, role: Owner}]}", "", "jo@b.c", "jo@b.c"),
        ("{members: [{username: jo, name: Jo, role: Data Owner}]}", "", "Jo", "jo"),
        ("[{username: jo, role: dev}, {username: al, role: Owner}]", "", "al", "al"),
        ("[{username: jo, role: owner, dateOut: '2020-01-01'}, {username: al, role: steward}]", "",
         "al", "al"),
        ("[{username: jo, role: dev}]", "[{channel: '#x', url: 'https://x'}]", "#x", "https://x"),
        ("[{username: jo, role: dev}]", "", "unknown", "unknown"),
        ("", "", "unknown", "unknown"),
    ],
)  # fmt: skip
def test_owner_is_who_the_contract_names(team: str, support: str, owner: str, contact: str) -> None:
    text = BASE.replace("team: {name: Shop}\n", f"team: {team}\n" if team else "")
    text = text.replace("support: [{channel: desk}]\n", f"support: {support}\n" if support else "")
    contract = read_text(text).complete()
    assert (contract.owner, contract.contact) == (owner, contact)
    assert ("team.name" in contract.unfilled) == (owner == "unknown")


@pytest.mark.parametrize(
    ("physical", "logical"),
    [
        ("varchar(18)", "string"), ("CHARACTER VARYING(3)", "string"), ("uuid", "string"),
        ("bigint", "integer"), ("INT UNSIGNED", "integer"), ("NUMBER(38,0)", "integer"),
        ("decimal(12,2)", "number"), ("DOUBLE PRECISION", "number"), ("numeric", "number"),
        ("timestamp_tz", "timestamp"), ("timestamp(3) with time zone", "timestamp"),
        ("DateTime64(3)", "timestamp"), ("date", "date"), ("time(6)", "time"),
        ("bool", "boolean"), ("text[]", "array"), ("ARRAY<INT>", "array"),
        ("struct<a:int,b:array<string>>", "object"), ("jsonb", "object"), ("variant", "object"),
        ("Nullable(Int64)", "integer"), ("bytea", None), ("geography", None), ("9", None),
    ],
)  # fmt: skip
def test_type_follows_from_how_the_source_stores_it(physical: str, logical: str | None) -> None:
    assert logical_type(physical) == logical
    text = BASE + f"      - {{name: more, physicalType: '{physical}'}}\n"
    contract = read_text(text)
    if logical is None:
        assert f"unknown physicalType '{physical}'" in contract.missing[0]
    else:
        assert contract.complete().field("more").type == logical


@given(st.text(max_size=60))
def test_type_of_any_text_is_one_of_ours_or_none(physical: str) -> None:
    assert logical_type(physical) in (None, *standard.LOGICAL_TYPES)


DEEP, MANY, TOP = "100 levels of nesting", "200,000 values", "the file must hold keys and values"
INVALID = "invalid YAML: "
HOSTILE = {
    "brackets": ("[" * 1_900_000, DEEP),
    "braces": ("{" * 1_900_000, DEEP),
    "dashes": ("- " * 900_000, DEEP),
    "questions": ("? " * 900_000, DEEP),
    "levels": ("\n".join(" " * depth + "a:" for depth in range(1500)), DEEP),
    "chain": (
        "b0: &b0 [x]\n" + "".join(f"b{n}: &b{n} [*b{n - 1}]\n" for n in range(1, 300)), DEEP
    ),
    "tags": (f"tags: [{'a,' * 900_000}]", MANY),
    "keys": ("{" + "".join(f"k{number}: v," for number in range(150_000)) + "}", MANY),
    "bomb": (
        "a0: &a0 [x,x,x,x,x,x,x,x]\n"
        + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 8)}]\n" for n in range(1, 30)), MANY
    ),
    "cycle": ("a: &a [*a]", "unknown alias *a"),
    "nothing named": ("a: *b", "unknown alias *b"),
    "merge of itself": ("a: &a {<<: *a}\n", "unknown alias *a"),
    "size": ("#" * (yaml_limits.SIZE + 1), "the file must be at most 2 MB"),
    "nul": ("a: \0", "control character #x0000"),
    "tab": ("a:\n\tb: 1", INVALID),
    "documents": ("a: 1\n---\nb: 2\n", ":2: a second YAML document begins here"),
    "list": ("- a\n- b\n", TOP),
    "scalar": ("just words", TOP),
    "number": ("17", TOP),
    "empty": ("", "the file is empty"),
    "comments": ("# nothing\n" * 1000, "the file is empty"),
    "list as key": ("? [a, b]\n: c\n", "a key must be a text"),
    "mapping as key": ("? {a: b}\n: c\n", "a key must be a text"),
    "long key": (f"{'a' * 1000}: 1", f"unknown entry '{'a' * 59}…'"),
    "date as key": ("2024-01-01: 1", "unknown entry '2024-01-01'"),
    "flag as key": ("yes: 1", "unknown entry 'yes'"),
    "duplicate keys": ("id: a\nid: b\n", ":2: duplicate key 'id'"),
    "directive": ("%YAML 9.9\n---\na: 1\n", INVALID),
    "tagged": ("a: !!python/object/apply:os.system [ls]\n", "unknown entry 'a'"),
    "merge of a scalar": ("<<: 3\n", "'apiVersion' is missing"),
    "colons": (": " * 1000, INVALID),
    "surrogate": ('"\\ud800": 1\n', INVALID),
}  # fmt: skip


@pytest.mark.parametrize(("text", "says"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_refused_with_its_line(text: str, says: str) -> None:
    told = refusal(text)
    assert says in told
    lines = told.splitlines()
    assert len(lines) <= SHOWN + 1
    assert all(re.match(r"signals/orders\.yaml:|… and", line) for line in lines)
    assert max(map(len, lines)) < 400


@pytest.mark.parametrize("version", standard.VERSIONS)
@pytest.mark.parametrize(
    ("physical", "type_"),
    [("timestamp", "timestamp"), ("TIMESTAMP_TZ", "timestamp"), ("time", "time"), ("date", "date"),
     ("varchar(10)", "date"), ("", "date")],
)  # fmt: skip
def test_date_that_is_stored_as_a_timestamp_is_one(version: str, physical: str, type_: str) -> None:
    more = f", physicalType: {physical}" if physical else ""
    text = BASE.replace("v3.1.0", version) + f"      - {{name: more, logicalType: date{more}}}\n"
    assert read_text(text).complete().field("more").type == type_


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe", "invalid UTF-8 at byte 1"),
        (BASE.encode("utf-16"), "invalid UTF-8"),
        (b"a" * (yaml_limits.SIZE + 1), "the file must be at most 2 MB"),
        (b"a: \x07", "control character #x0007"),
    ],
)
def test_file_that_is_no_text_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "signals" / "orders.yaml"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(says)) as error:
        read(path)
    assert "\n" not in str(error.value)


def test_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "signals" / "orders.yaml"
    path.parent.mkdir()
    path.write_bytes(BASE.encode("utf-8-sig"))
    assert contract_of(read(path), path).complete().name == "orders"


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from([*standard.SHAPES["contract"], *standard.SHAPES["property"]])
        | st.booleans() | st.dates(), inner, max_size=5),
    max_leaves=30,
))  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_any_yaml_that_is_no_contract_is_told(value: object) -> None:
    told = refusal(yaml.safe_dump(value, allow_unicode=True))
    assert told.startswith("signals/orders.yaml")


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_contract_with_any_value_changed_is_a_contract_or_told(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(TAKEN))
    path = FOLDER / f"{name}.yaml"
    lines = path.read_text("utf-8").splitlines()
    at = data.draw(st.integers(1, len(lines) - 1))
    other = data.draw(
        st.sampled_from(["", "[]", "{}", "null", "-1", "x", "[x, [y]]", "{a: {b: c}}"])
    )
    lines[at] = re.sub(r": .*$", f": {other}", lines[at])
    told = refusal("\n".join(lines), path)
    assert not told or told.startswith("contracts/")


@pytest.mark.parametrize("name", ["eventTime", "event_time", "EventTime", "event-time"])
def test_property_of_ours_may_be_spelled_as_the_producer_does(name: str) -> None:
    contract = read_text(f"{BASE}customProperties: [{{property: {name}, value: at}}]\n").complete()
    assert contract.event_time == "at"


@pytest.mark.parametrize(
    "name", ["models", "units", "tables", "servers", "Model", "time", "event", "zone", "nullable"]
)
def test_property_of_the_producer_is_no_slip(name: str) -> None:
    contract = read_text(f"{BASE}customProperties: [{{property: {name}, value: [x]}}]\n").complete()
    assert contract.unchecked == (f"customProperties {name}",)


def test_promise_of_a_table_without_timestamps_is_not_checked() -> None:
    text = BASE.replace("logicalType: timestamp", "logicalType: date")
    promises = "slaProperties: [{property: latency, value: 1, unit: d}]\n"
    contract = read_text(text + promises).complete()
    assert contract.unchecked == ("slaProperties latency (no field is a timestamp)",)
    assert "latency counts from a row's event time" in refusal(BASE + promises)


@pytest.mark.parametrize(
    ("servers", "says"),
    [
        ("[{server: s, type: snowflake, account: a, database: d, schema: s}]",
         "unsupported server type 'snowflake'"),
        ("[{server: t, type: local, path: a, format: csv}]", "Available: t."),
        ("[]", "'servers' is missing"),
    ],
)  # fmt: skip
def test_server_that_is_named_and_cannot_be_read_is_told(servers: str, says: str) -> None:
    text = BASE.replace("[{server: s, type: local, path: a.csv, format: csv}]", servers)
    contract = read_text(f"{text}customProperties: [{{property: server, value: s}}]\n")
    assert len(contract.missing) == 1
    assert says in contract.missing[0]


@pytest.mark.parametrize("server", ["{server: s}", "{type: local}", "{}", "x", "[x]", "null"])
def test_server_that_is_none_is_refused(server: str) -> None:
    text = BASE.replace("{server: s, type: local, path: a.csv, format: csv}", server)
    assert re.match(r"signals/orders\.yaml:8: ", refusal(text))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_contract_with_a_part_gone_or_twice_is_valid_or_told(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(TAKEN))
    path = FOLDER / f"{name}.yaml"
    document = yaml.load(path.read_text("utf-8"), Loader=yaml.BaseLoader)
    parts: list[dict[str, object] | list[object]] = []
    waiting = [document]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict | list):
            parts.append(part)
            waiting += part.values() if isinstance(part, dict) else part
    part = data.draw(st.sampled_from(parts))
    if isinstance(part, dict) and part:
        part.pop(data.draw(st.sampled_from(sorted(part))))
    elif isinstance(part, list) and part:
        part.append(data.draw(st.sampled_from(part)))
    told = refusal(yaml.safe_dump(document, allow_unicode=True), path)
    assert not told or told.startswith("contracts/")
