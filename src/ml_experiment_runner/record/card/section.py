"""What a room hands to the run card: a section that shows what its tasks have recorded."""

import json
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from ml_experiment_runner.record.run_reader import RecordedRun


class Place(Enum):
    """Where on the card a section is shown, from the top down."""

    HEADLINE = "under the head"
    RESULT = "in the section Result, above the metrics that no section shows"
    DETAILS = "between the result and the figures"
    INPUT = "below the figures"


class Section(NamedTuple):
    """A section of the run card; sections of one place are shown in the order of the caller's list.

    Attributes:
        template: File of its Jinja template, which can use `macros.html`.
        context: Takes a run and returns the variables of the template; None where the run has
            nothing of the kind.
        place: Where it is shown.
        metrics: The metrics that it shows, by their name or by what is before the first `/`.
    """

    template: Path
    context: Callable[[RecordedRun], dict[str, Any] | None]
    place: Place = Place.DETAILS
    metrics: tuple[str, ...] = ()


def read_json(run: RecordedRun, name: str) -> dict[str, Any] | None:
    """The content of a run's artifact; None if the run has no such artifact."""
    path = run.folder / "artifacts" / name
    if not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
