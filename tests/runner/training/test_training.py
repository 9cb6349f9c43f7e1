"""Fit, threshold, judgement: each against a plain reference."""

from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from scipy.sparse import issparse
from sklearn import metrics as reference
from sklearn.base import BaseEstimator

from ml_experiment_runner.dataset.dataset import Dataset
from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.training import train
from ml_experiment_runner.training.evaluation.evaluate import evaluate
from ml_experiment_runner.training.evaluation.importance import importance
from ml_experiment_runner.training.models.pipeline import build
from support.judged_rows import judged_rows

BINARY = TaskType.BINARY
QUICKLY = settings(max_examples=60, deadline=None)


@given(judged_rows(), st.floats(0, 1))
@QUICKLY
def test_evaluate_measures_what_scikit_learn_measures(rows, threshold: float) -> None:
    label, score = rows
    judged = evaluate(BINARY, label, score, threshold, replicates=3, seed=0)
    flagged = score >= threshold
    chance = np.where(label == 1, score, 1 - score)
    expected = {
        "rows": len(label),
        "roc_auc": reference.roc_auc_score(label, score),
        "average_precision": reference.average_precision_score(label, score),
        "log_loss": -np.mean(np.log(np.clip(chance, 1e-15, 1))),
        "brier": reference.brier_score_loss(label, score),
        "bias": np.mean(score - label),
        "base_rate": label.mean(),
        "recall": reference.recall_score(label, flagged),
        "f1": reference.f1_score(label, flagged, zero_division=0),
        "flagged": flagged.mean(),
    }
    if flagged.any():
        expected["precision"] = reference.precision_score(label, flagged)
    for name, value in expected.items():
        assert judged[name] == pytest.approx(value, abs=1e-9), name


def test_evaluate_without_a_threshold_omits_what_needs_one() -> None:
    judged = evaluate(BINARY, np.array([0, 1], np.int8), np.array([0.2, 0.8]), None, 5, 0)
    assert "precision" not in judged
    assert "flagged" not in judged
    assert judged["roc_auc"] == 1.0


@pytest.mark.filterwarnings("error")
def test_evaluate_leaves_out_a_precision_of_nothing() -> None:
    label, score = np.array([0, 1, 0], np.int8), np.array([0.2, 0.8, 0.1])
    judged = evaluate(BINARY, label, score, 0.9, 5, 0)
    assert not {"precision", "precision/low", "precision/high"} & set(judged)
    assert judged["recall"] == judged["recall/high"] == judged["flagged"] == 0
    assert np.isfinite(list(judged.values())).all()


@pytest.mark.filterwarnings("error")
def test_evaluate_gives_no_interval_without_a_replicate() -> None:
    """Of a thousand rows one is flagged, and a single replicate may not draw it."""
    label = np.arange(1000) % 2
    score = np.linspace(0.9, 0.1, 1000)
    several = [evaluate(BINARY, label.astype(np.int8), score, 0.9, 1, seed) for seed in range(12)]
    assert all(each["precision"] == 0 for each in several)
    assert {"precision/low" in each for each in several} == {True, False}


def test_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    draw = np.random.default_rng(0)
    population = draw.normal(size=200_000)
    label = (population + draw.normal(size=200_000) > 0).astype(np.int8)
    truth = reference.roc_auc_score(label, population)
    score = 1 / (1 + np.exp(-population))
    inside = 0
    for number in range(100):
        rows = draw.integers(0, len(label), 400)
        judged = evaluate(BINARY, label[rows], score[rows], None, 200, number)
        assert judged["roc_auc/low"] < judged["roc_auc"] < judged["roc_auc/high"]
        inside += judged["roc_auc/low"] <= truth <= judged["roc_auc/high"]
    assert 88 <= inside <= 100


def test_interval_is_narrower_with_rows_and_fixed_by_the_seed() -> None:
    draw = np.random.default_rng(1)
    label = draw.integers(0, 2, 4000).astype(np.int8)
    score = np.clip(label * 0.2 + draw.random(4000) * 0.8, 0, 1)
    few, many = (evaluate(BINARY, label[:n], score[:n], 0.5, 200, 0) for n in (400, 4000))
    width = {
        name: [each[f"{name}/high"] - each[f"{name}/low"] for each in (few, many)]
        for name in ("roc_auc", "precision", "recall", "log_loss", "average_precision")
    }
    assert all(wide > 2 * narrow > 0 for wide, narrow in width.values())
    assert evaluate(BINARY, label, score, 0.5, 200, 0) == many
    assert evaluate(BINARY, label, score, 0.5, 200, 1) != many


MODELS = {
    "trees": {"_target_": "sklearn.ensemble.HistGradientBoostingClassifier", "max_iter": 5},
    "linear": {"_target_": "sklearn.linear_model.LogisticRegression"},
}


def frame(rows: int = 400) -> pl.DataFrame:
    draw = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "noise": draw.normal(size=rows),
            "carrier": draw.choice(["AA", "UA", None], rows),
            "signal": draw.normal(size=rows),
            "gap": [None if number % 3 else float(number) for number in range(rows)],
            "empty": pl.Series([None] * rows, dtype=pl.Float64),
            "flag": draw.integers(0, 2, rows).astype(bool),
        }
    )


def as_dataset(features: pl.DataFrame, label: pl.Series, **more) -> Dataset:
    split = pl.Series(
        "split", (["train", "validation", "test", "train"] * len(label))[: len(label)]
    )
    frame = features.with_columns(label, split)
    return Dataset(frame, "f", features.columns, label.name, {}, 0, **more)


@pytest.mark.parametrize("model", MODELS)
def test_estimator_takes_unknown_categories_and_gaps(model: str) -> None:
    features = frame()
    label = (features["signal"] > 0).to_numpy().astype(np.int8)
    estimator = build(OmegaConf.create(MODELS[model]), features, BINARY, 0).fit(features, label)
    strange = features.head(4).with_columns(
        pl.Series("carrier", ["ZZ", None, "", "AA"]),
        pl.lit(None, pl.Float64).alias("signal"),
        pl.lit(None, pl.Boolean).alias("flag"),
    )
    chance = estimator.predict_proba(strange)
    assert chance.shape == (4, 2)
    assert np.isfinite(chance).all()
    modules = {type(step).__module__.partition(".")[0] for _, step in estimator.steps}
    assert modules == {"sklearn"}


def test_seed_of_the_run_reaches_the_estimator() -> None:
    forest = {"_target_": "sklearn.ensemble.RandomForestClassifier", "n_estimators": 5}
    assert build(OmegaConf.create(forest), frame(), BINARY, 7)[-1].random_state == 7
    assert (
        build(OmegaConf.create({**forest, "random_state": 3}), frame(), BINARY, 7)[-1].random_state
        == 3
    )


DENSE_ONLY = {
    "bayes": {"_target_": "sklearn.naive_bayes.GaussianNB"},
    "discriminant": {"_target_": "sklearn.discriminant_analysis.LinearDiscriminantAnalysis"},
}


def many_categories(rows: int = 1000) -> tuple[pl.DataFrame, np.ndarray]:
    """One-hot columns so many and so empty that they come as a sparse matrix."""
    features = pl.DataFrame({"place": [f"p{number % 40}" for number in range(rows)]})
    return features, (np.arange(rows) % 3 == 0).astype(np.int8)


@pytest.mark.parametrize("model", DENSE_ONLY)
def test_estimator_that_takes_no_sparse_matrix_gets_none(model: str) -> None:
    features, label = many_categories()
    estimator = build(OmegaConf.create(DENSE_ONLY[model]), features, BINARY, 0).fit(features, label)
    assert estimator.predict_proba(features).shape == (len(label), 2)


class WithoutTags:
    """An own estimator that is none of scikit-learn's."""

    def get_params(self, **_) -> dict:
        return {}

    def fit(self, features, _) -> "WithoutTags":
        self.is_sparse = issparse(features)
        return self

    def predict(self, features) -> np.ndarray:
        return np.zeros(features.shape[0])

    def predict_proba(self, features) -> np.ndarray:
        return np.full((features.shape[0], 2), 0.5)


class WithoutSparse(BaseEstimator):
    def fit(self, features, _) -> "WithoutSparse":
        self.is_sparse = issparse(features)
        return self

    def predict(self, features) -> np.ndarray:
        return np.zeros(features.shape[0])

    def predict_proba(self, features) -> np.ndarray:
        return np.full((features.shape[0], 2), 0.5)


def test_own_estimator_gets_sparse_unless_it_says_no() -> None:
    features, label = many_categories()
    for kind, is_sparse in ((WithoutTags, True), (WithoutSparse, False)):
        model = OmegaConf.create({"_target_": f"{__name__}.{kind.__name__}"})
        assert build(model, features, BINARY, 0).fit(features, label)[-1].is_sparse is is_sparse


def test_record_of_the_model_holds_no_classified_value(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    features = frame()
    label = pl.Series("late", features["signal"] > 0, pl.Int8)
    dataset = as_dataset(features, label, classified=frozenset({"signal", "flag"}))
    monkeypatch.setattr(train, "load_dataset", lambda *_: dataset)
    monkeypatch.setattr(train, "read_contracts", lambda _: {})
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(tmp_path))
    config = OmegaConf.create(
        {
            "seed": 0,
            "seeds": 1,
            "threads": None,
            "debug": {"overfit": False, "rows": 400},
            "dataset": {"slices": []},
            "experiment": {"status": "active", "until": None, "owner": ""},
            "model": MODELS["trees"],
            "threshold": {"policy": "f_beta", "beta": 1.0},
            "evaluation": {
                "bootstrap": 5,
                "importance_rows": 100,
                "importance_repeats": 2,
                "folds": None,
            },
        }
    )
    (tmp_path / "artifacts").mkdir()
    run = MagicMock(id="aaaa1111", folder=tmp_path)
    run.recorded_model.return_value = None
    train.train(config, run)
    estimator, example, output, metadata = run.log_model.call_args.args
    assert 0 < metadata["threshold"]["value"] < 1
    assert example.select("signal", "flag").null_count().row(0) == (example.height,) * 2
    assert example.schema == features.schema
    assert (
        example["noise"].head(5).to_list() == dataset.split("train")[0]["noise"].head(5).to_list()
    )
    assert np.array_equal(estimator.predict_proba(example), output)


@pytest.mark.parametrize("model", MODELS)
def test_importance_finds_the_only_feature_that_tells_anything(model: str) -> None:
    features = frame()
    label = (features["signal"] > 0).to_numpy().astype(np.int8)
    estimator = build(OmegaConf.create(MODELS[model]), features, BINARY, 0).fit(features, label)
    config = OmegaConf.create(
        {"seed": 0, "evaluation": {"importance_rows": 300, "importance_repeats": 3}}
    )
    dataset = as_dataset(features, pl.Series("late", label))
    names, drops = importance(config, dataset, estimator, (features, label))
    assert drops.shape == (features.width, 3)
    assert names[int(drops.mean(axis=1).argmax())] == "signal"
    others = [row for name, row in zip(names, drops, strict=True) if name != "signal"]
    assert np.abs(others).max() < 0.1 < drops[names.index("signal")].min()
