"""A producer's contract becomes the signal's: nothing of it is lost, what is needed is added."""

import re
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_experiment_runner.cli.new import new
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.contract.contract_file import contract_of, read_contracts
from ml_experiment_runner.signals.drafts.contract_import import import_contract
from ml_experiment_runner.signals.ingestion.loading import load_snapshots
from ml_experiment_runner.signals.odcs.yaml_document import parse
from support.data_project import DataProject, build

FIXTURES = sorted(
    path
    for path in Path(__file__).with_name("contracts").glob("*.yaml")
    if not path.stem.startswith("refused")
)
DATA = """\
no,shop,placed,total
1,a,2024-01-01T10:00:00Z,3.5
2,a,2024-01-02T11:00:00Z,4.5
3,b,2024-01-03T12:00:00Z,1.5
"""
SERVERS = {
    "none": "",
    "unreadable": """\
servers:
  - server: prod   # theirs
    type: snowflake
    account: acme
    database: D
    schema: S
""",
    "flow": "servers: [{server: prod, type: kafka, host: 'h:1'}]\n",
    "readable": "servers:\n- {server: source, type: duckdb, database: x.duckdb}\n",
}
TABLES = {
    "one": "",
    "several": "  - {name: shops, properties: [{name: shop, logicalType: string}]}\n",
}
FIELDS = {
    "block": """\
      - name: number  # of the order
        physicalName: 'no'
        physicalType: bigint
      - name: shop
        physicalType: varchar(3)
      - name: placed
        logicalType: date
        physicalType: timestamp_ntz
      - name: total
        physicalType: "decimal(12,2)"
""",
    "flow": """\
      - {name: number, physicalName: 'no', physicalType: bigint, primaryKey: false}
      - {name: shop, physicalType: varchar(3)}
      - {name: placed, logicalType: timestamp, required: false}
      - {name: total, physicalType: "decimal(12,2)"}
""",
}
CUSTOM = {
    "none": "",
    "block": "customProperties:\n- property: ruleset  # theirs\n  value: [a, b]\n",
    "flow": "customProperties: [{property: ruleset, value: 3}]\n",
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> DataProject:
    project = build(tmp_path_factory.mktemp("imports") / "project")
    project.source("orders").write_text(DATA)
    return project


@pytest.fixture
def project(original: DataProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataProject:
    project = original.copy(tmp_path / "project", monkeypatch)
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(project.root))
    return project


def theirs(folder: Path, server: str, table: str, fields: str, custom: str) -> Path:
    """A producer's contract of this shape."""
    path = folder / "theirs.odcs.yaml"
    path.write_text(f"""\
# our orders, as agreed
apiVersion: v3.0.2
kind: DataContract
id: 53581432-6c55-4ba2-a65f-72344a91553a   # a uuid
name: Orders of the shops
version: "1.0"
status: In Development
{SERVERS[server]}schema:
{TABLES[table]}  - name: orders_v1
    properties:
{FIELDS[fields]}slaProperties:
  - property: retention
    value: 3
    unit: y
{CUSTOM[custom]}""")
    return path


def is_kept(before: str, after: str) -> bool:
    """Whether all words and comments are still there, in order."""
    words = iter(re.findall(r"\S", after))
    return all(any(word == other for other in words) for word in re.findall(r"\S", before))


@given(st.sampled_from([*SERVERS]), st.sampled_from([*TABLES]), st.sampled_from([*FIELDS]),
       st.sampled_from([*CUSTOM]))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_import_with_data_can_be_received(
    tmp_path_factory: pytest.TempPathFactory, server: str, table: str, fields: str, custom: str
) -> None:
    root = tmp_path_factory.mktemp("project")
    (root / "data").mkdir()
    source = root / "data" / "orders.csv"
    source.write_text(DATA)
    path = theirs(root, server, table, fields, custom)
    contract = import_contract(root, "orders", str(path), str(source)).complete()
    assert (contract.key, contract.event_time) == (("number",), "placed")
    assert contract.source_configuration.options == {"path": "data/orders.csv", "format": "csv"}
    text = (root / "signals" / "orders.yaml").read_text()
    kept = path.read_text().replace("primaryKey: false", "primaryKey: ")
    assert is_kept(kept.replace("required: false", "required: "), text)
    assert contract_of(parse(text, contract.path), contract.path) == contract


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_import_without_data_loses_nothing(tmp_path: Path, path: Path) -> None:
    contract = import_contract(tmp_path, "orders", str(path), None)
    text = (tmp_path / "signals" / "orders.yaml").read_text()
    assert text.startswith(path.read_text())
    added = text.removeprefix(path.read_text()).splitlines()
    assert all(line.startswith("#") or not line for line in added)
    assert isinstance(contract, Contract)


@pytest.mark.usefixtures("project")
def test_import_says_what_to_fill_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = theirs(tmp_path, "unreadable", "several", "block", "none")
    assert new(["signal", "orders", "--from", str(path)]) == 0
    told = capsys.readouterr().out
    assert f"wrote signals/orders.yaml, imported from {path}\n" in told
    assert "unsupported servers of type snowflake" in told
    assert "none of 2 tables is called orders" in told
    assert "nobody is named under team.name and support" in told
    assert "not checked here: " in told
    assert "slaProperties retention" in told
    assert "task=ingest 'signals=[orders]'" in told
    with pytest.raises(UserError, match="unsupported servers of type"):
        load_snapshots(["orders"])


def test_imported_signal_is_received(project: DataProject, tmp_path: Path) -> None:
    path = theirs(tmp_path, "unreadable", "several", "flow", "block")
    source = str(project.source("orders"))
    assert new(["signal", "orders", "--from", str(path), "--source", source]) == 0
    snapshot = load_snapshots(["orders"])["orders"]
    assert (snapshot.rows, snapshot.version) == (3, "1.0")
    assert snapshot.last_event is not None
    assert snapshot.last_event.replace(tzinfo=None) == datetime(2024, 1, 3, 12)
    assert read_contracts(project.root)["orders"].names == ("number", "shop", "placed", "total")


@pytest.mark.parametrize(
    ("text", "words", "says"),
    [
        ("kind: DataProduct\n", [], "Did you mean 'DataContract'?"),
        ("a: [\n", [], "invalid YAML"),
        ("apiVersion: v3.1.0\nkind: DataContract\n", [], "'id' is missing"),
        (None, [], "cannot be read"),
    ],
)
def test_import_of_what_is_no_contract_writes_nothing(
    project: DataProject, tmp_path: Path, text: str | None, words: list[str], says: str
) -> None:
    path = tmp_path / "theirs.yml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=re.escape(says)):
        new(["signal", "orders", "--from", str(path), *words])
    assert not project.contract("orders").exists()


def test_import_from_an_address_says_what_to_do(project: DataProject) -> None:
    with pytest.raises(UserError, match=r"--from https://a\.b/c\.yaml: download the contract"):
        new(["signal", "orders", "--from", "https://a.b/c.yaml"])
    assert not project.contract("orders").exists()


def test_import_never_replaces_a_contract(project: DataProject, tmp_path: Path) -> None:
    path = theirs(tmp_path, "none", "one", "block", "none")
    before = project.contract("visits").read_text()
    with pytest.raises(UserError, match=r"signals/visits\.yaml is there already"):
        new(["signal", "visits", "--from", str(path)])
    assert project.contract("visits").read_text() == before


@pytest.mark.usefixtures("project")
def test_source_goes_with_a_contract() -> None:
    with pytest.raises(UserError, match=r"--source x\.csv needs a contract"):
        new(["signal", "orders", "--from", "a.csv", "--source", "x.csv"])
