"""The task `ingest`, and receiving what a run needs: source, checks, snapshot, DVC."""

import contextlib
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
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
from runner.signals.snapshot import Snapshot, State

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Publication:
    """What publishing one signal did.

    Attributes:
        written: Partitions that are new or changed.
        unchanged: Partitions that stayed as they were.
        removed: Partitions that the source holds no rows for any more.
        is_new: The .dvc file is another than before, so git has something to keep.
    """

    snapshot: Snapshot
    written: tuple[str, ...]
    unchanged: int
    removed: tuple[str, ...]
    is_new: bool = True


def ingest(config: DictConfig, run: Run) -> dict[str, float]:
    """Receives signals from their sources; new data adds partitions and changes none.

    Raises:
        UserError: A source is not as its contract promises, or DVC cannot track it.
    """
    contracts = read_contracts(project.root())
    chosen = [known(contracts, name) for name in config.signals] or list(contracts.values())
    with lock(project.root(), wait="another run receives signals"):
        published = _publish(_received(chosen, run), run)
    _say(published)
    for contract in chosen:
        _record(run, contract, published[contract.name].snapshot)
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
    if any(snapshots.current(contract) is None for contract in wanted):
        with lock(project.root(), wait="another run receives signals"):
            _fetch(wanted, run)
    found = {contract.name: snapshots.current(contract) for contract in wanted}
    return {name: snapshot for name, snapshot in found.items() if snapshot is not None}


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


@contextlib.contextmanager
def lock(root: Path, wait: str) -> Iterator[None]:
    """Lets one process at a time change or assemble data; says what it waits for."""
    from filelock import FileLock, Timeout

    folder = snapshots.home(root) / ".index"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock")
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
        pulled = _dvc(recorded[0].root, ["pull", *_dvc_files(recorded)])
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
    _say(_publish(received, run))


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
    with run.stage("receive") if run else _nothing():
        for contract in steps:
            frame = source.receive(contract)
            log.info("received %s: %s rows from %s", contract.name, f"{frame.height:,}",
                     contract.source)  # fmt: skip
            received[contract.name] = (contract, frame)
    return received


def _publish(
    received: Mapping[str, tuple[Contract, pl.DataFrame]], run: Run | None
) -> dict[str, Publication]:
    """Writes changed partitions, lets DVC track them once for all, and notes the content."""
    before = {name: _text(contract) for name, (contract, _) in received.items()}
    published = {name: _write(*each) for name, each in received.items()}
    changed = [
        contract
        for name, (contract, _) in received.items()
        if published[name].written or published[name].removed or not before[name]
    ]
    with run.stage("track") if run and changed else _nothing():
        if changed:
            folders = [f"data/signals/{contract.name}" for contract in changed]
            added = _dvc(changed[0].root, ["add", *folders])
            if added.returncode:
                raise _dvc_failed(added.stderr)
    for name, (contract, _) in received.items():
        snapshot = _note(contract, published[name].snapshot)
        is_new = _text(contract) != before[name]
        published[name] = replace(published[name], snapshot=snapshot, is_new=is_new)
    return published


def _write(contract: Contract, frame: pl.DataFrame) -> Publication:
    """Puts changed partitions in place; their names are the only thing still to be tracked."""
    parts = snapshots.split(contract, frame)
    contents = {name: snapshots.content_hash(part) for name, part in parts.items()}
    here = _here(contract)
    written = tuple(name for name in parts if here.get(name) != contents[name])
    folder = snapshots.home(contract.root) / contract.name
    removed = tuple(path.stem for path in sorted(folder.glob("*")) if path.stem not in parts)
    if written or removed:
        staging = snapshots.home(contract.root) / ".index" / f"{contract.name}.staging"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        for name in written:
            # fixed options: the same rows make the same bytes, and so the same md5
            parts[name].write_parquet(
                staging / f"{name}.parquet", compression="zstd", compression_level=3,
                statistics=True, row_group_size=1 << 20,
            )  # fmt: skip
        snapshots.write_index(contract, {"publishing": True})
        folder.mkdir(exist_ok=True)
        for name in written:
            (staging / f"{name}.parquet").replace(folder / f"{name}.parquet")
        for name in removed:
            for path in folder.glob(f"{name}*"):
                path.unlink()
        shutil.rmtree(staging)
    last = frame[contract.event_time].max() if contract.event_time else None
    draft = Snapshot(
        signal=contract.name,
        version=contract.version,
        md5="",
        content=snapshots.whole(contents),
        rows=frame.height,
        folder=folder,
        last_event=last,  # type: ignore[arg-type]
        partitions=contents,
        promise=snapshots.promise(contract),
    )
    return Publication(draft, written, len(parts) - len(written), removed)


def _here(contract: Contract) -> dict[str, str]:
    """Content of the partitions that are in place and known to be as recorded."""
    recorded = snapshots.look(contract)[1]
    if recorded is None or snapshots.read_index(contract).get("md5") != recorded.md5:
        return {}
    files = {path.stem for path in recorded.folder.glob("*.parquet")}
    return {name: content for name, content in recorded.partitions.items() if name in files}


def _note(contract: Contract, draft: Snapshot) -> Snapshot:
    """Writes into the .dvc file what the snapshot is, beside what DVC wrote there."""
    from ruamel.yaml import YAML

    path = snapshots.dvc_file(contract)
    writer = YAML()
    record = writer.load(path)
    meta = {
        "version": draft.version,
        "rows": draft.rows,
        "last_event": draft.last_event.isoformat() if draft.last_event else None,
        "content": draft.content,
        "promise": draft.promise,
        "partitions": draft.partitions,
    }
    if record.get("meta") != meta:
        record["meta"] = meta
        new = path.with_suffix(".new")
        with new.open("w", encoding="utf-8") as file:
            writer.dump(record, file)
        new.replace(path)
    md5 = record["outs"][0]["md5"]
    snapshots.write_index(contract, {"md5": md5, "files": snapshots.stamps(draft.folder)})
    return replace(draft, md5=md5)


def _text(contract: Contract) -> bytes:
    """The .dvc file as it is; empty if there is none."""
    path = snapshots.dvc_file(contract)
    return path.read_bytes() if path.exists() else b""


def _dvc(root: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """DVC as a process of its own: importing it would cost every run half a second."""

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "dvc", *words],
            cwd=root,
            env={**os.environ, "DVC_NO_ANALYTICS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    done = call(*arguments)
    if "is not a git repository" in done.stderr:
        log.info("no git repository here: telling DVC to work without (.dvc/config.local)")
        call("config", "--local", "core.no_scm", "true")
        done = call(*arguments)
    return done


def _dvc_files(contracts: Sequence[Contract]) -> list[str]:
    return [f"data/signals/{contract.name}.dvc" for contract in contracts]


def _dvc_failed(output: str) -> UserError:
    if "No module named dvc" in output:
        return UserError("dvc is not installed: python -m pip install -r requirements.lock")
    errors = [line for line in output.splitlines() if line.startswith("ERROR: ")]
    reason = errors[0].removeprefix("ERROR: ") if errors else output.strip() or "it gave no reason"
    return UserError(f"dvc could not track the received data: {reason}\n"
                     "Put that right and run `python run.py task=ingest`.")  # fmt: skip


def _names(contracts: Iterable[Contract]) -> str:
    return ", ".join(contract.name for contract in contracts)


def _nothing() -> AbstractContextManager[None]:
    return contextlib.nullcontext()


def _record(run: Run, contract: Contract, snapshot: Snapshot) -> None:
    """Records a snapshot that a run received."""
    run.log_dataset(
        contract.name,
        snapshot.version,
        snapshot.md5,
        contract.source,
        snapshot.rows,
        "ingest",
        {field.name: field.type for field in contract.fields},
    )


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
