"""The sweepers that the runner adds to Hydra's own; Hydra looks for them in this package only."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ZipSweeper(BasicSweeper):
    """Pairs the lists of values instead of combining each with each, as `zip` does in Python."""

    @staticmethod
    def split_arguments(
        overrides: list[Override], max_batch_size: int | None
    ) -> list[list[list[str]]]:
        """The overrides of each job, in batches."""
        from ml_experiment_runner.config.sweep_overrides import paired

        jobs = [list(job) for job in paired(overrides)]
        return list(BasicSweeper.split_overrides_to_chunks(jobs, max_batch_size))


class OptunaSweeper(Sweeper):
    """Searches with Optuna; the jobs run wherever the launcher runs them."""

    def __init__(self, n_trials: int, n_jobs: int, **_: Any) -> None:
        """Takes the number of jobs, and of those that are chosen at once."""
        self.n_trials, self.n_jobs = n_trials, n_jobs

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Takes the sweep's configuration."""
        self.session = task_function.session  # type: ignore[attr-defined]
        self.composed = config
        self.job_launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Runs the search in the run of the sweep."""
        from ml_experiment_runner.config.composition import own
        from ml_experiment_runner.config.sweep_overrides import swept
        from ml_experiment_runner.sweeps.optuna_search import Search

        base = next(swept(self.composed))
        search = Search.of(self.composed, arguments, base)
        folder = Path(self.composed.hydra.sweep.dir)
        self.session.open_sweep(own(base), folder).expect(self.n_trials)
        search.run(folder, self._launch, self.n_trials, self.n_jobs)

    def _launch(self, overrides: list[list[str]], number: int) -> Sequence[float | None]:
        returned = self.job_launcher.launch(overrides, initial_job_idx=number)
        return [job.return_value for job in returned]
