"""The same deliveries before Evidently, NannyML, whylogs, Great Expectations, KS and PSI.

All clean deliveries, and of the faults one for each signal, kind and field, in a size and a month
that the seed draws. Every peer runs in its own environment, which holds what `peers/<name>.txt`
says; one that does not install or import is skipped by name.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from deliveries import Delivery, deliveries
from inject import CALENDAR, FAULTS, Fault, faults, inject
from peers_report import Verdict, table
from run import judge, remember_the_past
from truth import visible

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "peers"
PEERS = (
    "evidently", "nannyml", "whylogs", "great_expectations", "ks", "psi", "domain_classifier",
)  # fmt: skip
OURS = "this template"
MANY = 300  # codes; a text with more tells things apart
NO_TELEMETRY = {
    "DO_NOT_TRACK": "1",  # Evidently
    "NML_DISABLE_USAGE_LOGGING": "1",
    "WHYLOGS_NO_ANALYTICS": "True",
    "GX_ANALYTICS_ENABLED": "False",
}


class Skipped(Exception):  # noqa: N818  it is no error
    """A peer does not work here."""


@dataclass(frozen=True)
class Case:
    """A delivery as it is shown to everybody.

    Attributes:
        fault: What was done to it; None for a clean one.
    """

    number: int
    delivery: Delivery
    fault: Fault | None
    rows: pl.DataFrame


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
    fewest, most = contract.rows
    late = (contract.frequency or timedelta()) + contract.delay
    return {
        "types": {each.name: each.type for each in contract.fields},
        "watched": [name for name in contract.names if name not in {*own, *identifiers}],
        "identifiers": identifiers,
        "key": list(contract.key),
        "event_time": contract.event_time,
        "time_zone": contract.time_zone,
        "ranges": {
            each.name: (each.minimum, each.maximum)
            for each in contract.fields
            if each.minimum is not None or each.maximum is not None
        },
        "allowed": {each.name: list(each.allowed) for each in contract.fields if each.allowed},
        "mostly": {each.name: 1 - each.tolerated_invalid for each in contract.fields},
        "nulls": {
            each.name: 0.0 if each.required else each.tolerated_nulls
            for each in contract.fields
            if each.required or each.tolerated_nulls is not None
        },
        "rows": None if fewest is None else (fewest, most),
        "late_after": late.total_seconds() / 3600 if contract.frequency else None,
    }


def write_jobs(cases: list[Case], folder: Path) -> Path:
    """Everything that the peers read; January is left out: nobody can learn from no past."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs: dict[tuple[str, int], dict[str, Any]] = {}
    told = {}
    for case in cases:
        delivery = case.delivery
        signal, month = delivery.contract.name, delivery.month
        told[signal] = facts(delivery)
        if not delivery.past:
            continue
        if (signal, month) not in jobs:
            past = []
            for name, rows in delivery.past.items():
                # the registry's only partition is another one each month
                path = folder / f"{signal}-{name}-{rows.height}.parquet"
                if not path.exists():
                    rows.write_parquet(path, use_pyarrow=True)
                past.append(str(path))
            job = {"signal": signal, "month": month, "now": delivery.now.isoformat()}
            jobs[signal, month] = job | {"past": past, "deliveries": {}}
        path = folder / f"{case.number}.parquet"
        case.rows.write_parquet(path, use_pyarrow=True)
        jobs[signal, month]["deliveries"][case.number] = str(path)
    target = folder / "jobs.json"
    target.write_text(json.dumps({"facts": told, "jobs": list(jobs.values())}), encoding="utf-8")
    return target


def environment(name: str) -> Path:
    """The Python of the peer's own environment, which is made where it is missing."""
    requirements = HERE / "peers" / f"{name}.txt"
    if not requirements.exists():
        return Path(sys.executable)  # what we have is all it needs
    text = requirements.read_text(encoding="utf-8")
    folder = BUILD / name
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    stamp = folder / "installed.txt"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == text:
        return python
    print(f"Installing {name} into {folder.relative_to(ROOT)} …", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    wanted = shutil.which("python3.11") if sys.version_info[:2] != (3, 11) else None
    if wanted:
        _run([wanted, "-m", "venv", str(folder)])
    else:
        venv.create(folder, with_pip=True)
    _run([str(python), "-m", "pip", "install", "--quiet", "--requirement", str(requirements)])
    stamp.write_text(text, encoding="utf-8")
    return python


def ask(name: str, jobs: Path) -> tuple[str, list[str], dict[int, dict[str, Any]]]:
    """What a peer says of every delivery: its version, its methods, its lines."""
    python = environment(name)
    output = jobs.with_name(f"{name}.jsonl")
    # -P: the scripts are called as what they import
    _run([str(python), "-P", str(HERE / "peers" / f"{name}.py"), str(jobs), str(output)])
    head, *lines = map(json.loads, output.read_text(encoding="utf-8").splitlines())
    return head["version"], head["methods"], {line["id"]: line for line in lines}


def _run(command: list[str]) -> None:
    settings = os.environ | NO_TELEMETRY | {"PYTHONPATH": str(HERE)}
    result = subprocess.run(
        command, env=settings, stdin=subprocess.DEVNULL, capture_output=True,
        encoding="utf-8", errors="replace", check=False,
    )  # fmt: skip
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"it ended with {result.returncode}"]
        raise Skipped(lines[-1].strip().replace(f"{ROOT}{os.sep}", ""))


def ours(cases: list[Case]) -> dict[int, dict[str, Any]]:
    """What we say, in the form of the peers' lines."""
    remember_the_past()
    lines = {}
    for case in cases:
        start = time.perf_counter()
        violations = judge(case.delivery, case.rows)
        seconds = time.perf_counter() - start
        said = [(each.kind, each.field) for each in violations]
        lines[case.number] = {"seconds": seconds, "said": {OURS: said}}
    return lines


def verdicts(
    cases: list[Case], lines: Mapping[int, dict[str, Any]], method: str
) -> Iterator[Verdict]:
    """What a method made of each delivery; without a past nothing is said."""
    clean: set[tuple[str, str | None]] = set()
    for case in cases:
        line = lines.get(case.number, {"seconds": None, "said": {}})
        said = [tuple(each) for each in line["said"].get(method, [])]
        if case.fault is None:
            clean, new = set(said), said
        else:
            new = [each for each in said if each not in clean]
        yield Verdict(
            case.delivery.contract.name, case.delivery.month, case.fault, bool(new), bool(said),
            list(dict.fromkeys(name for _, name in new)), [check for check, _ in new],
            line["seconds"],
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
    jobs_folder = BUILD / ("quick" if arguments.quick else "jobs")
    shutil.rmtree(jobs_folder, ignore_errors=True)
    jobs = write_jobs(cases, jobs_folder)
    faulty = sum(case.fault is not None for case in cases)
    print(f"{len(cases) - faulty} clean deliveries and {faulty} faulty ones", flush=True)
    found: dict[tuple[str, str], list[Verdict]] = {}
    skipped: dict[str, str] = {}
    for name in arguments.peers or (("ks", "psi") if arguments.quick else PEERS):
        try:
            version, methods, lines = ask(name, jobs)
        except Skipped as reason:
            print(f"skipped: {name}: {reason}", flush=True)
            skipped[name] = str(reason)
            continue
        for method in methods:
            found[method, version] = list(verdicts(cases, lines, method))
        print(f"{name} {version}: done", flush=True)
    mine = {(OURS, ""): list(verdicts(cases, ours(cases), OURS))}
    text = table(mine | found, skipped, arguments.seed, quick=arguments.quick)
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
