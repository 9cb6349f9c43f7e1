"""The launchers that the runner adds to Hydra's own; Hydra looks for them in this package only."""

import contextlib
import importlib.util
import logging
import os
import shutil
import sys
import warnings
from abc import abstractmethod
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict

from runner.errors import UserError
from runner.project import root

if TYPE_CHECKING:
    from runner.parallel import Job, Outcome
    from runner.session import Session
    from runner.sweep import Sweep

POLL = 0.5  # seconds between looks at what was submitted; a look is one at a file


class OtherProcesses(Launcher):
    """Jobs in other processes, which write to the same folders as this one, and deliver nothing."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Takes what Hydra has composed."""
        self.context, self.config = hydra_context, config
        self.prepare(task_function.session, Path(config.hydra.sweep.dir))  # type: ignore[attr-defined]

    def prepare(self, session: "Session", folder: Path) -> None:
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
        from runner.composition import own
        from runner.parallel import Job
        from runner.session import words_of

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
        from runner.parallel import Job

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


class JoblibLauncher(OtherProcesses):
    """Processes of this machine; what a process has loaded stays for its next job."""

    def __init__(self, n_jobs: int | None) -> None:
        """Takes the number of processes; None for one for each core."""
        self.n_jobs = n_jobs or os.cpu_count() or 1
        self._has_begun = False

    def outcomes(self, jobs: "Sequence[Job]") -> "Generator[Outcome]":
        """Runs as many at a time as there are processes.

        Where a process is killed, as for want of memory, joblib ends all of them. Jobs that were at
        work then are run one at a time, which shows whose process it was.
        """
        from runner.parallel import Outcome

        self._has_begun = True
        left = {job.number: job for job in jobs}
        try:
            for outcome in _in_processes(jobs, self.n_jobs):
                del left[outcome.number]
                yield outcome
            return
        except BrokenProcessPool:
            begun = [job for job in left.values() if (Path(job.folder) / "journal.jsonl").exists()]
            if not begun:
                raise
        for job in begun:
            del left[job.number]
            try:
                yield from _in_processes([job], 2)  # with 1, joblib would stay in this process
            except BrokenProcessPool:
                error = RuntimeError("the process of the job was killed; was memory enough?")
                yield Outcome(job.number, job.words, error=error)
        yield from self.outcomes(list(left.values()))

    def close(self) -> None:
        """Ends the processes at once; left to Python's end, they take most of a second."""
        if self._has_begun:
            from joblib.externals.loky import get_reusable_executor

            get_reusable_executor(reuse=True).shutdown(wait=False, kill_workers=True)


class SlurmLauncher(OtherProcesses):
    """Jobs of a Slurm cluster; its machines see this project's folder and environment."""

    def __init__(self, cluster: str, **parameters: Any) -> None:
        """Takes `slurm`, or `local` for processes of this machine, and submitit's parameters."""
        self.cluster = cluster
        self.parameters = {
            key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            for key, value in parameters.items()
            if value is not None
        }

    def missing(self) -> str | None:
        """Slurm's own commands."""
        if self.cluster != "slurm" or (shutil.which("sbatch") and shutil.which("srun")):
            return None
        return (
            "hydra/launcher=slurm: no sbatch here, so this machine is in no Slurm cluster; "
            "hydra/launcher=joblib is for one machine, hydra.launcher.cluster=local for a try"
        )

    def outcomes(self, jobs: "Sequence[Job]") -> "Generator[Outcome]":
        """Submits all as one array; what is still waiting when this is stopped is cancelled."""
        import submitit
        from submitit.core.utils import UncompletedJobError
        from submitit.helpers import as_completed

        from runner.parallel import Outcome, work

        logging.getLogger("submitit").setLevel(logging.ERROR)  # it warns three times of each thing
        folder = self.folder / "submitted"
        try:
            executor = submitit.AutoExecutor(folder=folder, cluster=self.cluster)
            executor.update_parameters(**self.parameters)
            with source_on_path():
                submitted = executor.map_array(work, jobs)
        except (AssertionError, NameError, RuntimeError, ValueError) as error:  # submitit's own
            shutil.rmtree(folder, ignore_errors=True)
            raise UserError(f"hydra/launcher=slurm: {error}") from None
        by_id = {each.job_id: job for each, job in zip(submitted, jobs, strict=True)}
        try:
            for each in as_completed(submitted, poll_frequency=POLL):
                job = by_id[each.job_id]
                try:
                    yield each.result()
                except UncompletedJobError:
                    said = f"the job ended without a result ({each.state}); see {each.paths.stderr}"
                    yield Outcome(job.number, job.words, error=RuntimeError(said))
        finally:
            for each in submitted:
                if not each.done():
                    each.cancel()
            for pickled in folder.glob("*.pkl"):  # they hold what was typed, unmasked
                pickled.unlink()


class RayLauncher(OtherProcesses):
    """Jobs of a Ray cluster; its machines see this project's folder and environment."""

    def __init__(self, address: str | None, num_cpus: float, num_gpus: float) -> None:
        """Takes the cluster's address, None for one on this machine, and what a job needs."""
        self.address, self.needs = address, {"num_cpus": num_cpus, "num_gpus": num_gpus}

    def missing(self) -> str | None:
        """The extra."""
        installed = importlib.util.find_spec("ray") is not None
        return None if installed else "hydra/launcher=ray: Ray is missing; make setup ARGS=ray"

    def outcomes(self, jobs: "Sequence[Job]") -> "Generator[Outcome]":
        """Has Ray run the jobs; what still runs when this is stopped is cancelled."""
        import ray

        from runner.parallel import Outcome, work

        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody phones home
        if not ray.is_initialized():
            with source_on_path() as path:
                ray.init(
                    self.address,
                    runtime_env={"env_vars": {"PYTHONPATH": path}},
                    include_dashboard=False if self.address is None else None,
                    log_to_driver=False,
                    logging_level="ERROR",
                )
        remote = ray.remote(max_retries=0, **self.needs)(work)
        waiting = {remote.remote(job): job for job in jobs}
        try:
            while waiting:
                (ready,), _ = ray.wait(list(waiting), num_returns=1)
                job = waiting.pop(ready)
                try:
                    yield ray.get(ready)
                except ray.exceptions.RayError as error:
                    yield Outcome(job.number, job.words, error=RuntimeError(str(error)))
        finally:
            for each in waiting:
                ray.cancel(each, force=True)


def _in_processes(jobs: "Sequence[Job]", count: int) -> "Generator[Outcome]":
    from joblib import Parallel, delayed

    from runner.parallel import work_for

    # joblib starts all at once, however few jobs there are
    pool = Parallel(n_jobs=min(count, max(len(jobs), 2)), return_as="generator_unordered")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*have been cancelled", UserWarning, "joblib")
        yield from pool(delayed(work_for)(os.getpid(), job) for job in jobs)


@contextlib.contextmanager
def source_on_path() -> Iterator[str]:
    """Lets other processes import what `run.py` imports: `src/` in PYTHONPATH."""
    before = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(root() / "src"), *([before] if before else [])])
    os.environ["PYTHONPATH"] = path
    try:
        yield path
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def _told(config: DictConfig, value: float | None) -> JobReturn:
    result = JobReturn(cfg=config, hydra_cfg=config)
    result.return_value, result.status = value, JobStatus.COMPLETED
    return result
