"""A search with Optuna: it asks for values, runs their jobs, and tells Optuna the objectives."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.config.metrics import greater_is_better, objective
from ml_experiment_runner.config.overrides import added
from ml_experiment_runner.config.sweep_overrides import ends, parse
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.training.pruning import PRUNED, PRUNER, STUDY, storage

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution

AGAIN = "again"
"""User attribute of a trial: the number of the interrupted or failed trial that it repeats."""

Launch = Callable[[list[list[str]], int], Sequence[float | None]]


@dataclass(frozen=True)
class Search:
    """A search space, and how it is searched.

    Attributes:
        fixed: Overrides that all jobs share.
        space: Distributions of the searched keys.
        sampler: `_target_` of an Optuna sampler with its arguments.
        pruner: `_target_` of an Optuna pruner with its arguments.
        greater: Whether a greater objective is better.
    """

    fixed: list[str]
    space: "dict[str, BaseDistribution]"
    sampler: DictConfig
    pruner: DictConfig
    greater: bool

    @classmethod
    def of(cls, config: DictConfig, arguments: Sequence[str], base: DictConfig) -> "Search":
        """The search that was typed and configured.

        Args:
            config: The configuration with Hydra's own section.
            arguments: What was typed for the jobs.
            base: The configuration of some job.

        Raises:
            UserError: No key has values to search, or the sampler or pruner cannot be created.
        """
        sweeper = config.hydra.sweeper
        by_key = {override.get_key_element(): override for override in parse(config, arguments)}
        space = {
            key: distribution(override, base)
            for key, override in by_key.items()
            if override.is_sweep_override()
        }
        if not space:
            raise UserError(
                "hydra/sweeper=optuna needs values to search, such as "
                "model.learning_rate=interval(0.01,0.3) or model=ridge,random_forest"
            )
        fixed = [str(override.input_line) for key, override in by_key.items() if key not in space]
        greater = greater_is_better(objective(base.objective, {}))
        search = cls(fixed, space, sweeper.sampler, sweeper.pruner, greater)
        search._create("sampler")
        search._create("pruner")
        return search

    def run(self, folder: Path, launch: Launch, trials: int, at_once: int) -> None:
        """Runs jobs up to a number; an interrupted search is resumed.

        Args:
            folder: The folder of the sweep's run, with the search's journal.
            launch: Runs jobs with these overrides, from this number on; returns their objectives.
            trials: Number of jobs.
            at_once: Number of jobs whose values are chosen at once.
        """
        study = self._open(folder)
        _repeat_unfinished(study)
        while (missing := trials - _count_ended(study)) > 0:
            study.sampler = self._sampler(_count_ended(study))
            chosen = [study.ask(self.space) for _ in range(min(missing, at_once))]
            overrides = [self._overrides(trial) for trial in chosen]
            for trial, value in zip(chosen, launch(overrides, chosen[0].number), strict=True):
                _tell(study, trial, value)

    def _open(self, folder: Path) -> "Study":
        import optuna

        study = optuna.create_study(
            storage=storage(folder / STUDY),
            study_name=folder.name,
            direction="maximize" if self.greater else "minimize",
            pruner=self._create("pruner"),
            load_if_exists=True,
        )
        study.set_user_attr(PRUNER, OmegaConf.to_container(self.pruner, resolve=True))
        return study

    def _sampler(self, ended: int) -> Any:
        """A sampler whose seed depends on what is known: an interrupted search draws the same.

        Args:
            ended: Number of jobs that have ended.
        """
        seeded = {}
        if self.sampler.get("seed") is not None:
            (seed,) = np.random.SeedSequence([self.sampler.seed, ended]).generate_state(1)
            seeded["seed"] = int(seed)
        return self._create("sampler", **seeded)

    def _create(self, role: str, **arguments: Any) -> Any:
        """The `sampler` or the `pruner`."""
        from hydra.errors import HydraException
        from hydra.utils import instantiate
        from optuna.exceptions import ExperimentalWarning

        config: DictConfig = getattr(self, role)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            try:
                return instantiate(config, **arguments)
            except HydraException as error:
                reason = error.__cause__ or error
                raise UserError(
                    f"hydra.sweeper.{role}: {config._target_} cannot be created ({reason}); "
                    f"its arguments stand in conf/hydra/sweeper/{role}/<name>.yaml"
                ) from None

    def _overrides(self, trial: "Trial") -> list[str]:
        return [*self.fixed, *(f"{key}={trial.params[key]}" for key in self.space)]


def distribution(override: "Override", base: DictConfig) -> "BaseDistribution":
    """Optuna's distribution for what was typed.

    Args:
        override: A key with values: `a,b`, `choice(…)`, `range(…)`, which ends at its last value,
            or `interval(low, high)`; `tag(log, interval(…))` is logarithmic.
        base: The configuration of some job.
    """
    from hydra.core.override_parser.types import IntervalSweep, RangeSweep
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value = override.value()
    if isinstance(value, IntervalSweep):
        low, high = ends(override, base)
        logarithmic = "log" in value.tags
        if isinstance(low, int) and isinstance(high, int):
            return IntDistribution(low, high, log=logarithmic)
        return FloatDistribution(low, high, log=logarithmic)
    if isinstance(value, RangeSweep) and not value.shuffle:
        values = list(override.sweep_iterator())
        numbers = [value for value in values if isinstance(value, int)]
        if len(numbers) == len(values) > 1 and numbers[0] < numbers[1]:
            return IntDistribution(numbers[0], numbers[-1], step=numbers[1] - numbers[0])
    return CategoricalDistribution(list(override.sweep_string_iterator()))


def _count_ended(study: "Study") -> int:
    """The number of jobs that have ended, without those that were repeated."""
    trials = study.get_trials(deepcopy=False)
    repeated = {trial.user_attrs.get(AGAIN) for trial in trials}
    return sum(trial.state.is_finished() and trial.number not in repeated for trial in trials)


def _repeat_unfinished(study: "Study") -> None:
    """Enqueues jobs that were interrupted, or have failed, once more with the same values.

    A job that has finished without a number is among them; the launcher does not run it again.
    """
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    repeated = {trial.user_attrs.get(AGAIN) for trial in trials}
    for trial in trials:
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
        elif trial.state != TrialState.FAIL:
            continue
        if trial.number not in repeated:
            # a search of an earlier version has keys of the top level without ++
            params = {added(key): value for key, value in trial.params.items()}
            study.enqueue_trial(params, user_attrs={AGAIN: trial.number})


def _tell(study: "Study", trial: "Trial", value: float | None) -> None:
    """Tells Optuna the objective of a job; None and NaN are failures to it."""
    from optuna.trial import TrialState

    if study.get_trials(deepcopy=False)[trial.number].user_attrs.get(PRUNED):
        study.tell(trial, state=TrialState.PRUNED)
    elif value is not None and math.isfinite(value):
        study.tell(trial, value)
    else:
        study.tell(trial, state=TrialState.FAIL)
