"""Judging classes and numbers, baselines, slices, folds, seeds: against plain references."""

from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from sklearn import metrics as reference

from ml_experiment_runner.dataset.dataset import Dataset, load_dataset
from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.training.evaluation import cross_validation, slices
from ml_experiment_runner.training.evaluation.baseline import baseline
from ml_experiment_runner.training.evaluation.evaluate import evaluate
from ml_experiment_runner.training.evaluation.paired_bootstrap import paired_difference
from ml_experiment_runner.training.plots import model_plots
from support.data_project import DataProject, Recorder

QUICKLY = settings(max_examples=60, deadline=None)
CLASSES = ("a", "b", "c")


@st.composite
def classified_rows(draw) -> tuple[np.ndarray, np.ndarray]:
    """Labels of at least two classes, and chances of three, many of them equal."""
    rows = draw(st.integers(3, 50))
    label = draw(st.lists(st.sampled_from(CLASSES), min_size=rows, max_size=rows))
    label[0], label[1] = "a", "b"
    parts = draw(st.lists(st.tuples(*[st.integers(1, 6)] * 3), min_size=rows, max_size=rows))
    chances = np.array(parts, dtype=float)
    return np.array(label), chances / chances.sum(axis=1, keepdims=True)


@given(classified_rows())
@QUICKLY
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_evaluate_measures_classes_as_scikit_learn_does(rows) -> None:
    label, chances = rows
    judged = evaluate(TaskType.MULTICLASS, label, chances, None, 3, 0, CLASSES)
    said = np.array(CLASSES)[chances.argmax(axis=1)]
    areas = [
        reference.roc_auc_score(label == name, chances[:, number])
        for number, name in enumerate(CLASSES)
        if 0 < np.sum(label == name) < len(label)
    ]
    present = sorted(set(label) | set(said))
    expected = {
        "roc_auc": np.mean(areas),
        "accuracy": reference.accuracy_score(label, said),
        "balanced_accuracy": reference.balanced_accuracy_score(label, said),
        "f1_macro": reference.f1_score(label, said, labels=present, average="macro"),
        "log_loss": reference.log_loss(label, chances, labels=list(CLASSES)),
        "rows": len(label),
    }
    for name, value in expected.items():
        assert judged[name] == pytest.approx(value, abs=1e-9), name


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=2, max_size=50),
    st.sampled_from([0.0, 1e7]),
)
@QUICKLY
def test_evaluate_measures_numbers_as_scikit_learn_does(rows, offset: float) -> None:
    label, prediction = (np.array(each) + offset for each in zip(*rows, strict=True))
    judged = evaluate(TaskType.REGRESSION, label, prediction, None, 3, 0)
    expected = {
        "mae": reference.mean_absolute_error(label, prediction),
        "rmse": reference.root_mean_squared_error(label, prediction),
        "bias": np.mean(prediction - label),
        "label_mean": label.mean(),
    }
    if label.std() > 1:
        expected["r2"] = reference.r2_score(label, prediction)
    for name, value in expected.items():
        assert judged[name] == pytest.approx(value, rel=1e-6, abs=1e-6), name


def noisy(task_type: TaskType, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, and predictions of a good and of a bad model."""
    draw = np.random.default_rng(seed)
    truth = draw.normal(size=rows)
    good, bad = truth + draw.normal(size=rows), truth + 2 * draw.normal(size=rows)
    if task_type == TaskType.REGRESSION:
        return truth, good / 2, bad / 5
    if task_type == TaskType.BINARY:
        return (truth > 0).astype(np.int8), 1 / (1 + np.exp(-good)), 1 / (1 + np.exp(-bad))
    label = np.array(CLASSES)[np.digitize(truth, [-0.5, 0.5])]
    both = [np.exp(-((each[:, None] / 2 - np.array([-1, 0, 1])) ** 2)) for each in (good, bad)]
    return label, *(each / each.sum(axis=1, keepdims=True) for each in both)


@pytest.mark.parametrize("task_type", TaskType)
def test_interval_of_each_task_type_holds_the_truth_as_often(
    task_type: TaskType,
) -> None:
    classes = CLASSES if task_type == TaskType.MULTICLASS else ()
    population, prediction, _ = noisy(task_type, 100_000, 0)
    whole = evaluate(task_type, population, prediction, None, 1, 0, classes)
    names = {"multiclass": ["accuracy", "roc_auc"], "regression": ["r2", "mae"]}.get(
        task_type, ["bias", "log_loss"]
    )
    inside = dict.fromkeys(names, 0)
    draw = np.random.default_rng(1)
    for number in range(100):
        rows = draw.integers(0, len(population), 300)
        judged = evaluate(task_type, population[rows], prediction[rows], None, 200, number, classes)
        for name in names:
            inside[name] += judged[f"{name}/low"] <= whole[name] <= judged[f"{name}/high"]
    assert all(86 <= count <= 100 for count in inside.values()), inside


@pytest.mark.parametrize(("task_type", "metric"), [
    (TaskType.BINARY, "roc_auc"), (TaskType.MULTICLASS, "log_loss"), (TaskType.REGRESSION, "mae"),
])  # fmt: skip
def test_paired_difference_is_told_where_intervals_overlap(
    task_type: TaskType, metric: str
) -> None:
    """Two predictions that are wrong on the same rows."""
    classes = CLASSES if task_type == TaskType.MULTICLASS else ()
    label, good, bad = noisy(task_type, 800, 3)
    mixed = 0.75 * good + 0.25 * bad
    alone = [evaluate(task_type, label, each, None, 300, 0, classes) for each in (mixed, good)]
    difference = paired_difference(task_type, label, mixed, good, metric, 300, 0, classes)
    assert difference.value == pytest.approx(alone[1][metric] - alone[0][metric])
    assert difference.low < difference.value < difference.high
    widths = [each[f"{metric}/high"] - each[f"{metric}/low"] for each in alone]
    assert difference.high - difference.low < 0.7 * min(widths)
    same = paired_difference(task_type, label, good, good, metric, 50, 0, classes)
    assert tuple(same) == (0, 0, 0)
    assert not same.is_real


def test_paired_difference_finds_none_where_there_is_none() -> None:
    draw = np.random.default_rng(4)
    found = 0
    for number in range(60):
        truth = draw.normal(size=200)
        first, second = (truth + draw.normal(size=200) for _ in range(2))
        found += paired_difference(
            TaskType.REGRESSION, truth, first, second, "mae", 200, number
        ).is_real
    assert found <= 9


def test_baseline_is_the_constant_of_the_training_split() -> None:
    learned = np.array([0, 0, 0, 1], np.int8)
    found = baseline(TaskType.BINARY, learned, np.array([0, 1], np.int8))
    assert found["roc_auc/baseline"] == 0.5
    assert found["brier/baseline"] == pytest.approx((0.25**2 + 0.75**2) / 2)
    assert "base_rate/baseline" not in found
    label = np.array(["b", "b", "a", "c"])
    found = baseline(TaskType.MULTICLASS, np.array(["b", "b", "a"]), label, CLASSES)
    assert found["accuracy/baseline"] == 0.5
    found = baseline(TaskType.REGRESSION, np.array([1.0, 3.0]), np.array([0.0, 4.0]))
    assert (found["mae/baseline"], found["r2/baseline"]) == (2.0, 0.0)


# ---------------------------------------------------------------- slices


def test_slices_name_the_group_in_which_the_model_guesses() -> None:
    label, good, _ = noisy(TaskType.BINARY, 3000, 5)
    carrier = np.array(["AA", "BB", "CC"])[np.arange(3000) % 3]
    draw = np.random.default_rng(0)
    guessed = np.where(carrier == "BB", draw.random(3000), good)
    label[-200:] = 0
    groups = pl.DataFrame(
        {
            "carrier": carrier,
            "one_class": ["x"] * 2800 + ["y"] * 200,
            "rare": ["x"] * 50 + [None] * 2950,
            "number": draw.random(3000),
        }
    )
    evaluation = OmegaConf.create({"bootstrap": 200, "slice_rows": 100})
    judged = slices.evaluate_slices(TaskType.BINARY, groups, label, guessed, evaluation, 0)
    assert judged[0].name == "carrier=BB"
    assert [one.name for one in judged if one.is_worse] == ["carrier=BB"]
    assert judged[0].value == pytest.approx(
        reference.roc_auc_score(label[carrier == "BB"], guessed[carrier == "BB"])
    )
    names = {one.name for one in judged}
    assert {"carrier=AA", "carrier=CC", "rare=missing"} < names
    assert "rare=x" not in names  # too few rows
    assert judged[-1].name == "one_class=y"
    assert judged[-1].value is None
    assert not judged[-1].is_worse
    of_number = [one for one in judged if one.name.startswith("number=")]
    assert len(of_number) == 4
    assert all(abs(one.rows - 750) <= 1 for one in of_number)


def test_slices_name_none_where_a_model_is_the_same() -> None:
    draw = np.random.default_rng(6)
    named = 0
    for seed in range(10):
        label, good, _ = noisy(TaskType.REGRESSION, 2000, seed)
        groups = pl.DataFrame({"place": draw.choice(list("abcdefgh"), 2000)})
        evaluation = OmegaConf.create({"bootstrap": 100, "slice_rows": 50})
        judged = slices.evaluate_slices(TaskType.REGRESSION, groups, label, good, evaluation, seed)
        assert len(judged) == 8
        named += any(one.is_worse for one in judged)
    assert named <= 2


def test_slices_may_be_features_that_the_model_does_not_use(project: DataProject) -> None:
    config = project.config(features=["hour", "minute"], slices=["shop", "month", "price"])
    dataset = load_dataset(config)
    columns = slices.columns(config, dataset)
    assert columns.columns == ["shop", "month", "price"]
    assert columns.height == len(dataset.split("test")[1])
    assert set(columns["shop"]) == {"a", "b"}
    assert set(columns["month"]) == {"2024-04"}
    wide = load_dataset(project.config(features=["hour", "minute", "shop"]))
    assert columns["shop"].to_list() == wide.split("test")[0]["shop"].to_list()


@pytest.mark.parametrize(
    ("name", "says"),
    [("shops", "Did you mean 'shop'"), ("minute", "'minute' reads a classified field")],
)
def test_wrong_slice_is_refused(project: DataProject, name: str, says: str) -> None:
    path = project.contract("visits")
    path.write_text(path.read_text().replace("{name: minute,", "{name: minute, classification: x,"))
    config = project.config(features=["hour"], slices=[name])
    with pytest.raises(UserError, match=says):
        slices.columns(config, load_dataset(config))


# ---------------------------------------------------------------- folds and seeds


def folded(project: DataProject, **evaluation: Any) -> tuple[Dataset, list[Any]]:
    config = project.config()
    config.evaluation = {"folds": 4, "block": None, **evaluation}
    config.seed = 0
    dataset = load_dataset(config)
    return dataset, cross_validation.folds(config, dataset)


def test_folds_by_time_learn_from_the_past_only(
    project: DataProject,
) -> None:
    dataset, folds = folded(project)
    assert len(folds) == 4
    time, split = dataset.frame["prediction_time"], dataset.frame["split"]
    judged = []
    for learned, held_out in folds:
        assert time.filter(learned).max() < time.filter(held_out).min()
        assert "test" not in set(split.filter(learned | held_out))
        judged.append(held_out.arg_true().to_list())
    sizes = [len(rows) for rows in judged]
    assert max(sizes) - min(sizes) <= 4
    assert len({row for rows in judged for row in rows}) == sum(sizes)


def test_folds_by_a_feature_keep_its_groups_whole(project: DataProject) -> None:
    dataset, folds = folded(project, folds=2, block="shop")
    shop = dataset.frame["shop"]
    assert [(set(shop.filter(one)), set(shop.filter(other))) for one, other in folds] in (
        [({"a"}, {"b"}), ({"b"}, {"a"})], [({"b"}, {"a"}), ({"a"}, {"b"})],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("evaluation", "says"),
    [
        ({"block": "shops"}, r"'shops' is not a feature of this dataset. Did you mean 'shop'"),
        ({"block": "shop", "folds": 3}, "must be at most 2, the number of values of 'shop', got 3"),
    ],
)
def test_folds_that_cannot_be_cut_are_refused(project: DataProject, evaluation, says) -> None:
    with pytest.raises(UserError, match=says):
        folded(project, **evaluation)


class Family(Recorder):
    """Keeps what nested runs record."""

    def __init__(self) -> None:
        super().__init__()
        self.children: dict[str, Recorder] = {}
        self.folder = Path("no sweep", "0-aaaa1111")

    @contextmanager
    def nested(self, name: str, config: Any) -> Any:
        self.children[f"{name}"] = child = Recorder()
        child.config = config
        yield child


def test_seeds_and_folds_are_nested_runs_with_their_mean(
    project: DataProject,
) -> None:
    config = project.config(features=["hour", "minute", "member"])
    config.update(
        {"evaluation": {"folds": 3, "block": None}, "seed": 5, "seeds": 2, "threads": 1,
         "objective": None,
         "model": {"_target_": "sklearn.tree.DecisionTreeClassifier", "max_depth": 3,
                   "max_features": 1}}
    )  # fmt: skip
    dataset = load_dataset(config)
    run = Family()
    first = cross_validation.fit(config, dataset, dataset.split("train"))
    found = cross_validation.evaluate_seeds(config, run, dataset, first)
    found |= cross_validation.cross_validate(config, run, dataset)
    assert list(run.children) == [
        "seed=5", "seed=6", *(f"fold={fold} seed={seed}" for seed in (5, 6) for fold in range(3)),
    ]  # fmt: skip
    areas = [run.children[f"seed={seed}"].metrics["test/roc_auc"] for seed in (5, 6)]
    assert areas[0] != areas[1]
    assert found["seeds/test/roc_auc"] == pytest.approx(np.mean(areas))
    assert found["seeds/test/roc_auc/sd"] == pytest.approx(np.std(areas, ddof=1))
    folds = [each.metrics["cv/log_loss"] for name, each in run.children.items() if "fold" in name]
    assert found["cv/log_loss"] == pytest.approx(np.mean(folds))
    assert found["cv/log_loss/count"] == 6
    features, label = dataset.split("test")
    expected = reference.roc_auc_score(label, first.predict_proba(features)[:, 1])
    assert areas[0] == pytest.approx(expected)


def test_plots_of_each_task_type_can_be_drawn() -> None:
    label, good, _ = noisy(TaskType.MULTICLASS, 300, 0)
    drawn = [
        model_plots.roc_by_class(label, good, CLASSES),
        model_plots.calibration_by_class(label, good, CLASSES),
        model_plots.confusion_by_class(label, good, CLASSES),
    ]
    label, good, _ = noisy(TaskType.REGRESSION, 300, 0)
    drawn += [model_plots.calibration_of_regression(label, good), model_plots.errors(label, good)]
    for figure in drawn:
        figure.canvas.draw()
    said = {text.get_text() for figure in drawn for text in figure.axes[0].texts}
    assert any(text.endswith("%") for text in said)


def test_figure_that_leaves_some_out_says_so() -> None:
    few, many = (
        [slices.Slice(f"hour={number}", 9, 0.5, 0.4, 0.6, False) for number in range(count)]
        for count in (12, 14)
    )
    drawn = [
        model_plots.slices(few, 0.7, "ROC AUC"),
        model_plots.slices(many, 0.7, "ROC AUC"),
        model_plots.importance([str(number) for number in range(20)], np.ones((20, 3)), "ROC AUC"),
    ]
    assert [figure.axes[0].get_title() for figure in drawn] == [
        "The weakest slices (test)",
        "The weakest slices (test): 12 of 14",
        "Permutation importance: 12 of 20",
    ]
