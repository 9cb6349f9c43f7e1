"""The results of a sweep: its best job, means over seeds, its picture."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from matplotlib.collections import LineCollection

from ml_experiment_runner.record.run_reader import Point, RecordedRun
from ml_experiment_runner.sweeps.job_result import JobResult, best_of, over_seeds
from ml_experiment_runner.sweeps.plot import parallel_coordinates
from ml_experiment_runner.sweeps.sweep import Sweep

NAN = float("nan")


def job(name: str, value: float | None, status: str = "FINISHED", **values: str) -> JobResult:
    points = {} if value is None else {"validation/roc_auc": [Point(0, 0, value)]}
    run = RecordedRun(Path(), name, status=status, points=points)
    return JobResult(run, values, value)


def test_best_job_has_the_best_objective_and_did_not_fail() -> None:
    jobs = [job("a", 0.6), job("b", 0.8), job("c", None), job("d", None, "FAILED")]
    assert best_of(jobs, None).run.id == "b"
    assert best_of(jobs[2:], None) is None


@pytest.mark.parametrize(("chosen", "best"), [("test/log_loss", "a"), ("test/roc_auc", "b")])
def test_best_is_the_least_where_less_is_better(chosen: str, best: str) -> None:
    assert best_of([job("a", 0.6), job("b", 0.8)], chosen).run.id == best


def test_seeds_are_put_together_and_other_keys_told_apart() -> None:
    jobs = [
        job("a", 0.6, depth="3", seed="0"), job("b", 0.8, depth="3", seed="1"),
        job("c", 0.9, depth="5", seed="0"), job("d", None, depth="5", seed="1"),
    ]  # fmt: skip
    deep, flat = over_seeds(jobs, "validation/roc_auc")
    assert (deep["depth"], deep["seeds"], deep["mean"]) == ("5", 1, 0.9)
    assert (flat["depth"], flat["seeds"]) == ("3", 2)
    assert flat["mean"] == pytest.approx(0.7)
    assert flat["sd"] == pytest.approx(0.02**0.5)
    assert over_seeds([job("a", 0.6, depth="3")], "validation/roc_auc") == []
    assert over_seeds([jobs[0], jobs[2]], "validation/roc_auc") == []


def test_picture_has_a_line_for_each_job() -> None:
    jobs = [job(str(number), 0.5 + number / 10, model=("tree", "linear")[number % 2],
                rate=str(10**-number)) for number in range(4)]  # fmt: skip
    figure = parallel_coordinates(jobs, "validation/roc_auc")
    (lines,) = figure.axes[0].collections
    assert isinstance(lines, LineCollection)
    segments = lines.get_segments()
    assert sorted(float(line[0][1]) for line in segments) == pytest.approx([0.5, 0.6, 0.7, 0.8])
    assert {len(line) for line in segments} == {3}
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == [
        "validation/roc_auc", "model", "rate",
    ]  # fmt: skip
    ticks = {label.get_text() for axes in figure.axes for label in axes.get_yticklabels()}
    assert {"tree", "linear", *(job.values["rate"] for job in jobs)} <= ticks
    assert min(lines.get_cmap()(0.0)[:3]) < 0.9, "the worst job's line can be seen"
    assert "log" in {axes.get_yscale() for axes in figure.axes}


def test_picture_shows_values_that_are_no_finite_numbers() -> None:
    values = ("1", "nan", "inf", "null")
    jobs = [job(value, number / 10, rate=value, depth="1") for number, value in enumerate(values)]
    figure = parallel_coordinates(jobs, "validation/roc_auc")
    ticks = {label.get_text() for axes in figure.axes for label in axes.get_yticklabels()}
    assert set(values) <= ticks


def test_job_that_was_killed_as_it_began_is_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = [RecordedRun(Path(), name, provenance={"overrides": [f"seed={name}"]}) for name in "12"]
    monkeypatch.setattr(
        "ml_experiment_runner.sweeps.sweep._children", lambda *_: [*begun, RecordedRun(Path(), "3")]
    )
    sweep = Sweep.__new__(Sweep)
    sweep.parent, sweep._chosen = SimpleNamespace(folder=Path(), id="a"), None
    assert [result.values for result in sweep.results()] == [{"seed": "1"}, {"seed": "2"}]
