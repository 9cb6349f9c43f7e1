"""The figures of `task=ablate` and `task=blast_radius`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ml_experiment_runner.project.colours import BLUE, GREY, ORANGE
from ml_experiment_runner.training.analysis.backward_elimination import EliminationResult, Worth

if TYPE_CHECKING:
    from ml_experiment_runner.training.analysis.effects import Effect

COLOURS = {
    Worth.NEEDED: BLUE,
    Worth.DOUBTFUL: GREY,
    Worth.WORTHLESS: ORANGE,
    Worth.REDUNDANT: ORANGE,
}


def ablation(result: EliminationResult, metric: str, tolerance: float) -> Figure:
    """What is lost without each: alone, and beside what is left; with the verdict.

    Args:
        result: The verdicts, those that are missed most first.
        metric: The metric in words.
        tolerance: A loss of this much is nothing.
    """
    shown = result.verdicts[::-1]
    figure = Figure(figsize=(7.2, 1.5 + 0.36 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    axes.axvspan(min(0.0, tolerance), tolerance, color=GREY, alpha=0.15, linewidth=0)
    axes.axvline(0, color=GREY, linewidth=1)
    for place, verdict in enumerate(shown):
        colour = COLOURS[verdict.worth]
        axes.plot(
            [verdict.alone.value], [place + 0.2], "o", color=GREY, fillstyle="none", markersize=4
        )
        axes.plot([verdict.loss.low, verdict.loss.high], [place] * 2, color=colour, linewidth=2)
        axes.plot([verdict.loss.value], [place], "o", color=colour, markersize=5)
        redundant = f"redundant with {', '.join(verdict.instead)}"
        axes.annotate(
            redundant if verdict.instead else str(verdict.worth),
            (1.0, place),
            xycoords=("axes fraction", "data"),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=9,
        )
    axes.set_yticks(range(len(shown)), [verdict.name for verdict in shown])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set(title="Ablation (validation)", xlabel=f"loss of {metric} without it")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    key: dict[str, Any] = {"color": GREY, "linestyle": "none", "marker": "o"}
    alone = Line2D([], [], fillstyle="none", markersize=4, label="without it alone", **key)
    last = Line2D(
        [], [], markersize=5, label="when it was evaluated last, with 95 % interval", **key
    )
    figure.legend(handles=[alone, last], loc="outside lower right", ncols=2, frameon=False,
                  fontsize=8)  # fmt: skip
    return figure


def blast(effects: "Sequence[Effect]", metric: str, quality_gap: Mapping[str, float]) -> Figure:
    """What a fault of each signal moves, in one model and in an ensemble.

    Args:
        effects: One for each signal, fault and model.
        metric: The main metric in words.
        quality_gap: `test/quality_gap` of the ensemble with its interval.
    """
    cases = list(dict.fromkeys((effect.signal, effect.fault) for effect in effects))[::-1]
    colours = dict(
        zip(dict.fromkeys(effect.model for effect in effects), (ORANGE, BLUE), strict=False)
    )
    figure = Figure(figsize=(10, 1.9 + 0.3 * len(cases)), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    titles = ("answers move by", f"loss of {metric}", "other features' importance moves by")
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, fontsize=10)
        axes.axvline(0, color=GREY, linewidth=1)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="y", color=GREY, alpha=0.2)
    for effect in effects:
        offset = 0.14 if effect.model == "one model" else -0.14
        place = cases.index((effect.signal, effect.fault)) + offset
        look: dict[str, Any] = {"color": colours[effect.model], "linewidth": 1.5}
        points = (
            (effect.score.mean, effect.score.percentile, effect.score.most),
            (effect.loss.low, effect.loss.value, effect.loss.high),
            (effect.importance, effect.importance, effect.most),
        )
        for axes, (left, middle, right) in zip(panels, points, strict=True):
            axes.plot([left, right], [place, place], **look)
            axes.plot([middle], [place], "o", color=look["color"], markersize=4)
    panels[0].set_yticks(range(len(cases)), [f"{signal}: {fault}" for signal, fault in cases])
    panels[0].set_xlabel("mean \u2013 99 % \u2013 most, of the logit or number", fontsize=8)
    panels[1].set_xlabel("with 95 % interval", fontsize=8)
    panels[2].set_xlabel("mean \u2013 most", fontsize=8)
    caption = "quality gap of the ensemble: {} {:.4f} [{:.4f}, {:.4f}] (test)".format(
        metric, *(quality_gap[f"test/quality_gap{end}"] for end in ("", "/low", "/high"))
    )
    figure.suptitle(f"What a faulty signal moves \u00b7 {caption}", fontsize=11)
    handles = [
        Line2D([], [], color=colour, marker="o", markersize=4, label=model)
        for model, colour in colours.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    return figure
