"""Databases: PostgreSQL, SQLite and DuckDB.

Only the contract's fields are asked for, and with `since` only the rows that are needed; rows
without an event time come always, for they are a mistake that has to be seen.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.suggestions import nearest
from ml_experiment_runner.signals.checks import schema
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.sources import columns, files

TIMEOUT = 10
POSTGRES_AS_THEY_ARE = (
    *("bool", "int2", "int4", "int8", "float4", "float8", "text", "varchar", "bpchar", "name"),
    *("date", "timestamp", "timestamptz", "time", "bytea"),
)
# a frame has no such type, or one that is too narrow: UHUGEINT would come as -1
DUCKDB_AS_TEXT = (
    *("HUGEINT", "UHUGEINT", "BIGNUM", "BIT", "INTERVAL", "TIME WITH TIME ZONE", "UUID"),
)


def postgres(contract: Contract, since: datetime | None) -> pl.DataFrame:
    """Rows of a table or view in PostgreSQL."""
    options = contract.source_configuration.resolved()
    driver = _driver(contract, "adbc_driver_postgresql.dbapi", "adbc-driver-postgresql")
    who = ":".join(quote(options[name], safe="") for name in ("user", "password")
                   if name in options)  # fmt: skip
    address = (
        f"postgresql://{who}{'@' if who else ''}{options['host']}:{options['port']}/"
        f"{quote(options['database'], safe='')}?connect_timeout={TIMEOUT}"
    )
    table = _table(options)
    with (
        _readable_errors(contract),
        driver.connect(address) as connection,
        connection.cursor() as cursor,
    ):
        # a time without an offset is in the contract's time zone
        cursor.execute(f"SET TIME ZONE '{contract.time_zone}'")
        cursor.execute(f"SELECT * FROM {table} LIMIT 0")  # noqa: S608 (quoted)
        table_schema = cursor.fetch_arrow_table().schema
        names = _names(contract, table_schema.names)
        asked = [_postgres_column(contract, table_schema.field(name)) for name in names]
        kinds = {name: _kind(table_schema.field(name)) for name in names}
        where = _since(contract, since, kinds, ("timestamp", "date"))
        cursor.execute(f"SELECT {', '.join(asked)} FROM {table}{where}")  # noqa: S608 (quoted)
        rows = pl.DataFrame(cursor.fetch_arrow_table())
    texts = [name for name, kind in kinds.items() if kind in ("text", "varchar", "bpchar")]
    schema.check_no_texts(rows.select(texts), contract, contract.source)
    return rows


def duckdb(contract: Contract, since: datetime | None) -> pl.DataFrame:
    """Rows of a table or view in a DuckDB file."""
    options = contract.source_configuration.resolved()
    driver = _driver(contract, "duckdb", "duckdb")
    table = _table(options)
    with (
        _readable_errors(contract),
        driver.connect(_file(contract, options), read_only=True) as connection,
    ):
        connection.execute(f"SET TimeZone = '{contract.time_zone}'")
        relation = connection.sql(f"SELECT * FROM {table} LIMIT 0")  # noqa: S608 (quoted)
        names = _names(contract, relation.columns)
        types = dict(zip(relation.columns, map(str, relation.types), strict=True))
        kinds = {name: types[name] for name in names}
        where = _since(contract, since, kinds, ("TIMESTAMP", "DATE"))
        asked = ", ".join(_duckdb_column(name, kind) for name, kind in kinds.items())
        rows: pl.DataFrame = connection.sql(
            f"SELECT {asked} FROM {table}{where}"  # noqa: S608 (quoted)
        ).pl()
    texts = [name for name, kind in kinds.items() if kind == "VARCHAR"]
    schema.check_no_texts(rows.select(texts), contract, contract.source)
    return rows


def sqlite(contract: Contract, since: datetime | None) -> pl.DataFrame:
    """Rows of a table or view in an SQLite file."""
    import sqlite3

    options = contract.source_configuration.resolved()
    table = _table(options)
    address = f"{Path(_file(contract, options)).as_uri()}?mode=ro"
    with (
        _readable_errors(contract),
        contextlib.closing(sqlite3.connect(address, uri=True)) as connection,
    ):
        cursor = connection.execute(f"SELECT * FROM {table} LIMIT 0")  # noqa: S608 (quoted)
        names = _names(contract, [column[0] for column in cursor.description])
        asked = ", ".join(map(_quoted, names))
        where = _since_text(contract, since)
        rows = connection.execute(f"SELECT {asked} FROM {table}{where}")  # noqa: S608 (quoted)
        values = list(zip(*rows.fetchall(), strict=True)) or [()] * len(names)
    return pl.DataFrame(
        [
            columns.of_values(name, column, contract.source, contract)
            for name, column in zip(names, values, strict=True)
        ]
    )


def _driver(contract: Contract, module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise files.missing(contract, package) from None


def _file(contract: Contract, options: dict[str, str]) -> str:
    path = (contract.root / Path(options["database"]).expanduser()).absolute()
    if not path.is_file():
        beside = (
            [neighbour.name for neighbour in path.parent.iterdir()] if path.parent.is_dir() else []
        )
        near = f" {nearest(path.name, beside)}" if beside else ""
        raise contract.mistake(
            f"the database {contract.source_configuration.hide(str(path))} does not exist",
            f"Put it there or correct 'database' in signals/{contract.path.name}.{near}".rstrip(
                "."
            ),
        )
    return str(path)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _table(options: dict[str, str]) -> str:
    return ".".join(_quoted(options[name]) for name in ("schema", "table") if name in options)


def _names(contract: Contract, table_columns: Sequence[str]) -> tuple[str, ...]:
    """The contract's fields; what a table has beyond them is not read."""
    if not set(contract.source_names) <= set(table_columns):
        schema.check_names(table_columns, contract, contract.source)
    return contract.source_names


def _since(
    contract: Contract,
    since: datetime | None,
    kinds: Mapping[str, str],
    comparable: tuple[str, ...],
) -> str:
    """Rows are asked for by time where the database has times there, not texts or numbers."""
    if since is None:
        return ""
    name = contract.field(str(contract.event_time)).source_name
    if not kinds[name].startswith(comparable):
        return ""
    event = _quoted(name)
    return f" WHERE {event} >= TIMESTAMPTZ '{since.astimezone(UTC).isoformat()}' OR {event} IS NULL"


def _since_text(contract: Contract, since: datetime | None) -> str:
    """By the date that an ISO 8601 text begins with; a day early, for it may be of any zone."""
    if since is None:
        return ""
    event = _quoted(contract.field(str(contract.event_time)).source_name)
    day = since.astimezone(UTC).date() - timedelta(days=1)
    digits = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*"
    return f" WHERE {event} >= '{day}' OR {event} IS NULL OR {event} NOT GLOB '{digits}'"


def _kind(column: Any) -> str:
    """A column's type as PostgreSQL calls it."""
    return str((column.metadata or {}).get(b"POSTGRESQL:type", b"").decode())


def _postgres_column(contract: Contract, column: Any) -> str:
    """A column as what arrives with every digit: as text what has no type in a frame."""
    name, wanted, kind = (
        _quoted(column.name),
        contract.source_field(column.name).type,
        _kind(column),
    )
    if kind in POSTGRES_AS_THEY_ARE:
        return name
    if kind == "oid":  # is beyond 32 bits with a sign
        return f"CAST({name} AS bigint) AS {name}"
    if kind == "money":  # would come as a number of cents
        return f"CAST(CAST({name} AS numeric) AS text) AS {name}"
    if kind == "numeric" and wanted == "integer":
        return f"CAST(trim_scale({name}) AS text) AS {name}"
    if kind in ("_numeric", "_float4", "_float8"):  # JSON has NaN in quotes, and NaN is no value
        return f"replace(CAST(to_json({name}) AS text), '\"', '') AS {name}"
    if str(column.type).startswith(("list", "struct")):
        return f"CAST(to_json({name}) AS text) AS {name}"
    return f"CAST({name} AS text) AS {name}"


def _duckdb_column(name: str, kind: str) -> str:
    """A column as what arrives with every digit: as text what has no type in a frame."""
    quoted = _quoted(name)
    if kind in DUCKDB_AS_TEXT:
        return f"CAST({quoted} AS VARCHAR) AS {quoted}"
    is_nested = kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION"))
    if is_nested and any(word in kind for word in DUCKDB_AS_TEXT):
        return f"CAST(to_json({quoted}) AS VARCHAR) AS {quoted}"
    return quoted


@contextlib.contextmanager
def _readable_errors(contract: Contract) -> Iterator[None]:
    """Says in one line what a driver says in its own way, without what it was called with."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise contract.mistake(
            f"{contract.source} cannot be read ({files.why(error, contract)})",
            f"Correct signals/{contract.path.name}, or ask {contract.owner_and_contact}",
        ) from None
