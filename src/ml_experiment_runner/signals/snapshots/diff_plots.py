"""The picture of what differs between two versions of a signal."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.offsetbox import AnchoredOffsetbox, HPacker, TextArea
from numpy.typing import NDArray

from ml_experiment_runner.signals.odcs.values import NUMERIC
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

BLUE, GREY, ORANGE = "#2563a8", "#8a8f98", "#c8601a"
MOST, MOST_GAPS = 6, 8  # more would not be readable
BINS = 32


def draw(found: Comparison) -> Figure:
    """The most changed fields: over the partitions, and all of their rows together."""
    drawn = [change for change in found.changes if _can_be_drawn(found, change.field)][:MOST]
    gaps = min(len(found.gaps), MOST_GAPS)
    heights = [1.7] * len(drawn) + [0.3 + 0.24 * gaps] * bool(gaps)
    height = sum(heights) + 0.8 * len(heights) + 0.75
    figure = Figure(figsize=(9.6, height))
    grid = GridSpec(
        max(len(heights), 1), 2, figure, width_ratios=[1.55, 1], wspace=0.16,
        hspace=0.8 * len(heights) / max(sum(heights), 1), left=0.075, right=0.965,
        top=1 - 1.1 / height, bottom=0.4 / height, height_ratios=heights or [1],
    )  # fmt: skip
    _head(figure, found, 1 - 0.35 / height, 1 - 0.62 / height)
    for row, change in enumerate(drawn):
        together = found.merged[0].columns[change.field], found.merged[1].columns[change.field]
        over = len(found.common) > 1
        beside = _axes(figure, grid, row, slice(1, 2) if over else slice(0, 2))
        axes = _axes(figure, grid, row, slice(0, 1)) if over else beside
        axes.set_title(_title(found, change), loc="left", size=10.5, weight="bold")
        if over:
            _over_partitions(axes, found, change)
        if together[0].quantiles:
            _histogram(beside, together, found.after.fields[change.field]["type"])
        else:
            _bars(beside, together)
    if gaps:
        _relations(_axes(figure, grid, len(drawn), slice(0, 2)), found)
    return figure


def _head(figure: Figure, found: Comparison, upper: float, lower: float) -> None:
    """The signal, the versions' colours, and how to read what is below."""
    words = [(found.after.signal, "black"), *zip(found.names, (GREY, BLUE), strict=True)]
    packed = HPacker(
        children=[TextArea(word, textprops={"color": color, "size": 13}) for word, color in words],
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


def _over_partitions(axes: Axes, found: Comparison, change: FieldDifference) -> None:
    """Shares of nulls where they changed most; else of values, or median and middle 90 %."""
    at = np.arange(len(found.common))
    kind = found.after.fields[change.field]["type"]
    parts = [[one.partitions[name] for name in found.common] for one in (found.before, found.after)]
    one, other = (part.columns[change.field] for part in found.merged)
    if change.by_nulls:
        for rows, color in zip(parts, (GREY, BLUE), strict=True):
            axes.plot(at, [100 * null_share(part, change.field) for part in rows], "o-",
                      color=color, markersize=3.5)  # fmt: skip
        axes.set_ylabel("% without value", size=8)
    elif one.quantiles:
        for rows, color in zip(parts, (GREY, BLUE), strict=True):
            told = [part.columns[change.field].quantiles for part in rows]
            low, middle, high = (
                _times([each[level] if each else np.nan for each in told], kind)
                for level in (FIFTH, MEDIAN, LAST_FIFTH)
            )
            axes.fill_between(at, low, high, color=color, alpha=0.18, linewidth=0)
            axes.plot(at, middle, "o-", color=color, markersize=3.5)
    else:
        values = moved(one, other)[:3]
        for rows, color in zip(parts, (GREY, BLUE), strict=True):
            for value, style in zip(values, ("-", "--", ":"), strict=False):
                share = [100 * shares(part.columns[change.field]).get(value, 0) for part in rows]
                axes.plot(at, share, style, color=color)
                if color == BLUE:
                    axes.annotate(_fitted(value), (at[-1], share[-1]), xytext=(4, 0), size=8,
                                  textcoords="offset points", va="center")  # fmt: skip
        axes.set_ylabel("% of rows", size=8)
    step = max(1, len(at) // 6)
    axes.set_xticks(at[::step], found.common[::step])


def _histogram(axes: Axes, columns: Sequence[ColumnProfile], kind: str) -> None:
    """Shares of the rows in bins, read off the quantiles; the outermost 1 % are left out."""
    low = min(column.quantiles[1] for column in columns)
    high = max(column.quantiles[-2] for column in columns)
    if high <= low:
        low, high = low - 0.5, high + 0.5
    width = (high - low) / BINS
    edges = np.linspace(low - width, high + width, BINS + 3)
    for column, color in zip(columns, (GREY, BLUE), strict=True):
        share = 100 * np.diff(below(column, edges))
        axes.stairs(share, _times(edges, kind), fill=True, color=color, alpha=0.3)
        axes.stairs(share, _times(edges, kind), color=color, linewidth=1.2)
    axes.set_yticks([])
    axes.set_ylim(bottom=0)
    axes.spines["left"].set_visible(False)


def _bars(axes: Axes, columns: tuple[ColumnProfile, ColumnProfile]) -> None:
    """Shares of the values that moved most."""
    values = moved(*columns)[:6]
    at = np.arange(len(values))
    for column, color, shift in zip(columns, (GREY, BLUE), (-0.2, 0.2), strict=True):
        known = shares(column)
        axes.barh(at + shift, [100 * known.get(each, 0) for each in values], 0.38, color=color)
    axes.set_yticks(at, [_fitted(value) for value in values])
    axes.invert_yaxis()
    axes.set_xlabel("% of rows", size=8)


def _relations(axes: Axes, found: Comparison) -> None:
    """Rank correlations before and after."""
    gaps = found.gaps[:MOST_GAPS]
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


def _title(found: Comparison, change: FieldDifference) -> str:
    one, other = (each.fields[change.field].get("unit", "") for each in (found.before, found.after))
    unit = other if one == other else f"{one or 'no unit'} → {other or 'no unit'}"
    return f"{change.field}{f' [{unit}]' if unit else ''}   {change.size:.0%} changed"


def _fitted(value: str) -> str:
    return value if len(value) < 16 else value[:15] + "…"


def _can_be_drawn(found: Comparison, field: str) -> bool:
    """Whether both have values of the field, on the same scale."""
    columns = [part.columns.get(field) for part in found.merged]
    if not all(column and (column.quantiles or column.top) for column in columns):
        return False
    one, other = (each.fields[field]["type"] for each in (found.before, found.after))
    return bool(one == other or {one, other} == set(NUMERIC))


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
