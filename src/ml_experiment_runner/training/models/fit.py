"""One model, fitted to rows of a dataset."""

from typing import Any

import polars as pl
from omegaconf import DictConfig

from ml_experiment_runner.config.parameters import is_ensemble
from ml_experiment_runner.dataset.dataset import Dataset, Examples
from ml_experiment_runner.training.models.pipeline import AfterEpoch, fit_estimator


def fit(
    config: DictConfig,
    dataset: Dataset,
    examples: Examples,
    prediction_time: pl.Series | None = None,
    after_epoch: AfterEpoch | None = None,
) -> Any:
    """The configured model, fitted.

    Args:
        config: Its `model`, `seed` and `threads` are used.
        dataset: Where the rows are from.
        examples: Features and label to learn from.
        prediction_time: Of each row, for a model that holds rows out.
        after_epoch: Called with the estimator and the number of each epoch, of a network.

    Raises:
        UserError: The model does not suit the task type.
    """
    if is_ensemble(config.model):
        from ml_experiment_runner.training.models.members import fit_ensemble

        return fit_ensemble(config, dataset, examples, prediction_time)
    return fit_estimator(
        config.model,
        examples,
        dataset.task_type,
        dataset.classes,
        config.seed,
        config.threads,
        after_epoch,
    )
