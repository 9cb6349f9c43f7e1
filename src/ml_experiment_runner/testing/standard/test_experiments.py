"""Every experiment runs on a slice, gives the same metrics twice, and can learn."""

import numpy as np
import polars as pl
import pytest
from omegaconf import DictConfig

from ml_experiment_runner.config.checks import trains
from ml_experiment_runner.config.composition import compose
from ml_experiment_runner.config.parameters import is_ensemble
from ml_experiment_runner.dataset.dataset import load_dataset
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record.run_reader import RecordedRun
from ml_experiment_runner.testing.fixtures import Runner
from ml_experiment_runner.testing.mistakes import mistakes_in
from ml_experiment_runner.testing.parameters import pytest_generate_tests as pytest_generate_tests


def file_of(name: str) -> str:
    """The file of an experiment."""
    return f"conf/experiment/{name}.yaml"


def composed(name: str) -> DictConfig:
    """An experiment's configuration on a slice."""
    with mistakes_in(file_of(name)):
        return compose(f"+experiment={name}", "debug=smoke")


def training(name: str) -> DictConfig:
    """The configuration of an experiment that trains; skips any other."""
    config = composed(name)
    if not trains(config):
        pytest.skip("its task is not train")
    return config


@pytest.fixture
def run_on_slice(run_experiment: Runner) -> Runner:
    """Runs an experiment on a slice; an error names its file and how to reproduce it."""

    def run_one(name: str, debug: str = "debug=smoke") -> RecordedRun:
        overrides = (f"+experiment={name}", debug)
        advice = f"reproduce it: python run.py {' '.join(overrides)}"
        with mistakes_in(file_of(name), f"the experiment fails on a slice; {advice}"):
            return run_experiment(*overrides)

    return run_one


def test_experiment_runs_on_a_slice(experiment: str, run_on_slice: Runner) -> None:
    run = run_on_slice(experiment)
    card = run.folder / "artifacts" / "card.html"
    expected = {"a card": card.exists() and card.stat().st_size > 0}
    if trains(composed(experiment)):
        rows = run.metrics.get("test/rows", 0)
        expected |= {"rows in the test split (see dataset.split)": rows > 0}
        expected |= {"a model": run.has_model}
    missing = [name for name, exists in expected.items() if not exists]
    if run.status != "FINISHED" or missing:
        raise UserError(
            f"{file_of(experiment)}: the run on a slice is {run.status} and lacks "
            f"{', '.join(missing) or 'nothing'}.\n"
            f"Reproduce it: python run.py +experiment={experiment} debug=smoke"
        )


def test_same_seed_gives_the_same_metrics(experiment: str, run_on_slice: Runner) -> None:
    training(experiment)
    first, second = (run_on_slice(experiment).metrics for _ in range(2))
    measured = [key for key in first if key.startswith(("validation/", "test/"))]
    differing = [key for key in measured if first[key] != second.get(key)]
    if differing or not measured:
        shown = ", ".join(f"{key} {first[key]} and {second.get(key)}" for key in differing[:3])
        raise UserError(
            f"{file_of(experiment)}: two runs with the same seed differ "
            f"({shown or 'no metrics'}).\n"
            "Derive all randomness from the seed: give your estimator a parameter random_state, "
            "which the run sets, and do not use the time or the order of a set"
        )


def test_model_tells_a_handful_of_seen_rows_apart(experiment: str, run_on_slice: Runner) -> None:
    training(experiment)
    metrics = run_on_slice(experiment, "debug=overfit").metrics
    score, constant = ("roc_auc", 0.5) if "test/roc_auc" in metrics else ("r2", 0.0)
    # a linear model with few features cannot memorise all of them
    if not metrics[f"test/{score}"] > constant + 0.1:
        raise UserError(
            f"{file_of(experiment)}: {score} must be above {constant + 0.1:g} on rows that the "
            f"model was trained on, got {metrics[f'test/{score}']:.2f}; a constant model gets "
            f"{constant}.\n"
            "Check whether dataset.features are empty or the same in all rows, and whether the "
            f"model can learn: python run.py +experiment={experiment} debug=overfit"
        )


def breakages(name: str) -> dict[str, pl.Expr]:
    """Ways in which a column may break."""
    return {
        "missing": pl.lit(None),
        "not a number": pl.lit(float("nan")),
        "infinite": pl.lit(float("inf")),
        "huge": pl.lit(1e12),
        "a text": pl.lit("no such thing"),
        "constant": pl.col(name).first(),
        "shuffled": pl.col(name).shuffle(seed=1),
        "upside down": pl.col(name).reverse(),
    }


def test_broken_signal_moves_an_ensemble_within_its_bound(
    experiment: str, run_on_slice: Runner
) -> None:
    config = training(experiment)
    if not is_ensemble(config.model):
        pytest.skip("its model is not an ensemble, which alone promises that")
    ensemble = run_on_slice(experiment).model()
    features, _ = load_dataset(config).split("test")
    before = ensemble.scores(features)
    for group, columns in ensemble.names_.items():
        for kind in breakages(group):
            broken = features.with_columns(breakages(name)[kind].alias(name) for name in columns)
            moved = ensemble.scores(broken) - before
            widest = (np.abs(moved) if moved.shape[1] == 1 else np.ptp(moved, axis=1)).max()
            if widest > ensemble.max_influence()[group] + 1e-9:
                raise UserError(
                    f"{file_of(experiment)}: {group} with values {kind} changes a prediction by "
                    f"{widest:.3f}; its max influence is {ensemble.max_influence()[group]:.3f}.\n"
                    "Check the code of the members if it is yours; otherwise report this message "
                    "to the template's maintainers"
                )
