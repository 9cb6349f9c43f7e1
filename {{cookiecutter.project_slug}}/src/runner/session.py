"""What one `python run.py` does: its runs, one after the other."""

import gc
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.composition import as_typed
from runner.errors import ObjectiveError, RefusedError, UserError, full_disk, is_interrupt
from runner.metrics import ENDS, needs_threshold, objective
from runner.project import root

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from hydra_plugins.runner_launchers import OtherProcesses
    from runner.record.delivery import Delivery
    from runner.record.run import Run
    from runner.sweep import Sweep


class SweepStopped(BaseException):
    """A sweep ends before its time; Hydra would go on after an Exception."""


class Session:
    """What one `python run.py` did: its runs, their failures, and the delivery beside them.

    Attributes:
        runs: Those of this process, with a sweep's own.
        errors: What ended them, or kept them from beginning.
        stopped: Whether a failure has ended the sweep before its time.
        held: Whether something waits for a person.
        away: Ids of runs in other processes.
        command: What was typed.
        resumes: Whether a record goes on.
        delivery: Brings the records to MLflow.
        sweep: What the runs belong to.
        launcher: Runs jobs in other processes, if any does.
        fail_fast: Whether no other job runs after one that fails.
    """

    def __init__(self, resumes: bool = False) -> None:
        self.resumes = resumes
        self.runs: list[Run] = []
        self.errors: list[BaseException] = []
        self.stopped = False
        self.held = False
        self.away: list[str] = []
        self.command = [Path(sys.argv[0]).name, *map(as_typed, sys.argv[1:])]
        self.delivery: Delivery | None = None
        self.sweep: Sweep | None = None
        self.launcher: OtherProcesses | None = None
        self.fail_fast = False

    def job(self, config: "DictConfig") -> float | None:
        """Runs one task and records it; a failure is kept and told at the end of the sweep."""
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        hydra = HydraConfig.get()
        folder = Path(hydra.runtime.output_dir)
        _remove_note(folder.parent)
        is_sweep = hydra.mode == RunMode.MULTIRUN
        self.fail_fast = is_sweep and config.fail_fast
        try:  # imports take a while, and whoever stops us then wants no empty folder
            from runner.record.delivery import Delivery
            from runner.record.run import Run

            if self.delivery is None:
                # its imports take as long as ours: it starts first
                self.delivery = Delivery.start(config)
            check_job(config)
            resume_collector()
            words = words_of(hydra)
            parent = None
            if is_sweep:
                sweep = self.open_sweep(config, Path(hydra.sweep.dir))
                parent = sweep.parent.id
                if sweep.is_done(words):
                    _remove_empty(folder, Path(config.outputs))
                    return self.already(words)
            elif launcher := launcher_of(hydra):
                return self.launch(launcher, config, folder, words)
            if self.resumes and parent is None:
                run = Run.reopen(config, folder, words, self.delivery)
            else:
                run = Run.start(config, folder, self.command, words, self.delivery, parent)
        except UserError as error:
            _remove_empty(folder, Path(config.outputs))
            print(full_disk(error) or error, file=sys.stderr)
            self.fail(error)
            return None
        except BaseException as error:
            _remove_empty(folder, Path(config.outputs))
            if (full := full_disk(error)) is None:
                raise
            print(full, file=sys.stderr)
            self.fail(error)
            return None
        self.runs.append(run)
        return self.execute(run)

    def execute(self, run: "Run") -> float | None:
        """Runs the task of a run that has been opened, and gives its objective."""
        from runner.pruning import Pruned

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
        """Keeps what has gone wrong with a run.

        Raises:
            SweepStopped: No other job is to run: `fail_fast` says so, or none could be compared.
        """
        self.errors.append(error)
        if self.fail_fast:
            told = "the sweep stops at its first failure (fail_fast)"
            if self.sweep is not None:
                told += f"; python run.py -m resume={self.sweep.parent.id} goes on with it"
            print(told, file=sys.stderr)
        elif self.sweep is None or not isinstance(error, ObjectiveError):
            return
        self.stopped = True
        raise SweepStopped

    def launch(
        self, launcher: "OtherProcesses", config: "DictConfig", folder: Path, words: list[str]
    ) -> float | None:
        """Has a launcher run a single task, in another process and maybe on another machine."""
        from runner.summary import shown

        launcher.prepare(self, folder)
        print(f"the run goes to {type(launcher).__name__.removesuffix('Launcher').lower()}; "
              f"its record is {shown(folder)}", flush=True)  # fmt: skip
        return launcher.launch_run(config, words)

    def open_sweep(self, config: "DictConfig", folder: Path) -> "Sweep":
        """The sweep, whose run is opened with the first job.

        Args:
            config: The job's configuration.
            folder: `hydra.sweep.dir`.
        """
        _remove_note(folder)
        if self.sweep is None:
            from runner.record.delivery import Delivery
            from runner.sweep import Sweep

            if self.delivery is None:
                self.delivery = Delivery.start(config)
            self.fail_fast = config.fail_fast
            try:
                self.sweep = Sweep.start(config, folder, self.command, self.delivery)
            except UserError as error:
                print(error, file=sys.stderr)
                self.errors.append(error)
                raise SweepStopped from error
            self.runs.append(self.sweep.parent)
        return self.sweep

    def already(self, words: "Sequence[str]") -> float:
        """The objective of a job that has finished before the sweep was interrupted."""
        assert self.sweep is not None
        print(f"done before: {' '.join(words)}")
        return self.sweep.result(words)

    def close_sweep(self) -> None:
        """Records what the jobs of a sweep have come to."""
        if self.launcher is not None:
            self.launcher.close()
        if self.sweep is not None:
            stopped = [
                error for error in self.errors if not isinstance(error, Exception | SystemExit)
            ]
            status = "KILLED" if stopped else "FAILED" if self.stopped else None
            try:
                self.sweep.close(status)
            except RefusedError as error:
                print(error, file=sys.stderr)
                self.errors.append(error)

    def close(self) -> None:
        """Waits until the record has arrived, or says in one line why it is pending."""
        if self.delivery is not None:
            # a record whose end could not be written is delivered when this process is gone
            patience = 1.0 if self.interrupted else None
            runs = [each for run in self.runs for each in run.family()]
            ended = [*self.away, *(run.id for run in runs if run.ended)]
            pending = self.delivery.wait(ended, patience)
            if pending:
                print(pending, file=sys.stderr)
            for run in runs:
                if refused := run.refused():
                    print(f"run {run.id}: MLflow refused {refused}\nIt is in {run.folder} only.",
                          file=sys.stderr)  # fmt: skip

    @property
    def interrupted(self) -> bool:
        """Whether somebody stopped it."""
        return any(isinstance(error, KeyboardInterrupt) for error in self.errors)


def resume_collector() -> None:
    """Has Python's garbage collector at work, once imports are done: it is most of their cost."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def launcher_of(hydra: Any) -> "OtherProcesses | None":
    """The launcher that was typed for a single run, which Hydra would not ask.

    One that the configuration names by default is for sweeps.

    Raises:
        UserError: It can run the jobs of a sweep only.
    """
    typed = [word for word in hydra.overrides.hydra if word.startswith("hydra/launcher=")]
    if not typed or typed[-1] == "hydra/launcher=basic":
        return None
    from hydra.utils import instantiate

    from hydra_plugins.runner_launchers import OtherProcesses

    launcher = instantiate(hydra.launcher)
    if not isinstance(launcher, OtherProcesses):
        raise UserError(f"{typed[-1]} runs the jobs of a sweep; add -m")
    return launcher


def words_of(hydra: Any) -> list[str]:
    """A job's overrides as they were typed: what comes from the environment is still named only."""
    from omegaconf import OmegaConf

    words = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    assert isinstance(words, list)
    return [as_typed(str(word)) for word in words]


def score(run: "Run", metrics: Mapping[str, float]) -> float:
    """The objective of a run that has finished; not a number where it has no value.

    Raises:
        ObjectiveError: There is no such metric, and the run trains, is a job of a sweep, or its
            objective was typed. An experiment's own says nothing about the metrics of other tasks.
    """
    from runner.config import TRAIN, nearest

    name = objective(run.config.objective, metrics)
    if name in metrics:
        return metrics[name]
    is_typed = any(word.lstrip("+").startswith("objective=") for word in run.overrides)
    is_meant = is_typed or run.parent is not None or run.config.task._target_ == TRAIN
    is_asked = run.config.objective is not None and is_meant
    is_binary = f"{name.rpartition('/')[0]}/base_rate" in metrics
    if not is_asked or (is_binary and needs_threshold(name)):
        return math.nan
    known = [each for each in metrics if not each.endswith(ENDS)]
    raise ObjectiveError(f"objective: run {run.id} has no metric '{name}'. {nearest(name, known)}")


def execute(run: "Run") -> dict[str, float]:
    """Runs the task of an opened run, closes its record, and says both on the terminal.

    Returns:
        The task's metrics.
    """
    from hydra.utils import get_method
    from threadpoolctl import threadpool_limits

    from runner import summary
    from runner.profiling import profiled
    from runner.pruning import Pruned
    from runner.record.changes import changes
    from runner.record.inline import mlflow_inline

    try:
        run.log_provenance("changes", changes(run.config, root() / "conf"))
        summary.opening(run)
        with threadpool_limits(run.config.threads), mlflow_inline(run), profiled(run):
            metrics: dict[str, float] = get_method(run.config.task._target_)(run.config, run)
        run.log_metrics(metrics)
        run.settle()
        from runner.record.card import write_card  # jinja2 takes a while: not before the first fit

        run.log_artifact(write_card(run.folder), "card.html")
        summary.closing(run, metrics)  # before the end, so that console.log holds it
        run.finish("FINISHED")
    except Pruned as ended:
        print(ended)
        run.log_tag("sweep.pruned", str(ended))
        run.finish("KILLED")
        raise
    except BaseException as error:
        summary.failed(run, error)  # before the end, which may fail too
        run.finish("KILLED" if is_interrupt(error) else "FAILED", error)
        if is_interrupt(error):
            raise KeyboardInterrupt from error
        raise
    return metrics


def check_job(config: "DictConfig") -> None:
    """Checks all that can be checked before a run begins, and limits the threads.

    Raises:
        UserError: Says what is wrong.
    """
    from runner.config import check

    check(config)
    limit_threads(config.threads)
    _check_task(config.task._target_)
    _check_model(config)
    _check_data(config)


def _check_task(target: str) -> None:
    """Checks that there is such a function; what fails within its module fails in the run."""
    import importlib.util

    module, _, function = target.rpartition(".")
    try:
        is_there = bool(function) and importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        is_there = False
    if not is_there:
        raise UserError(
            f"task._target_: no module '{module}'; name a function by its dotted path, such as "
            "runner.training.train.train"
        )


def _check_model(config: "DictConfig") -> None:
    """Checks the model's parameters; a task without a model loads no estimator."""
    if "model" in config.task.get("uses", []):
        from runner.parameters import check_model

        check_model(config)


def _check_data(config: "DictConfig") -> None:
    """Checks what is said about signals, features and label before a run begins."""
    uses = config.task.get("uses", [])
    if "signals" in uses:
        from runner.signals.ingest import chosen

        chosen(config)
    if "dataset" in uses:
        from runner.dataset.plan import make_plan

        plan = make_plan(config, as_it_stands=True)
        if "model" in uses:
            from runner.training.groups import check_ensemble
            from runner.training.repeated import check_block

            check_block(config.evaluation.block, config.dataset.features)
            check_ensemble(config, plan)


def _remove_note(folder: Path) -> None:
    """Takes back Hydra's note of a sweep: the record holds the same, without secrets."""
    (folder / "multirun.yaml").unlink(missing_ok=True)


def _remove_empty(folder: Path, outputs: Path) -> None:
    """Takes back the folders that Hydra made for a run that does not start."""
    while folder != outputs and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def limit_threads(threads: int | None) -> None:
    """Sets the number of threads for libraries that are not loaded yet; None leaves all cores."""
    if threads is not None:
        for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                         "POLARS_MAX_THREADS"):  # fmt: skip
            os.environ[variable] = str(threads)
