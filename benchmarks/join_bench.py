"""The join as of a moment, beside polars by hand and Feast: `make bench ARGS=join`.

Each measurement is a process of its own, which says its seconds and its peak memory. All read the
same Parquet files and end with the same frame in memory; this stops where they differ.
"""

import json
import math
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import projects
from clock import Sample
from report import machine

SCRIPTS = Path(__file__).with_name("join")
LOCK = SCRIPTS / "feast.txt"

CONTRACT = """\
kind: DataContract
apiVersion: v3.1.0
id: {name}
name: {name}
version: 1.0.0
status: active
team: {{name: Sales}}
support: [{{channel: mail, url: "mailto:sales@example.com"}}]
servers: [{{server: source, type: local, path: data/raw/{name}.csv, format: csv}}]
schema:
  - name: {name}
    properties:
{fields}
slaProperties:
  - {{property: latency, value: {latency}, unit: h}}
  - {{property: freshness, value: 30, unit: d}}
customProperties:
  - {{property: eventTime, value: at}}
"""
ORDERS = """\
      - {name: at, logicalType: timestamp, required: true, primaryKey: true}
      - {name: order, logicalType: integer, required: true, primaryKey: true}
      - {name: store, logicalType: integer}
      - {name: amount, logicalType: number}
      - name: returned
        logicalType: boolean
        customProperties: [{property: knownAfterEvent, value: true}]
"""
SIGNAL = """\
      - {name: store, logicalType: integer, required: true, primaryKey: true}
      - {name: at, logicalType: timestamp, required: true, primaryKey: true}
      - {name: value, logicalType: number}
"""
FEATURES = '''\
"""Features and labels: named expressions over the fields of signals."""

import polars as pl

FEATURES = {"amount": pl.col("orders.amount")}
FEATURES |= {f"value_{number}": pl.col(f"signal_{number}.value") for number in range(1, 6)}
LABELS = {"returned": pl.col("orders.returned")}
PREDICTION_TIMES: dict[str, pl.Expr] = {}
'''
DATASET = """\
# Will the order be returned?
spine: orders
label: returned
features: [amount, value_1, value_2, value_3, value_4, value_5]
joins:
{joins}
split: {{by: time, validation: 1mo, test: 1mo}}
"""

# whom we are compared with, what the table calls them, and our reach
AGAINST = {
    "by hand": ("polars by hand", 1.3),
    "feast duckdb": ("Feast, DuckDB store", 1 / 8),
    "feast file": ("Feast, default file store", 1 / 100),
}
FEW = ", 20 values a store"  # instead of 50: the default store pairs an order with all of them
SAME_STORES = ", the stores of 10,000,000"  # more rows, and not more keys with them
ORDERS_A_STORE = {"": 500, FEW: 200, SAME_STORES: 2_500}
GROWTH = 1.1  # of the time per row

HOW = """\
Each measurement is a process of its own. Seconds are from the first byte read to the frame in
memory: the median, the fastest and the slowest in brackets; imports are not counted. Memory is
the most that the process has had, interpreter and libraries included. The contenders of a size
run in turn, after a round that is not counted, so that the files are in the system's cache for all;
but the default store of Feast runs once.

- N orders of N / 500 stores in one year, and five signals of N / 10 values each about the stores:
  one a week. A signal is known one to five hours after its event and may be used for 30 days.
  Orders and signals lie in monthly Parquet files, as receiving them leaves them.
- Ours is what a run does when its cache is empty: features, label, split, and the checks of it.
- By hand, the same frame comes out of one lazy query: the orders sorted by time once, five
  `join_asof`, sorted back. The benchmark stops where the sums or counts of a column differ from
  ours.
- Feast {feast} has no delay, so its files hold the time at which a value is known; they are
  written beforehand, one for each signal. Its store is asked for a pandas frame, as its API has
  it, and for the same orders. The DuckDB store must give the same sums and counts as ours. The
  default store gives fewer rows: it leaves out the orders for which one of the signals has
  nothing. It first pairs each order with all values of its store, so with more values per store
  it takes longer: it is also measured with N / 200 stores, 20 values each.
- Growth is the time per row beside that of the size before; 1.10 is ten percent more than linear.
  With five times the rows come five times the stores, so that 50,000,000 rows are also measured
  with the stores that 10,000,000 have.
"""


@dataclass
class Measured:
    """What a contender has needed."""

    seconds: Sample = field(default_factory=Sample)
    peaks: list[int] = field(default_factory=list)
    rows: int = 0
    columns: dict[str, list[float]] = field(default_factory=dict)

    def add(self, said: dict[str, Any]) -> None:
        self.seconds.values.append(said["seconds"])
        self.peaks.append(said["peak"])
        self.rows, self.columns = said["rows"], said["columns"]

    @property
    def memory(self) -> str:
        return f"{max(self.peaks) / 2**30:.2f} GiB"


class JoinBench:
    """Data of several sizes, and who joins it."""

    def __init__(self, folder: Path, feast: str | None) -> None:
        self.folder = folder
        self.feast = feast
        self.found: dict[tuple[int, str], Measured] = {}

    def measure(
        self, rows: int, contenders: Sequence[str], repeats: int, warm: bool, stores: str = ""
    ) -> None:
        """Let the contenders join that many rows in turn."""
        per_store = ORDERS_A_STORE[stores]
        project = self.folder / f"{rows}-{per_store}" / "orders"
        if not project.exists():
            make_project(project.parent, rows, per_store)
        for repeat in range(-warm, repeats):
            start = repeat % len(contenders)
            for name in [*contenders[start:], *contenders[:start]]:
                said = self.run(project, name)
                if repeat < 0:
                    continue
                found = self.found.setdefault((rows, name + stores), Measured())
                found.add(said)
                print(f"{repeat + 1}/{repeats}  {rows:,} rows  {name}  {said['seconds']:.2f} s  "
                      f"{found.memory}", flush=True)  # fmt: skip
        for name in contenders:
            if name != "feast file":
                same(self.found[rows, "ours" + stores], self.found[rows, name + stores], name)

    def run(self, project: Path, name: str) -> dict[str, Any]:
        """Let one contender join in a process of its own."""
        data = str(project / "data" / "signals")
        if name == "ours":
            return talk(project, sys.executable, str(SCRIPTS / "ours.py"))
        if name == "by hand":
            return talk(project, sys.executable, str(SCRIPTS / "by_hand.py"), data)
        assert self.feast is not None
        home = self.folder / "feast"
        shutil.rmtree(home, ignore_errors=True)
        kind = name.removeprefix("feast ")
        return talk(project, self.feast, str(SCRIPTS / "feast_store.py"), data, kind, str(home))


def make_project(folder: Path, rows: int, per_store: int) -> None:
    """A generated project that has received orders, so many for a store, and five signals."""
    project = projects.generate(folder, "Orders", "none")
    signals = {f"signal_{number}": (SIGNAL, number) for number in range(1, 6)}
    files = {
        f"signals/{name}.yaml": CONTRACT.format(name=name, fields=fields.rstrip(), latency=latency)
        for name, (fields, latency) in {"orders": (ORDERS, 0), **signals}.items()
    }
    joins = "\n".join(f"  {name}: {{store: store}}" for name in signals)
    files["src/orders/features.py"] = FEATURES
    files["conf/dataset/orders.yaml"] = DATASET.format(joins=joins)
    for name, text in files.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    projects.call(project, sys.executable, str(SCRIPTS / "make_data.py"), str(rows), str(per_store))


def talk(project: Path, *command: str) -> dict[str, Any]:
    """What a contender says in its last line."""
    said: dict[str, Any] = json.loads(projects.call(project, *command).splitlines()[-1])
    return said


def same(ours: Measured, theirs: Measured, name: str) -> None:
    """All must have joined the same values to the same number of rows."""
    for column, (total, count) in ours.columns.items():
        their_total, their_count = theirs.columns[column]
        if count != their_count or not math.isclose(total, their_total, rel_tol=1e-9):
            sys.exit(f"ours and {name} differ in {column}: {ours.columns}, {theirs.columns}")


def table(bench: JoinBench) -> str:
    """The tables in Markdown."""
    lines = [
        "| rows | ours | against | theirs | ratio | reach | | rows kept: ours, theirs |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (count, whole), theirs in bench.found.items():
        name, stores = parted(whole)
        if name == "ours":
            continue
        ours, (against, reach) = bench.found[count, "ours" + stores], AGAINST[name]
        against += stores
        ratio = ours.seconds.median / theirs.seconds.median
        lines.append(
            f"| {count:,} | {ours.seconds} | {against} | {theirs.seconds} | {ratio:.3g} "
            f"| ≤ {reach:.3g} | {'met' if ratio <= reach else '**not met**'} "
            f"| {ours.rows / count:.1%}, {theirs.rows / count:.1%} |"
        )
    lines += ["", "| rows | who | memory | growth | reach | |", "|---|---|---|---|---|---|"]
    for (count, whole), each in sorted(bench.found.items(), key=lambda item: item[0][::-1]):
        name, stores = parted(whole)
        who = (AGAINST[name][0] if name in AGAINST else name) + stores
        more = growth(bench, count, whole)
        line = f"| {count:,} | {who} | {each.memory} | {f'{more:.2f}' if more else ''} |"
        if more and name == "ours":
            line += f" ≤ {GROWTH:g} | {'met' if more <= GROWTH else '**not met**'} |"
        else:
            line += "  |  |"
        lines.append(line)
    return "\n".join(lines)


def parted(whole: str) -> tuple[str, str]:
    """A contender's name, and what is said of the stores."""
    name, comma, stores = whole.partition(", ")
    return name, comma + stores


def growth(bench: JoinBench, count: int, whole: str) -> float | None:
    """The time per row beside that of the next smaller size; None where that was not measured."""
    name, stores = parted(whole)
    like = name if stores == SAME_STORES else whole
    smaller = max((rows for rows, who in bench.found if who == like and rows < count), default=None)
    if smaller is None:
        return None
    before, now = bench.found[smaller, like], bench.found[count, whole]
    return (now.seconds.median / count) / (before.seconds.median / smaller)


def measure(bench: JoinBench, quick: bool, large: bool, repeats: int) -> None:
    """Everything that the table shows."""
    both = ["ours", "by hand"]
    duckdb, file = (["feast duckdb"], ["feast file"]) if bench.feast else ([], [])
    if quick:
        bench.measure(20_000, [*both, *duckdb, *file], repeats, warm=False)
        bench.measure(100_000, both, repeats, warm=False)
        return
    bench.measure(1_000_000, [*both, *duckdb], repeats, warm=True)
    bench.measure(1_000_000, ["ours", *file], 1, warm=False)  # it takes minutes
    bench.measure(1_000_000, ["ours", *file], 1, warm=False, stores=FEW)
    bench.measure(10_000_000, both, repeats, warm=True)
    if large:
        bench.measure(50_000_000, both, 1, warm=True)
        bench.measure(50_000_000, both, 1, warm=True, stores=SAME_STORES)


def page(bench: JoinBench, command: str, load: float | None) -> str:
    """The page of the docs."""
    feast = re.search(r"^feast==(.+)$", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    assert feast is not None
    parts = [
        "# The join, beside others",
        f"Written by `{command}`; run it to see your machine's figures.",
        table(bench),
        "## How it was measured",
        HOW.format(feast=feast.group(1)),
        machine(load),
        "## The scripts that were compared",
    ]
    for name in ("by_hand", "feast_store", "ours", "make_data", "measured"):
        text = (SCRIPTS / f"{name}.py").read_text(encoding="utf-8").rstrip()
        parts.append(f"### `{name}.py`\n\n```python\n{text}\n```")
    return "\n\n".join(part.strip() for part in parts) + "\n"
