"""The run card as somebody reads it."""

import json
from pathlib import Path
from typing import Any

from ml_experiment_runner.record.card.page import write_card
from ml_experiment_runner.sweeps.card_section import CARD_SECTIONS
from support.html_page import Page


def card(folder: Path) -> Page:
    """The card of a run with the sections of all rooms."""
    return Page(write_card(folder, CARD_SECTIONS).read_text(encoding="utf-8"))


def write_artifact(folder: Path, name: str, content: Any) -> None:
    """Writes an artifact in JSON."""
    (folder / "artifacts" / name).write_text(json.dumps(content))


def append_tag(folder: Path, name: str, value: str) -> None:
    """Adds a tag to a run's journal."""
    with (folder / "journal.jsonl").open("a") as file:
        file.write(json.dumps({"kind": "tag", "time": 1, "name": name, "value": value}) + "\n")
