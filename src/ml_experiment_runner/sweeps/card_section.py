"""The jobs of a sweep on its run card, and the sections that every card is written with."""

from pathlib import Path
from typing import Any

from ml_experiment_runner.record.card.section import Section, read_json
from ml_experiment_runner.record.run_reader import RecordedRun
from ml_experiment_runner.sweeps.job_result import ranked, varied_keys
from ml_experiment_runner.training.card.sections import SECTIONS


def jobs(run: RecordedRun) -> dict[str, Any] | None:
    """The jobs of a sweep, the best first, and the means over seeds."""
    sweep = read_json(run, "sweep.json")
    if sweep is None:
        return None
    return {
        "objective": sweep["objective"] or "objective",
        "best": sweep["best"],
        "jobs": ranked(sweep),
        "parameters": varied_keys(sweep),
        "over_seeds": sweep["over_seeds"],
    }


JOBS = Section(Path(__file__).with_name("card_section.html"), jobs)
CARD_SECTIONS = (*SECTIONS, JOBS)
