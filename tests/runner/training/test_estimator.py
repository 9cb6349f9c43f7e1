"""Every model of conf/model: three kinds of label, categories and gaps, seeds, threads, saving."""

import subprocess
import sys
import textwrap

import cloudpickle
import numpy as np
import polars as pl
import pytest
from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.config.parameters import MissingExtraError, check_model
from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.training.models.pipeline import build, fit_estimator, predict
from support import SOURCE
from support.models import CLASSES, PAIRS, model


def rows(task_type: TaskType, count: int = 1200) -> tuple[pl.DataFrame, np.ndarray]:
    """A category decides most, a number some; both have gaps, one column has nothing at all."""
    draw = np.random.default_rng(0)
    place = draw.integers(0, 8, count)
    number = draw.normal(size=count)
    truth = np.array([2.0, -1, 0.5, -2, 1, -0.5, 1.5, -1.5])[place] + 0.3 * number
    far, last = number > 2, place == 7
    features = pl.DataFrame(
        {
            "place": [None if gap else f"p{one}" for one, gap in zip(place, far, strict=True)],
            "number": [None if gap else one for one, gap in zip(number, last, strict=True)],
            "flag": draw.integers(0, 2, count).astype(bool),
            "empty": pl.Series([None] * count, dtype=pl.Float64),
        }
    )  # fmt: skip
    noisy = truth + 0.3 * draw.normal(size=count)
    if task_type == TaskType.REGRESSION:
        return features, noisy
    if task_type == TaskType.BINARY:
        return features, (noisy > 0).astype(np.int8)
    return features, np.array(CLASSES)[np.digitize(noisy, [-0.8, 0.8])]


def fitted(config: DictConfig, task_type: TaskType, threads: int | None = 2):
    features, label = rows(task_type)
    classes = CLASSES if task_type == TaskType.MULTICLASS else ()
    pipeline = fit_estimator(config, (features, label), task_type, classes, 0, threads)
    return pipeline, predict(pipeline, task_type, features, classes), label


@pytest.mark.parametrize(("name", "task_type"), PAIRS)
def test_model_learns_categories_and_takes_gaps_and_new(name, task_type) -> None:
    pipeline, prediction, label = fitted(model(name), task_type)
    if name != "dummy":
        if task_type == TaskType.REGRESSION:
            right = 1 - np.var(prediction - label) / np.var(label)
        elif task_type == TaskType.BINARY:
            right = np.mean((prediction >= 0.5) == label)
        else:
            right = np.mean(np.array(CLASSES)[prediction.argmax(axis=1)] == label)
        assert right > 0.7
    strange = pl.DataFrame(
        {"place": ["new", None, ""], "number": [None, 1e9, -1e9], "flag": [None, True, False],
         "empty": [1.0, None, None]},
        schema_overrides={"number": pl.Float64},
    )  # fmt: skip
    classes = CLASSES if task_type == TaskType.MULTICLASS else ()
    answers = predict(pipeline, task_type, strange, classes)
    assert answers.shape == ((3, 3) if classes else (3,))
    assert np.isfinite(answers).all()


@pytest.mark.parametrize(("name", "task_type"), PAIRS)
def test_model_is_the_same_fitted_again_and_loaded(name, task_type) -> None:
    pipeline, first, _ = fitted(model(name), task_type)
    _, second, _ = fitted(model(name), task_type)
    assert np.array_equal(first, second)
    loaded = cloudpickle.loads(cloudpickle.dumps(pipeline))
    classes = CLASSES if task_type == TaskType.MULTICLASS else ()
    assert np.array_equal(first, predict(loaded, task_type, rows(task_type)[0], classes))


@pytest.mark.parametrize("name", ["random_forest", "lightgbm", "xgboost", "catboost"])
def test_seed_and_threads_of_the_run_reach_the_model(name) -> None:
    left_open = ("random_state", "random_seed", "n_jobs", "thread_count")
    bare = {key: value for key, value in model(name).items() if key not in left_open}
    features, _ = rows(TaskType.BINARY, 50)
    estimator = build(OmegaConf.create(bare), features, TaskType.BINARY, 7, 2)[-1]
    said = estimator.get_params()
    assert 7 in (said.get("random_state"), said.get("random_seed"))
    assert 2 in (said.get("n_jobs"), said.get("thread_count"))


@pytest.mark.parametrize(("name", "parameter", "meant"), [
    ("lightgbm", "num_leavs", "num_leaves"),
    ("xgboost", "max_dept", "max_depth"),
    ("catboost", "iteration", "iterations"),
    ("random_forest", "n_estimator", "n_estimators"),
    ("hist_gradient_boosting", "max_iters", "max_iter"),
])  # fmt: skip
def test_typo_in_a_parameter_is_told_before_anything_runs(name, parameter, meant) -> None:
    config = OmegaConf.create({"task": {"uses": ["model"]}, "model": model(name)})
    check_model(config)
    config.model[parameter] = 3
    with pytest.raises(UserError, match=rf"model\.{parameter}: .*Did you mean '{meant}'"):
        check_model(config)


def test_parameter_of_lightgbms_core_is_no_typo() -> None:
    config = OmegaConf.create({"task": {"uses": ["model"]}, "model": model("lightgbm")})
    config.model.max_bin = 63
    check_model(config)
    assert fitted(config.model, TaskType.BINARY)[0][-1].get_params()["max_bin"] == 63


@pytest.mark.parametrize(("name", "task_type", "says"), [
    ("ridge", TaskType.BINARY, "is a regressor, but the label makes this binary"),
    ("logistic_regression", TaskType.REGRESSION, "is a classifier, but the label makes this reg"),
])  # fmt: skip
def test_model_of_another_task_type_is_refused(name, task_type, says) -> None:
    with pytest.raises(UserError, match=says):
        fitted(model(name), task_type)


def test_model_whose_extra_is_not_installed_says_what_to_type(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "xgboost", None)
    config = OmegaConf.create({"task": {"uses": ["model"]}, "model": model("xgboost")})
    with pytest.raises(MissingExtraError, match="make setup ARGS=boosting"):
        check_model(config)


@pytest.mark.parametrize("name", ["lightgbm", "xgboost", "catboost"])
def test_saved_boosting_loads_without_the_repository(name, tmp_path) -> None:
    """As the sync worker saves it; skops takes none of these, so their own bytes go in a pickle."""
    pipeline, expected, _ = fitted(model(name), TaskType.BINARY)
    features, _ = rows(TaskType.BINARY)
    (tmp_path / "model.pkl").write_bytes(cloudpickle.dumps(pipeline, protocol=5))
    features.head(5).write_parquet(tmp_path / "input_example.parquet")
    np.save(tmp_path / "output_example.npy", pipeline.predict_proba(features.head(5)))
    (tmp_path / "metadata.json").write_text("{}")
    save = """
        import sys; from pathlib import Path; from mlflow.models import Model
        from ml_experiment_runner.record.sync.models import _save
        folder = Path(sys.argv[1])
        _save(folder / "saved", Model(), folder, "nobody")
    """
    load = """
        import sys, numpy, pandas, mlflow.pyfunc
        model = mlflow.pyfunc.load_model(sys.argv[1] + "/saved")
        rows = pandas.read_parquet(sys.argv[1] + "/input_example.parquet")
        numpy.save(sys.argv[1] + "/answers.npy", numpy.asarray(model.predict(rows)))
        assert "ml_experiment_runner" not in sys.modules
    """
    source = str(SOURCE)
    for code, path in ((save, source), (load, "")):
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)],
            check=True, cwd=tmp_path, env={"PYTHONPATH": path, "PATH": "", "HOME": str(tmp_path)},
        )  # fmt: skip
    answers = np.load(tmp_path / "answers.npy")
    assert np.array_equal(answers[:, 1], expected[:5])
    requirements = (tmp_path / "saved" / "requirements.txt").read_text()
    assert name in requirements
