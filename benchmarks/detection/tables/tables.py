"""The tables: their rows, their contracts, and what `tables.yaml` says of them."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl
import yaml
from prepare import prepare
from split import NAMES

from ml_experiment_runner.signals.checks import schema
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.contract.contract_file import contract_of
from ml_experiment_runner.signals.odcs.yaml_document import read

__all__ = ["NAMES", "Fault", "Table", "load"]

HERE = Path(__file__).parent
FACTS = yaml.safe_load((HERE / "tables.yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Fault:
    """Something truly wrong in the data.

    Attributes:
        field: The field that is wrong; None where it is the rows.
        first: The first day with it, in the contract's time zone.
        last: The last day with it.
        what: What is wrong, and how one sees it.
    """

    field: str | None
    first: date
    last: date
    what: str


@dataclass(frozen=True)
class Table:
    """A table, and what a person knows of it that no detector is told.

    Attributes:
        rows: All of it, in the contract's types and the order of the key.
        types: What each field is: identifier, code, quantity, count, calendar, flag, text or event
            time.
        until: The day after the last one that the source tells of in full.
        places: The fields that tell the places of a panel apart.
        units: Another unit of a field: factor, offset and decimals.
        sums: Fields of which the first is the sum of the others.
        products: Fields of which the first is the product of the others.
        real: What is truly wrong in the data, as far as it was found.
    """

    name: str
    contract: Contract
    rows: pl.DataFrame
    types: Mapping[str, str]
    until: date
    places: tuple[str, ...]
    units: Mapping[str, tuple[float, float, int]]
    sums: tuple[tuple[str, ...], ...]
    products: tuple[tuple[str, ...], ...]
    real: tuple[Fault, ...]
    licence: str
    source: str


@functools.cache
def load(name: str) -> Table:
    """A table by its name; its rows are made if they are not there.

    Raises:
        UserError: Its rows break its contract.
    """
    path = HERE / "contracts" / f"{name}.yaml"
    contract = contract_of(read(path), path).complete()
    source = prepare(name)
    rows = pl.read_parquet(source)
    schema.check_names(rows.columns, contract, str(source))
    rows = schema.conform(rows, contract, str(source))
    schema.check_rows(rows, contract, str(source))
    facts = FACTS[name]
    kinds = {field: kind for kind, fields in facts["types"].items() for field in fields}
    return Table(
        name=name,
        contract=contract,
        rows=rows.sort(contract.key),
        types={field.name: kinds[field.name] for field in contract.fields},
        until=facts["until"],
        places=tuple(facts.get("places", ())),
        units={field: tuple(unit) for field, unit in facts.get("units", {}).items()},
        sums=tuple(tuple(each) for each in facts.get("sums", ())),
        products=tuple(tuple(each) for each in facts.get("products", ())),
        real=tuple(
            Fault(each["field"], *each["days"], each["what"]) for each in facts.get("real", ())
        ),
        licence=facts["licence"],
        source=facts["source"],
    )
