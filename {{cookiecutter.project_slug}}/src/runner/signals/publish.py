"""Puts received rows in place as a snapshot: partitions, DVC, and the note on their content."""

import contextlib
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from runner.errors import UserError
from runner.record.run import Run
from runner.signals import snapshot as snapshots
from runner.signals.contract import Contract
from runner.signals.snapshot import Snapshot

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


def publish(
    received: Mapping[str, tuple[Contract, pl.DataFrame]], run: Run | None
) -> dict[str, Publication]:
    """Under the lock: writes changed partitions, has DVC track them, and notes their content.

    Raises:
        UserError: DVC cannot track them.
    """
    before = {name: _text(contract) for name, (contract, _) in received.items()}
    published = {name: _write(*each) for name, each in received.items()}
    changed = [
        contract
        for name, (contract, _) in received.items()
        if published[name].written or published[name].removed or not before[name]
    ]
    with run.stage("track") if run and changed else contextlib.nullcontext():
        if changed:
            folders = [f"data/signals/{contract.name}" for contract in changed]
            added = dvc(changed[0].root, ["add", *folders])
            if added.returncode:
                raise _dvc_failed(added.stderr)
    for name, (contract, _) in received.items():
        snapshot = _note(contract, published[name].snapshot)
        is_new = _text(contract) != before[name]
        published[name] = replace(published[name], snapshot=snapshot, is_new=is_new)
    return published


def dvc(root: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
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


def _dvc_failed(output: str) -> UserError:
    if "No module named dvc" in output:
        return UserError("dvc is not installed: python -m pip install -r requirements.lock")
    errors = [line for line in output.splitlines() if line.startswith("ERROR: ")]
    reason = errors[0].removeprefix("ERROR: ") if errors else output.strip() or "it gave no reason"
    return UserError(f"dvc could not track the received data: {reason}\n"
                     "Put that right and run `python run.py task=ingest`.")  # fmt: skip
