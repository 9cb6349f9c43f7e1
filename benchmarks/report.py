"""The table, and the page that it stands on."""

import importlib.metadata
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psutil
from clock import Sample
from measures import Bench
from projects import SCRIPTS

PACKAGES = ("hydra-core", "mlflow", "scikit-learn", "polars", "numpy", "matplotlib")

# measure, ours, against, its sample, reach
ROWS = (
    ("`run.py +experiment=baseline`, everything recorded", "flights ours",
     "bare script", "flights bare", 1.15),
    ("the same", "flights ours",
     "the same script with Hydra and inline MLflow", "flights hydra_mlflow", 0.8),
    ("`run.py --help`", "help ours", "minimal Hydra app", "help hydra", 1.5),
    ("`run.py --cfg job`", "cfg ours", "minimal Hydra app", "cfg hydra", 1.5),
    ("a typo, `run.py sed=1`", "typo ours", "minimal Hydra app", "typo hydra", 1.5),
    ("10,000 metric points: time taken from the loop", "loop ours",
     "`mlflow.log_metric`", "loop mlflow", 0.01),
    ("10,000 metric points: until all are in the store", "stored ours",
     "`mlflow.log_metric`", "loop mlflow", 0.1),
    ("a sweep of 16 on iris, per job, everything recorded", "job ours",
     "one bare script per job", "job bare", 0.4),
    ("a sweep of 8 on flights in two processes, per job, everything recorded", "parallel ours",
     "a joblib loop over the bare script's fits", "parallel loop", 1.3),
    ("a sweep of 16 on iris in two processes, per job, everything recorded", "idle ours",
     "a process with Hydra and inline MLflow for each job, two at a time", "idle processes", 0.4),
    ("second run: from start to first fit", "fit ours", "bare script", "fit bare", 1.5),
    ("one run on iris, everything recorded", "iris ours", "bare script", "iris bare", None),
    ("a signal's checks, a million rows of 20 fields", "checks ours",
     "the same in polars by hand", "checks hand", 3),
)  # fmt: skip

HOW = """\
Times are wall-clock seconds: the median of {repeats} repetitions, the fastest and the slowest in
brackets; a ratio is one median divided by the other. All contenders of a line run in turn, each
repetition beginning with another one, after one round that is not counted. So caches are warm and
bytecode is compiled for everybody.

- No process of an earlier measurement is alive when a clock starts, and what it wrote is on disk.
- `run.py` is stopped when it returns. It returns when the last artifact is in MLflow; each time the
  store is read to see that run, metrics, six figures and model are there. The bare script is
  stopped when it ends, its files on disk.
- All contenders read the same Parquet file (the assembled dataset, as our second run does), fit the
  same model with all cores, and get the same threshold, metrics and bootstrap intervals: the
  benchmark stops where they differ. All draw six figures of the same size, compute the permutation
  importance on the same rows and save the model with requirements that are given to them. Nobody
  but us measures the baseline, writes a card, samples the system's load or records where data and
  code come from. Slices are left out.
- Both stores of a comparison are the same file, created before. Nobody phones home.
- The scripts are what one would write with the usual care: vectorised intervals, figures without
  `pyplot`'s state. They leave two defaults alone
  that `run.py` changes: it imports without the garbage collector, and its waiting OpenMP and
  OpenBLAS threads sleep instead of spinning.
- "From start to first fit" ends where the data is in memory and the pipeline is about to be built.
- "Until all are in the store" is, for us, from the loop's first point to the return of `run.py`:
  everything that a run does after the loop is in it. `mlflow.log_metric` stores before it returns.
- The checks are of a table in memory, after one round that is not counted: types, key, shares of
  nulls, ranges, lists of values and times to come. Ours go month by month and say what is broken
  where; by hand it is one `select` over all. Both find the same two rules broken.
- Where jobs run in two processes, every fit has one thread, in ours as in theirs.
- The iris runs learn from 150 rows. There is nothing to compute, so what is left is overhead.
"""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    measure: str
    ours: Sample
    against: str
    theirs: Sample
    reach: float | None

    @property
    def ratio(self) -> float:
        return self.ours.median / self.theirs.median

    @property
    def verdict(self) -> str:
        if self.reach is None:
            return ""
        return "met" if self.ratio <= self.reach else "**not met**"


def rows(bench: Bench) -> list[Row]:
    """The lines of the table."""
    found = bench.samples
    return [
        Row(measure, found[ours], against, found[theirs], reach)
        for measure, ours, against, theirs, reach in ROWS
    ]


def table(rows: list[Row]) -> str:
    """The table in Markdown."""
    lines = [
        "| measure | ours | against | theirs | ratio | reach | |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        reach = "" if row.reach is None else f"≤ {row.reach:g}"
        ratio = f"{row.ratio:.2g}" if row.ratio < 0.1 else f"{row.ratio:.2f}"
        cells = (row.measure, row.ours, row.against, row.theirs, ratio, reach, row.verdict)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def page(rows: list[Row], bench: Bench, load: float | None) -> str:
    """The page of the docs."""
    parts = [
        "# Benchmarks",
        "Written by `make bench`; run it to see your machine's figures.",
        table(rows),
        "## How it was measured",
        HOW.format(repeats=bench.size.repeats),
        machine(load),
        "## The scripts that were compared",
        "They import nothing of the runner; `points.py` and `checks.py` are ours.",
    ]
    for path in sorted(SCRIPTS.rglob("*")):
        if path.suffix in (".py", ".yaml"):
            language = {".py": "python", ".yaml": "yaml"}[path.suffix]
            name = path.relative_to(SCRIPTS).as_posix()
            text = path.read_text(encoding="utf-8").rstrip()
            parts.append(f"### `{name}`\n\n```{language}\n{text}\n```")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def machine(load: float | None, others: Sequence[str] = ()) -> str:
    """Where it was measured, without names; `others` are versions of what is not in `PACKAGES`."""
    known = [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    versions = ", ".join([*known, *others])
    memory = psutil.virtual_memory().total / 2**30
    text = (
        f"Measured on {date.today():%-d %B %Y}: {processor()}, {os.cpu_count()} cores, "
        f"{memory:.0f} GiB of memory, {platform.system()}, "
        f"Python {platform.python_version()}, {versions}."
    )
    if load is not None:
        text += f" Five minutes' load average before it began: {load:.1f}."
        if load > 0.5:
            text += " The machine was not idle, so take single figures with care."
    return text


def processor() -> str:
    """The processor's model."""
    information = Path("/proc/cpuinfo")
    if sys.platform == "linux" and information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
