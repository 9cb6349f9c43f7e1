"""The charts in the report on a hold: SVG that takes its colours and font from the page."""

import hashlib
import io
import re
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from ml_experiment_runner.project.colours import BLUE, GREY, ORANGE
from ml_experiment_runner.signals.ingestion.hold_comparison import Histogram, Lines, Series
from ml_experiment_runner.signals.plots import draw_steps
from ml_experiment_runner.signals.snapshots.profile import show

WIDE, NARROW, HEIGHT = 620, 380, 230  # units of the SVG
MOST_NAMES = 8  # of partitions below a chart
ID = re.compile(r'( id="|#)([mp][0-9a-f]{10}\b)')  # of a mark or a clipping path
ON_THE_PAGE = {BLUE: "var(--blue)", ORANGE: "var(--orange)", GREY: "var(--line)"}


def draw_lines(lines: Lines) -> str:
    """Numbers by partition; the delivery's are on shaded ground, with larger and square marks."""
    figure, axes = _figure(WIDE, left=52)
    places = {name: number for number, name in enumerate(lines.partitions)}
    end = len(places) - 0.5
    axes.axvspan(places[lines.since] - 0.5, end, color=ORANGE, alpha=0.07, linewidth=0)
    axes.grid(axis="y", color=GREY, linewidth=1)
    _draw_series(axes, lines.past, places, "past", color=BLUE, marker="o", markersize=6)
    _draw_series(axes, lines.delivered, places, "delivery", color=ORANGE, marker="s", markersize=9)
    axes.set_xlim(-0.5, end)
    step = -(-len(places) // MOST_NAMES)
    axes.set_xticks(range(0, len(places), step), lines.partitions[::step])
    if lines.type in ("share", "count"):
        axes.set_ylim(bottom=0)
    set_ticks(axes.yaxis, lines.type)
    return svg(figure)


def draw_histogram(histogram: Histogram, width: float = NARROW) -> str:
    """Shares of the rows in bins; the delivery's have the thicker outline."""
    figure, axes = _figure(width, left=10)
    draw_steps(axes, histogram.edges, histogram.shares, (BLUE, ORANGE))
    axes.axhline(0, color=GREY, linewidth=1)
    axes.set_xlim(histogram.edges[0], histogram.edges[-1])
    set_ticks(axes.xaxis, histogram.type)
    return svg(figure)


def _figure(width: float, left: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width / 72, HEIGHT / 72))
    axes = figure.add_axes((left / width, 26 / HEIGHT, 1 - (left + 8) / width, 1 - 36 / HEIGHT))
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, pad=8)
    axes.set_axisbelow(True)
    return figure, axes


def _draw_series(
    axes: Axes, series: Series, places: dict[str, int], name: str, color: str, **mark: Any
) -> None:
    """A line, and a band where there are quantiles; a short series has bars instead of a band."""
    if not series:
        return
    at = np.array([places[partition] for partition in sorted(series)])
    median, *quantiles = np.array([series[partition] for partition in sorted(series)]).T
    if quantiles:
        if len(at) > 1:
            axes.fill_between(at, *quantiles, color=color, alpha=0.17, linewidth=0)
        if len(at) == 1 or name == "delivery":
            axes.vlines(at, *quantiles, color=color, alpha=0.28, linewidth=7, capstyle="round")
    axes.plot(at, median, color=color, linewidth=2, clip_on=False, gid=name, **mark)


def set_ticks(axis: Axis, type_: str) -> None:
    """Ticks at round numbers, or at equal distances of times."""
    low, high = axis.get_view_interval()
    if type_ in ("timestamp", "date"):
        axis.set_major_locator(FixedLocator([low + (high - low) * at for at in (0.1, 0.5, 0.9)]))
    else:
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(lambda value, _: _tick(value, type_))


def _tick(value: float, type_: str) -> str:
    if type_ == "share":
        return f"{value:g} %"
    if type_ in ("timestamp", "date"):
        return show(value, "date")
    return show(value, type_) if type_ == "time" else f"{value:,.6g}"


def svg(figure: Figure) -> str:
    """The figure as a part of the page, in which an id occurs once."""
    file = io.StringIO()
    # the same rows give the same page
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "hold"}):
        figure.savefig(
            file,
            format="svg",
            transparent=True,
            metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")),
        )
    drawing = file.getvalue()
    drawing = drawing[drawing.index("<svg") :].replace("<g id=", "<g class=")
    digest = hashlib.blake2b(drawing.encode(), digest_size=4).hexdigest()
    drawing = ID.sub(rf"\g<1>c{digest}-\g<2>", drawing)
    drawing = drawing.replace("<svg", '<svg aria-hidden="true"', 1)  # the table has the numbers
    for colour, variable in ON_THE_PAGE.items():
        drawing = drawing.replace(colour, variable)
    return drawing
