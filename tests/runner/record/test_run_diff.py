"""The diff of two recorded runs, for `compare` and `rerun`."""

from pathlib import Path
from typing import Any

import pytest

from ml_experiment_runner.record.rerun.comparison import print_comparison
from ml_experiment_runner.record.run_diff import changed_settings
from ml_experiment_runner.record.run_reader import RecordedRun, read_run
from support.folders import METRICS, write_run


def two_runs(outputs: Path, first: dict[str, Any], other: dict[str, Any]) -> list[RecordedRun]:
    places = ("baseline/2026-11-01/10-00-00-aaaa1111", "baseline/2026-11-02/10-00-00-bbbb1111")
    return [
        read_run(write_run(outputs, place, **values))
        for place, values in zip(places, (first, other), strict=True)
    ]


def test_run_diff_names_added_and_removed_features(tmp_path: Path) -> None:
    runs = two_runs(tmp_path, {}, {"params": {"dataset.features": "['hour', 'wind']"}})
    assert changed_settings(*runs) == [("dataset.features", "carrier", "wind")]


def test_run_diff_of_other_models_names_their_classes(tmp_path: Path) -> None:
    models = ({"model._target_": "a.Tree", "model.depth": "3"},
              {"model._target_": "b.Line", "model.C": "1"})  # fmt: skip
    runs = two_runs(tmp_path, *({"params": params} for params in models))
    assert changed_settings(*runs) == [("model", "Tree", "Line")]


def test_run_diff_names_signals_with_other_rows(tmp_path: Path) -> None:
    runs = two_runs(tmp_path, {}, {"read": {"version": "1.1.0"}})
    assert changed_settings(*runs) == [("signal flights", "1.0.0, 0123.dir", "1.1.0, 0123.dir")]


def test_rerun_comparison_shows_what_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = {"params": {"seed": "1", "outputs": "/elsewhere"},
               "metrics": METRICS | {"test/roc_auc": 0.75, "seconds/fit": 9.0}}  # fmt: skip
    assert not print_comparison(*two_runs(tmp_path, {}, changed))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line.startswith("differs")] == ["differs: seed - → 1"]
    assert "test/roc_auc 0.7 0.75 +0.05" in lines
    assert "test/base_rate 0.2 0.2 0" in lines
    assert not any(line.startswith(("test/roc_auc/low", "seconds/")) for line in lines)
    assert lines[-1] == "1 of 10 metrics differ"


def test_rerun_with_equal_metrics_is_equal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nan = {"metrics": {"test/roc_auc": float("nan"), "system/cpu_percent": 1.0}}
    assert print_comparison(*two_runs(tmp_path, nan, nan))
    assert "equal to the last digit: 1 metrics" in capsys.readouterr().out
