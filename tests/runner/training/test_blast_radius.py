"""The blast radius: what faults are, how moves are measured, and what is recorded."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from omegaconf import OmegaConf

from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.training.analysis import blast_radius as task
from ml_experiment_runner.training.analysis.perturbations import (
    Fault,
    moved_answers,
    moved_scores,
    perturb,
)
from support.ensembles import GROUPS, configured, make

FRAME = pl.DataFrame(
    {
        "number": [1, 2, 3, None],
        "text": ["a", "b", None, "c"],
        "truth": [True, False, None, True],
        "other": [5.0, 6.0, 7.0, 8.0],
    }
)
NAMES = ["number", "text", "truth"]


def test_faults_touch_the_signal_and_nothing_else() -> None:
    for fault in Fault:
        broken = perturb(FRAME, NAMES, fault, 0)
        assert broken["other"].equals(FRAME["other"])
        assert not broken.select("number").equals(FRAME.select("number")), fault
    shifted = perturb(FRAME, NAMES, Fault.SHIFT, 0)
    assert shifted["number"].to_list() == [4, 5, 6, None]
    assert shifted["text"].to_list() == ["b", "c", None, "a"]
    assert shifted["truth"].to_list() == [False, True, None, False]
    scaled = perturb(FRAME, NAMES, Fault.RESCALE, 0)
    assert scaled["number"].to_list() == [10, 20, 30, None]
    assert scaled["text"].equals(FRAME["text"])
    removed = perturb(FRAME, NAMES, Fault.REMOVE, 0)
    assert removed.select(NAMES).null_count().row(0) == (4, 4, 4)
    assert removed.schema == FRAME.schema


def test_shuffled_rows_of_a_signal_stay_rows() -> None:
    frame = pl.DataFrame({"a": range(50), "b": [10 * n for n in range(50)], "c": range(50)})
    mixed = perturb(frame, ["a", "b"], Fault.SHUFFLE, 1)
    assert (mixed["b"] == mixed["a"] * 10).all()
    assert not mixed["a"].equals(frame["a"])
    assert sorted(mixed["a"]) == list(frame["a"])


def test_moves_are_of_logits_or_of_numbers() -> None:
    before, after = np.array([0.5, 0.5]), np.array([0.5, 1 / (1 + np.exp(-2.0))])
    assert moved_scores(TaskType.BINARY, before, after).most == pytest.approx(2.0)
    assert moved_answers(before, after).mean == pytest.approx((after[1] - 0.5) / 2)
    classes = np.array([[0.25, 0.25, 0.5]]), np.array([[0.5, 0.125, 0.375]])
    moved = moved_scores(TaskType.MULTICLASS, *classes)
    assert moved.most == pytest.approx(np.log(4)), "the first against the second: 1:1 to 4:1"
    assert moved_answers(*classes).most == pytest.approx(0.25)
    assert moved_scores(TaskType.REGRESSION, np.array([1.0]), np.array([-4.0])).most == 5


class Record:
    """Takes the place of a run."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def stage(self, _: str) -> Any:
        return contextlib.nullcontext()

    def progress(self, items: Any, *_: Any) -> Any:
        return iter(items)

    def log_text(self, text: str, name: str) -> None:
        self.texts[name] = text

    def log_figure(self, figure: Any, name: str) -> None:
        self.texts[f"figures/{name}"] = str(figure)


def run_task(
    monkeypatch: pytest.MonkeyPatch, place: Path, task_type: TaskType, **model: Any
) -> Any:
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(place))
    dataset = make(task_type, 1500)
    monkeypatch.setattr(task, "load_dataset", lambda *_: dataset)
    config = configured(task_type, **model)
    config.dataset = {"features": dataset.features}
    config.evaluation = {"bootstrap": 30, "importance_rows": 100, "importance_repeats": 2}
    record: Any = Record()
    return task.blast_radius(config, record), record


@pytest.mark.parametrize("task_type", list(TaskType))
def test_no_fault_moves_the_ensemble_beyond_its_budget(
    task_type: TaskType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    metrics, record = run_task(monkeypatch, tmp_path, task_type, blast_radius=0.5)
    unit = (
        float(np.std(make(task_type, 1500).split("train")[1]))
        if task_type == TaskType.REGRESSION
        else 1.0
    )
    assert metrics["ensemble/score"] <= 0.5 * unit + 1e-9
    assert metrics["one_model/score"] > metrics["ensemble/score"]
    assert (
        metrics["test/quality_gap/low"]
        <= metrics["test/quality_gap"]
        <= metrics["test/quality_gap/high"]
    )
    told = json.loads(record.texts["blast_radius.json"])
    effects = told["effects"]
    cases = {(one["signal"], one["fault"], one["model"]) for one in effects}
    assert len(cases) == len(effects) == len(GROUPS) * 5 * 2
    for one in effects:
        assert one["feature"] not in GROUPS[one["signal"]], "importance is that of the others"
        assert one["score"]["mean"] <= one["score"]["percentile"] <= one["score"]["most"]
    removed = [one for one in effects if one["fault"] == "remove" and one["model"] == "ensemble"]
    assert len(removed) == len(GROUPS)
    assert all(one["loss"]["value"] < 0.3 for one in removed)
    assert "figures/blast_radius" in record.texts


def test_a_model_alone_has_nothing_to_be_compared_with() -> None:
    config: Any = OmegaConf.create({"model": {"_target_": "sklearn.dummy.DummyClassifier"}})
    record: Any = Record()
    with pytest.raises(UserError, match="needs model=ensemble"):
        task.blast_radius(config, record)
