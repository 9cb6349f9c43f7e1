"""What every ensemble promises: a broken signal moves no answer beyond its reach."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from runner import load_dataset
from runner.composition import choices, compose
from runner.record.recorded import RecordedRun
from runner.training.groups import is_ensemble

Runner = Callable[..., RecordedRun]
ENSEMBLES = [
    name for name in choices("experiment") if is_ensemble(compose(f"+experiment={name}").model)
]


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


@pytest.mark.parametrize("name", ENSEMBLES)
def test_a_broken_signal_moves_no_answer_beyond_its_reach(
    name: str, run_experiment: Runner
) -> None:
    run = run_experiment(f"+experiment={name}", "debug=smoke")
    ensemble = run.model()
    features, _ = load_dataset(compose(f"+experiment={name}", "debug=smoke")).part("test")
    before = ensemble.scores(features)
    for group, columns in ensemble.names_.items():
        for what in breakages(group):
            broken = features.with_columns(breakages(name)[what].alias(name) for name in columns)
            moved = ensemble.scores(broken) - before
            widest = (np.abs(moved) if moved.shape[1] == 1 else np.ptp(moved, axis=1)).max()
            assert widest <= ensemble.reach()[group] + 1e-9, f"{group}: {what}"
