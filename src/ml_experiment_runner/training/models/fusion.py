"""Answers of several models put together so that none of them can move the sum beyond a budget.

Imports neither Hydra nor anything that reads data: it goes with a saved model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit, softmax

from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.training.arrays import Floats

TAIL = 0.001  # of the answers at each end that is cut off before any budget asks for it
LEAST = 1e-12  # chances are kept this far from 0 and 1, where a logit has no value
LARGEST = 10.0  # weight: that of a member with constant answers would have no limit


@dataclass
class Fusion:
    """A weighted sum of clipped scores: `z = intercept + Σ weight · clip(score, low, high)`.

    The score of a probability is its logit; of probabilities of classes, their logarithms less
    the mean of these; of a number, the number. A member without an answer, or without a finite
    one, counts with its neutral score, which lies within its bounds. So whatever happens to the
    answers of one member, `z` moves by no more than its maximal influence.

    Attributes:
        task_type: The question, which follows from the label.
        method: `bounded`; or `mean`, with the plain mean of probabilities or numbers as `z`.
        names: The members.
        low: What scores are clipped to, shape (members, outputs).
        high: The same.
        neutral: The mean of the clipped scores, shape (members, outputs).
        weight: 0 or more, shape (members,).
        intercept: Shape (outputs,): one, or one for each class.
    """

    task_type: TaskType
    method: str
    names: list[str]
    low: Floats
    high: Floats
    neutral: Floats
    weight: Floats
    intercept: Floats

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes a pickle of before, which called the task type `kind`."""
        renamed = {"kind": "task_type"}
        self.__dict__.update({renamed.get(name, name): value for name, value in state.items()})

    def max_influence(self) -> dict[str, float]:
        """The most that each member can move the answer.

        For a binary label that is the logit; of classes the logit between any two of them; of a
        number the number. By `mean` it is a probability or a number.
        """
        width = score_range(self.high - self.low, self.method)
        return dict(zip(self.names, (self.weight * width).tolist(), strict=True))

    def sum(self, answers: Mapping[str, Floats]) -> Floats:
        """The sum `z`, shape (rows, outputs).

        Args:
            answers: Predictions by member, NaN where it has none; a member that is not named has
                none at all. At least one is named.
        """
        rows = len(next(iter(answers.values())))
        total = np.tile(self.intercept, (rows, 1))
        for number, name in enumerate(self.names):
            bounds = self.low[number], self.high[number]
            if name in answers:
                score = clipped(scores(self.task_type, self.method, answers[name]), *bounds)
                score = np.where(np.isnan(score), self.neutral[number], score)
            else:
                score = np.tile(self.neutral[number], (rows, 1))
            total += self.weight[number] * score
        return total

    def predict(self, answers: Mapping[str, Floats]) -> Floats:
        """Probability of 1, shape (rows,); of each class; or the number, shape (rows,)."""
        total = self.sum(answers)
        if self.task_type == TaskType.MULTICLASS:
            shares = total / total.sum(axis=1, keepdims=True)
            chances: Floats = shares if self.method == "mean" else softmax(total, axis=1)
            return chances
        answer: Floats = total[:, 0]
        is_logit = self.task_type == TaskType.BINARY and self.method == "bounded"
        return np.asarray(expit(answer)) if is_logit else answer


def fit_fusion(
    task_type: TaskType,
    method: str,
    answers: Mapping[str, Floats],
    label: NDArray[Any],
    classes: Sequence[str] = (),
    budget: float = 2.0,
) -> Fusion:
    """Learns bounds and weights from answers to rows that a member was not fitted to.

    Stacked generalisation (Wolpert 1992) with weights of 0 or more (Breiman 1996), and with each
    member's score clipped and its weight limited, so that `weight · (high - low) ≤ budget`. The
    weights are first learned without a budget; a member that would go beyond it is clipped at
    quantiles nearer to its middle rather than weighted down, as its usual answers count for more
    than its extremes.

    Args:
        task_type: The question, which follows from the label.
        method: `bounded` or `mean`.
        answers: Out-of-fold predictions by member; NaN where it has none.
        label: The truth, shape (rows,).
        classes: The classes, in the order of the columns.
        budget: The most that one member may move the sum: for a binary label in units of its logit,
            for classes of the logit between any two, for a number in standard deviations of the
            label.
    """
    names = list(answers)
    score = np.stack([scores(task_type, method, answers[name]) for name in names], axis=1)
    if method == "mean":
        low, high = quantiles(score, TAIL) if task_type == TaskType.REGRESSION else (0.0, 1.0)
        low, high = (np.broadcast_to(end, score.shape[1:]).astype(float) for end in (low, high))
        weight = np.full(len(names), 1 / len(names))
        return Fusion(task_type, method, names, low, high, _middle(score, low, high), weight,
                      np.zeros(score.shape[2]))  # fmt: skip
    if task_type == TaskType.REGRESSION:
        budget *= float(np.std(label)) or 1.0
    low, high = quantiles(score, TAIL)
    free, _ = _weigh(task_type, score, low, high, label, classes, np.full(len(names), LARGEST))
    for number, weight in enumerate(free):
        tail = _tail(score[:, number], weight, budget)
        low[number], high[number] = quantiles(score[:, number], tail)
    width = score_range(high - low, method)
    most = np.minimum(budget / np.maximum(width, LEAST), LARGEST)
    weight, intercept = _weigh(task_type, score, low, high, label, classes, most)
    return Fusion(task_type, method, names, low, high, _middle(score, low, high), weight, intercept)


def scores(task_type: TaskType, method: str, answer: Floats) -> Floats:
    """What is summed, shape (rows, outputs); NaN where the answer is none."""
    answer = np.asarray(answer, dtype=np.float64)
    if task_type == TaskType.REGRESSION:
        return np.where(np.isfinite(answer), answer, np.nan)[:, None]
    with np.errstate(invalid="ignore"):
        valid = (answer >= 0) & (answer <= 1)
    if task_type == TaskType.MULTICLASS:
        valid = np.broadcast_to(valid.all(axis=1, keepdims=True), answer.shape)
    answer = np.where(valid, answer, np.nan)
    if task_type == TaskType.BINARY:
        answer = answer[:, None]
    if method == "mean":
        return answer
    if task_type == TaskType.BINARY:
        logits: Floats = logit(np.clip(answer, LEAST, 1 - LEAST))
        return logits
    logarithm = np.log(np.clip(answer, LEAST, 1.0))
    centred: Floats = logarithm - logarithm.mean(axis=1, keepdims=True)
    return centred


def clipped(score: Floats, low: Floats, high: Floats) -> Floats:
    """Scores within their bounds; NaN stays."""
    within: Floats = np.minimum(np.maximum(score, low), high)
    return within


def score_range(width: Floats, method: str) -> Floats:
    """How far clipped scores can move an answer, before the weight, shape (members,).

    Args:
        width: Distance between the bounds, shape (members, outputs).
        method: By `bounded`, two classes can move against each other.
    """
    if width.shape[1] == 1 or method == "mean":
        widest: Floats = width.max(axis=1)
        return widest
    two: Floats = np.sort(width, axis=1)[:, -2:].sum(axis=1)
    return two


def quantiles(score: Floats, tail: float) -> tuple[Floats, Floats]:
    """What leaves this share of the rows out at each end; 0 where no row has a score."""
    empty = np.isnan(score).all(axis=0)
    filled = np.where(empty, 0.0, score)
    low, high = np.nanquantile(filled, [tail, 1 - tail], axis=0)
    return low, high


def _tail(score: Floats, weight: float, budget: float) -> float:
    """The least share to cut off at both ends of one member so that it keeps the budget."""

    def is_within(tail: float) -> bool:
        low, high = quantiles(score, tail)
        return bool(weight * score_range((high - low)[None], "bounded")[0] <= budget)

    if is_within(TAIL):
        return TAIL
    inside, outside = 0.45, TAIL  # what still goes beyond it is left to the weight
    for _ in range(20):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if is_within(middle) else (inside, middle)
    return inside


def _middle(score: Floats, low: Floats, high: Floats) -> Floats:
    """The mean of clipped scores; the middle of the bounds where there is none."""
    within = clipped(score, low, high)
    count = np.sum(~np.isnan(within), axis=0)
    mean = np.nansum(within, axis=0) / np.maximum(count, 1)
    return np.clip(np.where(count > 0, mean, (low + high) / 2), low, high)


def _weigh(
    task_type: TaskType,
    score: Floats,
    low: Floats,
    high: Floats,
    label: NDArray[Any],
    classes: Sequence[str],
    most: Floats,
) -> tuple[Floats, Floats]:
    """Weights from 0 to `most`, and the intercept, with the least log loss or squared error."""
    neutral = _middle(score, low, high)
    within = clipped(score, low, high)
    centred = np.where(np.isnan(within), 0.0, within - neutral)
    members, outputs = score.shape[1:]
    unit = 1.0
    if task_type == TaskType.MULTICLASS:
        truth = (label[:, None] == np.array(classes)[None, :]).astype(np.float64)
    else:
        truth = label[:, None].astype(np.float64)
        unit = float(np.std(truth)) or 1.0 if task_type == TaskType.REGRESSION else 1.0

    def loss(parameters: Floats) -> tuple[float, Floats]:
        weight, intercept = parameters[:members], parameters[members:]
        total = intercept + np.einsum("rmo,m->ro", centred, weight) / unit
        if task_type == TaskType.REGRESSION:
            slope = total - truth / unit
            value = np.mean(slope**2) / 2
        elif task_type == TaskType.BINARY:
            slope = expit(total) - truth
            value = np.mean(np.logaddexp(0, total) - truth * total)
        else:
            chance = softmax(total, axis=1)
            slope = chance - truth
            value = -np.mean(np.log(np.maximum((chance * truth).sum(axis=1), 1e-300)))
        slope = slope / len(slope)
        by_weight = np.einsum("rmo,ro->m", centred, slope) / unit
        return float(value), np.concatenate([by_weight, slope.sum(axis=0)])

    share = truth.mean(axis=0)
    if task_type == TaskType.BINARY:
        intercept = logit(np.clip(share, LEAST, 1 - LEAST))
    else:
        intercept = (
            share / unit if task_type == TaskType.REGRESSION else np.log(np.maximum(share, LEAST))
        )
    begin = np.concatenate([np.minimum(1.0, most), intercept])
    bounds = [(0.0, limit) for limit in most] + [(None, None)] * outputs
    solution = minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds).x
    weight = np.clip(solution[:members], 0.0, most)
    return weight, solution[members:] * unit - np.einsum("m,mo->o", weight, neutral)
