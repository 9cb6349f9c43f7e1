"""What an ensemble costs in quality, against one model that sees all features."""

import json
import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import polars as pl
from numpy.typing import NDArray
from omegaconf import DictConfig

from ml_experiment_runner.config.metrics import METRICS, greater_is_better, main_metric
from ml_experiment_runner.dataset.dataset import Dataset, Part
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.training.evaluation.evaluate import Floats
from ml_experiment_runner.training.evaluation.paired_bootstrap import paired_difference
from ml_experiment_runner.training.models.ensemble import Ensemble, readable
from ml_experiment_runner.training.models.members import fit_member
from ml_experiment_runner.training.models.pipeline import predict

log = logging.getLogger(__name__)

FILE = "ensemble.json"


class Price(NamedTuple):
    """What was measured, and whether it is too much.

    Attributes:
        metrics: `<part>/price` with its interval.
        refusal: Why the ensemble is refused; None if it is not.
    """

    metrics: dict[str, float]
    refusal: str | None


def price(
    config: DictConfig,
    run: Run,
    dataset: Dataset,
    parts: Mapping[str, Part],
    predictions: Mapping[str, Floats],
    ensemble: Ensemble,
) -> Price:
    """Fits `model.member` to all features and compares it with the ensemble on the same rows.

    Whether the price is too high is decided on the validation part; a debug run has too few rows
    to decide.

    Args:
        config: The composed configuration.
        run: Where the members are recorded, as `ensemble.json`.
        dataset: What is learned.
        parts: Features and label by part.
        predictions: The ensemble's, by part.
        ensemble: The fitted one.
    """
    metric = main_metric(dataset.task_type)
    sign = 1 if greater_is_better(metric) else -1
    one = one_model(config, dataset, parts["train"])
    metrics: dict[str, float] = {}
    for part, prediction in predictions.items():
        features, label = parts[part]
        alone = predict(one, dataset.task_type, features, dataset.classes)
        found = paired_difference(
            dataset.task_type, label, prediction, alone, metric, config.evaluation.bootstrap,
            config.seed, dataset.classes,
        )  # fmt: skip
        ends = sorted((sign * found.low, sign * found.high))
        metrics |= {
            f"{part}/price": sign * found.value,
            f"{part}/price/low": ends[0],
            f"{part}/price/high": ends[1],
        }
    _record(run, dataset, ensemble)
    refusal = None
    if ensemble.max_price is not None and not (config.debug.rows or config.debug.overfit):
        refusal = _refusal(metrics, ensemble.max_price, METRICS[metric].label)
    return Price(metrics, refusal)


def _refusal(metrics: Mapping[str, float], most: float, label: str) -> str | None:
    """Why the ensemble is refused; None, and a warning where that is undecided, if it is not."""
    price, low, high = (metrics[f"validation/price{end}"] for end in ("", "/low", "/high"))
    told = (
        f"model.max_price: the ensemble is {price:.4f} [{low:.4f}, {high:.4f}] worse in {label} on "
        f"the validation part than one model, and {most:g} is allowed"
    )
    undecided = (
        " The interval includes the limit, so the difference is undecided: more validation rows "
        "(dataset.split.validation) make it narrower."
        if low <= most <= high
        else ""
    )
    if price > most:
        return (
            f"{told}: it is recorded, and no model of it is kept.{undecided}\nAllow more, put "
            "groups that need each other into one (model.groups), or raise model.blast_radius."
        )
    if undecided:
        log.warning("%s.%s", told, undecided)
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
        found: NDArray[Any] = self.model.predict(readable(features, self.names, self.texts))
        return found


def one_model(config: DictConfig, dataset: Dataset, part: Part) -> OneModel:
    """`model.member`, fitted to all features; it is kept like a member of the ensemble.

    Raises:
        UserError: The rows hold one class only.
    """
    fitted = fit_member(config, config.model.member, dataset, part, None)
    if fitted is None:
        raise UserError("model: the training part has one class only")
    return OneModel(fitted.model, part[0])


def _record(run: Run, dataset: Dataset, ensemble: Ensemble) -> None:
    fusion, reach = ensemble.fusion_, ensemble.reach()
    members = {
        group: {
            "features": ensemble.names_[group],
            "weight": float(fusion.weight[number]),
            "reach": reach[group],
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
        for signal in dict.fromkeys(name for each in dataset.reads.values() for name in each)
    }
    signals = {signal: sum(reach[each] for each in groups) for signal, groups in readers.items()}
    for signal, groups in readers.items():
        if len(groups) > 1:
            log.warning("the groups %s all read the signal %s: together they can move an answer "
                        "by %.3g", ", ".join(groups), signal, signals[signal])  # fmt: skip
    told = {
        "fusion": fusion.method,
        "blast_radius": ensemble.blast_radius,
        "members": members,
        "signals": signals,
    }
    run.log_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", FILE)
