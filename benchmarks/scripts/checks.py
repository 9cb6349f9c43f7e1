"""Checks the same table by its contract: types, key and rules, month by month."""

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from runner.signals import checks, rules, snapshot
from runner.signals.contract import Contract
from runner.signals.contract_file import read_contracts


def check(frame: pl.DataFrame, parts: dict[str, pl.DataFrame], contract: Contract) -> list[str]:
    """The rules that are broken."""
    checks.conform(frame, contract, Path("table.parquet"))
    breaches = checks.row_breaches(frame, contract, Path("table.parquet"))
    breaches += rules.broken(contract, parts, datetime.now(UTC))
    return sorted(f"{breach.kind} {breach.field}" for breach in breaches)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    frame = pl.read_parquet(parser.parse_args().data)
    contract = read_contracts(Path.cwd())["table"]
    parts = snapshot.split(contract, frame)
    check(frame, parts, contract)
    begin = time.perf_counter()
    broken = check(frame, parts, contract)
    print(f"checks took {time.perf_counter() - begin:.5f} s")
    print("broken:", json.dumps(broken))


if __name__ == "__main__":
    main()
