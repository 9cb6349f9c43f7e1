"""Runs of before the runner was a package are read, compared, loaded and run again."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ml_experiment_runner import load_run
from ml_experiment_runner.record.run_reader import RecordedRun, read_run
from support import ROOT
from support.baking import git, run_cookiecutter
from support.journey import QUICK, Project

VENDORED = "38242710c119225d3e1d392787970e2235ad4227"
"""The last commit whose projects hold the runner's code."""
RUN = ("+experiment=baseline", *QUICK)


@pytest.fixture(scope="module")
def vendored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of that commit with a run, which has gone on to today's template."""
    if subprocess.run(["git", "cat-file", "-e", VENDORED], cwd=ROOT).returncode:
        pytest.skip("the last vendored commit is not in this clone")
    template = tmp_path_factory.mktemp("template")
    archive = subprocess.run(
        ["git", "archive", VENDORED], cwd=ROOT, capture_output=True, check=True
    )
    subprocess.run(["tar", "-x"], cwd=template, input=archive.stdout, check=True)
    answers = {"project_name": "Flight Delays"}
    made = run_cookiecutter(template, tmp_path_factory.mktemp("vendored"), answers)
    assert made.code == 0, made.output
    project = Project(made.project)
    project.run("+experiment=ensemble", "model.max_price=1", *QUICK)
    project.run(*RUN)
    git(project.root, "add", "--all")
    git(project.root, "commit", "--quiet", "--message", "Data")
    return project.root


@pytest.fixture
def updated(vendored: Path, generated: Path, make: Callable[[Path], Project]) -> Project:
    """It after an update: the vendored runner is gone, and all else is today's."""
    project = make(vendored)
    for path in project.root.iterdir():
        if path.name not in (".git", ".dvc", "data", "outputs", "mlflow.db", "mlartifacts"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    names = (".git", ".dvc", "data")
    ignored = shutil.ignore_patterns(*names)
    shutil.copytree(generated, project.root, ignore=ignored, dirs_exist_ok=True)
    lock = project.root / "requirements.lock"
    lock.write_text(f"{lock.read_text()}# locked again\n")
    git(project.root, "add", "--all")
    git(project.root, "commit", "--quiet", "--message", "Update")
    return project


@pytest.fixture
def recorded(updated: Project, monkeypatch: pytest.MonkeyPatch) -> RecordedRun:
    """The run of then, as today's runner reads it."""
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(updated.root))
    return load_run("last")


@pytest.mark.long
def test_vendored_run_is_read_and_its_models_load(recorded: RecordedRun) -> None:
    assert recorded.status == "FINISHED"
    assert recorded.metrics["test/roc_auc"] > 0.5
    recorded.model()
    ensemble = load_run("last:ensemble")
    pickle = (ensemble.folder / "model" / "model.pkl").read_bytes()
    assert b"runner." in pickle
    assert b"ml_experiment_runner" not in pickle
    model = ensemble.model()
    assert type(model).__module__.startswith("ml_experiment_runner.")
    assert max(model.max_influence().values()) <= model.blast_radius
    assert model.max_quality_gap == 1
    assert "validation/quality_gap" in ensemble.metrics
    assert ensemble.settings["model.max_quality_gap"] == "1"


@pytest.mark.long
def test_vendored_run_is_compared_with_a_run_of_today(
    updated: Project, recorded: RecordedRun
) -> None:
    updated.run(*RUN)
    again = read_run(updated.folders()[-1])
    assert "runner" in again.provenance
    said = updated.run("compare", recorded.id, again.id).stdout
    assert recorded.id in said
    assert again.id in said


@pytest.mark.long
def test_vendored_run_is_run_again_with_its_own_runner(
    updated: Project, recorded: RecordedRun
) -> None:
    said = updated.run("rerun", recorded.id, seconds=900).stdout
    assert "building the recorded environment" in said
    assert "equal to the last digit" in said
    assert "/.rerun/" in next(line for line in said.splitlines() if line.startswith("runner: "))
    said = updated.run("rerun", recorded.id, "--here").stdout
    assert "environment: today's" in said
