"""`python run.py rerun`: a recorded run comes out the same, whatever has changed since."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars
import pytest

from ml_experiment_runner.record.run_reader import RecordedRun, read_run
from support import SOURCE
from support.baking import commit_all, copy_template, git
from support.journey import QUICK, Project

RUN = ("+experiment=baseline", *QUICK)
OWN = "src/flight_delays/own.py"
FEATURES = "src/flight_delays/features.py"
LOUD = """
import os

from sklearn.linear_model import LogisticRegression


class Loud(LogisticRegression):
    def fit(self, X, y, sample_weight=None):
        print("by", os.environ["DEPLOY_PAT"])
        return super().fit(X, y, sample_weight)
"""
DECEMBER = "data/signals/flights/2013-12.parquet"


def judged(run: RecordedRun) -> dict[str, float]:
    """Metrics that say how good the model is."""
    return {
        name: value
        for name, value in run.metrics.items()
        if not name.startswith(("seconds/", "system/"))
    }


def dvc(project: Project, *words: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "dvc", *words], cwd=project.root, check=True, capture_output=True
    )


def use_an_untracked_file(project: Project) -> None:
    """Uncommitted work: a feature is taken from a file that git does not know."""
    project.write(OWN, "import polars\n\nTWICE = 2\nHOUR = polars.col('flights.hour') % TWICE\n")
    project.change(FEATURES, "import polars as pl\n", "import polars as pl\n\nfrom . import own\n")
    project.change(FEATURES, 'hour": pl.col("flights.hour"),', 'hour": own.HOUR,')


def change_journal(folder: Path, **changes: Any) -> None:
    """Changes the recorded value of metrics or provenance."""
    path = folder / "journal.jsonl"
    events = [json.loads(line) for line in path.read_text().splitlines()]
    for event in events:
        if event.get("name") in changes:
            event["value"] = changes[event["name"]]
    path.write_text("".join(json.dumps(event) + "\n" for event in events))


def state(project: Project) -> tuple[Any, ...]:
    """What a rerun must not touch: index, work tree, worktrees, and the files that are there."""
    files = {
        str(path.relative_to(project.root)): path.stat().st_mtime_ns
        for name in ("src", "conf", "data/signals", ".dvc/config", "signals")
        for path in [project.root / name, *(project.root / name).rglob("*")]
        if path.is_file() and "__pycache__" not in path.parts
    }
    status = git(project.root, "status", "--porcelain")
    worktrees = git(project.root, "worktree", "list")
    return files, status, worktrees, git(project.root, "diff", "--cached")


def test_rerun_gives_the_recorded_figures_after_changes(
    project: Project,
) -> None:
    use_an_untracked_file(project)
    project.run(*RUN)
    [folder] = project.folders()
    recorded = read_run(folder)

    project.change(FEATURES, "own.HOUR", 'pl.col("flights.day")')
    (project.root / OWN).unlink()
    rows = polars.read_parquet(project.root / DECEMBER)
    rows.with_columns(polars.col("arr_delay") * 0).write_parquet(project.root / DECEMBER)
    dvc(project, "add", "data/signals/flights")
    git(project.root, "add", "--all")
    git(project.root, "commit", "--quiet", "--message", "Later")
    change_journal(folder, **{"test/roc_auc": 0.99})
    before = state(project)

    said = project.run("rerun", recorded.id, code=1).stdout
    again = read_run(project.folders()[-1])
    assert judged(again) == judged(recorded)
    assert re.search(rf"test/roc_auc +0\.99 +{recorded.metrics['test/roc_auc']:.12g} +-", said)
    assert re.search(r"^1 of \d+ metrics differ", said, re.MULTILINE)
    assert again.tags["rerun.of"] == recorded.id
    assert again.experiment == "baseline"
    assert state(project) == before
    assert not list((project.root / "outputs" / ".rerun").iterdir())

    change_journal(folder, **{"test/roc_auc": recorded.metrics["test/roc_auc"]})
    said = project.run("rerun", str(folder)).stdout
    assert "equal to the last digit" in said
    assert re.search(r"^flight_delays: .*outputs/\.rerun/", said, re.MULTILINE)
    assert re.search(r"^environment: today's", said, re.MULTILINE)
    assert re.search(rf"^runner: \S+ .*, in {re.escape(str(SOURCE))}", said, re.MULTILINE)
    ids = {run.data.tags.get("rerun.of"): run.info.status for run in project.runs("baseline")}
    assert ids == {None: "FINISHED", recorded.id: "FINISHED"}


def test_rerun_without_a_recorded_line_gives_other_figures(
    project: Project,
) -> None:
    use_an_untracked_file(project)
    project.write(OWN, "import polars\nHOUR = polars.col('flights.hour')\nHOUR = HOUR % 2\n")
    project.run(*RUN)
    [folder] = project.folders()
    patch = folder / "artifacts" / "uncommitted.patch"
    text = patch.read_text()
    assert "+HOUR = HOUR % 2\n" in text
    patch.write_text(text.replace("+HOUR = HOUR % 2\n", "").replace("+1,3 @@", "+1,2 @@"))
    said = project.run("rerun", "last", code=1).stdout
    assert re.search(r"test/roc_auc .* [+-]\d", said)
    assert re.search(r"^\d+ of \d+ metrics differ", said, re.MULTILINE)


def test_rerun_of_a_first_run_gets_its_data_back(fresh: Project) -> None:
    fresh.run(*RUN)
    run = read_run(fresh.folders()[0])
    assert not (run.folder / "artifacts" / "uncommitted.patch").exists()
    dvc(fresh, "push")
    for path in ("data/signals/flights", "data/cache", ".dvc/cache"):
        shutil.rmtree(fresh.root / path)
    (fresh.root / "data/signals/flights.dvc").unlink()
    said = fresh.run("rerun", run.id).stdout
    assert "data: flights as recorded" in said
    assert "note: neither" not in said
    assert "receiving" not in said
    assert "equal to the last digit" in said
    assert not (fresh.root / "data/signals/flights").exists()


def test_rerun_masks_what_stands_in_env(project: Project) -> None:
    project.write(".env", "DEPLOY_PAT=ghp_Zq7WkX9vJ2\n")
    project.write(OWN, LOUD)
    project.run(*RUN, "model._target_=flight_delays.own.Loud")
    said = project.run("rerun", "last").stdout
    assert "by ***" in said
    assert "equal to the last digit" in said
    for folder in project.folders():
        assert "by ***" in (folder / "console.log").read_text()
    texts = [path.read_bytes() for path in (project.root / "outputs").rglob("*") if path.is_file()]
    assert not [text for text in texts if b"Zq7WkX9vJ2" in text]


def test_rerun_says_plainly_what_it_cannot_have(project: Project) -> None:
    project.run(*RUN, "threads=1")
    [folder] = project.folders()
    lock = folder / "artifacts" / "requirements.lock"
    lock.write_text(re.sub(r"^polars==\S+", "polars==0.0.1", lock.read_text(), flags=re.MULTILINE))
    change_journal(folder, python="3.1.4")
    said = project.run("rerun", "last", "--here").stdout
    assert re.search(r"^note: python is 3\.\d+\.\d+ here and was 3\.1\.4$", said, re.MULTILINE)
    assert re.search(r"polars \d\S* \(was 0\.0\.1\)", said)

    change_journal(folder, git_commit="0" * 40)
    done = project.run("rerun", folder.name[-8:], code=2)
    assert f"made from commit {'0' * 40}, which is not in this repository" in done.stderr
    change_journal(folder, git_commit="none: nothing committed yet")
    done = project.run("rerun", folder.name[-8:], code=2)
    assert "its commit is none: nothing committed yet" in done.stderr
    assert "unknown run 'nothing'" in project.run("rerun", "nothing", code=2).stderr
    assert len(project.folders()) == 2


METRIC = "src/ml_experiment_runner/training/evaluation/evaluate.py"


def set_up(project: Project, pin: str) -> None:
    """Pins the runner, commits that, and has the project's own set-up install it."""
    project.write("requirements-runner.txt", f"{pin}\n")
    git(project.root, "commit", "--quiet", "--message", "Pin", "requirements-runner.txt")
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "tools/setup.py", "--runner", "pin"],
        cwd=project.root, env=variables, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    project.python = str(project.root / ".venv" / "bin" / "python")


@pytest.mark.long
def test_rerun_has_the_runner_of_then_to_the_last_digit(project: Project, tmp_path: Path) -> None:
    runner = copy_template(tmp_path / "runner")
    git(runner, "init", "--quiet")
    first = commit_all(runner, "First")
    text = (runner / METRIC).read_text()
    halved = text.replace("= float(value[0])", "= float(value[0]) / 2")
    assert halved != text
    (runner / METRIC).write_text(halved)
    second = commit_all(runner, "Halve every metric")
    pin = f"ml-experiment-runner @ git+{runner.as_uri()}@"

    set_up(project, pin + first)
    project.run(*RUN)
    [folder] = project.folders()
    recorded = read_run(folder)
    assert recorded.provenance["runner"]["commit"] == first
    set_up(project, pin + second)

    said = project.run("rerun", recorded.id, seconds=900).stdout
    assert "equal to the last digit" in said
    assert re.search(
        rf"^runner: \S+ at {first[:10]} .*/data/cache/environments/", said, re.MULTILINE
    )
    assert judged(read_run(project.folders()[-1])) == judged(recorded)

    said = project.run("rerun", recorded.id, "--here", code=1).stdout
    assert re.search(rf"^runner: \S+ at {second[:10]} ", said, re.MULTILINE)
    halves = judged(read_run(project.folders()[-1]))
    assert halves["test/roc_auc"] == recorded.metrics["test/roc_auc"] / 2

    runner.rename(runner.with_name("gone"))
    said = project.run("rerun", recorded.id).stdout
    assert "equal to the last digit" in said
    assert "building" not in said
    said = project.run("doctor", code=None).stdout
    assert re.search(rf"^ok +runner +\S+ at {second[:10]} ", said, re.MULTILINE)
