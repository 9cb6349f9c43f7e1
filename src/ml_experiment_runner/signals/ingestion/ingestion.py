"""Receives signals side by side: each is published, or held, as it comes."""

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
"""What became of an arrival; a rejected delivery stays with its hold."""


def ingest_signals(
    contracts: Sequence[Contract], run: Run | None, now: datetime, *, as_recorded: bool = False
) -> dict[str, Outcome]:
    """Under the lock: receives signals side by side; publishes or holds each as it comes.

    Args:
        contracts: The signals.
        run: Where stages are recorded.
        now: When what comes arrives.
        as_recorded: What is recorded and not here must come as it was, or nothing is taken.
    """
    outcomes: dict[str, Outcome] = {}
    waiting: list[FetchResult] = []
    come = itertools.chain.from_iterable(
        fetch_all(each, now, as_recorded=as_recorded) for each in _turns(contracts)
    )
    steps = run.progress(come, "receiving signals", len(contracts)) if run else come
    with run.stage("receive") if run else contextlib.nullcontext():
        for result, more in steps:
            if result.delivery is not None:
                since = f" since {result.since:%Y-%m-%d}" if result.since else ""
                rows = f"{result.delivery.fetched_rows:,} rows{since}"
                contract = result.contract
                log.info("received %s: %s from %s", contract.name, rows, contract.source)
            waiting.append(result)
            if not more:  # one `dvc add` for all that came while the last one worked
                outcomes |= _settle(waiting, run)
                waiting = []
    _say(outcomes)
    return outcomes


def check_status(chosen: Iterable[Contract]) -> None:
    """Says which signals are drafts or about to go.

    Raises:
        UserError: A signal is retired.
    """
    for contract in chosen:
        if contract.status == "retired":
            raise contract.mistake(
                "it is retired: nobody delivers it any more",
                f"Take another, or ask {contract.owner} ({contract.contact}) what replaces it",
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
            log.warning("signal %s is deprecated: ask %s (%s) what replaces it",
                        contract.name, contract.owner, contract.contact)  # fmt: skip


def with_inputs(contracts: Mapping[str, Contract], wanted: Sequence[Contract]) -> list[Contract]:
    """Signals and those that models need to give them."""
    found = {contract.name: contract for contract in wanted}
    todo = list(wanted)
    while todo:
        for name in sources.inputs(todo.pop()):
            if name not in found:
                found[name] = known(contracts, name)
                todo.append(found[name])
    return list(found.values())


def pull_last_good(wanted: Sequence[Contract]) -> None:
    """Under the lock: gets last good snapshots that are not here, to compare with what comes."""
    found = [(contract, snapshots.recorded(contract)) for contract in wanted]
    pull([(contract, each) for contract, each in found if each is not None])


def decided(hold: Hold) -> list[str]:
    """Under the lock: what follows from a decision: a released delivery is published.

    Returns:
        What git has to keep beside the hold.
    """
    root = repository.root()
    if hold.status == holds.REJECTED:
        quarantine.drop(root, hold.id)
        return []
    contract = read_contracts(root).get(hold.subject)
    if contract is None:
        print(f"signals/{hold.subject}.yaml is gone, so that nothing is published")
        quarantine.drop(root, hold.id)
        return []
    restore([contract])
    released = _release(contract, hold)
    if released is None:
        print(f"its rows are not here: `python run.py task=ingest signals=[{hold.subject}]` "
              "accepts them when they come again")  # fmt: skip
        return []
    rows, files = released
    print(f"{contract.name} has {rows:,} rows now")
    return files


def finish_decisions(contracts: Sequence[Contract]) -> None:
    """Under the lock: does what still has to follow from decisions, as after a kill."""
    root = repository.root()
    by_name = {contract.name: contract for contract in contracts}
    for hold in holds.half_decided(root, by_name):
        if hold.status != holds.RELEASED:
            quarantine.drop(root, hold.id)
        elif released := _release(by_name[hold.subject], hold):
            rows, files = released
            log.info("published what was released as %s: %s has %s rows now",
                     hold.id, hold.subject, f"{rows:,}")  # fmt: skip
            if files := _unsaved([holds.file_name(hold.id), *files]):
                log.info("keep this in git: git add %s && git commit", " ".join(files))


def _release(contract: Contract, hold: Hold) -> tuple[int, list[str]] | None:
    """Publishes a released delivery, unless that is done; its rows and what git has to keep.

    None if what was held is not here.
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
    """One error for what went wrong; ours goes first, for it needs its traceback."""
    ours = [error for error in failed if not isinstance(error, UserError)]
    return ours[0] if ours else failed[0] if len(failed) == 1 \
        else UserError("\n".join(map(str, failed)))  # fmt: skip


def _turns(contracts: Sequence[Contract]) -> Iterator[list[Contract]]:
    """Signals that can be received side by side; a model's output comes after its input."""
    left = list(contracts)
    while left:
        names = {contract.name for contract in left}
        turn = [each for each in left if names.isdisjoint(sources.inputs(each))] or left
        yield turn
        left = [contract for contract in left if contract not in turn]


def _settle(come: Sequence[FetchResult], run: Run | None) -> dict[str, Outcome]:
    """Publishes what is good and holds what is not."""
    outcomes: dict[str, Outcome] = {}
    good: list[Delivery] = []
    held: list[FetchResult] = []
    for result in come:
        contract = result.contract
        last_good = result.recorded.content if result.recorded else "none"
        decision = holds.decision(contract.root, contract.name, result.content, last_good)
        if result.error is not None:
            outcomes[contract.name] = result.error
        elif decision is not None and decision.status == holds.REJECTED:
            outcomes[contract.name] = decision
            holds.close(contract.root, contract.name)  # of what came in between, and is gone again
        elif result.violations:
            held.append(result)
        elif result.delivery is not None:
            good.append(result.delivery)
    for result in held:
        try:
            outcomes[result.contract.name] = _hold(result)
        except Exception as error:  # it costs the other signals nothing
            outcomes[result.contract.name] = error
    return outcomes | _publish(good, run)


def _publish(good: Sequence[Delivery], run: Run | None) -> dict[str, Outcome]:
    """Publishes deliveries; what was held of their signals is superseded."""
    outcomes: dict[str, Outcome] = {}
    for name, each in publish(good, run).items():
        outcomes[name] = each
        if isinstance(each, Publication):
            root = repository.root()
            closed = holds.close(root, name)
            for hold in holds.read_holds(root):
                if hold.subject == name:
                    quarantine.drop(root, hold.id)
            files = (*each.files, *(holds.file_name(hold.id) for hold in closed))
            outcomes[name] = replace(each, files=files)
    return outcomes


def _hold(result: FetchResult) -> Hold:
    """Keeps a delivery aside; the last good snapshot stays as it is."""
    contract, recorded = result.contract, result.recorded
    hold = holds.open_hold(
        contract.root,
        Hold(
            id="",
            subject=contract.name,
            version=contract.version,
            last_good=recorded.content if recorded else "none",
            owner=f"{contract.owner} ({contract.contact})",
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
    came: Mapping[str, pl.DataFrame] = {}
    if result.delivery is not None:
        quarantine.keep(hold, result.delivery)
        if recorded is not None:
            past = past_of(result.delivery, recorded)
            came = result.delivery.changed(recorded)
    hold_report.write_report(contract, hold, past, came)
    return hold


def _say(outcomes: Mapping[str, Outcome]) -> None:
    """Says what became of each signal, and what belongs into git now."""
    width = max(map(len, outcomes))
    log.info("%-*s  %9s  %5s  %9s  %7s", width, "", "rows", "new", "unchanged", "removed")
    files: list[str] = []
    for name, each in outcomes.items():
        if isinstance(each, Publication):
            log.info("%-*s  %9s  %5d  %9d  %7d", width, name, f"{each.snapshot.rows:,}",
                     len(each.written), each.unchanged, len(each.removed))  # fmt: skip
            files += each.files
        elif isinstance(each, Hold):
            is_open = each.status == holds.OPEN
            log.info("%-*s  %s (%s)", width, name, "held" if is_open else each.status, each.id)
            all_of_them = holds.read_holds(repository.root())
            files += [holds.file_name(hold.id) for hold in all_of_them if hold.subject == name]
        else:
            log.info("%-*s  failed", width, name)
    for each in outcomes.values():
        if isinstance(each, Hold) and each.status == holds.OPEN:
            log.warning("%s", holds.describe(each))
            log.warning("  look at it:  %s", hold_report.path(Path(), each).as_posix())
    if files := _unsaved(files):
        log.info("keep this in git: git add %s && git commit", " ".join(files))


def _unsaved(files: Sequence[str]) -> list[str]:
    """Those that git does not have as they are; all where there is no git."""
    said = repository.git(
        repository.root(), "status", "--porcelain", "--untracked-files=all", *files
    )
    return [file for file in files if said is None or file in said]
