"""The fixture that runs experiments in a folder and a store of their own."""

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
    """Does what `python run.py <overrides>` does and returns the run's record.

    The runs of a session share a temporary folder and an MLflow store in it, whatever the project's
    `outputs` and `tracking` are. At the session's end they have to be in the store.

    Raises:
        UserError: An override is wrong, or the experiment fails.
    """
    from ml_experiment_runner.config.composition import compose
    from ml_experiment_runner.record.find_run import load_run
    from ml_experiment_runner.record.run import Run
    from ml_experiment_runner.record.sync.client import Delivery
    from ml_experiment_runner.sweeps.execution import execute

    place = tmp_path_factory.mktemp("runs")
    here = (f"outputs={place}/outputs", f"tracking.uri=sqlite:///{place}/mlflow.db")
    numbers = itertools.count()
    deliveries: list[Delivery] = []
    runs: list[str] = []

    def run_one(*overrides: str) -> "RecordedRun":
        config = compose(*overrides, *here, "tracking=local")
        if not deliveries:
            deliveries.append(Delivery.start(config))
        folder = Path(config.outputs) / "tests" / "today" / f"run-{next(numbers):08x}"
        run = Run.start(config, folder, ["pytest"], list(overrides), deliveries[0])
        execute(run)
        runs.append(run.id)
        return load_run(str(folder))

    yield run_one
    for delivery in deliveries:
        problem = delivery.wait(runs)
        if problem is not None:
            raise UserError(f"A record did not arrive in MLflow: {problem}\n"
                            "See whether MLflow works here: python run.py doctor")  # fmt: skip
