"""List holds, and release or reject them."""

import argparse
from collections.abc import Sequence

from ml_experiment_runner.holds.holds import (
    OPEN,
    REJECTED,
    RELEASED,
    Hold,
    can_be_once,
    command_for,
    decide,
    file_name,
    half_decision,
    line_of,
    read_holds,
    reopen,
)
from ml_experiment_runner.project import repository
from ml_experiment_runner.project.lock import data_lock
from ml_experiment_runner.project.text import show


def holds(arguments: list[str]) -> int:
    """Lists the holds, or decides one."""
    parser = argparse.ArgumentParser(prog="python run.py holds", description=__doc__)
    parser.add_argument("--all", action="store_true", help="also those that are decided")
    commands = parser.add_subparsers(dest="command", metavar="release | reject")
    for name, effect in (("release", "accept what is held"), ("reject", "discard it")):
        command = commands.add_parser(name, help=effect, description=effect)
        command.add_argument("id", help="as `python run.py holds` lists it")
        command.add_argument("--by", required=True, metavar="NAME", help="who decides")
        command.add_argument("--why", required=True, metavar="TEXT", help="the reason, for git")
        if name == "release":
            command.add_argument("--once", action="store_true",
                                 help="later deliveries are compared with what was before, as if "
                                 "these rows had not come (default: what is accepted is the norm "
                                 "from now on)")  # fmt: skip
    options = parser.parse_args(arguments)
    if options.command is None:
        _list(read_holds(repository.root()), options.all)
        return 0
    status = RELEASED if options.command == "release" else REJECTED
    once = status == RELEASED and options.once
    hold, files = _decide(options.id, status, options.by, options.why, once)
    print(f"{hold.id} is {_decision(hold)}")
    print(f"commit the decision: git add {' '.join([file_name(hold.id), *files])} && git commit")
    return 0


def _decide(hold_id: str, status: str, by: str, why: str, once: bool) -> tuple[Hold, list[str]]:
    """Decides a hold; returns it with the other files that changed."""
    root = repository.root()
    with data_lock(root):  # a delivery that arrives now would open the hold again
        hold = half_decision(root, hold_id, status)
        is_new = hold is None
        hold = hold or decide(root, hold_id, status, by, why, once=once)
        try:
            return hold, _apply(hold)
        except BaseException:  # open again, so that the decision can be repeated
            if is_new:
                reopen(root, hold)
            raise


def _decision(hold: Hold) -> str:
    return f"{hold.status}, only this once" if hold.once else hold.status


def _apply(hold: Hold) -> list[str]:
    """Applies a decision; returns the files that changed, relative to the project."""
    if hold.kind == "threshold":
        from ml_experiment_runner.training.thresholds import active

        return active.decided(hold)
    from ml_experiment_runner.signals.ingestion import ingestion

    return ingestion.decided(hold)


def _list(all_holds: Sequence[Hold], show_decided: bool) -> None:
    holds = [hold for hold in all_holds if show_decided or hold.status == OPEN]
    if not holds:
        hint = " (--all lists decided holds)" if all_holds else ""
        print(f"nothing is held{hint}")
        return
    show({hold.id: _facts(hold) for hold in holds})


def _facts(hold: Hold) -> dict[str, str]:
    facts = {"status": _decision(hold), "since": hold.opened, "version": hold.version}
    for number, violation in enumerate(hold.violations):
        facts["why" if number == 0 else f"why {number + 1}"] = line_of(violation)
    facts["owner"] = hold.owner
    if hold.replaces:
        facts["replaces"] = hold.replaces
    if hold.status == OPEN:
        if hold.releasable:
            facts["accept it"] = command_for("release", hold)
        if hold.releasable and can_be_once(hold):
            facts["only once"] = command_for("release", hold, once=True)
        reject = "ask again" if hold.kind == "threshold" else "discard it"
        facts[reject] = command_for("reject", hold)
    elif hold.by:
        facts["decided"] = f"{hold.when} by {hold.by}: {hold.why}"
    else:
        facts["decided"] = f"{hold.when} by a later delivery"
    return facts
