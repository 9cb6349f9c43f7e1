"""What is held until a person decides: one file for each hold in `holds/`.

A hold is where automation stopped because a person must look: a plain file in `holds/`, which git
keeps, so that a team sees the same ones and the decision stays with its reason. The same delivery
always makes the same hold, wherever it is found.
"""

import hashlib
import itertools
import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ml_experiment_runner.config.checks import nearest
from ml_experiment_runner.project.atomic import write_atomically
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.secrets import mask_within

OPEN, RELEASED, REJECTED, SUPERSEDED = "open", "released", "rejected", "superseded"


@dataclass(frozen=True)
class Breach:
    """One way in which something is not what it should be.

    Attributes:
        kind: What was looked at, such as `range`, `nulls` or `distribution`.
        field: The field; None where it concerns the whole.
        message: What was found and what was expected, with numbers, in one line.
        partition: Where it begins.
    """

    kind: str
    field: str | None
    message: str
    partition: str


@dataclass(frozen=True)
class Hold:
    """Something that goes no further until a person has decided.

    Attributes:
        id: Names it everywhere.
        subject: The signal; of a threshold `threshold-<experiment>`.
        version: The contract's version that the delivery came under; the threshold's policy.
        last_good: Content of the snapshot that stays current, or the run whose threshold stays in
            force; `none` before the first.
        owner: Who can explain it, and how they are reached.
        opened: When, in UTC.
        partition: Where the first breach begins.
        breaches: What is wrong.
        delivery: Content hashes of the deliveries that were held here, the last one at the end; of
            a threshold what policy and rows it was learned for.
        unfit: It cannot be released: without a change of contract or data it is no snapshot.
        replaces: The hold whose place it took, which is superseded.
        status: `open`, `released`, `rejected`, or `superseded` by a later delivery.
        by: Who decided.
        why: Their reason.
        when: When they did, in UTC.
        kind: What is held: a `signal` or a `threshold`.
    """

    id: str
    subject: str
    version: str
    last_good: str
    owner: str
    opened: str
    partition: str
    breaches: tuple[Breach, ...]
    delivery: tuple[str, ...]
    unfit: bool = False
    replaces: str | None = None
    status: str = OPEN
    by: str | None = None
    why: str | None = None
    when: str | None = None
    kind: str = "signal"


def read_holds(root: Path) -> list[Hold]:
    """All holds, open ones first, then the latest first.

    Raises:
        UserError: A file is no hold.
    """
    found = [_read(path) for path in sorted((root / "holds").glob("*.yaml"))]
    found.sort(key=lambda hold: hold.opened, reverse=True)
    return sorted(found, key=lambda hold: hold.status != OPEN)


def find(root: Path, subject: str) -> Hold | None:
    """The open hold of a subject; there is never more than one."""
    return next((hold for hold in _of(root, subject) if hold.status == OPEN), None)


def verdict(root: Path, subject: str, delivery: str, last_good: str) -> Hold | None:
    """The hold in which a person has decided on exactly this delivery.

    That is the last one of a hold: its breaches are those that the person has seen. Of one that is
    unfit there may be no more to know it by than what is wrong, as of a table without a field, so
    that a decision on it ends with the next good delivery.

    Args:
        root: The project.
        subject: The signal.
        delivery: Content hash of what has come.
        last_good: Content of the current snapshot; `none` before the first.
    """
    for hold in _of(root, subject):
        is_decided = hold.status in (RELEASED, REJECTED) and hold.delivery[-1:] == (delivery,)
        if is_decided and (not hold.unfit or hold.last_good == last_good):
            return hold
    return None


def accepted(root: Path, subject: str) -> dict[str, str]:
    """The first partition since which a field is what a person has accepted, by field."""
    released = [hold for hold in _of(root, subject) if hold.status == RELEASED]
    since: dict[str, str] = {}
    for breach in itertools.chain.from_iterable(hold.breaches for hold in released):
        name = breach.field or ""  # what concerns whole rows stands under no name
        since[name] = max(breach.partition, since.get(name, ""))
    return since


def open_hold(root: Path, new: Hold) -> Hold:
    """Writes a hold, or adds a delivery to the one there is; the subject's others are closed.

    Args:
        root: The project.
        new: What is to be held; its id may be any.
    """
    said = json.dumps([new.subject, new.version, new.last_good])
    stem = f"{new.subject}-{hashlib.blake2b(said.encode(), digest_size=3).hexdigest()}"
    for number in itertools.count(1):
        name = stem if number == 1 else f"{stem}-{number}"
        path = root / file_name(name)
        before = _read(path) if path.exists() else None
        if before is None or before.status in (OPEN, SUPERSEDED):
            break
    if before is not None:
        earlier = [each for each in before.delivery if each not in new.delivery]
        opened = before.opened if before.status == OPEN else new.opened
        new = replace(new, opened=opened, delivery=(*earlier, *new.delivery))
    former = find(root, new.subject)
    if former is not None and former.id != name:
        new = replace(new, replaces=former.id)
    elif before is not None:
        new = replace(new, replaces=before.replaces)
    new = replace(new, id=name)
    if new != before:
        write_hold(root, new)
    close(root, new.subject, but=name)
    return new


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


def decide(root: Path, name: str, status: str, by: str, why: str) -> Hold:
    """Writes down what a person has decided.

    Raises:
        UserError: There is no such hold, it is not open, it cannot be released, or name or reason
            are empty.
    """
    path = root / file_name(name)
    if Path(name).name != name or not path.exists():
        known = [hold.id for hold in read_holds(root) if hold.status == OPEN]
        raise UserError(f"{name}: there is no such hold. {nearest(name, known)}")
    hold = _read(path)
    if hold.status == SUPERSEDED:
        raise UserError(f"{name} is superseded: a later delivery has taken its place")
    if hold.status != OPEN:
        raise UserError(f"{name} is {hold.status} already, by {hold.by}: {hold.why}")
    if hold.unfit and status == RELEASED:
        raise UserError(
            f"{name} cannot be released: {hold.breaches[0].message}.\n"
            f"Change signals/{hold.subject}.yaml under a new version, or ask {hold.owner} for "
            "data that keep it."
        )
    for option, text in (("--by", by), ("--why", why)):
        if not text.strip():
            raise UserError(f"{option}: it is empty; the decision stays in git, so say it")
    hold = replace(hold, status=status, by=by.strip(), why=why.strip(), when=_now())
    write_hold(root, hold)
    return hold


def reopen(root: Path, hold: Hold) -> None:
    """Takes a decision back, so that it can be made again."""
    write_hold(root, replace(hold, status=OPEN, by=None, why=None, when=None))


def file_name(name: str) -> str:
    """A hold's file, relative to the project."""
    return f"holds/{name}.yaml"


def rows_folder(root: Path, name: str) -> Path:
    """Where the rows of a hold are until what follows from its decision is done."""
    return root / "data" / "held" / name


def half_decided(root: Path, subjects: Collection[str]) -> list[Hold]:
    """Decided holds whose rows are still here, as after a kill or a decision that came with git."""
    folders = {path.name for path in (root / "data" / "held").glob("*")}
    if not folders:
        return []
    return [
        hold
        for hold in read_holds(root)
        if hold.id in folders and hold.subject in subjects and hold.status != OPEN
    ]


def tell(hold: Hold) -> str:
    """What a person must know and can do, in a few lines."""
    if hold.kind == "threshold":
        return "\n".join(
            [
                f"{hold.subject.replace('-', ' of ', 1)}: held ({hold.id})",
                f"  {hold.breaches[0].message}",
                f"  go on so:            {command_for('release', hold)}",
                f"  ask again next time: {command_for('reject', hold)}",
            ]
        )
    lines = [f"{hold.subject}: the delivery is held ({hold.id})"]
    lines += [f"  {line_of(breach)}" for breach in hold.breaches[:5]]
    if len(hold.breaches) > 5:
        lines.append(f"  and {len(hold.breaches) - 5} more, see {file_name(hold.id)}")
    stays = "" if hold.last_good == "none" else "; the last good snapshot stays current"
    lines.append(f"  its owner is {hold.owner}{stays}")
    if hold.unfit:
        lines.append(
            "  it cannot be released: change the contract under a new version, or the data"
        )
    else:
        lines.append(f"  accept it:   {command_for('release', hold)}")
    lines.append(f"  discard it:  {command_for('reject', hold)}")
    return "\n".join(lines)


def half_decision(root: Path, name: str, status: str) -> Hold | None:
    """The hold, if just this was decided and whoever did was killed before it was done."""
    path = root / file_name(name)
    if Path(name).name != name or not path.exists() or not rows_folder(root, name).exists():
        return None
    hold = _read(path)
    return hold if hold.status == status else None


def line_of(breach: Breach) -> str:
    """A breach in a line: since when, in which field, what."""
    parts = [breach.message]
    name = breach.field
    # not any mention: a field may be called `day` or `rows`
    ways = (f"values of {name} ", f"'{name}'", f"{name} must")
    if name and not any(way in breach.message for way in ways):
        parts.insert(0, name)
    if breach.partition != "all":
        parts.insert(0, breach.partition)
    return ": ".join(parts)


def command_for(word: str, hold: Hold) -> str:
    """What to type to release or reject a hold."""
    return f'python run.py holds {word} {hold.id} --by NAME --why "TEXT"'


def _of(root: Path, subject: str) -> list[Hold]:
    return [hold for hold in read_holds(root) if hold.subject == subject]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read(path: Path) -> Hold:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        said: Mapping[str, Any] = yaml.load(path.read_bytes(), Loader=loader)  # noqa: S506 - safe
        breaches = tuple(Breach(**each) for each in said["breaches"])
        hold = Hold(**{**said, "breaches": breaches, "delivery": tuple(said["delivery"])})
    except (OSError, yaml.YAMLError, LookupError, TypeError):
        hold = None
    if (
        hold is None
        or hold.id != path.stem
        or hold.status not in (OPEN, RELEASED, REJECTED, SUPERSEDED)
        or not isinstance(hold.opened, str)
    ):
        raise UserError(
            f"holds/{path.name} is no hold, as after a change by hand or a merge.\nRestore it: "
            f"git checkout HEAD -- holds/{path.name}; while git merges, with --ours or --theirs."
        )
    return hold


def write_hold(root: Path, hold: Hold) -> None:
    """Writes a hold's file, without secrets."""
    import yaml

    path = root / file_name(hold.id)
    path.parent.mkdir(exist_ok=True)
    said = asdict(hold)
    said["why"] = mask_within(hold.why)
    said["breaches"] = [dict(each) for each in said["breaches"]]
    said["delivery"] = list(hold.delivery)
    said = {key: value for key, value in said.items() if value is not None}
    if hold.kind == "signal":  # as it was before there were others
        del said["kind"]
    write_atomically(path, yaml.safe_dump(said, sort_keys=False, allow_unicode=True, width=96))
