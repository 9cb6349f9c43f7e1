"""Every claim of speed, beside its alternative: `make bench`, with `ARGS=join`, `models` …

Prints a table and writes it, with how it was measured and what it was compared with, for the docs.
"""

import argparse
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import join_bench
import models_page
import report
import templates_bench
import templates_page
from environments import install
from join_bench import LOCK, JoinBench
from measures import (
    FULL,
    QUICK,
    Bench,
    checks,
    flights,
    flights_side_by_side,
    iris,
    iris_side_by_side,
)
from models_bench import ModelsBench
from projects import ROOT
from templates_bench import TemplatesBench

PAGES = {
    "runs": "benchmarks.md",
    "join": "benchmarks-join.md",
    "models": "benchmarks-models.md",
    "templates": "benchmarks-templates.md",
}


def main() -> None:
    """Measure everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=tuple(PAGES), default="runs")
    parser.add_argument("--quick", action="store_true", help="once and small: does it all work?")
    parser.add_argument("--repeats", type=int, help="default: 5, of models 3, with --quick 1")
    parser.add_argument("--large", action="store_true", help="join 50 million rows too")
    parser.add_argument(
        "--deep", action="store_true", help="models and templates: PyTorch too; it takes GB"
    )
    parser.add_argument("--output", type=Path, help="the page; default: the one in docs/")
    arguments = parser.parse_args()
    page_file = ROOT / "docs" / PAGES[arguments.what]
    output = arguments.output or (None if arguments.quick else page_file)
    words = [arguments.what, *(f"--{name}" for name in ("large", "deep") if vars(arguments)[name])]
    command = f"make bench ARGS={' '.join(words)!r}"
    folder = Path(tempfile.mkdtemp(prefix="bench-")).resolve()
    load = os.getloadavg()[1] if hasattr(os, "getloadavg") else None
    try:
        size = QUICK if arguments.quick else FULL
        repeats = arguments.repeats or size.repeats
        if arguments.what == "join":
            joined = JoinBench(folder, install("Feast", LOCK, "feast"))
            join_bench.measure(joined, arguments.quick, arguments.large, repeats)
            table, page = join_bench.table(joined), join_bench.page(joined, command, load)
        elif arguments.what == "models":
            models = ModelsBench(
                folder, arguments.quick, arguments.deep, arguments.repeats or min(size.repeats, 3)
            )
            models.measure()
            table, page = models_page.table(models), models_page.page(models, command, load)
            if output:
                models_page.draw(models, output.parent / "images" / "models.png")
        elif arguments.what == "templates":
            templates = TemplatesBench(
                folder, arguments.quick, arguments.deep, repeats,
                install("kedro", templates_bench.LOCK, "kedro_mlflow"),
            )  # fmt: skip
            templates.measure()
            table = templates_page.table(templates)
            page = templates_page.page(templates, command, load)
        else:
            bench = Bench(folder, replace(size, repeats=repeats))
            flights(bench)
            iris(bench)
            flights_side_by_side(bench)
            iris_side_by_side(bench)
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
