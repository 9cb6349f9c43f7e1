"""Findings: what a task noticed, with its evidence, in the record."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml_experiment_runner.record.run import Run

FILE = "findings.json"


@dataclass(frozen=True)
class Finding:
    """Something that was noticed. It is proposed to the team; only people decide about it.

    Attributes:
        kind: What was looked for, such as `worthless_signal` or `overdue_experiment`.
        subject: What it is about, such as a signal's or an experiment's name.
        message: What was noticed, with numbers, in one line.
        evidence: The numbers behind it; any JSON values.
    """

    kind: str
    subject: str
    message: str
    evidence: dict[str, Any] = field(default_factory=dict)


def record(run: "Run", findings: Iterable[Finding]) -> None:
    """Writes findings into a run's record, as `findings.json`; none makes no file."""
    entries = [asdict(finding) for finding in findings]
    if entries:
        run.log_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n", FILE)


def recorded(folder: Path) -> list[Finding]:
    """The findings in a run's folder."""
    path = folder / "artifacts" / FILE
    if not path.is_file():
        return []
    return [Finding(**entry) for entry in json.loads(path.read_text(encoding="utf-8"))]
