"""The same tables before the peers of `../peers.py`, month by month.

All clean months that `run.py` replays, and of the faults one for each table and kind: in a field, a
size and a month that the seed draws, of the faults that `run.py` puts in. Their truth can be seen.
"""

import argparse
import json
import statistics
import sys
import textwrap
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import run  # before polars: it sets the number of threads, for the peers, too

sys.path.append(str(Path(__file__).resolve().parents[1]))  # behind this folder: names are the same

import asking
import numpy as np
import polars as pl
import report
from asking import BUILD, OURS, PEERS, Case, Lines, Shown
from deliveries import Delivery
from faults import FAULTS, KINDS, Fault, faults
from inject import inject
from tables import Table
from truth import visible

from ml_experiment_runner.holds.holds import Violation
from ml_experiment_runner.signals.contract.contract import NESTED

SLOW = ("evidently", "nannyml", "whylogs", "great_expectations")
AT_MOST = 150  # cases that a slow one is asked
CHAINS = tuple(entry["kind"] for entry in FAULTS["faults"] if "deliveries" in entry["sizes"])
UNWATCHED = ("event time", "calendar")
UNIQUE = ("identifier", "text")
NEVER = 24 * 3653  # hours after which a delivery is late where its contract does not say so
QUICK = {
    "tables": ["shop_orders"],
    "kinds": ["nulls", "constant", "days_missing"],
    "deliveries": [1, 0],
    "faults_only": True,
}
HEAD = (
    "method",
    "version",
    "clean months held after a year",
    "… in the first year",
    "faults held",
    "field named first",
    "seconds a delivery, median",
)
INTRODUCTION = """\
{cases} cases of {tables}{whose}: {clean} clean months, {which}, and {faulty} faulty ones: of each
table and kind of fault one, in a field, a size and a month that the seed draws of the faults that
`run.py` puts in, where its truth can be seen. Faults that grow over several deliveries ({chains})
are left out. Everybody, we too, is asked on the same rows after the same past; for a method that
has no notion of time the past as a whole, all rows before, is the reference."""
TEXT = """\
## Other tools on the same tables

`python benchmarks/detection/tables/peers.py --seed {options}`

{introduction}

{table}

- A fault is *held* if something is said that is not said of the same month without the fault:
  who always gives an alarm for a field tells nothing by it. A clean month that is held for what is
  truly wrong in it counts as right.
- The field that is named first is the one with the highest score where a method has one, else the
  first in its own order; of the faults of a field that are held. Who names none has a dash.
- They see what the contract says, as far as they have a place for it. Which fields are event time,
  parts of a date, identifiers or free texts, a person tells them: these are no distributions and
  are left out of theirs. We are told the contract alone. Flags are given to them as texts.
- Where a contract does not say when a delivery is late, nobody is asked for it.
- What a package raises counts as said, in all of its lines. How each is used, and which page of its
  documentation says so, stands in `benchmarks/detection/peers`.
- The seconds are by the clock, medians over clean months, learning from the past included, for all
  lines of a package together, with one thread."""
SAMPLED = """\
- A slow package is asked on {at_most} of the cases, which the seed draws, clean and faulty alike;
  the clean twins that it has to be asked besides do not count."""


def sample(arguments: argparse.Namespace) -> list[Case]:
    """The clean months with the drawn faulty ones behind each."""
    cases: list[Case] = []
    for name in run.chosen(arguments):
        every = run.all_deliveries(name, "month")
        todo = list(run.jobs(arguments, name))
        drawn: dict[int, list[tuple[Fault, pl.DataFrame]]] = {}
        for kind in arguments.kinds:
            found = _draw(every, todo, kind, arguments.seed)
            if found:
                number, fault, rows = found
                drawn.setdefault(number, []).append((fault, rows))
        for number in sorted(number for job in todo for number in job.numbers):
            delivery = every[number]
            cases.append(Case(len(cases), delivery, None, delivery.rows))
            for fault, rows in drawn.get(number, []):
                cases.append(Case(len(cases), delivery, fault, rows))
    return cases


def _draw(
    every: Sequence[Delivery], todo: Sequence[run.Job], kind: str, seed: int
) -> tuple[int, Fault, pl.DataFrame] | None:
    """A month of a table, and a fault that can be seen in it with its rows; None without one."""
    pairs = [
        (number, at, fault)
        for job in todo if job.with_faults and kind in job.kinds
        for number in job.numbers
        for at, fault in enumerate(faults(every[number].table, [seed, number]))
        if fault.kind == kind
    ]  # fmt: skip
    name = every[0].table.name
    rng = np.random.default_rng([seed, zlib.crc32(f"{name} {kind}".encode())])
    for choice in rng.permutation(len(pairs)):
        number, at, fault = pairs[choice]
        delivery = every[number]
        rows = inject(delivery, delivery.rows, fault, [seed, number, at])
        if visible(delivery.table, delivery.rows, rows, delivery.past, fault):
            return number, fault, rows
    return None


def facts(delivery: Delivery) -> dict[str, Any]:
    """What a person would tell a peer of the table."""
    table = delivery.table
    contract = table.contract
    nested = {each.name for each in contract.fields if each.type in NESTED}
    unique = {name for name in contract.names if table.types[name] in UNIQUE} | nested
    identifiers = [name for name in contract.names if name in unique and _is_text(table, name)]
    unwatched = {name for name in contract.names if table.types[name] in UNWATCHED} | unique
    told = asking.facts(contract, unwatched, identifiers)
    types = {name: "string" if kind == "boolean" else kind for name, kind in told["types"].items()}
    return told | {"types": types, "late_after": told["late_after"] or NEVER}


def _is_text(table: Table, name: str) -> bool:
    return table.rows.schema[name] == pl.String


def write_jobs(cases: Sequence[Case], folder: Path) -> Path:
    """Everything that the peers read."""
    told = {case.delivery.table.name: facts(case.delivery) for case in cases}
    return asking.write_jobs(map(_shown, cases), told, folder)


def _shown(case: Case) -> Shown:
    delivery = case.delivery
    name = delivery.table.name
    before = run.all_deliveries(name, "month")[: delivery.number]
    past = {f"{name}-{each.number}": _plain(each.rows) for each in before}
    return Shown(case.number, name, delivery.number, delivery.now, past, _plain(case.rows))


def _plain(rows: pl.DataFrame) -> pl.DataFrame:
    """Flags as texts: not every peer knows flags."""
    return rows.with_columns(pl.col(pl.Boolean).cast(pl.String))


def draw_few(cases: Sequence[Case], count: int, seed: int) -> tuple[set[int], set[int]]:
    """Some of the cases, and these with their clean twins, by number."""
    order = np.random.default_rng(seed).permutation(len(cases))
    few = set(order[:count].tolist())
    asked, twin = set(few), 0
    for case in cases:
        twin = case.number if case.fault is None else twin
        if case.number in few:
            asked.add(twin)
    return few, asked


def write_few(jobs: Path, numbers: Collection[int]) -> Path:
    """The same jobs with these cases only, in a file beside."""
    content = json.loads(jobs.read_text(encoding="utf-8"))
    for job in content["jobs"]:
        kept = {key: path for key, path in job["deliveries"].items() if int(key) in numbers}
        job["deliveries"] = kept
    content["jobs"] = [job for job in content["jobs"] if job["deliveries"]]
    target = jobs.with_name("few.json")
    target.write_text(json.dumps(content), encoding="utf-8")
    return target


def ours(cases: Sequence[Case]) -> Lines:
    """What we say, in the form of the peers' lines."""
    run.remember_the_past()
    return asking.ours(cases, _judge)


def _judge(delivery: Delivery, rows: pl.DataFrame) -> list[Violation]:
    rules, changes = run.judge(delivery, rows)
    return [*rules, *changes]


def trials(
    cases: Sequence[Case], lines: Mapping[int, Any], method: str, counted: Collection[int]
) -> Iterator[report.Trial]:
    """What a method made of each case that counts."""
    asked = [case for case in cases if case.number in lines]
    for case, _, new, seconds in asking.compared(asked, lines, method):
        if case.number not in counted:
            continue
        trial = run.not_judged(case.delivery, case.rows)
        trial.fault = asdict(case.fault) if case.fault else None
        trial.held, trial.named = bool(new), new[0][1] if new else None
        trial.real = case.fault is None and trial.held and run.is_find(trial, case.delivery)
        yield asdict(trial) | {"seconds": seconds}


def row(method: str, version: str, found: Sequence[report.Trial]) -> str:
    """A line of the table."""
    clean = [each for each in found if each["fault"] is None]
    faulty = [each for each in found if each["fault"] is not None]
    later, first = (
        [each for each in clean if (each["days_of_past"] >= run.YEAR) == is_later]
        for is_later in (True, False)
    )
    with_field = [each for each in faulty if each["held"] and each["fault"]["field"]]
    names = any(each["named"] for each in found)
    cells = (
        method, version, report.rate(later, 36), report.rate(first, 36),
        report.share(faulty, lambda each: each["held"]),
        report.share(with_field, report.is_named) if names else "-",
        f"{statistics.median(each['seconds'] for each in clean):.2f}" if clean else "-",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def text(arguments: argparse.Namespace, cases: Sequence[Case], rows: Sequence[str]) -> str:
    """All of the part in Markdown, but for what was skipped."""
    names = dict.fromkeys(case.delivery.table.name for case in cases)
    faulty = sum(case.fault is not None for case in cases)
    few = f"all after the first one, at most {FAULTS['months']} of a table"
    introduction = INTRODUCTION.format(
        cases=len(cases), clean=len(cases) - faulty, faulty=faulty,
        tables="one table" if len(names) == 1 else f"{len(names)} tables",
        whose="" if arguments.tables or arguments.half == "all" else f" for {arguments.half}",
        which="those of the faults" if arguments.faults_only else few,
        chains=", ".join(f"`{kind}`" for kind in CHAINS),
    )  # fmt: skip
    return TEXT.format(
        options=_options(arguments), introduction=textwrap.fill(introduction, 100),
        table="\n".join(["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD), *rows]),
    )  # fmt: skip


def _options(arguments: argparse.Namespace) -> str:
    if arguments.quick:
        return f"{arguments.seed} --quick"
    half = "" if arguments.half == "reporting" else f" --half {arguments.half}"
    return " ".join([f"{arguments.seed}{half}", *(["--tables"] if arguments.tables else []),
                     *arguments.tables])  # fmt: skip


def main() -> None:
    """Asks everybody and writes this part of the page."""
    arguments = _arguments()
    cases = sample(arguments)
    jobs = write_jobs(cases, BUILD / ("quick-tables" if arguments.quick else "tables"))
    faulty = sum(case.fault is not None for case in cases)
    print(f"{len(cases) - faulty} clean months and {faulty} faulty ones", flush=True)
    everything = {case.number for case in cases}
    rows = [row(OURS, "", list(trials(cases, ours(cases), OURS, everything)))]
    print(f"{OURS}: done", flush=True)
    few, asked = draw_few(cases, arguments.at_most, arguments.seed)
    is_sampled = len(few) < len(cases)
    files = {
        name: write_few(jobs, asked) if name in SLOW and is_sampled else jobs
        for name in arguments.peers
    }
    skipped: dict[str, str] = {}
    for name, version, method, lines in asking.answers(files, skipped):
        counted = everything if files[name] == jobs else few
        on = "" if files[name] == jobs else f" (on {len(few)} of {len(cases)})"
        rows.append(row(method + on, version, list(trials(cases, lines, method, counted))))
    parts = [text(arguments, cases, rows)]
    if any(path != jobs for path in files.values()):
        parts.append(SAMPLED.format(at_most=len(few)))
    parts += [f"- Skipped: {name}: {reason}" for name, reason in skipped.items()]
    page = "\n".join(parts) + "\n"
    print(page)
    if arguments.output:
        arguments.output.write_text(page, encoding="utf-8")


def _arguments() -> argparse.Namespace:
    """The options, with those of `run.py` that choose months and faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True, help="draws fields, sizes and rows")
    parser.add_argument("--half", choices=("tuning", "reporting", "all"), default="reporting")
    parser.add_argument("--tables", nargs="*", default=[], help="these, of whatever half")
    parser.add_argument("--peers", nargs="*", choices=PEERS)
    parser.add_argument("--at-most", type=int, default=AT_MOST,
                        help=f"cases that slow ones are asked: {', '.join(SLOW)}")  # fmt: skip
    parser.add_argument("--quick", action="store_true",
                        help="a few cases of one table, KS and PSI: does it work?")  # fmt: skip
    parser.add_argument("--output", type=Path, help="this part of the page")
    counts = FAULTS["deliveries"]
    parser.set_defaults(
        every=["month"], deliveries=[counts["first_year"], counts["later"]],
        kinds=[kind for kind in KINDS if kind not in CHAINS],
        clean_only=False, faults_only=False, faults_in_weeks=False,
    )  # fmt: skip
    arguments = parser.parse_args()
    if arguments.quick:
        vars(arguments).update(QUICK)
    arguments.peers = arguments.peers or (asking.QUICK if arguments.quick else PEERS)
    return arguments


if __name__ == "__main__":
    main()
