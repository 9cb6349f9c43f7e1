"""The figures of `task=ablate` and `task=blast_radius`."""

from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from runner.training.elimination import Elimination, Worth
from runner.training.figures import BLUE, GREY, ORANGE

COLOURS = {
    Worth.NEEDED: BLUE,
    Worth.DOUBTFUL: GREY,
    Worth.WORTHLESS: ORANGE,
    Worth.REDUNDANT: ORANGE,
}


def ablation(found: Elimination, metric: str, tolerance: float) -> Figure:
    """What is lost without each: alone, and beside what is left; with the verdict.

    Args:
        found: The verdicts, those that are missed most first.
        metric: The metric in words.
        tolerance: A loss of this much is nothing.
    """
    shown = found.verdicts[::-1]
    figure = Figure(figsize=(7.2, 1.5 + 0.36 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    axes.axvspan(min(0.0, tolerance), tolerance, color=GREY, alpha=0.15, linewidth=0)
    axes.axvline(0, color=GREY, linewidth=1)
    for place, one in enumerate(shown):
        colour = COLOURS[one.worth]
        axes.plot([one.alone.value], [place + 0.2], "o", color=GREY, fillstyle="none", markersize=4)
        axes.plot([one.loss.low, one.loss.high], [place] * 2, color=colour, linewidth=2)
        axes.plot([one.loss.value], [place], "o", color=colour, markersize=5)
        words = f"redundant with {', '.join(one.instead)}" if one.instead else str(one.worth)
        axes.annotate(
            words,
            (1.0, place),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=9,
        )
    axes.set_yticks(range(len(shown)), [one.name for one in shown])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set(title="What each is worth (validation)", xlabel=f"loss of {metric} without it")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    key: dict[str, Any] = {"color": GREY, "linestyle": "none", "marker": "o"}
    alone = Line2D([], [], fillstyle="none", markersize=4, label="without it alone", **key)
    last = Line2D([], [], markersize=5, label="when it was judged last, with 95 % interval", **key)
    figure.legend(handles=[alone, last], loc="outside lower right", ncols=2, frameon=False,
                  fontsize=8)  # fmt: skip
    return figure
