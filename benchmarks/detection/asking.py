"""Shows deliveries to the peers, and to us, and notes what each says of them.

Every peer runs in its own environment, which holds what `peers/<name>.txt` says; one that does not
install or import is skipped by name.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from ml_experiment_runner.signals.contract.contract import Contract

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build" / "peers"
PEERS = (
    "evidently", "nannyml", "whylogs", "great_expectations", "ks", "psi", "domain_classifier",
)  # fmt: skip
QUICK = ("ks", "psi")
OURS = "this template"
NO_TELEMETRY = {
    "DO_NOT_TRACK": "1",  # Evidently
    "NML_DISABLE_USAGE_LOGGING": "1",
    "WHYLOGS_NO_ANALYTICS": "True",
    "GX_ANALYTICS_ENABLED": "False",
}

Lines = dict[int, dict[str, Any]]
Said = list[tuple[str, str | None]]


class Skipped(Exception):  # noqa: N818  it is no error
    """A peer does not work here."""


@dataclass(frozen=True)
class Case:
    """A delivery as it is shown to everybody.

    Attributes:
        delivery: One of `deliveries.py` or of `tables/deliveries.py`.
        fault: What was done to it; None for a clean one.
    """

    number: int
    delivery: Any
    fault: Any
    rows: pl.DataFrame


@dataclass(frozen=True)
class Shown:
    """What a peer is shown of a case.

    Attributes:
        signal: The name that its facts are told under.
        month: Tells the signal's deliveries apart.
        past: Rows to learn from, by a name that no other rows of all signals have.
    """

    number: int
    signal: str
    month: int
    now: datetime
    past: Mapping[str, pl.DataFrame]
    rows: pl.DataFrame


def facts(contract: Contract, unwatched: set[str], identifiers: Sequence[str]) -> dict[str, Any]:
    """What a person would tell a peer of a signal: what its contract says.

    Args:
        unwatched: Fields whose distribution is of no interest, besides the identifiers.
        identifiers: Fields with texts that are hardly ever the same.
    """
    fewest, most = contract.rows
    late = (contract.frequency or timedelta()) + contract.delay
    return {
        "types": {each.name: each.type for each in contract.fields},
        "watched": [name for name in contract.names if name not in {*unwatched, *identifiers}],
        "identifiers": list(identifiers),
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


def write_jobs(shown: Iterable[Shown], told: Mapping[str, Any], folder: Path) -> Path:
    """Everything that the peers read; without a past nobody can learn, and nothing is asked.

    Args:
        told: The facts of each signal.
        folder: Is made anew.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    jobs: dict[tuple[str, int], dict[str, Any]] = {}
    for each in shown:
        if not each.past:
            continue
        if (each.signal, each.month) not in jobs:
            past = []
            for name, rows in each.past.items():
                path = folder / f"{name}.parquet"
                if not path.exists():
                    rows.write_parquet(path, use_pyarrow=True)
                past.append(str(path))
            job = {"signal": each.signal, "month": each.month, "now": each.now.isoformat()}
            jobs[each.signal, each.month] = job | {"past": past, "deliveries": {}}
        path = folder / f"{each.number}.parquet"
        each.rows.write_parquet(path, use_pyarrow=True)
        jobs[each.signal, each.month]["deliveries"][each.number] = str(path)
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


def ask(name: str, jobs: Path) -> tuple[str, list[str], Lines]:
    """What a peer says of every delivery: its version, its methods, its lines.

    Raises:
        Skipped: It does not install, or does not run.
    """
    python = environment(name)
    output = jobs.with_name(f"{name}.jsonl")
    # -P: the scripts are called as what they import
    _run([str(python), "-P", str(HERE / "peers" / f"{name}.py"), str(jobs), str(output)])
    head, *lines = map(json.loads, output.read_text(encoding="utf-8").splitlines())
    return head["version"], head["methods"], {line["id"]: line for line in lines}


def answers(
    jobs: Mapping[str, Path], skipped: dict[str, str]
) -> Iterator[tuple[str, str, str, Lines]]:
    """Name, version, method and lines, for every method of each peer.

    Args:
        jobs: By the peers that are asked.
        skipped: Takes the reasons of those that do not work here.
    """
    for name, path in jobs.items():
        try:
            version, methods, lines = ask(name, path)
        except Skipped as reason:
            print(f"skipped: {name}: {reason}", flush=True)
            skipped[name] = str(reason)
            continue
        for method in methods:
            yield name, version, method, lines
        print(f"{name} {version}: done", flush=True)


def _run(command: list[str]) -> None:
    settings = os.environ | NO_TELEMETRY | {"PYTHONPATH": str(HERE)}
    result = subprocess.run(
        command, env=settings, stdin=subprocess.DEVNULL, capture_output=True,
        encoding="utf-8", errors="replace", check=False,
    )  # fmt: skip
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"it ended with {result.returncode}"]
        raise Skipped(lines[-1].strip().replace(f"{ROOT}{os.sep}", ""))


def ours(cases: Iterable[Case], judge: Callable[[Any, pl.DataFrame], Iterable[Any]]) -> Lines:
    """What we say, in the form of the peers' lines."""
    lines = {}
    for case in cases:
        start = time.perf_counter()
        violations = list(judge(case.delivery, case.rows))
        seconds = time.perf_counter() - start
        said = [(each.kind, each.field) for each in violations]
        lines[case.number] = {"seconds": seconds, "said": {OURS: said}}
    return lines


def compared(
    cases: Iterable[Case], lines: Mapping[int, dict[str, Any]], method: str
) -> Iterator[tuple[Case, Said, Said, float | None]]:
    """Each case with all that a method says, what of it is new, and the seconds.

    New is what is not said of the clean twin, behind which the faulty ones come. Without a past
    nothing is said.
    """
    clean: set[tuple[str, str | None]] = set()
    for case in cases:
        line = lines.get(case.number, {"seconds": None, "said": {}})
        said: Said = [tuple(each) for each in line["said"].get(method, [])]
        if case.fault is None:
            clean, new = set(said), said
        else:
            new = [each for each in said if each not in clean]
        yield case, said, new, line["seconds"]
