"""Runs experiments on a small slice, in a folder and a store of their own."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.composition import compose
from runner.record.delivery import Delivery
from runner.record.recorded import RecordedRun, load_run
from runner.record.run import Run
from runner.session import execute

Runner = Callable[..., RecordedRun]


@pytest.fixture(scope="session")
def run_experiment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Does what `python run.py <overrides>` does and returns the run's record."""
    place = tmp_path_factory.mktemp("runs")
    here = (f"outputs={place}/outputs", f"tracking.uri=sqlite:///{place}/mlflow.db")
    numbers = itertools.count()
    deliveries: list[Delivery] = []
    runs: list[str] = []

    def run_one(*overrides: str) -> RecordedRun:
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
        assert delivery.wait(runs) is None, "a record did not arrive in MLflow"
