"""What the dataset shows on the run card: its signals, its splits and how its rows were made."""

from datetime import datetime
from pathlib import Path
from typing import Any

from ml_experiment_runner.record.card.section import Place, Section
from ml_experiment_runner.record.run_reader import RecordedRun


def data(run: RecordedRun) -> dict[str, Any] | None:
    """The splits and features of the dataset; None if the run read no signal."""
    if not run.datasets:
        return None
    prediction_time = run.settings.get("dataset.prediction_time", "None")
    return {
        "splits": _splits(run),
        "split_method": _split_method(run.params),
        "prediction_time": None if prediction_time == "None" else prediction_time,
        "features": run.params.get("dataset.features", "").strip("[]").replace("'", ""),
        "unlabelled": int(run.params.get("rows.without_label", 0)),
    }


def _splits(run: RecordedRun) -> list[dict[str, Any]]:
    """The splits, their rows, their share of the largest one in percent, first and last day."""
    from ml_experiment_runner.dataset.splits import SPLITS  # polars: only where data was read

    rows = {
        split: int(run.params[f"rows.{split}"]) for split in SPLITS if f"rows.{split}" in run.params
    }
    periods = run.provenance.get("dataset.periods", {})
    return [
        {
            "name": split,
            "rows": count,
            "share": max(100 * count / max(*rows.values(), 1), 1),
            "days": [datetime.fromisoformat(time) for time in periods.get(split, [])],
        }
        for split, count in rows.items()
    ]


def _split_method(params: dict[str, str]) -> str:
    """How the rows were split, in words."""
    by, validation, test = (
        params.get(f"dataset.split.{key}") for key in ("by", "validation", "test")
    )
    if by == "time":
        return f"by time: the last {test} for the test, {validation} before it for validation"
    return f"at random by key: {test} for the test, {validation} for validation" if by else ""


DATA = Section(Path(__file__).with_name("card_section.html"), data, Place.INPUT)
