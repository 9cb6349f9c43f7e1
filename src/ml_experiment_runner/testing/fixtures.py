"""The fixture that runs experiments in a temporary folder and store."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ml_experiment_runner.project.errors import UserError

if TYPE_CHECKING:
    from ml_experiment_runner.record.run_reader import RecordedRun

Runner = Callable[..., "RecordedRun"]


@pytest.fixture(scope="session")
def run_experiment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Runs what `python run.py <overrides>` runs and returns the run's record.

    The runs of a session share a temporary folder with an MLflow store, independent of the
    project's `outputs` and `tracking`. At the end of the session they must be in the store.

    Raises:
        UserError: An override is invalid, or the experiment fails.
    """
    from ml_experiment_runner.config.composition import compose
    from ml_experiment_runner.record.find_run import load_run
    from ml_experiment_runner.record.run import Run
    from ml_experiment_runner.record.sync.client import SyncClient
    from ml_experiment_runner.sweeps.execution import execute

    place = tmp_path_factory.mktemp("runs")
    here = (f"outputs={place}/outputs", f"tracking.uri=sqlite:///{place}/mlflow.db")
    numbers = itertools.count()
    clients: list[SyncClient] = []
    runs: list[str] = []

    def run_one(*overrides: str) -> "RecordedRun":
        config = compose(*overrides, *here, "tracking=local")
        if not clients:
            clients.append(SyncClient.start(config))
        folder = Path(config.outputs) / "tests" / "today" / f"run-{next(numbers):08x}"
        run = Run.start(config, folder, ["pytest"], list(overrides), clients[0])
        execute(run)
        runs.append(run.id)
        return load_run(str(folder))

    yield run_one
    for client in clients:
        problem = client.wait(runs)
        if problem is not None:
            raise UserError(f"a record could not be synced to MLflow: {problem}\n"
                            "Check MLflow with python run.py doctor")  # fmt: skip
