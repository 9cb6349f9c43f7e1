"""What is found of the faults in `faults.yaml`, by us and by others: `make bench-detection`.

Every real delivery is replayed clean, and again with every fault that fits it. A delivery counts as
held if anything is said of it; what is said of the clean one, too, does not count. Of the faults
only those count that `truth.py` could see.
"""

import argparse
import functools
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import polars as pl
import report
from deliveries import Delivery, deliveries
from inject import FAULTS, Fault, faults, inject
from threadpoolctl import threadpool_limits
from truth import visible

from ml_experiment_runner.holds.holds import Violation
from ml_experiment_runner.signals.checks import quality, schema
from ml_experiment_runner.signals.contract.contract import SchemaViolation
from ml_experiment_runner.signals.drift import detection

HERE = Path(__file__).parent


@dataclass
class Trial:
    """One delivery and what was said of it.

    Attributes:
        fault: What was done to it; None for a clean one.
        named: The field that was named first; None for the delivery as a whole.
    """

    signal: str
    month: int
    fault: Fault | None
    held: bool
    named: str | None = None
    said: list[str] = field(default_factory=list)
    seconds: float = 0.0


def judge(delivery: Delivery, frame: pl.DataFrame) -> list[Violation]:
    """What a delivery meets when it is received: schema, key, the contract's rules, its past."""
    contract = delivery.contract
    try:
        schema.check_names(frame.columns, contract, Path("delivery"))
        frame = schema.conform(frame, contract, Path("delivery"))
        schema.check_rows(frame, contract, Path("delivery"))
    except SchemaViolation as error:
        return [error.violation]
    parts = {delivery.partition: frame.sort(contract.key)}
    past = {name: each.lazy() for name, each in delivery.past.items()}
    found = quality.broken(contract, parts, delivery.now) + detection.changes(
        contract, past, parts, {}
    )
    last = None if contract.event_time is None else frame[contract.event_time].max()
    late = quality.lateness(contract, last, delivery.now)
    return [*found, late] if late else found


def trials(delivery: Delivery, seed: int, kinds: set[str]) -> Iterator[tuple[Trial, pl.DataFrame]]:
    """The clean delivery and all faulty ones, with their rows."""
    name, month = delivery.contract.name, delivery.month
    start = time.perf_counter()
    clean = judge(delivery, delivery.rows)
    seconds = time.perf_counter() - start
    yield (
        Trial(name, month, None, bool(clean), clean[0].field if clean else None,
              [f"{each.kind}: {each.field or 'the rows'}: {each.message}" for each in clean],
              seconds),
        delivery.rows,
    )  # fmt: skip
    known = {(each.kind, each.field) for each in clean}
    for number, fault in enumerate(faults(name)):
        if kinds and fault.kind not in kinds:
            continue
        frame = inject(delivery.contract, delivery.rows, fault, [seed, month, number])
        if not visible(delivery.contract, delivery.rows, frame, fault.kind):
            continue
        start = time.perf_counter()
        found = [each for each in judge(delivery, frame) if (each.kind, each.field) not in known]
        seconds = time.perf_counter() - start
        yield (
            Trial(name, month, fault, bool(found), found[0].field if found else None,
                  [f"{each.kind}: {each.field or 'the rows'}" for each in found], seconds),
            frame,
        )  # fmt: skip


def remember_the_past() -> None:
    """Learns each past once: hundreds of faulty deliveries have the same."""
    learn, known = detection.learn, {}

    @functools.wraps(learn)
    def remembered(contract, frame, days):
        key = (contract.name, frame.height, days)
        if not any(key[:2] == each[:2] for each in known):
            known.clear()  # another delivery
        if key not in known:
            known[key] = learn(contract, frame, days)
        return known[key]

    detection.learn = remembered


def main() -> None:
    """Replays everything and writes the page."""
    threadpool_limits(limits=1, user_api="blas")  # as receiving has it
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True, help="draws rows and days")
    parser.add_argument("--months", choices=("tuning", "reporting", "all"), default="reporting",
                        help="into which faults are injected; all are replayed clean")  # fmt: skip
    parser.add_argument("--signals", nargs="*", default=["flights", "planes", "weather"])
    parser.add_argument("--kinds", nargs="*", default=[], help="only these kinds of fault")
    parser.add_argument("--save", type=Path, help="every trial as JSON lines")
    parser.add_argument("--output", type=Path, help="the page")
    arguments = parser.parse_args()
    remember_the_past()
    every = FAULTS["deliveries"] if arguments.months == "all" else FAULTS[arguments.months]
    found: list[Trial] = []
    for delivery in deliveries():
        if delivery.contract.name not in arguments.signals:
            continue
        mine = []
        for trial, _ in trials(delivery, arguments.seed, set(arguments.kinds)):
            mine.append(trial)
            if delivery.month not in every:
                break
        held = sum(each.held for each in mine[1:])
        clean = f"clean: {mine[0].said[0]}" if mine[0].held else "clean"
        print(f"{delivery.contract.name:8} {delivery.month:2}  {held}/{len(mine) - 1} held  "
              f"{mine[0].seconds:.1f} s  {clean}", flush=True)  # fmt: skip
        found += mine
    if arguments.save:
        lines = [json.dumps(asdict(each), default=str) for each in found]
        arguments.save.write_text("\n".join(lines) + "\n", encoding="utf-8")
    text = report.page(found, arguments.seed, arguments.months)
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
