"""What the charts in the report on a hold and in the comparison of two versions share."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from numpy.typing import NDArray


def draw_steps(
    axes: Axes, edges: NDArray[Any], shares: Sequence[NDArray[Any]], colours: Sequence[str]
) -> None:
    """Shares of the rows in bins, before and after; after has the thicker outline."""
    for heights, colour, width in zip(shares, colours, (1.0, 1.8), strict=True):
        axes.stairs(heights, edges, fill=True, color=colour, alpha=0.25, linewidth=0)
        axes.stairs(heights, edges, color=colour, linewidth=width)
    axes.set_yticks([])
    axes.set_ylim(bottom=0)
    axes.spines["left"].set_visible(False)
