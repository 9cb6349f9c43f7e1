"""Databases as sources: PostgreSQL started for real, SQLite and DuckDB."""

import contextlib
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.sources import fetch, sql
from support.data_project import DataProject, build, replace
from support.reading import NAMES, content, contract, rows, serve
from support.upstreams import PASSWORD, Postgres

MARCH = datetime(2024, 3, 1, 5, tzinfo=UTC)  # midnight in New York
COLUMNS = {
    "visits": '"at" timestamptz, shop text, visitor integer, minute smallint, member boolean, '
    "spent numeric(8,2), unasked text",
    "shops": "shop varchar(9), opened date, size bigint, unasked text",
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> DataProject:
    return build(tmp_path_factory.mktemp("databases") / "project")


@pytest.fixture
def project(tmp_path: Path, original: DataProject) -> DataProject:
    shutil.copytree(original.root, tmp_path / "project")
    return DataProject(tmp_path / "project")


@pytest.fixture(scope="module")
def server(original: DataProject) -> Iterator[Postgres]:
    # beside the others: their folders are closed to the user that PostgreSQL runs as
    with tempfile.TemporaryDirectory() as folder:
        server = Postgres(Path(folder))
        try:
            for name in NAMES:
                server.fill(name, rows(original, name), COLUMNS[name])
            yield server
        finally:
            server.stop()


@pytest.fixture
def postgres(
    server: Postgres, project: DataProject, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Contract]:
    monkeypatch.setenv("SHOP_USER", "owner")
    monkeypatch.setenv("SHOP_PASSWORD", PASSWORD)

    def postgres(name: str, port: int = server.port, database: str = "postgres") -> Contract:
        entry = (
            f"type: postgres\nhost: 127.0.0.1\nport: {port}\ndatabase: {database}\nschema: public"
        )
        return serve(project, name, entry, "user=${SHOP_USER} password=${SHOP_PASSWORD}")

    return postgres


def sqlite_file(project: DataProject) -> Path:
    """As SQLite keeps them: times and dates as texts, booleans as numbers."""
    path = project.root / "data" / "raw" / "shop.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for name in NAMES:
            frame = rows(project, name)
            texts = frame.with_columns(
                pl.col(pl.Datetime).dt.to_string("%Y-%m-%d %H:%M:%S+00:00"),
                pl.col(pl.Date).dt.to_string(),
                pl.col(pl.Boolean).cast(pl.Int8),
            )
            connection.execute(f"CREATE TABLE {name} ({', '.join(frame.columns)}, unasked)")
            places = ", ".join("?" * frame.width)
            connection.executemany(f"INSERT INTO {name} VALUES ({places}, 1)", texts.rows())
        connection.commit()
    return path


def duckdb_file(project: DataProject) -> Path:
    import duckdb

    path = project.root / "data" / "raw" / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        for name in NAMES:
            frame = rows(project, name)
            connection.register("loaded", frame)
            connection.execute(f"CREATE TABLE {name} ({COLUMNS[name]})")
            names = ", ".join(f'"{name}"' for name in frame.columns)
            connection.execute(f"INSERT INTO {name} ({names}) SELECT {names} FROM loaded")
    return path


def sqlite(project: DataProject, name: str) -> Contract:
    sqlite_file(project)
    return serve(project, name, "type: custom\ndatabase: data/raw/shop.sqlite", "reader=sqlite")


def duckdb(project: DataProject, name: str) -> Contract:
    duckdb_file(project)
    return serve(project, name, "type: duckdb\ndatabase: data/raw/shop.duckdb")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", ["postgres", "sqlite", "duckdb"])
def test_same_rows_are_the_same_signal_in_every_database(
    project: DataProject, request: pytest.FixtureRequest, where: str, name: str
) -> None:
    wanted = content(contract(project, name))
    if where == "postgres":
        found = request.getfixturevalue("postgres")(name)
    else:
        found = {"sqlite": sqlite, "duckdb": duckdb}[where](project, name)
    assert content(found) == wanted
    frame = fetch.fetch_rows(found)
    if name == "visits":
        newer = fetch.fetch_rows(found, MARCH)
        assert newer.equals(frame.filter(pl.col("at") >= MARCH))
        assert 0 < newer.height < frame.height


def test_postgres_is_asked_for_the_needed_columns_and_rows_only(
    postgres: Callable[..., Contract], server: Postgres
) -> None:
    found = postgres("visits")
    before = len(server.log.read_text())
    given = sql.postgres(found, MARCH)
    assert given["at"].min() == MARCH
    said = server.log.read_text()[before:]
    asked = [line for line in said.splitlines() if "COPY" in line and "LIMIT 0" not in line]
    assert len(asked) == 1
    assert "TIMESTAMPTZ '2024-03-01T05:00:00+00:00'" in asked[0]
    assert "unasked" not in asked[0]
    assert "*" not in asked[0]


@pytest.mark.parametrize("open_at", [sqlite, duckdb])
def test_file_databases_give_the_needed_columns_and_rows_only(
    project: DataProject, open_at: Callable[[DataProject, str], Contract]
) -> None:
    found = open_at(project, "visits")
    given = {"sqlite": sql.sqlite, "duckdb": sql.duckdb}[found.source_configuration.reader](
        found, MARCH
    )
    assert "unasked" not in given.columns
    # SQLite compares texts of any zone by their date, so a day more may come
    needed = fetch.fetch_rows(found, MARCH).height
    assert needed <= given.height <= needed + 48


def test_postgres_time_without_zone_has_the_contracts_zone(
    postgres: Callable[..., Contract], server: Postgres, project: DataProject
) -> None:
    frame = fetch.fetch_rows(contract(project, "visits"))
    wanted = content(contract(project, "visits"))
    path = project.contract("visits")
    path.write_text(
        path.read_text().replace(
            "- name: visits\n", "- name: visits\n    physicalName: Local Visits\n"
        )
    )
    server.execute(
        """CREATE VIEW "Local Visits" AS
        SELECT at AT TIME ZONE 'America/New_York' AS at, shop, visitor, minute, member, spent
        FROM visits"""
    )
    found = postgres("visits")
    assert content(found) == wanted
    assert fetch.fetch_rows(found, MARCH).equals(frame.filter(pl.col("at") >= MARCH))
    assert sql.postgres(found, MARCH).height == frame.filter(pl.col("at") >= MARCH).height


def test_row_without_its_event_time_is_seen_whatever_is_asked(project: DataProject) -> None:
    found = sqlite(project, "visits")
    path = project.root / "data" / "raw" / "shop.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE visits SET at = NULL WHERE rowid = 1")
        connection.commit()
    with pytest.raises(UserError, match="the required field 'at' has no value"):
        fetch.fetch_rows(found, MARCH)


def test_wrong_value_in_sqlite_is_shown_with_its_row(project: DataProject) -> None:
    found = sqlite(project, "visits")
    path = project.root / "data" / "raw" / "shop.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE visits SET minute = 'x' WHERE rowid = 7")
        connection.commit()
    with pytest.raises(UserError, match=r"minute must be an integer, but row 7 of .* has 'x'"):
        fetch.fetch_rows(found)


def test_decimal_of_postgres_is_no_integer(
    postgres: Callable[..., Contract], project: DataProject
) -> None:
    replace(project.contract("visits"), "name: spent, logicalType: number",
            "name: spent, logicalType: integer")  # fmt: skip
    with pytest.raises(UserError, match=r"spent must be an integer, but row \d+ of .* has '\d"):
        fetch.fetch_rows(postgres("visits"))


def _wrong_password(monkeypatch: pytest.MonkeyPatch, _: DataProject) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "not-the-password")


def _other_table(_: pytest.MonkeyPatch, project: DataProject) -> None:
    path = project.contract("visits")
    path.write_text(
        path.read_text().replace("- name: visits\n", "- name: visits\n    physicalName: vists\n")
    )


def _other_field(_: pytest.MonkeyPatch, project: DataProject) -> None:
    replace(project.contract("visits"), "name: minute", "name: minutes")


@pytest.mark.parametrize(
    ("harm", "more", "says"),
    [
        (_wrong_password, {}, "password authentication failed"),
        (_other_table, {}, 'relation "public.vists" does not exist'),
        (_other_field, {}, "'minutes' is missing in postgres://.* Did you mean 'minute'"),
        (None, {"port": 1}, "Connection refused"),
        (None, {"database": "nowhere"}, 'database "nowhere" does not exist'),
    ],
)
def test_postgres_that_cannot_be_read_says_why_and_no_secret(
    postgres: Callable[..., Contract],
    project: DataProject,
    monkeypatch: pytest.MonkeyPatch,
    harm: Any,
    more: dict[str, Any],
    says: str,
) -> None:
    if harm:
        harm(monkeypatch, project)
    with pytest.raises(UserError, match=f"(?s)signal visits: .*{says}") as error:
        fetch.fetch_rows(postgres("visits", **more))
    message = str(error.value)
    assert len(message.splitlines()) <= 2
    assert "visits@example.com" in message
    for secret in (PASSWORD, quote(PASSWORD, safe=""), "not-the-password", "owner"):
        assert secret not in message
    assert error.value.__context__ is None or error.value.__suppress_context__


def test_database_that_is_not_there_names_the_nearest(project: DataProject) -> None:
    duckdb_file(project)
    for entry, more in (
        ("type: duckdb\ndatabase: data/raw/shp.duckdb", ""),
        ("type: custom\ndatabase: data/raw/shp.duckdb", "reader=sqlite"),
    ):
        with pytest.raises(UserError, match=r"does not exist\.(?s:.*)Did you mean 'shop.duckdb'"):
            fetch.fetch_rows(serve(project, "visits", entry, more))


def test_file_that_is_no_database_is_said(project: DataProject) -> None:
    (project.root / "data" / "raw" / "a.db").write_text("no database, but text\n" * 100)
    for entry, more in (
        ("type: duckdb\ndatabase: data/raw/a.db", ""),
        ("type: custom\ndatabase: data/raw/a.db", "reader=sqlite"),
    ):
        with pytest.raises(UserError, match=r"a.db/visits cannot be read \(.*not a"):
            fetch.fetch_rows(serve(project, "visits", entry, more))


def test_classified_value_in_a_drivers_words_is_not_shown(project: DataProject) -> None:
    found = sqlite(project, "shops")
    with contextlib.closing(sqlite3.connect(project.root / "data/raw/shop.sqlite")) as connection:
        connection.execute("UPDATE shops SET shop = CAST(x'4a6fe96c' AS TEXT)")
        connection.commit()
    with pytest.raises(UserError, match="Could not decode to UTF-8"):
        fetch.fetch_rows(found)
    replace(project.contract("shops"), "{name: shop,", "{name: shop, classification: restricted,")
    with pytest.raises(UserError, match=r"cannot be read \(OperationalError\)"):
        fetch.fetch_rows(contract(project, "shops"))


@pytest.mark.parametrize(
    ("entry", "module", "package"),
    [
        ("type: duckdb\ndatabase: a", "duckdb", "duckdb"),
        (
            "type: postgres\nhost: a\nport: 1\ndatabase: b\nschema: c",
            "adbc_driver_postgresql.dbapi",
            "adbc-driver-postgresql",
        ),
    ],
)
def test_driver_that_is_not_installed_is_named(
    project: DataProject, monkeypatch: pytest.MonkeyPatch, entry: str, module: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError) as error:
        fetch.fetch_rows(serve(project, "visits", entry))
    assert f"needs {package}, which is not installed" in str(error.value)
    assert f"Add {package} to the dependencies in pyproject.toml" in str(error.value)


@pytest.mark.parametrize(
    ("expression", "kind", "wanted"),
    [
        ("9007199254740993::numeric", "integer", 2**53 + 1),
        ("9223372036854775807.00::numeric(30, 2)", "integer", 2**63 - 1),
        ("12345678901234567890.10::numeric", "string", "12345678901234567890.10"),
        ("0.1::numeric", "number", 0.1),
        ("'12.30'::money", "string", "12.30"),
        ("'12.30'::money", "number", 12.3),
        ("4294967295::oid", "integer", 4294967295),
        ("'2c5f3e20-7f44-4b0e-9c7e-0123456789ab'::uuid", "string",
         "2c5f3e20-7f44-4b0e-9c7e-0123456789ab"),
        ("""'{"b": 1.10, "a": [1]}'::json""", "object", '{"b":1.10,"a":[1]}'),
        ("""'{"b": 12345678901234567890.10}'::jsonb""", "object", '{"b":12345678901234567890.10}'),
        ("ARRAY[1.10, NULL, 12345678901234567890]::numeric[]", "array",
         "[1.10,null,12345678901234567890]"),
        ("ARRAY['1', 'é']", "array", '["1","é"]'),
        ("'ab '::char(3)", "string", "ab "),
        ("'b'::bytea", "string", "b"),
        ("'2024-01-01 00:00:00.000001+00'::timestamptz", "timestamp",
         datetime(2024, 1, 1, 0, 0, 0, 1, UTC)),
        ("'192.168.0.1'::inet", "string", "192.168.0.1/32"),
        ("'1 day'::interval", "string", "1 day"),
        ("12::smallint", "number", 12.0),
    ],
)  # fmt: skip
def test_postgres_type_arrives_exactly(
    server: Postgres, postgres: Callable[..., Contract], expression: str, kind: str, wanted: Any
) -> None:
    found = _one_value(server, postgres, expression, kind)
    assert fetch.fetch_rows(found)["size"].to_list() == [wanted]


@pytest.mark.parametrize(
    ("expression", "kind", "says"),
    [
        ("12345678901234567890::numeric", "integer", "which is beyond 64 bits"),
        ("0.12345678901234567891::numeric", "number", "a 64-bit number cannot hold"),
        ("'NaN'::numeric", "number", "list NaN under nullValues"),
        ("'infinity'::timestamptz", "timestamp", "beyond the years 1 to 9999"),
        ("'-infinity'::date", "date", "beyond the years 1 to 9999"),
        ("date '12000-01-01'", "date", "beyond the years 1 to 9999"),
        ("'\\xff'::bytea", "string", "which is bytes that are not UTF-8"),
        ("'12:00:00+01'::timetz", "time", "has '12:00:00"),
        ("ARRAY[1, 'NaN']::float8[]", "array", "must be an array"),
        ("'12'::text", "integer", "which is a text"),
        ("9007199254740993::bigint", "number", "a 64-bit number cannot hold"),
    ],
)
def test_postgres_value_that_no_signal_holds_is_refused(
    server: Postgres, postgres: Callable[..., Contract], expression: str, kind: str, says: str
) -> None:
    found = _one_value(server, postgres, expression, kind)
    with pytest.raises(UserError, match=r"size must be an? .*but row 1 of") as error:
        fetch.fetch_rows(found)
    assert says in str(error.value)
    assert len(str(error.value).splitlines()) <= 2


def _one_value(
    server: Postgres, postgres: Callable[..., Contract], expression: str, kind: str
) -> Contract:
    """A table of one row, with what an expression of SQL gives as its `size`."""
    server.execute("DROP TABLE IF EXISTS one")
    server.execute(
        f"CREATE TABLE one AS SELECT 'a' AS shop, date '2024-01-01' AS opened, {expression} AS size"
    )
    found = postgres("shops")
    replace(found.path, "name: size, logicalType: integer", f"name: size, logicalType: {kind}")
    replace(found.path, "- name: shops\n", "- name: shops\n    physicalName: one\n")
    return postgres("shops")
