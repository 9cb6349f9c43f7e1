"""The picture of a sweep: Optuna's parallel coordinates, whoever has chosen the values."""

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ml_experiment_runner.config.metrics import greater_is_better
from ml_experiment_runner.sweeps.job_result import JobResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from optuna.distributions import BaseDistribution

LOGARITHMIC = 100.0
"""Numbers whose greatest is this many times the least are on a logarithmic axis."""
MOST_TICKS = 8


def parallel_coordinates(results: Sequence[JobResult], objective: str) -> "Figure":
    """A line for each job through its values, from its objective.

    Args:
        results: Jobs with an objective and the same keys.
        objective: The metric that they are compared by.
    """
    import matplotlib as mpl
    import numpy as np
    import optuna
    from matplotlib import pyplot as plt
    from matplotlib.colors import LinearSegmentedColormap
    from optuna.visualization.matplotlib import plot_parallel_coordinate

    mpl.use("agg")  # Optuna draws with pyplot, which may want a window
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    is_greater = greater_is_better(objective)
    study = optuna.create_study(direction="maximize" if is_greater else "minimize")
    columns = {
        key: _column([result.values[key] for result in results]) for key in results[0].values
    }
    for number, result in enumerate(results):
        study.add_trial(
            optuna.create_trial(
                params={key: values[number] for key, (values, _) in columns.items()},
                distributions={key: distribution for key, (_, distribution) in columns.items()},
                value=result.value,
            )
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the function is experimental, an axis has one value
        axes = plot_parallel_coordinate(study, target_name=objective)
    figure = axes.get_figure(root=True)
    assert figure is not None
    plt.close(figure)
    names = [objective, *sorted(columns)]
    axes.set_xticklabels(names, ha="left")  # Optuna cuts long ones
    figure.set_size_inches(max(6.0, 1.9 * len(names)), 4.2)
    figure.subplots_adjust(top=0.88, bottom=0.12 + 0.008 * max(map(len, names)))
    (lines,) = axes.collections
    lines.set_clip_on(False)  # the best job's is at the edge
    shades = lines.get_cmap()(np.linspace(0.25, 1.0, 256) if is_greater else np.linspace(0, 0.75))
    lines.set_cmap(LinearSegmentedColormap.from_list("visible", shades))
    for axis, key in zip(figure.axes[2:], names[1:], strict=True):
        _mark_values(axis, [result.values[key] for result in results], columns[key][0])
    return figure


def _mark_values(axis: "Axes", texts: Sequence[str], values: Sequence[float | str]) -> None:
    """Ticks at the numbers that were chosen, as they were typed, if they are few."""
    marks = dict(zip(values, texts, strict=True))
    if len(marks) <= MOST_TICKS and not any(isinstance(value, str) for value in values):
        axis.set_yticks(list(marks), list(marks.values()))
        axis.minorticks_off()


def _column(texts: Sequence[str]) -> "tuple[Sequence[float | str], BaseDistribution]":
    """The values of a key, and the axis that they are on: numbers where all of them are."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        numbers = []
    if not numbers or not all(map(math.isfinite, numbers)):
        return texts, CategoricalDistribution(sorted(set(texts)))
    low, high = min(numbers), max(numbers)
    return numbers, FloatDistribution(low, high, log=low > 0 and high >= LOGARITHMIC * low)
