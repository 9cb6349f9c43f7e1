"""What released deliveries say of later ones: what is the norm now, and what was so only once."""

from pathlib import Path

from ml_experiment_runner.holds.holds import RELEASED, Violation, read_holds


def accepted(root: Path, subject: str) -> dict[str, str]:
    """By field, the first partition since which a person has accepted its change."""
    since: dict[str, str] = {}
    for violation in _released(root, subject, once=False):
        name = violation.field or ""  # "" stands for whole rows
        since[name] = max(violation.partition, since.get(name, ""))
    return since


def set_aside(root: Path, subject: str) -> set[str]:
    """Partitions whose rows a person has accepted only once: nothing is compared with them."""
    return {
        partition
        for violation in _released(root, subject, once=True)
        for partition in (violation.partition, *violation.also)
        if partition != "all"
    }


def _released(root: Path, subject: str, *, once: bool) -> list[Violation]:
    """What a person has accepted, only once or for good; a state has no rows to set aside."""
    return [
        violation
        for hold in read_holds(root)
        if hold.subject == subject and hold.status == RELEASED
        for violation in hold.violations
        if (hold.once and violation.partition != "all") == once
    ]
