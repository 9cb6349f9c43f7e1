"""The jobs of a sweep on its run card, and the sections that every card is written with."""

from pathlib import Path
from typing import Any

from ml_experiment_runner.config.metrics import greater_is_better
from ml_experiment_runner.record.card.section import Section, read_json
from ml_experiment_runner.record.run_reader import RecordedRun
from ml_experiment_runner.training.card.sections import SECTIONS

RESULT_KEYS = ("run", "status", "value", "seconds", "mean", "sd", "seeds")


def jobs(run: RecordedRun) -> dict[str, Any] | None:
    """The jobs of a sweep, the best first, and the means over seeds."""
    sweep = read_json(run, "sweep.json")
    if sweep is None:
        return None
    sign = 1 if greater_is_better(sweep["objective"]) else -1
    ranked = sorted(
        sweep["jobs"], key=lambda job: (job["value"] is None, -sign * (job["value"] or 0.0))
    )
    return {
        "objective": sweep["objective"] or "objective",
        "best": sweep["best"],
        "jobs": ranked,
        "parameters": [key for key in (ranked[0] if ranked else {}) if key not in RESULT_KEYS],
        "over_seeds": sweep["over_seeds"],
    }


JOBS = Section(Path(__file__).with_name("card_section.html"), jobs)
CARD_SECTIONS = (*SECTIONS, JOBS)
