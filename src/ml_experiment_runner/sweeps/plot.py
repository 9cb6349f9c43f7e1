"""The picture of a sweep: Optuna's parallel coordinates, whoever has chosen the values."""

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ml_experiment_runner.config.metrics import greater_is_better
from ml_experiment_runner.sweeps.job_result import JobResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from optuna.distributions import BaseDistribution

LOGARITHMIC = 100.0
"""Numbers whose greatest is this many times the least are on a logarithmic axis."""


def parallel_coordinates(results: Sequence[JobResult], objective: str) -> "Figure":
    """A line for each job through its values, from its objective.

    Args:
        results: Jobs with an objective and the same keys.
        objective: The metric that they are compared by.
    """
    import matplotlib as mpl
    import optuna
    from matplotlib import pyplot as plt
    from optuna.visualization.matplotlib import plot_parallel_coordinate

    mpl.use("agg")  # Optuna draws with pyplot, which may want a window
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        direction="maximize" if greater_is_better(objective) else "minimize"
    )
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
    axes.set_xticklabels([objective, *sorted(columns)])  # Optuna cuts long ones
    figure = axes.get_figure(root=True)
    assert figure is not None
    plt.close(figure)
    figure.set_size_inches(max(6.0, 1.9 * (len(columns) + 1)), 4.2)
    figure.subplots_adjust(bottom=0.3)
    return figure


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
