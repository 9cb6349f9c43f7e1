"""What the tests of the readers share: one table in many places has to be the same signal."""

import re
import textwrap
from datetime import datetime

import polars as pl

from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.snapshots import snapshot
from ml_experiment_runner.signals.sources import fetch
from support.data_project import DataProject

NAMES = ("visits", "shops")


def contract(project: DataProject, name: str) -> Contract:
    return read_contracts(project.root)[name]


def serve(project: DataProject, name: str, server: str, more: str = "") -> Contract:
    """Gives a signal another server: keys of ODCS, and `customProperties` as `name=value`."""
    said = textwrap.indent(f"server: source\n{textwrap.dedent(server).strip()}", "    ")
    properties = "".join(
        f'\n      - {{property: {pair.split("=", 1)[0]}, value: "{pair.split("=", 1)[1]}"}}'
        for pair in more.split()
    )
    if properties:
        said += f"\n    customProperties:{properties}"
    path = project.contract(name)
    entry = f"servers:\n  - {said.strip()}\nschema:"
    text = re.sub(r"servers:\n.*?\nschema:", lambda _: entry, path.read_text(), flags=re.DOTALL)
    if "format: csv" not in entry:  # only texts stand for nothing
        text = text.replace("  - {property: nullValues, value: [NA]}\n", "")
    path.write_text(text)
    return contract(project, name)


def rows(project: DataProject, name: str) -> pl.DataFrame:
    """The table as other systems hold it: real types, and nothing where nothing is."""
    frame = pl.read_csv(project.source(name), null_values="NA", try_parse_dates=True)
    if "at" in frame.columns:
        frame = frame.with_columns(pl.col("at").cast(pl.Datetime("us", "UTC")))
    return frame


def content(given: Contract, since: datetime | None = None) -> str:
    parts = snapshot.by_partition(given, fetch.fetch_rows(given, since))
    return snapshot.combined_hash({key: snapshot.content_hash(part) for key, part in parts.items()})
