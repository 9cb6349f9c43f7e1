"""The model: any classifier of scikit-learn, with its preprocessing in front."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

METRICS = {
    "roc_auc": roc_auc_score,
    "average_precision": average_precision_score,
    "log_loss": log_loss,
    "brier": brier_score_loss,
}


class TabularModel:
    def __init__(self, categories: Sequence[str], numbers: Sequence[str], estimator) -> None:
        encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20)
        filler = SimpleImputer(add_indicator=True, keep_empty_features=True)
        self.pipeline = make_pipeline(
            make_column_transformer(
                (encoder, list(categories)),
                (make_pipeline(filler, StandardScaler()), list(numbers)),
            ),
            estimator,
        )

    def fit(self, features: pl.DataFrame, label: np.ndarray) -> None:
        self.pipeline.fit(features, label)

    def score(self, features: pl.DataFrame) -> np.ndarray:
        return self.pipeline.predict_proba(features)[:, 1]

    def metrics(self, part: str, label: np.ndarray, score: np.ndarray) -> dict[str, float]:
        return {f"{part}/{name}": float(one(label, score)) for name, one in METRICS.items()}
