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
        """Takes the number of processes; None for one per core."""
        self.n_jobs = n_jobs or os.cpu_count() or 1
        self._has_begun = False

    def outcomes(self, jobs: "Sequence[Job]") -> "Generator[Outcome]":
        """Runs as many at a time as there are processes.

        Where a process is killed, as for want of memory, joblib ends all of them. Jobs that were
        running then are run again one at a time, which shows whose process it was.
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
                error = RuntimeError("the process of the job was killed (out of memory?)")
                yield Outcome(job.number, job.overrides, error=error)
        yield from self.outcomes(list(left.values()))

    def close(self) -> None:
        """Ends the processes at once; at Python's exit, they take most of a second."""
        if self._has_begun:
            from joblib.externals.loky import get_reusable_executor

            get_reusable_executor(reuse=True).shutdown(wait=False, kill_workers=True)


class SlurmLauncher(OtherProcesses):
    """Jobs on a Slurm cluster, whose machines see this project's folder and environment."""

    def __init__(self, cluster: str, **parameters: Any) -> None:
        """Takes `slurm`, or `local` for processes of this machine, and submitit's parameters."""
        self.cluster = cluster
        self.parameters = {
            key: OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            for key, value in parameters.items()
            if value is not None
        }

    def missing(self) -> str | None:
        """Asks for Slurm's own commands."""
        if self.cluster != "slurm" or (shutil.which("sbatch") and shutil.which("srun")):
            return None
        return (
            "hydra/launcher=slurm needs sbatch, which is not installed on this machine; use "
            "hydra/launcher=joblib on one machine, or hydra.launcher.cluster=local to try it"
        )

    def outcomes(self, jobs: "Sequence[Job]") -> "Generator[Outcome]":
        """Submits all jobs as one array; cancels what is left when it is stopped."""
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
        except (AssertionError, NameError, RuntimeError, ValueError) as refusal:  # submitit's own
            shutil.rmtree(folder, ignore_errors=True)
            raise UserError(f"hydra/launcher=slurm: {refusal}") from None
        by_id = {slurm_job.job_id: job for slurm_job, job in zip(submitted, jobs, strict=True)}
        try:
            for slurm_job in as_completed(submitted, poll_frequency=POLL):
                job = by_id[slurm_job.job_id]
                try:
                    yield slurm_job.result()
                except UncompletedJobError:
                    error = RuntimeError(f"the job ended without a result ({slurm_job.state}); "
                                         f"see {slurm_job.paths.stderr}")  # fmt: skip
                    yield Outcome(job.number, job.overrides, error=error)
        finally:
            for slurm_job in submitted:
                if not slurm_job.done():
                    slurm_job.cancel()
            for pickled in folder.glob("*.pkl"):  # they hold what was typed, unmasked
                pickled.unlink()


class RayLauncher(OtherProcesses):
    """Jobs on a Ray cluster, whose machines see this project's folder and environment."""

    def __init__(self, address: str | None, num_cpus: float, num_gpus: float) -> None:
        """Takes the cluster's address (None: on this machine), and CPUs and GPUs per job."""
        self.address, self.needs = address, {"num_cpus": num_cpus, "num_gpus": num_gpus}

    def missing(self) -> str | None:
        """Asks for the extra."""
        installed = importlib.util.find_spec("ray") is not None
        return None if installed else "hydra/launcher=ray needs Ray: make setup ARGS=ray"

    def outcomes(self, jobs: "Sequence[Job]") -> "Generator[Outcome]":
        """Runs the jobs on Ray; cancels what is left when it is stopped."""
        import ray

        from ml_experiment_runner.sweeps.job_process import Outcome, work

        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no telemetry
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
                    yield Outcome(job.number, job.overrides, error=RuntimeError(str(error)))
        finally:
            for ready in waiting:
                ray.cancel(ready, force=True)


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
    """Puts `src/` into PYTHONPATH, so that other processes import what `run.py` imports."""
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
