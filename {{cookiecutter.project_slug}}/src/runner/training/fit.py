"""One model, fitted to rows of a dataset."""

from typing import Any

from omegaconf import DictConfig

from runner.dataset.dataset import Dataset, Part
from runner.dataset.kind import Kind
from runner.errors import UserError
from runner.training.estimator import build


def fit(config: DictConfig, dataset: Dataset, part: Part) -> Any:
    """The configured model, fitted.

    Args:
        config: Its `model`, `seed` and `threads` are used.
        dataset: Where the rows are from.
        part: Features and label to learn from.

    Raises:
        UserError: The model does not suit the kind of label.
    """
    features, label = part
    estimator = build(config.model, features, dataset.kind, config.seed, config.threads)
    if dataset.kind != Kind.REGRESSION and not hasattr(estimator, "predict_proba"):
        name = config.model._target_
        raise UserError(f"model: {name} gives no probabilities; take a classifier that does")
    return estimator.fit(features, label)
