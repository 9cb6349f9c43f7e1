"""Ingestion: fetches signals side by side and publishes or holds each as it is ready."""

import contextlib
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from ml_experiment_runner.holds import holds
from ml_experiment_runner.holds.holds import Hold
from ml_experiment_runner.project import repository
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.signals import sources
from ml_experiment_runner.signals.contract.contract import Contract, known
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.ingestion import hold_report
from ml_experiment_runner.signals.ingestion.fetch_result import FetchResult, fetch_all, past_of
from ml_experiment_runner.signals.snapshots import profile_file, quarantine
from ml_experiment_runner.signals.snapshots import snapshot as snapshots
from ml_experiment_runner.signals.snapshots.writer import (
    Delivery,
    Publication,
    publish,
    pull,
    restore,
)

log = logging.getLogger(__name__)

Outcome = Publication | Hold | Exception
"""What became of a signal; of a rejected delivery, its hold."""


def ingest_signals(
    contracts: Sequence[Contract], run: Run | None, now: datetime, *, as_recorded: bool = False
) -> dict[str, Outcome]:
    """Under the lock: fetches signals side by side; publishes or holds each as it is ready.

    Args:
        contracts: The signals.
        run: Where stages are recorded.
        now: The time of the ingestion.
        as_recorded: A recorded signal whose files are missing must come exactly as recorded.
    """
    outcomes: dict[str, Outcome] = {}
    waiting: list[FetchResult] = []
    results = itertools.chain.from_iterable(
        fetch_all(turn, now, as_recorded=as_recorded) for turn in _turns(contracts)
    )
    steps = run.progress(results, "receiving signals", len(contracts)) if run else results
    with run.stage("receive") if run else contextlib.nullcontext():
        for result, is_more_ready in steps:
            _log_delivery(result)
            waiting.append(result)
            if not is_more_ready:  # one `dvc add` for all that came while the last one worked
                outcomes |= _settle(waiting, run)
                waiting = []
    _log_outcomes(outcomes)
    return outcomes


def check_status(chosen: Iterable[Contract]) -> None:
    """Warns of signals that are drafts or deprecated.

    Raises:
        UserError: A signal is retired.
    """
    for contract in chosen:
        if contract.status == "retired":
            raise contract.mistake(
                "its status is retired: nobody delivers it any more",
                f"Ask {contract.owner_and_contact} what replaces it",
            )
        if contract.status == "draft":
            lacking = (
                f"fill in {', '.join(contract.unfilled)}" if contract.unfilled else "read it over"
            )
            log.warning("signal %s is a draft: %s and set `status: active` in signals/%s",
                        contract.name, lacking, contract.path.name)  # fmt: skip
        elif contract.unfilled:
            log.warning("signal %s: nobody is named under %s in signals/%s", contract.name,
                        " and ".join(contract.unfilled), contract.path.name)  # fmt: skip
        if contract.status == "deprecated":
            log.warning("signal %s is deprecated: ask %s what replaces it",
                        contract.name, contract.owner_and_contact)  # fmt: skip


def with_inputs(contracts: Mapping[str, Contract], wanted: Sequence[Contract]) -> list[Contract]:
    """Signals, and the inputs of the models whose output they are."""
    needed = {contract.name: contract for contract in wanted}
    todo = list(wanted)
    while todo:
        for name in sources.inputs(todo.pop()):
            if name not in needed:
                needed[name] = known(contracts, name)
                todo.append(needed[name])
    return list(needed.values())


def pull_last_good(wanted: Sequence[Contract]) -> None:
    """Under the lock: gets last good snapshots that are not here, to compare deliveries with."""
    recorded = [(contract, snapshots.recorded(contract)) for contract in wanted]
    pull([(contract, snapshot) for contract, snapshot in recorded if snapshot is not None])


def decided(hold: Hold) -> list[str]:
    """Under the lock: carries out a decision: publishes a released delivery, drops a rejected one.

    Returns:
        The files that git has to keep beside the hold.
    """
    root = repository.root()
    if hold.status == holds.REJECTED:
        quarantine.drop(root, hold.id)
        return []
    contract = read_contracts(root).get(hold.subject)
    if contract is None:
        print(f"nothing to publish: signals/{hold.subject}.yaml does not exist")
        quarantine.drop(root, hold.id)
        return []
    restore([contract])
    released = _release(contract, hold)
    if released is None:
        print("its rows are not on this machine; to accept them when they come again: "
              f"python run.py task=ingest 'signals=[{hold.subject}]'")  # fmt: skip
        return []
    rows, files = released
    print(f"{contract.name} has {rows:,} rows now")
    return files


def finish_decisions(contracts: Sequence[Contract]) -> None:
    """Under the lock: carries out decisions that were interrupted, or that came with git."""
    root = repository.root()
    by_name = {contract.name: contract for contract in contracts}
    for hold in holds.half_decided(root, by_name):
        if hold.status != holds.RELEASED:
            quarantine.drop(root, hold.id)
        elif released := _release(by_name[hold.subject], hold):
            rows, files = released
            log.info("published the released delivery of %s: %s has %s rows now",
                     hold.id, hold.subject, f"{rows:,}")  # fmt: skip
            if files := _unsaved([holds.file_name(hold.id), *files]):
                log.info("keep this in git: git add %s && git commit", " ".join(files))


def _release(contract: Contract, hold: Hold) -> tuple[int, list[str]] | None:
    """Publishes a released delivery, unless that is done already.

    Returns:
        The snapshot's rows and the files that git has to keep; None if the held rows are not here.
    """
    recorded = snapshots.recorded(contract)
    if recorded is not None and recorded.content == hold.delivery[-1]:
        # whoever published it was killed afterwards
        profile = profile_file.write(contract, recorded)
        files = [path.relative_to(contract.root).as_posix() for path in (recorded.file, profile)]
        quarantine.drop(contract.root, hold.id)
        return recorded.rows, files
    delivery = quarantine.read(contract, hold)
    if delivery is None:
        return None
    published = publish([delivery], None)[contract.name]
    if isinstance(published, Exception):
        raise published
    quarantine.drop(contract.root, hold.id)
    return published.snapshot.rows, list(published.files)


def combined_error(failed: Sequence[Exception]) -> Exception:
    """One error for all; a bug goes first, as it needs its traceback."""
    bugs = [error for error in failed if not isinstance(error, UserError)]
    if bugs or len(failed) == 1:
        return (bugs or failed)[0]
    return UserError("\n".join(map(str, failed)))


def _turns(contracts: Sequence[Contract]) -> Iterator[list[Contract]]:
    """Signals that can be fetched side by side; a model's output comes after its input."""
    left = list(contracts)
    while left:
        names = {contract.name for contract in left}
        turn = [contract for contract in left if names.isdisjoint(sources.inputs(contract))] or left
        yield turn
        left = [contract for contract in left if contract not in turn]


def _settle(results: Sequence[FetchResult], run: Run | None) -> dict[str, Outcome]:
    """Publishes the good deliveries and holds the others."""
    outcomes: dict[str, Outcome] = {}
    good: list[Delivery] = []
    for result in results:
        if result.error is not None:
            outcomes[result.contract.name] = result.error
        elif rejection := _rejection(result):
            outcomes[result.contract.name] = rejection
        elif result.violations:
            outcomes[result.contract.name] = _held(result)
        elif result.delivery is not None:
            good.append(result.delivery)
    return outcomes | _publish(good, run)


def _rejection(result: FetchResult) -> Hold | None:
    """The hold in which a person has rejected exactly this delivery; its later holds are closed."""
    contract, recorded = result.contract, result.recorded
    last_good = recorded.content if recorded else "none"
    decision = holds.decision(contract.root, contract.name, result.content, last_good)
    if decision is None or decision.status != holds.REJECTED:
        return None
    holds.close(contract.root, contract.name)  # of deliveries that came in between and are gone
    return decision


def _held(result: FetchResult) -> Hold | Exception:
    """The hold of a delivery, or what went wrong, which costs the other signals nothing."""
    try:
        return _hold(result)
    except Exception as error:
        return error


def _publish(good: Sequence[Delivery], run: Run | None) -> dict[str, Outcome]:
    """Publishes deliveries; earlier holds of their signals are superseded."""
    outcomes: dict[str, Outcome] = {}
    for name, published in publish(good, run).items():
        outcomes[name] = published
        if isinstance(published, Publication):
            root = repository.root()
            closed = holds.close(root, name)
            for hold in holds.read_holds(root):
                if hold.subject == name:
                    quarantine.drop(root, hold.id)
            files = (*published.files, *(holds.file_name(hold.id) for hold in closed))
            outcomes[name] = replace(published, files=files)
    return outcomes


def _hold(result: FetchResult) -> Hold:
    """Quarantines a delivery and opens its hold; the last good snapshot stays as it is."""
    contract, recorded = result.contract, result.recorded
    hold = holds.open_hold(
        contract.root,
        Hold(
            id="",
            subject=contract.name,
            version=contract.version,
            last_good=recorded.content if recorded else "none",
            owner=contract.owner_and_contact,
            opened=datetime.now(UTC).isoformat(timespec="seconds"),
            partition=min(violation.partition for violation in result.violations),
            violations=result.violations,
            delivery=(result.content,),
            releasable=result.delivery is not None,
        ),
    )
    for former in holds.half_decided(contract.root, [contract.name]):
        if former.status == holds.SUPERSEDED:
            quarantine.drop(contract.root, former.id)
    past: Mapping[str, pl.LazyFrame] = {}
    changed: Mapping[str, pl.DataFrame] = {}
    if result.delivery is not None:
        quarantine.keep(hold, result.delivery)
        if recorded is not None:
            past = past_of(result.delivery, recorded)
            changed = result.delivery.changed(recorded)
    hold_report.write_report(contract, hold, past, changed)
    return hold


def _log_delivery(result: FetchResult) -> None:
    if result.delivery is not None:
        contract = result.contract
        since = f" since {result.since:%Y-%m-%d}" if result.since else ""
        rows = f"{result.delivery.fetched_rows:,} rows{since}"
        log.info("received %s: %s from %s", contract.name, rows, contract.source)


def _log_outcomes(outcomes: Mapping[str, Outcome]) -> None:
    """Logs what became of each signal, and the files that belong into git now."""
    width = max(map(len, outcomes))
    log.info("%-*s  %9s  %5s  %9s  %7s", width, "", "rows", "new", "unchanged", "removed")
    files: list[str] = []
    for name, outcome in outcomes.items():
        if isinstance(outcome, Publication):
            log.info("%-*s  %9s  %5d  %9d  %7d", width, name, f"{outcome.snapshot.rows:,}",
                     len(outcome.written), outcome.unchanged, len(outcome.removed))  # fmt: skip
            files += outcome.files
        elif isinstance(outcome, Hold):
            status = "held" if outcome.status == holds.OPEN else outcome.status
            log.info("%-*s  %s (%s)", width, name, status, outcome.id)
            all_holds = holds.read_holds(repository.root())
            files += [holds.file_name(hold.id) for hold in all_holds if hold.subject == name]
        else:
            log.info("%-*s  failed", width, name)
    for outcome in outcomes.values():
        if isinstance(outcome, Hold) and outcome.status == holds.OPEN:
            log.warning("%s", holds.describe(outcome))
            log.warning("  look at it:  %s", hold_report.path(Path(), outcome).as_posix())
    if files := _unsaved(files):
        log.info("keep this in git: git add %s && git commit", " ".join(files))


def _unsaved(files: Sequence[str]) -> list[str]:
    """The files that differ from what git has; all of them where there is no git."""
    status = repository.git(
        repository.root(), "status", "--porcelain", "--untracked-files=all", *files
    )
    return [file for file in files if status is None or file in status]
