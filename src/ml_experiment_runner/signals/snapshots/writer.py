"""Puts received rows in place as a snapshot: partitions, DVC, and the note on their content."""

import contextlib
import io
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from ml_experiment_runner.project.atomic import write_atomically
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.snapshots import profile_file, versions
from ml_experiment_runner.signals.snapshots import snapshot as snapshots
from ml_experiment_runner.signals.snapshots.snapshot import Snapshot

DVC = """
import os, sys, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
import psutil
def is_alive(pid):  # a killed process that nobody waits for, as in many containers, holds no lock
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
psutil.pid_exists = is_alive
from dvc.cli import main
sys.exit(main(sys.argv[1:]))
"""

# seconds in which somebody's own `dvc push` or `dvc status` may end
PATIENCE = 30

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivery:
    """What has come of a signal, and what its snapshot would be with it.

    Attributes:
        contract: What it was received under.
        text: The contract's text.
        fetched_rows: Rows that the source gave.
        partitions: Rows by partition: those that came.
        contents: Content hash by partition, also of those that stay as they are.
        rows: How many the snapshot would have.
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
        """The partitions that are new, or others than recorded."""
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
    """Under the lock: writes changed partitions, has DVC track them, and notes their content.

    Stopped anywhere, `restore` puts back what was there before.

    Returns:
        What publishing did, by signal; or what went wrong with one, which costs the others nothing.

    Raises:
        UserError: DVC cannot track them.
    """
    before = {each.contract.name: _texts(each.contract) for each in deliveries}
    written = {each.contract.name: _write(each) for each in deliveries}
    changed = [
        each.contract
        for each in deliveries
        if written[each.contract.name].written
        or written[each.contract.name].removed
        or not snapshots.dvc_file(each.contract).exists()
    ]
    with run.stage("track") if run and changed else contextlib.nullcontext():
        if changed:
            folders = [f"data/signals/{contract.name}" for contract in changed]
            added = dvc(changed[0].root, ["add", *folders])
            if added.returncode:
                raise _dvc_failed(added.stderr)
    published: dict[str, Publication | Exception] = {}
    for contract in (each.contract for each in deliveries):
        name = contract.name
        try:
            snapshot = _note(contract, written[name].snapshot)
            profile_file.write(contract, snapshot)
        except Exception as error:
            published[name] = error
            continue
        files = tuple(
            file for file, text in _texts(contract).items() if before[name].get(file) != text
        )
        published[name] = replace(written[name], snapshot=snapshot, files=files)
    return published


def restore(contracts: Sequence[Contract]) -> None:
    """Under the lock: puts back the snapshots that were being replaced when it was stopped."""
    halted = [contract for contract in contracts if snapshots.is_publishing(contract)]
    if not halted:
        return
    log.info("putting back %s: receiving was interrupted", ", ".join(c.name for c in halted))
    for contract in halted:
        path = snapshots.dvc_file(contract)
        before = snapshots.read_index(contract).get("before")
        if before == "":  # nothing was there, and what is there was never whole
            path.unlink(missing_ok=True)
            shutil.rmtree(snapshots.home(contract.root) / contract.name, ignore_errors=True)
        elif before is not None and _text(contract) != before:
            write_atomically(path, before)
    tracked = [contract for contract in halted if snapshots.dvc_file(contract).exists()]
    if tracked:
        files = [f"data/signals/{contract.name}.dvc" for contract in tracked]
        dvc(tracked[0].root, ["checkout", "--force", *files])
    for contract in halted:
        recorded = snapshots.recorded(contract)
        try:
            if recorded is not None:
                snapshots.is_here(contract, recorded)
        except UserError:  # the cache has not all of it; what is half there would look edited
            shutil.rmtree(snapshots.home(contract.root) / contract.name)
        snapshots.write_index(contract, {})  # last: killed before, it begins again


def pull(snapshots_wanted: Sequence[tuple[Contract, Snapshot]]) -> None:
    """Under the lock: gets recorded snapshots from DVC's cache or its remote, where they are."""
    missing = [
        (contract, each)
        for contract, each in snapshots_wanted
        if not snapshots.is_here(contract, each)
    ]
    if missing:
        names = ", ".join(f"{contract.name} {each.version}" for contract, each in missing)
        log.info("getting %s with DVC", names)
        root = missing[0][0].root
        files = [each.file.relative_to(root).as_posix() for _, each in missing]
        if dvc(root, ["pull", *files]).returncode:
            log.info("DVC has no copy")


def dvc(root: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """DVC as a process of its own: importing it would cost every run half a second."""

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        # the pipe's other end closes with this process, however it ends, and DVC ends with it:
        # one that went on alone would track what the next run is putting in place
        reading, writing = os.pipe()
        try:
            return subprocess.run(
                [sys.executable, "-c", DVC, *words],
                cwd=root,
                env={**os.environ, "DVC_NO_ANALYTICS": "1"},
                stdin=reading,
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            os.close(reading)
            os.close(writing)

    done = call(*arguments)
    if "Unable to read RWLock-file" in done.stderr:
        # cut off by a kill while DVC wrote it; it only says who is at work, and nobody is
        log.info("DVC was killed while it wrote .dvc/tmp/rwlock: starting that file anew")
        (root / ".dvc" / "tmp" / "rwlock").unlink(missing_ok=True)
        done = call(*arguments)
    until = time.monotonic() + PATIENCE
    while " is busy, it is being blocked by" in done.stderr and time.monotonic() < until:
        log.info("waiting for another DVC that is at work here")
        time.sleep(1)
        done = call(*arguments)
    if "is not a git repository" in done.stderr:
        log.info("no git repository here: telling DVC to work without (.dvc/config.local)")
        call("config", "--local", "core.no_scm", "true")
        done = call(*arguments)
    return done


def _write(delivery: Delivery) -> Publication:
    """Puts changed partitions in place; their names are the only thing still to be tracked."""
    contract, partitions, contents = delivery.contract, delivery.partitions, delivery.contents
    recorded = snapshots.recorded(contract)
    here = _here(contract, recorded)
    written = tuple(name for name in partitions if here.get(name) != contents[name])
    folder = snapshots.home(contract.root) / contract.name
    removed = tuple(path.stem for path in sorted(folder.glob("*")) if path.stem not in contents)
    if recorded is not None and recorded.version != contract.version:
        versions.keep(contract, recorded)
    if written or removed:
        staging = snapshots.home(contract.root) / ".index" / f"{contract.name}.staging"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        try:
            for name in written:
                write_rows(partitions[name], staging / f"{name}.parquet")
        except BaseException:  # on a full disk, half of a snapshot would keep what is needed
            shutil.rmtree(staging, ignore_errors=True)
            raise
        snapshots.write_index(contract, {"publishing": True, "before": _text(contract)})
        folder.mkdir(exist_ok=True)
        for name in written:
            (staging / f"{name}.parquet").replace(folder / f"{name}.parquet")
        for name in removed:
            for path in folder.glob(f"{name}*"):
                path.unlink()
        shutil.rmtree(staging)
    changed = delivery.changed(recorded)
    first = min(changed, default=snapshots.LATER)
    draft = Snapshot(
        signal=contract.name,
        version=contract.version,
        md5="",
        content=delivery.content,
        rows=delivery.rows,
        folder=folder,
        last_event=delivery.last_event,
        partitions=dict(contents),
        schema_hash=snapshots.schema_hash(contract),
        file=snapshots.dvc_file(contract),
        contract=delivery.text,
        declared_changes={
            name: first if since == snapshots.LATER else since
            for name, since in delivery.declared_changes.items()
        },
    )
    return Publication(draft, written, len(contents) - len(written), removed)


def write_rows(rows: pl.DataFrame, path: Path) -> None:
    """A partition's file; with fixed options, for the same rows make the same bytes and md5."""
    rows.write_parquet(
        path, compression="zstd", compression_level=3, statistics=True, row_group_size=1 << 20
    )


def _here(contract: Contract, recorded: Snapshot | None) -> dict[str, str]:
    """Content of the partitions that are in place and known to be as recorded."""
    if recorded is None or not snapshots.is_here(contract, recorded):
        return {}
    return dict(recorded.partitions)


def _note(contract: Contract, draft: Snapshot) -> Snapshot:
    """Writes into the .dvc file what the snapshot is, beside what DVC wrote there."""
    from ruamel.yaml import YAML
    from ruamel.yaml.scalarstring import LiteralScalarString

    path = snapshots.dvc_file(contract)
    writer = YAML()
    record = writer.load(path)
    meta = {
        "version": draft.version,
        "rows": draft.rows,
        "last_event": draft.last_event.isoformat() if draft.last_event else None,
        "content": draft.content,
        "promise": draft.schema_hash,
        **({"announced": dict(draft.declared_changes)} if draft.declared_changes else {}),
        "partitions": draft.partitions,
        "contract": LiteralScalarString(draft.contract),
    }
    if record.get("meta") != meta:
        record["meta"] = meta
        text = io.StringIO()
        writer.dump(record, text)
        write_atomically(path, text.getvalue())
    md5 = record["outs"][0]["md5"]
    snapshots.write_index(contract, {"md5": md5, "files": snapshots.stamps(draft.folder)})
    return replace(draft, md5=md5)


def _text(contract: Contract) -> str:
    """The .dvc file as it is; empty if there is none."""
    path = snapshots.dvc_file(contract)
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _texts(contract: Contract) -> dict[str, bytes]:
    """What git keeps of a signal's snapshots, by path relative to the project."""
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
