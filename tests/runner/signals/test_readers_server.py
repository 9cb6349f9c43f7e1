"""The server of a contract: what is read from it, what a mistake says, and where secrets are."""

import re
import shutil
import textwrap
from pathlib import Path

import polars as pl
import pytest

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals import sources
from ml_experiment_runner.signals.sources import fetch
from support.data_project import DataProject, build, replace
from support.reading import contract, serve


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> DataProject:
    return build(tmp_path_factory.mktemp("servers") / "project")


@pytest.fixture
def project(tmp_path: Path, original: DataProject) -> DataProject:
    shutil.copytree(original.root / "src", tmp_path / "src")
    shutil.copytree(original.root / "signals", tmp_path / "signals")
    return DataProject(tmp_path)


@pytest.mark.parametrize(
    ("server", "properties", "reader", "origin"),
    [
        ("type: local\npath: a/b.csv\nformat: csv", "", "files", "a/b.csv"),
        ("type: s3\nlocation: s3://b/a.csv\nformat: csv", "", "files", "s3://b/a.csv"),
        ("type: azure\nlocation: az://b/a.csv\nformat: csv", "", "files", "az://b/a.csv"),
        (
            "type: postgresql\nhost: db\nport: 5432\ndatabase: shop\nschema: public",
            "user=${NAME} password=${WORD}",
            "postgres",
            "postgres://db:5432/shop/public.visits",
        ),
        ("type: duckdb\ndatabase: a.db", "schema=main", "duckdb", "duckdb:a.db/main.visits"),
        ("type: custom\ndatabase: a.db", "reader=sqlite", "sqlite", "sqlite:a.db/visits"),
        (
            "type: custom\nlocation: https://git.example.com/w\npath: data/a.csv\nformat: csv",
            "reader=dvc rev=v1",
            "dvc",
            "https://git.example.com/w@v1:data/a.csv",
        ),
        ("type: custom", "reader=model input=shops", "model", "the model's output on shops"),
        ("type: custom\nhost: db", "reader=own.read table=t", "own.read", "own.read"),
        (
            "type: api\nlocation: https://example.com/v1?key=${WORD}",
            "token=${WORD}",
            "api",
            "https://example.com/v1?key=${WORD}",
        ),
    ],
)
def test_server_has_a_reader_and_a_place_for_people(
    project: DataProject, server: str, properties: str, reader: str, origin: str
) -> None:
    found = serve(project, "visits", server, properties)
    assert (found.source_configuration.reader, found.source) == (reader, origin)
    assert found.server is found.source_configuration  # as readers of before call it


def test_table_has_the_name_that_the_database_gives_it(project: DataProject) -> None:
    path = project.contract("visits")
    path.write_text(
        path.read_text().replace("- name: visits\n", "- name: visits\n    physicalName: v2\n")
    )
    found = serve(project, "visits", "type: custom\ndatabase: a.db", "reader=sqlite")
    assert found.source == "sqlite:a.db/v2"


@pytest.mark.parametrize(
    ("server", "properties", "says"),
    [
        ("type: locl\npath: a\nformat: csv", "", "Did you mean 'local'?"),
        ("type: local\npath: a", "", "'format' is missing in servers[0]"),
        ("type: local\npth: a\nformat: csv", "", "Did you mean 'path'?"),
        ("type: local\npath: a\nformat: xlsx", "", "Available: csv, json, jsonl, parquet."),
        ("type: local\npath: a\nhost: b\nformat: csv", "", "unknown entry 'servers[0].host'"),
        ("type: s3\nlocation: http://b/a\nformat: csv", "", "must start with s3://"),
        ("type: postgres\nhost: a\nport: 5432\ndatabase: b", "", "'schema' is missing"),
        (
            "type: postgres\nhost: a\nport: x\ndatabase: b\nschema: c",
            "",
            "must be a whole number, got 'x'",
        ),
        ("type: api\nlocation: https://a", "tken=${A}", "Did you mean 'token'?"),
        ("type: api\nlocation: https://a", "next=a page=b", "'next' and 'page' exclude each other"),
        ("type: api\nlocation: https://a", "cursor=a", "'cursor' needs 'cursorParameter'"),
        ("type: api\nlocation: https://a", "firstPage=0", "'firstPage' needs 'page'"),
        ("type: api\nlocation: https://a", "timeout=0", "must be above 0 seconds"),
        ("type: api\nlocation: a/b", "", "must start with http:// or https://"),
        ("type: custom", "", "needs the property 'reader'"),
        ("type: custom", "reader=sqllite", "Did you mean 'sqlite'?"),
        ("type: custom", "reader=sqlite", "'database' is missing"),
        ("type: custom\nlocation: a\npath: b\nformat: csv", "reader=dvc", "'rev' is missing"),
        ("type: custom\nlocation: a", "reader=own.read location=b", "duplicate option 'location'"),
    ],
)
def test_mistake_in_a_server_names_its_line(
    project: DataProject, server: str, properties: str, says: str
) -> None:
    with pytest.raises(UserError) as error:
        serve(project, "visits", server, properties)
    assert says in str(error.value)
    assert re.match(r"signals/visits.yaml:\d+: ", str(error.value))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("server", "properties"),
    [
        ("type: postgres\nhost: a\nport: 1\ndatabase: b\nschema: c", "password=hunter2"),
        ("type: postgres\nhost: a\nport: 1\ndatabase: b\nschema: c", "user=hunter2"),
        ("type: postgres\nhost: a\nport: 1\ndatabase: b\nschema: c", "password=hunter2${A}"),
        ("type: api\nlocation: https://a", "token=hunter2"),
        ("type: api\nlocation: https://me:hunter2@a/b", ""),
        ("type: api\nlocation: https://a/b?x=1&api_key=hunter2", ""),
        ("type: custom", "reader=own.read my_token=hunter2"),
        *(
            ("type: custom", f"reader=own.read {name}=hunter2")
            for name in ("accessKey", "authToken", "privateKey", "connectionString", "pwd")
        ),
        ("type: api\nlocation: https://a", "authToken=hunter2"),
        ("type: custom\nlocation: Server=a;Pwd=hunter2;Port=1", "reader=own.read"),
        ("type: api\nlocation: https://hunter2@a/b", ""),
        ("type: api\nlocation: https://me:/hunter2@a/b", ""),
        ("type: api\nlocation: https://a/b?code=hunter2", ""),
        ("type: api\nlocation: https://a/b?Pwd=hunter2", ""),
        (
            "type: custom\nlocation: https://me:hunter2@git/a\npath: a\nformat: csv",
            "reader=dvc rev=1",
        ),
    ],
)
def test_secret_in_a_contract_is_refused_and_not_repeated(
    project: DataProject, server: str, properties: str
) -> None:
    with pytest.raises(UserError, match=r"visits.yaml:\d+: .* a secret: write the env") as error:
        serve(project, "visits", server, properties)
    assert "hunter2" not in str(error.value)
    assert "${VARIABLE}" in str(error.value)


def test_variable_that_is_not_set_is_named(
    project: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOP_TOKEN", raising=False)
    found = serve(project, "visits", "type: api\nlocation: https://a", "token=${SHOP_TOKEN}")
    with pytest.raises(UserError, match=r"signal visits: .* variable SHOP_TOKEN is not set"):
        fetch.fetch_rows(found)


PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "receive-signals.md"
BLOCKS = re.findall(r'```(\w+) title="([^"]+)"\n(.*?)```', PAGE.read_text(), re.DOTALL)


@pytest.mark.parametrize("block", [text for _, title, text in BLOCKS if "servers" in title])
def test_servers_of_the_documentation_are_read(project: DataProject, block: str) -> None:
    serve(project, "shops", textwrap.dedent(block.strip().replace("- server: source\n", "", 1)))


def test_reader_of_the_documentation_reads(
    project: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project.root / "src" / "flight_delays"
    folder.mkdir()
    code = next(text for language, _, text in BLOCKS if language == "python")
    (folder / "warehouse.py").write_text(code)
    monkeypatch.syspath_prepend(str(project.root / "src"))
    monkeypatch.setenv("WAREHOUSE_PASSWORD", "hunter2")
    block = BLOCKS[-1][2].strip().replace("- server: source\n", "", 1)
    replace(project.contract("shops"), "      - {name: opened, logicalType: date}\n", "")
    frame = fetch.fetch_rows(serve(project, "shops", textwrap.dedent(block)))
    assert frame.rows() == [("a", 12)]


OWN = """
import polars as pl

def read(contract, since):
    options = contract.source_configuration.resolved()
    if options["mode"] == "fail":
        raise ValueError(f"cannot log in with {options['password']}\\nmore")
    if options["mode"] == "list":
        return []
    rows = {"shop": ["b", "a"], "opened": ["2021-06-02", "2020-05-01"], "size": [None, 12]}
    return pl.DataFrame(rows)
"""


@pytest.fixture
def own(project: DataProject, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = project.root / "src" / "ownreaders"
    folder.mkdir()
    (folder / "warehouse.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(project.root / "src"))
    monkeypatch.setenv("OWN_PASSWORD", "hunter2")
    return "reader=ownreaders.warehouse.read password=${OWN_PASSWORD}"


def test_own_reader_is_one_function(project: DataProject, own: str) -> None:
    frame = fetch.fetch_rows(serve(project, "shops", "type: custom", f"{own} mode=good"))
    assert frame["shop"].to_list() == ["a", "b"]
    assert frame.schema["size"] == pl.Int64


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        ("fail", "failed: ValueError: cannot log in with ***"),
        ("list", "must return a polars DataFrame, got list"),
    ],
)
def test_own_reader_that_fails_says_where_and_no_secret(
    project: DataProject, own: str, mode: str, says: str
) -> None:
    found = serve(project, "shops", "type: custom", f"{own} mode={mode}")
    with pytest.raises(UserError) as error:
        fetch.fetch_rows(found)
    assert says in str(error.value)
    assert "hunter2" not in str(error.value)
    assert error.value.__suppress_context__ or error.value.__context__ is None
    assert mode == "list" or "warehouse.py, line 7" in str(error.value)


def test_own_reader_that_is_not_there_is_named(project: DataProject) -> None:
    found = serve(project, "shops", "type: custom", "reader=no_such_module.read")
    with pytest.raises(UserError, match=r"unknown reader no_such_module\.read"):
        fetch.fetch_rows(found)


def test_who_may_be_asked_for_newer_rows_only(project: DataProject) -> None:
    def takes(name: str, server: str, properties: str = "") -> bool:
        return sources.takes_since(serve(project, name, server, properties))

    assert not takes("visits", "type: local\npath: a\nformat: csv")
    assert takes("visits", "type: custom\ndatabase: a", "reader=sqlite")
    assert not takes("shops", "type: custom\ndatabase: a", "reader=sqlite")  # no event time
    assert not takes("visits", "type: api\nlocation: https://a")
    assert takes("visits", "type: api\nlocation: https://a", "since=from")
    assert not takes("visits", "type: custom", "reader=own.read")
    assert takes("visits", "type: custom", "reader=own.read incremental=true")
    assert sources.inputs(serve(project, "visits", "type: custom", "reader=model input=shops")) == (
        "shops",
    )
    assert sources.inputs(contract(project, "shops")) == ()
