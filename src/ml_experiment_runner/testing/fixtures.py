"""Runs experiments on a small slice, in a folder and a store of their own."""

import itertools
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from ml_experiment_runner.config.composition import compose
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record.sync.client import Delivery
from ml_experiment_runner.record.run_reader import RecordedRun
from ml_experiment_runner.record.find_run import load_run
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.sweeps.execution import execute

Runner = Callable[..., RecordedRun]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A mistake in the project is shown as its message: where, what is wrong, what to do."""
    report = yield
    if call.excinfo is not None and call.excinfo.errisinstance(UserError):
        report.longrepr = str(call.excinfo.value)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for one that leaves nothing to be tested, such as a broken conf/config.yaml."""
    report = yield
    error = report.call.excinfo.value if report.call and report.call.excinfo else None
    if isinstance(error, UserError):
        report.longrepr = str(error)
    return report


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
        problem = delivery.wait(runs)
        if problem is not None:
            raise UserError(f"A record did not arrive in MLflow: {problem}\n"
                            "See whether MLflow works here: python run.py doctor")  # fmt: skip
