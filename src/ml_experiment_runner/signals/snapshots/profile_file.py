"""Profiles as texts: small, beside the `.dvc` file, in git.

Only partitions that changed are read again, and one at a time.
"""

import json
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from ml_experiment_runner.project import repository
from ml_experiment_runner.project.atomic import write_atomically
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.contract.contract import Contract, Field
from ml_experiment_runner.signals.snapshots import versions
from ml_experiment_runner.signals.snapshots.profile import (
    DAY,
    LEVELS,
    ColumnProfile,
    PartitionProfile,
    Profile,
    measure,
    moment,
    show,
)
from ml_experiment_runner.signals.snapshots.snapshot import Snapshot, home


def path(contract: Contract) -> Path:
    """Where the profile of a signal's current snapshot is."""
    return home(contract.root) / f"{contract.name}{versions.PROFILE}"


def of(contract: Contract, snapshot: Snapshot) -> Profile:
    """The profile of a snapshot; a partition that its last profile knows is not read again."""
    fields = {field.name: _attributes(field) for field in contract.fields}
    try:
        last = read(path(contract))
    except UserError:
        last = None
    known = last.partitions if last and last.fields == fields else {}
    partitions = {}
    for name, content in sorted(snapshot.partitions.items()):
        part = known.get(name)
        if part is None or part.content != content:
            rows = pl.read_parquet(snapshot.folder / f"{name}.parquet", glob=False)
            part = measure(contract, rows, content)
        partitions[name] = part
    return Profile(
        snapshot.signal, snapshot.version, snapshot.md5, snapshot.content, fields, partitions
    )


def write(contract: Contract, snapshot: Snapshot) -> Path:
    """Writes a snapshot's profile beside its `.dvc` file; the same snapshot makes the same text."""
    target = path(contract)
    text = _text(of(contract, snapshot))
    if not target.exists() or target.read_bytes() != text.encode():
        write_atomically(target, text)
    return target


def read(file: Path) -> Profile:
    """The profile in a file.

    Raises:
        UserError: There is none, or it is none that this version of the runner has written.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read ({error})") from None
    return parse(text, str(file))


def parse(text: str, place: str) -> Profile:
    """The profile in a text.

    Args:
        text: As `write` has written it.
        place: How an error names it.

    Raises:
        UserError: It is none that this version of the runner has written.
    """
    try:
        entries = json.loads(text)
        if entries["levels"] != list(LEVELS):
            raise ValueError("other quantiles")
        return Profile(
            entries["signal"],
            entries["version"],
            entries["md5"],
            entries["content"],
            fields=entries["fields"],
            partitions={
                name: _part(partition, entries["fields"])
                for name, partition in entries["partitions"].items()
            },
        )
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"{place} is not a profile that this version can read ({error!r}); write it anew: "
            "python run.py task=ingest"
        ) from None


def current(contract: Contract) -> Profile:
    """The profile of a signal's current snapshot.

    Raises:
        UserError: It has none yet.
    """
    file = path(contract)
    if not file.exists():
        raise contract.mistake(
            "its profile does not exist yet",
            f"Ingest it: python run.py task=ingest signals=[{contract.name}]",
        )
    return read(file)


def find(contract: Contract, word: str) -> tuple[Profile, str]:
    """The profile of a version or git revision, and its name.

    Raises:
        UserError: There is none; names the versions that there are.
    """
    file = path(contract)
    if file.exists() and (now := read(file)).version == word:
        return now, word
    versions_kept = kept(contract)
    if word in versions_kept:
        return read(versions_kept[word]), word
    text = repository.git(file.parent, "show", f"{word}:./{file.name}")
    if text is None:
        received = [read(file).version] if file.exists() else []
        known = ", ".join(dict.fromkeys([*versions_kept, *received]))
        raise contract.mistake(
            f"unknown version '{word}'",
            f"Write one of its versions ({known or 'none'}) or a git revision with {file.name}",
        )
    profile = parse(text, f"{file.name} at {word}")
    return profile, f"{profile.version} ({word})"


def before(contract: Contract, new: Profile) -> tuple[Profile, str]:
    """The profile of the version before, or the previous one in git, and its name.

    Raises:
        UserError: There is none.
    """
    others = {name: file for name, file in kept(contract).items() if name != new.version}
    if others:
        version = list(others)[-1]
        return read(others[version]), version
    file = path(contract)
    log = repository.git(file.parent, "log", "-n", "20", "--format=%h", "--", file.name)
    for revision in (log or "").split():
        previous = find(contract, revision)
        if previous[0].content != new.content:
            return previous
    raise contract.mistake(
        f"version {new.version} is its only one, so there is nothing to compare it with",
        "A version is kept when the next one is ingested",
    )


def kept(contract: Contract) -> dict[str, Path]:
    """Profiles of former versions, the oldest first."""
    files = {
        file.name.removesuffix(versions.PROFILE): file
        for file in versions.folder(contract).glob(f"*{versions.PROFILE}")
    }
    return {version: files[version] for version in sorted(files, key=versions.numbers)}


def _attributes(field: Field) -> dict[str, Any]:
    """What a contract says of a field and a comparison shows."""
    attributes = {
        "type": field.type,
        "unit": field.unit,
        "required": field.required,
        "key": field.key,
        "classification": field.classification,
    }
    return {name: value for name, value in attributes.items() if value}


def _text(profile: Profile) -> str:
    entries = {
        "signal": profile.signal,
        "version": profile.version,
        "md5": profile.md5,
        "content": profile.content,
        "levels": list(LEVELS),
        "fields": profile.fields,
        "whole": _written(profile.whole, profile.fields) if profile.partitions else {},
        "partitions": {
            name: {"content": part.content, **_written(part, profile.fields)}
            for name, part in profile.partitions.items()
        },
    }
    return _layout(entries) + "\n"


def _written(part: PartitionProfile, fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    correlations: dict[str, dict[str, float]] = {}
    for (first, second), value in part.correlations.items():
        correlations.setdefault(first, {})[second] = round(value, 3)
    columns = {}
    for name, column in part.columns.items():
        kind = fields[name]["type"]
        figures: dict[str, Any] = {"nulls": column.nulls}
        if column.mean is not None:
            figures["mean"] = _value(column.mean, "number")
        if column.deviation is not None:
            figures["deviation"] = _value(column.deviation, "number")
        if column.quantiles:
            figures["quantiles"] = [_value(value, kind) for value in column.quantiles]
        if column.distinct is not None or column.others:
            figures |= {"distinct": column.distinct, "top": column.top, "others": column.others}
        columns[name] = figures
    return {"rows": part.rows, "columns": columns, "correlations": correlations}


def _part(entries: Mapping[str, Any], fields: Mapping[str, Mapping[str, Any]]) -> PartitionProfile:
    columns = {}
    for name, column in entries["columns"].items():
        kind = fields[name]["type"]
        quantiles = tuple(_number(value, kind) for value in column.get("quantiles", ()))
        columns[name] = ColumnProfile(**{**column, "quantiles": quantiles})
    correlations = {
        (first, second): value
        for first, others in entries["correlations"].items()
        for second, value in others.items()
    }
    return PartitionProfile(entries["rows"], columns, correlations, entries["content"])


def _value(value: float, kind: str) -> int | float | str:
    """A number as the text holds it: a time so that a person can read it."""
    if kind == "timestamp":
        return f"{moment(value):%Y-%m-%dT%H:%M:%S}Z"
    if kind == "date":
        return show(value, kind)
    return int(value) if value == int(value) and abs(value) < 1e15 else value


def _number(value: float | str, kind: str) -> float:
    if kind == "timestamp":
        return datetime.fromisoformat(str(value)).timestamp()
    if kind == "date":
        return float((date.fromisoformat(str(value)) - date(1970, 1, 1)).days * DAY)
    return float(value)


def _layout(value: Any, indent: str = "") -> str:
    """JSON with a line for each field of each partition, so that a difference is readable."""
    if not isinstance(value, dict) or "nulls" in value or not any(
        isinstance(entry, dict) for entry in value.values()
    ):  # fmt: skip
        return json.dumps(value, ensure_ascii=False)
    lines = [
        f"{indent} {json.dumps(key, ensure_ascii=False)}: {_layout(entry, indent + ' ')}"
        for key, entry in value.items()
    ]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
