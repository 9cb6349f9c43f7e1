"""Metrics with bootstrap intervals."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BLOCK = 50  # replicates at a time: bounds the memory to about 50 * rows * 8 bytes a table


def judge(
    label: NDArray[np.int8],
    score: Floats,
    threshold: float | None,
    replicates: int,
    seed: int,
) -> dict[str, float]:
    """Metrics of one part, each with a percentile bootstrap 95 % interval.

    Rows are drawn with replacement (Efron 1979); all replicates are computed at once from how
    often each row was drawn.

    Args:
        label: 0 or 1, shape (rows,); both occur.
        score: Probability of 1, shape (rows,).
        threshold: Scores from here on count as positive; None leaves out what depends on it.
        replicates: Number of bootstrap samples.
        seed: Seed of the draws.

    Returns:
        `name`, `name/low` and `name/high` for each metric, and `rows`.
    """
    order = np.argsort(-score, kind="stable")
    label, score = label[order], score[order]
    ends = np.flatnonzero(np.append(np.diff(score) != 0, True))
    draw = np.random.default_rng(seed)
    rows = len(label)
    point = _metrics(np.ones((1, rows)), label, score, ends, threshold)
    samples: list[dict[str, Floats]] = []
    for start in range(0, replicates, BLOCK):
        count = min(BLOCK, replicates - start)
        picked = draw.integers(0, rows, (count, rows))
        picked += np.arange(count)[:, None] * rows
        counts = np.bincount(picked.ravel(), minlength=count * rows).reshape(count, rows)
        samples.append(_metrics(counts.astype(np.float64), label, score, ends, threshold))
    result = {"rows": float(rows)}
    for name, value in point.items():
        result[name] = float(value[0])
        low, high = np.nanpercentile(np.concatenate([one[name] for one in samples]), [2.5, 97.5])
        result[f"{name}/low"], result[f"{name}/high"] = float(low), float(high)
    return result


def _metrics(
    weight: Floats, label: NDArray[Any], score: Floats, ends: NDArray[Any], threshold: float | None
) -> dict[str, Floats]:
    """All metrics for each row of weights.

    Args:
        weight: How often each row counts, shape (replicates, rows), rows by falling score.
        label: Shape (rows,).
        score: Shape (rows,), falling.
        ends: Index of the last row of each distinct score.
        threshold: As in `judge`.
    """
    positive = weight * label
    true = np.cumsum(positive, axis=1)[:, ends]
    drawn = np.cumsum(weight, axis=1)[:, ends]
    false = drawn - true
    positives, negatives = true[:, -1:], false[:, -1:]
    totals = drawn[:, -1]
    with np.errstate(invalid="ignore", divide="ignore"):
        steps = np.diff(true, axis=1, prepend=0.0)
        passed = false - np.diff(false, axis=1, prepend=0.0) / 2  # ties count half
        precision = np.where(drawn > 0, true / drawn, 0.0)
        loss = -np.log(np.clip(np.where(label == 1, score, 1 - score), 1e-15, 1.0))
        metrics = {
            "roc_auc": 1 - (steps * passed).sum(axis=1) / (positives * negatives)[:, 0],
            "average_precision": (steps * precision).sum(axis=1) / positives[:, 0],
            "log_loss": weight @ loss / totals,
            "brier": weight @ ((score - label) ** 2) / totals,
            "base_rate": positives[:, 0] / totals,
        }
        if threshold is not None:
            cut = int(np.searchsorted(-score[ends], -threshold, side="right")) - 1
            flagged = drawn[:, cut] if cut >= 0 else np.zeros(len(weight))
            hits = true[:, cut] if cut >= 0 else np.zeros(len(weight))
            metrics["precision"] = hits / flagged
            metrics["recall"] = hits / positives[:, 0]
            metrics["f1"] = 2 * hits / (flagged + positives[:, 0])
            metrics["flagged"] = flagged / totals
    return metrics
