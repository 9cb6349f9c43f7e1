"""A job of a search reports its objective, and is ended early where others were better."""

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
    """Reports the objective so far to the search that a run belongs to, if to any.

    Args:
        run: The job's run.
        value: The objective so far.
        step: The step at which jobs are compared, from 0, such as a fold or an epoch.

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
        raise Pruned(f"ended early at step {step}: other jobs of the search were better")


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
    """The search as a job sees it; it is read on from where it was read before."""
    import optuna
    from hydra.utils import instantiate

    study = optuna.load_study(study_name=None, storage=storage(path))
    study.pruner = instantiate(study.user_attrs[PRUNER])
    return study
