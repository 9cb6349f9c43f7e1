"""Writes values with the tools of those who make them, and reads them as a signal."""

import contextlib
import csv
import dataclasses
import json
import sqlite3
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import polars as pl

from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.sources import fetch

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: t
name: t
version: 1.0.0
status: active
team: {{name: Team}}
support: [{{channel: desk, url: mailto:desk@example.com}}]
servers:
  - {server}
schema:
  - name: t
    properties:
      - {{name: n, logicalType: integer, primaryKey: true}}
      - {{name: v, logicalType: {kind}}}
customProperties:
  - {{property: timeZone, value: {zone}}}
  - {{property: nullValues, value: [{nulls}]}}
"""


def receive(
    root: Path,
    server: str,
    kind: str,
    zone: str = "UTC",
    nulls: str = "",
    form: str | None = None,
) -> pl.Series:
    """The values of the field `v` in the order of the rows."""
    (root / "signals").mkdir(exist_ok=True)
    text = CONTRACT.format(server=server, kind=kind, zone=zone, nulls=nulls)
    if not nulls:
        text = text[: text.index("  - {property: nullValues")]
    (root / "signals" / "t.yaml").write_text(text)
    contract = read_contracts(root)["t"]
    first, second = contract.fields
    fields = (first, dataclasses.replace(second, format=form))
    return fetch.fetch_rows(dataclasses.replace(contract, fields=fields))["v"]


def local(form: str) -> str:
    """The server of a file."""
    return f"{{server: source, type: local, path: t.{form}, format: {form}}}"


def as_csv(root: Path, texts: Sequence[str], quoting: Literal[0, 1] = csv.QUOTE_MINIMAL) -> str:
    """As Python's csv writes texts."""
    with (root / "t.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n", quoting=quoting)
        writer.writerows([("n", "v"), *enumerate(texts)])
    return local("csv")


def as_jsonl(root: Path, tokens: Sequence[str]) -> str:
    """As JSON has them: what stands after the colon."""
    lines = (f'{{"n": {row}, "v": {token}}}' for row, token in enumerate(tokens))
    (root / "t.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return local("jsonl")


def as_parquet(root: Path, values: Any) -> str:
    """As pyarrow writes an array."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"n": range(len(values)), "v": values}), root / "t.parquet")
    return local("parquet")


def as_sqlite(root: Path, values: Sequence[Any]) -> str:
    """As SQLite keeps values that have types of their own."""
    (root / "t.sqlite").unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(root / "t.sqlite")) as connection:
        connection.execute("CREATE TABLE t (n, v)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", enumerate(values))
        connection.commit()
    more = "customProperties: [{property: reader, value: sqlite}]"
    return f"{{server: source, type: custom, database: t.sqlite, {more}}}"


def as_duckdb(root: Path, expressions: Sequence[str]) -> str:
    """As DuckDB keeps what expressions of SQL give."""
    import duckdb

    (root / "t.duckdb").unlink(missing_ok=True)
    with duckdb.connect(str(root / "t.duckdb")) as connection:
        rows = " UNION ALL ".join(
            f"SELECT {row} AS n, {each} AS v" for row, each in enumerate(expressions)
        )
        connection.execute(f"CREATE TABLE t AS {rows}")
    return "{server: source, type: duckdb, database: t.duckdb}"


def numbers_in(root: Path, where: str, values: Sequence[Decimal]) -> str:
    """Decimals in a source of a kind, each with all its digits."""
    import pyarrow as pa

    texts = [format(value, "f") for value in values]
    makers: dict[str, Callable[[], str]] = {
        "csv": lambda: as_csv(root, texts),
        "jsonl": lambda: as_jsonl(root, texts),
        "parquet": lambda: as_parquet(root, pa.array(values, pa.decimal128(38, 10))),
        "sqlite": lambda: as_sqlite(root, texts),
        "duckdb": lambda: as_duckdb(root, [f"{text}::DECIMAL(38, 10)" for text in texts]),
    }
    return makers[where]()


def texts_in(root: Path, where: str, values: Sequence[str]) -> str:
    """Texts in a source of a kind."""
    import pyarrow as pa

    makers: dict[str, Callable[[], str]] = {
        "csv": lambda: as_csv(root, values, csv.QUOTE_ALL),
        "jsonl": lambda: as_jsonl(root, [json.dumps(value) for value in values]),
        "parquet": lambda: as_parquet(root, pa.array(values, pa.string())),
        "sqlite": lambda: as_sqlite(root, values),
    }
    return makers[where]()
