"""Every claim of speed, beside its alternative, in one go: `make bench`.

Prints a table and writes it, with how it was measured and what it was compared with, for the docs.
"""

import argparse
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import report
from measures import FULL, QUICK, Bench, checks, flights, iris
from projects import ROOT


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="once and small: does it all work?")
    parser.add_argument("--repeats", type=int, help="repetitions; default: 5, with --quick 1")
    parser.add_argument("--output", type=Path, help="the page; default: docs/benchmarks.md")
    arguments = parser.parse_args()
    output = arguments.output or (None if arguments.quick else ROOT / "docs" / "benchmarks.md")
    folder = Path(tempfile.mkdtemp(prefix="bench-")).resolve()
    load = os.getloadavg()[1] if hasattr(os, "getloadavg") else None
    try:
        size = QUICK if arguments.quick else FULL
        bench = Bench(folder, replace(size, repeats=arguments.repeats or size.repeats))
        flights(bench)
        iris(bench)
        checks(bench)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = report.rows(bench)
    print(report.table(rows))
    if arguments.quick:
        print("\nQuick: once, cold and small; only that it all works is to be seen here.")
    if output:
        output.write_text(report.page(rows, bench, load), encoding="utf-8")
        print(f"\nWritten to {output}")


if __name__ == "__main__":
    main()
