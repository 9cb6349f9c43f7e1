"""Replays the held-out tables, clean and with faults, and notes what was held.

Each table's deliveries come one after another, monthly and weekly. A clean one that is held is
released: it is in the past of the next one, and a lasting change of the source is accepted. A fault
is only asked for where its truth can be seen (`truth.py`), and counts as held only by what its
clean twin is not held for.
"""

import argparse
import functools
import json
import logging
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

THREADS = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
os.environ.update(dict.fromkeys(THREADS, "1"))  # before polars and numpy are there

import polars as pl  # noqa: E402
import report  # noqa: E402
import tables  # noqa: E402
from deliveries import Delivery, deliveries  # noqa: E402
from faults import FAULTS, KINDS, Fault, faults  # noqa: E402
from inject import chain, inject, is_chain  # noqa: E402
from split import half, is_reporting_only  # noqa: E402
from truth import visible  # noqa: E402

from ml_experiment_runner.holds.holds import Violation  # noqa: E402
from ml_experiment_runner.signals.checks import quality, schema  # noqa: E402
from ml_experiment_runner.signals.contract.contract import SchemaViolation  # noqa: E402
from ml_experiment_runner.signals.drift import detection  # noqa: E402

FEW = 30  # new rows that are too few for a delivery of a week
CHUNK = 12  # clean deliveries of one job
YEAR = 365
LASTING = timedelta(days=31)
REMEMBERED = 3  # pasts, of which each is large

Known = frozenset[tuple[str, str | None]]


@dataclass
class Trial:
    """One delivery and what was said of it.

    Attributes:
        fault: What was done to it: its kind, field, size, and fields that may be named as well;
            None for a clean one.
        visible: Whether the truth can be seen; if not, it was not judged.
        named: The field that was named first; None for the rows as such.
        by_rules: The contract's own rules hold it.
        said: Kind, field and message of what holds it.
        period: The local days of its first and last row.
        seconds: Of CPU, for judging; a clean one's are with learning.
        real: It is clean, and held for what is truly wrong, or has truly changed, in it.
        warned: A warning says that it is unusual, as a season may be that the past has not seen.
    """

    table: str
    half: str
    every: str
    number: int
    days_of_past: int
    rows: int
    period: tuple[str, str]
    fault: dict[str, Any] | None = None
    reporting_only: bool = False
    visible: bool = True
    held: bool = False
    named: str | None = None
    by_rules: bool = False
    said: list[str] = field(default_factory=list)
    seconds: float = 0.0
    real: bool = False
    warned: bool = False


class Warnings(logging.Handler):
    """What the detection warns of while it learns: kinds and fields.

    Attributes:
        found: Since they were last forgotten.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: set[tuple[str, str]] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Notes a warning, whose arguments are signal, days, partition, kind, field, message."""
        if isinstance(record.args, tuple) and len(record.args) > 4:
            self.found.add((str(record.args[3]), str(record.args[4])))


WARNINGS = Warnings()


@dataclass(frozen=True)
class Job:
    """What one process does at a time: deliveries of a table, clean, or one with its faults."""

    table: str
    every: str
    numbers: tuple[int, ...]
    with_faults: bool
    seed: int
    kinds: tuple[str, ...]


def judge(delivery: Delivery, rows: pl.DataFrame) -> tuple[list[Violation], list[Violation]]:
    """What a delivery meets when it is received.

    Returns:
        What schema, key and the contract's rules say, and what its past says.
    """
    contract = delivery.table.contract
    try:
        schema.check_names(rows.columns, contract, "delivery")
        rows = schema.conform(rows, contract, "delivery")
        schema.check_rows(rows, contract, "delivery")
    except SchemaViolation as error:
        return [error.violation], []
    parts = delivery.parts(rows)
    past = {name: each.lazy() for name, each in delivery.past.items()}
    rules = quality.broken(contract, parts, delivery.now)
    changes = detection.changes(contract, past, parts, accepted(delivery))
    last = None if contract.event_time is None else rows[contract.event_time].max()
    late = quality.lateness(contract, last, delivery.now)
    return [*rules, late] if late else rules, changes


def accepted(delivery: Delivery) -> dict[str, str]:
    """By field, the month since which a person has accepted a lasting change of the source."""
    begin = local_days(delivery).min()
    return {
        fault.field or "": f"{fault.first:%Y-%m}"
        for fault in delivery.table.real
        if fault.last - fault.first > LASTING and fault.first < begin
    }


def trial(
    delivery: Delivery, rows: pl.DataFrame, known: Known = frozenset()
) -> tuple[Trial, Known]:
    """What is said of a delivery, and all kinds and fields of it.

    Args:
        delivery: What was known before, and when it arrived.
        rows: Its rows as they came.
        known: What is said of its clean twin; it does not count.
    """
    start = time.process_time()
    WARNINGS.found.clear()
    rules, changes = judge(delivery, rows)
    seconds = time.process_time() - start
    warned = {(f"warning: {kind}", field) for kind, field in WARNINGS.found}
    rules, changes = (
        [each for each in found if (each.kind, each.field) not in known]
        for found in (rules, changes)
    )
    found = [*rules, *changes]
    said = replace(
        not_judged(delivery, rows), held=bool(found), named=found[0].field if found else None,
        by_rules=bool(rules), seconds=round(seconds, 3),
        said=[f"{each.kind}: {each.field or 'the rows'}: {each.message}" for each in found],
        warned=bool(warned - known),
    )  # fmt: skip
    return said, frozenset((each.kind, each.field) for each in found) | warned


def not_judged(delivery: Delivery, rows: pl.DataFrame) -> Trial:
    """A delivery of which nothing is said."""
    name, days = delivery.table.name, local_days(delivery)
    return Trial(
        name, half(name), delivery.every, delivery.number, delivery.days_of_past, rows.height,
        (str(days.min()), str(days.max())),
    )  # fmt: skip


def local_days(delivery: Delivery) -> pl.Series:
    """The days of a delivery's rows where they happened."""
    contract = delivery.table.contract
    return delivery.rows[contract.event_time].dt.convert_time_zone(contract.time_zone).dt.date()


def faulty_trial(delivery: Delivery, fault: Fault, known: Known, seed: list[int]) -> Trial:
    """A delivery with a fault; one that grows is held where any of its deliveries is."""
    name = delivery.table.name
    if is_chain(fault):
        following = all_deliveries(name, delivery.every)[delivery.number :]
        steps = chain(following, fault, seed)
        last, rows = steps[-1]
        seen = visible(last.table, last.rows, rows, last.past, fault)
        found = [trial(each, rows, trial(each, each.rows)[1])[0] for each, rows in steps if seen]
    else:
        rows = inject(delivery, delivery.rows, fault, seed)
        seen = visible(delivery.table, delivery.rows, rows, delivery.past, fault)
        found = [trial(delivery, rows, known)[0]] if seen else []
    said = next(
        (each for each in found if each.held), found[0] if found else not_judged(delivery, rows)
    )
    said.number, said.days_of_past = delivery.number, delivery.days_of_past
    said.fault, said.visible = asdict(fault), seen
    said.reporting_only = is_reporting_only(fault.kind)
    return said


def do(job: Job) -> list[Trial]:
    """The trials of a job."""
    remember_the_past()
    every = {each.number: each for each in all_deliveries(job.table, job.every)}
    found = []
    for number in job.numbers:
        delivery = every[number]
        clean, known = trial(delivery, delivery.rows)
        clean.real = clean.held and is_find(clean, delivery)
        found.append(clean)
        if not job.with_faults:
            continue
        for at, fault in enumerate(faults(delivery.table, [job.seed, number])):
            if fault.kind in job.kinds:
                found.append(faulty_trial(delivery, fault, known, [job.seed, number, at]))
    return found


def is_find(trial: Trial, delivery: Delivery) -> bool:
    """Whether the field that was named first is wrong on one of these days, truly."""
    first, last = trial.period
    return any(
        fault.field == trial.named and str(fault.first) <= last and first <= str(fault.last)
        for fault in delivery.table.real
    )


@functools.lru_cache(maxsize=2)
def all_deliveries(table: str, every: str) -> list[Delivery]:
    """A table's deliveries, read once in each process."""
    return deliveries(tables.load(table), every)


@functools.cache
def remember_the_past() -> None:
    """Learns each past once: dozens of faulty deliveries have the same.

    The key is the past's content, so what differs in one value is learned anew.
    """
    detection.log.addHandler(WARNINGS)
    detection.log.propagate = False
    learn = getattr(detection, "learn", None)
    if learn is None:
        return
    known: dict[Any, Any] = {}

    @functools.wraps(learn)
    def remembered(contract: Any, frame: pl.DataFrame, days: Any, *more: Any) -> Any:
        key = (contract.name, frame.height, days, *more, int(frame.hash_rows(seed=1).sum()))
        if key not in known:
            if len(known) >= REMEMBERED:
                known.pop(next(iter(known)))
            known[key] = learn(contract, frame, days, *more)
        return known[key]

    detection.learn = remembered


def chosen(arguments: argparse.Namespace) -> list[str]:
    """The tables that are named, or else all of a half."""
    return [
        name for name in arguments.tables or tables.NAMES
        if arguments.half == "all" or half(name) == arguments.half or arguments.tables
    ]  # fmt: skip


def jobs(arguments: argparse.Namespace, name: str) -> Iterator[Job]:
    """What there is to do for a table."""
    for every in arguments.every:
        listed = all_deliveries(name, every)
        if every == "month":
            clean = [each.number for each in listed[1 : 1 + FAULTS["months"]]]
        else:
            clean = [each.number for each in listed[1:] if each.rows.height >= FEW]
            clean = clean[: FAULTS["weeks"]]
        faulty = with_faults(listed, clean, arguments.deliveries)
        if arguments.clean_only or (every == "week" and not arguments.faults_in_weeks):
            faulty = []
        if not arguments.faults_only:
            rest = [number for number in clean if number not in faulty]
            for start in range(0, len(rest), CHUNK):
                numbers = tuple(rest[start : start + CHUNK])
                yield Job(name, every, numbers, False, arguments.seed, ())
        kinds = tuple(
            kind for kind in arguments.kinds
            if arguments.half != "tuning" or not is_reporting_only(kind)
        )  # fmt: skip
        for number in faulty:
            yield Job(name, every, (number,), True, arguments.seed, kinds)


def with_faults(listed: list[Delivery], clean: list[int], counts: list[int]) -> list[int]:
    """The deliveries that get faults: some in the first year, some after it, evenly spread."""
    at = {each.number: each for each in listed}
    able = [
        number for number in clean
        if number >= FAULTS["first_delivery"] and at[number].rows.height >= FEW
    ]  # fmt: skip
    first = [number for number in able if at[number].days_of_past < YEAR]
    later = [number for number in able if at[number].days_of_past >= YEAR]
    return [*_spread(first, counts[0]), *_spread(later, counts[1])]


def _spread(numbers: list[int], count: int) -> list[int]:
    count = min(count, len(numbers))
    return [numbers[(2 * each + 1) * len(numbers) // (2 * count)] for each in range(count)]


def main() -> None:
    """Replays everything and writes the page."""
    arguments = _arguments()
    names = chosen(arguments)
    start = time.monotonic()
    todo = []
    for name in names:
        todo += jobs(arguments, name)
    todo.sort(key=lambda job: not job.with_faults)  # the long ones first
    found: list[Trial] = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(arguments.jobs, mp_context=context) as pool:
        running = {pool.submit(do, job): job for job in todo}
        failed = 0
        for future in as_completed(running):
            try:
                mine = future.result()
            except Exception:
                traceback.print_exc()
                failed += 1
                print(f"failed: {running[future]}", flush=True)
                continue
            found += mine
            if not arguments.quiet:
                print(_line(running[future], mine, time.monotonic() - start), flush=True)
    order = {name: at for at, name in enumerate(names)}
    found.sort(key=lambda each: (order[each.table], each.every, each.number))
    trials = [json.loads(json.dumps(asdict(each), default=str)) for each in found]
    if arguments.save:
        lines = "".join(json.dumps(each) + "\n" for each in trials)
        arguments.save.write_text(lines, encoding="utf-8")
    text = report.page(trials)
    if arguments.quiet:
        print(report.totals_line(trials))
    else:
        print(text)
    print(f"{time.monotonic() - start:.0f} s with {arguments.jobs} processes")
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")
    if failed:
        sys.exit(f"{failed} of {len(todo)} jobs failed: what is told above is without them")


def _line(job: Job, mine: list[Trial], seconds: float) -> str:
    asked = [each for each in mine if each.visible and (each.fault or not job.with_faults)]
    held = sum(each.held for each in asked)
    what = "faults held" if job.with_faults else "clean held"
    return (
        f"{seconds:5.0f} s  {job.table:18} {job.every:5} {job.numbers[0]:3}  "
        f"{held}/{len(asked)} {what}, {sum(each.seconds for each in mine):.0f} s CPU"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True, help="draws fields, sizes and rows")
    parser.add_argument("--half", choices=("tuning", "reporting", "all"), default="tuning",
                        help="in tuning, kinds for reporting only are left out")  # fmt: skip
    parser.add_argument("--tables", nargs="*", default=[], help="these, of whatever half")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=KINDS,
                        help="only these kinds of fault")  # fmt: skip
    parser.add_argument("--every", nargs="*", default=["month", "week"], choices=("month", "week"))
    counts = FAULTS["deliveries"]
    parser.add_argument("--deliveries", type=int, nargs=2, metavar=("FIRST_YEAR", "LATER"),
                        default=[counts["first_year"], counts["later"]],
                        help="how many monthly ones of a table get faults")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--clean-only", action="store_true")
    parser.add_argument("--faults-only", action="store_true")
    parser.add_argument(
        "--faults-in-weeks", action="store_true", help="weekly ones get faults, too"
    )
    parser.add_argument("--quiet", action="store_true", help="only the totals are to be seen")
    parser.add_argument("--save", type=Path, help="every trial as JSON lines")
    parser.add_argument("--output", type=Path, help="the page")
    return parser.parse_args()


if __name__ == "__main__":
    main()
