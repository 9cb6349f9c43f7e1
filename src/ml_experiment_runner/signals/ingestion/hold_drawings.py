"""Draws the pictures of changes in the report on a hold, as `hold_charts` draws its charts."""

import datetime
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ml_experiment_runner.project.colours import BLUE, GREY, ORANGE
from ml_experiment_runner.signals.drift.rows import Numbers
from ml_experiment_runner.signals.ingestion.hold_bars import Bars
from ml_experiment_runner.signals.ingestion.hold_charts import WIDE, set_ticks, svg
from ml_experiment_runner.signals.ingestion.hold_courses import Course
from ml_experiment_runner.signals.ingestion.hold_pairs import Heatmap, Scatter

HEIGHT = 250  # units of the SVG
ROW = 30  # of a group whose name is beside it
LETTER = 8.0  # the width of one on a narrow screen, where they are larger
MOST_TICKS = 5
FEW = 60  # steps of the past that have marks
WEAKEST = 3  # % that a cell is labelled from
BLUE_MARK: dict[str, Any] = {"color": BLUE, "marker": "o"}
ORANGE_MARK: dict[str, Any] = {"color": ORANGE, "marker": "s"}


def draw_course(course: Course) -> str:
    """A line through time; the delivery is on shaded ground, and a line is where it begins."""
    figure, axes = _figure(HEIGHT, left=56, bottom=26, top=24)
    steps = course.steps
    place = np.arange(steps.total)
    axes.axvspan(steps.past - 0.5, steps.total - 0.5, color=ORANGE, alpha=0.08, linewidth=0)
    axes.grid(axis="y", color=GREY, linewidth=1)
    size = 4.5 if steps.total <= FEW else 3
    series = ((course.past, "past", BLUE_MARK, size), (course.delivered, "delivery", ORANGE_MARK,
              size + 1 if steps.delivered > 1 else 9))  # fmt: skip
    for number, (values, name, mark, width) in enumerate(series):
        if course.bands is not None:
            low, high = course.bands[number]
            axes.fill_between(place, low, high, color=mark["color"], alpha=0.17, linewidth=0)
            if (~np.isnan(low)).sum() == 1:
                axes.vlines(place, low, high, color=mark["color"], alpha=0.28, linewidth=7)
        axes.plot(place, values, linewidth=1.6, clip_on=False, gid=name, markersize=width, **mark)
    axes.set_xlim(-0.5, steps.total - 0.5)
    if course.type in ("share", "count"):
        top = np.nanmax([course.past, course.delivered])
        axes.set_ylim(0, top * 1.06 if top > 0 else 1)
    set_ticks(axes.yaxis, course.type)
    ticks = _dates(course)
    axes.set_xticks([at for at, _ in ticks], [label for _, label in ticks])
    if course.begins is not None:
        at = course.begins - 0.5
        axes.axvline(at, color=ORANGE, linewidth=1.6, linestyle=(0, (4, 3)), gid="begin")
        is_left = at < 0.6 * steps.total
        day = f"from {course.day(course.begins):%-d %b %Y}"
        axes.text(at, 1.03, day, transform=axes.get_xaxis_transform(),
                  ha="left" if is_left else "right")  # fmt: skip
    return svg(figure)


def _dates(course: Course) -> list[tuple[float, str]]:
    """First days of months, or of years, as many as fit; other days where there is none."""
    steps = course.steps
    first, last = course.day(0), course.day(steps.total - 1)
    months = [
        datetime.date(month // 12, month % 12 + 1, 1)
        for month in range(first.year * 12 + first.month - 1, last.year * 12 + last.month)
    ]
    days = [day for day in months if first <= day <= last]
    if len(days) < 2:
        span = max(1, (last - first).days // MOST_TICKS)
        days = [first + datetime.timedelta(days=number * span) for number in range(MOST_TICKS)]
    days = days[:: -(-len(days) // MOST_TICKS)]
    epoch = datetime.date(1970, 1, 1)
    labels = []
    for number, day in enumerate(days):
        has_year = number == 0 or day.year != days[number - 1].year
        at = ((day - epoch).days - steps.first) / steps.days + steps.past
        labels.append((at, f"{day:%-d %b %Y}" if has_year else f"{day:%-d %b}"))
    return labels


def draw_bars(bars: Bars) -> str:
    """Groups beside each other, or one below the other where their names are long."""
    if bars.shape == "dots":
        return _draw_dots(bars)
    figure, axes = _figure(HEIGHT, left=56, bottom=26, top=10)
    place = np.arange(len(bars.names))
    axes.grid(axis="y", color=GREY, linewidth=1)
    if bars.shape == "points":
        axes.plot(place, bars.before, linewidth=1.8, markersize=5, gid="before", **BLUE_MARK)
        axes.plot(place, bars.delivery, linewidth=1.8, markersize=6, gid="after", **ORANGE_MARK)
    else:
        axes.bar(place - 0.2, bars.before, 0.36, color=BLUE, gid="before")
        axes.bar(place + 0.2, bars.delivery, 0.36, color=ORANGE, gid="after")
        axes.set_ylim(0, max(np.nanmax([bars.before, bars.delivery]) * 1.06, 1e-9))
    axes.set_xlim(-0.6, len(place) - 0.4)
    step = -(-len(place) // 12)
    axes.set_xticks(place[::step], bars.names[::step])
    set_ticks(axes.yaxis, bars.type)
    return svg(figure)


def _draw_dots(bars: Bars) -> str:
    """A line for each group, from what it was to what it is."""
    left = 20 + LETTER * max(map(len, bars.names))
    figure, axes = _figure(ROW * len(bars.names) + 36, left=left, bottom=26, top=10)
    place = np.arange(len(bars.names))
    axes.grid(axis="x", color=GREY, linewidth=1)
    axes.hlines(place, bars.before, bars.delivery, color=ORANGE, alpha=0.35, linewidth=4)
    axes.plot(bars.before, place, linestyle="", markersize=8, gid="before", **BLUE_MARK)
    axes.plot(bars.delivery, place, linestyle="", markersize=8, gid="after", **ORANGE_MARK)
    axes.set_ylim(len(place) - 0.5, -0.5)
    axes.set_yticks(place, bars.names)
    set_ticks(axes.xaxis, bars.type)
    return svg(figure)


def draw_scatter(scatter: Scatter) -> str:
    """Points of before, and over them the delivery's, which are squares."""
    figure, axes = _figure(330, left=62, bottom=46, top=26)
    axes.grid(color=GREY, linewidth=1, alpha=0.6)
    for points, mark, name, size in (
        (scatter.before, BLUE_MARK, "before", 4), (scatter.delivery, ORANGE_MARK, "after", 4.5),
    ):  # fmt: skip
        axes.plot(points[:, 0], points[:, 1], linestyle="", markersize=size, alpha=0.5,
                  markeredgewidth=0, gid=name, **mark)  # fmt: skip
    for axis in (axes.xaxis, axes.yaxis):
        set_ticks(axis, "number")
    axes.set_xlabel(scatter.names[0], labelpad=8)
    # above the axis: beside it, it would stand on end
    axes.text(0, 1.03, scatter.names[1], transform=axes.transAxes, ha="left")
    return svg(figure)


def draw_heatmap(heatmap: Heatmap) -> str:
    """Two tables beside each other whose cells are the darker, the larger their share."""
    rows, columns = heatmap.before.shape
    left = 20 + LETTER * max(map(len, heatmap.down))
    height = ROW * rows + 84
    figure = Figure(figsize=(WIDE / 72, height / 72))
    width = (WIDE - left - 28) / 2
    rotated = max(map(len, heatmap.across)) * LETTER > width / columns
    bottom = 62 if rotated else 30
    tables = (("before", heatmap.before, BLUE), ("delivery", heatmap.delivery, ORANGE))
    for number, (title, shares, color) in enumerate(tables):
        axes = figure.add_axes((
            (left + number * (width + 20)) / WIDE, bottom / height, width / WIDE,
            (height - bottom - 26) / height,
        ))  # fmt: skip
        _bare(axes)
        _draw_cells(axes, shares, color)
        slant: dict[str, Any] = {"rotation": 30, "ha": "right"} if rotated else {}
        axes.set_xticks(range(columns), heatmap.across, **slant)
        axes.set_yticks(range(rows), heatmap.down if number == 0 else [""] * rows)
        axes.text(0, 1 + 6 / (ROW * rows), title, transform=axes.transAxes, ha="left")
    return svg(figure)


def _draw_cells(axes: Axes, shares: Numbers, color: str) -> None:
    rows, columns = shares.shape
    for (row, column), share in np.ndenumerate(shares):
        axes.add_patch(Rectangle((column - 0.47, row - 0.45), 0.94, 0.9, facecolor=color,
                                 alpha=0.05 + 0.55 * share / 100, linewidth=0))  # fmt: skip
        if share >= WEAKEST:
            axes.text(column, row, f"{share:.0f}", ha="center", va="center")
    axes.set_xlim(-0.5, columns - 0.5)
    axes.set_ylim(rows - 0.5, -0.5)


def _figure(height: float, left: float, bottom: float, top: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDE / 72, height / 72))
    axes = figure.add_axes((
        left / WIDE, bottom / height, 1 - (left + 12) / WIDE, 1 - (bottom + top) / height
    ))  # fmt: skip
    _bare(axes)
    return figure, axes


def _bare(axes: Axes) -> None:
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, pad=8)
    axes.set_axisbelow(True)
