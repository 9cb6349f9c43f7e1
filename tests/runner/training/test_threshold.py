"""Thresholds: what each policy promises, which is active where none is valid, the hold for it."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from sklearn import metrics as reference

from ml_experiment_runner.cli.holds import holds as holds_command
from ml_experiment_runner.config.checks import check
from ml_experiment_runner.holds import holds
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.training.thresholds.active import active_threshold
from ml_experiment_runner.training.thresholds.policies import Learned, curve, learn
from support.folders import write_run
from support.judged_rows import judged_rows

QUICKLY = settings(max_examples=60, deadline=None)
DEFAULTS = {"target": None, "confidence": 0.9, "costs": {}, "capacity": None, "beta": 1.0}


def policy(name: str, **said: Any) -> Any:
    return OmegaConf.create({"policy": name, **DEFAULTS, **said})


def population(rows: int, base: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and calibrated scores."""
    draw = np.random.default_rng(seed)
    score = draw.beta(base * 4, (1 - base) * 4, rows)
    return (draw.random(rows) < score).astype(np.int8), score


@given(judged_rows(), st.sampled_from([0.5, 1.0, 2.0]))
@QUICKLY
def test_f_beta_threshold_is_the_best_there_is(rows, beta: float) -> None:
    label, score = rows
    threshold = learn(policy("f_beta", beta=beta), label, score).value
    best = max(reference.fbeta_score(label, score >= value, beta=beta)
               for value in np.unique(score))  # fmt: skip
    assert reference.fbeta_score(label, score >= threshold, beta=beta) == pytest.approx(best)


@given(judged_rows(), st.floats(0, 5), st.floats(0, 5), st.floats(-2, 2))
@QUICKLY
def test_cost_threshold_is_the_cheapest_there_is(rows, alarm, miss, gain) -> None:
    label, score = rows
    costs = {"false_positive": alarm, "false_negative": miss, "true_positive": -gain}

    def cost(threshold: float) -> float:
        flagged = score >= threshold
        return (
            alarm * np.sum(flagged & (label == 0)) + miss * np.sum(~flagged & (label == 1))
            - gain * np.sum(flagged & (label == 1))
        )  # fmt: skip

    threshold = learn(policy("cost", costs=costs), label, score).value
    every = [*np.unique(score), score.max() + 1]
    assert cost(threshold) == pytest.approx(min(map(cost, every)), abs=1e-9)


@given(judged_rows(), st.floats(0.01, 1))
@QUICKLY
def test_capacity_is_used_and_never_passed(rows, capacity: float) -> None:
    label, score = rows
    threshold = learn(policy("top_k", capacity=capacity), label, score).value
    assert np.mean(score >= threshold) <= capacity
    lower = score[score < threshold]
    if len(lower):  # one value more would be too much
        assert np.mean(score >= lower.max()) > capacity


def test_curve_has_a_point_for_each_distinct_score() -> None:
    label = np.array([1, 0, 1, 1], np.int8)
    values, precision, recall = curve(label, np.array([0.9, 0.5, 0.5, 0.1]))
    assert values.tolist() == [0.9, 0.5, 0.1]
    assert precision.tolist() == pytest.approx([1, 2 / 3, 3 / 4])
    assert recall.tolist() == pytest.approx([1 / 3, 2 / 3, 1])


def missed(name: str, target: float, draws: int, rows: int) -> tuple[float, float]:
    """How often the target is missed on the population: by risk control, by the best on labels."""
    label, score = population(200_000, 0.3, 0)
    measure = {"precision": lambda t: label[score >= t].mean(),
               "recall": lambda t: label[score >= t].sum() / label.sum()}[name]  # fmt: skip
    controlled, picked = [], []
    for seed in range(1, draws + 1):
        few = population(rows, 0.3, seed)
        threshold = learn(policy(name, target=target), *few).value
        controlled.append(threshold is not None and measure(threshold) < target)
        values, precision, recall = curve(*few)
        reached, wanted = {"precision": (precision, recall), "recall": (recall, precision)}[name]
        best = values[np.argmax(np.where(reached >= target, wanted, -1.0))]
        picked.append(measure(best) < target)
    return float(np.mean(controlled)), float(np.mean(picked))


@pytest.mark.parametrize(("name", "target"), [("precision", 0.5), ("recall", 0.8)])
def test_target_is_kept_on_new_rows_where_the_best_is_not(name, target) -> None:
    controlled, picked = missed(name, target, draws=60, rows=1000)
    assert controlled <= 0.1
    assert picked > 0.25


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "target", "rows"),
    [
        ("precision", 0.5, 300),
        ("precision", 0.6, 2000),
        ("recall", 0.8, 2000),
        ("recall", 0.95, 300),
    ],
)
def test_target_is_kept_with_the_confidence_that_was_asked_for(name, target, rows) -> None:
    controlled, picked = missed(name, target, draws=400, rows=rows)
    assert controlled <= 0.1
    assert picked > 0.2


def test_too_few_labels_say_about_how_many_are_missing() -> None:
    asked = policy("precision", target=0.5)
    few = learn(asked, *population(150, 0.3, 1))
    assert few.value is None
    assert 100 < few.missing < 20_000
    enough = learn(asked, *population(150 + 2 * few.missing, 0.3, 2))
    assert enough.value is not None
    assert enough.guaranteed
    never = learn(policy("precision", target=0.999), *population(3000, 0.3, 1))
    assert never.value is None
    assert never.missing is None
    assert 0.5 < never.reached < 0.999


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"policy": "precision"}, r"threshold\.target is required by .*=precision"),
        ({"policy": "recall", "target": 1}, r"threshold\.target must be in \(0, 1\), got 1"),
        (
            {"policy": "recall", "target": 0.5, "confidence": 1},
            r"threshold\.confidence must be in \[0\.5, 1\), got 1",
        ),
        ({"policy": "top_k"}, r"threshold\.capacity is required by .*=top_k"),
        (
            {"policy": "cost", "costs": {"false_positive": 1}},
            r"threshold\.costs\.false_negative is required",
        ),
        (
            {"policy": "cost", "costs": {"fasle_positive": 1}},
            r"Did you mean 'threshold\.costs\.false_positive'",
        ),
        ({"policy": "tok_k"}, r"threshold\.policy must be one of .*top_k, got 'tok_k'"),
    ],
)
def test_wrong_policy_is_told(said: dict[str, Any], says: str) -> None:
    config = OmegaConf.create(
        {"task": {"_target_": "a.b"}, "tracking": {"uri": "u"}, "project": "p", "package": "q",
         "outputs": "o", "threshold": said}
    )  # fmt: skip
    with pytest.raises(UserError, match=says):
        check(config)


# ---------------------------------------------------------------- the active threshold


class Into:
    """Takes the place of a run."""

    def __init__(self, name: str) -> None:
        self.id, self.experiment = name, "weather"
        self.parent: str | None = None
        self.texts: dict[str, str] = {}
        self.tags: dict[str, str] = {}

    def log_text(self, text: str, name: str) -> None:
        self.texts[name] = text

    def log_tag(self, name: str, value: str) -> None:
        self.tags[name] = value


LABEL = np.array([0, 1, 1], np.int8)
DATASET: Any = SimpleNamespace(fingerprint="f", rows_fingerprint="rows", periods={})
NONE = Learned(None, missing=800, reached=0.42)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(tmp_path))
    return OmegaConf.create(
        {"outputs": str(tmp_path / "outputs"), "now": None, "experiment": {"owner": "Ada"},
         "debug": {"rows": None, "overfit": False},
         "threshold": policy("precision", target=0.5)}
    )  # fmt: skip


def a_run(config: Any, name: str, learned: Learned, day: int) -> dict[str, Any]:
    """What a run tells that learned this, and its record for those after it."""
    run: Any = Into(name)
    told = active_threshold(config, run, DATASET, learned, LABEL)
    folder = write_run(Path(config.outputs), f"weather/2026-11-0{day}/10-00-00-{name}")
    (folder / "artifacts" / "threshold.json").write_text(run.texts["threshold.json"])
    assert ("threshold" in run.tags) is (learned.value is None)
    return told


def open_holds(root: Path) -> list[holds.Hold]:
    return [hold for hold in holds.read_holds(root) if hold.status == holds.OPEN]


def test_threshold_is_kept_with_date_labels_and_how_it_moved(config, tmp_path: Path) -> None:
    a_run(config, "aaaa1111", Learned(0.4, guaranteed=True), 1)
    told = a_run(config, "bbbb2222", Learned(0.3, guaranteed=True), 2)
    assert (told["value"], told["labels"], told["positives"]) == (0.3, 3, 2)
    assert told["guaranteed"]
    assert told["learned"].startswith("20")
    assert [each["value"] for each in told["earlier"]] == [0.4]
    assert not open_holds(tmp_path)


def test_old_threshold_stays_where_none_is_valid_with_a_hold(
    config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_run(config, "aaaa1111", Learned(0.4), 1)
    for name, day in (("bbbb2222", 2), ("cccc3333", 3)):
        told = a_run(config, name, NONE, day)
        assert told["value"] == 0.4
        assert told["carried_over"]["run"] == "aaaa1111"
        assert not told["guaranteed"]
        (hold,) = open_holds(tmp_path)
        assert (hold.kind, hold.subject, hold.id) == (
            "threshold",
            "threshold-weather",
            told["hold"],
        )
    said = capsys.readouterr().out
    assert "no threshold reaches a precision of 0.5 or more with 90% confidence" in said
    assert "the best reaches 0.420; about 800 more labels are needed" in said
    assert "0.4000 of run aaaa1111 stays active" in said
    assert f"holds release {hold.id}" in said
    a_run(config, "dddd4444", Learned(0.35), 4)
    assert not open_holds(tmp_path)


def test_first_run_without_a_valid_threshold_has_none(config, tmp_path: Path) -> None:
    told = a_run(config, "aaaa1111", NONE, 1)
    assert told["value"] is None
    (hold,) = open_holds(tmp_path)
    assert hold.last_good == "none"
    assert "no threshold is active" in hold.violations[0].message


@pytest.mark.parametrize(("word", "asks_again"), [("release", False), ("reject", True)])
def test_decision_on_the_hold_is_for_the_same_rows_and_policy(
    config, tmp_path: Path, word: str, asks_again: bool
) -> None:
    told = a_run(config, "aaaa1111", NONE, 1)
    (tmp_path / "data").mkdir()
    assert holds_command([word, told["hold"], "--by", "Ada", "--why", "It is known"]) == 0
    assert not open_holds(tmp_path)
    assert (a_run(config, "bbbb2222", NONE, 2)["hold"] is not None) is asks_again
    config.threshold.target = 0.6
    assert a_run(config, "cccc3333", NONE, 3)["hold"] is not None


def test_debug_run_holds_nothing_and_takes_no_threshold_over(config, tmp_path: Path) -> None:
    a_run(config, "aaaa1111", Learned(0.4), 1)
    config.debug.rows = 2000
    told = a_run(config, "bbbb2222", NONE, 2)
    assert told["value"] is None
    assert not open_holds(tmp_path)
    assert json.dumps(told)


def test_jobs_reruns_and_debug_runs_hold_and_release_nothing(
    config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_run(config, "aaaa1111", Learned(0.4), 1)
    job: Any = Into("bbbb2222")
    job.parent = "cccc3333"
    told = active_threshold(config, job, DATASET, NONE, LABEL)
    assert (told["value"], told["carried_over"]["run"]) == (0.4, "aaaa1111")
    assert "hold" not in told
    monkeypatch.setenv("RUNNER_RERUN_OF", "aaaa1111")
    assert "hold" not in active_threshold(config, Into("dddd4444"), DATASET, NONE, LABEL)
    assert not open_holds(tmp_path)
    monkeypatch.delenv("RUNNER_RERUN_OF")
    a_run(config, "eeee5555", NONE, 2)
    active_threshold(config, job, DATASET, Learned(0.5), LABEL)
    assert len(open_holds(tmp_path)) == 1


def test_thresholds_that_were_only_tried_are_not_taken_over(config) -> None:
    a_run(config, "aaaa1111", Learned(0.4), 1)
    tried = write_run(Path(config.outputs), "weather/2026-11-02/10-00-00-bbbb2222/0-cccc3333")
    told = {"value": 0.9, "run": "cccc3333", "learned": "", "labels": 3, "positives": 2,
            "policy": {}}  # fmt: skip
    (tried / "artifacts" / "threshold.json").write_text(json.dumps(told))
    assert a_run(config, "dddd4444", NONE, 3)["value"] == 0.4


def test_rerun_takes_over_what_the_run_took_over(config, monkeypatch: pytest.MonkeyPatch) -> None:
    a_run(config, "aaaa1111", Learned(0.1), 1)
    first = a_run(config, "bbbb2222", NONE, 2)
    a_run(config, "cccc3333", Learned(0.3), 3)
    shutil.rmtree(next(Path(config.outputs).glob("*/*/*aaaa1111")))  # others come and go
    monkeypatch.setenv("RUNNER_RERUN_OF", "bbbb2222")
    again = active_threshold(config, Into("dddd4444"), DATASET, NONE, LABEL)
    for key in ("value", "carried_over", "earlier"):
        assert again[key] == first[key]
    assert again["value"] == 0.1
    monkeypatch.setenv("RUNNER_RERUN_OF", "cccc3333")  # it took none over
    assert active_threshold(config, Into("eeee5555"), DATASET, Learned(0.3), LABEL)["value"] == 0.3


def test_rare_positives_with_the_highest_scores_are_found() -> None:
    draw = np.random.default_rng(0)
    label = (np.arange(40_000) < 200).astype(np.int8)
    score = np.where(label == 1, draw.uniform(0.5, 1, 40_000), draw.uniform(0, 0.51, 40_000))
    learned = learn(policy("precision", target=0.9), label, score)
    assert learned.guaranteed
    flagged = score >= learned.value
    assert label[flagged].mean() > 0.9
    assert label[flagged].sum() > 100


def test_few_labels_are_too_few_even_if_the_top_is_right() -> None:
    label = (np.arange(3000) < 40).astype(np.int8)
    score = np.linspace(1, 0, 3000)
    learned = learn(policy("precision", target=0.9), label, score)
    assert learned.value is None
    assert learned.missing is not None
