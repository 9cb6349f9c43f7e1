"""Every experiment runs on a small slice, the same twice, and can learn."""

from collections.abc import Callable

import pytest

from runner.composition import choices
from runner.record.recorded import RecordedRun

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
def test_model_learns_a_handful_of_rows_by_heart(name: str, run_experiment: Runner) -> None:
    run = run_experiment(f"+experiment={name}", "debug=overfit")
    assert run.metrics.get("test/roc_auc", run.metrics.get("test/r2", 0.0)) > 0.9
