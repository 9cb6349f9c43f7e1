"""The figures of `task=ablate` and `task=blast_radius`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ml_experiment_runner.training.analysis.backward_elimination import Elimination, Worth
from ml_experiment_runner.training.plots.model_plots import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from ml_experiment_runner.training.analysis.effects import Effect

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


def blast(effects: "Sequence[Effect]", metric: str, price: Mapping[str, float]) -> Figure:
    """What a fault of each signal moves, in one model and in an ensemble.

    Args:
        effects: One for each signal, fault and model.
        metric: The main metric in words.
        price: What the ensemble costs, `test/price` with its interval.
    """
    cases = list(dict.fromkeys((one.signal, one.fault) for one in effects))[::-1]
    colours = dict(zip(dict.fromkeys(one.model for one in effects), (ORANGE, BLUE), strict=False))
    figure = Figure(figsize=(10, 1.9 + 0.3 * len(cases)), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    titles = ("answers move by", f"loss of {metric}", "other features' importance moves by")
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, fontsize=10)
        axes.axvline(0, color=GREY, linewidth=1)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", color=GREY, alpha=0.2)
    for one in effects:
        place = cases.index((one.signal, one.fault)) + (0.14 if one.model == "one model" else -0.14)
        look: dict[str, Any] = {"color": colours[one.model], "linewidth": 1.5}
        points = (
            (one.score.mean, one.score.percentile, one.score.most),
            (one.loss.low, one.loss.value, one.loss.high),
            (one.importance, one.importance, one.most),
        )
        for axes, (left, middle, right) in zip(panels, points, strict=True):
            axes.plot([left, right], [place, place], **look)
            axes.plot([middle], [place], "o", color=look["color"], markersize=4)
    panels[0].set_yticks(range(len(cases)), [f"{signal}: {fault}" for signal, fault in cases])
    panels[0].set_xlabel("mean \u2013 99 % \u2013 most, of the logit or number", fontsize=8)
    panels[1].set_xlabel("with 95 % interval", fontsize=8)
    panels[2].set_xlabel("mean \u2013 most", fontsize=8)
    told = "price of the ensemble: {} {:.4f} [{:.4f}, {:.4f}] (test)".format(
        metric, *(price[f"test/price{end}"] for end in ("", "/low", "/high"))
    )
    figure.suptitle(f"What a faulty signal moves \u00b7 {told}", fontsize=11)
    handles = [
        Line2D([], [], color=colour, marker="o", markersize=4, label=model)
        for model, colour in colours.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure
