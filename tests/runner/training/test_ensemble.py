"""The ensemble: what a broken signal can move, which groups are possible, what is fitted again."""

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy.special import logit
from sklearn.metrics import r2_score, roc_auc_score

from ml_experiment_runner.dataset import expressions
from ml_experiment_runner.dataset.dataset import Dataset
from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.training.evaluation.quality_gap import _refusal, measure_quality_gap
from ml_experiment_runner.training.models.ensemble import Ensemble
from ml_experiment_runner.training.models.fit import fit
from ml_experiment_runner.training.models.fusion import fit_fusion
from ml_experiment_runner.training.models.groups import check_ensemble, groups_of
from ml_experiment_runner.training.models.pipeline import predict
from support import SOURCE
from support.corruption import moves
from support.ensembles import GROUPS, LINEAR, configured, make

TREES = {
    "_target_": "sklearn.ensemble.HistGradientBoostingClassifier",
    "max_iter": 20,
    "max_leaf_nodes": 7,
}
LIGHT = {"_target_": "lightgbm.LGBMClassifier", "n_estimators": 20, "num_leaves": 7, "verbose": -1}
CORRUPTIONS = 1000


@pytest.fixture(autouse=True)
def here(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Members are kept in a place that the tests of this file share."""
    place = tmp_path_factory.getbasetemp() / "members"
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(place))
    return place


def fitted(task_type: TaskType = TaskType.BINARY, **model: Any) -> tuple[Dataset, Ensemble]:
    dataset = make(task_type)
    return dataset, fit(configured(task_type, **model), dataset, dataset.split("train"))


@pytest.mark.parametrize("member", [LINEAR, TREES, LIGHT])
def test_broken_signal_moves_the_logit_within_the_budget(member: dict[str, Any]) -> None:
    dataset, ensemble = fitted(member=member)
    features, label = dataset.split("test")
    assert (ensemble.fusion_.weight > 0).all()
    assert max(ensemble.max_influence().values()) <= 2.0
    assert roc_auc_score(label, ensemble.predict_proba(features)[:, 1]) > 0.7
    metrics, _, _ = gap_of(member=member)
    assert metrics["validation/quality_gap"] <= 0.01
    moved = moves(ensemble, features[:40], GROUPS, CORRUPTIONS, 7)
    assert max(moved) <= 2.0 + 1e-9
    assert np.mean(np.array(moved) > 0) > 0.8, "the corruptions do something"


@pytest.mark.parametrize("task_type", [TaskType.MULTICLASS, TaskType.REGRESSION])
def test_classes_and_numbers_have_a_bound_as_well(task_type: TaskType) -> None:
    dataset, ensemble = fitted(task_type, blast_radius=0.8)
    features, label = dataset.split("test")
    unit = float(np.std(dataset.split("train")[1])) if task_type == TaskType.REGRESSION else 1.0
    moved = moves(ensemble, features[:40], GROUPS, 200, 3)
    assert 0.1 * unit < max(moved) <= 0.8 * unit + 1e-9
    if task_type == TaskType.REGRESSION:
        assert r2_score(label, ensemble.predict(features)) > 0.15
    else:
        chance = predict(ensemble, task_type, features, dataset.classes)
        assert chance.sum(axis=1) == pytest.approx(1)
        most_frequent = max(np.mean(label == name) for name in dataset.classes)
        right = np.mean(ensemble.predict(features) == label)
        assert right > most_frequent + 0.05


def test_the_mean_moves_by_a_share_at_most() -> None:
    dataset, ensemble = fitted(fusion="mean")
    some = dataset.split("test")[0][:40]
    moved = moves(ensemble, some, GROUPS, 200, 3)
    assert 0 < max(moved) <= 1 / 3 + 1e-9
    assert ensemble.predict_proba(some)[:, 1] == pytest.approx(ensemble.scores(some)[:, 0])


@pytest.mark.parametrize("task_type", list(TaskType))
def test_the_mean_answers_every_task_type(task_type: TaskType) -> None:
    dataset, ensemble = fitted(task_type, fusion="mean")
    features, label = dataset.split("test")
    answer = predict(ensemble, task_type, features, dataset.classes)
    if task_type == TaskType.REGRESSION:
        assert r2_score(label, answer) > 0.05
        assert np.isfinite(list(ensemble.max_influence().values())).all()
    elif task_type == TaskType.MULTICLASS:
        assert answer.sum(axis=1) == pytest.approx(1)
    else:
        assert roc_auc_score(label, answer) > 0.65


def test_smaller_budget_is_kept_and_the_usual_answer_counts() -> None:
    draw = np.random.default_rng(0)
    truth = draw.normal(size=4000)
    label = (truth + draw.logistic(size=4000) > 0).astype(np.int8)
    answers = {
        "good": 1 / (1 + np.exp(-1.5 * truth)),
        "noise": 1 / (1 + np.exp(-draw.normal(size=4000))),
    }
    for budget in (0.3, 1.0, 3.0, 9.0):
        fusion = fit_fusion(TaskType.BINARY, "bounded", answers, label, budget=budget)
        assert max(fusion.max_influence().values()) <= budget + 1e-12
        weight = dict(zip(fusion.names, fusion.weight, strict=True))
        assert weight["good"] > 0.4, "clipped nearer to the middle, not weighted down"
        assert weight["noise"] < 0.1
        assert roc_auc_score(label, fusion.predict(answers)) > 0.68


def test_members_that_say_nothing_finite_count_as_neutral() -> None:
    chance = np.linspace(0.1, 0.9, 200)
    label = (np.arange(200) > 90).astype(np.int8)
    fusion = fit_fusion(TaskType.BINARY, "bounded", {"a": chance, "b": chance[::-1] / 2}, label)
    neutral = fusion.sum({"a": np.full(4, np.nan), "b": chance[:4]})
    for nonsense in (np.inf, -np.inf, 1e12, -0.1):
        assert fusion.sum({"a": np.full(4, nonsense), "b": chance[:4]}) == pytest.approx(neutral)
    assert fusion.sum({"b": chance[:4]}) == pytest.approx(neutral)
    assert np.isfinite(fusion.sum({"a": np.array([0.0, 1.0]), "b": chance[:2]})).all()


def test_a_missing_signal_costs_one_member_and_not_the_answer() -> None:
    dataset, ensemble = fitted()
    features, label = dataset.split("test")
    for group, names in GROUPS.items():
        gone = features.with_columns(pl.lit(None).alias(name) for name in names)
        answer = ensemble.predict_proba(gone)
        assert np.array_equal(answer, ensemble.without(group).predict_proba(features))
        assert np.array_equal(answer, ensemble.predict_proba(features.drop(names)))
        assert roc_auc_score(label, answer[:, 1]) > 0.55
        moved = logit(answer[:, 1]) - logit(ensemble.predict_proba(features)[:, 1])
        assert np.abs(moved).max() <= ensemble.max_influence()[group] + 1e-9
    assert ensemble.left_out_ == [], "the ensemble itself still asks every member"
    with pytest.raises(KeyError, match="no group 'moon'"):
        ensemble.without("moon")


def test_an_answer_does_not_depend_on_the_rows_beside_it() -> None:
    dataset, ensemble = fitted()
    features = dataset.split("test")[0][:30]
    broken = pl.concat([features, features.with_columns(rain=pl.lit(np.inf), wind=None)])
    # some processors' matrix products round the last digit by the number of rows
    np.testing.assert_allclose(
        ensemble.scores(broken)[:30], ensemble.scores(features), rtol=1e-12, atol=1e-12
    )


def test_failing_member_costs_itself_and_shows_no_values(caplog) -> None:
    dataset, ensemble = fitted()
    features = dataset.split("test")[0][:20]
    expected = ensemble.without("sky").scores(features)

    class Broken:
        classes_ = np.array([0, 1])

        def predict_proba(self, _: pl.DataFrame) -> np.ndarray:
            raise ValueError("cannot read 'a secret'")

    ensemble.models_ = ensemble.models_ | {"sky": Broken()}
    assert np.array_equal(ensemble.scores(features), expected)
    assert "'sky' fails with ValueError" in caplog.text
    assert "secret" not in caplog.text


def test_a_frame_of_pandas_gets_the_same_answers() -> None:
    dataset, ensemble = fitted()
    features = dataset.split("test")[0][:50]
    frame = pd.DataFrame({name: features[name].to_list() for name in features.columns})
    assert frame["seats"].dtype == float, "numbers with gaps"
    assert np.array_equal(ensemble.scores(frame), ensemble.scores(features))


def test_only_the_member_of_a_changed_signal_is_refitted() -> None:
    dataset = make(TaskType.BINARY, seed=5)
    first = fit(configured(), dataset, dataset.split("train"))
    assert [each["reused"] for each in first.learned_.values()] == [False] * 3
    again = fit(configured(), dataset, dataset.split("train"))
    assert [each["reused"] for each in again.learned_.values()] == [True] * 3
    changed = make(TaskType.BINARY, seed=5)
    frame = changed.frame.with_columns(wind=pl.col("wind") * 1.01)
    other = Dataset(frame, "g", changed.features, "label", {}, 0, reads=changed.reads)
    after = fit(configured(), other, other.split("train"))
    assert {group: each["reused"] for group, each in after.learned_.items()} == {
        "clock": True,
        "sky": False,
        "plane": True,
    }
    features = dataset.split("test")[0]
    before, now = again.answers(features), after.answers(features)
    for group in ("clock", "plane"):
        assert np.array_equal(now[group], before[group], equal_nan=True)


@pytest.mark.parametrize("change", ["seed", "threads", "member", "label"])
def test_members_are_refitted_when_their_inputs_change(change: str) -> None:
    dataset = make(TaskType.BINARY, seed=6)
    fit(configured(), dataset, dataset.split("train"))
    config, split = configured(), dataset.split("train")
    if change in ("seed", "threads"):
        config[change] = 1
    elif change == "member":
        config.model.member.C = 0.5
    else:
        split = (split[0], 1 - split[1])
    after = fit(config, dataset, split)
    assert [each["reused"] for each in after.learned_.values()] == [False] * 3


def test_a_group_may_have_a_model_of_its_own() -> None:
    _, ensemble = fitted(members={"sky": TREES})
    task_types = {group: type(model[-1]).__name__ for group, model in ensemble.models_.items()}
    assert task_types == {
        "clock": "LogisticRegression",
        "sky": "HistGradientBoostingClassifier",
        "plane": "LogisticRegression",
    }


READS = {
    "hour": pl.col("flights.hour"),
    "age": pl.col("flights.year") - pl.col("planes.year"),
    "seats": pl.col("planes.seats"),
    "rain": pl.col("weather.rain"),
    "minute": pl.col("flights.hour") * 60 + pl.col("flights.minute"),
}


def needs(*names: str) -> dict[str, expressions.Needs]:
    return {name: expressions.needs(READS[name]) for name in names}


def test_groups_are_by_signal_when_nothing_is_said() -> None:
    found = groups_of(None, needs("hour", "seats", "rain", "minute"))
    assert found == {"flights": ["hour", "minute"], "planes": ["seats"], "weather": ["rain"]}


@pytest.mark.parametrize(
    ("said", "features", "told"),
    [
        (None, ["hour", "age", "seats"], ["'age'", "flights.year and planes.year", "'flights'",
                                          "'planes'", "flights_planes: [flights, planes]"]),
        ({"a": ["hour"], "b": ["age", "planes"], "c": ["flights"]}, ["age"], ["'b'", "'c'"]),
        ({"a": ["hour"], "b": ["minute"]}, ["hour", "minute"],
         ["'hour' in 'a'", "'minute' in 'b'", "flights.hour"]),
        ({"a": ["flights"], "b": ["weather"]}, ["hour", "seats"], ["'seats' is in no group"]),
    ],
)  # fmt: skip
def test_overlap_names_the_feature_and_both_groups(said: Any, features: list[str], told) -> None:
    with pytest.raises(UserError) as error:
        groups_of(said, needs(*features))
    for words in told:
        assert words in str(error.value)


def test_merged_signals_are_one_group() -> None:
    said = {"aircraft": ["flights", "planes"], "sky": ["rain"]}
    found = groups_of(said, needs("hour", "age", "seats", "rain"))
    assert found == {"aircraft": ["hour", "age", "seats"], "sky": ["rain"]}


@pytest.mark.parametrize(
    ("model", "told"),
    [
        (
            {"groups": {"a": ["flight"], "b": ["weather"]}},
            "model.groups.a: 'flight' is neither a signal",
        ),
        ({"groups": {"a": ["flights", "weather"]}}, "an ensemble needs two"),
        ({"groups": {"a": "flights"}}, "must list the signals or features of each group"),
        ({"members": {"moon": LINEAR}}, "model.members: unknown group 'moon'"),
        ({"member": LINEAR | {"D": 1}}, "model.member.D: LogisticRegression has no parameter"),
        (
            {"members": {"weather": LINEAR | {"C": -1}}},
            "model.members.weather.C: The 'C' parameter",
        ),
    ],
)
def test_a_wrong_ensemble_is_told_before_anything_runs(model: dict[str, Any], told: str) -> None:
    config = configured(**model)
    config.dataset = {"features": ["hour", "rain"]}
    config.task = {"uses": ["dataset", "model"]}
    plan: Any = SimpleNamespace(
        contracts={"flights": 1, "weather": 1, "planes": 1},
        features={name: READS[name] for name in ("hour", "rain")},
    )
    with pytest.raises(UserError) as error:
        check_ensemble(config, plan)
    assert told in str(error.value)


def test_held_signal_left_out_leaves_the_others_to_answer() -> None:
    config = configured(members={"weather": LINEAR})
    config.dataset = {"features": ["hour", "rain"]}
    config.task = {"uses": ["dataset", "model"]}
    plan: Any = SimpleNamespace(
        contracts={"flights": 1, "weather": 1}, features={"hour": READS["hour"]}
    )
    check_ensemble(config, plan)
    config.dataset = {"features": ["hour"]}  # nothing is left out: there is one group only
    with pytest.raises(UserError, match="all features are in one group"):
        check_ensemble(config, plan)


class Record:
    """Takes the place of a run."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def log_text(self, text: str, name: str) -> None:
        self.texts[name] = text


class Measured(NamedTuple):
    metrics: dict[str, float]
    refusal: str | None
    record: Record


def gap_of(**model: Any) -> Measured:
    dataset, ensemble = fitted(**model)
    splits = {name: dataset.split(name) for name in ("train", "validation", "test")}
    predictions = {
        split: predict(ensemble, dataset.task_type, splits[split][0])
        for split in ("validation", "test")
    }
    record: Any = Record()
    metrics, refusal = measure_quality_gap(
        configured(**model), record, dataset, splits, predictions, ensemble
    )
    return Measured(metrics, refusal, record)


def test_quality_gap_is_small_where_groups_add_up() -> None:
    metrics, refusal, record = gap_of()
    assert refusal is None
    for split in ("validation", "test"):
        low, value, high = (metrics[f"{split}/quality_gap{end}"] for end in ("/low", "", "/high"))
        assert low < value < high
        assert value <= 0.01
    assert '"max_influence"' in record.texts["ensemble.json"]


def test_ensemble_above_its_quality_gap_is_refused() -> None:
    metrics, refusal, _ = gap_of(blast_radius=0.02, max_quality_gap=0.0)
    assert metrics["validation/quality_gap"] > 0
    assert refusal is not None
    assert f"{metrics['validation/quality_gap']:.4f}" in refusal
    assert "model.max_quality_gap" in refusal
    assert gap_of(blast_radius=0.02, max_quality_gap=None).refusal is None  # no limit


@pytest.mark.parametrize(
    ("value", "low", "high", "is_refused", "is_undecided"),
    [
        (0.005, 0.001, 0.009, False, False),
        (0.005, 0.001, 0.02, False, True),
        (0.01, 0.01, 0.01, False, True),
        (0.02, 0.005, 0.03, True, True),
        (0.02, 0.015, 0.03, True, False),
        (0.02, float("nan"), float("nan"), True, False),
    ],
)
def test_quality_gap_whose_interval_holds_the_limit_is_undecided(
    caplog, value: float, low: float, high: float, is_refused: bool, is_undecided: bool
) -> None:
    measured = {"validation/quality_gap": value, "validation/quality_gap/low": low,
                "validation/quality_gap/high": high}  # fmt: skip
    refusal = _refusal(measured, 0.01, "ROC AUC")
    assert (refusal is not None) == is_refused
    assert ("undecided" in (refusal or caplog.text)) == is_undecided


def test_groups_of_one_signal_are_said_to_move_together(caplog) -> None:
    dataset = make(TaskType.BINARY)
    reads = {name: {"all" if name in ("rain", "wind") else name: {name}} for name in dataset.reads}
    dataset = replace(dataset, reads=reads)
    rest = [name for name in reads if name not in ("rain", "wind")]
    groups = {"wet": ["rain"], "windy": ["wind"], "rest": rest}
    ensemble = fit(configured(groups=groups), dataset, dataset.split("train"))
    splits = {name: dataset.split(name) for name in ("train", "validation", "test")}
    predictions = {name: predict(ensemble, TaskType.BINARY, splits[name][0])
                   for name in ("validation", "test")}  # fmt: skip
    record: Any = Record()
    measure_quality_gap(configured(groups=groups), record, dataset, splits, predictions, ensemble)
    assert "the groups wet, windy all read the signal all" in caplog.text
    max_influence = ensemble.max_influence()
    told = json.loads(record.texts["ensemble.json"])["signals"]
    assert told["all"] == pytest.approx(max_influence["wet"] + max_influence["windy"])


def test_a_kept_member_that_is_damaged_is_fitted_again(here: Path, caplog) -> None:
    dataset = make(TaskType.BINARY, seed=8)
    first = fit(configured(), dataset, dataset.split("train"))
    for each in first.learned_.values():
        path = here / "data" / "cache" / f"member-{each['fingerprint']}.pkl"
        path.write_bytes(path.read_bytes()[:100])
    again = fit(configured(), dataset, dataset.split("train"))
    assert "is damaged" in caplog.text
    features = dataset.split("test")[0]
    assert np.array_equal(first.scores(features), again.scores(features))


def test_a_saved_ensemble_needs_no_hydra(tmp_path: Path) -> None:
    dataset, ensemble = fitted()
    features = dataset.split("test")[0][:20]
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(ensemble))
    features.write_parquet(tmp_path / "rows.parquet")
    np.save(tmp_path / "answer.npy", ensemble.predict_proba(features))
    code = (
        "import pickle, sys, numpy, polars\n"
        "model = pickle.load(open('model.pkl', 'rb'))\n"
        "answer = model.without('sky').predict_proba(polars.read_parquet('rows.parquet'))\n"
        "answer = model.predict_proba(polars.read_parquet('rows.parquet'))\n"
        "numpy.testing.assert_allclose(answer, numpy.load('answer.npy'), rtol=1e-12)\n"
        "assert not {'hydra', 'omegaconf', 'mlflow', 'dvc'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True,
                   env={"PYTHONPATH": str(SOURCE)})  # fmt: skip
