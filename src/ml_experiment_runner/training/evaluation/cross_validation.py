"""A model judged several times: by cross-validation, and with several seeds."""

import copy
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from omegaconf import DictConfig
from sklearn.model_selection import GroupKFold, KFold

from ml_experiment_runner.config.checks import nearest
from ml_experiment_runner.dataset.dataset import Dataset
from ml_experiment_runner.dataset.join import MOMENT
from ml_experiment_runner.dataset.plan import PART
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.training.evaluation.callbacks import point, tell_search
from ml_experiment_runner.training.models.fit import fit

Rows = NDArray[np.int64]
Metrics = dict[str, float]


def repeated(config: DictConfig, run: Run, dataset: Dataset, estimator: Any) -> Metrics:
    """Fits and judges as often as `seeds` and `evaluation.folds` say, each in a nested run.

    The rows of the test part are in no fold.

    Args:
        config: The composed configuration.
        run: The run that these belong to.
        dataset: What is learned.
        estimator: The model that was fitted to the training part with the first seed.

    Returns:
        `seeds/<part>/<metric>` and `cv/<metric>`: means; with `/sd`, the sample standard deviation
        of the values behind them, and `/count`, their number.
    """
    configs = [_with_seed(config, config.seed + number) for number in range(config.seeds)]
    result: Metrics = {}
    if len(configs) > 1:
        parts = {name: dataset.part(name) for name in ("train", "validation", "test")}
        judged: list[Metrics] = []
        for one in run.progress(configs, "seeds"):
            with run.nested(f"seed={one.seed}", one) as child:
                # the first one is there already
                fitted = (
                    fit(one, dataset, parts["train"], dataset.moments("train"))
                    if judged
                    else estimator
                )
                judged.append(
                    {
                        f"{name}/{metric}": value
                        for name in ("validation", "test")
                        for metric, value in point(dataset, fitted, parts[name]).items()
                    }
                )
                child.log_metrics(judged[-1])
        result |= _summary("seeds", judged)
    if config.evaluation.folds:
        pairs = list(product(configs, enumerate(folds(config, dataset))))
        judged = []
        for one, (number, (learned, held_out)) in run.progress(pairs, "folds"):
            seed = f" seed={one.seed}" if len(configs) > 1 else ""
            with run.nested(f"fold={number}{seed}", one) as child:
                fitted = fit(one, dataset, dataset.rows(learned), dataset.moments(learned))
                judged.append(point(dataset, fitted, dataset.rows(held_out)))
                child.log_metrics({f"cv/{name}": value for name, value in judged[-1].items()})
            tell_search(config, run, _means(judged), len(judged) - 1)
        result |= _summary("cv", judged)
    return result


def folds(config: DictConfig, dataset: Dataset) -> list[tuple[pl.Series, pl.Series]]:
    """Which rows each fold learns from and is judged on, as Boolean columns of all rows.

    By time, each fold is judged on the period after those that it learns from (rolling origin,
    Tashman 2000), so `evaluation.folds` + 1 periods of about equally many rows are cut. By a
    feature's values, each group is held out once and whole. Otherwise rows are shuffled.

    Raises:
        UserError: There is nothing to block by, or too little of it.
    """
    count, block = config.evaluation.folds, config.evaluation.block
    check_block(block, dataset.features)
    open_rows = dataset.frame[PART] != "test"
    places = open_rows.arg_true().to_numpy()
    if block is None and MOMENT in dataset.frame.columns:
        block = "time"
    if block == "time":
        cut = _by_time(dataset, places, count)
    elif block is None:
        cut = KFold(count, shuffle=True, random_state=config.seed).split(places)
    else:
        groups = _groups(dataset, block)[places]
        found = len(np.unique(groups))
        if found < count:
            raise UserError(
                f"evaluation.folds: {count}, but '{block}' has only {found} values; "
                f"write {found} or less"
            )
        cut = GroupKFold(count).split(places, groups=groups)
    return [(_mask(dataset, places[one]), _mask(dataset, places[other])) for one, other in cut]


def _by_time(dataset: Dataset, places: Rows, count: int) -> Iterator[tuple[Rows, Rows]]:
    if MOMENT not in dataset.frame.columns:
        raise UserError("evaluation.block: time needs a moment, and this dataset has none; "
                        "name a feature, or null for rows at random")  # fmt: skip
    moment = dataset.frame[MOMENT].to_physical().to_numpy()[places]
    edges = np.unique(np.quantile(moment, np.linspace(0, 1, count + 2)[1:-1], method="lower"))
    period = np.searchsorted(edges, moment, side="left")
    if len(np.unique(period)) <= count:
        raise UserError(f"evaluation.folds: {count}, but there are too few different moments; "
                        "write less")  # fmt: skip
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
            f"evaluation.block: '{block}' is no feature of this dataset. {nearest(block, names)}"
        )


def _groups(dataset: Dataset, block: str) -> NDArray[Any]:
    return dataset.frame[block].cast(pl.String).fill_null("").to_numpy()


def _mask(dataset: Dataset, places: Rows) -> pl.Series:
    mask = np.zeros(dataset.frame.height, dtype=np.bool_)
    mask[places] = True
    return pl.Series(mask)


def _with_seed(config: DictConfig, seed: int) -> DictConfig:
    one = copy.deepcopy(config)
    one.seed = seed
    return one


def _means(judged: list[Metrics]) -> Metrics:
    return {
        name: float(np.mean([one[name] for one in judged if name in one])) for name in judged[-1]
    }


def _summary(prefix: str, judged: list[Metrics]) -> Metrics:
    result: Metrics = {}
    for name in judged[0]:
        values = [one[name] for one in judged if name in one]
        if len(values) > 1:
            result[f"{prefix}/{name}"] = float(np.mean(values))
            result[f"{prefix}/{name}/sd"] = float(np.std(values, ddof=1))
            result[f"{prefix}/{name}/count"] = float(len(values))
    return result
