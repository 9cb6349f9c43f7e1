"""Snapshot loading: those that a run needs are read, pulled with DVC, or ingested."""

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
    """A delivery that a run needs is held."""


def load_snapshots(
    names: Iterable[str],
    run: Run | None = None,
    pins: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> dict[str, Snapshot]:
    """The snapshots of these signals; what is not here is pulled, or fetched from its source.

    Args:
        names: The signals.
        run: Where stages are recorded.
        pins: Versions to read instead of the current ones, by signal.
        now: The time of an ingestion; None for now.

    Raises:
        DeliveryHeldError: A signal was fetched and its delivery is held.
        UserError: A signal has no contract, cannot be fetched, or differs from its record.
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
    loaded = {contract.name: snapshots.current(contract) for contract in free}
    for contract in wanted:
        if contract.name in pins:
            loaded[contract.name] = _pinned(contract, pins[contract.name])
    return {
        contract.name: snapshot
        for contract in wanted
        if (snapshot := loaded[contract.name]) is not None
    }


def record(
    run: Run, contract: Contract, snapshot: Snapshot, context: str, fields: Iterable[str]
) -> None:
    """Records a snapshot that a run ingested or read, and which of its fields."""
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
        # perhaps another run is putting files in place; it is looked at again under the lock
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
    """Under the lock: pulls recorded snapshots and ingests the others."""
    restore(wanted)
    states = {contract.name: snapshots.state_of(contract)[0] for contract in wanted}
    pull_last_good([contract for contract in wanted if states[contract.name] is State.MISSING])
    finish_decisions(wanted)
    missing = [contract for contract in wanted if snapshots.current(contract) is None]
    if not missing:
        return
    reasons = sorted({states[contract.name].value for contract in missing})
    log.info(
        "receiving %s (%s)", ", ".join(contract.name for contract in missing), "; ".join(reasons)
    )
    pull_last_good([contract for contract in missing if states[contract.name] is State.OUTGROWN])
    outcomes = ingest_signals(missing, run, now, as_recorded=True).values()
    if failed := [outcome for outcome in outcomes if isinstance(outcome, Exception)]:
        raise combined_error(failed)
    stopped = [outcome for outcome in outcomes if isinstance(outcome, Hold)]
    if held := [hold.id for hold in stopped if hold.status == holds.OPEN]:
        raise DeliveryHeldError(
            f"the delivery is held ({', '.join(held)}); see `python run.py holds`"
        )
    by_name = {contract.name: contract for contract in missing}
    for hold in stopped:
        raise _rejected(by_name[hold.subject], hold)


def _rejected(contract: Contract, hold: Hold) -> UserError:
    """The error for a signal whose source gives only what a person has rejected."""
    recorded = snapshots.recorded(contract)
    then = f"Ask {contract.owner_and_contact} for another delivery"
    if recorded is not None:
        then += f", or read the last good snapshot: dataset.pin.{contract.name}={recorded.version}"
    return contract.mistake(
        f"{hold.by} has rejected the delivery of version {contract.version} ({hold.id})", then
    )  # fmt: skip
