"""An estimator with the preparation it needs, as one pipeline."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.ensemble._forest import BaseForest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)
from sklearn.tree import BaseDecisionTree
from sklearn.utils import get_tags

from ml_experiment_runner.config import parameters
from ml_experiment_runner.dataset.dataset import Examples
from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.project.errors import UserError

MISSING = float("nan")
CATEGORIES = 250  # histogram boosting takes up to 255; rarer ones are one

Categories = Callable[[int, int], Any]
"""The value of a parameter, from how many columns are categories and how many come after."""

AfterEpoch = Callable[[Any, int], None]
"""Takes the pipeline as it is after an epoch, and the epoch's number, from 0."""

TAKES_CATEGORIES: dict[str, Categories] = {
    "categorical_features": lambda count, _: list(range(count)) or None,  # histogram boosting
    "categorical_column": lambda count, _: list(range(count)),  # LightGBM
    "feature_types": lambda count, others: ["c"] * count + ["q"] * others,  # XGBoost
    "cat_features": lambda count, _: list(range(count)),  # CatBoost
}


def build(
    model: DictConfig,
    features: pl.DataFrame,
    task_type: TaskType,
    seed: int,
    threads: int | None = None,
) -> Pipeline:
    """Builds the pipeline for the columns at hand.

    An estimator with one of the parameters in `TAKES_CATEGORIES`, and scikit-learn's trees and
    forests, get categories as numbers and missing values as they are; any other gets one-hot
    columns, filled gaps with an indicator, and equal scales, as a sparse matrix if there are many
    columns and it takes one.
    Columns without any value are left out: histogram boosting cannot bin them. The preparation is
    of scikit-learn's own steps only: it loads where this project is not. Its first step makes a
    missing value the same, whatever a frame of polars or pandas has for it.

    Args:
        model: The estimator's class as `_target_`, as `_regressor_` that for a number if it is
            another, and its parameters.
        features: The training columns; String, Boolean, integer or float.
        task_type: The question, which follows from the label.
        seed: For an estimator with a `random_state` that the configuration leaves open.
        threads: The same for `n_jobs`; None for all cores.

    Raises:
        UserError: A classifier is asked for a number, or a regressor for a class; the class that
            the label asks for does not take a parameter.
    """
    values: dict[str, Any] = OmegaConf.to_container(model, resolve=True)  # type: ignore[assignment]
    target, regressor = values.pop("_target_"), values.pop("_regressor_", None)
    if task_type == TaskType.REGRESSION and regressor:
        target = regressor
    chosen = parameters.load("_target_", target)
    estimator: BaseEstimator = parameters.make(chosen, values)
    _check_task_type(estimator, task_type, target)
    known = parameters.names(chosen)
    _fill_in(estimator, known, seed, threads)
    filled = features.with_columns(pl.selectors.float().fill_nan(None))
    columns = [column.name for column in filled if column.null_count() < len(column)]
    categories = [name for name in columns if features.schema[name] == pl.String]
    numbers = [name for name in columns if name not in categories]
    native = next((name for name in TAKES_CATEGORIES if name in known), None)
    if native is None and isinstance(estimator, BaseForest | BaseDecisionTree):
        prepared = _as_numbers(categories, numbers, in_a_frame=False)
    elif native is None:
        prepared = _plain(categories, numbers, _takes_sparse(estimator))
    else:
        value = TAKES_CATEGORIES[native](len(categories), len(numbers))
        estimator.set_params(**{native: value})
        prepared = _as_numbers(categories, numbers, native == "cat_features")
    return make_pipeline(_texts_and_numbers(categories, numbers), prepared, estimator)


def fit_estimator(
    model: DictConfig,
    examples: Examples,
    task_type: TaskType,
    classes: Sequence[str],
    seed: int,
    threads: int | None,
    after_epoch: AfterEpoch | None = None,
) -> Pipeline:
    """Builds the pipeline and fits it; seed and threads decide every digit of what it predicts.

    Args:
        model: As for `build`.
        examples: Features and label to learn from.
        task_type: The question, which follows from the label.
        classes: The classes, of a label that names several.
        seed: As for `build`.
        threads: As for `build`.
        after_epoch: Called with the pipeline and the number of each epoch, of a network.
    """
    features, label = examples
    pipeline = build(model, features, task_type, seed, threads)
    estimator = pipeline[-1]
    if classes and type(estimator).__module__.startswith("xgboost"):
        label = np.searchsorted(np.array(classes), label)  # it wants them counted from 0
    if after_epoch is not None and hasattr(estimator, "after_epoch"):
        estimator.after_epoch = partial(after_epoch, pipeline)
    try:
        pipeline.fit(features, label)
    finally:
        vars(estimator).pop("after_epoch", None)  # no part of the model
    if isinstance(estimator, BaseForest):
        estimator.set_params(n_jobs=1)  # threads add up the trees in any order
    return pipeline


def predict(
    estimator: Any, task_type: TaskType, features: pl.DataFrame, classes: Sequence[str] = ()
) -> NDArray[np.float64]:
    """What the metrics of a task type are computed on.

    Args:
        estimator: A fitted one.
        task_type: The question, which follows from the label.
        features: The columns that it was fitted to.
        classes: The classes, of a label that names several.

    Returns:
        The probability of 1, shape (rows,); of each class, shape (rows, classes), 0 for one that
        it has not seen; or the predicted number, shape (rows,).
    """
    if task_type == TaskType.REGRESSION:
        return np.asarray(estimator.predict(features), dtype=np.float64)
    chances = np.asarray(estimator.predict_proba(features), dtype=np.float64)
    if task_type == TaskType.BINARY:
        return chances[:, 1]
    by_class = np.zeros((len(chances), len(classes)))
    seen = estimator.classes_
    places = seen if seen.dtype.kind in "iu" else [classes.index(str(name)) for name in seen]
    by_class[:, places] = chances
    return by_class


def _texts_and_numbers(categories: list[str], numbers: list[str]) -> FunctionTransformer:
    """Any frame as one of polars with texts and floats: null for None, NaN and pandas' NA."""
    types = dict.fromkeys(categories, str) | dict.fromkeys(numbers, float)
    return FunctionTransformer(pl.DataFrame, kw_args={"schema_overrides": types})


def _as_numbers(categories: list[str], numbers: list[str], in_a_frame: bool) -> ColumnTransformer:
    """Categories as numbers, the rest as it is; for CatBoost in a frame that tells them apart."""
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=-1 if in_a_frame else MISSING,
        encoded_missing_value=-2 if in_a_frame else MISSING,
        max_categories=CATEGORIES,
        dtype=np.int64 if in_a_frame else np.float64,
    )
    if not in_a_frame:
        return make_column_transformer((encoder, categories), ("passthrough", numbers))
    as_they_are = StandardScaler(with_mean=False, with_std=False)
    return make_column_transformer((encoder, categories), (as_they_are, numbers)).set_output(
        transform="pandas"
    )


def _plain(categories: list[str], numbers: list[str], may_be_sparse: bool) -> ColumnTransformer:
    """One-hot columns, filled gaps with an indicator, equal scales."""
    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20)
    filler = SimpleImputer(add_indicator=True, keep_empty_features=True)
    return make_column_transformer(
        (encoder, categories),
        (make_pipeline(filler, StandardScaler()), numbers),
        sparse_threshold=0.3 if may_be_sparse else 0,
    )


def _check_task_type(estimator: BaseEstimator, task_type: TaskType, target: str) -> None:
    try:
        estimator_type: str | None = get_tags(estimator).estimator_type
    except AttributeError:
        estimator_type = None  # without tags: taken as it is
    if estimator_type == ("classifier" if task_type == TaskType.REGRESSION else "regressor"):
        wanted = "regressor" if task_type == TaskType.REGRESSION else "classifier"
        task = "regression" if task_type == TaskType.REGRESSION else f"{task_type} classification"
        raise UserError(f"model: {target} is a {estimator_type}, but the label makes this {task}; "
                        f"choose a {wanted}, or another dataset.label")  # fmt: skip
    if task_type != TaskType.REGRESSION and not hasattr(estimator, "predict_proba"):
        raise UserError(f"model: {target} has no predict_proba; choose a classifier that has it")


def _fill_in(estimator: BaseEstimator, known: set[str], seed: int, threads: int | None) -> None:
    """Sets seed and threads where the estimator takes them and the configuration does not."""
    if isinstance(estimator, LogisticRegression):
        known = known - {"n_jobs"}  # it has no effect there, and setting it is warned of
    configured = estimator.get_params()
    for names, value in (
        (("random_seed", "random_state"), seed),
        (("thread_count", "n_jobs"), threads or -1),
    ):
        taken = [name for name in names if name in known]
        if taken and all(configured.get(name) is None for name in taken):
            estimator.set_params(**{taken[0]: value})


def _takes_sparse(estimator: BaseEstimator) -> bool:
    """By the estimator's tags; one without tags is taken to."""
    try:
        return bool(get_tags(estimator).input_tags.sparse)
    except AttributeError:
        return True
