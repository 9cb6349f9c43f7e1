"""The plots of an evaluated model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ml_experiment_runner.project.colours import BLUE, GREY, ORANGE
from ml_experiment_runner.training.arrays import BinaryLabels, Floats
from ml_experiment_runner.training.thresholds.policies import curve

if TYPE_CHECKING:
    from ml_experiment_runner.training.evaluation.slices import Slice


COLOURS = (BLUE, ORANGE, "#3a8f5c", "#8a5bb5", "#b0902a", "#b5496b")
MAX_BARS = 12  # more names would not be readable


def roc(label: BinaryLabels, score: Floats, area: float) -> Figure:
    """True against false positive rate on the test split."""
    axes = _roc_axes("ROC curve")
    axes.plot(*_rates(label, score), color=BLUE, label=f"area {area:.3f}")
    axes.legend(frameon=False, loc="lower right")
    return _figure(axes)


def roc_by_class(label: NDArray[np.str_], chances: Floats, classes: Sequence[str]) -> Figure:
    """The ROC curve of each class against the rest on the test split; of six classes at most."""
    shown = min(len(classes), len(COLOURS))
    axes = _roc_axes(counted("ROC curve, class against rest", shown, len(classes)))
    for number, (name, colour) in enumerate(zip(classes, COLOURS, strict=False)):
        axes.plot(*_rates(label == name, chances[:, number]), color=colour, label=name)
    axes.legend(frameon=False, loc="lower right")
    return _figure(axes)


def precision_recall(label: BinaryLabels, score: Floats, threshold: float | None) -> Figure:
    """Precision against recall on the test split, with the learned threshold."""
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


def calibration(label: BinaryLabels, score: Floats) -> Figure:
    """Share of positives against the mean score, in ten bins of equally many test rows."""
    axes = _axes("Calibration", "mean score", "share of positives")
    _draw_calibration(axes, label.astype(np.float64), score)
    return _figure(axes)


def calibration_by_class(
    label: NDArray[np.str_], chances: Floats, classes: Sequence[str]
) -> Figure:
    """Accuracy of the likeliest class against its probability, in ten bins of test rows."""
    is_right = np.array(classes)[chances.argmax(axis=1)] == label
    axes = _axes("Calibration", "probability of the likeliest class", "accuracy")
    _draw_calibration(axes, is_right.astype(np.float64), chances.max(axis=1))
    return _figure(axes)


def calibration_of_regression(label: Floats, prediction: Floats) -> Figure:
    """Mean label against mean prediction, in ten bins of equally many test rows."""
    axes = _axes("Calibration", "mean prediction", "mean label")
    _draw_calibration(axes, label, prediction)
    return _figure(axes)


def errors(label: Floats, prediction: Floats) -> Figure:
    """Distribution of the prediction errors on the test split, without its outer 1 %."""
    error = prediction - label
    low, high = np.quantile(error, [0.005, 0.995])
    axes = _axes("Errors", "prediction minus label", "share of rows")
    inside = error[(error >= low) & (error <= high)]
    axes.hist(inside, bins=40, weights=np.full(len(inside), 1 / len(error)), color=BLUE)
    axes.axvline(0, color=GREY, linewidth=1, linestyle="--")
    axes.axvline(error.mean(), color=ORANGE, linewidth=1, label=f"mean {error.mean():.3g}")
    axes.legend(frameon=False)
    return _figure(axes)


def threshold_curve(label: BinaryLabels, score: Floats, threshold: float | None) -> Figure:
    """Precision and recall against the threshold on the validation split, where it was learned."""
    values, precision, recall = curve(label, score)
    axes = _axes("Precision and recall by threshold (validation)", "threshold", "")
    axes.plot(thin(values), thin(precision), color=BLUE, label="precision")
    axes.plot(thin(values), thin(recall), color=ORANGE, label="recall")
    if threshold is not None:
        axes.axvline(threshold, color=GREY, linewidth=1, linestyle="--", label="learned")
    axes.legend(frameon=False)
    return _figure(axes)


def confusion(label: BinaryLabels, score: Floats, threshold: float) -> Figure:
    """The confusion matrix at the threshold, on the test split."""
    axes = _axes("Confusion matrix (test)", "predicted", "actual")
    _draw_confusion(axes, label, (score >= threshold).astype(np.int8), (0, 1), ("no", "yes"))
    return _figure(axes)


def confusion_by_class(label: NDArray[np.str_], chances: Floats, classes: Sequence[str]) -> Figure:
    """The confusion matrix of the likeliest class, on the test split; of eight classes at most."""
    predicted = np.array(classes)[chances.argmax(axis=1)]
    names, counts = np.unique(label, return_counts=True)
    shown = sorted(names[np.argsort(-counts, kind="stable")[:8]])
    title = counted("Confusion matrix (test)", len(shown), len(names))
    axes = _axes(title, "predicted", "actual")
    _draw_confusion(axes, label, predicted, shown, shown)
    return _figure(axes)


def importance(names: list[str], drops: Floats, metric: str) -> Figure:
    """The permutation importance of the features, on test rows.

    Args:
        names: The features.
        drops: Loss of the metric by feature and shuffle, shape (features, repeats).
        metric: The metric's label.
    """
    order = np.argsort(drops.mean(axis=1))[-MAX_BARS:]
    title = counted("Permutation importance", len(order), len(names))
    axes = _axes(title, f"loss of {metric} when shuffled", "")
    shown = [names[number] for number in order]
    axes.barh(
        shown,
        drops[order].mean(axis=1),
        xerr=drops[order].std(axis=1),
        color=BLUE,
        ecolor=GREY,
    )
    _widen_margin(axes, shown)
    return _figure(axes)


def slices(evaluated: "Sequence[Slice]", whole: float, metric: str) -> Figure:
    """The weakest slices of the test split, with intervals, beside the metric on all rows.

    Args:
        evaluated: The slices, the worst first.
        whole: The metric on all rows.
        metric: The metric's label.
    """
    shown = [group for group in evaluated if group.value is not None][:MAX_BARS][::-1]
    title = counted("The weakest slices (test)", len(shown), len(evaluated))
    axes = _axes(title, metric, "")
    axes.axvline(whole, color=GREY, linewidth=1, linestyle="--", label="all rows")
    for place, group in enumerate(shown):
        colour = ORANGE if group.is_worse else BLUE
        if group.low is not None and group.high is not None:
            axes.hlines(place, group.low, group.high, color=colour, linewidth=1.5)
        axes.plot([group.value or 0.0], [place], "o", color=colour, markersize=4)
    names = [f"{group.name} ({group.rows:,})" for group in shown]
    axes.set_yticks(range(len(shown)), names)
    axes.legend(frameon=False, fontsize=8)
    _widen_margin(axes, names)
    return _figure(axes)


def counted(title: str, shown: int, count: int) -> str:
    """A title with the number of items that are shown, where it is not all of them."""
    return title if shown == count else f"{title}: {shown} of {count}"


def thin(values: Floats) -> Floats:
    """At most 1,000 points, with the first and the last: a curve has no more pixels."""
    if len(values) <= 1000:
        return values
    thinned: Floats = values[np.linspace(0, len(values) - 1, 1000).astype(int)]
    return thinned


def _rates(label: NDArray[Any], score: Floats) -> tuple[Floats, Floats]:
    """False and true positive rates, the highest scores first."""
    order = np.argsort(-score, kind="stable")
    true = np.cumsum(label[order])
    false = np.arange(1, len(label) + 1) - true
    return thin(false / max(false[-1], 1)), thin(true / max(true[-1], 1))


def _roc_axes(title: str) -> Axes:
    axes = _axes(title, "false positive rate", "true positive rate")
    axes.axline((0, 0), slope=1, color=GREY, linewidth=1, linestyle="--", label="chance")
    return axes


def _draw_calibration(axes: Axes, truth: Floats, prediction: Floats) -> None:
    """Draws ten bins of equally many rows, with 95 % intervals of their means."""
    order = np.argsort(prediction, kind="stable")
    bins = [rows for rows in np.array_split(order, 10) if len(rows)]
    x = np.array([prediction[rows].mean() for rows in bins])
    y = np.array([truth[rows].mean() for rows in bins])
    spread = np.array([1.96 * truth[rows].std() / np.sqrt(len(rows)) for rows in bins])
    axes.axline((x[0], x[0]), slope=1, color=GREY, linewidth=1, linestyle="--", label="perfect")
    axes.errorbar(x, y, yerr=spread, fmt="o-", color=BLUE, markersize=4, label="model")
    axes.legend(frameon=False, loc="upper left")


def _draw_confusion(
    axes: Axes,
    truth: NDArray[Any],
    predicted: NDArray[Any],
    values: Sequence[object],
    names: Sequence[str],
) -> None:
    counts = np.array([[np.sum((truth == actual) & (predicted == value)) for value in values]
                       for actual in values])  # fmt: skip
    shares = counts / np.array([np.sum(truth == actual) for actual in values]).clip(1)[:, None]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.3)
    for (row, column), count in np.ndenumerate(counts):
        text = f"{count:,}\n{shares[row, column]:.0%}"
        size = 10 if len(values) < 4 else 6
        axes.text(column, row, text, ha="center", va="center", fontsize=size)
    axes.set_xticks(range(len(values)), names, rotation=0 if len(values) < 4 else 45)
    axes.set_yticks(range(len(values)), names)
    axes.spines[:].set_visible(False)


def _axes(title: str, x: str, y: str) -> Axes:
    figure = Figure(figsize=(4.8, 3.6))
    figure.subplots_adjust(left=0.14, right=0.97, bottom=0.15, top=0.9)
    axes = figure.add_subplot()
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def _widen_margin(axes: Axes, names: Sequence[str]) -> None:
    """Makes room for names beside the axes; ten times as fast as a constrained layout."""
    axes.tick_params(axis="y", labelsize=8)
    longest = max(map(len, names), default=0)
    _figure(axes).subplots_adjust(left=min(0.06 + 0.0135 * longest, 0.5))


def _figure(axes: Axes) -> Figure:
    figure = axes.figure
    assert isinstance(figure, Figure)
    return figure
