"""Sweeps: one run with its jobs below it, whatever happens to them; resumed where they stopped."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from ml_experiment_runner.record.run_reader import read_run
from support.bowl import BOWL, X, write_bowl
from support.journey import QUICK, Project, judged

SMALL = ("experiment=boosted_trees", "debug=smoke", *QUICK)


def family(project: Project) -> tuple[Any, dict[str, Any]]:
    """The sweep's run and those of its jobs by what was chosen for them, from MLflow."""
    runs = project.runs("boosted_trees")
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    jobs = [run for run in runs if run is not parent]
    assert all(run.data.tags["mlflow.parentRunId"] == parent.info.run_id for run in jobs)
    done = [run for run in jobs if run.info.status != "KILLED"]
    return parent, {run.data.params["model.max_iter"]: run for run in done}


def test_sweep_is_one_run_and_outlives_a_failing_job(
    project: Project,
) -> None:
    # no model of a linear classifier's class can answer with minutes
    words = ("model=logistic_regression", "dataset.label=late,arrival_delay", "seed=0,1")
    done = project.run("-m", *SMALL, *words, code=2)
    runs = project.runs("boosted_trees")
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert parent.info.status == "FINISHED"
    status = {(run.data.params["dataset.label"], run.data.params["seed"]): run.info.status
              for run in runs if run is not parent}  # fmt: skip
    assert status == {
        ("late", "0"): "FINISHED", ("late", "1"): "FINISHED",
        ("arrival_delay", "0"): "FAILED", ("arrival_delay", "1"): "FAILED",
    }  # fmt: skip
    assert parent.data.metrics["jobs/failed"] == 2
    assert done.stdout.count("FAILED") == 2


def test_sweep_has_table_picture_best_job_and_means(project: Project) -> None:
    done = project.run("-m", *SMALL, "model.max_iter=2,40", "seed=0,1")
    parent, _ = family(project)
    assert parent.info.status == "FINISHED"
    table = json.loads(project.artifact(parent, "sweep.json").read_text())
    assert len(table["jobs"]) == 4
    values = {job["run"]: job["value"] for job in table["jobs"]}
    assert table["best"] == max(values, key=lambda run: values[run])
    tagged = [run.data.tags["record.id"] for run in project.runs("boosted_trees")
              if run.data.tags.get("sweep.best") == "true"]  # fmt: skip
    assert tagged == [table["best"]]
    assert {"figures/sweep.png", "card.html"} <= project.artifacts(parent)
    assert [group["seeds"] for group in table["over_seeds"]] == [2, 2]
    for group in table["over_seeds"]:
        same = [job["value"] for job in table["jobs"]
                if job["model.max_iter"] == group["model.max_iter"]]  # fmt: skip
        assert group["mean"] == pytest.approx(sum(same) / 2)
    assert "over 2 seeds" in done.stdout
    assert table["best"] in project.artifact(parent, "card.html").read_text()
    best = parent.data.metrics["best/validation/roc_auc"]
    assert best == max(values.values())


@pytest.mark.parametrize(
    "how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.long)]
)
def test_resumed_sweep_runs_only_what_is_missing(project: Project, how: signal.Signals) -> None:
    process = project.start("-m", *SMALL, "threads=1", "model.max_iter=5,10,15,20")
    limit = time.monotonic() + 300
    while len(list(project.root.glob("outputs/boosted_trees/*/*/[12]-*/config.yaml"))) < 2:
        assert time.monotonic() < limit
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, how)
    process.communicate(timeout=60)
    (folder,) = project.root.glob("outputs/boosted_trees/*/*")
    before = finished(folder)
    assert 1 <= len(before) < 4
    done = project.run("-m", f"resume={folder.name[-8:]}")
    assert done.stdout.count("finished before: ") == len(before)
    after = finished(folder)
    assert len(after) == 4
    assert before.items() <= after.items()
    parent, jobs = family(project)
    assert parent.info.status == "FINISHED"
    assert set(jobs) == {"5", "10", "15", "20"}
    assert all(run.info.status == "FINISHED" for run in jobs.values())
    assert parent.data.metrics["jobs/finished"] == 4
    alone = project.run(*SMALL, "threads=1", "model.max_iter=15")
    assert alone.returncode == 0
    last = max(project.runs("boosted_trees"), key=lambda run: run.info.start_time)
    assert judged(last) == judged(jobs["15"])


JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "threads=1")


SUBMITTED = ("hydra/launcher=slurm", "hydra.launcher.cluster=local", "threads=1")


@pytest.mark.parametrize("launcher", [JOBLIB, SUBMITTED], ids=["joblib", "submitted"])
def test_jobs_in_other_processes_give_the_same_numbers(
    project: Project, launcher: tuple[str, ...]
) -> None:
    words = (*SMALL, "model.max_iter=5,10", "seed=0,1")
    done = project.run("-m", *words, *launcher)
    assert "4 of 4" in done.stdout
    there = project.runs("boosted_trees")
    assert [run.info.status for run in there] == ["FINISHED"] * 5
    project.run("-m", *words, "threads=1")
    runs = [run for run in project.runs("boosted_trees") if run.data.metrics.get("test/rows")]

    def numbers(chosen: list[Any]) -> dict[Any, Any]:
        return {(run.data.params["model.max_iter"], run.data.params["seed"]): judged(run)
                for run in chosen}  # fmt: skip

    assert numbers(runs[:4]) == numbers(runs[4:])
    assert len(numbers(runs[:4])) == 4
    for run in runs[:4]:
        assert {"card.html", "console.log", "predictions.parquet"} <= project.artifacts(run)
        assert run.outputs.model_outputs
        assert "roc_auc" in project.artifact(run, "console.log").read_text()


def test_failing_job_elsewhere_is_told_and_the_rest_go_on(project: Project) -> None:
    words = ("model=logistic_regression", "dataset.label=late,arrival_delay")
    done = project.run("-m", *SMALL, *words, *JOBLIB, code=2)
    assert "is a classifier, but the label makes this regression" in done.stderr
    runs = project.runs("boosted_trees")
    assert sorted(run.info.status for run in runs) == ["FAILED", "FINISHED", "FINISHED"]
    done = project.run("-m", *SMALL, "model.max_iter=5,0.5", *JOBLIB, code=2)
    assert "max_iter" in done.stderr


@pytest.mark.parametrize("launcher", [JOBLIB, SUBMITTED], ids=["joblib", "submitted"])
def test_interrupted_jobs_elsewhere_run_when_resumed(
    project: Project, launcher: tuple[str, ...]
) -> None:
    write_bowl(project)
    words = (*BOWL, *launcher, "task.parameters.seconds=0.1,30", f"{X}=1,2")
    process = project.start("-m", *words)
    limit = time.monotonic() + 300
    begun = "outputs/bowl/*/*/[0-9]-*/config.yaml"
    while len(list(project.root.glob(begun))) < 4 or len(finished(project.root)) < 2:
        assert time.monotonic() < limit
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=20)  # nobody waits for what takes 30 s
    assert process.returncode == 130
    (folder,) = project.root.glob("outputs/bowl/*/*")
    before = finished(folder)
    assert len(before) == 2
    project.change("src/flight_delays/bowl.py", "time.sleep(asked.seconds)", "")
    done = project.run("-m", f"resume={folder.name[-8:]}")
    assert done.stdout.count("finished before: ") == len(before)
    assert len(finished(folder)) == 4
    states = [run.info.status for run in project.runs("bowl")]
    assert states.count("FINISHED") == 5
    assert set(states) <= {"FINISHED", "KILLED"}


def test_workers_of_a_killed_sweep_end_with_it(project: Project) -> None:
    write_bowl(project)
    process = project.start("-m", *BOWL, *JOBLIB, "task.parameters.seconds=0.1,60", f"{X}=1,2")
    wait_for(project, process, 4)
    workers = [
        each for each in psutil.Process(process.pid).children(recursive=True)
        if each.status() != psutil.STATUS_ZOMBIE and "loky" in " ".join(each.cmdline())
    ]  # fmt: skip
    assert len(workers) >= 2
    process.kill()
    process.communicate(timeout=20)
    assert not psutil.wait_procs(workers, timeout=20)[1]


def test_sweep_that_is_resumed_twice_at_once_runs_each_job_once(project: Project) -> None:
    write_bowl(project)
    process = project.start("-m", *BOWL, "task.parameters.seconds=0.5", f"{X}=1,2,3,4")
    wait_for(project, process, 2)
    process.kill()
    process.communicate(timeout=20)
    (folder,) = project.root.glob("outputs/bowl/*/*")
    resumed = [project.start("-m", f"resume={folder.name[-8:]}") for _ in range(2)]
    errors = [each.communicate(timeout=120)[1] for each in resumed]
    assert sorted(each.returncode for each in resumed) == [0, 2], errors
    assert sum("still at work" in text for text in errors) == 1
    runs = [read_run(folder / name) for name in finished(folder)]
    assert sorted(run.params[X] for run in runs) == ["1", "2", "3", "4"]


def wait_for(project: Project, process: Any, begun: int) -> None:
    limit = time.monotonic() + 300
    while len(list(project.root.glob("outputs/bowl/*/*/[0-9]-*/config.yaml"))) < begun:
        assert time.monotonic() < limit
        assert process.poll() is None
        time.sleep(0.02)


def test_typed_secret_is_not_left_where_jobs_are_submitted(project: Project) -> None:
    write_bowl(project)
    typed = "experiment.question=hush-hush"
    project.run("-m", *BOWL, *SUBMITTED, f"{X}=1,2", typed)
    assert not list(project.root.rglob("submitted/*.pkl"))
    assert not list(project.root.rglob("multirun.yaml"))


def test_killed_process_costs_its_own_job_only(project: Project) -> None:
    write_bowl(project)
    words = (f"{X}=1,2,3", "task.parameters.way=round,killed", "task.parameters.seconds=0.2")
    done = project.run("-m", *BOWL, *JOBLIB, *words, code=1)
    assert done.stderr.count("the process of the job was killed") == 3
    (path,) = project.root.glob("outputs/bowl/*/*/artifacts/sweep.json")
    status = {(job["task.parameters.way"], job["status"])
              for job in json.loads(path.read_text())["jobs"]}  # fmt: skip
    assert status == {("round", "FINISHED"), ("killed", "KILLED")}


@pytest.mark.long
def test_job_killed_where_submitted_is_told_with_its_log(project: Project) -> None:
    write_bowl(project)
    done = project.run("-m", *BOWL, *SUBMITTED, "task.parameters.way=round,killed", code=1)
    assert "the job ended without a result" in done.stderr
    told = done.stderr.partition("see ")[2].split()[0]
    assert Path(told).parent.is_dir()
    jobs = [run for run in project.runs("bowl") if "mlflow.parentRunId" in run.data.tags]
    status = {run.data.params["task.parameters.way"]: run.info.status for run in jobs}
    assert status == {"round": "FINISHED", "killed": "KILLED"}


@pytest.mark.long
def test_64_jobs_on_two_processes_are_64_complete_runs(
    project: Project,
) -> None:
    depths = ",".join(str(number) for number in range(2, 34))
    words = (*SMALL, f"model.max_leaf_nodes={depths}", "model.max_iter=2", "seed=0,1")
    done = project.run("-m", *words, *JOBLIB)
    assert "64 of 64" in done.stdout
    parent, *jobs = sorted(
        project.runs("boosted_trees"), key=lambda run: "mlflow.parentRunId" in run.data.tags
    )
    assert parent.data.metrics["jobs/finished"] == 64
    assert len({run.data.tags["record.folder"] for run in jobs}) == 64
    for run in jobs:
        assert run.info.status == "FINISHED"
        assert run.outputs.model_outputs
        assert run.data.metrics["test/rows"]
    logs = project.root.glob("outputs/.pending/*/delivery.log")
    assert not [log for log in logs if "locked" in log.read_text()]


SEARCH = ("hydra/sweeper=optuna", f"{X}=interval(0,4)", "hydra.sweeper.n_trials=3")


@pytest.mark.parametrize(
    "words",
    [
        pytest.param((f"{X}=1,2,3",), id="one by one"),
        pytest.param((f"{X}=1,2,3", *JOBLIB), id="joblib", marks=pytest.mark.long),
        pytest.param(SEARCH, id="search"),
    ],
)
def test_objective_that_no_job_has_ends_a_sweep_at_once(
    project: Project, words: tuple[str, ...]
) -> None:
    write_bowl(project)
    done = project.run("-m", "task=bowl", "objective=height/logloss", *words, code=2)
    assert "has no metric 'height/logloss'. Did you mean 'height/log_loss'?" in done.stderr
    assert "Traceback" not in done.stderr
    (parent,) = [run for run in project.runs("bowl") if "mlflow.parentRunId" not in run.data.tags]
    assert parent.info.status == "FAILED"
    assert parent.data.metrics["jobs/finished"] < 3
    folder = Path(parent.data.tags["record.folder"])
    assert (
        project.run("-m", f"resume={folder.name[-8:]}", code=2).stderr.count("has no metric") == 1
    )


def test_objective_of_a_single_run_is_named_and_run_kept(project: Project) -> None:
    write_bowl(project)
    done = project.run("task=bowl", "objective=height/logloss", code=2)
    assert "Did you mean 'height/log_loss'?" in done.stderr
    (run,) = project.runs("bowl")
    assert run.info.status == "FINISHED"
    done = project.run("objective=test/rocauc", code=2)
    assert "Did you mean 'test/roc_auc'?" in done.stderr
    done = project.run("-m", "objective=test/rocauc", "seed=1,2", code=2)
    assert done.stderr.count("'test/rocauc'") == 1
    assert len(project.runs()) == 1


def test_sweep_without_any_value_of_its_objective_is_no_success(project: Project) -> None:
    write_bowl(project)
    done = project.run("-m", *BOWL, f"{X}=1,2", "task.parameters.way=undefined", code=3)
    assert "no job has a value of 'height/log_loss'" in done.stderr


@pytest.mark.parametrize("launcher", [pytest.param((), marks=pytest.mark.long), JOBLIB])
def test_sweep_that_fails_fast_ends_and_goes_on_later(
    project: Project, launcher: tuple[str, ...]
) -> None:
    write_bowl(project)
    # the others would take longer than the test
    ways = ("task.parameters.way=broken,round", f"{X}=1,2,3", "task.parameters.seconds=0.1")
    done = project.run("-m", *BOWL, *ways, "fail_fast=true", *launcher, code=1)
    assert "stops at its first failure (fail_fast)" in done.stderr
    assert "UserWarning" not in done.stderr
    (folder,) = project.root.glob("outputs/bowl/*/*")
    assert len(list(folder.glob("*/journal.jsonl"))) < 6
    (parent,) = [run for run in project.runs("bowl") if "mlflow.parentRunId" not in run.data.tags]
    assert parent.info.status == "FAILED"
    project.change("src/flight_delays/bowl.py", "raise RuntimeError", "print")
    project.run("-m", f"resume={folder.name[-8:]}")
    assert len(finished(folder)) == 6


@pytest.mark.parametrize("launcher", [(), pytest.param(JOBLIB, marks=pytest.mark.long)])
def test_sweep_over_paired_values_has_a_job_for_each_pair(
    project: Project, launcher: tuple[str, ...]
) -> None:
    write_bowl(project)
    zipped = ("hydra/sweeper=zip", *BOWL, *launcher)
    project.run("-m", *zipped, f"{X}=1,2,5", "seed=range(7,10)", "task.parameters.steps=0")
    (path,) = project.root.glob("outputs/bowl/*/*/artifacts/sweep.json")
    jobs = json.loads(path.read_text())["jobs"]
    assert {(job[X], job["seed"]) for job in jobs} == {("1", "7"), ("2", "8"), ("5", "9")}
    assert sorted(job["value"] for job in jobs) == [0, 1, 9]
    done = project.run("-m", *zipped, f"{X}=1,2,5", "seed=7,8", code=2)
    assert done.stderr.strip().endswith(f"same length: {X} has 3, seed has 2")
    done = project.run("hydra/sweeper=zip", "seed=7", code=2)
    assert "add -m" in done.stderr
    assert len(list(project.root.glob("outputs/bowl/*/*"))) == 1


def test_single_process_runs_the_jobs_one_after_the_other(project: Project) -> None:
    write_bowl(project)
    one = (*BOWL, "hydra/launcher=joblib", "hydra.launcher.n_jobs=1")
    project.run("-m", *one, f"{X}=1,5")
    project.run(*one, f"{X}=2")
    heights = [run.data.metrics.get("height/log_loss") for run in project.runs("bowl")]
    assert sorted(height for height in heights if height is not None) == [0, 1, 9]
    assert {run.info.status for run in project.runs("bowl")} == {"FINISHED"}


def test_sweep_that_fails_fast_ends_at_a_job_that_is_refused(project: Project) -> None:
    done = project.run("-m", "fail_fast=true", "dataset.label=nope,late", *QUICK, code=2)
    assert "stops at its first failure (fail_fast)" in done.stderr
    assert not list(project.root.glob("outputs/*/*/*/*/journal.jsonl"))


@pytest.mark.parametrize("launcher", [pytest.param(JOBLIB, marks=pytest.mark.long), SUBMITTED])
def test_single_run_goes_where_the_launcher_says(
    project: Project, launcher: tuple[str, ...]
) -> None:
    write_bowl(project)
    done = project.run(*BOWL, *launcher, f"{X}=5")
    assert "height/log_loss  9" in done.stdout
    (run,) = project.runs("bowl")
    assert run.info.status == "FINISHED"
    assert "mlflow.parentRunId" not in run.data.tags
    assert run.data.metrics["height/log_loss"] == 9
    done = project.run(*BOWL, *launcher, "task.parameters.way=broken", code=1)
    assert (done.stdout + done.stderr).count("RuntimeError: the bowl is broken") == 1
    done = project.run("task=bowl", "objective=height/loss", *launcher, code=2)
    assert "Did you mean 'height/log_loss'?" in done.stderr
    assert "hydra/launcher=slurm" not in done.stderr
    assert len(list(project.root.glob("outputs/bowl/*/*"))) == 3


@pytest.mark.parametrize("launcher", [JOBLIB, pytest.param(SUBMITTED, marks=pytest.mark.long)])
def test_single_run_elsewhere_ends_when_it_is_stopped_here(
    project: Project, launcher: tuple[str, ...]
) -> None:
    write_bowl(project)
    process = project.start(*BOWL, *launcher, "task.parameters.seconds=60")
    limit = time.monotonic() + 300
    while not list(project.root.glob("outputs/bowl/*/*/config.yaml")):
        assert time.monotonic() < limit
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    (folder,) = project.root.glob("outputs/bowl/*/*")
    project.change("src/flight_delays/bowl.py", "time.sleep(asked.seconds)", "")
    while read_run(folder).status == "RUNNING":
        assert time.monotonic() < limit
        time.sleep(0.05)
    project.run("resume=last")
    (run,) = project.runs("bowl")
    assert run.info.status == "FINISHED"


def test_resumed_run_keeps_its_record_and_run_in_mlflow(project: Project) -> None:
    task = project.root / "src/flight_delays/late.py"
    task.write_text(
        '"""Trains, and fails where a model is there already."""\n\n'
        "from ml_experiment_runner.training import train as module\n\n\n"
        "def late(config, run):\n"
        '    """Trains."""\n'
        "    def fail(*_):\n"
        '        raise RuntimeError("no luck")\n'
        "    module.importance = fail\n"
        "    return module.train(config, run)\n",
        encoding="utf-8",
    )
    project.write(
        "conf/task/late.yaml",
        "# late\n_target_: flight_delays.late.late\nuses: [dataset, model, threshold]\n",
    )
    words = ("task=late", "experiment=baseline", *QUICK)
    project.run(*words, code=1)
    (failed,) = project.runs("baseline")
    assert failed.info.status == "FAILED"
    task.write_text(task.read_text().replace("    module.importance = fail\n", ""))
    done = project.run("resume=last")
    assert "is taken from the record" in done.stdout
    (run,) = project.runs("baseline")
    assert (run.info.run_id, run.info.status) == (failed.info.run_id, "FINISHED")
    assert len(run.outputs.model_outputs) == 1
    assert len(run.inputs.dataset_inputs) == len(failed.inputs.dataset_inputs)
    for name in judged(run):
        assert len(project.mlflow.get_metric_history(run.info.run_id, name)) == 1
    project.run(*words)
    (other,) = [each for each in project.runs("baseline") if each.info.run_id != run.info.run_id]
    assert judged(other) == judged(run)
    assert project.artifacts(other) | {"traceback.txt"} == project.artifacts(run)


def finished(folder: Path) -> dict[str, bytes]:
    """Journals of the jobs that are done, without what is added to the best one."""
    journals = {
        path.parent.name: path.read_bytes() for path in folder.rglob("[0-9]-*/journal.jsonl")
    }
    ended = b'"status": "FINISHED"'
    return {name: text[: text.index(ended)] for name, text in journals.items() if ended in text}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("resume=zzzz",), "unknown run 'zzzz'"),
        (("resume=zzzz", "seed=1"), "remove seed=1"),
    ],
)
def test_sweep_that_cannot_be_resumed_says_why(project: Project, words, says) -> None:
    project.run(*SMALL)
    done = project.run("-m", *words, code=2)
    assert says in done.stderr
    (run,) = project.runs("boosted_trees")
    done = project.run("-m", f"resume={run.data.tags['record.id']}", code=2)
    assert "this run has finished" in done.stderr
    assert isinstance(done, subprocess.CompletedProcess)
