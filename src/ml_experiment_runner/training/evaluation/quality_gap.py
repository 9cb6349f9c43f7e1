"""How much worse an ensemble is than one model that sees all features: its quality gap."""

import json
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import polars as pl
from numpy.typing import NDArray
from omegaconf import DictConfig

from ml_experiment_runner.config.metrics import METRICS, greater_is_better, main_metric
from ml_experiment_runner.dataset.dataset import Dataset, Examples
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.training.arrays import Floats
from ml_experiment_runner.training.evaluation.paired_bootstrap import paired_difference
from ml_experiment_runner.training.models.ensemble import Ensemble, readable
from ml_experiment_runner.training.models.members import fit_member
from ml_experiment_runner.training.models.pipeline import predict

log = logging.getLogger(__name__)

FILE = "ensemble.json"


class QualityGap(NamedTuple):
    """What was measured, and whether it is too much.

    Attributes:
        metrics: `<split>/quality_gap` with its interval.
        refusal: Why the ensemble is refused; None if it is not.
    """

    metrics: dict[str, float]
    refusal: str | None


def measure_quality_gap(
    config: DictConfig,
    run: Run,
    dataset: Dataset,
    splits: Mapping[str, Examples],
    predictions: Mapping[str, Floats],
    ensemble: Ensemble,
) -> QualityGap:
    """Fits `model.member` to all features and compares it with the ensemble on the same rows.

    Whether the gap is too large is decided on the validation split; a debug run has too few rows
    to decide.

    Args:
        config: The composed configuration.
        run: Where the members are recorded, as `ensemble.json`.
        dataset: What is learned.
        splits: Features and label by split.
        predictions: The ensemble's, by split.
        ensemble: The fitted one.
    """
    metric = main_metric(dataset.task_type)
    sign = 1 if greater_is_better(metric) else -1
    single = one_model(config, dataset, splits["train"])
    metrics: dict[str, float] = {}
    for split, prediction in predictions.items():
        features, label = splits[split]
        alone = predict(single, dataset.task_type, features, dataset.classes)
        difference = paired_difference(
            dataset.task_type, label, prediction, alone, metric, config.evaluation.bootstrap,
            config.seed, dataset.classes,
        )  # fmt: skip
        ends = sorted((sign * difference.low, sign * difference.high))
        metrics |= {
            f"{split}/quality_gap": sign * difference.value,
            f"{split}/quality_gap/low": ends[0],
            f"{split}/quality_gap/high": ends[1],
        }
    _record(run, dataset, ensemble)
    refusal = None
    if ensemble.max_quality_gap is not None and not (config.debug.rows or config.debug.overfit):
        refusal = _refusal(metrics, ensemble.max_quality_gap, METRICS[metric].label)
    return QualityGap(metrics, refusal)


def _refusal(metrics: Mapping[str, float], most: float, label: str) -> str | None:
    """Why the ensemble is refused; None, and a warning where that is undecided, if it is not."""
    gap, low, high = (metrics[f"validation/quality_gap{end}"] for end in ("", "/low", "/high"))
    problem = (
        f"model.max_quality_gap: the ensemble is {gap:.4f} [{low:.4f}, {high:.4f}] worse in "
        f"{label} on the validation split than one model, at most {most:g} is allowed"
    )
    undecided = (
        " The interval includes the limit, so the difference is undecided: more validation rows "
        "(dataset.split.validation) make it narrower."
        if low <= most <= high
        else ""
    )
    if gap > most:
        return (
            f"{problem}; the run is recorded without its model.{undecided}\nRaise "
            "model.max_quality_gap or model.blast_radius, or merge groups that need each other "
            "(model.groups)."
        )
    if undecided:
        log.warning("%s.%s", problem, undecided)
    return None


class OneModel:
    """A model of all features at once, which takes whatever an ensemble takes.

    Attributes:
        classes_: The classes that it has seen, if it knows classes.
    """

    def __init__(self, model: Any, features: pl.DataFrame) -> None:
        self.model = model
        self.names = features.columns
        self.texts = [name for name, dtype in features.schema.items() if dtype == pl.String]
        self.classes_ = getattr(model, "classes_", None)

    def predict_proba(self, features: pl.DataFrame) -> Floats:
        """Probabilities of the classes, shape (rows, classes)."""
        chances: Floats = self.model.predict_proba(readable(features, self.names, self.texts))
        return chances

    def predict(self, features: pl.DataFrame) -> NDArray[Any]:
        """Classes or numbers, shape (rows,)."""
        answers: NDArray[Any] = self.model.predict(readable(features, self.names, self.texts))
        return answers


def one_model(config: DictConfig, dataset: Dataset, examples: Examples) -> OneModel:
    """`model.member`, fitted to all features; it is kept like a member of the ensemble.

    Raises:
        UserError: The rows hold one class only.
    """
    fitted = fit_member(config, config.model.member, dataset, examples, None)
    if fitted is None:
        raise UserError("dataset.split: the train split has one class only; widen it")
    return OneModel(fitted.model, examples[0])


def _record(run: Run, dataset: Dataset, ensemble: Ensemble) -> None:
    fusion, influence = ensemble.fusion_, ensemble.max_influence()
    members = {
        group: {
            "features": ensemble.names_[group],
            "weight": float(fusion.weight[number]),
            "max_influence": influence[group],
            "low": fusion.low[number].tolist(),
            "high": fusion.high[number].tolist(),
            **ensemble.learned_[group],
        }
        for number, group in enumerate(fusion.names)
    }
    readers = {
        signal: [
            group
            for group, names in ensemble.names_.items()
            if any(signal in dataset.reads[name] for name in names)
        ]
        for signal in dict.fromkeys(name for needs in dataset.reads.values() for name in needs)
    }
    signals = {
        signal: sum(influence[group] for group in groups) for signal, groups in readers.items()
    }
    for signal, groups in readers.items():
        if len(groups) > 1:
            log.warning("the groups %s all read the signal %s: together they can move an answer "
                        "by %.3g", ", ".join(groups), signal, signals[signal])  # fmt: skip
    report = {
        "fusion": fusion.method,
        "blast_radius": ensemble.blast_radius,
        "members": members,
        "signals": signals,
    }
    run.log_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", FILE)
