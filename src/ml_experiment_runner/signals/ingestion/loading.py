"""The snapshots that a run needs: those that are here, or pulled, or received."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from ml_experiment_runner.holds import holds
from ml_experiment_runner.holds.holds import Hold
from ml_experiment_runner.project import repository
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.lock import data_lock
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.signals.contract.contract import Contract, known
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.ingestion.ingestion import (
    check_status,
    combined_error,
    finish_decisions,
    ingest_signals,
    pull_last_good,
    with_inputs,
)
from ml_experiment_runner.signals.snapshots import snapshot as snapshots
from ml_experiment_runner.signals.snapshots import versions
from ml_experiment_runner.signals.snapshots.snapshot import Snapshot, State
from ml_experiment_runner.signals.snapshots.writer import pull, restore

log = logging.getLogger(__name__)


class DeliveryHeldError(UserError):
    """A delivery that a run needs was held when it arrived."""


def load_snapshots(
    names: Iterable[str],
    run: Run | None = None,
    pins: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> dict[str, Snapshot]:
    """The snapshots of these signals; what is not here is pulled, or received from its source.

    Args:
        names: The signals.
        run: Where stages are recorded.
        pins: Versions to read instead of the current ones, by signal.
        now: When what is received arrives; None for now.

    Raises:
        DeliveryHeldError: A signal was received and what came is held.
        UserError: A signal has no contract, cannot be received, or is not what was recorded.
    """
    contracts = read_contracts(repository.root())
    pins = pins or {}
    wanted = [known(contracts, name) for name in names]
    check_status(wanted)
    if contracts.broken:
        log.warning("not usable, and not used here: %s (python run.py signals %s)",
                    ", ".join(contracts.broken), " ".join(contracts.broken))  # fmt: skip
    free = [contract for contract in wanted if contract.name not in pins]
    if not _are_here(free):
        with data_lock(repository.root()):
            _fetch(with_inputs(contracts, free), run, now or datetime.now(UTC))
    found = {contract.name: snapshots.current(contract) for contract in free}
    for contract in wanted:
        if contract.name in pins:
            found[contract.name] = _pinned(contract, pins[contract.name])
    return {each.name: here for each in wanted if (here := found[each.name]) is not None}


def record(
    run: Run, contract: Contract, snapshot: Snapshot, context: str, fields: Iterable[str]
) -> None:
    """Records a snapshot that a run received or read, and which of its fields."""
    run.log_dataset(
        contract.name,
        snapshot.version,
        snapshot.md5,
        contract.source,
        snapshot.rows,
        context,
        {name: contract.field(name).type for name in fields},
    )


def _are_here(wanted: Sequence[Contract]) -> bool:
    try:
        if holds.half_decided(repository.root(), [contract.name for contract in wanted]):
            return False
        return all(snapshots.current(contract) is not None for contract in wanted)
    except UserError:
        # perhaps another run is putting files in place; under the lock we shall see
        return False


def _is_here(contract: Contract, snapshot: Snapshot) -> bool:
    try:
        return snapshots.is_here(contract, snapshot)
    except UserError:
        return False  # as above


def _pinned(contract: Contract, version: str) -> Snapshot:
    """The snapshot of a version, with its files."""
    snapshot = versions.pinned(contract, version)[1]
    if not _is_here(contract, snapshot):
        with data_lock(repository.root()):
            restore([contract])
            pull([(contract, snapshot)])
            if not snapshots.is_here(contract, snapshot):
                raise contract.mistake(
                    f"version {version} is neither in DVC's cache nor in its remote",
                    "Whoever has it can share it: python -m dvc push "
                    + snapshot.file.relative_to(contract.root).as_posix(),
                )
    return snapshot


def _fetch(wanted: Sequence[Contract], run: Run | None, now: datetime) -> None:
    """Under the lock: pulls what is recorded and receives the rest."""
    restore(wanted)
    states = {contract.name: snapshots.state_of(contract)[0] for contract in wanted}
    pull_last_good([each for each in wanted if states[each.name] is State.MISSING])
    finish_decisions(wanted)
    missing = [contract for contract in wanted if snapshots.current(contract) is None]
    if not missing:
        return
    reasons = sorted({states[each.name].value for each in missing})
    log.info("receiving %s (%s)", ", ".join(each.name for each in missing), "; ".join(reasons))
    pull_last_good([each for each in missing if states[each.name] is State.OUTGROWN])
    outcomes = ingest_signals(missing, run, now, as_recorded=True)
    if failed := [each for each in outcomes.values() if isinstance(each, Exception)]:
        raise combined_error(failed)
    stopped = [each for each in outcomes.values() if isinstance(each, Hold)]
    if held := [each.id for each in stopped if each.status == holds.OPEN]:
        raise DeliveryHeldError(
            f"what was received is held ({', '.join(held)}); see `python run.py holds`"
        )
    for hold in stopped:
        raise _rejected(known({each.name: each for each in missing}, hold.subject), hold)


def _rejected(contract: Contract, hold: Hold) -> UserError:
    """The error for a signal of which nothing has come but what a person has rejected."""
    recorded = snapshots.recorded(contract)
    then = f"Ask {contract.owner} ({contract.contact}) for another delivery"
    if recorded is not None:
        then += f", or read what was there before: dataset.pin.{contract.name}={recorded.version}"
    return contract.mistake(
        f"what its source gives under version {contract.version} was rejected by {hold.by} "
        f"({hold.id})", then
    )  # fmt: skip
