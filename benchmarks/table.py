"""A table of twenty fields over a year, and its contract: what the checks are timed on."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

YEAR = 365 * 86_400
CONTRACT = """\
kind: DataContract
apiVersion: v3.1.0
id: table
version: 1.0.0
status: active
team: {{name: Team}}
support: [{{channel: mail, url: "mailto:team@example.com"}}]
servers: [{{server: source, type: local, path: table.parquet, format: parquet}}]
schema:
  - name: table
    properties:
      - {{name: at, logicalType: timestamp, primaryKey: true}}
      - {{name: id, logicalType: integer, primaryKey: true}}
{fields}
customProperties: [{{property: eventTime, value: at}}]
"""
NULLS = "{metric: nullValues, mustBeLessOrEqualTo: 5, unit: percent}"
NONE = "mustBeLessOrEqualTo: 0, unit: percent"
CODES = f"{{metric: invalidValues, arguments: {{validValues: [a, b, c, d, e]}}, {NONE}}}"


def make_table(folder: Path, rows: int) -> Path:
    """Write the contract, and the data with three values out of range and two new codes."""
    rng = np.random.default_rng(0)
    begin = datetime(2023, 1, 1, tzinfo=UTC).timestamp()
    times = np.sort(rng.integers(0, YEAR, rows)) + int(begin)
    columns = {"at": pl.from_epoch(pl.Series(times * 10**6), "us").dt.replace_time_zone("UTC")}
    columns |= {"id": pl.Series(np.arange(rows))}
    for each in range(8):
        columns[f"number_{each}"] = pl.Series(np.clip(rng.normal(size=rows), -5, 5))
    for each in range(5):
        columns[f"count_{each}"] = pl.Series(rng.integers(0, 900, rows))
    for each in range(3):
        columns[f"code_{each}"] = pl.Series(rng.choice(list("abcde"), rows))
    for each in range(2):
        columns[f"text_{each}"] = pl.Series(rng.choice([f"word {n}" for n in range(500)], rows))
    frame = pl.DataFrame(columns)
    frame = frame.with_columns(
        pl.when(pl.Series(rng.random(rows) < 0.02)).then(None).otherwise(pl.col(name)).alias(name)
        for name in frame.columns[2:]
    )
    odd = pl.int_range(pl.len())
    frame = frame.with_columns(
        number_3=pl.when(odd < 3).then(99.0).otherwise("number_3"),
        code_1=pl.when(odd < 2).then(pl.lit("z")).otherwise("code_1"),
    )
    (folder / "signals").mkdir(parents=True)
    contract = CONTRACT.format(fields="\n".join(map(_field, frame.columns[2:])))
    (folder / "signals" / "table.yaml").write_text(contract, encoding="utf-8")
    frame.write_parquet(folder / "table.parquet")
    return folder / "table.parquet"


def _field(name: str) -> str:
    said = {
        "number": f"number, logicalTypeOptions: {{minimum: -5, maximum: 5}}, quality: [{NULLS}]",
        "count": f"integer, logicalTypeOptions: {{minimum: 0, maximum: 900}}, quality: [{NULLS}]",
        "code": f"string, quality: [{NULLS}, {CODES}]",
        "text": f"string, quality: [{NULLS}]",
    }[name.partition("_")[0]]
    return f"      - {{name: {name}, logicalType: {said}}}"
