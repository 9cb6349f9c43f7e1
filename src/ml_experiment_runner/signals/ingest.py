"""The task `ingest`: fetches signals from their sources and publishes or holds them."""

import logging
from datetime import datetime

from omegaconf import DictConfig

from ml_experiment_runner.config.run_time import read_run_time
from ml_experiment_runner.holds import holds
from ml_experiment_runner.holds.holds import Hold
from ml_experiment_runner.project import repository
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.lock import data_lock
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.signals.checks import quality
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
from ml_experiment_runner.signals.ingestion.loading import record
from ml_experiment_runner.signals.snapshots import snapshot as snapshots
from ml_experiment_runner.signals.snapshots.writer import Publication, restore

log = logging.getLogger(__name__)


def ingest(config: DictConfig, run: Run) -> dict[str, float]:
    """Ingests signals; new rows add partitions and change none.

    Returns:
        Rows, new partitions, and whether it is held, for each signal.

    Raises:
        UserError: A source is missing, DVC cannot track it, or a contract cannot be used; the
            other signals are ingested.
    """
    wanted = chosen(config)
    check_status(wanted)
    moment = read_run_time(config)
    with data_lock(repository.root()):
        restore(wanted)
        pull_last_good(wanted)
        finish_decisions(wanted)
        outcomes = ingest_signals(wanted, run, moment)
    metrics: dict[str, float] = {}
    for contract in wanted:
        outcome = outcomes[contract.name]
        is_open = isinstance(outcome, Hold) and outcome.status == holds.OPEN
        metrics[f"held/{contract.name}"] = float(is_open)
        if isinstance(outcome, Publication):
            record(run, contract, outcome.snapshot, "ingest", contract.names)
            metrics[f"rows/{contract.name}"] = float(outcome.snapshot.rows)
            metrics[f"new_partitions/{contract.name}"] = float(len(outcome.written))
        elif isinstance(outcome, Hold):
            run.log_tag(f"held/{contract.name}", f"{outcome.id} {outcome.status}")
        _log_lateness(contract, run, moment)
    failed = [outcome for outcome in outcomes.values() if isinstance(outcome, Exception)]
    if not config.signals:
        failed += read_contracts(repository.root()).broken.values()
    if failed:
        run.log_metrics(metrics)
        raise combined_error(failed)
    return metrics


def chosen(config: DictConfig) -> list[Contract]:
    """The contracts of the signals that `task=ingest` is to ingest.

    Raises:
        UserError: There is none, or a name is unknown.
    """
    contracts = read_contracts(repository.root())
    if not contracts and not contracts.broken:
        raise UserError(
            "nothing to ingest: signals/ holds no contract yet.\n"
            "Write the first one: python run.py new signal NAME --from PATH"
        )
    if config.signals:
        contracts.check(config.signals)
        return with_inputs(
            contracts, [known(contracts, name, "signals") for name in config.signals]
        )
    wanted = [contract for contract in contracts.values() if contract.status != "retired"]
    if not wanted:
        contracts.check(contracts.broken)
        raise UserError(
            f"nothing to ingest: all signals are retired ({', '.join(contracts)}).\n"
            "Write the contract of another: python run.py new signal NAME --from PATH"
        )
    return wanted


def _log_lateness(contract: Contract, run: Run, now: datetime) -> None:
    recorded = snapshots.recorded(contract)
    late = quality.lateness(contract, recorded.last_event if recorded else None, now)
    if late is not None:
        run.log_tag(f"late/{contract.name}", late.message)
        log.warning("%s is late: %s; its owner is %s", contract.name, late.message,
                    contract.owner_and_contact)  # fmt: skip
