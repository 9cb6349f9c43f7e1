"""The pages of the detection benchmark: `make bench-detection SEED=2026`.

The first one shows three signals, ours and the peers'; the second one tables of many kinds, of
which a third are held out.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SOURCE = ROOT / "src"
QUICK = ("--signals", "planes", "--kinds", "unit", "swapped_codes")
QUICK_WEEKS = ("--signals", "weather", "--days", "91")
QUICK_TABLE = ("--tables", "shop_orders", "--kinds", "nulls", "constant", "days_missing", "--every",
               "month", "--deliveries", "0", "1", "--faults-only")  # fmt: skip
QUICK_NOTE = "Quick: only that it all works is to be seen here.\n\n"


def main() -> None:
    """Writes both pages, or one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", required=True, help="draws faults, rows and days")
    parser.add_argument("--quick", action="store_true", help="a little of it: does it all work?")
    parser.add_argument("--only", choices=("signals", "tables"), help="write only this page")
    parser.add_argument("--jobs", default="2", help="processes for the tables")
    parser.add_argument(
        "--output", type=Path, default=ROOT / "docs" / "benchmarks-detection.md",
        help="the first page, default: docs/benchmarks-detection.md; the second one's name ends in "
        "-tables",
    )  # fmt: skip
    arguments = parser.parse_args()
    first = arguments.output
    second = first.with_name(f"{first.stem}-tables{first.suffix}")
    if arguments.only != "tables":
        write(first, signals(arguments.seed, second.name, quick=arguments.quick))
    if arguments.only != "signals":
        write(second, tables(arguments.seed, first.name, arguments.jobs, quick=arguments.quick))


def signals(seed: str, other_page: str, *, quick: bool) -> str:
    """The page of three signals, with the peers."""
    ours = run("run.py", "--seed", seed, *(QUICK if quick else ()))
    weeks = run("weeks.py", *(QUICK_WEEKS if quick else ()))
    others = run("peers.py", "--seed", seed, *(["--quick"] if quick else ()))
    return (
        "# What is found of faults\n\n"
        f"Written by `make bench-detection SEED={seed}`. The faults, their sizes, fields and "
        "months are in `benchmarks/detection/faults.yaml`, which was written before the method. "
        f"Three signals are few: [what is found in tables of many kinds]({other_page}).\n\n"
        f"{QUICK_NOTE if quick else ''}{ours}\n{weeks}\n{others}"
    )


def tables(seed: str, other_page: str, jobs: str, *, quick: bool) -> str:
    """The other tables: what they are, failures, the rest, what is possible at all, the peers."""
    options = QUICK_TABLE if quick else ()
    introduction = run("tables/introduction.py")
    with tempfile.TemporaryDirectory() as folder:
        trials = str(Path(folder) / "trials.jsonl")
        found = run("tables/run.py", "--seed", seed, "--half", "all", "--jobs", jobs, "--save",
                    trials, *options)  # fmt: skip
        possible = run("tables/hindsight.py", trials, "--seed", seed)
    others = run("tables/peers.py", "--seed", seed, *(["--quick"] if quick else ()))
    title, _, results = found.partition("\n")
    return (
        f"{title}\n\n"
        f"Written by `make bench-detection SEED={seed}`. Tables of many kinds, most of them real, "
        f"and some of them held out; [three signals, beside other tools]({other_page}), are on "
        f"a page of their own.\n\n{QUICK_NOTE if quick else ''}{introduction}{results}\n"
        f"{possible}\n{others}"
    )


def write(path: Path, text: str) -> None:
    """Writes a page and says where."""
    path.write_text(text, encoding="utf-8")
    print(f"Written to {path}")


def run(script: str, *options: str) -> str:
    """The text that a script of this folder writes; it tells on the screen how far it is."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "part.md"
        command = [sys.executable, str(HERE / script), *options, "--output", str(target)]
        result = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(SOURCE)}, check=False
        )
        if result.returncode:
            sys.exit(result.returncode)
        return target.read_text(encoding="utf-8")


if __name__ == "__main__":
    main()
