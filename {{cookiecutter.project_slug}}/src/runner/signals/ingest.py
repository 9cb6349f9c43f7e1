"""The task `ingest`, and receiving what a run needs: from DVC, or from the source."""

import contextlib
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from omegaconf import DictConfig

from runner import holds, project
from runner.config import nearest, read_moment
from runner.errors import UserError
from runner.holds import Hold
from runner.record.run import Run
from runner.signals import aside, readers, report, rules, versions
from runner.signals import snapshot as snapshots
from runner.signals.arrival import Arrival, arrivals, past_of
from runner.signals.contract import Contract, read_contracts
from runner.signals.publish import Delivery, Publication, bring, publish, restore
from runner.signals.snapshot import Snapshot, State

log = logging.getLogger(__name__)


class Held(UserError):  # noqa: N818 (said of a delivery)
    """A delivery that a run needs was held when it arrived."""


Outcome = Publication | Hold | Exception
"""What became of an arrival; a rejected delivery stays with its hold."""


def ingest(config: DictConfig, run: Run) -> dict[str, float]:
    """Receives signals from their sources; new data adds partitions and changes none.

    Returns:
        Rows, new partitions, and whether it is held, for each signal.

    Raises:
        UserError: A source is not there or DVC cannot track it; the other signals have come in.
    """
    wanted = chosen(config)
    check_status(wanted)
    moment = read_moment(config)
    with lock(project.root(), wait="another run receives signals"):
        restore(wanted)
        _bring_past(wanted)
        outcomes = _take(wanted, run, moment)
    _say(outcomes)
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
    if failed := [each for each in outcomes.values() if isinstance(each, Exception)]:
        run.log_metrics(metrics)
        raise _together(failed)
    return metrics


def chosen(config: DictConfig) -> list[Contract]:
    """The contracts of the signals that `task=ingest` is to receive.

    Raises:
        UserError: There is none, or none of a name that is asked for.
    """
    contracts = read_contracts(project.root())
    if not contracts:
        raise UserError(
            "signals/ holds no contract yet, so there is nothing to receive.\n"
            "Write the first one: python run.py new signal NAME --from PATH"
        )
    if config.signals:
        return _with_inputs(contracts, [known(contracts, name) for name in config.signals])
    wanted = [contract for contract in contracts.values() if contract.status != "retired"]
    if not wanted:
        raise UserError(
            f"all signals are retired ({', '.join(contracts)}), so there is nothing to receive.\n"
            "Write the contract of another: python run.py new signal NAME --from PATH"
        )
    return wanted


def ensure_received(
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
        Held: A signal was received and what came is held.
        UserError: A signal has no contract, cannot be received, or is not what was recorded.
    """
    contracts = read_contracts(project.root())
    pins = pins or {}
    wanted = [known(contracts, name) for name in names]
    check_status(wanted)
    free = [contract for contract in wanted if contract.name not in pins]
    if not _are_here(free):
        with lock(project.root(), wait="another run receives signals"):
            _fetch(_with_inputs(contracts, free), run, now or datetime.now(UTC))
    found = {contract.name: snapshots.current(contract) for contract in free}
    for contract in wanted:
        if contract.name in pins:
            found[contract.name] = _pinned(contract, pins[contract.name])
    return {each.name: here for each in wanted if (here := found[each.name]) is not None}


def decided(hold: Hold) -> list[str]:
    """What follows from a decision: a released delivery is published if its rows are here.

    Returns:
        What git has to keep beside the hold.
    """
    root = project.root()
    if hold.status == holds.REJECTED:
        aside.drop(root, hold.id)
        return []
    contract = known(read_contracts(root), hold.subject)
    with lock(root, wait="another run receives signals"):
        restore([contract])
        delivery = aside.read(contract, hold)
        if delivery is None:
            print(f"its rows are not here: `python run.py task=ingest signals=[{hold.subject}]` "
                  "accepts them when they come again")  # fmt: skip
            return []
        published = publish([delivery], None)[contract.name]
        aside.drop(root, hold.id)
    print(f"{contract.name} has {published.snapshot.rows:,} rows now")
    return list(published.files)


def known(contracts: Mapping[str, Contract], name: str) -> Contract:
    """The contract of this name.

    Raises:
        UserError: There is none; names the nearest.
    """
    if name not in contracts:
        raise UserError(
            f"there is no signal '{name}': signals/{name}.yaml does not exist. "
            f"{nearest(name, contracts)}"
        )
    return contracts[name]


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
            lacking = f"fill in {', '.join(contract.unsaid)}" if contract.unsaid else "read it over"
            log.warning("signal %s is a draft: %s and set `status: active` in signals/%s",
                        contract.name, lacking, contract.path.name)  # fmt: skip
        if contract.status == "deprecated":
            log.warning("signal %s is deprecated: ask %s (%s) what replaces it",
                        contract.name, contract.owner, contract.contact)  # fmt: skip


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


@contextlib.contextmanager
def lock(root: Path, wait: str) -> Iterator[None]:
    """Lets one process at a time change or assemble data; says what it waits for."""
    from filelock import FileLock, Timeout

    folder = snapshots.home(root) / ".index"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # one instance for each file: whoever has the lock may take it again
        lock = FileLock(folder / "lock", is_singleton=True)
        try:
            lock.acquire(timeout=0.1)
        except Timeout:
            log.info("%s; waiting for it", wait)
            lock.acquire()
    except OSError as error:
        raise UserError(f"{folder} cannot be written ({error.strerror})") from None
    try:
        yield
    finally:
        lock.release()


def _are_here(wanted: Sequence[Contract]) -> bool:
    try:
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
        with lock(project.root(), wait="another run receives signals"):
            restore([contract])
            bring([(contract, snapshot)])
            if not snapshots.is_here(contract, snapshot):
                raise contract.mistake(
                    f"version {version} is neither in DVC's cache nor in its remote",
                    "Whoever has it can share it: python -m dvc push "
                    + snapshot.file.relative_to(contract.root).as_posix(),
                )
    return snapshot


def _bring_past(wanted: Sequence[Contract]) -> None:
    """Under the lock: gets last good snapshots that are not here, to compare with what comes."""
    found = [(contract, snapshots.recorded(contract)) for contract in wanted]
    bring([(contract, each) for contract, each in found if each is not None])


def _fetch(wanted: Sequence[Contract], run: Run | None, now: datetime) -> None:
    """Under the lock: pulls what is recorded and receives the rest."""
    restore(wanted)
    states = {contract.name: snapshots.look(contract)[0] for contract in wanted}
    _bring_past([each for each in wanted if states[each.name] is State.MISSING])
    missing = [contract for contract in wanted if snapshots.current(contract) is None]
    if not missing:
        return
    reasons = sorted({states[each.name].value for each in missing})
    log.info("receiving %s (%s)", ", ".join(each.name for each in missing), "; ".join(reasons))
    _bring_past([each for each in missing if states[each.name] is State.OUTGROWN])
    outcomes = _take(missing, run, now)
    _say(outcomes)
    if failed := [each for each in outcomes.values() if isinstance(each, Exception)]:
        raise _together(failed)
    stopped = [each for each in outcomes.values() if isinstance(each, Hold)]
    if held := [each.id for each in stopped if each.status == holds.OPEN]:
        raise Held(f"what was received is held ({', '.join(held)}); see `python run.py holds`")
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


def _take(contracts: Sequence[Contract], run: Run | None, now: datetime) -> dict[str, Outcome]:
    """Under the lock: receives signals side by side; publishes or holds each as it comes."""
    outcomes: dict[str, Outcome] = {}
    waiting: list[Arrival] = []
    come = itertools.chain.from_iterable(arrivals(each, now) for each in _turns(contracts))
    steps = run.progress(come, "receiving signals", len(contracts)) if run else come
    with run.stage("receive") if run else contextlib.nullcontext():
        for arrival, more in steps:
            if arrival.delivery is not None:
                log.info("received %s: %s rows from %s", arrival.contract.name,
                         f"{arrival.delivery.received:,}", arrival.contract.source)  # fmt: skip
            waiting.append(arrival)
            if not more:  # one `dvc add` for all that came while the last one worked
                outcomes |= _settle(waiting, run)
                waiting = []
    return outcomes


def _turns(contracts: Sequence[Contract]) -> Iterator[list[Contract]]:
    """Signals that can be received side by side; a model's output comes after its input."""
    left = list(contracts)
    while left:
        names = {contract.name for contract in left}
        turn = [each for each in left if names.isdisjoint(readers.inputs(each))] or left
        yield turn
        left = [contract for contract in left if contract not in turn]


def _with_inputs(contracts: Mapping[str, Contract], wanted: Sequence[Contract]) -> list[Contract]:
    """Signals and those that models need to give them."""
    found = {contract.name: contract for contract in wanted}
    todo = list(wanted)
    while todo:
        for name in readers.inputs(todo.pop()):
            if name not in found:
                found[name] = known(contracts, name)
                todo.append(found[name])
    return list(found.values())


def _settle(come: Sequence[Arrival], run: Run | None) -> dict[str, Outcome]:
    """Publishes what is good and holds what is not."""
    outcomes: dict[str, Outcome] = {}
    good: list[Delivery] = []
    for arrival in come:
        contract = arrival.contract
        decision = holds.verdict(contract.root, contract.name, arrival.content)
        if arrival.error is not None:
            outcomes[contract.name] = arrival.error
        elif decision is not None and decision.status == holds.REJECTED:
            outcomes[contract.name] = decision
            holds.close(contract.root, contract.name)  # of what came in between, and is gone again
        elif arrival.breaches:
            outcomes[contract.name] = _hold(arrival)
        elif arrival.delivery is not None:
            good.append(arrival.delivery)
    published = publish(good, run)
    for contract in (delivery.contract for delivery in good):
        closed = holds.close(contract.root, contract.name)
        for hold in holds.read_holds(contract.root):
            if hold.subject == contract.name:
                aside.drop(contract.root, hold.id)
        each = published[contract.name]
        files = (*each.files, *(holds.file_name(hold.id) for hold in closed))
        outcomes[contract.name] = replace(each, files=files)
    return outcomes


def _hold(arrival: Arrival) -> Hold:
    """Keeps a delivery aside; the last good snapshot stays as it is."""
    contract, recorded = arrival.contract, arrival.recorded
    hold = holds.open_hold(
        contract.root,
        Hold(
            id="",
            subject=contract.name,
            version=contract.version,
            last_good=recorded.content if recorded else "none",
            owner=f"{contract.owner} ({contract.contact})",
            opened=datetime.now(UTC).isoformat(timespec="seconds"),
            partition=min(breach.partition for breach in arrival.breaches),
            breaches=arrival.breaches,
            delivery=(arrival.content,),
            unfit=arrival.delivery is None,
        ),
    )
    past: Mapping[str, pl.LazyFrame] = {}
    came: Mapping[str, pl.DataFrame] = {}
    if arrival.delivery is not None:
        aside.keep(hold, arrival.delivery)
        if recorded is not None:
            past = past_of(arrival.delivery, recorded)
            came = arrival.delivery.changed(recorded)
    report.write_report(contract, hold, past, came)
    return hold


def _say_late(contract: Contract, run: Run, now: datetime) -> None:
    recorded = snapshots.recorded(contract)
    late = rules.lateness(contract, recorded.last_event if recorded else None, now)
    if late is not None:
        run.log_tag(f"late/{contract.name}", late.message)
        log.warning("%s is late: %s; its owner is %s (%s)", contract.name, late.message,
                    contract.owner, contract.contact)  # fmt: skip


def _together(failed: Sequence[Exception]) -> Exception:
    """One error for what went wrong; ours goes first, for it needs its traceback."""
    ours = [error for error in failed if not isinstance(error, UserError)]
    return ours[0] if ours else failed[0] if len(failed) == 1 \
        else UserError("\n".join(map(str, failed)))  # fmt: skip


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
            files += [holds.file_name(id_) for id_ in (each.replaces, each.id) if id_]
        else:
            log.info("%-*s  failed", width, name)
    for each in outcomes.values():
        if isinstance(each, Hold) and each.status == holds.OPEN:
            log.warning("%s", holds.tell(each))
            log.warning("  look at it:  %s", report.path(Path(), each).as_posix())
    if files:
        log.info("keep this in git: git add %s && git commit", " ".join(files))
