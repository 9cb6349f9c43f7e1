"""List what is held, and release or reject it."""

import argparse
from collections.abc import Sequence

from ml_experiment_runner.holds.holds import (
    OPEN,
    REJECTED,
    RELEASED,
    Hold,
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
    parser = argparse.ArgumentParser(prog="python run.py holds", description=_about())
    parser.add_argument("--all", action="store_true", help="also those that are decided")
    commands = parser.add_subparsers(dest="command", metavar="release | reject")
    for name, does in (("release", "accept the delivery"), ("reject", "discard it")):
        command = commands.add_parser(name, help=does, description=does)
        command.add_argument("id", help="as `python run.py holds` lists it")
        command.add_argument("--by", required=True, metavar="NAME", help="who decides")
        command.add_argument("--why", required=True, metavar="TEXT", help="the reason, for git")
    asked = parser.parse_args(arguments)
    root = repository.root()
    if asked.command is None:
        _list(read_holds(root), asked.all)
        return 0
    status = RELEASED if asked.command == "release" else REJECTED
    with data_lock(root):  # or a delivery that arrives now would open the hold again
        hold = half_decision(root, asked.id, status)
        is_new = hold is None
        hold = hold or decide(root, asked.id, status, asked.by, asked.why)
        try:
            files = _follow(hold)
        except BaseException:  # it can be decided again when what stood in the way is gone
            if is_new:
                reopen(root, hold)
            raise
    print(f"{hold.id} is {hold.status}")
    print(f"keep the decision: git add {' '.join([file_name(hold.id), *files])} && git commit")
    return 0


def _follow(hold: Hold) -> list[str]:
    """Does what follows from a decision; gives the files that changed, relative to the project."""
    if hold.kind == "threshold":
        from ml_experiment_runner.training.thresholds import active

        return active.decided(hold)
    from ml_experiment_runner.signals.ingestion import ingestion

    return ingestion.decided(hold)


def _about() -> str:
    return (__doc__ or "").partition("\n")[0]


def _list(found: Sequence[Hold], everything: bool) -> None:
    shown = [hold for hold in found if everything or hold.status == OPEN]
    if not shown:
        more = " (--all shows what was decided)" if found else ""
        print(f"nothing is held{more}")
        return
    show({hold.id: _facts(hold) for hold in shown})


def _facts(hold: Hold) -> dict[str, str]:
    facts = {"status": hold.status, "since": hold.opened, "version": hold.version}
    for number, violation in enumerate(hold.violations):
        facts["why" if number == 0 else f"why {number + 1}"] = line_of(violation)
    facts["owner"] = hold.owner
    if hold.replaces:
        facts["in place of"] = hold.replaces
    if hold.status == OPEN:
        accept, discard = ("go on so", "ask again") if hold.kind == "threshold" else (
            "accept it", "discard it")  # fmt: skip
        if hold.releasable:
            facts[accept] = command_for("release", hold)
        facts[discard] = command_for("reject", hold)
    elif hold.by:
        facts["decided"] = f"{hold.when} by {hold.by}: {hold.why}"
    else:
        facts["decided"] = f"{hold.when} by a later delivery"
    return facts
