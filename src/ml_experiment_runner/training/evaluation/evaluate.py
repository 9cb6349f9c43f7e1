"""Metrics of the three task types, with bootstrap intervals."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.training.arrays import Counts, Floats

BLOCK = 50  # replicates at a time: bounds the memory to about 50 * rows * 8 bytes a table
LEAST = 1e-15  # probabilities below count as this much, or one row makes the log loss infinite


class Measured(Protocol):
    """Predictions beside the truth, with what all replicates share worked out once."""

    def metrics(self, counts: Counts) -> dict[str, Floats]:
        """All metrics, each shape (replicates,).

        Args:
            counts: How often each row counts, shape (replicates, rows).
        """


def evaluate(
    task_type: TaskType,
    label: NDArray[Any],
    prediction: Floats,
    threshold: float | None,
    replicates: int,
    seed: int,
    classes: Sequence[str] = (),
) -> dict[str, float]:
    """Metrics of one split, each with a percentile bootstrap 95 % interval (Efron 1979).

    Args:
        task_type: The question, which follows from the label.
        label: 0 or 1 (both occur), a class's name, or a number; shape (rows,).
        prediction: Probability of 1, shape (rows,); of each class, shape (rows, classes); or the
            predicted number, shape (rows,).
        threshold: Of a binary label: scores from here on count as positive; None leaves out what
            depends on it.
        replicates: Number of bootstrap samples.
        seed: Seed of the bootstrap samples.
        classes: The classes, in the order of the columns of `prediction`.

    Returns:
        `name`, `name/low` and `name/high` for each metric, and `rows`. What is 0/0 is left out,
        such as the precision when no score reaches the threshold.
    """
    measured = measure(task_type, label, prediction, threshold, classes)
    on_all_rows = measured.metrics(np.ones((1, len(label)), dtype=np.int64))
    samples = [
        measured.metrics(counts) for counts in bootstrap_counts(len(label), replicates, seed)
    ]
    result = {"rows": float(len(label))}
    for name, value in on_all_rows.items():
        if np.isnan(value[0]):
            continue
        result[name] = float(value[0])
        interval = percentile_interval(np.concatenate([sample[name] for sample in samples]))
        if interval is not None:
            result[f"{name}/low"], result[f"{name}/high"] = interval
    return result


def bootstrap_counts(rows: int, replicates: int, seed: int) -> Iterator[Counts]:
    """How often each row is drawn in each bootstrap sample, in blocks (replicates, rows)."""
    rng = np.random.default_rng(seed)
    for start in range(0, replicates, BLOCK):
        count = min(BLOCK, replicates - start)
        picked = rng.integers(0, rows, (count, rows))
        picked += np.arange(count)[:, None] * rows
        yield np.bincount(picked.ravel(), minlength=count * rows).reshape(count, rows)


def percentile_interval(replicates: Floats) -> tuple[float, float] | None:
    """Ends of the 95 % interval of a metric's replicates; None where none has a value."""
    if np.isnan(replicates).all():
        return None
    low, high = np.nanpercentile(replicates, [2.5, 97.5])
    return float(low), float(high)


def measure(
    task_type: TaskType,
    label: NDArray[Any],
    prediction: Floats,
    threshold: float | None = None,
    classes: Sequence[str] = (),
) -> Measured:
    """Prepares the metrics of predictions; the arguments are those of `evaluate`."""
    if task_type == TaskType.BINARY:
        return _Binary(label, prediction, threshold)
    if task_type == TaskType.MULTICLASS:
        return _Multiclass(label, prediction, classes)
    return _Regression(label, prediction)


class _Ranking:
    """Rows by falling score, for the metrics that depend on their order alone."""

    def __init__(self, label: NDArray[Any], score: Floats) -> None:
        """Takes rows that are in order already; the label is 0 or 1."""
        self.positives = np.flatnonzero(label)
        if not len(self.positives):  # nothing to rank, as in a slice of one class
            return
        group = np.concatenate([[0], np.cumsum(np.diff(score) != 0)])
        last = np.flatnonzero(np.append(np.diff(group), 1))
        # only groups of equal scores that hold a positive move a ranking metric
        of_positive = group[self.positives]
        self.last_positive = np.flatnonzero(np.append(np.diff(of_positive), 1))
        held = of_positive[self.last_positive]
        self.end = last[held]
        self.start = np.concatenate([[-1], last])[held]

    def metrics(self, drawn: Counts, hits: Counts) -> dict[str, Floats]:
        """ROC AUC and average precision, NaN where only one class was drawn.

        Args:
            drawn: Cumulated counts of the rows, shape (replicates, rows).
            hits: Cumulated counts of the positives, shape (replicates, positives).
        """
        if not len(self.positives):
            nothing = np.full(len(drawn), np.nan)
            return {"roc_auc": nothing, "average_precision": nothing}
        total, positives = drawn[:, -1], hits[:, -1]
        true = hits[:, self.last_positive].astype(np.float64)
        steps = np.diff(true, axis=1, prepend=0.0)
        end = drawn[:, self.end]
        start = np.where(self.start < 0, 0, drawn[:, self.start])
        with np.errstate(invalid="ignore", divide="ignore"):
            passed = (start + end - true - (true - steps)) / 2  # ties count half
            precision = np.where(end > 0, true / end, 0.0)
            return {
                "roc_auc": 1 - (steps * passed).sum(axis=1) / (positives * (total - positives)),
                "average_precision": (steps * precision).sum(axis=1) / positives,
            }


class _Binary:
    def __init__(self, label: NDArray[Any], score: Floats, threshold: float | None) -> None:
        self.order = np.argsort(-score, kind="stable")
        label, score = label[self.order], score[self.order]
        self.ranking = _Ranking(label, score)
        self.threshold = threshold
        chance = np.clip(np.where(label == 1, score, 1 - score), LEAST, 1.0)
        self.columns = np.stack([-np.log(chance), (score - label) ** 2, score - label], axis=1)
        self.flagged = 0 if threshold is None else int(np.sum(score >= threshold))

    def metrics(self, counts: Counts) -> dict[str, Floats]:
        counts = counts[:, self.order]
        positives_at = self.ranking.positives
        ranked = np.cumsum(counts, axis=1)
        hits = np.cumsum(counts[:, positives_at], axis=1)
        total = ranked[:, -1]
        positives = hits[:, -1] if len(positives_at) else np.zeros_like(total)
        means = counts @ self.columns / total[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            metrics = self.ranking.metrics(ranked, hits) | {
                "log_loss": means[:, 0],
                "brier": means[:, 1],
                "bias": means[:, 2],
                "base_rate": positives / total,
            }
            if self.threshold is not None:
                cut = self.flagged - 1
                flagged = ranked[:, cut] if cut >= 0 else np.zeros_like(total)
                last_hit = int(np.searchsorted(positives_at, cut, side="right")) - 1
                caught = hits[:, last_hit] if last_hit >= 0 else np.zeros_like(total)
                metrics["precision"] = caught / flagged
                metrics["recall"] = caught / positives
                metrics["f1"] = 2 * caught / (flagged + positives)
                metrics["flagged"] = flagged / total
        return metrics


class _Multiclass:
    """The class with the highest probability is the answer; means over classes are macro means."""

    def __init__(self, label: NDArray[Any], chances: Floats, classes: Sequence[str]) -> None:
        self.truth = label[:, None] == np.array(classes)[None, :]
        predicted = np.zeros_like(self.truth)
        predicted[np.arange(len(label)), chances.argmax(axis=1)] = True
        self.orders = np.argsort(-chances, axis=0, kind="stable")
        self.rankings = [
            _Ranking(self.truth[order, column], chances[order, column])
            for column, order in enumerate(self.orders.T)
        ]
        chance = np.clip(chances[self.truth], LEAST, 1.0)
        self.log_loss = -np.log(chance)
        self.tables = (self.truth & predicted, self.truth, predicted)

    def metrics(self, counts: Counts) -> dict[str, Floats]:
        total = counts.sum(axis=1)
        right, true, predicted = (counts @ table.astype(np.float64) for table in self.tables)
        areas = []
        for ranking, order in zip(self.rankings, self.orders.T, strict=True):
            ranked = counts[:, order]
            hits = np.cumsum(ranked[:, ranking.positives], axis=1)
            areas.append(ranking.metrics(np.cumsum(ranked, axis=1), hits)["roc_auc"])
        with np.errstate(invalid="ignore", divide="ignore"):
            return {
                "roc_auc": _mean_of_known(np.stack(areas, axis=1)),
                "accuracy": right.sum(axis=1) / total,
                "balanced_accuracy": _mean_of_known(right / true),
                "f1_macro": _mean_of_known(2 * right / (true + predicted)),
                "log_loss": counts @ self.log_loss / total,
            }


class _Regression:
    def __init__(self, label: NDArray[Any], prediction: Floats) -> None:
        error = prediction - label
        centred = label - label.mean()  # or the variance of large numbers loses its digits
        self.mean = label.mean()
        self.columns = np.stack(
            [error, error**2, np.abs(error), centred, centred**2], axis=1, dtype=np.float64
        )

    def metrics(self, counts: Counts) -> dict[str, Floats]:
        total = counts.sum(axis=1)[:, None]
        error, squared, absolute, label, spread = (counts @ self.columns / total).T
        variance = spread - label**2
        variance[variance <= 0] = np.nan  # a sample of one label only
        with np.errstate(invalid="ignore"):
            return {
                "r2": 1 - squared / variance,
                "mae": absolute,
                "rmse": np.sqrt(squared),
                "bias": error,
                "label_mean": label + self.mean,
            }


def _mean_of_known(values: Floats) -> Floats:
    """Means over classes, shape (replicates,), of those that have a value."""
    known = ~np.isnan(values)
    mean: Floats = np.where(known, values, 0.0).sum(axis=1) / known.sum(axis=1)
    return mean
