"""What the tests of the machinery share: the runner on the path, a little project, its store."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ml_experiment_runner.project.repository import MARKS
from support import ROOT, python_path
from support.data_project import DataProject, build, replace
from support.store_reader import sync_workers

WORKER = Path(__file__).resolve().parents[1] / "support" / "worker.py"

os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "long: the whole of a promise that is covered once elsewhere"
    )


@pytest.fixture(scope="session")
def little_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with a package of the user's, in a path that is not plain."""
    project = tmp_path_factory.mktemp("a projéct")
    for mark in MARKS:
        (project / mark).parent.mkdir(exist_ok=True)
        (project / mark).touch()
    package = project / "src" / "own_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('"""The user\'s package."""\n')
    (package / "estimators.py").write_text(
        "from sklearn.base import BaseEstimator, ClassifierMixin\n"
        "import numpy\n"
        "class Always(ClassifierMixin, BaseEstimator):\n"
        "    def __init__(self, answer=1):\n"
        "        self.answer = answer\n"
        "    def fit(self, X, y):\n"
        "        self.classes_ = numpy.unique(y)\n"
        "        return self\n"
        "    def predict(self, X):\n"
        "        return numpy.full(len(X), self.answer)\n"
    )
    (project / "requirements.lock").write_text("numpy==2.0 --hash=sha256:00\n")
    (project / ".gitignore").write_text("__pycache__/\n")
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "first"],
    ):
        subprocess.run(["git", *words], cwd=project, check=True)
    return project


@pytest.fixture(scope="session")
def received_project(tmp_path_factory: pytest.TempPathFactory) -> DataProject:
    """A project that has received its signals, under contracts with rules; for tests to copy."""
    project = build(tmp_path_factory.mktemp("received") / "project")
    for name, field, said in (
        ("visits", "minute, logicalType: integer", "logicalTypeOptions: {minimum: 0, maximum: 59}"),
        ("shops", "size, logicalType: integer", "logicalTypeOptions: {minimum: 0, maximum: 99}"),
        ("prices", "price, logicalType: number",
         "customProperties: [{property: unit, value: EUR}]"),
    ):  # fmt: skip
        replace(project.contract(name), f"{{name: {field}}}", f"{{name: {field}, {said}}}")
    project.receive("visits", "prices", "shops")
    project.commit()
    return project


@pytest.fixture(autouse=True)
def no_secrets() -> Iterator[None]:
    """What a test has registered is none of the next one's."""
    yield
    from ml_experiment_runner.project import secrets

    secrets.clear()
    os.environ.pop("RUNNER_PRIVATE", None)


@pytest.fixture
def in_a_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is in a project, as it is generated."""
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(ROOT / "{{cookiecutter.project_slug}}"))


@pytest.fixture
def project(
    received_project: DataProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> DataProject:
    """A copy of it that is the project of the test."""
    project = received_project.copy(tmp_path / "project", monkeypatch)
    project.rename_package()
    return project


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that exists already: creating one takes two seconds."""
    from mlflow import MlflowClient

    file = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def place(tmp_path: Path, empty_store: Path) -> Path:
    """Where runs and their store are, here with the store created."""
    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    return tmp_path


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(little_project: Path) -> Iterator[Start]:
    """Starts a process that does one or more runs (see worker.py); none survives the test."""
    started: list[subprocess.Popen[str]] = []
    places: set[Path] = set()

    def start(
        place: Path,
        environment: dict[str, str] | None = None,
        within: Sequence[str] = (),
        **options: Any,
    ) -> Any:
        places.add(place)
        words = [f"{name}={value}" for name, value in {"place": place, **options}.items()]
        process = subprocess.Popen(
            [*within, sys.executable, str(WORKER), *words],
            cwd=little_project,
            env={**os.environ, "PYTHONPATH": python_path(little_project), **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
    for place in places:
        for process in sync_workers(place):
            process.kill()


@pytest.fixture
def sync(little_project: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs the command `sync`."""

    def sync(place: Path, environment: dict[str, str] | None = None) -> Any:
        code = (
            "import sys; from ml_experiment_runner.cli.sync import sync; "
            "sys.exit(sync(['--outputs', sys.argv[1]]))"
        )
        return subprocess.run(
            [sys.executable, "-c", code, str(place / "outputs")],
            cwd=little_project,
            env={**os.environ, "PYTHONPATH": python_path(little_project), **(environment or {})},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return sync
