"""What the dataset shows on the run card."""

from pathlib import Path

from support.cards import card
from support.folders import write_run

TIMES = {
    "train": ["2013-01-01T05:15:00-05:00", "2013-10-31T21:00:00-04:00"],
    "validation": ["2013-11-01T05:00:00-04:00", "2013-11-30T22:00:00-05:00"],
}


def test_card_shows_signals_splits_and_features(tmp_path: Path) -> None:
    split = {"by": "time", "validation": "1 month", "test": "2 months"}
    params = {f"dataset.split.{key}": value for key, value in split.items()}
    params["dataset.prediction_time"] = "scheduled_departure"
    folder = write_run(tmp_path, params=params, **{"dataset.periods": TIMES})
    text = card(folder).text.replace("\N{NO-BREAK SPACE}", " ")
    for sentence in (
        "flights1.0.01,007spine0123.dir",
        "train800 rows 1 Jan 2013 \N{EN DASH} 31 Oct 2013",
        "test100 rows",
        *("one row for eachflights", "labellate", "predicted atscheduled_departure"),
        *("featureshour, carrier", "left out7 rows without a label"),
        "by time: the last 2 months for the test, 1 month before it for validation",
    ):
        assert sentence in text, sentence


def test_card_without_prediction_time_names_none(tmp_path: Path) -> None:
    text = card(write_run(tmp_path, params={"dataset.prediction_time": "None"})).text
    assert "predicted at" not in text


def test_card_tells_prediction_time_of_an_old_record(tmp_path: Path) -> None:
    assert "predicted atnoon" in card(write_run(tmp_path, params={"dataset.moment": "noon"})).text
