"""The task `train`: fit one estimator, learn its threshold, judge it on the test part."""

import json

import numpy as np
import polars as pl
from numpy.typing import NDArray
from omegaconf import DictConfig
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline

from runner.dataset.dataset import Dataset, load_dataset
from runner.errors import UserError
from runner.record.run import Run
from runner.training.estimator import build
from runner.training.judge import judge
from runner.training.threshold import learn

Part = tuple[pl.DataFrame, NDArray[np.int8]]

HANDFUL, COPIES = 16, 64  # rows that debug=overfit learns by heart, and how often each


def train(config: DictConfig, run: Run) -> dict[str, float]:
    """Trains and judges the configured model.

    Returns:
        `validation/…` and `test/…` metrics with intervals, and the `threshold` unless none is
        valid.

    Raises:
        UserError: The data cannot answer the question (no such signal, one class, an empty part).
    """
    with run.stage("data"):
        dataset = load_dataset(config, run)
        parts = _parts(config, dataset)
    with run.stage("fit"):
        features, label = parts["train"]
        estimator = build(config.model, features, config.seed).fit(features, label)
        if not hasattr(estimator, "predict_proba"):
            name = config.model._target_
            raise UserError(f"model: {name} gives no probabilities; take a classifier that does")
        # blank where the values are classified: the example goes into the record
        example = features.head(5).with_columns(
            pl.lit(None, features.schema[name]).alias(name) for name in dataset.classified
        )
        run.log_model(estimator, example, estimator.predict_proba(example))
    with run.stage("judge"):
        scores = {part: _score(estimator, parts[part][0]) for part in ("validation", "test")}
        threshold = learn(config.threshold, parts["validation"][1], scores["validation"])
        metrics = {} if threshold is None else {"threshold": threshold}
        for part, score in scores.items():
            judged = judge(
                parts[part][1], score, threshold, config.evaluation.bootstrap, config.seed
            )
            metrics |= {f"{part}/{name}": value for name, value in judged.items()}
    _log_threshold(config, run, threshold, parts["validation"][1])
    with run.stage("importance"):
        drops = _importance(config, estimator, parts["test"])
    with run.stage("figures"):
        _draw(run, parts, scores, threshold, metrics["test/roc_auc"], drops)
    return metrics


def _parts(config: DictConfig, dataset: Dataset) -> dict[str, Part]:
    if not config.debug.overfit:
        return {part: dataset.part(part) for part in ("train", "validation", "test")}
    features, label = dataset.part("train")
    half = HANDFUL // 2
    rows = np.sort(
        np.concatenate([np.flatnonzero(label == 0)[:half], np.flatnonzero(label == 1)[:half]])
    )
    handful = (features[rows.tolist()], label[rows])
    # copies, so that an estimator's least number of rows per leaf or category does not bind
    copies = (pl.concat([handful[0]] * COPIES), np.tile(handful[1], COPIES))
    return {"train": copies, "validation": handful, "test": handful}


def _score(estimator: Pipeline, features: pl.DataFrame) -> NDArray[np.float64]:
    score: NDArray[np.float64] = estimator.predict_proba(features)[:, 1]
    return score


def _log_threshold(
    config: DictConfig, run: Run, threshold: float | None, label: NDArray[np.int8]
) -> None:
    """Keeps with the threshold what it was learned for and on how many labels."""
    policy = {name: config.threshold.get(name) for name in ("policy", "beta", "target")}
    learned = {
        "value": threshold,
        **{name: value for name, value in policy.items() if value is not None},
        "labels": len(label),
        "positives": int(label.sum()),
    }
    run.log_text(json.dumps(learned, indent=2) + "\n", "threshold.json")
    if threshold is None:
        run.log_tag("threshold", f"none reaches {policy['policy']} {policy['target']}")


def _importance(
    config: DictConfig, estimator: Pipeline, part: Part
) -> tuple[list[str], NDArray[np.float64]]:
    """Permutation importance (Breiman 2001) on rows spread evenly over the part.

    scikit-learn's function takes no polars frame; here all shuffles of a feature are scored at
    once.

    Returns:
        The features, and the loss of ROC AUC for each feature and shuffle.
    """
    features, label = part
    count = min(config.evaluation.importance_rows, len(label))
    rows = np.linspace(0, len(label) - 1, count).astype(int)
    if len(np.unique(label[rows])) < 2:
        rows = np.arange(len(label))
    features, label = features[rows.tolist()], label[rows]
    reference = roc_auc_score(label, _score(estimator, features))
    repeats = config.evaluation.importance_repeats
    draw = np.random.default_rng(config.seed)
    repeated = pl.concat([features] * repeats)
    drops = np.empty((features.width, repeats))
    for number, name in enumerate(features.columns):
        order = np.concatenate([draw.permutation(len(label)) for _ in range(repeats)])
        shuffled = repeated.with_columns(features[name][order.tolist()])
        scores = _score(estimator, shuffled).reshape(repeats, -1)
        drops[number] = [reference - roc_auc_score(label, score) for score in scores]
    return features.columns, drops


def _draw(
    run: Run,
    parts: dict[str, Part],
    scores: dict[str, NDArray[np.float64]],
    threshold: float | None,
    area: float,
    drops: tuple[list[str], NDArray[np.float64]],
) -> None:
    from runner.training import figures  # matplotlib takes a while: not before the first fit

    label, score = parts["test"][1], scores["test"]
    run.log_figure(figures.roc(label, score, area), "roc")
    run.log_figure(figures.precision_recall(label, score, threshold), "precision_recall")
    run.log_figure(figures.calibration(label, score), "calibration")
    run.log_figure(
        figures.threshold_curve(parts["validation"][1], scores["validation"], threshold),
        "threshold",
    )
    if threshold is not None:
        run.log_figure(figures.confusion(label, score, threshold), "confusion")
    run.log_figure(figures.importance(*drops), "importance")
