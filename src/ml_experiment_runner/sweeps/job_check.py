"""Checks all of a run that can be checked before it begins."""

import importlib.util
import os
from typing import TYPE_CHECKING

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.moved_names import refuse_old_name

if TYPE_CHECKING:
    from omegaconf import DictConfig


def check_job(config: "DictConfig") -> None:
    """Checks all that can be checked before a run begins, and limits the threads.

    Raises:
        UserError: The configuration cannot be run.
    """
    from ml_experiment_runner.config.checks import check

    check(config)
    limit_threads(config.threads)
    _check_task(config.task._target_)
    _check_model(config)
    _check_data(config)


def _check_task(target: str) -> None:
    """Checks that the module exists; an error within it is an error of the run."""
    refuse_old_name(target)
    module, _, function = target.rpartition(".")
    try:
        exists = bool(function) and importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        exists = False
    if not exists:
        raise UserError(
            "task._target_ must be the dotted path of a function, such as "
            f"ml_experiment_runner.training.train.train, got '{target}'"
        )


def _check_model(config: "DictConfig") -> None:
    """Checks the model's parameters; a task without a model loads no estimator."""
    if "model" in config.task.get("uses", []):
        from ml_experiment_runner.config.parameters import check_model

        check_model(config)


def _check_data(config: "DictConfig") -> None:
    """Checks signals, features and label before a run begins."""
    uses = config.task.get("uses", [])
    if "signals" in uses:
        from ml_experiment_runner.signals.ingest import chosen

        chosen(config)
    if "dataset" in uses:
        from ml_experiment_runner.dataset.plan import make_plan

        plan = make_plan(config, follow_holds=True)
        if "model" in uses:
            from ml_experiment_runner.training.evaluation.cross_validation import check_block
            from ml_experiment_runner.training.models.groups import check_ensemble

            check_block(config.evaluation.block, config.dataset.features)
            check_ensemble(config, plan)


def limit_threads(threads: int | None) -> None:
    """Sets the number of threads for libraries that are not loaded yet; None leaves all cores."""
    if threads is not None:
        for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                         "POLARS_MAX_THREADS"):  # fmt: skip
            os.environ[variable] = str(threads)
