"""Snapshots: Parquet partitions under `data/signals/`, each signal tracked by DVC.

`data/signals/<name>.dvc` holds DVC's md5 of the files and, under `meta`, what makes a snapshot the
same one whatever wrote its files: a hash of the content of each partition.
"""

import dataclasses
import enum
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from ml_experiment_runner.project.atomic import write_atomically
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.text import enumerated
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.odcs.yaml_document import Loader

LATER = "~"  # sorts after the name of every partition


class State(enum.Enum):
    """The state of a signal's snapshot."""

    READY = "ready"
    ABSENT = "never received"
    MISSING = "recorded, but its files are not here or are of an older record"
    INTERRUPTED = "receiving it was interrupted"
    OUTGROWN = "the contract has changed since it was received"


@dataclass(frozen=True)
class Snapshot:
    """An immutable ingested copy of a signal.

    Attributes:
        signal: Its name.
        version: The version of its contract.
        md5: DVC's md5 of the files; with the version, the snapshot's identity.
        content: Hash of the rows, whatever wrote the files.
        rows: Number of rows.
        folder: The folder of the partitions.
        last_event: The newest event time.
        partitions: Content hash by partition.
        schema_hash: Hash of the contract's fields, key, time zone and null values.
        file: The .dvc file.
        contract: The contract's text; empty for snapshots that are older than this note.
        declared_changes: By field that a new version of the contract changed, the first partition
            under that version; LATER where it is still to come.
    """

    signal: str
    version: str
    md5: str
    content: str
    rows: int
    folder: Path
    last_event: datetime | None
    partitions: dict[str, str]
    schema_hash: str
    file: Path = Path()
    contract: str = ""
    declared_changes: Mapping[str, str] = dataclasses.field(default_factory=dict)


def home(root: Path) -> Path:
    """The folder of all snapshots."""
    return root / "data" / "signals"


def current(contract: Contract) -> Snapshot | None:
    """The snapshot, if it is here, complete and as recorded; None if it has to be ingested.

    Raises:
        UserError: The files differ from the record: they were changed by hand.
    """
    state, snapshot = state_of(contract)
    return snapshot if state is State.READY else None


def scan(snapshot: Snapshot) -> pl.LazyFrame:
    """The rows, in order of partition and key."""
    return pl.scan_parquet(sorted(snapshot.folder.glob("*.parquet")), glob=False)


def state_of(contract: Contract) -> tuple[State, Snapshot | None]:
    """The state of a signal, and its recorded snapshot if there is one.

    Raises:
        UserError: The files differ from the record: they were changed by hand.
    """
    snapshot = recorded(contract)
    if is_publishing(contract):
        return State.INTERRUPTED, snapshot
    if snapshot is None:
        return State.ABSENT, None
    here = is_here(contract, snapshot)
    if (snapshot.version, snapshot.schema_hash) != (contract.version, schema_hash(contract)):
        return State.OUTGROWN, snapshot
    return (State.READY if here else State.MISSING), snapshot


def is_publishing(contract: Contract) -> bool:
    """Whether the files are being replaced, or were when a run was killed."""
    return bool(read_index(contract).get("publishing"))


def is_here(contract: Contract, snapshot: Snapshot) -> bool:
    """Whether a snapshot's files are in place.

    Raises:
        UserError: They are, and differ from the record: they were changed by hand.
    """
    version = "" if snapshot.file == dvc_file(contract) else snapshot.version
    index = read_index(contract, version)
    files = stamps(snapshot.folder)
    if files and files != index.get("files"):
        try:
            manifest = {name: _md5(snapshot.folder / name) for name in sorted(files)}
        except FileNotFoundError:  # somebody is replacing them
            return False
        index = {"md5": _directory_md5(manifest), "files": files}
        if index["md5"] != snapshot.md5:
            raise _changed(contract.root, snapshot, manifest)
        if version or not is_publishing(contract):  # or `restore` would not know what to put back
            write_index(contract, index, version)
    return bool(files) and index["md5"] == snapshot.md5


def schema_hash(contract: Contract) -> str:
    """Hash of the entries of a contract that decide how its rows are read."""
    fields: list[object] = []
    for field in contract.fields:
        read = [field.physical_name, field.format, field.time_zone]
        while read and read[-1] is None:  # hashes of earlier versions stay as they are
            read.pop()
        fields.append([field.name, field.type, field.required, *read])
    identity: list[object] = [fields, contract.key, contract.event_time, contract.time_zone]
    if contract.null_values:  # not if there are none: recorded hashes stay as they are
        identity.append(sorted(contract.null_values))
    return hashlib.blake2b(json.dumps(identity).encode(), digest_size=8).hexdigest()


def by_partition(contract: Contract, frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The rows by partition: the event's month in the contract's time zone, or `all`."""
    if contract.event_time is None or frame.is_empty():
        return {"all": frame}
    local = pl.col(contract.event_time).dt.convert_time_zone(contract.time_zone)
    month = (local.dt.year() * 100 + local.dt.month()).alias("")
    parts = frame.with_columns(month).partition_by("", as_dict=True, include_key=False)
    return {f"{int(key) // 100:04}-{int(key) % 100:02}": parts[(key,)] for (key,) in sorted(parts)}


def content_hash(frame: pl.DataFrame) -> str:
    """Hash of names, types and values in order; the same on every machine and polars version."""
    import numpy as np

    digest = hashlib.blake2b(digest_size=16)
    for series in frame:
        digest.update(f"{series.name}\0{series.dtype}\0{len(series)}\0".encode())
        digest.update(np.packbits(series.is_null().to_numpy()).tobytes())
        if series.dtype == pl.String:
            texts = series.fill_null("")
            digest.update(texts.str.len_bytes().to_numpy().astype("<u4").tobytes())
            digest.update("".join(texts).encode())
        else:
            values = series.cast(pl.Int8) if series.dtype == pl.Boolean else series.to_physical()
            numbers = values.fill_null(0).to_numpy()
            digest.update(numbers.astype(numbers.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()


def combined_hash(contents: Mapping[str, str]) -> str:
    """One hash of the partitions' hashes."""
    text = json.dumps(sorted(contents.items()))
    return "blake2b:" + hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def read_index(contract: Contract, version: str = "") -> dict[str, Any]:
    """What was last seen of the files; it saves hashing them at every run.

    Args:
        contract: The signal's contract.
        version: The kept version that is asked for; empty for the current snapshot.
    """
    try:
        index: dict[str, Any] = json.loads(_index_path(contract, version).read_bytes())
    except (OSError, ValueError):
        return {}
    return index


def write_index(contract: Contract, index: Mapping[str, Any], version: str = "") -> None:
    """Notes what was seen of the files."""
    path = _index_path(contract, version)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(index))


def stamps(folder: Path) -> dict[str, list[int]]:
    """Size and time of change of every file in a snapshot's folder."""
    try:
        with os.scandir(folder) as entries:
            stats = {entry.name: entry.stat() for entry in entries}
    except FileNotFoundError:
        return {}
    return {name: [stat.st_size, stat.st_mtime_ns] for name, stat in sorted(stats.items())}


def dvc_file(contract: Contract) -> Path:
    """The file that git keeps of a snapshot."""
    return home(contract.root) / f"{contract.name}.dvc"


def _index_path(contract: Contract, version: str) -> Path:
    name = f"{contract.name}@{version}" if version else contract.name
    return home(contract.root) / ".index" / f"{name}.json"


def recorded(contract: Contract) -> Snapshot | None:
    """The current snapshot as it is recorded, whether or not its files are here."""
    path = dvc_file(contract)
    index = read_index(contract)
    if index.get("publishing") and "before" in index:
        return read_record(contract, path, index["before"])
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return read_record(contract, path, text)


def read_record(contract: Contract, path: Path, text: str) -> Snapshot | None:
    """The snapshot that a .dvc file's text records; None if it records none.

    Raises:
        UserError: It is not a valid record.
    """
    if not text:
        return None
    try:
        record = Loader(text).get_single_data()
        meta, out = record.get("meta"), record["outs"][0]
        if meta is None:  # tracked, but the note on its content was not written any more
            return None
        return Snapshot(
            signal=contract.name,
            version=str(meta["version"]),
            md5=out["md5"],
            content=meta["content"],
            rows=meta["rows"],
            folder=path.parent / str(out["path"]),
            last_event=datetime.fromisoformat(meta["last_event"]) if meta["last_event"] else None,
            partitions=meta["partitions"],
            schema_hash=str(meta["promise"]),
            file=path,
            contract=meta.get("contract", ""),
            declared_changes=meta.get("announced", {}),
        )
    except (yaml.YAMLError, LookupError, TypeError, AttributeError, ValueError) as error:
        place = path.relative_to(contract.root).as_posix()
        reason = getattr(error, "problem", None) or repr(error)
        raise UserError(
            f"{place} is not a valid snapshot record ({reason}; edited by hand, or a bad merge?)\n"
            f"Restore it: git checkout HEAD -- {place}; during a merge add --ours or --theirs."
        ) from None


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _directory_md5(manifest: Mapping[str, str]) -> str:
    """DVC's md5 of a directory."""
    entries = [{"md5": manifest[name], "relpath": name} for name in sorted(manifest)]
    text = json.dumps(entries, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + ".dir"


def _changed(root: Path, recorded: Snapshot, manifest: Mapping[str, str]) -> UserError:
    """The error for files that differ from the record; names them if DVC's cache is here."""
    folder = recorded.folder.relative_to(root).as_posix()
    listing = root / ".dvc/cache/files/md5" / recorded.md5[:2] / recorded.md5[2:]
    names = ""
    if listing.is_file():
        was = {entry["relpath"]: entry["md5"] for entry in json.loads(listing.read_bytes())}
        differing = sorted(
            name for name in was | dict(manifest) if was.get(name) != manifest.get(name)
        )
        names = f" ({enumerated(differing, 3)})"
    return UserError(
        f"signal {recorded.signal}: the files in {folder}{names} were changed by hand after they "
        f"were received.\nRestore them: python -m dvc checkout --force {folder}.dvc"
    )
