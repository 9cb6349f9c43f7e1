"""What comes of a signal: received beside the others, and compared with what is known of it."""

import contextlib
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
from threadpoolctl import threadpool_limits

from ml_experiment_runner.holds import holds
from ml_experiment_runner.holds.holds import Violation
from ml_experiment_runner.signals import sources
from ml_experiment_runner.signals.checks import quality
from ml_experiment_runner.signals.checks.schema import DTYPES
from ml_experiment_runner.signals.contract.contract import Contract, SchemaViolation
from ml_experiment_runner.signals.drift import detection
from ml_experiment_runner.signals.snapshots import snapshot as snapshots
from ml_experiment_runner.signals.snapshots import versions
from ml_experiment_runner.signals.snapshots.snapshot import Snapshot, State
from ml_experiment_runner.signals.snapshots.writer import Delivery
from ml_experiment_runner.signals.sources import fetch

READERS = 8  # at once: they wait for others more than they compute


@dataclass(frozen=True)
class FetchResult:
    """A signal that has come, or has not.

    Attributes:
        contract: The signal's contract.
        recorded: The last good snapshot.
        delivery: What came; None if it could not become a snapshot.
        content: Its hash.
        violations: What is wrong with it.
        error: Why nothing came.
        since: Only rows from here on were asked for; None for all.
    """

    contract: Contract
    recorded: Snapshot | None = None
    delivery: Delivery | None = None
    content: str = ""
    violations: tuple[Violation, ...] = ()
    error: Exception | None = None
    since: datetime | None = None


def fetch_all(
    contracts: Sequence[Contract], now: datetime, *, as_recorded: bool = False
) -> Iterator[tuple[FetchResult, bool]]:
    """Each signal as it comes, and whether another has come already.

    Args:
        contracts: The signals; they are received side by side.
        now: When what comes arrives.
        as_recorded: A signal that is recorded and not here must come as it was.
    """
    todo: queue.SimpleQueue[Contract] = queue.SimpleQueue()
    come: queue.SimpleQueue[FetchResult] = queue.SimpleQueue()
    for contract in contracts:
        todo.put(contract)

    def work() -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                come.put(_fetch_and_check(todo.get_nowait(), now, as_recorded))

    for _ in range(min(READERS, len(contracts))):
        # a daemon: whoever stops the run does not wait for a source that does not answer
        threading.Thread(target=work, daemon=True).start()
    # the matrices of change are small: threads would wait for each other longer than they compute
    with threadpool_limits(limits=1, user_api="blas"):
        for _ in contracts:
            yield come.get(), not come.empty()


def _fetch_and_check(contract: Contract, now: datetime, as_recorded: bool) -> FetchResult:
    """Receives a signal and looks at what came; in a thread of its own."""
    try:
        state, recorded = snapshots.state_of(contract)
        before = versions.contract_then(recorded, contract) if recorded else None
        if before is not None:
            versions.check(before, contract)
        asks = state is State.READY and sources.takes_since(contract)
        since = _since(contract, recorded) if asks else None
        try:
            frame = fetch.fetch_rows(contract, since)
            if since is not None and recorded and _have_moved(contract, frame, recorded, since):
                # a row of before has another event time now, and would be there twice
                since, frame = None, fetch.fetch_rows(contract)
        except SchemaViolation as error:
            if recorded is None:
                raise
            return _unusable(contract, recorded, error.violation, error.content)
        if frame.is_empty() and recorded is not None and recorded.rows:
            what = f"the delivery has no rows; the last good snapshot has {recorded.rows:,}"
            return _unusable(contract, recorded, Violation("volume", None, what, "all"))
        delivery = _delivery(contract, frame, recorded, since, before)
        if state is State.MISSING and as_recorded:
            _check_same(contract, delivery, recorded)
        violations = _violations(delivery, recorded, before, now)
        content = delivery.content
        return FetchResult(contract, recorded, delivery, content, tuple(violations), since=since)
    except Exception as error:
        return FetchResult(contract, error=error)
    except BaseException as error:  # a panic within polars, or a team's reader that exits
        failure = RuntimeError(f"receiving {contract.name} ended in {error!r}")
        failure.__cause__ = error
        return FetchResult(contract, error=failure)


def _since(contract: Contract, recorded: Snapshot | None) -> datetime | None:
    """Where the partition begins that rows may still come for; a reader need not look before."""
    if recorded is None or recorded.last_event is None or contract.event_time is None:
        return None
    # a row is known its delay after it happened, so that many older ones may have come since
    month = (recorded.last_event - contract.delay).astimezone(ZoneInfo(contract.time_zone))
    begin = month.replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    return begin.astimezone(UTC)


def _have_moved(
    contract: Contract, frame: pl.DataFrame, recorded: Snapshot, since: datetime
) -> bool:
    """Whether rows that came have the key of one that happened before they were asked for."""
    if contract.event_time in contract.key:
        return False
    older = [recorded.folder / f"{name}.parquet" for name in _older(contract, recorded, since)]
    if not older:
        return False
    keys = pl.scan_parquet(older, glob=False).select(contract.key)
    both = keys.join(frame.lazy().select(contract.key), on=contract.key, how="semi")
    return not both.head(1).collect().is_empty()


def _older(contract: Contract, recorded: Snapshot, since: datetime) -> dict[str, str]:
    """The partitions of before what was asked for, with their content."""
    first = f"{since.astimezone(ZoneInfo(contract.time_zone)):%Y-%m}"
    return {name: each for name, each in recorded.partitions.items() if name < first}


def _unusable(
    contract: Contract, recorded: Snapshot, violation: Violation, content: str = ""
) -> FetchResult:
    """A delivery that cannot become a snapshot."""
    content = snapshots.combined_hash({"unfit": violation.message, "content": content})
    return FetchResult(contract, recorded, None, content, (violation,))


def _delivery(
    contract: Contract,
    frame: pl.DataFrame,
    recorded: Snapshot | None,
    since: datetime | None,
    before: Contract | None,
) -> Delivery:
    """What came, and what the snapshot would be with it.

    Args:
        contract: The signal's contract.
        frame: The rows that came.
        recorded: The last good snapshot.
        since: Where the rows begin that were asked for; older ones stay as they are.
        before: The contract that it was received under.
    """
    partitions = snapshots.by_partition(contract, frame)
    contents = {name: snapshots.content_hash(part) for name, part in partitions.items()}
    rows = frame.height
    last_event: datetime | None = None
    if contract.event_time is not None and not frame.is_empty():
        last_event = frame[contract.event_time].max()  # type: ignore[assignment]
    if recorded is not None and since is not None:
        older = _older(contract, recorded, since)
        contents = older | contents
        rows += sum(_height(recorded.folder / f"{name}.parquet") for name in older)
    declared_changes = dict(recorded.declared_changes) if recorded else {}
    if before is not None:
        declared_changes |= dict.fromkeys(
            versions.declared_changes(before, contract), snapshots.LATER
        )
    text = contract.path.read_text(encoding="utf-8")
    return Delivery(
        contract, text, frame.height, partitions, contents, rows, last_event, declared_changes
    )


def _height(path: Path) -> int:
    return int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())


def _check_same(contract: Contract, delivery: Delivery, recorded: Snapshot | None) -> None:
    """The source must still give what the record says, or the run would use other data."""
    assert recorded is not None
    if delivery.content != recorded.content:
        raise contract.mistake(
            f"its source has changed: the record says {recorded.content}, {contract.source} "
            f"gives {delivery.content}",
            "Get the recorded data with `python -m dvc pull` from whoever has it, or take the new "
            f"data with `python run.py task=ingest signals=[{contract.name}]`",
        )


def _violations(
    delivery: Delivery, recorded: Snapshot | None, before: Contract | None, now: datetime
) -> list[Violation]:
    """What is wrong with what is new, unless a person has accepted exactly that."""
    contract, changed = delivery.contract, delivery.changed(recorded)
    was = recorded.partitions if recorded and recorded.rows else {}
    gone = sorted(set(was) - set(delivery.contents))
    if not changed and not gone:
        return []
    last_good = recorded.content if recorded else "none"
    decision = holds.decision(contract.root, contract.name, delivery.content, last_good)
    if decision is not None and decision.status == holds.RELEASED:
        return []
    past: dict[str, pl.LazyFrame] = {}
    if recorded is not None and (before is None or _reads_alike(before, contract)):
        past = past_of(delivery, recorded)
    stays = {name: past[name] for name in delivery.contents if name in past and name not in changed}
    violations = quality.broken(contract, changed, now, stays)
    if recorded is not None and (before is None or _reads_alike(before, contract)):
        if recorded.rows and not past:
            what = ("nothing to compare with: the last good snapshot is neither here nor in DVC's "
                    "cache or remote")  # fmt: skip
            violations.append(Violation("past", None, what, min(changed, default="all")))
        accepted = {**delivery.declared_changes, **holds.accepted(contract.root, contract.name)}
        # what the contract's new version says is no silent change
        declared_changes = {
            name for name, since in delivery.declared_changes.items() if since == snapshots.LATER
        }
        violations += [
            violation
            for violation in detection.changes(contract, past, changed, accepted)
            if violation.field not in declared_changes
        ]
        violations += _units(before, delivery, recorded) if before else []
        if gone:
            shown = gone[0] if len(gone) == 1 else f"{gone[0]} to {gone[-1]}"
            what = f"{len(gone)} of {len(was)} partitions have gone: {shown}"
            violations.append(Violation("volume", None, what, gone[0]))
    return violations


def _units(before: Contract, delivery: Delivery, recorded: Snapshot) -> list[Violation]:
    """Fields that are said to have another unit, though their older rows are the same as before."""
    now, same = delivery.contract, set(recorded.partitions.items()) & set(delivery.contents.items())
    return [
        Violation(
            "unit", field.name,
            f"{field.name} is in {field.unit} under version {now.version}, and the rows of "
            f"{len(same)} earlier partitions are the same as in {then}",
            min(name for name in delivery.contents if (name, delivery.contents[name]) not in same),
        )
        for field in now.fields
        if same and field.unit and field.name in before.names
        and (then := before.field(field.name).unit) not in (None, field.unit)
    ]  # fmt: skip


def _reads_alike(before: Contract, now: Contract) -> bool:
    """Whether the rows of before say what they would say if they came now."""
    return all(
        getattr(before, name) == getattr(now, name)
        for name in ("key", "event_time", "time_zone", "null_values")
    )


def past_of(delivery: Delivery, recorded: Snapshot) -> dict[str, pl.LazyFrame]:
    """The last good rows by partition, with the fields that the contract names today."""
    contract = delivery.contract
    here = snapshots.is_here(contract, recorded)
    past = {}
    for name, content in recorded.partitions.items():
        if delivery.contents.get(name) == content and name in delivery.partitions:
            past[name] = delivery.partitions[name].lazy()
        elif here:
            past[name] = _as_today(contract, recorded.folder / f"{name}.parquet")
    return past


def _as_today(contract: Contract, path: Path) -> pl.LazyFrame:
    rows = pl.scan_parquet(path, glob=False)
    there = rows.collect_schema()
    return rows.select(
        pl.col(field.name)
        if there.get(field.name) == DTYPES[field.type]
        else pl.lit(None, DTYPES[field.type]).alias(field.name)
        for field in contract.fields
    )
