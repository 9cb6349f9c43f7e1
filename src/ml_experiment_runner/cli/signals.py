"""List signals with version, age, state and users, or compare two versions of one.

Users of a signal are read from expressions, experiments and recorded runs; they are not declared.
"""

import argparse
from datetime import UTC, datetime
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
    """Lists the signals, or compares two versions of one.

    Returns:
        2 if a contract cannot be read, or an experiment cannot be composed, so that its signals are
        unknown.
    """
    if arguments[:1] == ["diff"]:
        from ml_experiment_runner.cli.signals_diff import diff

        return diff(arguments[1:])
    parser = argparse.ArgumentParser(
        prog="python run.py signals",
        description=(__doc__ or "").partition("\n")[0],
        epilog="python run.py signals diff SIGNAL [BEFORE] [AFTER] compares two versions of one.",
    )
    parser.add_argument("signal", nargs="*", help="list only these signals, with more detail")
    return _list(parser.parse_args(arguments).signal)


def _list(chosen: list[str]) -> int:
    from ml_experiment_runner.dataset.lineage import add_models, who_uses
    from ml_experiment_runner.signals.contract.contract import known
    from ml_experiment_runner.signals.contract.contract_file import read_contracts

    contracts = read_contracts(repository.root())
    if not contracts and not contracts.broken:
        print("none yet: python run.py new signal NAME --from FILE drafts a contract")
        return 0
    for name in set(chosen) - set(contracts.broken):
        known(contracts, name)
    readable = contracts.readable
    listed = {name: readable[name] for name in sorted(set(chosen or readable) & set(readable))}
    all_uses, errors = who_uses(contracts)
    add_models(all_uses, repository.root() / "outputs")
    facts = {}
    for name, contract in listed.items():
        uses = all_uses.get(name)
        facts[name] = _facts(contract, uses)
        if uses and uses.idle_reason and not errors:  # a broken experiment may use it
            facts[name]["idle"] = uses.idle_reason
        if name in chosen and contract.unchecked:
            facts[name]["not checked here"] = "; ".join(contract.unchecked)
    show(facts)
    for name in sorted(set(listed) & set(contracts.incomplete)):
        print(f"{name} cannot be ingested yet:", *listed[name].missing, sep="\n")
    errors += _contract_errors(contracts, chosen)
    for message in dict.fromkeys(errors):
        print(message)
    return 2 if errors else 0


def _contract_errors(contracts: "Contracts", chosen: list[str]) -> list[str]:
    """Why contracts cannot be read; of all signals, or of the chosen ones."""
    return [
        str(error)
        for name, error in contracts.broken.items()
        if name not in contracts.incomplete and (not chosen or name in chosen)
    ]


def _facts(contract: "Contract", uses: "Uses | None") -> dict[str, str]:
    from ml_experiment_runner.dataset.lineage import Uses
    from ml_experiment_runner.signals.snapshots.snapshot import state_of

    try:
        state, snapshot = state_of(contract)
        state_text = state.value
    except UserError:
        state_text, snapshot = "changed by hand", None
    return (
        _facts_of_versions(contract, snapshot)
        | {"here": state_text}
        | _facts_of_delivery(contract, snapshot)
        | _facts_of_uses(contract, snapshot, uses or Uses())
    )


def _facts_of_versions(contract: "Contract", snapshot: "Snapshot | None") -> dict[str, str]:
    """What there is of a signal."""
    from ml_experiment_runner.signals.snapshots import versions

    current = snapshot.version if snapshot else ""
    version = contract.version
    if snapshot and snapshot.version != version:
        version += f" (ingested: {snapshot.version})"
    if kept := [other for other in versions.kept(contract) if other != current]:
        version += f"; kept: {', '.join(kept)}"
    return {
        "version": version,
        "status": contract.status,
        "rows": f"{snapshot.rows:,}" if snapshot else "-",
        "last event": last_event(snapshot, contract.time_zone),
        "last change": _last_change(contract) if snapshot else "-",
    }


def _facts_of_delivery(contract: "Contract", snapshot: "Snapshot | None") -> dict[str, str]:
    """Whether new rows are held or late, and whom to ask."""
    from ml_experiment_runner.holds import holds
    from ml_experiment_runner.signals.checks import quality

    hold = holds.find(contract.root, contract.name)
    late = quality.lateness(contract, snapshot.last_event if snapshot else None, datetime.now(UTC))
    facts = {"held": f"{hold.id}, since {hold.opened[:10]} (python run.py holds)" if hold else "no"}
    if late:
        facts["late"] = late.message
    facts["owner"] = contract.owner_and_contact
    if contract.model:
        facts["output of"] = f"the model {contract.model}"
    return facts


def _facts_of_uses(
    contract: "Contract", snapshot: "Snapshot | None", uses: "Uses"
) -> dict[str, str]:
    """Who uses a signal, and which fields nobody uses."""
    unused = [field.name for field in contract.source_fields if field.name not in uses.fields]
    facts = {
        "features": [_feature(name, uses) for name in sorted(uses.features)],
        "experiments": [_experiment(name, uses) for name in sorted(uses.experiments)],
        "models": [_model(run, contract, snapshot) for run in uses.models],
        "unused": unused,
    }
    return {key: ", ".join(names) or "none" for key, names in facts.items()}


def _feature(name: str, uses: "Uses") -> str:
    """A feature, with its experiments unless all experiments of the signal choose it."""
    experiments = uses.features[name]
    chosen_by_all = experiments == set(uses.experiments)
    return name if chosen_by_all else f"{name} ({', '.join(sorted(experiments))})"


def _experiment(name: str, uses: "Uses") -> str:
    """An experiment, with its status unless it is active, and the version that it pins."""
    notes = [uses.experiments[name]] if uses.experiments[name] != "active" else []
    notes += [f"version {uses.pins[name]}"] if name in uses.pins else []
    return f"{name} ({', '.join(notes)})" if notes else name


def _model(run: "RecordedRun", contract: "Contract", snapshot: "Snapshot | None") -> str:
    """A model's experiment and run, with the version that it was trained on."""
    from ml_experiment_runner.dataset.lineage import training_data

    data = next(data for data in training_data(run) if data["signal"] == contract.name)
    is_current = snapshot is not None and data["md5"] == snapshot.md5
    return f"{run.experiment} {run.id} ({data['version']}{'' if is_current else ', other rows'})"


def _last_change(contract: "Contract") -> str:
    """The day and commit of the snapshot in git."""
    from ml_experiment_runner.signals.snapshots.snapshot import dvc_file

    file = dvc_file(contract).relative_to(contract.root).as_posix()
    if repository.git(contract.root, "status", "--porcelain", "--", file):
        return "not in git yet"
    commit = repository.git(contract.root, "log", "-n", "1", "--format=%cs (commit %h)", "--", file)
    return commit or "not known to git"


def last_event(snapshot: "Snapshot | None", time_zone: str) -> str:
    """The day of the newest event in the contract's time zone, and its age."""
    if snapshot is None or snapshot.last_event is None:
        return "-"
    days = (datetime.now(UTC) - snapshot.last_event).days
    day = snapshot.last_event.astimezone(ZoneInfo(time_zone))
    return f"{day:%Y-%m-%d} ({days:,} days ago)"
