"""The task `blast_radius`: what a faulty signal moves, in one model and in an ensemble."""

import dataclasses
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl
from omegaconf import DictConfig, open_dict

from ml_experiment_runner.config.metrics import METRICS, main_metric
from ml_experiment_runner.config.parameters import is_ensemble
from ml_experiment_runner.dataset.dataset import Dataset, load_dataset
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.training.analysis.backward_elimination import loss, quality
from ml_experiment_runner.training.analysis.effects import Effect
from ml_experiment_runner.training.analysis.perturbations import (
    Fault,
    disturb,
    moved_answers,
    moved_scores,
)
from ml_experiment_runner.training.evaluation.evaluate import Floats
from ml_experiment_runner.training.evaluation.importance import importance
from ml_experiment_runner.training.evaluation.quality_gap import one_model, price
from ml_experiment_runner.training.models.ensemble import Ensemble
from ml_experiment_runner.training.models.fit import fit
from ml_experiment_runner.training.models.pipeline import predict

log = logging.getLogger(__name__)

FILE = "blast_radius.json"
ONE, TOGETHER = "one model", "ensemble"
REFIT = "refit"  # the signal is gone for good: models are fitted again without it


def blast_radius(config: DictConfig, run: Run) -> dict[str, float]:
    """Disturbs one signal after another in the rows of the test part.

    Returns:
        For each model the most that an answer has moved (`score` a logit or number, `answer` a
        probability or number), the largest loss of the main metric and the largest change of
        another feature's importance, each over all signals and faults; and the `price`.

    Raises:
        UserError: The model is no ensemble.
    """
    if not is_ensemble(config.model):
        raise UserError("model: the blast radius is that of an ensemble beside one model; say "
                        "model=ensemble (its model.member is the one model)")  # fmt: skip
    with run.stage("data"):
        dataset = load_dataset(config, run)
        parts = {part: dataset.part(part) for part in ("train", "validation", "test")}
    with run.stage("fit"):
        ensemble = fit(config, dataset, parts["train"], dataset.moments("train"))
        models = {ONE: one_model(config, dataset, parts["train"]), TOGETHER: ensemble}
        predictions = {
            part: predict(ensemble, dataset.task_type, parts[part][0], dataset.classes)
            for part in ("validation", "test")
        }
        paid = price(config, run, dataset, parts, predictions, ensemble).metrics
    with run.stage("disturb"):
        effects = list(_Disturbance(config, run, dataset, models).effects())
    _record(run, dataset, ensemble, effects, paid)
    worst = {
        f"{model.replace(' ', '_')}/{name}": max(value(one) for one in effects
                                                 if one.model == model and one.fault != REFIT)
        for model in models
        for name, value in WORST.items()
    }  # fmt: skip
    return worst | {name: value for name, value in paid.items() if "/price" in name}


WORST: dict[str, Callable[[Effect], float]] = {
    "score": lambda one: one.score.most,
    "answer": lambda one: one.answer.most,
    "loss": lambda one: one.loss.value,
    "importance": lambda one: one.most,
}


class _Disturbance:
    """The test part, undisturbed, and what becomes of it."""

    def __init__(
        self, config: DictConfig, run: Run, dataset: Dataset, models: Mapping[str, Any]
    ) -> None:
        self.config, self.run, self.dataset, self.models = config, run, dataset, models
        self.features, self.label = dataset.part("test")
        self.metric = main_metric(dataset.task_type)
        self.signals = {
            signal: [name for name, needs in dataset.reads.items() if signal in needs]
            for signal in dict.fromkeys(name for each in dataset.reads.values() for name in each)
        }
        self.before = {name: self._predict(model, self.features) for name, model in models.items()}
        self.drops = {name: self._drops(dataset, model, self.features)
                      for name, model in models.items()}  # fmt: skip

    def effects(self) -> Iterator[Effect]:
        """Every fault of every signal, in every model."""
        cases = [(signal, fault) for signal in self.signals for fault in (*Fault, REFIT)]
        log.info("%d signals, %d faults each, in %d models", len(self.signals), len(Fault) + 1,
                 len(self.models))  # fmt: skip
        for signal, fault in self.run.progress(cases, "faults"):
            names = self.signals[signal]
            if fault == REFIT:
                left = [name for name in self.dataset.features if name not in names]
                if not left:
                    continue
                dataset = dataclasses.replace(self.dataset, features=left)
                for name, model in self._fitted_without(dataset).items():
                    yield self._effect(signal, fault, name, model, dataset, self.features[left])
            else:
                broken = disturb(self.features, names, Fault(fault), self.config.seed)
                for name, model in self.models.items():
                    yield self._effect(signal, fault, name, model, self.dataset, broken)

    def _fitted_without(self, dataset: Dataset) -> dict[str, Any]:
        config = self.config.copy()
        with open_dict(config):
            config.dataset.features = dataset.features
        learned = dataset.part("train")
        together = fit(config, dataset, learned, dataset.moments("train"))
        return {ONE: one_model(config, dataset, learned), TOGETHER: together}

    def _effect(
        self,
        signal: str,
        fault: str,
        name: str,
        model: Any,
        dataset: Dataset,
        features: pl.DataFrame,
    ) -> Effect:
        after = self._predict(model, features)
        drops = self._drops(dataset, model, features)
        others = [each for each in drops if each not in self.signals[signal]]
        changes = {each: abs(drops[each] - self.drops[name][each]) for each in others}
        most = max(changes, key=changes.__getitem__, default="")
        task_type = self.dataset.task_type
        return Effect(
            signal,
            str(fault),
            name,
            moved_scores(task_type, self.before[name], after),
            moved_answers(self.before[name], after),
            loss(self._quality(self.before[name]), self._quality(after)),
            float(np.mean(list(changes.values()))) if changes else 0.0,
            changes.get(most, 0.0),
            most,
        )

    def _predict(self, model: Any, features: pl.DataFrame) -> Floats:
        return predict(model, self.dataset.task_type, features, self.dataset.classes)

    def _quality(self, prediction: Floats) -> Floats:
        return quality(
            self.dataset.task_type, self.label, prediction, self.metric,
            self.config.evaluation.bootstrap, self.config.seed, self.dataset.classes,
        )  # fmt: skip

    def _drops(self, dataset: Dataset, model: Any, features: pl.DataFrame) -> dict[str, float]:
        """The mean importance by feature; shuffles are the same before and after."""
        names, drops = importance(self.config, dataset, model, (features, self.label))
        return dict(zip(names, drops.mean(axis=1).tolist(), strict=True))


def _record(
    run: Run,
    dataset: Dataset,
    ensemble: Ensemble,
    effects: list[Effect],
    paid: Mapping[str, float],
) -> None:
    """The effects as a table on the terminal, as numbers and as a picture."""
    from ml_experiment_runner.training.analysis.plots import blast

    metric = METRICS[main_metric(dataset.task_type)].label
    log.info("%-12s %-8s  %-22s  %-22s  %s", "signal", "fault", "moved: most, 99 %, mean",
             f"loss of {metric}", "other features' importance")  # fmt: skip
    for one in effects:
        log.info(
            "%-12s %-8s  %-9s %6.3f %6.3f %6.3f  %-26s  %.4f, %s %.4f", one.signal, one.fault,
            one.model, one.score.most, one.score.percentile, one.score.mean, one.loss,
            one.importance, one.feature, one.most,
        )  # fmt: skip
    record = {
        "metric": metric,
        "reach": ensemble.reach(),
        "price": {name: value for name, value in paid.items() if "/price" in name},
        "effects": [asdict(one) for one in effects],
    }
    run.log_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", FILE)
    run.log_figure(blast(effects, metric, paid), "blast_radius")
