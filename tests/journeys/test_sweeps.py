"""Sweeps: one run with its jobs below it, whatever happens to them; resumed where they stopped."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from journey import QUICK, Project, judged

SMALL = ("experiment=boosted_trees", "debug=smoke", *QUICK)


def family(project: Project) -> tuple[Any, dict[str, Any]]:
    """The sweep's run and those of its jobs by what was chosen for them, from MLflow."""
    runs = project.runs("boosted_trees")
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    jobs = [run for run in runs if run is not parent]
    assert all(run.data.tags["mlflow.parentRunId"] == parent.info.run_id for run in jobs)
    done = [run for run in jobs if run.info.status != "KILLED"]
    return parent, {run.data.params["model.max_iter"]: run for run in done}


def test_sweep_is_one_run_with_its_jobs_and_the_failing_one_does_not_end_it(
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


def test_sweep_has_a_table_a_picture_the_best_job_and_means_over_seeds(project: Project) -> None:
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


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_interrupted_sweep_runs_only_what_is_missing_when_it_is_resumed(
    project: Project, how: signal.Signals
) -> None:
    process = project.start("-m", *SMALL, "model.max_iter=5,10,15,20")
    limit = time.monotonic() + 90
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
    assert done.stdout.count("done before: ") == len(before)
    after = finished(folder)
    assert len(after) == 4
    assert before.items() <= after.items()
    parent, jobs = family(project)
    assert parent.info.status == "FINISHED"
    assert set(jobs) == {"5", "10", "15", "20"}
    assert all(run.info.status == "FINISHED" for run in jobs.values())
    assert parent.data.metrics["jobs/finished"] == 4
    alone = project.run(*SMALL, "model.max_iter=15")
    assert alone.returncode == 0
    last = max(project.runs("boosted_trees"), key=lambda run: run.info.start_time)
    assert judged(last) == judged(jobs["15"])


def finished(folder: Path) -> dict[str, bytes]:
    """Journals of the jobs that are done, without what is added to the best one."""
    journals = {path.parent.name: path.read_bytes() for path in folder.glob("*/journal.jsonl")}
    ended = b'"status": "FINISHED"'
    return {name: text[: text.index(ended)] for name, text in journals.items() if ended in text}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("resume=zzzz",), "no such run"),
        (("resume=zzzz", "seed=1"), "leave out seed=1"),
    ],
)
def test_sweep_that_cannot_be_resumed_says_why(project: Project, words, says) -> None:
    project.run(*SMALL)
    done = project.run("-m", *words, code=2)
    assert says in done.stderr
    (run,) = project.runs("boosted_trees")
    done = project.run("-m", f"resume={run.data.tags['record.id']}", code=2)
    assert "this run is no sweep" in done.stderr
    assert isinstance(done, subprocess.CompletedProcess)
