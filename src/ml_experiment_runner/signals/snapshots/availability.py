"""What a run reads of a signal: the current version, a pinned one, or what is left in trouble.

A signal is *held* while its newest delivery waits for a person, and *late* when new rows are
overdue. What follows from either stands in its contract.
"""

from dataclasses import dataclass
from datetime import datetime

from ml_experiment_runner.holds import holds
from ml_experiment_runner.project.text import time_span
from ml_experiment_runner.signals.checks import quality
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.snapshots import snapshot as snapshots
from ml_experiment_runner.signals.snapshots import versions
from ml_experiment_runner.signals.snapshots.snapshot import Snapshot


@dataclass(frozen=True)
class Availability:
    """What a run reads of a signal.

    Attributes:
        contract: Of the version that is read.
        pin: That version, unless it is the current one.
        trouble: `held` or `late`; None where all is well.
        notice: What that is and what follows, in a line.
        left_out: The run does without the signal.
    """

    contract: Contract
    pin: str | None = None
    trouble: str | None = None
    notice: str = ""
    left_out: bool = False


def availability(contract: Contract, pin: str | None, now: datetime) -> Availability:
    """The availability of a signal for a run at this time.

    Args:
        contract: The signal's contract of today.
        pin: The version that is asked for; it is neither held nor late.
        now: When the run takes place.

    Raises:
        UserError: The version is unknown, or the contract has a run stop now.
    """
    if pin is not None:
        return Availability(versions.pinned(contract, pin)[0], pin)
    recorded = snapshots.recorded(contract)
    trouble_found = _trouble(contract, recorded, now)
    if trouble_found is None:
        return Availability(contract)
    trouble, what = trouble_found
    if contract.when_held == "without":
        notice = f"{contract.name} is {what}; the run goes on without it"
        return Availability(contract, None, trouble, notice, left_out=True)
    if recorded is None:
        raise contract.mistake(f"it is {what}, and it has no last good snapshot", _look)
    if contract.when_held == "stop":
        raise contract.mistake(f"it is {what}, and its contract says `whenHeld: stop`", _look)
    age = now - recorded.last_event if recorded.last_event else None
    if age is not None and contract.max_age is not None and age > contract.max_age:
        raise contract.mistake(
            f"it is {what}, and its last event is {time_span(age)} old; its contract says "
            f"`maxAge` {time_span(contract.max_age)}", _look
        )  # fmt: skip
    last = ""
    if recorded.last_event:
        last = f" of {contract.local(recorded.last_event):%Y-%m-%d}"
    notice = f"{contract.name} is {what}; the run goes on with the last good snapshot{last}"
    if (recorded.version, recorded.schema_hash) == (
        contract.version,
        snapshots.schema_hash(contract),
    ):
        return Availability(contract, None, trouble, notice)
    of_then = versions.pinned(contract, recorded.version)[0]
    return Availability(of_then, recorded.version, trouble, f"{notice}, version {recorded.version}")


_look = "See `python run.py holds` and `python run.py signals`"


def _trouble(
    contract: Contract, recorded: Snapshot | None, now: datetime
) -> tuple[str, str] | None:
    """Whether a signal is held or late, and that in words."""
    if hold := holds.find(contract.root, contract.name):
        return "held", f"held since {hold.opened[:10]} ({hold.id})"
    late = quality.lateness(contract, recorded.last_event, now) if recorded else None
    return ("late", f"late: {late.message}") if late else None
