"""The task `ingest`, and receiving what a run needs: from DVC, or from the source."""

import contextlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
from omegaconf import DictConfig

from runner import project
from runner.config import nearest
from runner.errors import UserError
from runner.record.run import Run
from runner.signals import snapshot as snapshots
from runner.signals import source
from runner.signals.contract import Contract, read_contracts
from runner.signals.publish import Publication, dvc, publish
from runner.signals.snapshot import Snapshot, State

log = logging.getLogger(__name__)


def ingest(config: DictConfig, run: Run) -> dict[str, float]:
    """Receives signals from their sources; new data adds partitions and changes none.

    Raises:
        UserError: A source is not as its contract promises, or DVC cannot track it.
    """
    contracts = read_contracts(project.root())
    chosen = [known(contracts, name) for name in config.signals] or [
        contract for contract in contracts.values() if contract.status != "retired"
    ]
    check_status(chosen)
    with lock(project.root(), wait="another run receives signals"):
        published = publish(_received(chosen, run), run)
    _say(published)
    for contract in chosen:
        record(run, contract, published[contract.name].snapshot, "ingest", contract.names)
    return {
        **{f"rows/{name}": float(each.snapshot.rows) for name, each in published.items()},
        **{f"new_partitions/{name}": float(len(each.written)) for name, each in published.items()},
    }


def ensure_received(names: Iterable[str], run: Run | None = None) -> dict[str, Snapshot]:
    """The snapshots of these signals; what is not here is pulled, or received from its source.

    Raises:
        UserError: A signal has no contract, cannot be received, or is not what was recorded.
    """
    contracts = read_contracts(project.root())
    wanted = [known(contracts, name) for name in names]
    check_status(wanted)
    if not _are_here(wanted):
        with lock(project.root(), wait="another run receives signals"):
            _fetch(wanted, run)
    found = {contract.name: snapshots.current(contract) for contract in wanted}
    return {name: snapshot for name, snapshot in found.items() if snapshot is not None}


def _are_here(wanted: Sequence[Contract]) -> bool:
    try:
        return all(snapshots.current(contract) is not None for contract in wanted)
    except UserError:
        # perhaps another run is putting files in place; under the lock we shall see
        return False


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


def _fetch(wanted: Sequence[Contract], run: Run | None) -> None:
    """Under the lock: pulls what is recorded and receives the rest."""
    states = {contract.name: snapshots.look(contract)[0] for contract in wanted}
    if recorded := [each for each in wanted if states[each.name] is State.MISSING]:
        log.info("getting %s with DVC", _names(recorded))
        pulled = dvc(recorded[0].root, ["pull", *_dvc_files(recorded)])
        if pulled.returncode:
            log.info("DVC has no copy; receiving from the source again")
    missing = [contract for contract in wanted if snapshots.current(contract) is None]
    if not missing:
        return
    reasons = sorted({states[each.name].value for each in missing})
    log.info("receiving %s (%s)", _names(missing), "; ".join(reasons))
    received = _received(missing, run)
    for contract, frame in received.values():
        if states[contract.name] is State.MISSING:
            _check_same(contract, frame)
    _say(publish(received, run))


def _check_same(contract: Contract, frame: pl.DataFrame) -> None:
    """The source must still give what the record says, or the run would use other data."""
    recorded = snapshots.look(contract)[1]
    assert recorded is not None
    parts = snapshots.split(contract, frame).items()
    content = snapshots.whole({name: snapshots.content_hash(part) for name, part in parts})
    if content != recorded.content:
        raise contract.mistake(
            f"its source has changed: the record says {recorded.content}, {contract.source} "
            f"gives {content}",
            "Get the recorded data with `python -m dvc pull` from whoever has it, or take the new "
            f"data with `python run.py task=ingest signals=[{contract.name}]`",
        )


def _received(
    contracts: Sequence[Contract], run: Run | None
) -> dict[str, tuple[Contract, pl.DataFrame]]:
    received = {}
    steps = run.progress(contracts, "receiving signals", len(contracts)) if run else contracts
    with run.stage("receive") if run else contextlib.nullcontext():
        for contract in steps:
            frame = source.receive(contract)
            log.info("received %s: %s rows from %s", contract.name, f"{frame.height:,}",
                     contract.source)  # fmt: skip
            received[contract.name] = (contract, frame)
    return received


def _dvc_files(contracts: Sequence[Contract]) -> list[str]:
    return [f"data/signals/{contract.name}.dvc" for contract in contracts]


def _names(contracts: Iterable[Contract]) -> str:
    return ", ".join(contract.name for contract in contracts)


def _say(published: Mapping[str, Publication]) -> None:
    """Says what has come, and what belongs into git now."""
    for name, each in published.items():
        parts = f"{len(each.written)} partitions written, {each.unchanged} unchanged"
        gone = f", {len(each.removed)} removed" if each.removed else ""
        log.info("%-12s %9s rows  %s%s", name, f"{each.snapshot.rows:,}", parts, gone)
    changed = [name for name, each in published.items() if each.is_new]
    if changed:
        files = " ".join(f"data/signals/{name}.dvc" for name in changed)
        log.info("keep this version of the data: git add %s && git commit", files)
