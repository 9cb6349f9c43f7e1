"""List the signals: version, age, held or current, who uses them; `diff` compares two versions.

Who uses a signal is read off the expressions, the experiments and the recorded runs: nobody
declares it.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ml_experiment_runner.project import repository
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.text import show

if TYPE_CHECKING:
    from ml_experiment_runner.dataset.lineage import Uses
    from ml_experiment_runner.record.run_reader import RecordedRun
    from ml_experiment_runner.signals.contract.contract import Contract, Contracts
    from ml_experiment_runner.signals.snapshots.snapshot import Snapshot


def signals(arguments: list[str]) -> int:
    """Prints for each signal what there is of it and who uses it, or compares two versions.

    Returns:
        2 if a contract cannot be read, or an experiment cannot be composed: what it uses is not
        known.
    """
    if arguments[:1] == ["diff"]:
        from ml_experiment_runner.cli.signals_diff import diff

        return diff(arguments[1:])
    parser = argparse.ArgumentParser(
        prog="python run.py signals",
        description=(__doc__ or "").partition("\n")[0],
        epilog="python run.py signals diff SIGNAL [BEFORE] [AFTER] compares two versions of one.",
    )
    parser.add_argument("signal", nargs="*", help="only these")
    chosen = parser.parse_args(arguments).signal
    from ml_experiment_runner.signals.contract.contract import known
    from ml_experiment_runner.signals.contract.contract_file import read_contracts

    contracts = read_contracts(repository.root())
    if not contracts and not contracts.broken:
        print("none yet: python run.py new signal NAME --from FILE drafts a contract")
        return 0
    for name in set(chosen) - set(contracts.broken):
        known(contracts, name)
    readable = contracts.readable
    wanted = {name: readable[name] for name in sorted(set(chosen or readable) & set(readable))}
    from ml_experiment_runner.dataset.lineage import Uses, who_uses

    used, problems = who_uses(contracts)
    for run in _latest_models(repository.root() / "outputs"):
        for signal in {read["signal"] for read in _reads(run)} & set(used):
            used[signal].models.append(run)
    show({
        name: _facts(contract, used.get(name, Uses()))
        | _remarks(contract, None if problems else used.get(name), name in chosen)
        for name, contract in wanted.items()
    })  # fmt: skip
    for name in sorted(set(wanted) & set(contracts.incomplete)):
        print(f"{name} cannot be received yet:", *wanted[name].missing, sep="\n")
    problems += _unreadable(contracts, chosen)
    for problem in dict.fromkeys(problems):
        print(problem)
    return 2 if problems else 0


def _remarks(contract: "Contract", uses: "Uses | None", whole: bool) -> dict[str, str]:
    """What is said only of some signals."""
    idle = _idle(uses) if uses else ""
    unchecked = "; ".join(contract.unchecked) if whole else ""
    return {key: text for key, text in (("idle", idle), ("not checked here", unchecked)) if text}


def _unreadable(contracts: "Contracts", chosen: list[str]) -> list[str]:
    """Why contracts cannot be read, of those that are asked for."""
    return [
        str(error)
        for name, error in contracts.broken.items()
        if name not in contracts.incomplete and (not chosen or name in chosen)
    ]


def _latest_models(outputs: Path) -> list["RecordedRun"]:
    """The latest run of each experiment that has left a model."""
    from ml_experiment_runner.record.run_reader import folders, read_run

    found: dict[str, RecordedRun] = {}
    for folder in reversed(folders(outputs)):
        experiment = folder.relative_to(outputs).parts[0]
        if experiment not in found and (folder / "model" / "model.pkl").exists():
            run = read_run(folder)
            if run.status == "FINISHED":
                found[experiment] = run
    return [found[experiment] for experiment in sorted(found)]


def _reads(run: "RecordedRun") -> list[dict[str, str]]:
    """What a run has read of signals."""
    return [read for read in run.datasets if read["context"] != "ingest"]


def _facts(contract: "Contract", uses: "Uses") -> dict[str, str]:
    from ml_experiment_runner.holds import holds
    from ml_experiment_runner.signals.checks import quality
    from ml_experiment_runner.signals.snapshots import versions
    from ml_experiment_runner.signals.snapshots.snapshot import state_of

    try:
        state, snapshot = state_of(contract)
        there = state.value
    except UserError:
        there, snapshot = "changed by hand", None
    unused = [field.name for field in contract.source_fields if field.name not in uses.fields]
    hold = holds.find(contract.root, contract.name)
    last = snapshot.last_event if snapshot else None
    late = quality.lateness(contract, last, datetime.now(UTC))
    current = snapshot.version if snapshot else ""
    kept = ", ".join(version for version in versions.kept(contract) if version != current)
    facts = {
        "version": _version(contract, snapshot) + (f"; kept: {kept}" if kept else ""),
        "status": contract.status,
        "rows": f"{snapshot.rows:,}" if snapshot else "-",
        "last event": _age(snapshot, contract.time_zone),
        "last change": _last_change(contract) if snapshot else "-",
        "here": there,
        "held": f"{hold.id}, since {hold.opened[:10]} (python run.py holds)" if hold else "no",
        "owner": contract.owner_and_contact,
        "features": ", ".join(_feature(name, uses) for name in sorted(uses.features)) or "none",
        "experiments": ", ".join(_experiment(name, uses) for name in sorted(uses.experiments))
        or "none",
        "models": ", ".join(_model(run, contract, snapshot) for run in uses.models) or "none",
        "never used": ", ".join(unused) or "none",
    }  # fmt: skip
    if late:
        facts["late"] = late.message
    if contract.model:
        facts["output of"] = f"the model {contract.model}"
    return facts


def _version(contract: "Contract", snapshot: "Snapshot | None") -> str:
    """The contract's version, and the snapshot's where it is another."""
    if snapshot is None or snapshot.version == contract.version:
        return contract.version
    return f"{contract.version} (received: {snapshot.version})"


def _last_change(contract: "Contract") -> str:
    """The day and commit of what git has of the snapshot."""
    from ml_experiment_runner.signals.snapshots.snapshot import dvc_file

    file = dvc_file(contract).relative_to(contract.root).as_posix()
    if repository.git(contract.root, "status", "--porcelain", "--", file):
        return "not in git yet"
    known = repository.git(contract.root, "log", "-n", "1", "--format=%cs (commit %h)", "--", file)
    return known or "not known to git"


def _experiment(name: str, uses: "Uses") -> str:
    """An experiment's name, and what is special about it."""
    remarks = [uses.experiments[name]] if uses.experiments[name] != "active" else []
    remarks += [f"version {uses.pins[name]}"] if name in uses.pins else []
    return f"{name} ({', '.join(remarks)})" if remarks else name


def _model(run: "RecordedRun", contract: "Contract", snapshot: "Snapshot | None") -> str:
    """A model by its experiment and run, and the version that it has learned from."""
    read = next(each for each in _reads(run) if each["signal"] == contract.name)
    as_now = snapshot is not None and read["md5"] == snapshot.md5
    return f"{run.experiment} {run.id} ({read['version']}{'' if as_now else ', other rows'})"


def _idle(uses: "Uses") -> str:
    """In what way nobody uses a signal; empty if somebody does."""
    if not uses.experiments:
        return "declared, and used by no feature and no experiment"
    words = [] if uses.features else ["used by no feature"]
    words += [] if "active" in uses.experiments.values() else ["used by no living experiment"]
    return "; ".join(words)


def _feature(name: str, uses: "Uses") -> str:
    """A feature's name, and its experiments where they are not all that read the signal."""
    experiments = uses.features[name]
    return (
        name
        if experiments == set(uses.experiments)
        else f"{name} ({', '.join(sorted(experiments))})"
    )


def _age(snapshot: "Snapshot | None", time_zone: str) -> str:
    """The day of the newest event where it happened, and how long ago it was."""
    if snapshot is None or snapshot.last_event is None:
        return "-"
    days = (datetime.now(UTC) - snapshot.last_event).days
    day = snapshot.last_event.astimezone(ZoneInfo(time_zone))
    return f"{day:%Y-%m-%d} ({days:,} days ago)"
