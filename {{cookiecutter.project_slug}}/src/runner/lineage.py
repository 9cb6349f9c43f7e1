"""List the signals: version, rows, age, who uses them, and what nobody uses."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from runner import project
from runner.errors import UserError
from runner.terminal import show

if TYPE_CHECKING:
    from runner.signals.contract import Contract
    from runner.signals.snapshot import Snapshot


@dataclass
class Uses:
    """What uses a signal.

    Attributes:
        features: Names of features by the experiments that choose them; nobody, if empty.
        fields: Fields that some dataset reads, for a feature, a label, a moment, a key or a join.
        experiments: Experiments whose dataset reads the signal; `default` is none of them chosen.
    """

    features: dict[str, set[str]] = field(default_factory=dict)
    fields: set[str] = field(default_factory=set)
    experiments: set[str] = field(default_factory=set)


def signals(arguments: list[str]) -> int:
    """Prints for each signal what there is of it and who uses it."""
    if arguments[:1] == ["diff"]:
        from runner.signals.diff import diff

        return diff(arguments[1:])
    parser = argparse.ArgumentParser(prog="python run.py signals", description=__doc__)
    parser.add_argument("signal", nargs="*", help="only these")
    chosen = parser.parse_args(arguments).signal
    from runner.signals.contract import read_contracts
    from runner.signals.ingest import known

    contracts = read_contracts(project.root())
    if not contracts:
        print("none yet: python run.py new signal NAME --from FILE drafts a contract")
        return 0
    wanted = {name: known(contracts, name) for name in chosen} or contracts
    used, problems = who_uses(contracts)
    show({name: _facts(contract, used[name]) for name, contract in wanted.items()})
    for problem in problems:
        print(problem)
    return 0


def who_uses(contracts: Mapping[str, "Contract"]) -> tuple[dict[str, Uses], list[str]]:
    """Uses by signal, and what could not be read: an experiment that does not compose."""
    from runner.composition import choices, compose
    from runner.dataset import expressions
    from runner.dataset.plan import make_plan

    used = {name: Uses() for name in contracts}
    problems = []
    for experiment in (None, *choices("experiment")):
        name = experiment or "default"
        try:
            config = compose(*([f"experiment={experiment}"] if experiment else []))
            if config.dataset is None:
                continue
            plan = make_plan(config)
        except UserError as error:
            problems.append(f"{name}: {error}")
            continue
        for signal, fields in plan.needs.items():
            used[signal].experiments.add(name)
            used[signal].fields |= fields
        for feature, expression in plan.features.items():
            for signal in expressions.needs(expression):
                used[signal].features.setdefault(feature, set()).add(name)
    return used, problems


def _facts(contract: "Contract", uses: Uses) -> dict[str, str]:
    from runner.signals.snapshot import look

    try:
        state, snapshot = look(contract)
        there = state.value
    except UserError:
        there, snapshot = "changed by hand", None
    unused = [name for name in contract.names if name not in uses.fields]
    return {
        "version": contract.version,
        "rows": f"{snapshot.rows:,}" if snapshot else "-",
        "last event": _age(snapshot, contract.time_zone),
        "here": there,
        "owner": f"{contract.owner} ({contract.contact})",
        "features": ", ".join(_feature(name, uses) for name in sorted(uses.features)) or "none",
        "experiments": ", ".join(sorted(uses.experiments)) or "none",
        "never used": ", ".join(unused) or "none",
    }


def _feature(name: str, uses: Uses) -> str:
    """A feature's name, and its experiments where they are not all that read the signal."""
    experiments = uses.features[name]
    return name if experiments == uses.experiments else f"{name} ({', '.join(sorted(experiments))})"


def _age(snapshot: "Snapshot | None", time_zone: str) -> str:
    """The day of the newest event where it happened, and how long ago it was."""
    if snapshot is None or snapshot.last_event is None:
        return "-"
    days = (datetime.now(UTC) - snapshot.last_event).days
    day = snapshot.last_event.astimezone(ZoneInfo(time_zone))
    return f"{day:%Y-%m-%d} ({days:,} days ago)"
