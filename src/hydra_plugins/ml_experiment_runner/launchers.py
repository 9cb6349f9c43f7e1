"""The launchers that the runner adds to Hydra's own; Hydra looks for them in this package only."""

import contextlib
import importlib.util
import logging
import os
import shutil
import warnings
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.sweeps.other_processes import OtherProcesses

if TYPE_CHECKING:
    from ml_experiment_runner.sweeps.job_process import Job, Outcome

POLL = 0.5  # seconds between looks at what was submitted; a look is one at a file


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
        from ml_experiment_runner.sweeps.job_process import Outcome

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

        from ml_experiment_runner.sweeps.job_process import Outcome, work

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

        from ml_experiment_runner.sweeps.job_process import Outcome, work

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

    from ml_experiment_runner.sweeps.job_process import work_for

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
