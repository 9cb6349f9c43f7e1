"""Every experiment runs on a small slice, the same twice, and can learn."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from runner import load_dataset
from runner.composition import choices, compose
from runner.record.recorded import RecordedRun
from runner.training.groups import is_ensemble

Runner = Callable[..., RecordedRun]
EXPERIMENTS = choices("experiment")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_runs_on_a_slice(name: str, run_experiment: Runner) -> None:
    run = run_experiment(f"+experiment={name}", "debug=smoke")
    assert run.status == "FINISHED"
    assert run.metrics["test/rows"] > 0
    assert (run.folder / "artifacts" / "card.html").stat().st_size > 0
    assert run.model() is not None


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_same_seed_gives_the_same_metrics(name: str, run_experiment: Runner) -> None:
    first, second = (run_experiment(f"+experiment={name}", "debug=smoke") for _ in range(2))
    measured = [key for key in first.metrics if key.startswith(("validation/", "test/"))]
    assert measured
    assert {key: first.metrics[key] for key in measured} == {
        key: second.metrics[key] for key in measured
    }


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_model_tells_a_handful_of_seen_rows_apart(name: str, run_experiment: Runner) -> None:
    metrics = run_experiment(f"+experiment={name}", "debug=overfit").metrics
    score, constant = ("roc_auc", 0.5) if "test/roc_auc" in metrics else ("r2", 0.0)
    # few features and a linear model cannot memorise them all
    assert metrics[f"test/{score}"] > constant + 0.1, (
        f"{score} is {metrics[f'test/{score}']:.2f} on rows that the model was trained on, as good "
        "as a constant: are its features empty, or the same in all rows?"
    )


def breakages(name: str) -> dict[str, pl.Expr]:
    """What may become of a column."""
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


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_broken_signal_moves_no_answer_of_an_ensemble_beyond_its_reach(
    name: str, run_experiment: Runner
) -> None:
    config = compose(f"+experiment={name}", "debug=smoke")
    if not is_ensemble(config.model):
        return  # no other model promises that
    ensemble = run_experiment(f"+experiment={name}", "debug=smoke").model()
    features, _ = load_dataset(config).part("test")
    before = ensemble.scores(features)
    for group, columns in ensemble.names_.items():
        for what in breakages(group):
            broken = features.with_columns(breakages(name)[what].alias(name) for name in columns)
            moved = ensemble.scores(broken) - before
            widest = (np.abs(moved) if moved.shape[1] == 1 else np.ptp(moved, axis=1)).max()
            assert widest <= ensemble.reach()[group] + 1e-9, f"{group}: {what}"
