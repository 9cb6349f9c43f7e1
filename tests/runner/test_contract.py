"""Contracts: what is read from them, and what a mistake in one says."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from data_project import TEMPLATE, DataProject, build, replace

from runner.errors import UserError
from runner.signals.contract import read_contracts


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> DataProject:
    return build(tmp_path_factory.mktemp("contracts") / "project")


@pytest.fixture
def project(tmp_path: Path, original: DataProject) -> DataProject:
    shutil.copytree(original.root / "src", tmp_path / "src")
    shutil.copytree(original.root / "signals", tmp_path / "signals")
    return DataProject(tmp_path)


def test_contracts_of_the_flights_example_say_what_the_join_needs() -> None:
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
        ("primaryKey", "primarykey", "name: at", "Did you mean 'primaryKey'?"),
        ("value: at}", "value: ta}", "eventTime", "'ta' is no choice. Did you mean 'at'?"),
        (
            "value: at}",
            "value: minute}",
            "eventTime",
            "must have `logicalType: timestamp`",
        ),
        ("America/New_York", "America/NewYork", "timeZone", "Did you mean 'America/New_York'?"),
        ("eventTime", "eventtime", "eventtime", "Did you mean 'eventTime'?"),
        (
            "knownAfterEvent, value: true",
            "knownAfterEvent, value: yes",
            "name: spent",
            "There is: false, true",
        ),
        ("format: csv", "format: xlsx", "xlsx", "There is: csv, jsonl, parquet."),
        (
            "name: visits\nversion",
            "name: visitors\nversion",
            "visitors",
            "must be in visitors.yaml",
        ),
        ("name: minute", "name: member", "logicalType: boolean", "'member' stands twice"),
        ("status: active", "status: active\nstatus: draft", "status: draft", "stands twice"),
        (
            "support:\n  - {channel: desk, url: mailto:visits@example.com}\n",
            "",
            "team",
            "'support'",
        ),
        ("team: {", "team: [", "team", "this is no YAML"),
        ("status: active", "status: alive", "status", "'alive' is no choice"),
        ("team: {", "description: {purpose: []}\nteam: {", "purpose", "purpose must be a text"),
        ("name: minute,", "name: minute, description: [],", "minute", "must be a text"),
    ],
)
def test_contract_mistake_names_line_and_nearest(
    project: DataProject, old: str, new: str, line: str, says: str
) -> None:
    replace(project.contract("visits"), old, new)
    with pytest.raises(UserError) as error:
        read_contracts(project.root)
    lines = project.contract("visits").read_text().splitlines()
    number = next(number for number, text in enumerate(lines, 1) if line in text)
    assert str(error.value).startswith(f"signals/visits.yaml:{number}: ")
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_contract_without_contact_is_refused(project: DataProject) -> None:
    path = project.contract("visits")
    replace(path, "support:\n  - {channel: desk, url: mailto:visits@example.com}\n", "")
    with pytest.raises(UserError, match="'support' is missing: name the channel"):
        read_contracts(project.root)


def test_contract_without_key_is_refused(project: DataProject) -> None:
    path = project.contract("shops")
    replace(path, ", primaryKey: true", "")
    with pytest.raises(UserError, match=r"signals/shops.yaml:\d+: there is no key"):
        read_contracts(project.root)


def test_delay_without_unit_is_refused(project: DataProject) -> None:
    replace(project.contract("prices"), ", unit: h", "")
    with pytest.raises(UserError, match=r"signals/prices.yaml:\d+: 'unit' is missing"):
        read_contracts(project.root)


def test_key_is_in_order_of_its_positions(project: DataProject) -> None:
    path = project.contract("prices")
    replace(path, "string, primaryKey: true", "string, primaryKey: true, primaryKeyPosition: 2")
    replace(
        path, "timestamp, primaryKey: true", "timestamp, primaryKey: true, primaryKeyPosition: 1"
    )
    assert read_contracts(project.root)["prices"].key == ("hour", "shop")
