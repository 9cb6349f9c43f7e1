"""A job of a sweep in a process of its own, which may have run others before."""

import contextlib
import functools
import gc
import logging
import os
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.config.composition import register_resolvers
from ml_experiment_runner.project.errors import ObjectiveError, UserError
from ml_experiment_runner.project.repository import read_environment
from ml_experiment_runner.project.secrets import mask
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.record.sync.client import SyncClient
from ml_experiment_runner.sweeps.execution import execute, resume_collector, score
from ml_experiment_runner.sweeps.job_check import check_job
from ml_experiment_runner.training.pruning import Pruned

POLL = 0.5  # seconds between looks at whether the parent lives


@dataclass(frozen=True)
class Job:
    """What a process needs to run a job.

    Attributes:
        number: Its number in the sweep.
        config: Its configuration as YAML, with references to the environment.
        overrides: Its overrides.
        folder: The run's folder.
        parent: Id of the sweep's run; None for a single run.
        command: What was typed.
    """

    number: int
    config: str
    overrides: list[str]
    folder: str
    parent: str | None
    command: list[str]


@dataclass(frozen=True)
class Outcome:
    """What a process returns of a job.

    Attributes:
        number: Its number in the sweep.
        overrides: Its overrides.
        value: Its objective; None where it has none.
        held: Whether something waits for a person's decision.
        runs: Ids of its runs.
        error: The error that ended it: a UserError as it was, any other by its text.
        note: The run's id, and whether it failed or was ended early.
    """

    number: int
    overrides: list[str]
    value: float | None = None
    held: bool = False
    runs: list[str] = field(default_factory=list)
    error: Exception | None = None
    note: str = ""


def work(job: Job) -> Outcome:
    """Runs a job and records it; whoever started it sends the record to MLflow."""
    if not gc.get_freeze_count():  # the process is new
        gc.disable()
    read_environment()
    register_resolvers()
    config = OmegaConf.create(job.config)
    assert isinstance(config, DictConfig)
    with _silence():
        try:
            check_job(config)
            sync_client = SyncClient.start(config, starts_worker=False)
            resume_collector()
            run = Run.start(
                config, folder_of(job), job.command, job.overrides, sync_client, job.parent
            )
        except UserError as error:
            return Outcome(job.number, job.overrides, error=_masked(error))
        return _outcome(job, run)


def _outcome(job: Job, run: Run) -> Outcome:
    """Runs the task of an opened run."""
    value, held, note = None, False, f"  run {run.id}"
    error: Exception | None = None
    try:
        metrics = execute(run)
    except Pruned:
        note += " ended early"
    except UserError as failure:
        error = _masked(failure)
    except Exception as failure:
        error = RuntimeError(mask(f"{type(failure).__name__}: {failure}"))
    else:
        held = any(name.startswith("held/") and metrics[name] for name in metrics)
        try:
            value = score(run, metrics)
        except ObjectiveError as failure:
            error = _masked(failure)
    if error and not isinstance(error, ObjectiveError):
        note += " FAILED"
    runs = [member.id for member in run.family() if member.ended]
    return Outcome(job.number, job.overrides, value, held, runs, error, note)


def _masked(error: UserError) -> UserError:
    """The same error, of the same class, without secrets."""
    return type(error)(mask(str(error)))


def work_for(parent: int, job: Job) -> Outcome:
    """Runs a job in a process that ends when its parent does, however that ends.

    Args:
        parent: The parent's process id; with one process, joblib stays in the parent itself.
        job: The job.
    """
    if parent != os.getpid():
        _end_with(parent)
    return work(job)


@functools.cache
def _end_with(parent: int) -> None:
    """Watches the parent from now on; where it is killed, joblib keeps its workers for minutes."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def folder_of(job: Job) -> Path:
    """The run's folder; another one where a scheduler has started the job a second time."""
    folder = Path(job.folder)
    if (folder / "journal.jsonl").exists():
        return folder.with_name(f"{folder.name.rpartition('-')[0]}-{secrets.token_hex(4)}")
    return folder


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keeps a job's output from the terminal, where others write too; console.log has it."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        handlers = [handler for handler in logging.getLogger().handlers
                    if isinstance(handler, logging.StreamHandler)]  # fmt: skip
        streams = [handler.setStream(nowhere) for handler in handlers]
        try:
            yield
        finally:
            for handler, stream in zip(handlers, streams, strict=True):
                if stream is not None:
                    handler.setStream(stream)
