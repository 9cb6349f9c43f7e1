"""A job of a search says how it stands, and ends where that is not good enough."""

import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from ml_experiment_runner.record.run import Run

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage

STUDY = "study.log"
"""Optuna's journal of a search, in the folder of the sweep's run."""

PRUNER = "pruner"
PRUNED = "pruned"


class Pruned(Exception):  # noqa: N818 - no error
    """A job was ended because others had been better at the same step."""


def report(run: Run, value: float, step: int) -> None:
    """Tells the search that a run belongs to how the run stands; outside of a search, nothing.

    Args:
        run: A job's run.
        value: What the objective is so far.
        step: What the values of all jobs are compared at, from 0; such as a fold or an epoch.

    Raises:
        Pruned: The search's pruner ends the job.
    """
    path = run.folder.parent / STUDY
    if not path.exists():
        return
    from optuna import Trial

    study = _study(path)
    number = int(run.folder.name.partition("-")[0])
    trial = Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)
    trial.report(value, step)
    run.log_metric("objective/so_far", value, step)
    if trial.should_prune():
        trial.set_user_attr(PRUNED, True)
        raise Pruned(f"ended by the search at step {step}: other jobs were better there")


def storage(path: Path) -> "BaseStorage":
    """Optuna's storage in a file, which several processes of several machines may share."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return JournalStorage(JournalFileBackend(str(path)))


@lru_cache(maxsize=1)
def _study(path: Path) -> "Study":
    """A job's own look at the search; it reads on where it has read before."""
    import optuna
    from hydra.utils import instantiate

    study = optuna.load_study(study_name=None, storage=storage(path))
    study.pruner = instantiate(study.user_attrs[PRUNER])
    return study
