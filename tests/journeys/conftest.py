"""Projects on real flights: generated once a session, given to every test as its own copy."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.baking import IDENTITY, copy_template, git, run_cookiecutter
from support.journey import Project, copy
from support.store_reader import sync_workers

os.environ.update(IDENTITY)


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as it is generated: no data, no store."""
    template = copy_template(tmp_path_factory.mktemp("template") / "template")
    made = run_cookiecutter(
        template, tmp_path_factory.mktemp("generated"), {"project_name": "Flight Delays"}
    )
    assert made.code == 0, made.output
    return made.project


@pytest.fixture(scope="session")
def received(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose signals are here and in git, with an empty store."""
    from mlflow import MlflowClient

    folder = copy(generated, tmp_path_factory.mktemp("received"))
    project = Project(folder)
    project.run("task=ingest")
    for name in ("outputs", "mlartifacts"):
        shutil.rmtree(folder / name)
    (folder / "mlflow.db").unlink()
    MlflowClient(project.uri).search_experiments()  # Creating a store takes two seconds.
    git(folder, "add", "data/signals")
    git(folder, "commit", "--quiet", "--message", "Data")
    return folder


@pytest.fixture
def fresh(generated: Path, make: Callable[[Path], Project]) -> Project:
    """A project of the test's own that has never been run."""
    return make(generated)


@pytest.fixture
def project(received: Path, make: Callable[[Path], Project]) -> Project:
    """A project of the test's own with its signals."""
    return make(received)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[[Path], Project]]:
    """Copies a project; none of its sync workers survives the test."""
    yield lambda source: Project(copy(source, tmp_path))
    for process in sync_workers(tmp_path):
        process.kill()
