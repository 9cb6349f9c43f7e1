"""The launchers that the runner adds to Hydra's own; Hydra looks for them in this package only."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from runner.parallel import Job, Outcome, work
from runner.session import words_of


class JoblibLauncher(Launcher):
    """Jobs in processes of this machine; what a process has loaded stays for its next job."""

    def __init__(self, n_jobs: int | None = None) -> None:
        """Takes the number of processes; None for one for each core."""
        self.n_jobs = n_jobs or os.cpu_count() or 1

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Takes what Hydra has composed."""
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Runs the jobs and gives their objectives, in their order."""
        from joblib import Parallel, delayed

        session = self.task.session  # type: ignore[attr-defined]
        configs = []
        for number, words in enumerate(job_overrides, initial_job_idx):
            config = self.context.config_loader.load_sweep_config(self.config, list(words))
            with open_dict(config):
                config.hydra.job.id, config.hydra.job.num = str(number), number
            configs.append(config)
        own = [
            OmegaConf.masked_copy(each, [str(key) for key in each if key != "hydra"])
            for each in configs
        ]
        parent = session.open_sweep(own[0], Path(self.config.hydra.sweep.dir))
        results: list[float | None] = [None] * len(configs)
        waiting = []
        for number, config in enumerate(configs):
            words = words_of(config.hydra)
            if session.sweep.is_done(words):
                print(f"done before: {' '.join(words)}")
                results[number] = session.sweep.result(words)
                continue
            folder = f"{config.hydra.sweep.dir}/{config.hydra.sweep.subdir}"
            text = OmegaConf.to_yaml(own[number], resolve=False)
            waiting.append(Job(number, text, words, folder, parent, session.command))
        pool = Parallel(n_jobs=self.n_jobs, return_as="generator_unordered")
        for count, outcome in enumerate(pool(delayed(work)(job) for job in waiting), 1):
            results[outcome.number] = outcome.value
            self._take(session, outcome, f"{count} of {len(waiting)}")
        return [self._told(config, value) for config, value in zip(configs, results, strict=True)]

    @staticmethod
    def _take(session: Any, outcome: Outcome, place: str) -> None:
        value = "" if outcome.value is None else f"{outcome.value:.4f}"
        print(f"{place}  {' '.join(outcome.words)}  {value}{outcome.said}", flush=True)
        session.away += outcome.delivered
        session.held |= outcome.held
        if outcome.error is not None:
            session.errors.append(outcome.error)
            print(outcome.error, file=sys.stderr)

    @staticmethod
    def _told(config: DictConfig, value: float | None) -> JobReturn:
        result = JobReturn(cfg=config, hydra_cfg=config)
        result.return_value, result.status = value, JobStatus.COMPLETED
        return result
