"""One `python run.py`: its runs, one after the other."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ml_experiment_runner.config.overrides import as_typed, typed_overrides
from ml_experiment_runner.project.errors import ObjectiveError, RefusedError, UserError, full_disk
from ml_experiment_runner.sweeps.execution import execute, resume_collector, score
from ml_experiment_runner.sweeps.job_check import check_job

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ml_experiment_runner.record.run import Run
    from ml_experiment_runner.record.sync.client import SyncClient
    from ml_experiment_runner.sweeps.other_processes import OtherProcesses
    from ml_experiment_runner.sweeps.sweep import Sweep


class SweepStopped(BaseException):
    """A sweep is stopped early; Hydra would go on after an Exception."""


class Session:
    """The runs of one `python run.py`, their errors, and the sync of their records.

    Attributes:
        runs: Runs of this process, with that of a sweep.
        errors: Errors that ended runs, or kept them from starting.
        stopped: Whether an error has stopped the sweep early.
        held: Whether something waits for a person's decision.
        remote_runs: Ids of runs in other processes.
        command: What was typed.
        resumes: Whether a run is resumed.
        sync_client: Sends the records to MLflow.
        sweep: The sweep that the runs belong to.
        launcher: Runs jobs in other processes; None where this process does.
        fail_fast: Whether the first error stops the sweep.
    """

    def __init__(self, resumes: bool = False) -> None:
        self.resumes = resumes
        self.runs: list[Run] = []
        self.errors: list[BaseException] = []
        self.stopped = False
        self.held = False
        self.remote_runs: list[str] = []
        self.command = [Path(sys.argv[0]).name, *map(as_typed, sys.argv[1:])]
        self.sync_client: SyncClient | None = None
        self.sweep: Sweep | None = None
        self.launcher: OtherProcesses | None = None
        self.fail_fast = False

    def job(self, config: "DictConfig") -> float | None:
        """Runs one task and records it; errors are kept for the end of the sweep."""
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        hydra = HydraConfig.get()
        folder = Path(hydra.runtime.output_dir)
        _remove_multirun_file(folder.parent)
        is_sweep = hydra.mode == RunMode.MULTIRUN
        self.fail_fast = is_sweep and config.fail_fast
        try:
            opened = self._open(config, folder, Path(hydra.sweep.dir) if is_sweep else None)
        except BaseException as error:
            _remove_empty(folder, Path(config.outputs))
            message = full_disk(error) or (error if isinstance(error, UserError) else None)
            if message is None:
                raise
            print(message, file=sys.stderr)
            self.fail(error)
            return None
        from ml_experiment_runner.record.run import Run  # loaded by now

        if not isinstance(opened, Run):
            return opened
        self.runs.append(opened)
        return self.execute(opened)

    def _open(
        self, config: "DictConfig", folder: Path, sweep_folder: Path | None
    ) -> "Run | float | None":
        """Checks the configuration and opens the run.

        Args:
            config: The job's configuration.
            folder: The run's folder.
            sweep_folder: The folder of the sweep; None for a single run.

        Returns:
            The run; or the objective, where the job has finished before or in another process.
        """
        from hydra.core.hydra_config import HydraConfig

        from ml_experiment_runner.record.run import Run
        from ml_experiment_runner.record.sync.client import SyncClient
        from ml_experiment_runner.sweeps.other_processes import launcher_of

        if self.sync_client is None:
            self.sync_client = SyncClient.start(config)  # first: its imports take as long as ours
        check_job(config)
        resume_collector()
        overrides = typed_overrides(HydraConfig.get())
        if sweep_folder is not None:
            sweep = self.open_sweep(config, sweep_folder)
            if sweep.is_done(overrides):
                _remove_empty(folder, Path(config.outputs))
                return self.finished_before(overrides)
            parent = sweep.parent.id
            return Run.start(config, folder, self.command, overrides, self.sync_client, parent)
        if launcher := launcher_of(HydraConfig.get()):
            return self.launch(launcher, config, folder, overrides)
        if self.resumes:
            return Run.reopen(config, folder, overrides, self.sync_client)
        return Run.start(config, folder, self.command, overrides, self.sync_client)

    def execute(self, run: "Run") -> float | None:
        """Runs the task of an opened run and returns its objective."""
        from ml_experiment_runner.training.pruning import Pruned

        try:
            metrics = execute(run)
        except Pruned:
            return None
        except (Exception, SystemExit) as error:  # a task that leaves by itself has failed too
            self.fail(error)
            return None
        except BaseException as error:
            self.errors.append(error)
            raise
        self.held |= any(name.startswith("held/") and metrics[name] for name in metrics)
        try:
            return score(run, metrics)
        except ObjectiveError as error:
            print(error, file=sys.stderr)
            self.fail(error)
            return None

    def fail(self, error: BaseException) -> None:
        """Keeps the error of a run.

        Raises:
            SweepStopped: No other job runs, because of `fail_fast` or because no job has the
                objective.
        """
        self.errors.append(error)
        if self.fail_fast:
            message = "the sweep stops at its first failure (fail_fast)"
            if self.sweep is not None:
                message += f"; python run.py -m resume={self.sweep.parent.id} resumes it"
            print(message, file=sys.stderr)
        elif self.sweep is None or not isinstance(error, ObjectiveError):
            return
        self.stopped = True
        raise SweepStopped

    def launch(
        self, launcher: "OtherProcesses", config: "DictConfig", folder: Path, overrides: list[str]
    ) -> float | None:
        """Has a launcher run a single task in another process, maybe on another machine."""
        from ml_experiment_runner.record.summary import shown

        launcher.prepare(self, folder)
        print(f"running on {type(launcher).__name__.removesuffix('Launcher').lower()}; the record "
              f"is {shown(folder)}", flush=True)  # fmt: skip
        return launcher.launch_run(config, overrides)

    def open_sweep(self, config: "DictConfig", folder: Path) -> "Sweep":
        """The sweep; its run is opened with the first job.

        Args:
            config: The job's configuration.
            folder: `hydra.sweep.dir`.
        """
        _remove_multirun_file(folder)
        if self.sweep is None:
            from ml_experiment_runner.record.sync.client import SyncClient
            from ml_experiment_runner.sweeps.sweep import Sweep

            if self.sync_client is None:
                self.sync_client = SyncClient.start(config)
            self.fail_fast = config.fail_fast
            try:
                self.sweep = Sweep.start(config, folder, self.command, self.sync_client)
            except UserError as error:
                print(error, file=sys.stderr)
                self.errors.append(error)
                raise SweepStopped from error
            self.runs.append(self.sweep.parent)
        return self.sweep

    def finished_before(self, overrides: "Sequence[str]") -> float:
        """The objective of a job that has finished before the sweep was interrupted."""
        assert self.sweep is not None
        print(f"finished before: {' '.join(overrides)}")
        return self.sweep.result(overrides)

    def close_sweep(self) -> None:
        """Records the results of a sweep."""
        if self.launcher is not None:
            self.launcher.close()
        if self.sweep is not None:
            is_killed = any(not isinstance(error, Exception | SystemExit) for error in self.errors)
            status = "KILLED" if is_killed else "FAILED" if self.stopped else None
            try:
                self.sweep.close(status)
            except RefusedError as error:
                print(error, file=sys.stderr)
                self.errors.append(error)

    def close(self) -> None:
        """Waits until the records are in MLflow, or prints in one line why they are pending."""
        if self.sync_client is not None:
            # a record whose end could not be written is synced when this process is gone
            patience = 1.0 if self.interrupted else None
            runs = [member for run in self.runs for member in run.family()]
            ended = [*self.remote_runs, *(run.id for run in runs if run.ended)]
            if pending := self.sync_client.wait(ended, patience):
                print(pending, file=sys.stderr)
            for run in runs:
                if refused := run.refused():
                    print(f"run {run.id}: MLflow refused {refused}\nIt is in {run.folder} only.",
                          file=sys.stderr)  # fmt: skip

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl+C or SIGTERM stopped it."""
        return any(isinstance(error, KeyboardInterrupt) for error in self.errors)


def _remove_multirun_file(folder: Path) -> None:
    """Removes Hydra's file about a sweep: the record holds the same, without secrets."""
    (folder / "multirun.yaml").unlink(missing_ok=True)


def _remove_empty(folder: Path, outputs: Path) -> None:
    """Removes the folders that Hydra has made for a run that does not start."""
    while folder != outputs and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
