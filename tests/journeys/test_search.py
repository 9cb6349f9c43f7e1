"""A search with Optuna is one run, whatever becomes of its jobs; it ends early and is resumed."""

import json
import os
import signal
import time
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from support.bowl import BOWL, X, write_bowl
from support.journey import QUICK, Project

SEARCH = ("-m", *BOWL, "hydra/sweeper=optuna")


@pytest.fixture
def bowl(project: Project) -> Project:
    return write_bowl(project)


def jobs(project: Project) -> list[dict[str, Any]]:
    """The jobs of the only sweep, in their order, as `sweep.json` tells."""
    (path,) = project.root.glob("outputs/*/*/*/artifacts/sweep.json")
    told: dict[str, Any] = json.loads(path.read_text())
    assert told["best"] == best(told["jobs"])["run"]
    return list(told["jobs"])


def best(told: list[dict[str, Any]]) -> dict[str, Any]:
    return min((job for job in told if job["value"] is not None), key=lambda job: job["value"])


def test_search_finds_the_best_value_and_is_one_run(bowl: Project) -> None:
    done = bowl.run(*SEARCH, "seed=2", "hydra.sweeper.n_trials=25", f"{X}=interval(-50,50)")
    told = jobs(bowl)
    values = [job["value"] for job in told]
    assert len(values) == 25
    assert median(values[10:]) < median(values[:10])  # the first ten are drawn at random
    assert min(values) < 4
    assert best(told)["run"] in done.stdout
    runs = bowl.runs("bowl")
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert parent.info.status == "FINISHED"
    assert len(runs) == 26
    assert {"study.log", "sweep.json", "figures/sweep.png"} <= bowl.artifacts(parent)
    tagged = [
        run.data.tags["record.id"] for run in runs if run.data.tags.get("sweep.best") == "true"
    ]
    assert tagged == [best(told)["run"]]


def test_search_stays_within_lists_ranges_and_intervals(bowl: Project) -> None:
    words = (f"{X}=tag(log,interval(0.001,10))", "task.parameters.steps=range(3,12,4)",
             "seed=interval(5,8)", "task.parameters.way=round,flat")  # fmt: skip
    bowl.run(*SEARCH, "hydra/sweeper/sampler=random", *words)
    told = jobs(bowl)
    assert len(told) == 20
    places = [float(job[X]) for job in told]
    assert all(0.001 <= place <= 10 for place in places)
    assert sum(place < 0.1 for place in places) >= 4  # half of the decades
    assert {job["task.parameters.steps"] for job in told} == {"3", "7", "11"}
    assert {int(job["seed"]) for job in told} <= {5, 6, 7, 8}
    assert {job["task.parameters.way"] for job in told} == {"round", "flat"}


def test_failures_and_missing_numbers_do_not_end_a_search(bowl: Project) -> None:
    words = ("hydra.sweeper.n_trials=9", "hydra/sweeper/sampler=random", f"{X}=interval(-5,5)",
             "task.parameters.way=round,broken,undefined")  # fmt: skip
    done = bowl.run(*SEARCH, *words, code=1)
    assert "the bowl is broken" in done.stderr
    told = {way: [job for job in jobs(bowl) if job["task.parameters.way"] == way]
            for way in ("round", "broken", "undefined")}  # fmt: skip
    assert all(told.values())
    assert sum(map(len, told.values())) == 9
    assert {job["status"] for job in told["broken"]} == {"FAILED"}
    assert {job["status"] for job in told["undefined"] + told["round"]} == {"FINISHED"}
    assert all(job["value"] is None for job in told["broken"] + told["undefined"])
    # resumed, what has failed is tried once more, and nothing else
    (folder,) = bowl.root.glob("outputs/bowl/*/*")
    before = len(list(folder.glob("*/journal.jsonl")))
    bowl.change("src/flight_delays/bowl.py", "raise RuntimeError", "print")
    bowl.run("-m", f"resume={folder.name[-8:]}")
    assert len(list(folder.glob("*/journal.jsonl"))) == before + len(told["broken"])
    again = [job for job in jobs(bowl) if job["task.parameters.way"] == "broken"]
    assert [job["status"] for job in again] == ["FINISHED"] * len(told["broken"])


def test_interrupted_search_ends_as_an_undisturbed_one(
    bowl: Project,
) -> None:
    words = ("hydra.sweeper.n_trials=14", f"{X}=interval(-5,5)")
    bowl.run(*SEARCH, *words)
    undisturbed = {job[X] for job in jobs(bowl)}
    (folder,) = bowl.root.glob("outputs/bowl/*/*")
    folder.rename(bowl.root / "undisturbed")
    bowl.change("conf/task/bowl.yaml", "seconds: 0.0", "seconds: 0.2")
    process = bowl.start(*SEARCH, *words)
    limit = time.monotonic() + 300
    while len(list(bowl.root.glob("outputs/bowl/*/*/11-*/config.yaml"))) < 1:
        assert time.monotonic() < limit
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    (folder,) = bowl.root.glob("outputs/bowl/*/*")
    kept = finished(folder)
    assert len(kept) >= 11
    bowl.run("-m", f"resume={folder.name[-8:]}")
    told = jobs(bowl)
    assert {job[X] for job in told} == undisturbed
    assert [job["status"] for job in told] == ["FINISHED"] * 14
    assert kept <= finished(folder)
    assert len(finished(folder)) == 14
    bowl.run("-m", f"resume={folder.name[-8:]}", "hydra.sweeper.n_trials=16")
    assert len(finished(folder)) == 16
    assert undisturbed < {job[X] for job in jobs(bowl)}


def finished(folder: Path) -> set[str]:
    ended = '"status": "FINISHED"'
    return {
        path.parent.name for path in folder.glob("*/journal.jsonl") if ended in path.read_text()
    }


def test_job_that_falls_behind_is_ended_early_and_never_best(bowl: Project) -> None:
    words = ("hydra.sweeper.n_trials=12", "hydra/sweeper/pruner=median", f"{X}=interval(-5,5)",
             "task.parameters.steps=3", "hydra/sweeper/sampler=random")  # fmt: skip
    done = bowl.run(*SEARCH, *words)
    told = jobs(bowl)
    early = [job for job in told if job["status"] == "PRUNED"]
    assert 1 <= len(early) <= 7  # never among the first five
    assert not [job for job in told[:5] if job["status"] == "PRUNED"]
    half = sorted(job["value"] for job in told if job["value"] is not None)
    assert all((float(job[X]) - 2) ** 2 > half[len(half) // 2] for job in early)
    assert "ended early at step 0" in done.stdout
    runs = {run.data.tags["record.id"]: run for run in bowl.runs("bowl")}
    assert {runs[job["run"]].info.status for job in early} == {"KILLED"}
    (folder,) = bowl.root.glob("outputs/bowl/*/*")
    bowl.run("-m", f"resume={folder.name[-8:]}")
    assert len(bowl.runs("bowl")) == 13


def test_few_jobs_of_many_get_all_steps(bowl: Project) -> None:
    words = ("hydra.sweeper.n_trials=16", "hydra/sweeper/pruner=hyperband", f"{X}=interval(-5,5)",
             "task.parameters.steps=9", "hydra/sweeper/sampler=random")  # fmt: skip
    bowl.run(*SEARCH, *words)
    told = jobs(bowl)
    early = {job["run"] for job in told if job["status"] == "PRUNED"}
    assert early
    series = {
        run.data.tags["record.id"]: len(bowl.mlflow.get_metric_history(
            run.info.run_id, "objective/so_far"))
        for run in bowl.runs("bowl")
    }  # fmt: skip
    assert {series[job] for job in early} <= {2, 4}  # at the steps 1 and 3, and nowhere else
    assert series[best(told)["run"]] == 9


def test_values_that_are_chosen_at_once_run_side_by_side(bowl: Project) -> None:
    words = ("hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=2", f"{X}=interval(-5,5)",
             "task.parameters.steps=2", "hydra/sweeper/pruner=median")  # fmt: skip
    done = bowl.run(*SEARCH, *words, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert "6 of 6" in done.stdout
    assert len({job[X] for job in jobs(bowl)}) == 6
    assert len(bowl.runs("bowl")) == 7


def test_folds_tell_a_search_how_a_model_stands(project: Project) -> None:
    words = ("experiment=boosted_trees", "evaluation=cv", "evaluation.folds=3",
             "hydra/sweeper=optuna", "hydra.sweeper.n_trials=2", *QUICK)  # fmt: skip
    project.run("-m", *words, "model.max_iter=interval(2,9)")
    runs = [run for run in project.runs("boosted_trees") if "objective/so_far" in run.data.metrics]
    assert len(runs) == 2
    for run in runs:
        series = project.mlflow.get_metric_history(run.info.run_id, "objective/so_far")
        assert [point.step for point in series] == [0, 1, 2]
        assert series[-1].value == pytest.approx(run.data.metrics["cv/roc_auc"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "needs values to search"),
        ((f"{X}=interval(3,2)",), "from the lower number to the"),
        ((f"{X}=interval(1,2)", "hydra/sweeper=basic"), "hydra/sweeper=optuna"),
        ((f"{X}=interval(1,2)", "hydra/sweeper/sampler=tp"), "Did you mean 'tpe'?"),
        ((f"{X}=interval(1,2)", "hydra.sweeper.n_trial=3"), "--cfg hydra"),
        ((f"{X}=interval(1,2)", "hydra.sweeper.sampler._target_=optuna.samplers.GridSampler"),
         "hydra.sweeper.sampler: optuna.samplers.GridSampler cannot be created"),
        (("seed=interval(-3,2)",), "seed must be in"),
    ],
)  # fmt: skip
def test_search_that_cannot_begin_says_why_and_leaves_nothing(bowl: Project, words, says) -> None:
    done = bowl.run(*SEARCH, *words, code=2)
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(bowl.root.glob("outputs/*/*/*"))
