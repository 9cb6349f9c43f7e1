"""The figures of a judged classifier."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from runner.training.threshold import curve

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]

BLUE, GREY, ORANGE = "#2563a8", "#8a8f98", "#c8601a"


def roc(label: Labels, score: Floats, area: float) -> Figure:
    """True against false positive rate on the test part."""
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(label[order])
    misses = np.arange(1, len(label) + 1) - hits
    axes = _axes("ROC curve", "false positive rate", "true positive rate")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="chance")
    x, y = thin(misses / max(misses[-1], 1)), thin(hits / max(hits[-1], 1))
    axes.plot(x, y, color=BLUE, label=f"area {area:.3f}")
    axes.legend(frameon=False, loc="lower right")
    return _figure(axes)


def precision_recall(label: Labels, score: Floats, threshold: float | None) -> Figure:
    """Precision against recall on the test part, with the learned threshold."""
    values, precision, recall = curve(label, score)
    axes = _axes("Precision and recall", "recall", "precision")
    axes.plot(thin(recall), thin(precision), color=BLUE)
    axes.axhline(label.mean(), color=GREY, linewidth=1, linestyle="--", label="share of positives")
    if threshold is not None and (values >= threshold).any():
        at = int(np.flatnonzero(values >= threshold)[-1])
        axes.plot(recall[at], precision[at], "o", color=ORANGE, label="at the threshold")
    axes.set_ylim(0, 1.02)
    axes.legend(frameon=False)
    return _figure(axes)


def calibration(label: Labels, score: Floats) -> Figure:
    """Share of positives against the mean score, in ten bins of equally many test rows."""
    order = np.argsort(score, kind="stable")
    bins = [part for part in np.array_split(order, 10) if len(part)]
    axes = _axes("Calibration", "mean score", "share of positives")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="perfect")
    means = [float(score[part].mean()) for part in bins]
    axes.plot(means, [float(label[part].mean()) for part in bins], "o-", color=BLUE, label="model")
    axes.legend(frameon=False, loc="upper left")
    return _figure(axes)


def threshold_curve(label: Labels, score: Floats, threshold: float | None) -> Figure:
    """Precision and recall against the threshold on the validation part, where it was learned."""
    values, precision, recall = curve(label, score)
    axes = _axes("What the threshold trades (validation)", "threshold", "")
    axes.plot(thin(values), thin(precision), color=BLUE, label="precision")
    axes.plot(thin(values), thin(recall), color=ORANGE, label="recall")
    if threshold is not None:
        axes.axvline(threshold, color=GREY, linewidth=1, linestyle="--", label="learned")
    axes.legend(frameon=False)
    return _figure(axes)


def confusion(label: Labels, score: Floats, threshold: float) -> Figure:
    """Test rows by truth and by what the threshold says."""
    flagged = score >= threshold
    table = np.array(
        [[np.sum((label == truth) & (flagged == said)) for said in (0, 1)] for truth in (0, 1)]
    )
    axes = _axes("At the threshold (test)", "predicted", "actual")
    axes.imshow(table / table.sum(axis=1, keepdims=True).clip(1), cmap="Blues", vmin=0, vmax=1.3)
    for truth in (0, 1):
        for said in (0, 1):
            share = table[truth, said] / max(table[truth].sum(), 1)
            text = f"{table[truth, said]:,}\n{share:.0%}"
            axes.text(said, truth, text, ha="center", va="center")
    axes.set_xticks([0, 1], ["no", "yes"])
    axes.set_yticks([0, 1], ["no", "yes"])
    axes.spines[:].set_visible(False)
    return _figure(axes)


def importance(names: list[str], drops: Floats) -> Figure:
    """Loss of ROC AUC on test rows when a feature is shuffled.

    Args:
        names: The features.
        drops: Loss for each feature and shuffle, shape (features, repeats).
    """
    order = np.argsort(drops.mean(axis=1))[-12:]  # more would not be readable
    axes = _axes("Permutation importance", "loss of ROC AUC when shuffled", "")
    axes.barh(
        [names[one] for one in order],
        drops[order].mean(axis=1),
        xerr=drops[order].std(axis=1),
        color=BLUE,
        ecolor=GREY,
    )
    axes.tick_params(axis="y", labelsize=8)
    longest = max(len(names[one]) for one in order)
    _figure(axes).subplots_adjust(left=min(0.06 + 0.0135 * longest, 0.5))
    return _figure(axes)


def thin(values: Floats) -> Floats:
    """At most 1,000 points, first and last kept: a curve has no more pixels."""
    if len(values) <= 1000:
        return values
    kept: Floats = values[np.linspace(0, len(values) - 1, 1000).astype(int)]
    return kept


def _axes(title: str, x: str, y: str) -> Axes:
    figure = Figure(figsize=(4.8, 3.6))
    figure.subplots_adjust(left=0.14, right=0.97, bottom=0.15, top=0.9)
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _figure(axes: Axes) -> Figure:
    figure = axes.figure
    assert isinstance(figure, Figure)
    return figure
