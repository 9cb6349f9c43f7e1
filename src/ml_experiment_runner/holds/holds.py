"""Holds: one file in `holds/` for everything that waits for a person's decision.

Git keeps the files, so that a team sees the same holds and each decision stays with its reason. The
same delivery always opens the same hold, on whatever machine it is found.
"""

import hashlib
import itertools
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ml_experiment_runner.project.atomic import write_atomically
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.secrets import mask_within
from ml_experiment_runner.project.suggestions import nearest

OPEN, RELEASED, REJECTED, SUPERSEDED = "open", "released", "rejected", "superseded"


@dataclass(frozen=True)
class Violation:
    """One check that a delivery fails.

    Attributes:
        kind: The check, such as `range`, `nulls` or `distribution`.
        field: The field; None if it concerns whole rows.
        message: What was found and what was expected, with numbers, in one line.
        partition: The first partition that fails it.
        also: The other ones.
    """

    kind: str
    field: str | None
    message: str
    partition: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hold:
    """A delivery or threshold that is not used until a person has decided.

    Attributes:
        id: Names it everywhere.
        subject: The signal; of a threshold `threshold-<experiment>`.
        version: The contract's version that the delivery came under; the threshold's policy.
        last_good: Content of the snapshot that stays current, or the run whose threshold stays in
            force; `none` before the first.
        owner: Who can explain it, and how they are reached.
        opened: When, in UTC.
        partition: Where the first violation begins.
        violations: The checks that it fails.
        delivery: Content hashes of the deliveries that were held here, the latest last; of a
            threshold the hash of its policy and rows.
        releasable: False for a delivery that cannot become a snapshot unless contract or data
            change.
        replaces: The hold that it superseded.
        status: `open`, `released`, `rejected`, or `superseded` by a later delivery.
        by: Who decided.
        why: Their reason.
        when: When they did, in UTC.
        kind: What is held: a `signal` or a `threshold`.
        once: It was released for its own rows only: they are no past for later ones.
    """

    id: str
    subject: str
    version: str
    last_good: str
    owner: str
    opened: str
    partition: str
    violations: tuple[Violation, ...]
    delivery: tuple[str, ...]
    releasable: bool = True
    replaces: str | None = None
    status: str = OPEN
    by: str | None = None
    why: str | None = None
    when: str | None = None
    kind: str = "signal"
    once: bool = False


def read_holds(root: Path) -> list[Hold]:
    """All holds, open ones first, then the latest first.

    Raises:
        UserError: A file is not a valid hold.
    """
    holds = [_read(path) for path in sorted((root / "holds").glob("*.yaml"))]
    holds.sort(key=lambda hold: hold.opened, reverse=True)
    return sorted(holds, key=lambda hold: hold.status != OPEN)


def find(root: Path, subject: str) -> Hold | None:
    """The open hold of a subject; there is never more than one."""
    return next((hold for hold in _of(root, subject) if hold.status == OPEN), None)


def decision(root: Path, subject: str, delivery: str, last_good: str) -> Hold | None:
    """The hold in which a person has decided on exactly this delivery.

    Only the latest delivery of a hold counts: its violations are those that the person has seen. A
    delivery that cannot be released may be identified by its violation alone, such as a missing
    field, so the decision on it ends with the next good delivery.

    Args:
        root: The project.
        subject: The signal.
        delivery: Content hash of the delivery.
        last_good: Content of the current snapshot; `none` before the first.
    """
    for hold in _of(root, subject):
        is_decided = hold.status in (RELEASED, REJECTED) and hold.delivery[-1:] == (delivery,)
        if is_decided and (hold.releasable or hold.last_good == last_good):
            return hold
    return None


def open_hold(root: Path, new: Hold) -> Hold:
    """Opens a hold, or adds a delivery to the open one; closes the subject's other holds.

    Args:
        root: The project.
        new: What is to be held; its id is set here.
    """
    name, existing = _file_for(root, new)
    new = replace(new, id=name)
    if existing is not None:
        new = _continued(existing, new)
    replaced = find(root, new.subject)
    if replaced is not None and replaced.id != name:
        new = replace(new, replaces=replaced.id)
    if new != existing:
        write_hold(root, new)
    close(root, new.subject, but=name)
    return new


def _file_for(root: Path, new: Hold) -> tuple[str, Hold | None]:
    """The id of a new hold, and the hold that it continues; decided holds stay as they are."""
    identity = json.dumps([new.subject, new.version, new.last_good])
    stem = f"{new.subject}-{hashlib.blake2b(identity.encode(), digest_size=3).hexdigest()}"
    for number in itertools.count(1):
        name = stem if number == 1 else f"{stem}-{number}"
        path = root / file_name(name)
        if not path.exists():
            return name, None
        existing = _read(path)
        if existing.status in (OPEN, SUPERSEDED):
            return name, existing
    raise AssertionError("itertools.count never ends")


def _continued(existing: Hold, new: Hold) -> Hold:
    """The new hold with the deliveries that were held before, and since when it is open."""
    earlier = [content for content in existing.delivery if content not in new.delivery]
    return replace(
        new,
        opened=existing.opened if existing.status == OPEN else new.opened,
        delivery=(*earlier, *new.delivery),
        replaces=existing.replaces,
    )


def close(root: Path, subject: str, but: str | None = None) -> list[Hold]:
    """Marks the subject's open holds as superseded, and returns them."""
    closed = [
        replace(hold, status=SUPERSEDED, when=_now())
        for hold in _of(root, subject)
        if hold.status == OPEN and hold.id != but
    ]
    for hold in closed:
        write_hold(root, hold)
    return closed


def decide(root: Path, name: str, status: str, by: str, why: str, *, once: bool = False) -> Hold:
    """Writes down what a person has decided.

    Args:
        root: The project.
        name: The hold's id.
        status: `released` or `rejected`.
        by: Who decides.
        why: The reason.
        once: Later rows are not compared with the released ones.

    Raises:
        UserError: The hold does not exist, is not open or cannot be released, or the name or the
            reason is empty.
    """
    path = root / file_name(name)
    if Path(name).name != name or not path.exists():
        known = [hold.id for hold in read_holds(root) if hold.status == OPEN]
        raise UserError(f"hold '{name}' does not exist. {nearest(name, known)}")
    hold = _read(path)
    if hold.status == SUPERSEDED:
        raise UserError(f"{name} is superseded by a later delivery")
    if hold.status != OPEN:
        raise UserError(f"{name} was already {hold.status} by {hold.by}: {hold.why}")
    if not hold.releasable and status == RELEASED:
        raise UserError(
            f"{name} cannot be released: {hold.violations[0].message}.\n"
            f"Change signals/{hold.subject}.yaml under a new version, or ask {hold.owner} for "
            "data that fit it."
        )
    for option, text in (("--by", by), ("--why", why)):
        if not text.strip():
            raise UserError(f"{option} must not be empty: git keeps it with the decision")
    if once and not can_be_once(hold):
        raise UserError(
            f"--once: {name} has no months of which one could be set aside; leave it out"
        )
    hold = replace(hold, status=status, by=by.strip(), why=why.strip(), when=_now(), once=once)
    write_hold(root, hold)
    return hold


def reopen(root: Path, hold: Hold) -> None:
    """Opens a decided hold again."""
    write_hold(root, replace(hold, status=OPEN, by=None, why=None, when=None, once=False))


def file_name(name: str) -> str:
    """A hold's file, relative to the project."""
    return f"holds/{name}.yaml"


def rows_folder(root: Path, name: str) -> Path:
    """Where the held rows are until its decision is carried out."""
    return root / "data" / "held" / name


def half_decided(root: Path, subjects: Collection[str]) -> list[Hold]:
    """Decided holds whose rows are still here: after a kill, or a decision pulled with git."""
    folders = {path.name for path in (root / "data" / "held").glob("*")}
    if not folders:
        return []
    return [
        hold
        for hold in read_holds(root)
        if hold.id in folders and hold.subject in subjects and hold.status != OPEN
    ]


def describe(hold: Hold) -> str:
    """What is held and what a person can do, in a few lines."""
    if hold.kind == "threshold":
        return "\n".join(
            [
                f"{hold.subject.replace('-', ' of ', 1)}: held ({hold.id})",
                f"  {hold.violations[0].message}",
                f"  accept it:           {command_for('release', hold)}",
                f"  ask again next time: {command_for('reject', hold)}",
            ]
        )
    lines = [f"{hold.subject}: the delivery is held ({hold.id})"]
    lines += [f"  {line_of(violation)}" for violation in hold.violations[:5]]
    if len(hold.violations) > 5:
        lines.append(f"  and {len(hold.violations) - 5} more, see {file_name(hold.id)}")
    stays = "" if hold.last_good == "none" else "; the last good snapshot stays current"
    lines.append(f"  its owner is {hold.owner}{stays}")
    if not hold.releasable:
        lines.append(
            "  it cannot be released: change the contract under a new version, or the data"
        )
    else:
        lines.append(f"  accept it:   {command_for('release', hold)}")
        if can_be_once(hold):
            lines.append(f"  only once:   {command_for('release', hold, once=True)}")
    lines.append(f"  discard it:  {command_for('reject', hold)}")
    return "\n".join(lines)


def half_decision(root: Path, name: str, status: str) -> Hold | None:
    """The hold, if this was decided and the process was killed before it was carried out."""
    path = root / file_name(name)
    if Path(name).name != name or not path.exists() or not rows_folder(root, name).exists():
        return None
    hold = _read(path)
    return hold if hold.status == status else None


def line_of(violation: Violation) -> str:
    """A violation in one line: its partition, field and message."""
    parts = [violation.message]
    name = violation.field
    # not any mention: a field may be called `day` or `rows`
    mentions = (f"values of {name} ", f"'{name}'", f"{name} must")
    if name and not any(mention in violation.message for mention in mentions):
        parts.insert(0, name)
    if violation.partition != "all":
        parts.insert(0, violation.partition)
    return ": ".join(parts)


def can_be_once(hold: Hold) -> bool:
    """Whether its rows can be accepted and set aside: they are of some of a signal's months."""
    return hold.kind == "signal" and hold.partition != "all"


def command_for(action: str, hold: Hold, *, once: bool = False) -> str:
    """The command that releases or rejects a hold."""
    option = " --once" if once else ""
    return f'python run.py holds {action} {hold.id}{option} --by NAME --why "TEXT"'


def _of(root: Path, subject: str) -> list[Hold]:
    return [hold for hold in read_holds(root) if hold.subject == subject]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read(path: Path) -> Hold:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        entries: dict[str, Any] = yaml.load(path.read_bytes(), Loader=loader)  # noqa: S506 - safe
        hold = _hold_of(entries)
    except (OSError, yaml.YAMLError, LookupError, TypeError, AttributeError):
        hold = None
    if (
        hold is None
        or hold.id != path.stem
        or hold.status not in (OPEN, RELEASED, REJECTED, SUPERSEDED)
        or not isinstance(hold.opened, str)
    ):
        raise UserError(
            f"holds/{path.name} is not a valid hold file (edited by hand, or a bad merge?)\n"
            f"Restore it: git checkout HEAD -- holds/{path.name}; during a merge add --ours or "
            "--theirs."
        )
    return hold


def _hold_of(entries: dict[str, Any]) -> Hold:
    """The hold in a file; files from before the runner was a package call two entries otherwise."""
    entries = dict(entries)
    if "breaches" in entries:
        entries["violations"] = entries.pop("breaches")
    if "unfit" in entries:
        entries["releasable"] = not entries.pop("unfit")
    violations = tuple(
        Violation(**{**violation, "also": tuple(violation.get("also", ()))})
        for violation in entries["violations"]
    )
    delivery = tuple(entries["delivery"])
    return Hold(**{**entries, "violations": violations, "delivery": delivery})


def write_hold(root: Path, hold: Hold) -> None:
    """Writes a hold's file, without secrets."""
    import yaml

    path = root / file_name(hold.id)
    path.parent.mkdir(exist_ok=True)
    entries = asdict(hold)
    entries["why"] = mask_within(hold.why)
    entries["violations"] = [
        {key: list(value) if key == "also" else value
         for key, value in violation.items() if key != "also" or value}
        for violation in entries["violations"]
    ]  # fmt: skip
    entries["delivery"] = list(hold.delivery)
    entries = {key: value for key, value in entries.items() if value is not None}
    if hold.kind == "signal":  # as it was before there were others
        del entries["kind"]
    if not hold.once:
        del entries["once"]
    write_atomically(path, yaml.safe_dump(entries, sort_keys=False, allow_unicode=True, width=96))
