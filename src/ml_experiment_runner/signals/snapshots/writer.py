"""Writes ingested rows as a snapshot: its partitions, what DVC tracks, and its record."""

import contextlib
import io
import logging
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from ml_experiment_runner.project.atomic import write_atomically
from ml_experiment_runner.project.dvc import run_dvc
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.snapshots import profile_file, versions
from ml_experiment_runner.signals.snapshots import snapshot as snapshots
from ml_experiment_runner.signals.snapshots.snapshot import Snapshot

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """The rows that a source gave of a signal, and the snapshot that they would make.

    Attributes:
        contract: The signal's contract.
        text: The contract's text.
        fetched_rows: Rows that the source gave.
        partitions: The fetched rows by partition.
        contents: Content hash by partition, unchanged ones included.
        rows: Rows of the whole snapshot.
        last_event: The newest event time.
        declared_changes: See Snapshot.
    """

    contract: Contract
    text: str
    fetched_rows: int
    partitions: Mapping[str, pl.DataFrame]
    contents: Mapping[str, str]
    rows: int
    last_event: datetime | None
    declared_changes: Mapping[str, str]

    @property
    def content(self) -> str:
        """One hash for all of its rows."""
        return snapshots.combined_hash(self.contents)

    def changed(self, recorded: Snapshot | None) -> dict[str, pl.DataFrame]:
        """The partitions that are new or differ from the recorded ones."""
        known = recorded.partitions if recorded else {}
        return {
            name: part for name, part in self.partitions.items()
            if known.get(name) != self.contents[name]
        }  # fmt: skip


@dataclass(frozen=True)
class Publication:
    """What publishing one signal did.

    Attributes:
        written: Partitions that are new or changed.
        unchanged: Partitions that stayed as they were.
        removed: Partitions that the source holds no rows for any more.
        files: What git has to keep now, relative to the project.
    """

    snapshot: Snapshot
    written: tuple[str, ...]
    unchanged: int
    removed: tuple[str, ...]
    files: tuple[str, ...] = ()


def publish(deliveries: Sequence[Delivery], run: Run | None) -> dict[str, Publication | Exception]:
    """Under the lock: writes changed partitions, has DVC track them, and records their content.

    If it is stopped anywhere, `restore` puts back what was there before.

    Returns:
        What publishing did by signal, or the error of a signal; the others are published all the
        same.

    Raises:
        UserError: DVC cannot track them.
    """
    contracts = [delivery.contract for delivery in deliveries]
    before = {contract.name: _tracked_files(contract) for contract in contracts}
    written = {delivery.contract.name: _write(delivery) for delivery in deliveries}
    changed = [contract for contract in contracts if _has_to_be_tracked(contract, written)]
    if changed:
        with run.stage("track") if run else contextlib.nullcontext():
            _track(changed)
    published: dict[str, Publication | Exception] = {}
    for contract in contracts:
        name = contract.name
        try:
            snapshot = _record(contract, written[name].snapshot)
            profile_file.write(contract, snapshot)
        except Exception as error:  # it costs the other signals nothing
            published[name] = error
            continue
        now = _tracked_files(contract)
        files = tuple(file for file in now if before[name].get(file) != now[file])
        published[name] = replace(written[name], snapshot=snapshot, files=files)
    return published


def _has_to_be_tracked(contract: Contract, written: Mapping[str, Publication]) -> bool:
    publication = written[contract.name]
    is_changed = bool(publication.written or publication.removed)
    return is_changed or not snapshots.dvc_file(contract).exists()


def _track(contracts: Sequence[Contract]) -> None:
    folders = [f"data/signals/{contract.name}" for contract in contracts]
    added = run_dvc(contracts[0].root, ["add", *folders])
    if added.returncode:
        raise _dvc_failed(added.stderr)


def restore(contracts: Sequence[Contract]) -> None:
    """Under the lock: puts back the snapshots whose replacement was interrupted."""
    halted = [contract for contract in contracts if snapshots.is_publishing(contract)]
    if not halted:
        return
    names = ", ".join(contract.name for contract in halted)
    log.info("putting back %s: receiving was interrupted", names)
    for contract in halted:
        path = snapshots.dvc_file(contract)
        before = snapshots.read_index(contract).get("before")
        if before == "":  # nothing was there, and what is there was never whole
            path.unlink(missing_ok=True)
            shutil.rmtree(snapshots.home(contract.root) / contract.name, ignore_errors=True)
        elif before is not None and _dvc_text(contract) != before:
            write_atomically(path, before)
    tracked = [contract for contract in halted if snapshots.dvc_file(contract).exists()]
    if tracked:
        files = [f"data/signals/{contract.name}.dvc" for contract in tracked]
        run_dvc(tracked[0].root, ["checkout", "--force", *files])
    for contract in halted:
        recorded = snapshots.recorded(contract)
        try:
            if recorded is not None:
                snapshots.is_here(contract, recorded)
        except UserError:  # the cache has not all of it; what is half there would look edited
            shutil.rmtree(snapshots.home(contract.root) / contract.name)
        snapshots.write_index(contract, {})  # last: killed before, it begins again


def pull(wanted: Sequence[tuple[Contract, Snapshot]]) -> None:
    """Under the lock: gets recorded snapshots from DVC's cache or its remote, where they are."""
    missing = [
        (contract, snapshot)
        for contract, snapshot in wanted
        if not snapshots.is_here(contract, snapshot)
    ]
    if missing:
        names = ", ".join(f"{contract.name} {snapshot.version}" for contract, snapshot in missing)
        log.info("getting %s with DVC", names)
        root = missing[0][0].root
        files = [snapshot.file.relative_to(root).as_posix() for _, snapshot in missing]
        if run_dvc(root, ["pull", *files]).returncode:
            log.info("DVC has no copy")


def _write(delivery: Delivery) -> Publication:
    """Puts new and changed partitions in place and removes others; DVC does not know them yet."""
    contract, contents = delivery.contract, delivery.contents
    recorded = snapshots.recorded(contract)
    in_place = _in_place(contract, recorded)
    written = tuple(name for name in delivery.partitions if in_place.get(name) != contents[name])
    folder = snapshots.home(contract.root) / contract.name
    removed = tuple(path.stem for path in sorted(folder.glob("*")) if path.stem not in contents)
    if recorded is not None and recorded.version != contract.version:
        versions.keep(contract, recorded)
    if written or removed:
        with _staged(delivery, written) as staging:
            snapshots.write_index(contract, {"publishing": True, "before": _dvc_text(contract)})
            _replace(folder, staging, written, removed)
    snapshot = _snapshot_of(delivery, recorded, folder)
    return Publication(snapshot, written, len(contents) - len(written), removed)


@contextlib.contextmanager
def _staged(delivery: Delivery, names: Sequence[str]) -> Iterator[Path]:
    """A folder beside the snapshots with these partitions; it is removed afterwards."""
    contract = delivery.contract
    staging = snapshots.home(contract.root) / ".index" / f"{contract.name}.staging"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        for name in names:
            write_rows(delivery.partitions[name], staging / f"{name}.parquet")
        yield staging
    finally:  # on a full disk, half of a snapshot would take the room that is needed
        shutil.rmtree(staging, ignore_errors=True)


def _replace(folder: Path, staging: Path, written: Sequence[str], removed: Sequence[str]) -> None:
    folder.mkdir(exist_ok=True)
    for name in written:
        (staging / f"{name}.parquet").replace(folder / f"{name}.parquet")
    for name in removed:
        for path in folder.glob(f"{name}*"):
            path.unlink()


def _snapshot_of(delivery: Delivery, recorded: Snapshot | None, folder: Path) -> Snapshot:
    """The snapshot that a delivery makes; its md5 follows when DVC has tracked it."""
    first_changed = min(delivery.changed(recorded), default=snapshots.LATER)
    return Snapshot(
        signal=delivery.contract.name,
        version=delivery.contract.version,
        md5="",
        content=delivery.content,
        rows=delivery.rows,
        folder=folder,
        last_event=delivery.last_event,
        partitions=dict(delivery.contents),
        schema_hash=snapshots.schema_hash(delivery.contract),
        file=snapshots.dvc_file(delivery.contract),
        contract=delivery.text,
        declared_changes={
            name: first_changed if since == snapshots.LATER else since
            for name, since in delivery.declared_changes.items()
        },
    )


def write_rows(rows: pl.DataFrame, path: Path) -> None:
    """Writes a partition's file; fixed options make the same bytes and md5 of the same rows."""
    rows.write_parquet(
        path, compression="zstd", compression_level=3, statistics=True, row_group_size=1 << 20
    )


def _in_place(contract: Contract, recorded: Snapshot | None) -> dict[str, str]:
    """Content hash by partition of the files that are in place and known to be as recorded."""
    if recorded is None or not snapshots.is_here(contract, recorded):
        return {}
    return dict(recorded.partitions)


def _record(contract: Contract, snapshot: Snapshot) -> Snapshot:
    """Writes the snapshot's record into its .dvc file, beside what DVC wrote there."""
    from ruamel.yaml import YAML
    from ruamel.yaml.scalarstring import LiteralScalarString

    path = snapshots.dvc_file(contract)
    writer = YAML()
    record = writer.load(path)
    meta = {
        "version": snapshot.version,
        "rows": snapshot.rows,
        "last_event": snapshot.last_event.isoformat() if snapshot.last_event else None,
        "content": snapshot.content,
        "promise": snapshot.schema_hash,
        **({"announced": dict(snapshot.declared_changes)} if snapshot.declared_changes else {}),
        "partitions": snapshot.partitions,
        "contract": LiteralScalarString(snapshot.contract),
    }
    if record.get("meta") != meta:
        record["meta"] = meta
        text = io.StringIO()
        writer.dump(record, text)
        write_atomically(path, text.getvalue())
    md5 = record["outs"][0]["md5"]
    snapshots.write_index(contract, {"md5": md5, "files": snapshots.stamps(snapshot.folder)})
    return replace(snapshot, md5=md5)


def _dvc_text(contract: Contract) -> str:
    """The text of the .dvc file; empty if there is none."""
    path = snapshots.dvc_file(contract)
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _tracked_files(contract: Contract) -> dict[str, bytes]:
    """The files that git keeps of a signal's snapshots, by path relative to the project."""
    data = contract.root / "data"
    paths = [
        *data.glob(f"signals/{contract.name}.dvc"),
        *data.glob(f"signals/{contract.name}.profile.json"),
        *(path for kind in ("dvc", "yaml", "json")
          for path in sorted(data.glob(f"versions/{contract.name}/*.{kind}"))),
    ]  # fmt: skip
    return {path.relative_to(contract.root).as_posix(): path.read_bytes() for path in paths}


def _dvc_failed(output: str) -> UserError:
    if "No module named 'dvc'" in output:
        return UserError("dvc is not installed: python -m pip install -r requirements.lock")
    errors = [line for line in output.splitlines() if line.startswith("ERROR: ")]
    reason = errors[0].removeprefix("ERROR: ") if errors else output.strip() or "it gave no reason"
    if blocker := re.search(r"is being blocked by:\s*\(PID (\d+)\): (.*)", output):
        reason = f"another DVC is at work here, process {blocker[1]}: {blocker[2]}"
    return UserError(f"dvc could not track the received data: {reason}\n"
                     "Put that right and run `python run.py task=ingest`.")  # fmt: skip
