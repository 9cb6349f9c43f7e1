"""Contracts: what is read from them, and what a mistake in one says."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from support.data_project import TEMPLATE, DataProject, build, replace


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> DataProject:
    return build(tmp_path_factory.mktemp("contracts") / "project")


@pytest.fixture
def project(tmp_path: Path, original: DataProject) -> DataProject:
    shutil.copytree(original.root / "src", tmp_path / "src")
    shutil.copytree(original.root / "signals", tmp_path / "signals")
    return DataProject(tmp_path)


def test_flights_contracts_say_what_the_join_needs() -> None:
    contracts = read_contracts(TEMPLATE)
    assert sorted(contracts) == ["flights", "planes", "weather"]
    flights, weather, planes = contracts["flights"], contracts["weather"], contracts["planes"]
    assert flights.key == ("time_hour", "carrier", "flight")
    assert flights.time_zone == "America/New_York"
    late = {field.name for field in flights.fields if field.known_after_event}
    assert late == {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}
    assert (weather.delay, weather.freshness) == (timedelta(hours=1), timedelta(hours=6))
    assert planes.event_time is None
    assert "@" in flights.contact


def test_words_that_yaml_1_1_takes_for_booleans_stay_words(project: DataProject) -> None:
    replace(project.contract("visits"), "value: [NA]", "value: [NO, ON, 1_000]")
    assert read_contracts(project.root)["visits"].null_values == ("NO", "ON", "1_000")


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        (
            "status: active",
            "statsu: active",
            "statsu",
            "unknown entry 'statsu'. Did you mean 'status'?",
        ),
        ("version: 1.0.0\n", "", "apiVersion", "'version' is missing"),
        ("logicalType: boolean", "logicalType: bool", "name: member", "Did you mean 'boolean'?"),
        ("name: member", 'name: "*"', 'name: "*"', "set `name` to another word and `physicalName"),
        ("name: member", "name: ^m.*$", "name: ^m", "would select other fields in a feature"),
        ("primaryKey", "primarykey", "name: at", "Did you mean 'primaryKey'?"),
        ("value: at}", "value: ta}", "eventTime", "unknown value 'ta'. Available: at"),
        (
            "value: at}",
            "value: minute}",
            "eventTime",
            "must have `logicalType: timestamp`",
        ),
        ("America/New_York", "America/NewYork", "timeZone", "Did you mean 'America/New_York'?"),
        ("eventTime", "evenTime", "evenTime", "Did you mean 'eventTime'?"),
        (
            "knownAfterEvent, value: true",
            "knownAfterEvent, value: yes",
            "name: spent",
            "Available: false, true",
        ),
        ("format: csv", "format: xlsx", "xlsx", "Available: csv, json, jsonl, parquet."),
        ("name: minute", "name: member", "logicalType: boolean", "duplicate field 'member'"),
        ("status: active", "status: active\nstatus: draft", "status: draft", "duplicate key"),
        ("status: active", "status:", "status", "status must not be empty"),
        ("status: active", "? [a]\n: b\nstatus: active", "? [a]", "a key must be a text"),
        ("team: {", "team: [", "team", "invalid YAML"),
        ("team: {", "description: {purpose: []}\nteam: {", "purpose", "purpose must be a text"),
        ("name: minute,", "name: minute, description: [],", "minute", "must be a text"),
    ],
)
def test_contract_mistake_names_line_and_nearest(
    project: DataProject, old: str, new: str, line: str, says: str
) -> None:
    replace(project.contract("visits"), old, new)
    with pytest.raises(UserError) as error:
        read_contracts(project.root)["visits"]
    lines = project.contract("visits").read_text().splitlines()
    number = next(number for number, text in enumerate(lines, 1) if line in text)
    assert str(error.value).startswith(f"signals/visits.yaml:{number}: ")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_contract_without_key_is_refused(project: DataProject) -> None:
    path = project.contract("shops")
    replace(path, ", primaryKey: true", "")
    with pytest.raises(UserError, match=r"signals/shops.yaml:\d+: the key is missing"):
        read_contracts(project.root)["shops"]


def test_delay_without_unit_is_refused(project: DataProject) -> None:
    replace(project.contract("prices"), ", unit: h", "")
    with pytest.raises(UserError, match=r"signals/prices.yaml:\d+: 'unit' is missing"):
        read_contracts(project.root)["prices"]


def test_key_is_in_order_of_its_positions(project: DataProject) -> None:
    path = project.contract("prices")
    replace(path, "string, primaryKey: true", "string, primaryKey: true, primaryKeyPosition: 2")
    replace(
        path, "timestamp, primaryKey: true", "timestamp, primaryKey: true, primaryKeyPosition: 1"
    )
    assert read_contracts(project.root)["prices"].key == ("hour", "shop")


WHOLE = Path(__file__).with_name("air.yaml")


@pytest.fixture
def air(tmp_path: Path) -> Path:
    path = tmp_path / "signals" / "air.yaml"
    path.parent.mkdir()
    shutil.copyfile(WHOLE, path)
    return path


def test_every_entry_says_what_it_says(air: Path) -> None:
    contract = read_contracts(air.parents[1])["air"]
    assert contract.rows == (600, 800)
    assert (contract.status, contract.unfilled) == ("deprecated", ())
    assert (contract.frequency, contract.delay) == (timedelta(hours=1), timedelta(minutes=30))
    assert (contract.when_held, contract.max_age) == ("last_good", timedelta(days=30))
    assert (contract.model, contract.null_values) == ("air@champion", ("NA", "-"))
    hour, temp, cover, okta = contract.fields
    assert (hour.key, hour.required, hour.tolerated_nulls) == (True, True, None)
    assert (temp.minimum, temp.maximum, temp.unit) == (-60, 130.5, "°F")
    assert (temp.tolerated_invalid, temp.tolerated_nulls) == (0.001, 0.05)
    assert (cover.allowed, cover.tolerated_invalid) == (("NO", "01", "few"), 0)
    assert (okta.minimum, okta.maximum, okta.allowed) == (None, 8, ("-1", "8"))
    assert (okta.known_after_event, okta.tolerated_invalid) == (True, 1)


def test_valid_whole_number_may_be_written_with_a_decimal_point(air: Path) -> None:
    replace(air, "validValues: [-1, 8]", "validValues: [-1.0, 8.0]")
    assert read_contracts(air.parents[1])["air"].field("okta").allowed == ("-1", "8")


@pytest.mark.parametrize(
    ("bound", "rows"),
    [("mustBeGreaterOrEqualTo: 600", (600, None)), ("mustBeLessOrEqualTo: 800", (None, 800))],
)
def test_rows_may_have_one_bound_alone(
    air: Path, bound: str, rows: tuple[int | None, int | None]
) -> None:
    replace(air, "mustBeBetween: [600, 800]", bound)
    assert read_contracts(air.parents[1])["air"].rows == rows


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("minimum: -60", "minimum: 150", "minimum", "the minimum 150 is greater than the maximum"),
        ("minimum: -60", "least: -60", "least", "unknown entry"),
        ("minimum: -60", "minimum: cold", "minimum", "must be a number, got 'cold'"),
        ("string\n", "string\n        logicalTypeOptions: {minimum: 0}\n", "m: 0", "unknown entry"),
        ("value: °F", "value: []", "value: []", "must be a text"),
        ("string\n", "string\n        customProperties: [{property: unit, value: m}]\n",
         "value: m}", "only allowed for an integer or number"),
        ("mustBeLessOrEqualTo: 5", "mustBeLessOrEqualTo: 101", "101", "at most 100 percent"),
        ("mustBeLessOrEqualTo: 5,", "", "nullValues,", "nullValues needs an operator"),
        ("nullValues, must", "nullValue, must", "nullValue,", "Did you mean 'nullValues'?"),
        ("nullValues, must", "nullValues, type: sql, must", "sql", "'query' is missing"),
        ("nullValues, must", "nullValues, arguments: {validValues: [1]}, must", "[1]",
         "nullValues takes no arguments"),
        ("{metric: invalidValues, must", "{metric: invalidValues, arguments: {values: [1]}, must",
         "values: [1]", "Did you mean 'validValues'?"),
        ("[NO, 01, few]", "[NO, few, few]", "few, few", "duplicate valid value 'few'"),
        ("[NO, 01, few]", "[]", "[]", "no value would be valid"),
        ("[-1, 8]", "[-1, 8, 9]", "9]", "valid value 9 is outside the field's range"),
        ("[-1, 8]", "[-1, eight]", "eight", "must be a number, got 'eight'"),
        ("[-1, 8]", "[8, 8.0]", "8.0", "duplicate valid value '8.0'"),
        ("logicalType: string", "logicalType: boolean", "validValues: [NO",
         "invalid boolean 'NO' among the valid values"),
        ("temp\n", "temp\n        required: true\n", "nullValues, must", "must have a value"),
        ("temp\n", "temp\n        primaryKeyPosition: 2\n", "Position: 2",
         "without `primaryKey: true`"),
        ("cover\n", "cover\n        primaryKey: true\n        primaryKeyPosition: 1\n",
         "- name: hour", "'hour' has no primaryKeyPosition"),
        ("[600, 800]", "[800, 600]", "[800, 600]", "the smaller one first"),
        ("[600, 800]", "[600, 600]", "[600, 600]", "the smaller one first"),
        ("[600, 800]", "[600]", "[600]", "two numbers"),
        ("mustBeBetween: [600, 800], ", "", "rowCount", "rowCount needs an operator"),
        ("rowCount", "rowcount", "rowcount", "Did you mean 'rowCount'?"),
        ("unit: rows", "unit: percent", "unit: percent, description", "Available: rows."),
        ("property: freshness", "property: latency", "value: 1, unit: d", "duplicate 'latency'"),
        ("property: timeZone", "property: eventTime", "Paris", "duplicate property 'eventTime'"),
        ("element: air.hour", "element: air.temp", "air.temp", "unknown value 'air.temp'"),
        ("frequency, value: 1", "frequency, value: 0", "frequency", "must be above 0"),
        ("value: last_good", "value: lastgood", "lastgood", "Did you mean 'last_good'?"),
        ("value: last_good", "value: stop", "maxAge", "uses no last good snapshot"),
        ("value: 30 d", "value: 30", "maxAge", "maxAge must be a duration such as 30 d, got '30'"),
        ("value: 30 d", "value: 0 d", "maxAge", "must be a duration such as 30 d"),
        ("value: 30 d", "value: 30 moons", "maxAge", "must be a duration such as 30 d"),
        ("value: 30 d", "value: 9999999999 d", "maxAge", "is more than a hundred years"),
        ("value: 30 d", "value: 1 h", "maxAge", "must be at least frequency plus latency"),
        ("air@champion", "air", "model", "such as demand@champion"),
        ("version: 2.0.1", "version: 2/0", "version: 2/0", "must hold only letters, digits"),
        ("version: 2.0.1", "version: ../2", "version: ../2", "must hold only letters, digits"),
        ("version: 2.0.1", "version: .", "version: .", "must hold only letters, digits"),
        ("v3.1.0", "v3.1.9", "apiVersion", "apiVersion must be one of v3.0.0"),
        ("v3.1.0", "v2.2.2", "apiVersion", "apiVersion must be one of"),
        ("kind: DataContract", "kind: DataProduct", "kind", "Did you mean 'DataContract'?"),
        ("name: Weather desk", "name: unknown", "unknown", "only allowed in a draft"),
        ("mailto:desk@example.com", "unknown", "unknown", "only allowed in a draft"),
        ("purpose: Air at the airports.", "purpose: unknown", "unknown", "only allowed in a draft"),
        ("role: owner", "rule: owner", "rule", "Did you mean 'role'?"),
        ("property: latency", "property: latancy", "latancy", "Did you mean 'latency'?"),
        ("property: knownAfterEvent", "property: knownAfterEvnt", "Evnt",
         "Did you mean 'knownAfterEvent'?"),
        ("property: semanticType", "property: semanticTyp", "Typ,", "Did you mean 'semanticType'?"),
        ("value: flag", "value: flags", "flags", "unknown value 'flags'. Did you mean 'flag'?"),
        ("value: flag", "value: kind", "value: kind", "Available: calendar, code, count"),
        ("value: flag", "value: text", "value: text", "does not fit 'okta' of logicalType integer"),
        ("property: unit, value: °F", "property: semanticType, value: [code]", "[code]",
         "must be a text"),
    ],
)  # fmt: skip
def test_contradiction_is_named_with_its_line(
    air: Path, old: str, new: str, line: str, says: str
) -> None:
    replace(air, old, new)
    with pytest.raises(UserError) as error:
        read_contracts(air.parents[1])["air"]
    lines = air.read_text().splitlines()
    number = next(number for number, text in enumerate(lines, 1) if line in f"{text}\n")
    assert str(error.value).startswith(f"signals/air.yaml:{number}: ")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("said", ["latency", "freshness", "frequency", "maxAge"])
def test_what_is_said_of_time_needs_an_event_time(air: Path, said: str) -> None:
    gone = {"latency", "freshness", "frequency", "maxAge", "eventTime"} - {said}
    lines = air.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not any(f"property: {name}," in line for name in gone)]
    air.write_text("".join(kept).replace("slaProperties:\ncustom", "custom"))
    with pytest.raises(UserError, match=rf"air.yaml:\d+: {said} counts from a row's event time"):
        read_contracts(air.parents[1])["air"]


def test_draft_may_leave_open_what_only_a_person_knows(air: Path) -> None:
    replace(air, "status: deprecated", "status: draft")
    assert read_contracts(air.parents[1])["air"].unfilled == ()
    replace(air, "name: Weather desk", "name: unknown")
    replace(air, "purpose: Air at the airports., ", "")
    contract = read_contracts(air.parents[1])["air"]
    assert contract.unfilled == ("team.name", "description.purpose")
    assert "Its owner is unknown: fill in team.name in signals/air.yaml" in str(
        contract.mistake("x")
    )
