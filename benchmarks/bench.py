"""Every claim of speed, beside its alternative: `make bench`, and `make bench ARGS=join`.

Prints a table and writes it, with how it was measured and what it was compared with, for the docs.
"""

import argparse
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import join_bench
import report
from join_bench import JoinBench, install_feast
from measures import FULL, QUICK, Bench, checks, flights, iris, side_by_side
from projects import ROOT


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=("runs", "join"), default="runs")
    parser.add_argument("--quick", action="store_true", help="once and small: does it all work?")
    parser.add_argument("--repeats", type=int, help="repetitions; default: 5, with --quick 1")
    parser.add_argument("--large", action="store_true", help="join 50 million rows too")
    parser.add_argument("--output", type=Path, help="the page; default: the one in docs/")
    arguments = parser.parse_args()
    name = {"runs": "benchmarks.md", "join": "benchmarks-join.md"}[arguments.what]
    output = arguments.output or (None if arguments.quick else ROOT / "docs" / name)
    folder = Path(tempfile.mkdtemp(prefix="bench-")).resolve()
    load = os.getloadavg()[1] if hasattr(os, "getloadavg") else None
    try:
        size = QUICK if arguments.quick else FULL
        repeats = arguments.repeats or size.repeats
        if arguments.what == "join":
            joined = JoinBench(folder, install_feast())
            join_bench.measure(joined, arguments.quick, arguments.large, repeats)
            words = "join --large" if arguments.large else "join"
            command = f"make bench ARGS={words!r}"
            table, page = join_bench.table(joined), join_bench.page(joined, command, load)
        else:
            bench = Bench(folder, replace(size, repeats=repeats))
            flights(bench)
            iris(bench)
            side_by_side(bench)
            checks(bench)
            rows = report.rows(bench)
            table, page = report.table(rows), report.page(rows, bench, load)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(table)
    if arguments.quick:
        note = "Quick: once, cold and small; only that it all works is to be seen here."
        print(f"\n{note}")
        page += f"\n{note}\n"
    if output:
        output.write_text(page, encoding="utf-8")
        print(f"\nWritten to {output}")


if __name__ == "__main__":
    main()
