"""The threshold on the score, learned on validation data from a target."""

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig


def learn(policy: DictConfig, label: NDArray[np.int8], score: NDArray[np.float64]) -> float | None:
    """The score from which a row counts as positive; None where no threshold reaches the target.

    `f_beta` takes the best F-beta, `precision` the most recall among thresholds with that
    precision, `recall` the most precision among thresholds with that recall.

    Args:
        policy: `policy`, with `beta` or `target`.
        label: 0 or 1, shape (rows,).
        score: Probability of 1, shape (rows,).
    """
    values, precision, recall = curve(label, score)
    if policy.policy == "f_beta":
        weight = float(policy.beta) ** 2
        quality = (1 + weight) * precision * recall / np.maximum(weight * precision + recall, 1e-12)
        reached = np.ones(len(values), dtype=bool)
    elif policy.policy == "precision":
        quality, reached = recall, precision >= policy.target
    else:
        quality, reached = precision, recall >= policy.target
    if not reached.any():
        return None
    return float(values[np.argmax(np.where(reached, quality, -1.0))])


def curve(
    label: NDArray[np.int8], score: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Precision and recall at every distinct score, highest score first, each shape (distinct,)."""
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    last = np.flatnonzero(np.append(np.diff(ordered) != 0, True))
    hits = np.cumsum(label[order], dtype=np.float64)[last]
    return ordered[last], hits / (last + 1), hits / max(hits[-1], 1.0)
