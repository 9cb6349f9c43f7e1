"""A model fitted and evaluated several times: with several seeds, and by cross-validation."""

import copy
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from omegaconf import DictConfig
from sklearn.model_selection import GroupKFold, KFold

from ml_experiment_runner.dataset.dataset import Dataset
from ml_experiment_runner.dataset.join import PREDICTION_TIME
from ml_experiment_runner.dataset.plan import SPLIT
from ml_experiment_runner.dataset.splits import SPLITS
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.suggestions import nearest
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.training.arrays import Positions
from ml_experiment_runner.training.evaluation.callbacks import point_metrics, report_to_search
from ml_experiment_runner.training.models.fit import fit


def evaluate_seeds(
    config: DictConfig, run: Run, dataset: Dataset, estimator: Any
) -> dict[str, float]:
    """Fits and evaluates once with each of `seeds` seeds, each in a nested run.

    Args:
        config: The composed configuration.
        run: The run that these belong to.
        dataset: What is learned.
        estimator: The model that was fitted to the training split with the first seed.

    Returns:
        `seeds/<split>/<metric>`: means; with `/sd`, the sample standard deviation of the values
        behind them, and `/count`, their number.
    """
    splits = {name: dataset.split(name) for name in SPLITS}
    results: list[dict[str, float]] = []
    for seeded in run.progress(_seeded_configs(config), "seeds"):
        with run.nested(f"seed={seeded.seed}", seeded) as child:
            if results:
                estimator = fit(seeded, dataset, splits["train"], dataset.prediction_times("train"))
            metrics = {
                f"{split}/{name}": value
                for split in ("validation", "test")
                for name, value in point_metrics(dataset, estimator, splits[split]).items()
            }
            child.log_metrics(metrics)
        results.append(metrics)
    return _summary("seeds", results)


def cross_validate(config: DictConfig, run: Run, dataset: Dataset) -> dict[str, float]:
    """Fits and evaluates on each of `evaluation.folds` folds with each seed, in nested runs.

    The rows of the test split are in no fold.

    Args:
        config: The composed configuration.
        run: The run that these belong to.
        dataset: What is learned.

    Returns:
        `cv/<metric>`, with `/sd` and `/count` as of `evaluate_seeds`.

    Raises:
        Pruned: The search that the run belongs to ends it.
    """
    configs = _seeded_configs(config)
    fits = list(product(configs, enumerate(folds(config, dataset))))
    results: list[dict[str, float]] = []
    for seeded, (number, (learned, held_out)) in run.progress(fits, "folds"):
        suffix = f" seed={seeded.seed}" if len(configs) > 1 else ""
        with run.nested(f"fold={number}{suffix}", seeded) as child:
            estimator = fit(
                seeded, dataset, dataset.rows(learned), dataset.prediction_times(learned)
            )
            metrics = point_metrics(dataset, estimator, dataset.rows(held_out))
            child.log_metrics({f"cv/{name}": value for name, value in metrics.items()})
        results.append(metrics)
        report_to_search(config, run, _means(results), len(results) - 1)
    return _summary("cv", results)


def folds(config: DictConfig, dataset: Dataset) -> list[tuple[pl.Series, pl.Series]]:
    """Which rows each fold learns from and is evaluated on, as Boolean columns of all rows.

    By time, each fold is evaluated on the period after those that it learns from (rolling origin,
    Tashman 2000), so `evaluation.folds` + 1 periods of about equally many rows are cut. By a
    feature's values, each group is held out once and whole. Otherwise rows are shuffled.

    Raises:
        UserError: There is nothing to block by, or too little of it.
    """
    count, block = config.evaluation.folds, config.evaluation.block
    check_block(block, dataset.features)
    positions = (dataset.frame[SPLIT] != "test").arg_true().to_numpy()
    if block is None and PREDICTION_TIME in dataset.frame.columns:
        block = "time"
    if block == "time":
        cut = _by_time(dataset, positions, count)
    elif block is None:
        cut = KFold(count, shuffle=True, random_state=config.seed).split(positions)
    else:
        groups = _groups(dataset, block)[positions]
        distinct = len(np.unique(groups))
        if distinct < count:
            raise UserError(
                f"evaluation.folds must be at most {distinct}, the number of values of '{block}', "
                f"got {count}"
            )
        cut = GroupKFold(count).split(positions, groups=groups)
    return [
        (_mask(dataset, positions[learned]), _mask(dataset, positions[held_out]))
        for learned, held_out in cut
    ]


def _by_time(
    dataset: Dataset, positions: Positions, count: int
) -> Iterator[tuple[Positions, Positions]]:
    if PREDICTION_TIME not in dataset.frame.columns:
        raise UserError(
            "evaluation.block: time needs a prediction time, and this dataset has none; "
            "name a feature, or null for random folds"
        )
    time = dataset.frame[PREDICTION_TIME].to_physical().to_numpy()[positions]
    edges = np.unique(np.quantile(time, np.linspace(0, 1, count + 2)[1:-1], method="lower"))
    period = np.searchsorted(edges, time, side="left")
    if (periods := len(np.unique(period))) <= count:
        raise UserError(
            "evaluation.folds must be less than the number of periods that prediction times can "
            f"be cut into ({periods}), got {count}"
        )
    for last in range(1, count + 1):
        yield np.flatnonzero(period < last), np.flatnonzero(period == last)


def check_block(block: str | None, features: Sequence[str]) -> None:
    """Checks what keeps rows together in a fold.

    Args:
        block: `evaluation.block`.
        features: Those of the dataset.

    Raises:
        UserError: It is neither time nor a feature.
    """
    names = ["time", *features]
    if block is not None and block not in names:
        raise UserError(
            f"evaluation.block: '{block}' is not a feature of this dataset. {nearest(block, names)}"
        )


def _groups(dataset: Dataset, block: str) -> NDArray[Any]:
    return dataset.frame[block].cast(pl.String).fill_null("").to_numpy()


def _mask(dataset: Dataset, positions: Positions) -> pl.Series:
    mask = np.zeros(dataset.frame.height, dtype=np.bool_)
    mask[positions] = True
    return pl.Series(mask)


def _seeded_configs(config: DictConfig) -> list[DictConfig]:
    """The configuration with each of its `seeds` seeds."""
    configs = []
    for number in range(config.seeds):
        seeded = copy.deepcopy(config)
        seeded.seed = config.seed + number
        configs.append(seeded)
    return configs


def _means(results: Sequence[dict[str, float]]) -> dict[str, float]:
    return {
        name: float(np.mean([metrics[name] for metrics in results if name in metrics]))
        for name in results[-1]
    }


def _summary(prefix: str, results: Sequence[dict[str, float]]) -> dict[str, float]:
    summary: dict[str, float] = {}
    for name in results[0]:
        values = [metrics[name] for metrics in results if name in metrics]
        if len(values) > 1:
            summary[f"{prefix}/{name}"] = float(np.mean(values))
            summary[f"{prefix}/{name}/sd"] = float(np.std(values, ddof=1))
            summary[f"{prefix}/{name}/count"] = float(len(values))
    return summary
