"""Fetches signals side by side and checks each against its contract and its own past."""

import contextlib
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from threadpoolctl import threadpool_limits

from ml_experiment_runner.holds import acceptance, holds
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
    """What a signal's source gave, checked; or why it gave nothing.

    Attributes:
        contract: The signal's contract.
        recorded: The last good snapshot.
        delivery: The rows; None if they cannot become a snapshot.
        content: Their hash.
        violations: The checks that they fail.
        error: Why the source gave nothing.
        since: The source was asked for rows from here on; None for all.
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
    """Each signal's result as it is ready, and whether another is ready already.

    Args:
        contracts: The signals; they are fetched side by side.
        now: The time of the fetch.
        as_recorded: A recorded signal whose files are missing must come exactly as recorded.
    """
    todo: queue.SimpleQueue[Contract] = queue.SimpleQueue()
    results: queue.SimpleQueue[FetchResult] = queue.SimpleQueue()
    for contract in contracts:
        todo.put(contract)

    def work() -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                results.put(_fetch(todo.get_nowait(), now, as_recorded))

    for _ in range(min(READERS, len(contracts))):
        # a daemon: whoever stops the run does not wait for a source that does not answer
        threading.Thread(target=work, daemon=True).start()
    # the matrices of drift detection are small: threads would wait longer than they compute
    with threadpool_limits(limits=1, user_api="blas"):
        for _ in contracts:
            yield results.get(), not results.empty()


def _fetch(contract: Contract, now: datetime, as_recorded: bool) -> FetchResult:
    """A signal's result; whatever goes wrong is in it, for this is a thread of its own."""
    try:
        return _fetch_and_check(contract, now, as_recorded)
    except Exception as error:
        return FetchResult(contract, error=error)
    except BaseException as error:  # a panic within polars, or a team's reader that exits
        failure = RuntimeError(f"receiving {contract.name} ended in {error!r}")
        failure.__cause__ = error
        return FetchResult(contract, error=failure)


def _fetch_and_check(contract: Contract, now: datetime, as_recorded: bool) -> FetchResult:
    state, recorded = snapshots.state_of(contract)
    before = versions.contract_then(recorded, contract) if recorded else None
    if before is not None:
        versions.check(before, contract)
    is_incremental = state is State.READY and sources.takes_since(contract)
    since = _since(contract, recorded) if is_incremental else None
    try:
        frame = fetch.fetch_rows(contract, since)
        if since is not None and recorded and _have_moved(contract, frame, recorded, since):
            # a recorded row has another event time now, and would be there twice
            since, frame = None, fetch.fetch_rows(contract)
    except SchemaViolation as error:
        if recorded is None:
            raise
        return _not_releasable(contract, recorded, error.violation, error.content)
    if frame.is_empty() and recorded is not None and recorded.rows:
        message = f"the delivery has no rows; the last good snapshot has {recorded.rows:,}"
        return _not_releasable(contract, recorded, Violation("volume", None, message, "all"))
    delivery = _delivery(contract, frame, recorded, since, before)
    if state is State.MISSING and as_recorded:
        _check_same(contract, delivery, recorded)
    violations = tuple(_violations(delivery, recorded, before, now))
    return FetchResult(contract, recorded, delivery, delivery.content, violations, since=since)


def _since(contract: Contract, recorded: Snapshot | None) -> datetime | None:
    """The start of the earliest partition that may still get rows; older ones are not asked for."""
    if recorded is None or recorded.last_event is None or contract.event_time is None:
        return None
    # a row is known its delay after it happened, so rows that much older may have come since
    month = contract.local(recorded.last_event - contract.delay)
    begin = month.replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    return begin.astimezone(UTC)


def _have_moved(
    contract: Contract, frame: pl.DataFrame, recorded: Snapshot, since: datetime
) -> bool:
    """Whether fetched rows have the key of a recorded one from before `since`."""
    if contract.event_time in contract.key:
        return False
    older = [recorded.folder / f"{name}.parquet" for name in _older(contract, recorded, since)]
    if not older:
        return False
    keys = pl.scan_parquet(older, glob=False).select(contract.key)
    both = keys.join(frame.lazy().select(contract.key), on=contract.key, how="semi")
    return not both.head(1).collect().is_empty()


def _older(contract: Contract, recorded: Snapshot, since: datetime) -> dict[str, str]:
    """The recorded partitions before `since`, with their content hash."""
    first = f"{contract.local(since):%Y-%m}"
    return {name: content for name, content in recorded.partitions.items() if name < first}


def _not_releasable(
    contract: Contract, recorded: Snapshot, violation: Violation, content: str = ""
) -> FetchResult:
    """The result of a delivery that cannot become a snapshot."""
    # the key is as it ever was: decisions are found by this hash
    content = snapshots.combined_hash({"unfit": violation.message, "content": content})
    return FetchResult(contract, recorded, None, content, (violation,))


def _delivery(
    contract: Contract,
    frame: pl.DataFrame,
    recorded: Snapshot | None,
    since: datetime | None,
    before: Contract | None,
) -> Delivery:
    """The fetched rows, and the snapshot that they would make.

    Args:
        contract: The signal's contract.
        frame: The fetched rows.
        recorded: The last good snapshot.
        since: Where the fetched rows begin; older partitions stay as they are.
        before: The contract of the last good snapshot.
    """
    partitions = snapshots.by_partition(contract, frame)
    contents = {name: snapshots.content_hash(rows) for name, rows in partitions.items()}
    height = frame.height
    last_event: datetime | None = None
    if contract.event_time is not None and not frame.is_empty():
        last_event = frame[contract.event_time].max()  # type: ignore[assignment]
    if recorded is not None and since is not None:
        older = _older(contract, recorded, since)
        contents = older | contents
        height += sum(_height(recorded.folder / f"{name}.parquet") for name in older)
    declared = dict(recorded.declared_changes) if recorded else {}
    if before is not None:
        declared |= dict.fromkeys(versions.declared_changes(before, contract), snapshots.LATER)
    return Delivery(
        contract=contract,
        text=contract.path.read_text(encoding="utf-8"),
        fetched_rows=frame.height,
        partitions=partitions,
        contents=contents,
        rows=height,
        last_event=last_event,
        declared_changes=declared,
    )


def _height(path: Path) -> int:
    return int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())


def _check_same(contract: Contract, delivery: Delivery, recorded: Snapshot | None) -> None:
    """Raises a UserError if the source no longer gives the recorded rows."""
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
    """The checks that new and changed partitions fail, unless a person has released just these."""
    contract, changed = delivery.contract, delivery.changed(recorded)
    gone = _gone(delivery, recorded)
    if not (changed or gone) or _is_released(delivery, recorded):
        return []
    # of a key or a zone that has changed, the old rows say nothing about the new ones
    comparable = recorded if before is None or _reads_alike(before, contract) else None
    past = past_of(delivery, comparable) if comparable else {}
    unchanged = {
        name: past[name] for name in delivery.contents if name in past and name not in changed
    }
    violations = quality.broken(contract, changed, now, unchanged)
    if comparable is None:
        return violations
    if comparable.rows and not past:
        message = (
            "nothing to compare with: the last good snapshot is neither here nor in DVC's cache or "
            "remote"
        )
        violations.append(Violation("past", None, message, min(changed, default="all")))
    violations += _drift(delivery, past, changed)
    violations += _new_units(before, delivery, comparable) if before else []
    if gone:
        names = gone[0] if len(gone) == 1 else f"{gone[0]} to {gone[-1]}"
        message = f"{len(gone)} of {len(comparable.partitions)} partitions are missing: {names}"
        violations.append(Violation("volume", None, message, gone[0]))
    return violations


def _gone(delivery: Delivery, recorded: Snapshot | None) -> list[str]:
    """The recorded partitions of which the source has no rows any more."""
    before = recorded.partitions if recorded and recorded.rows else {}
    return sorted(set(before) - set(delivery.contents))


def _is_released(delivery: Delivery, recorded: Snapshot | None) -> bool:
    """Whether a person has released exactly this delivery."""
    contract = delivery.contract
    last_good = recorded.content if recorded else "none"
    decision = holds.decision(contract.root, contract.name, delivery.content, last_good)
    return decision is not None and decision.status == holds.RELEASED


def _drift(
    delivery: Delivery, past: Mapping[str, pl.LazyFrame], changed: Mapping[str, pl.DataFrame]
) -> list[Violation]:
    """The changes that neither the past, nor a decision, nor the contract's version explains."""
    contract = delivery.contract
    accepted = {**delivery.declared_changes, **acceptance.accepted(contract.root, contract.name)}
    set_aside = acceptance.set_aside(contract.root, contract.name)
    declared_now = {
        field for field, since in delivery.declared_changes.items() if since == snapshots.LATER
    }
    return [
        violation
        for violation in detection.changes(contract, past, changed, accepted, set_aside=set_aside)
        if violation.field not in declared_now
    ]


def _new_units(before: Contract, delivery: Delivery, recorded: Snapshot) -> list[Violation]:
    """Fields with another unit in the contract's new version whose old rows have not changed."""
    now = delivery.contract
    same = set(recorded.partitions.items()) & set(delivery.contents.items())
    if not same:
        return []
    changed = {name for name, content in delivery.contents.items() if (name, content) not in same}
    first = min(changed, default="all")
    violations = []
    for field in now.fields:
        unit_before = before.field(field.name).unit if field.name in before.names else None
        if field.unit and unit_before not in (None, field.unit):
            message = (
                f"{field.name} is in {field.unit} under version {now.version}, and the rows of "
                f"{len(same)} earlier partitions are the same as in {unit_before}"
            )
            violations.append(Violation("unit", field.name, message, first))
    return violations


def _reads_alike(before: Contract, now: Contract) -> bool:
    """Whether rows read under the earlier contract would be the same under this one."""
    return all(
        getattr(before, name) == getattr(now, name)
        for name in ("key", "event_time", "time_zone", "null_values")
    )


def past_of(delivery: Delivery, recorded: Snapshot) -> dict[str, pl.LazyFrame]:
    """The last good rows by partition, with the fields of today's contract."""
    contract = delivery.contract
    is_here = snapshots.is_here(contract, recorded)
    past = {}
    for name, content in recorded.partitions.items():
        if delivery.contents.get(name) == content and name in delivery.partitions:
            past[name] = delivery.partitions[name].lazy()
        elif is_here:
            past[name] = _as_today(contract, recorded.folder / f"{name}.parquet")
    return past


def _as_today(contract: Contract, path: Path) -> pl.LazyFrame:
    """A partition's rows in the fields and types of the contract; null where they have changed."""
    rows = pl.scan_parquet(path, glob=False)
    types = rows.collect_schema()
    return rows.select(
        pl.col(field.name)
        if types.get(field.name) == DTYPES[field.type]
        else pl.lit(None, DTYPES[field.type]).alias(field.name)
        for field in contract.fields
    )
