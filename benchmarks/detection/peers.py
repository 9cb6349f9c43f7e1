"""The same deliveries before Evidently, NannyML, whylogs, Great Expectations, KS and PSI.

All clean deliveries, and of the faults one for each signal, kind and field, in a size and a month
that the seed draws. How a peer is asked stands in `asking.py`.
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import asking
import numpy as np
import polars as pl
from asking import BUILD, OURS, PEERS, Case, Shown
from deliveries import Delivery, deliveries
from inject import CALENDAR, FAULTS, Fault, faults, inject
from peers_report import Verdict, table
from run import judge, remember_the_past
from truth import visible

MANY = 300  # codes; a text with more tells things apart


def sample(seed: int, *, quick: bool) -> list[Case]:
    """The clean deliveries with the drawn faulty ones behind each."""
    every = [each for each in deliveries() if not quick or each.contract.name == "planes"]
    drawn: dict[tuple[str, int], list[tuple[Fault, pl.DataFrame]]] = {}
    for signal in dict.fromkeys(each.contract.name for each in every):
        mine = {each.month: each for each in every if each.contract.name == signal}
        for place, sizes in enumerate(_sizes(signal)):
            rng = np.random.default_rng([seed, place])
            pairs = [(month, pair) for month in FAULTS["reporting"] for pair in sizes]
            for choice in rng.permutation(len(pairs)):
                month, (number, fault) = pairs[choice]
                delivery = mine[month]
                contract, rows = delivery.contract, delivery.rows
                frame = inject(contract, rows, fault, [seed, month, number])
                if visible(contract, rows, frame, fault.kind):
                    drawn.setdefault((signal, month), []).append((fault, frame))
                    break
    cases: list[Case] = []
    for delivery in every:
        cases.append(Case(len(cases), delivery, None, delivery.rows))
        for fault, frame in drawn.get((delivery.contract.name, delivery.month), []):
            cases.append(Case(len(cases), delivery, fault, frame))
    return cases


def _sizes(signal: str) -> list[list[tuple[int, Fault]]]:
    """The faults of a signal with their numbers, by kind and field."""
    groups: dict[tuple[str, str | None], list[tuple[int, Fault]]] = {}
    for number, fault in enumerate(faults(signal)):
        groups.setdefault((fault.kind, fault.field), []).append((number, fault))
    return list(groups.values())


def facts(delivery: Delivery) -> dict[str, Any]:
    """What a person would tell a peer of the signal: what its contract says."""
    contract = delivery.contract
    own = {contract.event_time, *(CALENDAR[:3] if contract.event_time else ())}
    identifiers = [
        each.name for each in contract.fields
        if each.type == "string" and delivery.rows[each.name].n_unique() > MANY
    ]  # fmt: skip
    return asking.facts(contract, own, identifiers)


def write_jobs(cases: list[Case], folder: Path) -> Path:
    """Everything that the peers read; January is left out: nobody can learn from no past."""
    told = {case.delivery.contract.name: facts(case.delivery) for case in cases}
    return asking.write_jobs(map(_shown, cases), told, folder)


def _shown(case: Case) -> Shown:
    delivery = case.delivery
    signal = delivery.contract.name
    # the registry's only partition is another one each month
    past = {f"{signal}-{name}-{rows.height}": rows for name, rows in delivery.past.items()}
    return Shown(case.number, signal, delivery.month, delivery.now, past, case.rows)


def ours(cases: list[Case]) -> asking.Lines:
    """What we say, in the form of the peers' lines."""
    remember_the_past()
    return asking.ours(cases, judge)


def verdicts(
    cases: list[Case], lines: Mapping[int, dict[str, Any]], method: str
) -> Iterator[Verdict]:
    """What a method made of each delivery; without a past nothing is said."""
    for case, said, new, seconds in asking.compared(cases, lines, method):
        yield Verdict(
            case.delivery.contract.name, case.delivery.month, case.fault, bool(new), bool(said),
            list(dict.fromkeys(name for _, name in new)), [check for check, _ in new], seconds,
        )  # fmt: skip


def main() -> None:
    """Asks everybody and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, required=True, help="draws faults, rows and days")
    parser.add_argument("--peers", nargs="*", choices=PEERS)
    parser.add_argument(
        "--quick", action="store_true", help="planes only, KS and PSI: does it work?"
    )
    parser.add_argument("--output", type=Path, help="this part of the page")
    arguments = parser.parse_args()
    cases = sample(arguments.seed, quick=arguments.quick)
    jobs = write_jobs(cases, BUILD / ("quick" if arguments.quick else "jobs"))
    faulty = sum(case.fault is not None for case in cases)
    print(f"{len(cases) - faulty} clean deliveries and {faulty} faulty ones", flush=True)
    found: dict[tuple[str, str], list[Verdict]] = {}
    skipped: dict[str, str] = {}
    names = arguments.peers or (asking.QUICK if arguments.quick else PEERS)
    for _, version, method, lines in asking.answers(dict.fromkeys(names, jobs), skipped):
        found[method, version] = list(verdicts(cases, lines, method))
    mine = {(OURS, ""): list(verdicts(cases, ours(cases), OURS))}
    text = table(mine | found, skipped, arguments.seed, quick=arguments.quick)
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
