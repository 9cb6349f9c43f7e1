"""Ablation: what is called needed, doubtful, worthless or redundant, against planted truths."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from omegaconf import OmegaConf
from sklearn.linear_model import LogisticRegression

from ml_experiment_runner.dataset.dataset import Dataset
from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record import findings
from ml_experiment_runner.training.analysis import ablate as task
from ml_experiment_runner.training.analysis.backward_elimination import (
    EliminationResult,
    Worth,
    backward_elimination,
    most_fits,
    quality,
)


def planted(rows: int = 6000, seed: int = 0) -> tuple[pl.DataFrame, np.ndarray]:
    """A strong column, an exact and a noisy copy of it, a weaker one, and two of noise."""
    draw = np.random.default_rng(seed)
    strong, weak = draw.normal(size=rows), draw.normal(size=rows)
    label = (1.2 * strong + 0.7 * weak + draw.logistic(size=rows) > 0).astype(np.int8)
    frame = pl.DataFrame(
        {
            "strong": strong,
            "exact_copy": strong,
            "noisy_copy": strong + draw.normal(scale=0.3, size=rows),
            "weak": weak,
            "noise": draw.normal(size=rows),
            "more_noise": draw.normal(size=rows),
        }
    )
    return frame, label


class Judge:
    """Fits a linear model without some columns; notes what it was asked."""

    def __init__(self, names: list[str], rows: int = 6000) -> None:
        frame, self.label = planted(rows)
        self.frame = frame.select(names)
        self.asked: list[frozenset[str]] = []

    def __call__(self, out: frozenset[str]) -> np.ndarray:
        self.asked.append(out)
        values = self.frame.drop(list(out)).to_numpy()
        half = len(values) // 2
        score = np.full(half, 0.5)
        if values.shape[1]:
            model = LogisticRegression().fit(values[:half], self.label[:half])
            score = model.predict_proba(values[half:])[:, 1]
        return quality(TaskType.BINARY, self.label[half:], score, "roc_auc", 200, 0)


def judged(*names: str, **options: Any) -> tuple[dict[str, Any], EliminationResult, Judge]:
    judge = Judge(list(names))
    found = backward_elimination(names, judge, 0.002, **options)
    return {one.name: one for one in found.verdicts}, found, judge


def test_copy_deceives_leave_one_out_and_not_elimination() -> None:
    verdicts, found, _ = judged("strong", "exact_copy", "weak", "noise")
    first, second = verdicts["strong"], verdicts["exact_copy"]
    assert first.alone.high < 0.002, "left out alone, the best column is missed by nobody"
    assert second.alone.high < 0.002
    kept, gone = (first, second) if first.worth == Worth.NEEDED else (second, first)
    assert kept.worth == Worth.NEEDED
    assert kept.loss.low > 0.1
    assert gone.worth == Worth.REDUNDANT
    assert gone.instead == [kept.name]
    assert verdicts["weak"].worth == Worth.NEEDED
    assert verdicts["noise"].worth in (Worth.WORTHLESS, Worth.DOUBTFUL)
    assert verdicts["noise"].instead == []
    assert found.out == {gone.name, "noise"}


def test_a_noisy_copy_is_redundant_with_what_it_copies() -> None:
    verdicts, found, _ = judged("strong", "noisy_copy", "weak", "noise")
    assert verdicts["noisy_copy"].worth == Worth.REDUNDANT
    assert verdicts["noisy_copy"].instead == ["strong"]
    assert verdicts["strong"].worth == Worth.NEEDED
    assert "strong" not in found.out


def test_every_model_is_evaluated_once() -> None:
    names = ("strong", "exact_copy", "noisy_copy", "weak", "noise", "more_noise")
    verdicts, found, judge = judged(*names)
    assert len(judge.asked) == len(set(judge.asked)) == found.fits <= most_fits(len(names))
    assert {one.name for one in found.verdicts if one.worth == Worth.NEEDED} >= {"weak"}
    assert len(found.out & {"strong", "exact_copy", "noisy_copy"}) == 2
    assert found.is_complete
    assert set(verdicts) == set(names)


def test_noise_is_worthless_with_rows_enough_else_doubtful() -> None:
    worth = []
    for rows in (20_000, 200):
        found = backward_elimination(["strong", "noise"], Judge(["strong", "noise"], rows), 0.005)
        worth.append({one.name: one.worth for one in found.verdicts})
    assert worth[0] == {"strong": Worth.NEEDED, "noise": Worth.WORTHLESS}
    assert worth[1]["noise"] == Worth.DOUBTFUL


def test_time_up_calls_worthless_only_what_was_reevaluated() -> None:
    judge = Judge(["strong", "exact_copy", "weak"])
    begin = [0.0]

    def slow(out: frozenset[str]) -> np.ndarray:
        begin[0] += 1
        return judge(out)

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return begin[0]

    from ml_experiment_runner.training.analysis import backward_elimination as module

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "time", Clock)
        found = backward_elimination(["strong", "exact_copy", "weak"], slow, 0.002, deadline=4.5)
    assert not found.is_complete
    worth = {one.name: one.worth for one in found.verdicts}
    assert worth == {
        "strong": Worth.DOUBTFUL,
        "exact_copy": Worth.DOUBTFUL,
        "weak": Worth.NEEDED,
    }


class Record:
    """Takes the place of a run and of the runs within it."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.metrics: dict[str, float] = {}
        self.children: list[tuple[str, Record]] = []
        self.features: list[str] = []

    def stage(self, _: str) -> Any:
        import contextlib

        return contextlib.nullcontext()

    def nested(self, name: str, config: Any) -> Any:
        import contextlib

        child = Record()
        child.features = list(config.dataset.features)
        self.children.append((name, child))
        return contextlib.nullcontext(child)

    def log_metric(self, name: str, value: float) -> None:
        self.metrics[name] = value

    def log_text(self, text: str, name: str) -> None:
        self.texts[name] = text

    def log_figure(self, figure: Any, name: str) -> None:
        self.texts[f"figures/{name}"] = str(figure)


@pytest.fixture
def dataset(monkeypatch: pytest.MonkeyPatch) -> Dataset:
    frame, label = planted(3000)
    signals = {"strong": "a", "exact_copy": "b", "weak": "c", "noise": "d"}
    share = np.arange(3000) / 3000
    split = np.where(share < 0.4, "train", np.where(share < 0.8, "validation", "test"))
    more = pl.Series("label", label), pl.Series("split", split)
    frame = frame.select(list(signals)).with_columns(*more)
    reads = {name: {signal: {name}} for name, signal in signals.items()}
    made = Dataset(frame, "f", list(signals), "label", {}, 0, reads=reads)
    monkeypatch.setattr(task, "load_dataset", lambda *_: made)
    monkeypatch.setattr(task, "unused", lambda _: [findings.Finding("unused_signal", "e", "idle")])
    return made


def ablated(model: dict[str, Any], **ablation: Any) -> tuple[dict[str, float], Record]:
    config = OmegaConf.create(
        {
            "model": model,
            "dataset": {"features": ["strong", "exact_copy", "weak", "noise"]},
            "evaluation": {"bootstrap": 100},
            "ablation": {"leave_out": "signals", "tolerance": 0.002, "minutes": 5} | ablation,
            "seed": 0,
            "threads": None,
            "package": "own",
        }
    )
    run: Any = Record()
    return task.ablate(config, run), run


LINEAR = {"_target_": "sklearn.linear_model.LogisticRegression", "C": 1.0}
ENSEMBLE = {
    "_target_": "ml_experiment_runner.training.models.ensemble.Ensemble",
    "groups": None,
    "member": LINEAR,
    "members": {},
    "fusion": "bounded",
    "blast_radius": 4.0,
    "max_quality_gap": 0.01,
    "folds": 2,
}


@pytest.mark.usefixtures("dataset")
@pytest.mark.parametrize("leave_out", ["signals", "features"])
def test_ablate_records_verdicts_picture_and_a_run_per_fit(leave_out: str) -> None:
    metrics, run = ablated(LINEAR, leave_out=leave_out)
    assert metrics["needed"] == 2
    assert metrics["redundant"] == 1
    assert metrics["fits"] == len(run.children) == len({name for name, _ in run.children})
    assert metrics["test/loss/low"] <= metrics["test/loss"] <= metrics["test/loss/high"]
    assert metrics["test/loss"] < 0.01
    names = dict(run.children)
    assert names["with all"].features == ["strong", "exact_copy", "weak", "noise"]
    assert all("validation/roc_auc" in child.metrics for _, child in run.children)
    assert "figures/ablation" in run.texts
    told = json.loads(run.texts["ablation.json"])
    redundant = next(one for one in told["verdicts"] if one["worth"] == "redundant")
    assert redundant["told"].startswith("redundant with ")
    kinds = {found["kind"] for found in json.loads(run.texts[findings.FILE])}
    assert {f"redundant_{leave_out[:-1]}", "unused_signal"} <= kinds


@pytest.mark.usefixtures("dataset")
def test_of_an_ensemble_the_other_members_are_not_fitted_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    from ml_experiment_runner.training.models import members

    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(tmp_path))
    built: list[int] = []
    fit = members.fit_estimator
    monkeypatch.setattr(members, "fit_estimator", lambda *words: (built.append(1), fit(*words))[1])
    metrics, _ = ablated(ENSEMBLE, leave_out="groups")
    assert metrics["redundant"] == 1
    assert metrics["fits"] > 5
    assert len(built) == 4 * 3, "four members, each on two folds and on all rows, and no more"


@pytest.mark.usefixtures("dataset")
def test_groups_are_those_of_an_ensemble() -> None:
    with pytest.raises(UserError, match="needs model=ensemble"):
        ablated(LINEAR, leave_out="groups")


def test_one_thing_cannot_be_left_out() -> None:
    config: Any = OmegaConf.create({"ablation": {"leave_out": "signals"}})
    dataset: Any = SimpleNamespace(reads={"a": {"s": {"x"}}, "b": {"s": {"y"}}})
    with pytest.raises(UserError, match="at least two signals, got only 's'"):
        task._things(config, dataset)
