"""The picture of what differs between two versions of a signal."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea
from numpy.typing import NDArray

from ml_experiment_runner.project.colours import BLUE, GREY, ORANGE
from ml_experiment_runner.project.text import shorten
from ml_experiment_runner.signals.odcs.values import NUMERIC
from ml_experiment_runner.signals.plots import draw_steps
from ml_experiment_runner.signals.snapshots.diff import (
    FIFTH,
    LAST_FIFTH,
    MEDIAN,
    Comparison,
    FieldDifference,
    below,
    moved,
    null_share,
    shares,
)
from ml_experiment_runner.signals.snapshots.profile import ColumnProfile, moment

MOST, MOST_GAPS = 6, 8  # more would not be readable
BINS = 32
LONGEST = 16  # characters of a value


def draw(comparison: Comparison) -> Figure:
    """The most changed fields: over the partitions, and all of their rows together."""
    drawn = [change for change in comparison.changes if _can_be_drawn(comparison, change.field)][
        :MOST
    ]
    gaps = min(len(comparison.gaps), MOST_GAPS)
    heights = [1.7] * len(drawn) + [0.3 + 0.24 * gaps] * bool(gaps)
    height = sum(heights) + 0.8 * len(heights) + 0.75
    figure = Figure(figsize=(9.6, height))
    grid = GridSpec(
        max(len(heights), 1), 2, figure, width_ratios=[1.55, 1], wspace=0.16,
        hspace=0.8 * len(heights) / max(sum(heights), 1), left=0.075, right=0.965,
        top=1 - 1.1 / height, bottom=0.4 / height, height_ratios=heights or [1],
    )  # fmt: skip
    _head(figure, comparison, 1 - 0.35 / height, 1 - 0.62 / height)
    for row, change in enumerate(drawn):
        together = (
            comparison.merged[0].columns[change.field],
            comparison.merged[1].columns[change.field],
        )
        over = len(comparison.common) > 1
        beside = _axes(figure, grid, row, slice(1, 2) if over else slice(0, 2))
        axes = _axes(figure, grid, row, slice(0, 1)) if over else beside
        axes.set_title(_title(comparison, change), loc="left", size=10.5, weight="bold")
        if over:
            _over_partitions(axes, comparison, change)
        if together[0].quantiles:
            _histogram(beside, together, comparison.after.fields[change.field]["type"])
        else:
            _bars(beside, together)
    if gaps:
        _relations(_axes(figure, grid, len(drawn), slice(0, 2)), comparison)
    return figure


def _head(figure: Figure, comparison: Comparison, upper: float, lower: float) -> None:
    """The signal, the versions' colours, and how to read what is below."""
    labels = [(comparison.after.signal, "black"), *zip(comparison.names, (GREY, BLUE), strict=True)]
    packed = HPacker(
        children=[
            TextArea(label, textprops={"color": color, "size": 13}) for label, color in labels
        ],
        sep=18,
    )
    figure.add_artist(
        AnchoredOffsetbox(
            "center left", child=packed, frameon=False, pad=0, borderpad=0,
            bbox_to_anchor=(0.075, upper), bbox_transform=figure.transFigure,
        )
    )  # fmt: skip
    figure.text(
        0.075, lower, "left: by partition, the median and the middle 90 % of the rows "
        "(of texts and nulls their share); right: all compared rows", color=GREY, size=8,
    )  # fmt: skip


def _over_partitions(axes: Axes, comparison: Comparison, change: FieldDifference) -> None:
    """Shares of nulls where they changed most; else of values, or median and middle 90 %."""
    at = np.arange(len(comparison.common))
    kind = comparison.after.fields[change.field]["type"]
    parts = [
        [profile.partitions[name] for name in comparison.common]
        for profile in (comparison.before, comparison.after)
    ]
    old, new = (part.columns[change.field] for part in comparison.merged)
    if change.by_nulls:
        for rows, color in zip(parts, (GREY, BLUE), strict=True):
            axes.plot(at, [100 * null_share(part, change.field) for part in rows], "o-",
                      color=color, markersize=3.5)  # fmt: skip
        axes.set_ylabel("% without value", size=8)
    elif old.quantiles:
        for rows, color in zip(parts, (GREY, BLUE), strict=True):
            quantiles = [part.columns[change.field].quantiles for part in rows]
            low, middle, high = (
                _times([at_levels[level] if at_levels else np.nan for at_levels in quantiles], kind)
                for level in (FIFTH, MEDIAN, LAST_FIFTH)
            )
            axes.fill_between(at, low, high, color=color, alpha=0.18, linewidth=0)
            axes.plot(at, middle, "o-", color=color, markersize=3.5)
    else:
        values = moved(old, new)[:3]
        for rows, color in zip(parts, (GREY, BLUE), strict=True):
            for value, style in zip(values, ("-", "--", ":"), strict=False):
                share = [100 * shares(part.columns[change.field]).get(value, 0) for part in rows]
                axes.plot(at, share, style, color=color)
                if color == BLUE:
                    axes.annotate(shorten(value, LONGEST), (at[-1], share[-1]), xytext=(4, 0),
                                  size=8, textcoords="offset points", va="center")  # fmt: skip
        axes.set_ylabel("% of rows", size=8)
    step = max(1, len(at) // 6)
    axes.set_xticks(at[::step], comparison.common[::step])


def _histogram(axes: Axes, columns: Sequence[ColumnProfile], kind: str) -> None:
    """Shares of the rows in bins, read off the quantiles; the outermost 1 % are left out."""
    low = min(column.quantiles[1] for column in columns)
    high = max(column.quantiles[-2] for column in columns)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    width = (high - low) / BINS
    edges = np.linspace(low - width, high + width, BINS + 3)
    shares_in_bins = [np.diff(below(column, edges)) for column in columns]
    draw_steps(axes, _times(edges, kind), shares_in_bins, (GREY, BLUE))


def _bars(axes: Axes, columns: tuple[ColumnProfile, ColumnProfile]) -> None:
    """Shares of the values that moved most."""
    values = moved(*columns)[:6]
    at = np.arange(len(values))
    for column, color, shift in zip(columns, (GREY, BLUE), (-0.2, 0.2), strict=True):
        known = shares(column)
        axes.barh(at + shift, [100 * known.get(value, 0) for value in values], 0.38, color=color)
    axes.set_yticks(at, [shorten(value, LONGEST) for value in values])
    axes.invert_yaxis()
    axes.set_xlabel("% of rows", size=8)


def _relations(axes: Axes, comparison: Comparison) -> None:
    """Rank correlations before and after."""
    gaps = comparison.gaps[:MOST_GAPS]
    at = np.arange(len(gaps))
    place = axes.get_position()
    axes.set_position((0.24, place.y0, place.x1 - 0.24, place.height))
    axes.set_title("rank correlations", loc="left", size=10.5, weight="bold")
    before, after = [gap.before for gap in gaps], [gap.after for gap in gaps]
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.hlines(at, before, after, color=ORANGE, linewidth=1.5)
    axes.plot(before, at, "o", color=GREY)
    axes.plot(after, at, "o", color=BLUE)
    axes.set_yticks(at, [" ~ ".join(gap.fields) for gap in gaps])
    axes.set_ylim(len(gaps) - 0.5, -0.5)
    axes.set_xlim(-1.03, 1.03)


def _title(comparison: Comparison, change: FieldDifference) -> str:
    old, new = (
        profile.fields[change.field].get("unit", "")
        for profile in (comparison.before, comparison.after)
    )
    unit = new if old == new else f"{old or 'no unit'} → {new or 'no unit'}"
    return f"{change.field}{f' [{unit}]' if unit else ''}   {change.size:.0%} changed"


def _can_be_drawn(comparison: Comparison, field: str) -> bool:
    """Whether both have values of the field, on the same scale."""
    columns = [part.columns.get(field) for part in comparison.merged]
    if not all(column and (column.quantiles or column.top) for column in columns):
        return False
    old, new = (profile.fields[field]["type"] for profile in (comparison.before, comparison.after))
    return bool(old == new or {old, new} == set(NUMERIC))


def _times(values: Sequence[float] | NDArray[np.float64], kind: str) -> NDArray[Any]:
    """Values as an axis takes them."""
    if kind not in ("timestamp", "date"):
        return np.asarray(values, float)
    return np.array([moment(value) for value in values])


def _axes(figure: Figure, grid: GridSpec, row: int, columns: slice) -> Axes:
    axes = figure.add_subplot(grid[row, columns])
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return axes
