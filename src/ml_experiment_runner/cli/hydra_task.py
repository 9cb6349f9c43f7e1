"""Runs a task through Hydra: checks the overrides, composes the configuration, starts the runs."""

import logging
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from ml_experiment_runner.project.errors import UserError, exit_code
from ml_experiment_runner.project.repository import root

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ml_experiment_runner.sweeps.session import Session

RESUME = "resume="
MULTIRUN = ("-m", "--multirun")
SHOW_ONLY = ("--cfg", "-c", "--info", "-i")
OPTIONS = (
    *("--resolve", "--package", "-p", "--run", "-r", *MULTIRUN, *SHOW_ONLY),
    *("--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd"),
    *("--hydra-help", "--version", "--shell-completion", "-sc", "--experimental-rerun"),
)
"""Options that Hydra knows."""


def run_task(arguments: Sequence[str]) -> int:
    """Runs a task, or a sweep of it.

    Args:
        arguments: Overrides and options of Hydra, as they were typed.

    Returns:
        The gravest exit code of all runs.
    """
    _check_options(arguments)
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises errors instead of printing them
    from ml_experiment_runner.config.composition import register_resolvers
    from ml_experiment_runner.config.overrides import normalise
    from ml_experiment_runner.config.typed_secrets import refuse_secrets
    from ml_experiment_runner.sweeps.session import Session

    _configure_logging()
    resumes = any(argument.startswith(RESUME) for argument in arguments)
    arguments = _resumed(arguments)
    refuse_secrets([argument for argument in arguments if not argument.startswith("-")])
    register_resolvers()
    signal.signal(signal.SIGTERM, _interrupt)
    overrides = normalise(arguments)
    sys.argv = [sys.argv[0], *overrides]
    session = Session(resumes)
    try:
        _start_hydra(session, overrides)
    finally:
        session.close_sweep()
        session.close()
    return exit_code(session.errors, session.held)


def _start_hydra(session: "Session", overrides: Sequence[str]) -> None:
    """Has Hydra compose the configuration and call the session for each job."""
    import hydra

    from ml_experiment_runner.config.composition import explain
    from ml_experiment_runner.sweeps.session import SweepStopped

    def job(config: "DictConfig") -> float | None:
        return session.job(config)

    job.session = session  # type: ignore[attr-defined]  # for launchers of other processes
    config_path = str(root() / "conf")
    try:
        hydra.main(version_base="1.3", config_path=config_path, config_name="config")(job)()
    except SweepStopped:
        pass  # the session's errors hold the reason
    except KeyboardInterrupt as error:
        if not session.runs and session.launcher is None:
            print("stopped before the run began", file=sys.stderr)
        session.errors.append(error)
    except Exception as error:
        explained = explain(error, overrides)
        if explained is error:
            raise
        raise explained from error


def _configure_logging() -> None:
    from ml_experiment_runner.config.overrides import shown_as_typed

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    logging.getLogger("hydra._internal.core_plugins.basic_launcher").addFilter(shown_as_typed)


def _check_options(arguments: Sequence[str]) -> None:
    """Refuses what Hydra would ignore or misunderstand.

    Raises:
        UserError: An option is unknown, or a sweeper is chosen without a sweep.
    """
    from ml_experiment_runner.project.suggestions import nearest

    sweeper = next(
        (argument for argument in arguments if argument.startswith("hydra/sweeper=")), None
    )
    if sweeper and not {*MULTIRUN, *SHOW_ONLY} & set(arguments):
        raise UserError(f"{sweeper} needs a sweep; add -m")
    for argument in arguments:
        option = argument.partition("=")[0]
        is_number = re.match(r"-\d", option)
        if option.startswith("-") and option not in OPTIONS and not is_number:
            key = option.lstrip("-")
            raise UserError(f"unknown option {option}. {nearest(option, OPTIONS)} "
                            f"Keys of conf/ have no dashes: {key}=VALUE")  # fmt: skip


def _resumed(arguments: Sequence[str]) -> Sequence[str]:
    """Replaces `resume=ID` by the overrides of that run or sweep."""
    ids = [argument.removeprefix(RESUME) for argument in arguments if argument.startswith(RESUME)]
    if not ids:
        return arguments
    others = [argument for argument in arguments if not argument.startswith((RESUME, *MULTIRUN))]
    trials = [argument for argument in others if argument.startswith("hydra.sweeper.n_trials=")]
    refused = [argument for argument in others if argument not in trials]
    if refused:
        raise UserError(f"resume={ids[0]} continues with its original overrides; "
                        f"remove {refused[0]}")  # fmt: skip
    from ml_experiment_runner.sweeps.resume import resumed

    return [*resumed(ids[0]), *trials]


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class CheckConfiguration:
    """Hydra callback that stops at an invalid configuration before a run folder is made."""

    def on_run_start(self, config: "DictConfig", **_: Any) -> None:
        """Checks a single run."""
        _exit_if_invalid(config)
        _exit_if_elsewhere(config, "hydra.run.dir")

    def on_multirun_start(self, config: "DictConfig", **_: Any) -> None:
        """Checks every job of a sweep before the first one is launched."""
        from ml_experiment_runner.config.composition import explain
        from ml_experiment_runner.config.plugin_checks import check_plugins
        from ml_experiment_runner.config.sweep_overrides import (
            normalise_params,
            remember_compositions,
            swept,
        )

        try:
            check_plugins(config)
            normalise_params(config)
            remember_compositions()
            for job in swept(config):
                _exit_if_invalid(job)
            _exit_if_elsewhere(config, "hydra.sweep.dir")
        except Exception as error:
            explained = explain(error, config.hydra.overrides.task)
            if isinstance(explained, UserError):
                print(explained, file=sys.stderr)
                sys.exit(2)
            raise

    def __getattr__(self, name: str) -> Any:
        """Ignores Hydra's other events."""
        if name.startswith("on_"):
            return lambda **_: None
        raise AttributeError(name)


def _exit_if_invalid(config: "DictConfig") -> None:
    """Exits at an invalid configuration: Hydra turns exceptions of callbacks into warnings."""
    from ml_experiment_runner.config.composition import check_composed

    try:
        check_composed(config)
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def _exit_if_elsewhere(config: "DictConfig", key: str) -> None:
    """Exits where a run or sweep would not be found again."""
    from omegaconf import OmegaConf

    from ml_experiment_runner.config.checks import check_run_folder

    try:
        check_run_folder(Path(config.outputs), Path(OmegaConf.select(config, key)), key)
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
