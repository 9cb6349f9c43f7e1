"""The page of the detection benchmark, ours and the peers': `make bench-detection SEED=2026`."""

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


def main() -> None:
    """Runs both parts and puts them together."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", required=True, help="draws faults, rows and days")
    parser.add_argument("--quick", action="store_true", help="a little of it: does it all work?")
    parser.add_argument("--output", type=Path, help="default: docs/benchmarks-detection.md")
    arguments = parser.parse_args()
    output = arguments.output or ROOT / "docs" / "benchmarks-detection.md"
    ours = run("run.py", "--seed", arguments.seed, *(QUICK if arguments.quick else ()))
    weeks = run("weeks.py", *(("--signals", "weather") if arguments.quick else ()))
    others = run("peers.py", "--seed", arguments.seed, *(["--quick"] if arguments.quick else ()))
    note = "Quick: only that it all works is to be seen here.\n\n" if arguments.quick else ""
    output.write_text(
        "# What is found of faults\n\n"
        f"Written by `make bench-detection SEED={arguments.seed}`. The faults, their sizes, fields "
        "and months are in `benchmarks/detection/faults.yaml`, which was written before the "
        f"method.\n\n{note}{ours}\n{weeks}\n{others}",
        encoding="utf-8",
    )
    print(f"Written to {output}")


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
