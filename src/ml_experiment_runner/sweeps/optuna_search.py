"""A search with Optuna for the best values: it asks for a few, has their jobs run, and is told."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.config.metrics import greater_is_better, objective
from ml_experiment_runner.config.sweep_overrides import ends
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.training.pruning import PRUNED, PRUNER, STUDY, storage

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution

AGAIN = "again"
"""The number of the interrupted or failed job that a job repeats."""

Launch = Callable[[list[list[str]], int], Sequence[float | None]]


@dataclass(frozen=True)
class Search:
    """What is looked for, and how.

    Attributes:
        fixed: Words that all jobs share.
        space: What is searched, by key.
        sampler: `_target_` of an Optuna sampler with its arguments.
        pruner: The same of a pruner.
        greater: Whether a greater objective is better.
    """

    fixed: list[str]
    space: "dict[str, BaseDistribution]"
    sampler: DictConfig
    pruner: DictConfig
    greater: bool

    @classmethod
    def of(cls, config: DictConfig, arguments: Sequence[str], base: DictConfig) -> "Search":
        """What was typed and configured.

        Args:
            config: The configuration with Hydra's own part.
            arguments: What was typed for the jobs.
            base: The configuration of some job.

        Raises:
            UserError: Nothing is to be searched, or the sampler or pruner cannot be made.
        """
        from hydra.core.global_hydra import GlobalHydra
        from hydra.core.override_parser.overrides_parser import OverridesParser

        sweeper = config.hydra.sweeper
        words = [f"{key}={value}" for key, value in (sweeper.params or {}).items()]
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
        parsed = parser.parse_overrides([*words, *arguments])
        by_key = {override.get_key_element(): override for override in parsed}
        space = {
            key: distribution(each, base)
            for key, each in by_key.items()
            if each.is_sweep_override()
        }
        if not space:
            raise UserError(
                "hydra/sweeper=optuna: nothing is searched. Say where, such as "
                "model.learning_rate=interval(0.01,0.3) or model=ridge,random_forest"
            )
        fixed = [str(each.input_line) for key, each in by_key.items() if key not in space]
        greater = greater_is_better(objective(base.objective, {}))
        search = cls(fixed, space, sweeper.sampler, sweeper.pruner, greater)
        search._made("sampler")
        search._made("pruner")
        return search

    def run(self, folder: Path, launch: Launch, trials: int, at_once: int) -> None:
        """Runs jobs until there are as many as asked for; goes on where it was interrupted.

        Args:
            folder: Of the sweep's run; the search's journal lies there.
            launch: Runs jobs with these words, the first of this number; gives their objectives.
            trials: How many there are in all.
            at_once: How many are chosen before one of them is known.
        """
        study = self._open(folder)
        _try_again(study)
        while (missing := trials - _ended(study)) > 0:
            study.sampler = self._sampler(_ended(study))
            chosen = [study.ask(self.space) for _ in range(min(missing, at_once))]
            words = [self._words(trial) for trial in chosen]
            for trial, value in zip(chosen, launch(words, chosen[0].number), strict=True):
                _tell(study, trial, value)

    def _open(self, folder: Path) -> "Study":
        import optuna

        study = optuna.create_study(
            storage=storage(folder / STUDY),
            study_name=folder.name,
            direction="maximize" if self.greater else "minimize",
            pruner=self._made("pruner"),
            load_if_exists=True,
        )
        study.set_user_attr(PRUNER, OmegaConf.to_container(self.pruner, resolve=True))
        return study

    def _sampler(self, told: int) -> Any:
        """A sampler whose draws depend on how much is known: an interrupted search draws the same.

        Args:
            told: Number of jobs that have ended.
        """
        drawn = {}
        if self.sampler.get("seed") is not None:
            (seed,) = np.random.SeedSequence([self.sampler.seed, told]).generate_state(1)
            drawn["seed"] = int(seed)
        return self._made("sampler", **drawn)

    def _made(self, what: str, **arguments: Any) -> Any:
        """The sampler or the pruner."""
        from hydra.errors import HydraException
        from hydra.utils import instantiate
        from optuna.exceptions import ExperimentalWarning

        config: DictConfig = getattr(self, what)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            try:
                return instantiate(config, **arguments)
            except HydraException as error:
                reason = error.__cause__ or error
                raise UserError(
                    f"hydra.sweeper.{what}: {config._target_} cannot be made ({reason}). "
                    f"Write conf/hydra/sweeper/{what}/<name>.yaml for another one"
                ) from None

    def _words(self, trial: "Trial") -> list[str]:
        return [*self.fixed, *(f"{key}={trial.params[key]}" for key in self.space)]


def distribution(override: "Override", base: DictConfig) -> "BaseDistribution":
    """Optuna's distribution for what was typed.

    Args:
        override: A key with values: `a,b`, `choice(…)`, `range(…)`, whose last value is the last
            that is tried, or `interval(low, high)`; `tag(log, interval(…))` is logarithmic.
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
        values = [each for each in override.sweep_iterator() if isinstance(each, int)]
        if len(values) == len(list(override.sweep_iterator())) > 1 and values[0] < values[1]:
            return IntDistribution(values[0], values[-1], step=values[1] - values[0])
    return CategoricalDistribution(list(override.sweep_string_iterator()))


def _ended(study: "Study") -> int:
    """How many jobs have ended, those that were run again left out."""
    trials = study.get_trials(deepcopy=False)
    again = {trial.user_attrs.get(AGAIN) for trial in trials}
    return sum(trial.state.is_finished() and trial.number not in again for trial in trials)


def _try_again(study: "Study") -> None:
    """Has jobs that were interrupted, or have failed, run once more with the same values.

    One that has finished without a number is among them, and not run: the launcher knows it.
    """
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    again = {trial.user_attrs.get(AGAIN) for trial in trials}
    for trial in trials:
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
        elif trial.state != TrialState.FAIL:
            continue
        if trial.number not in again:
            study.enqueue_trial(trial.params, user_attrs={AGAIN: trial.number})


def _tell(study: "Study", trial: "Trial", value: float | None) -> None:
    """Hands on what came of a job; None or not a number is a failure to Optuna."""
    from optuna.trial import TrialState

    if study.get_trials(deepcopy=False)[trial.number].user_attrs.get(PRUNED):
        study.tell(trial, state=TrialState.PRUNED)
    elif value is not None and math.isfinite(value):
        study.tell(trial, value)
    else:
        study.tell(trial, state=TrialState.FAIL)
