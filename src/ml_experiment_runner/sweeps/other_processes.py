"""What all launchers share that run jobs in other processes."""

import contextlib
import sys
from abc import abstractmethod
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from ml_experiment_runner.project.errors import UserError

if TYPE_CHECKING:
    from ml_experiment_runner.sweeps.job_process import Job, Outcome
    from ml_experiment_runner.sweeps.sweep import Sweep


class Owner(Protocol):
    """The session that the jobs belong to.

    Attributes:
        launcher: Runs jobs in other processes; None where this process does.
        command: What was typed.
        remote_runs: Ids of runs in other processes.
        held: Whether something waits for a person's decision.
    """

    launcher: "OtherProcesses | None"
    command: list[str]
    remote_runs: list[str]
    held: bool

    def open_sweep(self, config: DictConfig, folder: Path) -> "Sweep":
        """The sweep; its run is opened with the first job."""

    def finished_before(self, overrides: Sequence[str]) -> float:
        """The objective of a job that has finished before the sweep was interrupted."""

    def fail(self, error: BaseException) -> None:
        """Keeps the error of a job."""


class OtherProcesses(Launcher):
    """Runs jobs in other processes, which write the records that this process sends to MLflow."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Takes the sweep's configuration."""
        self.context, self.config = hydra_context, config
        self.prepare(task_function.session, Path(config.hydra.sweep.dir))  # type: ignore[attr-defined]

    def prepare(self, session: "Owner", folder: Path) -> None:
        """Takes the session, and a folder for what the launcher itself writes.

        Raises:
            UserError: This machine lacks what the launcher needs.
        """
        self.session, self.folder = session, folder
        session.launcher = self
        if missing := self.missing():
            raise UserError(missing)

    def missing(self) -> str | None:
        """The error message where this machine lacks what the launcher needs."""
        return None

    @abstractmethod
    def outcomes(self, jobs: "Sequence[Job]") -> "Generator[Outcome]":
        """Runs the jobs and yields each outcome as soon as it is known."""

    def close(self) -> None:
        """Called when all jobs are done."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Runs the jobs and returns their objectives, in the order of the jobs."""
        from ml_experiment_runner.config.composition import own
        from ml_experiment_runner.config.overrides import typed_overrides
        from ml_experiment_runner.sweeps.job_process import Job

        configs = []
        for number, overrides in enumerate(job_overrides, initial_job_idx):
            config = self.context.config_loader.load_sweep_config(self.config, list(overrides))
            with open_dict(config):
                config.hydra.job.id, config.hydra.job.num = str(number), number
            configs.append(config)
        sweep = self.session.open_sweep(own(configs[0]), Path(self.config.hydra.sweep.dir))
        values: dict[int, float | None] = {}
        waiting = []
        for config in configs:
            number, typed = config.hydra.job.num, typed_overrides(config.hydra)
            if sweep.is_done(typed):
                values[number] = self.session.finished_before(typed)
                continue
            folder = f"{config.hydra.sweep.dir}/{config.hydra.sweep.subdir}"
            text = OmegaConf.to_yaml(own(config), resolve=False)
            waiting.append(Job(number, text, typed, folder, sweep.parent.id, self.session.command))
        sweep.expect(initial_job_idx + len(configs))
        if waiting:
            # closed where a failure ends the sweep, which ends the jobs that are still at work
            with contextlib.closing(self.outcomes(waiting)) as outcomes:
                for outcome in outcomes:
                    values[outcome.number] = outcome.value
                    self._show(outcome, sweep)
                    self._keep(outcome)
        return [_job_return(config, values[config.hydra.job.num]) for config in configs]

    def launch_run(self, config: DictConfig, overrides: list[str]) -> float | None:
        """Runs a single run, prints its output and returns its objective.

        Args:
            config: Its configuration without Hydra's section.
            overrides: Its overrides.
        """
        from ml_experiment_runner.sweeps.job_process import Job

        text = OmegaConf.to_yaml(config, resolve=False)
        job = Job(0, text, overrides, str(self.folder), None, self.session.command)
        with contextlib.closing(self.outcomes([job])) as outcomes:
            (outcome,) = outcomes
        console = self.folder / "console.log"
        printed = console.read_text(encoding="utf-8") if console.is_file() else ""
        print(printed, end="")
        if outcome.error is not None and str(outcome.error) not in printed:
            print(outcome.error, file=sys.stderr)
        self._keep(outcome)
        return outcome.value

    @staticmethod
    def _show(outcome: "Outcome", sweep: "Sweep") -> None:
        value = "" if outcome.value is None else f"  {outcome.value:.4f}"
        overrides = " ".join(outcome.overrides)
        print(f"{sweep.count()}  {overrides}{value}{outcome.note}", flush=True)
        if outcome.error is not None:
            print(outcome.error, file=sys.stderr)

    def _keep(self, outcome: "Outcome") -> None:
        """Keeps an outcome for the end of the command."""
        self.session.remote_runs += outcome.runs
        self.session.held |= outcome.held
        if outcome.error is not None:
            self.session.fail(outcome.error)


def _job_return(config: DictConfig, value: float | None) -> JobReturn:
    result = JobReturn(cfg=config, hydra_cfg=config)
    result.return_value, result.status = value, JobStatus.COMPLETED
    return result


def launcher_of(hydra: Any) -> OtherProcesses | None:
    """The launcher that was typed for a single run, for which Hydra uses none.

    One that the configuration names by default is for sweeps.

    Raises:
        UserError: The launcher can run the jobs of a sweep only.
    """
    typed = [text for text in hydra.overrides.hydra if text.startswith("hydra/launcher=")]
    if not typed or typed[-1] == "hydra/launcher=basic":
        return None
    from hydra.utils import instantiate

    launcher = instantiate(hydra.launcher)
    if not isinstance(launcher, OtherProcesses):
        raise UserError(f"{typed[-1]} is for the jobs of a sweep; add -m")
    return launcher
