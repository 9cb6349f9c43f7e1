"""Checks the same table by its contract: types, key and rules, month by month."""

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from ml_experiment_runner.signals.checks import quality, schema
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.snapshots import snapshot


def check(frame: pl.DataFrame, parts: dict[str, pl.DataFrame], contract: Contract) -> list[str]:
    """The rules that are broken."""
    schema.conform(frame, contract, Path("table.parquet"))
    violations = schema.row_violations(frame, contract, Path("table.parquet"))
    violations += quality.broken(contract, parts, datetime.now(UTC))
    return sorted(f"{violation.kind} {violation.field}" for violation in violations)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    frame = pl.read_parquet(parser.parse_args().data)
    contract = read_contracts(Path.cwd())["table"]
    parts = snapshot.by_partition(contract, frame)
    check(frame, parts, contract)
    begin = time.perf_counter()
    broken = check(frame, parts, contract)
    print(f"checks took {time.perf_counter() - begin:.5f} s")
    print("broken:", json.dumps(broken))


if __name__ == "__main__":
    main()
