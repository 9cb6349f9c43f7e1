"""The task `ingest`: receives signals from their sources."""

import logging
from datetime import datetime

from omegaconf import DictConfig

from runner import holds, project
from runner.config import read_moment
from runner.errors import UserError
from runner.holds import Hold
from runner.lock import data_lock
from runner.record.run import Run
from runner.signals import rules
from runner.signals import snapshot as snapshots
from runner.signals.contract import Contract, known
from runner.signals.contract_file import read_contracts
from runner.signals.publish import Publication, restore
from runner.signals.receive import (
    bring_past,
    check_status,
    finish_decisions,
    receive,
    together,
    with_inputs,
)
from runner.signals.received import record

log = logging.getLogger(__name__)


def ingest(config: DictConfig, run: Run) -> dict[str, float]:
    """Receives signals from their sources; new data adds partitions and changes none.

    Returns:
        Rows, new partitions, and whether it is held, for each signal.

    Raises:
        UserError: A source is not there, DVC cannot track it, or a contract cannot be used; the
            other signals have come in.
    """
    wanted = chosen(config)
    check_status(wanted)
    moment = read_moment(config)
    with data_lock(project.root()):
        restore(wanted)
        bring_past(wanted)
        finish_decisions(wanted)
        outcomes = receive(wanted, run, moment)
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
        _say_late(contract, run, moment)
    failed = [each for each in outcomes.values() if isinstance(each, Exception)]
    if not config.signals:
        failed += read_contracts(project.root()).broken.values()
    if failed:
        run.log_metrics(metrics)
        raise together(failed)
    return metrics


def chosen(config: DictConfig) -> list[Contract]:
    """The contracts of the signals that `task=ingest` is to receive.

    Raises:
        UserError: There is none, or none of a name that is asked for.
    """
    contracts = read_contracts(project.root())
    if not contracts and not contracts.broken:
        raise UserError(
            "signals/ holds no contract yet, so there is nothing to receive.\n"
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
            f"all signals are retired ({', '.join(contracts)}), so there is nothing to receive.\n"
            "Write the contract of another: python run.py new signal NAME --from PATH"
        )
    return wanted


def _say_late(contract: Contract, run: Run, now: datetime) -> None:
    recorded = snapshots.recorded(contract)
    late = rules.lateness(contract, recorded.last_event if recorded else None, now)
    if late is not None:
        run.log_tag(f"late/{contract.name}", late.message)
        log.warning("%s is late: %s; its owner is %s (%s)", contract.name, late.message,
                    contract.owner, contract.contact)  # fmt: skip
