"""An estimator with the preparation it needs, as one pipeline."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from hydra.utils import get_class
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.utils import get_tags

from runner.dataset.kind import Kind
from runner.errors import UserError

MISSING = float("nan")


def build(
    model: DictConfig, features: pl.DataFrame, kind: Kind, seed: int, threads: int | None = None
) -> Pipeline:
    """Builds the pipeline for the columns at hand.

    An estimator with a parameter `categorical_features` gets categories and missing values as
    they are; any other gets one-hot columns, filled gaps with an indicator, and equal scales, as
    a sparse matrix if there are many columns and it takes one.
    Columns without any value are left out: histogram boosting cannot bin them. The pipeline holds
    scikit-learn's own steps only: it loads where this project is not.

    Args:
        model: The estimator's class as `_target_` and its parameters.
        features: The training columns; String, Boolean, integer or float.
        kind: What the label asks for.
        seed: For an estimator with a `random_state` that the configuration leaves open.
        threads: The same for `n_jobs`.

    Raises:
        UserError: A classifier is asked for a number, or a regressor for a class.
    """
    parameters: dict[str, Any] = OmegaConf.to_container(model, resolve=True)  # type: ignore[assignment]
    estimator: BaseEstimator = get_class(parameters.pop("_target_"))(**parameters)
    known = estimator.get_params()
    if "random_state" in known and known["random_state"] is None:
        estimator.set_params(random_state=seed)
    if "n_jobs" in known and known["n_jobs"] is None:
        estimator.set_params(n_jobs=threads)
    if _type(estimator) == ("classifier" if kind == Kind.REGRESSION else "regressor"):
        wanted = "regressor" if kind == Kind.REGRESSION else "classifier"
        raise UserError(f"model: the label is {kind}, and {model._target_} is not for that; "
                        f"take a {wanted}, or another dataset.label")  # fmt: skip
    values = features.with_columns(pl.selectors.float().fill_nan(None))
    filled = [column.name for column in values if column.null_count() < len(column)]
    categories = [name for name in filled if features.schema[name] == pl.String]
    numbers = [name for name in filled if name not in categories]
    if "categorical_features" in known:
        encoder = OrdinalEncoder(
            handle_unknown="use_encoded_value",
            unknown_value=MISSING,
            encoded_missing_value=MISSING,
            max_categories=250,  # histogram boosting takes up to 255
        )
        preparation = make_column_transformer((encoder, categories), ("passthrough", numbers))
        estimator.set_params(categorical_features=list(range(len(categories))) or None)
    else:
        encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20)
        filler = SimpleImputer(add_indicator=True, keep_empty_features=True)
        preparation = make_column_transformer(
            (encoder, categories),
            (make_pipeline(filler, StandardScaler()), numbers),
            sparse_threshold=0.3 if _takes_sparse(estimator) else 0,
        )
    return make_pipeline(preparation, estimator)


def predict(
    estimator: Any, kind: Kind, features: pl.DataFrame, classes: Sequence[str] = ()
) -> NDArray[np.float64]:
    """What the metrics of a kind are measured on.

    Args:
        estimator: A fitted one.
        kind: What the label asks for.
        features: The columns that it was fitted to.
        classes: The classes, of a label that names several.

    Returns:
        The probability of 1, shape (rows,); of each class, shape (rows, classes), 0 for one that
        it has not seen; or the predicted number, shape (rows,).
    """
    if kind == Kind.REGRESSION:
        return np.asarray(estimator.predict(features), dtype=np.float64)
    chances = np.asarray(estimator.predict_proba(features), dtype=np.float64)
    if kind == Kind.BINARY:
        return chances[:, 1]
    found = np.zeros((len(chances), len(classes)))
    found[:, [classes.index(str(name)) for name in estimator.classes_]] = chances
    return found


def _type(estimator: BaseEstimator) -> str | None:
    """What the estimator says that it is; None of one that says nothing."""
    try:
        said: str | None = get_tags(estimator).estimator_type
    except AttributeError:
        return None
    return said


def _takes_sparse(estimator: BaseEstimator) -> bool:
    """What the estimator says of itself; one that says nothing is taken to."""
    try:
        return bool(get_tags(estimator).input_tags.sparse)
    except AttributeError:
        return True
