"""The nodes: functions of what the catalog holds."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

Part = tuple[pl.DataFrame, np.ndarray]
FIGURES = ("roc", "precision_recall", "calibration", "threshold", "confusion", "importance")
METRICS = {
    "roc_auc": roc_auc_score,
    "average_precision": average_precision_score,
    "log_loss": log_loss,
    "brier": brier_score_loss,
}


def split(
    table: pl.DataFrame, label: str, categories: Sequence[str], numbers: Sequence[str]
) -> list[Part]:
    parts = []
    for part in ("train", "validation", "test"):
        rows = table.filter(pl.col("split") == part)
        parts.append((rows.select([*categories, *numbers]), rows[label].to_numpy()))
    return parts


def fit(
    train: Part, categories: Sequence[str], numbers: Sequence[str], C: float, max_iter: int,
    seed: int,
) -> tuple[Pipeline, Pipeline]:  # fmt: skip
    """Gives the model twice: what is recorded as a model would be read back from there."""
    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20)
    filler = SimpleImputer(add_indicator=True, keep_empty_features=True)
    model = make_pipeline(
        make_column_transformer(
            (encoder, list(categories)), (make_pipeline(filler, StandardScaler()), list(numbers))
        ),
        LogisticRegression(C=C, max_iter=max_iter, random_state=seed),
    )
    model.fit(*train)
    return model, model


def measure(model: Pipeline, validation: Part, test: Part) -> tuple[dict, dict]:
    scores, metrics = {}, {}
    for part, (features, label) in (("validation", validation), ("test", test)):
        scores[part] = model.predict_proba(features)[:, 1]
        for name, metric in METRICS.items():
            metrics[f"{part}/{name}"] = float(metric(label, scores[part]))
    return scores, in_history(metrics)


def evaluate(
    model: Pipeline, scores: dict, validation: Part, test: Part, categories: Sequence[str],
    numbers: Sequence[str], replicates: int, rows: int, repeats: int, seed: int,
) -> tuple:  # fmt: skip
    from evaluation import draw_figures, judge, learn_threshold, permutation_importance

    threshold = learn_threshold(validation[1], scores["validation"])
    metrics = {"threshold": threshold}
    for part, (_, label) in (("validation", validation), ("test", test)):
        judged = judge(label, scores[part], threshold, replicates, seed)
        metrics |= {f"{part}/{name}": value for name, value in judged.items()}
    drops = permutation_importance(model, *test, rows, repeats, seed)
    figures = draw_figures(
        (validation[1], scores["validation"]), (test[1], scores["test"]), threshold,
        [*categories, *numbers], drops,
    )  # fmt: skip
    return in_history(metrics), *(figures[name] for name in FIGURES)


def in_history(metrics: dict[str, float]) -> dict[str, dict[str, float]]:
    """As the catalog's metrics are saved."""
    return {name: {"value": value, "step": 0} for name, value in metrics.items()}
