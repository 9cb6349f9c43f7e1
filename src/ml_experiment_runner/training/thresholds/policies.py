"""The threshold on the score, learned on validation data for a target."""

import math
import warnings
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from omegaconf import DictConfig

from ml_experiment_runner.training.arrays import BinaryLabels, Floats

CANDIDATES = 100  # thresholds that are tried for a guarantee; each costs some of its confidence

TOP = 0.03  # share of the highest scores, where candidates stand closer


@dataclass(frozen=True)
class Learned:
    """What was learned of a policy.

    Attributes:
        value: The score from which a row counts as positive; None where none is valid.
        guaranteed: The target is reached on rows like these with the policy's confidence.
        missing: About how many more labels the target needs; None where it needs no more, or no
            number of them helps.
        reached: The most of the target's metric at any candidate; None of other policies.
    """

    value: float | None
    guaranteed: bool = False
    missing: int | None = None
    reached: float | None = None


def learn(policy: DictConfig, label: BinaryLabels, score: Floats) -> Learned:
    """Learns the threshold that the policy asks for.

    `precision` and `recall` take, among thresholds that reach the target with the confidence asked
    for, the one with the most of the other; so they may find none. `cost` takes the least cost,
    `f_beta` the best F-beta, and `top_k` flags as many rows as there is capacity for.

    Args:
        policy: The configuration's `threshold`.
        label: 0 or 1, shape (rows,).
        score: Probability of 1, shape (rows,).
    """
    if policy.policy in ("precision", "recall"):
        return _controlled(policy, label, score)
    if policy.policy == "top_k":
        return Learned(_of_capacity(policy.capacity, score))
    values, hits, flagged = _counts(label, score)
    if policy.policy == "cost":
        return Learned(_cheapest(policy.costs, label, values, hits, flagged))
    weight = float(policy.beta) ** 2
    quality = (1 + weight) * hits / (flagged + weight * label.sum())
    return Learned(float(values[np.argmax(quality)]))


def curve(label: BinaryLabels, score: Floats) -> tuple[Floats, Floats, Floats]:
    """Precision and recall at every distinct score, highest score first, each shape (distinct,)."""
    values, hits, flagged = _counts(label, score)
    return values, hits / flagged, hits / max(float(label.sum()), 1.0)


def _counts(label: BinaryLabels, score: Floats) -> tuple[Floats, Floats, Floats]:
    """Distinct scores, the highest first, and the positives and the rows from each on."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.flatnonzero(np.append(np.diff(ordered) != 0, True))
    flagged: Floats = last.astype(np.float64) + 1
    return ordered[last], np.cumsum(label[order], dtype=np.float64)[last], flagged


def _cheapest(
    costs: DictConfig, label: BinaryLabels, values: Floats, hits: Floats, flagged: Floats
) -> float:
    """Where the sum of the costs is least; above all scores where flagging nobody costs least."""
    values = np.append(np.nextafter(values[0], math.inf), values)
    hits, flagged = np.append(0.0, hits), np.append(0.0, flagged)
    positives = float(label.sum())
    sums = (
        costs.get("true_positive", 0.0) * hits
        + costs.false_positive * (flagged - hits)
        + costs.false_negative * (positives - hits)
        + costs.get("true_negative", 0.0) * (len(label) - flagged - positives + hits)
    )
    return float(values[np.argmin(sums)])


def _controlled(policy: DictConfig, label: BinaryLabels, score: Floats) -> Learned:
    """By risk control (Angelopoulos et al. 2022, "Learn then test"), with MAPIE.

    Choosing the best of many thresholds on the same labels reaches the target on those labels and
    misses it on the next; here each candidate is a hypothesis that has to be rejected.
    """
    from mapie.risk_control import BinaryClassificationController

    candidates = _candidates(policy, score)
    controller = BinaryClassificationController(
        predict_function=lambda scores: np.column_stack([1 - scores, scores]),
        risk=policy.policy,
        target_level=float(policy.target),
        confidence_level=float(policy.confidence),
        list_predict_params=candidates,
        # recall only falls as the threshold rises: tested in that order, no correction is needed
        fwer_method="fixed_sequence" if policy.policy == "recall" else "bonferroni_holm",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that none is valid is a result, not a warning
        controller.calibrate(score, label.astype(int))
    best = controller.best_predict_param
    if best is not None:
        return Learned(float(best), guaranteed=True)
    return _none_valid(policy, label, score, candidates)


def _candidates(policy: DictConfig, score: Floats) -> Floats:
    """Thresholds that are tried, ascending; they depend on the scores alone.

    Evenly spread over the rows; for a precision, a third of them within the highest scores, where
    rare positives are, down to the fewest rows that could prove the target if all were right, or
    to one in a hundred.
    """
    flagged = np.linspace(1, 0, CANDIDATES + 1)[:-1]
    if policy.policy == "precision":
        level = (1 - float(policy.confidence)) / CANDIDATES
        fewest = math.ceil(math.log(level) / math.log(policy.target)) / len(score)
        if fewest < TOP:
            many = CANDIDATES - CANDIDATES // 3
            top = np.geomspace(TOP, min(fewest, 1 / CANDIDATES), CANDIDATES // 3 + 1)
            flagged = np.concatenate([np.linspace(1, TOP, many), top[1:]])
    return np.unique(np.quantile(score, 1 - flagged, method="higher"))


def _none_valid(
    policy: DictConfig, label: BinaryLabels, score: Floats, candidates: Floats
) -> Learned:
    """How far it got, and about how many labels are missing.

    With a share p among n rows, a test at level a needs about n = z² p (1 - p) / (p - target)²,
    z the normal quantile of a; the level is what each candidate gets of the confidence.
    """
    level = (1 - float(policy.confidence)) / (1 if policy.policy == "recall" else len(candidates))
    z = NormalDist().inv_cdf(1 - level)
    flagged = score[None, :] >= candidates[:, None]
    hits = (flagged & (label == 1)).sum(axis=1)
    counted = (
        flagged.sum(axis=1) if policy.policy == "precision" else np.full(len(hits), label.sum())
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        share = hits / counted
        needed = z**2 * share * (1 - share) / (share - policy.target) ** 2
    needed = np.maximum(needed, math.log(level) / math.log(policy.target))  # even if all are right
    labels = np.where(share > policy.target, needed / counted * len(label), math.inf)
    reached = float(np.nanmax(share))
    if not np.isfinite(labels).any():
        return Learned(None, reached=reached)
    return Learned(None, missing=max(1, int(np.nanmin(labels)) - len(label)), reached=reached)


def _of_capacity(capacity: float, score: Floats) -> float:
    """The lowest score at which no more than a share of the rows is flagged."""
    values, counts = np.unique(score, return_counts=True)
    flagged = np.cumsum(counts[::-1])[::-1]
    fits = flagged <= capacity * len(score)
    return float(values[fits][0]) if fits.any() else float(np.nextafter(values[-1], math.inf))
