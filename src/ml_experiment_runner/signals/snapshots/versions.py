"""Versions of a signal side by side, and what a new one may change.

The current snapshot lies in `data/signals/`. When one comes under a new version of the contract,
record and contract of the former stay in `data/versions/<signal>/`; its rows are in DVC's cache.
"""

import io
import logging
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ml_experiment_runner.project.atomic import write_atomically
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.suggestions import nearest
from ml_experiment_runner.signals.contract.contract import Contract, Field
from ml_experiment_runner.signals.contract.contract_file import contract_of
from ml_experiment_runner.signals.odcs.quality_rules import Rule
from ml_experiment_runner.signals.odcs.yaml_document import parse
from ml_experiment_runner.signals.snapshots import snapshot as snapshots
from ml_experiment_runner.signals.snapshots.snapshot import Snapshot

MAJOR, MINOR, PATCH = range(3)
PROFILE = ".profile.json"  # of a version, beside its .dvc file

log = logging.getLogger(__name__)


class VersionChange(NamedTuple):
    """A difference between two contracts of a signal.

    Attributes:
        level: MAJOR if it breaks what readers of the data rely on, MINOR if it adds something.
        what: In words.
        field: The field that it concerns, if it is one.
    """

    level: int
    what: str
    field: str | None = None


def changes(before: Contract, now: Contract) -> list[VersionChange]:
    """The changes that matter to readers of the data, breaking ones first.

    What was promised may not become another promise without a major version, in either direction:
    a wider range breaks who relied on it, a narrower one is not kept by the rows of before.
    """
    result = list(_of_the_table(before, now))
    for name in before.names:
        if name not in now.names:
            result.append(VersionChange(MAJOR, f"the field '{name}' was removed", name))
        else:
            result += _of_a_field(before.field(name), now.field(name))
    added = [name for name in now.names if name not in before.names]
    result += [VersionChange(MINOR, f"the field '{name}' was added", name) for name in added]
    return sorted(result, key=lambda change: change.level)


def _of_the_table(before: Contract, now: Contract) -> Iterator[VersionChange]:
    for what, old, new in (
        ("the key", ", ".join(before.key), ", ".join(now.key)),
        ("the event time", before.event_time, now.event_time),
        ("the time zone", before.time_zone, now.time_zone),
        ("the model whose output it is", before.model, now.model),
    ):
        if old != new:
            yield VersionChange(MAJOR, f"{what} changed from {old or 'none'} to {new or 'none'}")
    yield from _of_rules(before.rules, now.rules, "", None)


def _of_a_field(before: Field, now: Field) -> Iterator[VersionChange]:
    def change(level: int, what: str, old: object, new: object) -> VersionChange:
        return VersionChange(level, f"{what} of '{now.name}' changed from {old} to {new}", now.name)

    if before.type != now.type:
        yield change(MAJOR, "the type", before.type, now.type)
    for what, was, becomes in (
        ("'required'", before.required, now.required),
        ("'knownAfterEvent'", before.known_after_event, now.known_after_event),
    ):
        if was != becomes:
            yield change(MAJOR, what, str(was).lower(), str(becomes).lower())
    for what, old, new in (
        ("the unit", before.unit, now.unit),
        ("the minimum", before.minimum, now.minimum),
        ("the maximum", before.maximum, now.maximum),
        ("the exclusive minimum", before.exclusive_minimum, now.exclusive_minimum),
        ("the exclusive maximum", before.exclusive_maximum, now.exclusive_maximum),
        ("the earliest", before.earliest, now.earliest),
        ("the latest", before.latest, now.latest),
        ("the bound before", before.after, now.after),
        ("the bound after", before.before, now.before),
        ("'multipleOf'", before.multiple_of, now.multiple_of),
        ("'minLength'", before.length[0], now.length[0]),
        ("'maxLength'", before.length[1], now.length[1]),
        ("the pattern", before.pattern, now.pattern),
        ("the format", before.text_format, now.text_format),
        ("'unique'", before.unique or None, now.unique or None),
        ("the list of values", before.allowed or None, now.allowed or None),
    ):
        if old != new:  # a first promise takes nothing from anybody
            level = MINOR if old is None else MAJOR
            shown = [
                "none" if value is None
                else ", ".join(value) if isinstance(value, tuple)
                else f"{value:g}" if isinstance(value, float)
                else value
                for value in (old, new)
            ]  # fmt: skip
            yield change(level, what, *shown)
    yield from _of_rules(before.rules, now.rules, f" of '{now.name}'", now.name)


def _of_rules(
    before: tuple[Rule, ...], now: tuple[Rule, ...], place: str, field: str | None
) -> Iterator[VersionChange]:
    """Quality rules that are gone, and new ones; how large a tolerated share is, readers ignore."""
    old, new = ({replace(rule, bounds=()) if rule.tolerated else rule: rule for rule in rules}
                for rules in (before, now))  # fmt: skip
    for level, what, rules, others in (
        (MAJOR, "was removed", old, new),
        (MINOR, "was added", new, old),
    ):
        for tolerant, rule in rules.items():
            if tolerant not in others:
                yield VersionChange(level, f"the rule{place} '{rule}' {what}", field)


def check(before: Contract, now: Contract) -> None:
    """Whether a contract's version says what has changed in it.

    Raises:
        UserError: It does not; names the reason and the version to write.
    """
    old, new = numbers(before.version), numbers(now.version)
    # a draft promises nothing yet, and the order of versions without numbers is unknown
    if not old or not new or before.status in ("proposed", "draft"):
        return
    if new < old:
        raise _refused(now, f"its version must not go down, from {before.version} to {now.version}",
                       before.version)  # fmt: skip
    differences = changes(before, now)
    if not differences:
        return
    gravest = differences[0]
    level = next((place for place in range(3) if old[place] != new[place]), PATCH + 1)
    # before 1.0.0 nothing is promised yet: there a minor version may break
    needed = gravest.level if old[0] > 0 else max(gravest.level, MINOR)
    if level > needed:
        raised = [*old[:needed], old[needed] + 1, *[0] * (PATCH - needed)]
        kind = "a breaking change" if gravest.level == MAJOR else "more than a patch"
        version = f"version {now.version}" + (", as before" if new == old else "")
        raise _refused(
            now, f"{gravest.what}, which is {kind}, under {version}", ".".join(map(str, raised))
        )


def declared_changes(before: Contract, now: Contract) -> set[str]:
    """Fields of which a new version says that they are others than before."""
    if numbers(before.version) == numbers(now.version):
        return set()
    fields = (change.field for change in changes(before, now))
    return {name for name in fields if name is not None and name in now.names}


def contract_then(snapshot: Snapshot, today: Contract) -> Contract | None:
    """The contract of a snapshot, if its text was kept and can be read."""
    if not snapshot.contract:
        return None
    try:
        return contract_of(parse(snapshot.contract, today.path), today.path).complete()
    except UserError as error:
        log.warning("signal %s: the contract of version %s can no longer be read (%s)",
                    today.name, snapshot.version, error)  # fmt: skip
        return None


def kept(contract: Contract) -> dict[str, Path]:
    """The .dvc files of a signal's versions, by version; the current one is among them."""
    files = {path.stem: path for path in sorted(folder(contract).glob("*.dvc"))}
    current = snapshots.recorded(contract)
    return files | ({current.version: current.file} if current else {})


def pinned(contract: Contract, version: str) -> tuple[Contract, Snapshot]:
    """Contract and snapshot of a version.

    Raises:
        UserError: The version is unknown; names the nearest.
    """
    files = kept(contract)
    if version not in files:
        raise UserError(f"dataset.pin.{contract.name}: unknown version '{version}'. "
                        f"{nearest(version, files)}")  # fmt: skip
    path = files[version]
    snapshot = snapshots.recorded(contract)
    if snapshot is None or path != snapshot.file:
        snapshot = snapshots.read_record(contract, path, path.read_text(encoding="utf-8"))
    assert snapshot is not None
    of_then = contract_then(snapshot, contract)
    return of_then or replace(contract, version=version), snapshot


def keep(contract: Contract, snapshot: Snapshot) -> None:
    """Keeps record and contract of a snapshot that one of a new version is about to replace."""
    from ruamel.yaml import YAML

    place = folder(contract)
    place.mkdir(parents=True, exist_ok=True)
    writer = YAML()
    record = writer.load(snapshot.file)
    record["outs"][0]["path"] = snapshot.version
    profile = snapshot.file.with_suffix(PROFILE)
    if profile.exists():
        text = profile.read_text(encoding="utf-8")
        write_atomically(place / f"{snapshot.version}{PROFILE}", text)
    if snapshot.contract:
        write_atomically(place / f"{snapshot.version}.yaml", snapshot.contract)
    stream = io.StringIO()
    writer.dump(record, stream)
    # last: what is named can be read
    write_atomically(place / f"{snapshot.version}.dvc", stream.getvalue())


def folder(contract: Contract) -> Path:
    """Where a signal's former versions are kept."""
    return contract.root / "data" / "versions" / contract.name


def numbers(version: str) -> tuple[int, ...]:
    """A version's three numbers, to be compared: 1.2 has 1, 2 and 0; empty where it has none."""
    match = re.fullmatch(r"v?(\d{1,18})(?:\.(\d{1,18}))?(?:\.(\d{1,18}))?", version)
    return tuple(int(number or 0) for number in match.groups()) if match else ()


def _refused(contract: Contract, what: str, version: str) -> UserError:
    return contract.mistake(
        what, f"Write version: {version} in signals/{contract.path.name}, or take the change back"
    )
