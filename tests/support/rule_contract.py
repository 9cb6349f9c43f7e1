"""A contract with one field under test, deliveries of it, and what they break."""

import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time
from fractions import Fraction
from pathlib import Path
from typing import Any

import polars as pl

from ml_experiment_runner.holds.holds import Violation
from ml_experiment_runner.signals.checks.quality import broken
from ml_experiment_runner.signals.checks.schema import DTYPES
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.contract.contract_file import contract_of
from ml_experiment_runner.signals.odcs.yaml_document import parse

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)


PATH = Path("signals/air.yaml")


FORMER = ("rule", "validValues", "pattern", "missingValues", "properties")
HEAD = """\
apiVersion: v3.1.0
kind: DataContract
id: air
version: 1.0.0
status: active
team: {name: Weather desk}
support: [{channel: desk, url: "mailto:desk@example.com"}]
servers: [{server: source, type: local, path: air.csv, format: csv}]
customProperties: [{property: timeZone, value: Europe/Paris}]
"""


COMPARE: dict[str, Callable[[Fraction, Sequence[Fraction]], bool]] = {
    "mustBe": lambda value, ends: value == ends[0],
    "mustNotBe": lambda value, ends: value != ends[0],
    "mustBeGreaterThan": lambda value, ends: value > ends[0],
    "mustBeGreaterOrEqualTo": lambda value, ends: value >= ends[0],
    "mustBeLessThan": lambda value, ends: value < ends[0],
    "mustBeLessOrEqualTo": lambda value, ends: value <= ends[0],
    "mustBeBetween": lambda value, ends: ends[0] <= value <= ends[1],
    "mustNotBeBetween": lambda value, ends: not ends[0] <= value <= ends[1],
}


def a_contract(
    kind: str = "string", quality: Any = (), table: Any = (), **entries: Any
) -> Contract:
    """A contract with a key and the field `it`; JSON is YAML."""
    it = {"name": "it", "logicalType": kind, "quality": list(quality), **entries}
    keys = [
        {"name": "row", "logicalType": "integer", "primaryKey": True},
        {"name": "day", "logicalType": "string"},
    ]
    schema = [{"name": "air", "quality": list(table), "properties": [*keys, it]}]
    # v3.0 let any key stand in a rule
    is_former = any({*FORMER} & {*rule} for rule in (*quality, *table))
    head = HEAD.replace("v3.1.0", "v3.0.2") if is_former else HEAD
    return contract_of(parse(f"{head}schema: {json.dumps(schema)}\n", PATH), PATH).complete()


def rows(kind: str, values: Sequence[Any], start: int = 0, day: str | None = "d") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "row": pl.Series(range(start, start + len(values)), dtype=pl.Int64),
            "day": pl.Series([day] * len(values), dtype=pl.String),
            "it": pl.Series(values, dtype=DTYPES[kind]),
        }
    )


def violations(contract: Contract, *parts: Sequence[Any]) -> list[Violation]:
    """Those of a delivery of these partitions."""
    kind, start, delivery = contract.field("it").type, 0, {}
    for number, values in enumerate(parts):
        delivery[f"2024-0{number + 1}"] = rows(kind, values, start)
        start += len(values)
    return broken(contract, delivery, NOW)


def count_in(violation: Violation) -> int:
    found = re.match(r"([\d,]+) of [\d,]+ values of ", violation.message)
    assert found, violation.message
    return int(found[1].replace(",", ""))


TEXTS = ["", " ", "a", "A1", "N/A", "é", "a\nb", "12"]


VALUES: dict[str, list[Any]] = {
    "string": TEXTS,
    "integer": [-3, -1, 0, 1, 2, 9, 2**62],
    "number": [-0.3, 0.1, 0.5, 1.0, 9.9, float("inf"), float("-inf")],
    "boolean": [True, False],
    "date": [date(1, 1, 1), date(2024, 1, 1), date(2024, 2, 29), date(9999, 12, 31)],
    "timestamp": [datetime(2023, 12, 31, 23, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)],
    "time": [time(0), time(8, 30), time(23, 59, 59)],
}


def written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, date | time) else str(value)
