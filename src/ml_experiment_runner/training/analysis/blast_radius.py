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
    moved_answers,
    moved_scores,
    perturb,
)
from ml_experiment_runner.training.arrays import Floats
from ml_experiment_runner.training.evaluation.importance import importance
from ml_experiment_runner.training.evaluation.quality_gap import measure_quality_gap, one_model
from ml_experiment_runner.training.models.ensemble import Ensemble
from ml_experiment_runner.training.models.fit import fit
from ml_experiment_runner.training.models.pipeline import predict

log = logging.getLogger(__name__)

FILE = "blast_radius.json"
ONE, TOGETHER = "one model", "ensemble"
REFIT = "refit"  # the signal is gone for good: models are fitted again without it


def blast_radius(config: DictConfig, run: Run) -> dict[str, float]:
    """Perturbs one signal after another in the rows of the test split.

    Returns:
        For each model the most that an answer has moved (`score` a logit or number, `answer` a
        probability or number), the largest loss of the main metric and the largest change of
        another feature's importance, each over all signals and faults; and the `quality_gap`.

    Raises:
        UserError: The model is no ensemble.
    """
    if not is_ensemble(config.model):
        raise UserError("task=blast_radius needs model=ensemble; it compares the ensemble with one "
                        "model, model.member")  # fmt: skip
    with run.stage("data"):
        dataset = load_dataset(config, run)
        splits = {split: dataset.split(split) for split in ("train", "validation", "test")}
    with run.stage("fit"):
        ensemble = fit(config, dataset, splits["train"], dataset.prediction_times("train"))
        models = {ONE: one_model(config, dataset, splits["train"]), TOGETHER: ensemble}
        predictions = {
            split: predict(ensemble, dataset.task_type, splits[split][0], dataset.classes)
            for split in ("validation", "test")
        }
        gap = measure_quality_gap(config, run, dataset, splits, predictions, ensemble).metrics
    with run.stage("perturb"):
        effects = list(_Perturbations(config, run, dataset, models).effects())
    _record(run, dataset, ensemble, effects, gap)
    worst = {
        f"{model.replace(' ', '_')}/{name}": max(
            value(effect) for effect in effects if effect.model == model and effect.fault != REFIT
        )
        for model in models
        for name, value in WORST.items()
    }  # fmt: skip
    return worst | {name: value for name, value in gap.items() if "/quality_gap" in name}


WORST: dict[str, Callable[[Effect], float]] = {
    "score": lambda effect: effect.score.most,
    "answer": lambda effect: effect.answer.most,
    "loss": lambda effect: effect.loss.value,
    "importance": lambda effect: effect.most,
}


class _Perturbations:
    """The test split as it is, and what perturbations of it do to the models."""

    def __init__(
        self, config: DictConfig, run: Run, dataset: Dataset, models: Mapping[str, Any]
    ) -> None:
        self.config, self.run, self.dataset, self.models = config, run, dataset, models
        self.features, self.label = dataset.split("test")
        self.metric = main_metric(dataset.task_type)
        self.signals = {
            signal: [name for name, needs in dataset.reads.items() if signal in needs]
            for signal in dict.fromkeys(name for needs in dataset.reads.values() for name in needs)
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
                broken = perturb(self.features, names, Fault(fault), self.config.seed)
                for name, model in self.models.items():
                    yield self._effect(signal, fault, name, model, self.dataset, broken)

    def _fitted_without(self, dataset: Dataset) -> dict[str, Any]:
        config = self.config.copy()
        with open_dict(config):
            config.dataset.features = dataset.features
        learned = dataset.split("train")
        together = fit(config, dataset, learned, dataset.prediction_times("train"))
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
        others = [feature for feature in drops if feature not in self.signals[signal]]
        changes = {feature: abs(drops[feature] - self.drops[name][feature]) for feature in others}
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
    gap: Mapping[str, float],
) -> None:
    """The effects as a table on the terminal, as numbers and as a picture."""
    from ml_experiment_runner.training.analysis.plots import blast

    metric = METRICS[main_metric(dataset.task_type)].label
    log.info("%-12s %-8s  %-22s  %-22s  %s", "signal", "fault", "moved: most, 99 %, mean",
             f"loss of {metric}", "other features' importance")  # fmt: skip
    for effect in effects:
        log.info(
            "%-12s %-8s  %-9s %6.3f %6.3f %6.3f  %-26s  %.4f, %s %.4f", effect.signal,
            effect.fault, effect.model, effect.score.most, effect.score.percentile,
            effect.score.mean, effect.loss, effect.importance, effect.feature, effect.most,
        )  # fmt: skip
    record = {
        "metric": metric,
        "max_influence": ensemble.max_influence(),
        "quality_gap": {name: value for name, value in gap.items() if "/quality_gap" in name},
        "effects": [asdict(effect) for effect in effects],
    }
    run.log_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", FILE)
    run.log_figure(blast(effects, metric, gap), "blast_radius")
