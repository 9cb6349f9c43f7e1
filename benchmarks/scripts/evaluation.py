"""Threshold, metrics with bootstrap intervals, importance and figures of a binary classifier."""

from pathlib import Path

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from sklearn.metrics import roc_auc_score

BLOCK = 50  # bootstrap replicates at a time


def learn_threshold(label: np.ndarray, score: np.ndarray) -> float:
    """The score from which on the F1 on validation data is best."""
    values, precision, recall = curve(label, score)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(values[np.argmax(f1)])


def curve(label: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct scores, the highest first, with precision and recall at each."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    hits = np.cumsum(label[order], dtype=float)[last]
    return score[order][last], hits / (last + 1), hits / hits[-1]


def judge(
    label: np.ndarray, score: np.ndarray, threshold: float, replicates: int, seed: int
) -> dict[str, float]:
    """Metrics, each with the bounds of its 95 % percentile bootstrap interval."""
    rows = len(label)
    metrics = weighted_metrics(label, score, threshold)
    point = metrics(np.ones((1, rows), dtype=np.int64))
    draw = np.random.default_rng(seed)
    samples = []
    for start in range(0, replicates, BLOCK):
        count = min(BLOCK, replicates - start)
        picked = draw.integers(0, rows, (count, rows))
        picked += np.arange(count)[:, None] * rows
        samples.append(
            metrics(np.bincount(picked.ravel(), minlength=count * rows).reshape(count, rows))
        )
    result = {"rows": float(rows)}
    for name, value in point.items():
        result[name] = float(value[0])
        values = np.concatenate([sample[name] for sample in samples])
        result[f"{name}/low"], result[f"{name}/high"] = map(
            float, np.nanpercentile(values, [2.5, 97.5])
        )
    return result


def weighted_metrics(label: np.ndarray, score: np.ndarray, threshold: float):
    """A function from weights (replicates, rows) to all metrics; what they share is done once."""
    order = np.argsort(-score, kind="stable")
    label, score = label[order], score[order]
    positive = np.flatnonzero(label)
    last = np.flatnonzero(np.append(np.diff(score) != 0, True))  # last row of each distinct score
    group = np.searchsorted(last, positive)
    tail = np.flatnonzero(np.append(np.diff(group) != 0, True))  # last positive of each of them
    group = group[tail]
    begin, end = np.append(-1, last)[group], last[group]
    chance = np.clip(np.where(label == 1, score, 1 - score), 1e-15, 1)
    losses = np.stack([-np.log(chance), (score - label) ** 2, score - label], axis=1)
    flagged_rows = int((score >= threshold).sum())
    flagged_positives = int(label[:flagged_rows].sum())

    def metrics(weights: np.ndarray) -> dict[str, np.ndarray]:
        weights = weights[:, order]
        drawn = np.cumsum(weights, axis=1)
        hits = np.cumsum(weights[:, positive], axis=1)
        total, positives = drawn[:, -1], hits[:, -1]
        true = hits[:, tail].astype(float)
        step = np.diff(true, axis=1, prepend=0.0)
        upto = drawn[:, end]
        before = np.where(begin < 0, 0, drawn[:, begin])
        loss = weights @ losses / total[:, None]
        flagged = drawn[:, flagged_rows - 1] if flagged_rows else np.zeros_like(total)
        caught = hits[:, flagged_positives - 1] if flagged_positives else np.zeros_like(total)
        with np.errstate(invalid="ignore", divide="ignore"):
            false = (before + upto - 2 * true + step) / 2  # ties count half
            precision = np.where(upto > 0, true / upto, 0.0)
            return {
                "roc_auc": 1 - (step * false).sum(axis=1) / (positives * (total - positives)),
                "average_precision": (step * precision).sum(axis=1) / positives,
                "log_loss": loss[:, 0],
                "brier": loss[:, 1],
                "bias": loss[:, 2],
                "base_rate": positives / total,
                "precision": caught / flagged,
                "recall": caught / positives,
                "f1": 2 * caught / (flagged + positives),
                "flagged": flagged / total,
            }

    return metrics


def permutation_importance(
    model, features: pl.DataFrame, label: np.ndarray, rows: int, repeats: int, seed: int
) -> np.ndarray:
    """Loss of ROC AUC for each feature and shuffle; a feature's shuffles are scored at once."""
    chosen = np.linspace(0, len(label) - 1, min(rows, len(label))).astype(int)
    features, label = features[chosen.tolist()], label[chosen]
    reference = roc_auc_score(label, model.predict_proba(features)[:, 1])
    repeated = pl.concat([features] * repeats)
    draw = np.random.default_rng(seed)
    drops = np.empty((features.width, repeats))
    for number, name in enumerate(features.columns):
        order = np.concatenate([draw.permutation(len(label)) for _ in range(repeats)])
        shuffled = repeated.with_columns(features[name][order.tolist()])
        scores = model.predict_proba(shuffled)[:, 1].reshape(repeats, -1)
        drops[number] = [reference - roc_auc_score(label, score) for score in scores]
    return drops


def draw_figures(
    validation: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    threshold: float,
    names: list[str],
    drops: np.ndarray,
) -> dict[str, Figure]:
    """The six figures; `validation` and `test` are label and score."""
    label, score = test
    figures = {}

    figures["roc"], axes = new_figure("ROC curve", "false positive rate", "true positive rate")
    hits = np.cumsum(label[np.argsort(-score, kind="stable")])
    misses = np.arange(1, len(label) + 1) - hits
    axes.plot([0, 1], [0, 1], "--", color="grey", label="chance")
    axes.plot(thin(misses / misses[-1]), thin(hits / hits[-1]), label="model")
    axes.legend()

    figures["precision_recall"], axes = new_figure("Precision and recall", "recall", "precision")
    values, precision, recall = curve(label, score)
    axes.plot(thin(recall), thin(precision))
    axes.axhline(label.mean(), linestyle="--", color="grey", label="share of positives")
    at = max(int((values >= threshold).sum()) - 1, 0)
    axes.plot(recall[at], precision[at], "o", label="at the threshold")
    axes.legend()

    figures["calibration"], axes = new_figure("Calibration", "mean score", "share of positives")
    bins = [part for part in np.array_split(np.argsort(score, kind="stable"), 10) if len(part)]
    axes.plot([0, 1], [0, 1], "--", color="grey", label="perfect")
    axes.plot(
        [score[part].mean() for part in bins],
        [label[part].mean() for part in bins],
        "o-",
        label="model",
    )
    axes.legend()

    figures["threshold"], axes = new_figure(
        "What the threshold trades (validation)", "threshold", ""
    )
    values, precision, recall = curve(*validation)
    axes.plot(thin(values), thin(precision), label="precision")
    axes.plot(thin(values), thin(recall), label="recall")
    axes.axvline(threshold, linestyle="--", color="grey", label="learned")
    axes.legend()

    figures["confusion"], axes = new_figure("At the threshold (test)", "predicted", "actual")
    table = np.zeros((2, 2), dtype=int)
    np.add.at(table, (label, (score >= threshold).astype(int)), 1)
    axes.imshow(table / table.sum(axis=1, keepdims=True), cmap="Blues", vmin=0, vmax=1.3)
    for truth, said in np.ndindex(2, 2):
        axes.text(said, truth, f"{table[truth, said]:,}", ha="center", va="center")
    axes.set_xticks([0, 1], ["no", "yes"])
    axes.set_yticks([0, 1], ["no", "yes"])

    figures["importance"], axes = new_figure(
        "Permutation importance", "loss of ROC AUC when shuffled", ""
    )
    figures["importance"].subplots_adjust(left=0.37)
    order = np.argsort(drops.mean(axis=1))[-12:]
    axes.barh(
        [names[one] for one in order], drops[order].mean(axis=1), xerr=drops[order].std(axis=1)
    )
    return figures


def new_figure(title: str, x: str, y: str):
    """A figure of 528 by 396 pixels."""
    figure = Figure(figsize=(4.8, 3.6), dpi=110)
    figure.subplots_adjust(left=0.14, right=0.97, bottom=0.15, top=0.9)
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y)
    return figure, axes


def thin(values: np.ndarray) -> np.ndarray:
    """At most 1,000 points: a curve has no more pixels."""
    if len(values) <= 1000:
        return values
    return values[np.linspace(0, len(values) - 1, 1000).astype(int)]


def save_figures(figures: dict[str, Figure], folder: Path) -> None:
    """Write the figures as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png")
