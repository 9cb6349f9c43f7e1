"""Jobs in processes other than the one that was typed: what all such launchers share."""

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
    """Whom the jobs belong to: what was typed, and what has come of it so far.

    Attributes:
        launcher: Runs jobs in other processes, if any does.
        command: What was typed.
        away: Ids of runs in other processes.
        held: Whether something waits for a person.
    """

    launcher: "OtherProcesses | None"
    command: list[str]
    away: list[str]
    held: bool

    def open_sweep(self, config: DictConfig, folder: Path) -> "Sweep":
        """The sweep, whose run is opened with the first job."""

    def already(self, words: Sequence[str]) -> float:
        """The objective of a job that has finished before the sweep was interrupted."""

    def fail(self, error: BaseException) -> None:
        """Keeps a failure."""


class OtherProcesses(Launcher):
    """Jobs in other processes, which write to the same folders as this one, and deliver nothing."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Takes what Hydra has composed."""
        self.context, self.config = hydra_context, config
        self.prepare(task_function.session, Path(config.hydra.sweep.dir))  # type: ignore[attr-defined]

    def prepare(self, session: "Owner", folder: Path) -> None:
        """Takes whom the jobs belong to, and a folder for what the launcher itself writes.

        Raises:
            UserError: This machine lacks something.
        """
        self.session, self.folder = session, folder
        session.launcher = self
        if missing := self.missing():
            raise UserError(missing)

    def missing(self) -> str | None:
        """What this machine lacks for the launcher, in a line that says what to do."""
        return None

    @abstractmethod
    def outcomes(self, jobs: "Sequence[Job]") -> "Generator[Outcome]":
        """Runs the jobs and gives what came of each as soon as it is known."""

    def close(self) -> None:
        """Called when all jobs are done."""

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Runs the jobs and gives their objectives, in their order."""
        from ml_experiment_runner.config.composition import own
        from ml_experiment_runner.sweeps.execution import words_of
        from ml_experiment_runner.sweeps.job_process import Job

        configs = []
        for number, words in enumerate(job_overrides, initial_job_idx):
            config = self.context.config_loader.load_sweep_config(self.config, list(words))
            with open_dict(config):
                config.hydra.job.id, config.hydra.job.num = str(number), number
            configs.append(config)
        sweep = self.session.open_sweep(own(configs[0]), Path(self.config.hydra.sweep.dir))
        values: dict[int, float | None] = {}
        waiting = []
        for config in configs:
            number, words = config.hydra.job.num, words_of(config.hydra)
            if sweep.is_done(words):
                values[number] = self.session.already(words)
                continue
            folder = f"{config.hydra.sweep.dir}/{config.hydra.sweep.subdir}"
            text = OmegaConf.to_yaml(own(config), resolve=False)
            waiting.append(Job(number, text, words, folder, sweep.parent.id, self.session.command))
        sweep.expect(initial_job_idx + len(configs))
        if waiting:
            # closed where a failure ends the sweep, which ends the jobs that are still at work
            with contextlib.closing(self.outcomes(waiting)) as outcomes:
                for outcome in outcomes:
                    values[outcome.number] = outcome.value
                    self._take(outcome, sweep)
        return [_told(config, values[config.hydra.job.num]) for config in configs]

    def launch_run(self, config: DictConfig, words: list[str]) -> float | None:
        """Runs a single job, no sweep, and gives its objective; what it has printed is shown.

        Args:
            config: Its configuration without Hydra's part.
            words: Its overrides.
        """
        from ml_experiment_runner.sweeps.job_process import Job

        text = OmegaConf.to_yaml(config, resolve=False)
        job = Job(0, text, words, str(self.folder), None, self.session.command)
        with contextlib.closing(self.outcomes([job])) as outcomes:
            (outcome,) = outcomes
        console = self.folder / "console.log"
        printed = console.read_text(encoding="utf-8") if console.is_file() else ""
        print(printed, end="")
        if outcome.error is not None and str(outcome.error) not in printed:
            print(outcome.error, file=sys.stderr)
        self._keep(outcome)
        return outcome.value

    def _take(self, outcome: "Outcome", sweep: "Sweep") -> None:
        """Tells what came of a job, and keeps it for the end of the command."""
        value = "" if outcome.value is None else f"  {outcome.value:.4f}"
        said = f"{sweep.place()}  {' '.join(outcome.words)}{value}{outcome.said}"
        print(said, flush=True)
        if outcome.error is not None:
            print(outcome.error, file=sys.stderr)
        self._keep(outcome)

    def _keep(self, outcome: "Outcome") -> None:
        self.session.away += outcome.delivered
        self.session.held |= outcome.held
        if outcome.error is not None:
            self.session.fail(outcome.error)


def _told(config: DictConfig, value: float | None) -> JobReturn:
    result = JobReturn(cfg=config, hydra_cfg=config)
    result.return_value, result.status = value, JobStatus.COMPLETED
    return result


def launcher_of(hydra: Any) -> OtherProcesses | None:
    """The launcher that was typed for a single run, which Hydra would not ask.

    One that the configuration names by default is for sweeps.

    Raises:
        UserError: It can run the jobs of a sweep only.
    """
    typed = [word for word in hydra.overrides.hydra if word.startswith("hydra/launcher=")]
    if not typed or typed[-1] == "hydra/launcher=basic":
        return None
    from hydra.utils import instantiate

    launcher = instantiate(hydra.launcher)
    if not isinstance(launcher, OtherProcesses):
        raise UserError(f"{typed[-1]} runs the jobs of a sweep; add -m")
    return launcher
