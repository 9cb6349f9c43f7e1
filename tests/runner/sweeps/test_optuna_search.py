"""A search asks Optuna for values, and repeats what had not ended."""

import optuna
from optuna.distributions import IntDistribution
from optuna.trial import TrialState

from ml_experiment_runner.sweeps.optuna_search import AGAIN, _repeat_unfinished


def test_failed_job_of_an_earlier_version_keeps_its_values() -> None:
    study = optuna.create_study()
    trial = study.ask({"seed": IntDistribution(0, 10**9)})
    study.tell(trial, state=TrialState.FAIL)
    _repeat_unfinished(study)
    repeated = study.ask({"++seed": IntDistribution(0, 10**9)})
    assert repeated.params == {"++seed": trial.params["seed"]}
    assert repeated.user_attrs[AGAIN] == trial.number
