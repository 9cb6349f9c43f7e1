"""Metrics with bootstrap intervals."""

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
        `name`, `name/low` and `name/high` for each metric, and `rows`. What is 0/0 is left out,
        such as the precision when no score reaches the threshold.
    """
    order = np.argsort(-score, kind="stable")
    ranked = _Ranked(label[order], score[order], threshold)
    draw = np.random.default_rng(seed)
    rows = len(label)
    point = ranked.metrics(np.ones((1, rows), dtype=np.int64))
    samples = []
    for start in range(0, replicates, BLOCK):
        count = min(BLOCK, replicates - start)
        picked = draw.integers(0, rows, (count, rows))
        picked += np.arange(count)[:, None] * rows
        counts = np.bincount(picked.ravel(), minlength=count * rows).reshape(count, rows)
        samples.append(ranked.metrics(counts))
    result = {"rows": float(rows)}
    for name, value in point.items():
        if np.isnan(value[0]):
            continue
        result[name] = float(value[0])
        drawn = np.concatenate([one[name] for one in samples])
        if not np.isnan(drawn).all():
            low, high = np.nanpercentile(drawn, [2.5, 97.5])
            result[f"{name}/low"], result[f"{name}/high"] = float(low), float(high)
    return result


class _Ranked:
    """Rows by falling score, with what all replicates share worked out once."""

    def __init__(self, label: NDArray[np.int8], score: Floats, threshold: float | None) -> None:
        self.threshold = threshold
        self.positives = np.flatnonzero(label)
        group = np.concatenate([[0], np.cumsum(np.diff(score) != 0)])
        last = np.flatnonzero(np.append(np.diff(group), 1))
        # only groups of equal scores that hold a positive move a ranking metric
        of_positive = group[self.positives]
        self.last_positive = np.flatnonzero(np.append(np.diff(of_positive), 1))
        held = of_positive[self.last_positive]
        self.end = last[held]
        self.start = np.concatenate([[-1], last])[held]
        chance = np.clip(np.where(label == 1, score, 1 - score), 1e-15, 1.0)
        self.losses = np.stack([-np.log(chance), (score - label) ** 2], axis=1)
        self.flagged = 0 if threshold is None else int(np.sum(score >= threshold))

    def metrics(self, counts: NDArray[np.int64]) -> dict[str, Floats]:
        """All metrics, each shape (replicates,), from how often each row counts.

        Args:
            counts: Shape (replicates, rows).
        """
        drawn = np.cumsum(counts, axis=1)
        hits = np.cumsum(counts[:, self.positives], axis=1)
        total, positives = drawn[:, -1], hits[:, -1]
        true = hits[:, self.last_positive].astype(np.float64)
        steps = np.diff(true, axis=1, prepend=0.0)
        end = drawn[:, self.end]
        start = np.where(self.start < 0, 0, drawn[:, self.start])
        losses = counts @ self.losses / total[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            passed = (start + end - true - (true - steps)) / 2  # ties count half
            precision = np.where(end > 0, true / end, 0.0)
            metrics = {
                "roc_auc": 1 - (steps * passed).sum(axis=1) / (positives * (total - positives)),
                "average_precision": (steps * precision).sum(axis=1) / positives,
                "log_loss": losses[:, 0],
                "brier": losses[:, 1],
                "base_rate": positives / total,
            }
            if self.threshold is not None:
                cut = self.flagged - 1
                flagged = drawn[:, cut] if cut >= 0 else np.zeros_like(total)
                found = int(np.searchsorted(self.positives, cut, side="right")) - 1
                caught = hits[:, found] if found >= 0 else np.zeros_like(total)
                metrics["precision"] = caught / flagged
                metrics["recall"] = caught / positives
                metrics["f1"] = 2 * caught / (flagged + positives)
                metrics["flagged"] = flagged / total
        return metrics
