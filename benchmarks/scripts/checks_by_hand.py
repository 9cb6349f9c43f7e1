"""Checks a table of twenty fields, as one would by hand in polars."""

import argparse
import json
import time
from datetime import UTC, datetime

import polars as pl

NUMBERS = [f"number_{each}" for each in range(8)]
COUNTS = [f"count_{each}" for each in range(5)]
CODES = [f"code_{each}" for each in range(3)]
TEXTS = [f"text_{each}" for each in range(2)]
SCHEMA = {
    "at": pl.Datetime("us", "UTC"),
    "id": pl.Int64,
    **dict.fromkeys(NUMBERS, pl.Float64),
    **dict.fromkeys(COUNTS, pl.Int64),
    **dict.fromkeys([*CODES, *TEXTS], pl.String),
}
RULES = {
    **{f"nulls {name}": pl.col(name).is_null() for name in SCHEMA},
    **{f"range {name}": ~pl.col(name).is_between(-5, 5) for name in NUMBERS},
    **{f"range {name}": ~pl.col(name).is_between(0, 900) for name in COUNTS},
    **{f"values {name}": ~pl.col(name).is_in(["a", "b", "c", "d", "e"]) for name in CODES},
    "future at": pl.col("at") > datetime.now(UTC),
}
TOLERATED = {"nulls": 0.05}


def check(frame: pl.DataFrame) -> list[str]:
    """The rules that are broken."""
    assert frame.schema == SCHEMA
    assert frame.select("at", "id").n_unique() == frame.height
    counts = frame.select(rule.sum().alias(name) for name, rule in RULES.items()).row(0, named=True)
    return sorted(
        name
        for name, count in counts.items()
        if count > TOLERATED.get(name.partition(" ")[0], 0) * frame.height
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    frame = pl.read_parquet(parser.parse_args().data)
    check(frame)
    begin = time.perf_counter()
    broken = check(frame)
    print(f"checks took {time.perf_counter() - begin:.5f} s")
    print("broken:", json.dumps(broken))


if __name__ == "__main__":
    main()
