"""The sections of the run card that training and what is below it hand over, from the top down."""

from pathlib import Path

from ml_experiment_runner.dataset.card_section import DATA
from ml_experiment_runner.record.card.section import Place, Section, read_json
from ml_experiment_runner.training.card.headline import headline
from ml_experiment_runner.training.card.metrics import EVALUATED_SPLITS, metrics_by_split
from ml_experiment_runner.training.card.repetitions import PREFIXES, repetitions
from ml_experiment_runner.training.card.slices import weakest_slices
from ml_experiment_runner.training.card.threshold import threshold

FOLDER = Path(__file__).parent

SECTIONS = (
    Section(FOLDER / "headline.html", headline, Place.HEADLINE),
    Section(FOLDER / "metrics.html", metrics_by_split, Place.RESULT, EVALUATED_SPLITS),
    Section(FOLDER / "threshold.html", threshold, Place.RESULT, ("threshold",)),
    Section(FOLDER / "repetitions.html", repetitions, metrics=PREFIXES),
    Section(FOLDER / "ensemble.html", lambda run: read_json(run, "ensemble.json")),
    Section(FOLDER / "ablation.html", lambda run: read_json(run, "ablation.json")),
    Section(FOLDER / "slices.html", weakest_slices),
    DATA,
)
