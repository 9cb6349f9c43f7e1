"""A job of a sweep in a process of its own, which may have done others before."""

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
from ml_experiment_runner.record.sync.client import Delivery
from ml_experiment_runner.sweeps.execution import check_job, execute, resume_collector, score
from ml_experiment_runner.training.pruning import Pruned

POLL = 0.5  # seconds between looks at whether the parent lives


@dataclass(frozen=True)
class Job:
    """What a process needs to run a job.

    Attributes:
        number: Its place in the sweep.
        config: Its configuration as YAML, with references to the environment.
        words: Its overrides.
        folder: The run's folder.
        parent: Id of the sweep's run; None for a job that belongs to none.
        command: What was typed.
    """

    number: int
    config: str
    words: list[str]
    folder: str
    parent: str | None
    command: list[str]


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        number: Its place in the sweep.
        words: Its overrides.
        value: Its objective; None where it has none.
        held: Whether something waits for a person.
        delivered: Ids of its runs.
        error: What ended it: a UserError as it was, anything else by its text.
        said: Where the record lies, in a few words.
    """

    number: int
    words: list[str]
    value: float | None = None
    held: bool = False
    delivered: list[str] = field(default_factory=list)
    error: Exception | None = None
    said: str = ""


def work(job: Job) -> Outcome:
    """Runs a job and records it; whoever started it delivers the record."""
    if not gc.get_freeze_count():  # the process is new
        gc.disable()
    read_environment()
    register_resolvers()
    config = OmegaConf.create(job.config)
    assert isinstance(config, DictConfig)
    with _silence():
        try:
            check_job(config)
            delivery = Delivery.start(config, serves=False)
            resume_collector()
            run = Run.start(config, folder_of(job), job.command, job.words, delivery, job.parent)
        except UserError as told:
            return Outcome(job.number, job.words, error=_masked(told))
        error: Exception | None = None
        said = f"  run {run.id}"
        value, held = None, False
        try:
            metrics = execute(run)
        except Pruned:
            said += " ended early"
        except UserError as told:
            error = _masked(told)
        except Exception as fault:
            error = RuntimeError(mask(f"{type(fault).__name__}: {fault}"))
        else:
            held = any(name.startswith("held/") and metrics[name] for name in metrics)
            try:
                value = score(run, metrics)
            except ObjectiveError as told:
                error = _masked(told)
    ids = [each.id for each in run.family() if each.ended]
    said += " FAILED" if error and not isinstance(error, ObjectiveError) else ""
    return Outcome(job.number, job.words, value, held, ids, error, said)


def _masked(error: UserError) -> UserError:
    """The same error, of the same class, without secrets."""
    return type(error)(mask(str(error)))


def work_for(parent: int, job: Job) -> Outcome:
    """Runs a job in a process that ends when its parent does, however that ends.

    Args:
        parent: The parent's process id; with one process, joblib stays in the parent itself.
        job: What is run.
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
    """The run's folder; another one where a scheduler has begun the job a second time."""
    folder = Path(job.folder)
    if (folder / "journal.jsonl").exists():
        return folder.with_name(f"{folder.name.rpartition('-')[0]}-{secrets.token_hex(4)}")
    return folder


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keeps a job's words from the terminal, which others write to; console.log has them."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    with (
        Path(os.devnull).open("w", encoding="utf-8") as nothing,
        contextlib.redirect_stdout(nothing),
        contextlib.redirect_stderr(nothing),
    ):
        handlers = [each for each in logging.getLogger().handlers
                    if isinstance(each, logging.StreamHandler)]  # fmt: skip
        streams = [each.setStream(nothing) for each in handlers]
        try:
            yield
        finally:
            for handler, stream in zip(handlers, streams, strict=True):
                if stream is not None:
                    handler.setStream(stream)
