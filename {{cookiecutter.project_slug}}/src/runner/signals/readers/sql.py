"""Databases: PostgreSQL, SQLite and DuckDB.

Only the contract's fields are asked for, and with `since` only the rows that are needed; rows
without an event time come always, for they are a mistake that has to be seen.
"""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl

from runner.config import nearest
from runner.errors import UserError
from runner.signals import checks
from runner.signals.contract import Contract
from runner.signals.readers import files

TIMEOUT = 10


def postgres(contract: Contract, since: datetime | None) -> pl.DataFrame:
    """Rows of a table or view in PostgreSQL."""
    options = contract.server.resolved()
    driver = _driver(contract, "adbc_driver_postgresql.dbapi", "adbc-driver-postgresql")
    who = ":".join(quote(options[name], safe="") for name in ("user", "password")
                   if name in options)  # fmt: skip
    address = (
        f"postgresql://{who}{'@' if who else ''}{options['host']}:{options['port']}/"
        f"{quote(options['database'], safe='')}?connect_timeout={TIMEOUT}"
    )
    table = _table(options)
    with _told(contract), driver.connect(address) as connection, connection.cursor() as cursor:
        # a time without an offset is in the contract's time zone
        cursor.execute(f"SET TIME ZONE '{contract.time_zone}'")
        cursor.execute(f"SELECT * FROM {table} LIMIT 0")  # noqa: S608 (quoted)
        found = cursor.fetch_arrow_table().schema
        names = _names(contract, found.names)
        columns = [_postgres_column(contract, found.field(name)) for name in names]
        is_text = contract.event_time and str(found.field(contract.field(contract.event_time).source_name).type) == "string"
        where = "" if is_text else _since(contract, since)
        cursor.execute(f"SELECT {', '.join(columns)} FROM {table}{where}")  # noqa: S608 (quoted)
        rows = pl.DataFrame(cursor.fetch_arrow_table())
    return rows.with_columns(files.whole(rows[name], contract, contract.source) for name in names)


def duckdb(contract: Contract, since: datetime | None) -> pl.DataFrame:
    """Rows of a table or view in a DuckDB file."""
    options = contract.server.resolved()
    driver = _driver(contract, "duckdb", "duckdb")
    table = _table(options)
    with _told(contract), driver.connect(_file(contract, options), read_only=True) as connection:
        connection.execute(f"SET TimeZone = '{contract.time_zone}'")
        found = connection.sql(f"SELECT * FROM {table} LIMIT 0").pl()  # noqa: S608 (quoted)
        names = _names(contract, found.columns)
        is_text = contract.event_time and found[contract.field(contract.event_time).source_name].dtype == pl.String
        where = "" if is_text else _since(contract, since)
        columns = ", ".join(map(_quoted, names))
        rows: pl.DataFrame = connection.sql(
            f"SELECT {columns} FROM {table}{where}"  # noqa: S608 (quoted)
        ).pl()
    return rows.with_columns(files.whole(rows[name], contract, contract.source) for name in names)


def sqlite(contract: Contract, since: datetime | None) -> pl.DataFrame:
    """Rows of a table or view in an SQLite file."""
    import sqlite3

    options = contract.server.resolved()
    table = _table(options)
    address = f"{Path(_file(contract, options)).as_uri()}?mode=ro"
    with _told(contract), contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
        found = connection.execute(f"SELECT * FROM {table} LIMIT 0")  # noqa: S608 (quoted)
        names = _names(contract, [column[0] for column in found.description])
        columns = ", ".join(map(_quoted, names))
        where = _since_text(contract, since)
        rows = connection.execute(f"SELECT {columns} FROM {table}{where}")  # noqa: S608 (quoted)
        values = list(zip(*rows.fetchall(), strict=True)) or [()] * len(names)
    return pl.DataFrame(
        [_sqlite_column(contract, *each) for each in zip(names, values, strict=True)]
    )


def _driver(contract: Contract, module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise files.missing(contract, package) from None


def _file(contract: Contract, options: dict[str, str]) -> str:
    path = (contract.root / Path(options["database"]).expanduser()).absolute()
    if not path.is_file():
        beside = [each.name for each in path.parent.iterdir()] if path.parent.is_dir() else []
        near = f" {nearest(path.name, beside)}" if beside else ""
        raise contract.mistake(
            f"the database {contract.server.hide(str(path))} does not exist",
            f"Put it there or correct 'database' in signals/{contract.path.name}.{near}".rstrip(
                "."
            ),
        )
    return str(path)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _table(options: dict[str, str]) -> str:
    return ".".join(_quoted(options[name]) for name in ("schema", "table") if name in options)


def _names(contract: Contract, found: Sequence[str]) -> tuple[str, ...]:
    """The contract's fields; what a table has beyond them is not read."""
    if not set(contract.source_names) <= set(found):
        checks.check_names(found, contract, contract.source)
    return contract.source_names


def _since(contract: Contract, since: datetime | None) -> str:
    if since is None:
        return ""
    event = _quoted(contract.field(str(contract.event_time)).source_name)
    return f" WHERE {event} >= TIMESTAMPTZ '{since.astimezone(UTC).isoformat()}' OR {event} IS NULL"


def _since_text(contract: Contract, since: datetime | None) -> str:
    """By the date that an ISO 8601 text begins with; a day early, for it may be of any zone."""
    if since is None:
        return ""
    event = _quoted(contract.field(str(contract.event_time)).source_name)
    day = since.astimezone(UTC).date() - timedelta(days=1)
    digits = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*"
    return f" WHERE {event} >= '{day}' OR {event} IS NULL OR {event} NOT GLOB '{digits}'"


def _postgres_column(contract: Contract, found: Any) -> str:
    """A column as a type that a frame has: exact decimals and such as `uuid` have none."""
    name, wanted = _quoted(found.name), contract.source_field(found.name).type
    kind = (found.metadata or {}).get(b"POSTGRESQL:type", b"").decode()
    if kind == "numeric" and wanted in ("integer", "number"):
        return f"CAST({name} AS double precision) AS {name}"
    is_special = str(found.type).startswith(("extension", "binary"))
    if is_special and kind != "numeric" and wanted == "string":
        return f"CAST({name} AS text) AS {name}"
    return name


def _sqlite_column(contract: Contract, name: str, values: Sequence[Any]) -> pl.Series:
    """A column of SQLite's, which has types by value, no booleans, and times as texts."""
    wanted = contract.source_field(name).type
    kinds = {type(value) for value in values} - {type(None)}
    if wanted == "boolean" and kinds <= {int} and set(values) <= {0, 1, None}:
        return pl.Series(name, values, pl.Int8).cast(pl.Boolean)
    if kinds == {int, float}:
        kinds, values = {float}, [None if value is None else float(value) for value in values]
    if len(kinds) > 1:
        texts = pl.Series(name, [None if value is None else str(value) for value in values])
        return files.whole(texts, contract, contract.source)
    return files.whole(pl.Series(name, values), contract, contract.source)


@contextlib.contextmanager
def _told(contract: Contract) -> Iterator[None]:
    """Says in one line what a driver says in its own way, without what it was called with."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise contract.mistake(
            f"{contract.source} cannot be read ({files.why(error, contract)})",
            f"Correct signals/{contract.path.name}, or ask {contract.owner} ({contract.contact})",
        ) from None
