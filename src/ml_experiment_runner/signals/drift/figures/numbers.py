"""How high numbers are, how far they spread, and how different their values are."""

# ruff: noqa: D102  Figures documents learn and compute

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from ml_experiment_runner.signals.drift.figures.clusters import Clusters, clusters_of_means
from ml_experiment_runner.signals.drift.figures.parts import Parts
from ml_experiment_runner.signals.drift.figures.scaling import (
    Scale,
    error_of_mean,
    moments,
    scale_of,
    scales,
)
from ml_experiment_runner.signals.drift.figures.table import (
    FEWEST,
    Figures,
    Table,
    daily_shares,
)
from ml_experiment_runner.signals.drift.rows import Numbers
from ml_experiment_runner.signals.semantic_types import FLAG


class Tails(Figures):
    """Numbers below zero, equal to zero, and beyond the outer quantiles of the past.

    When nothing changed, their shares have a binomial error around what is expected (`shares`).
    """

    kind = "tails"
    LEVELS = (0.005, 0.05, 0.95, 0.995)

    def learn(self, parts: Parts) -> dict[str, Numbers]:
        rows = parts.rows
        return {name: np.quantile(values, self.LEVELS) for name in rows.numbers
                if len(values := rows.known(name)) >= 30}  # fmt: skip

    def compute(self, model: dict[str, Numbers], parts: Parts) -> Iterator[Table]:
        for name, bounds in model.items():
            values = parts.rows.numbers[name]
            there = ~np.isnan(values)
            with np.errstate(invalid="ignore"):
                groups = {
                    "below 0": values < 0,
                    "0": values == 0,
                    f"below {bounds[0]:.4g}": values < bounds[0],
                    f"below {bounds[1]:.4g}": values < bounds[1],
                    f"above {bounds[2]:.4g}": values > bounds[2],
                    f"above {bounds[3]:.4g}": values > bounds[3],
                }
            daily = parts.daily_flags([*groups.values(), there])
            labels = list(groups)

            def message(
                number: int, now: float, usual: float, labels: Sequence[str] = labels
            ) -> str:
                return f"{now:.1%} of the values are {labels[number]}, expected {usual:.1%}"

            yield daily_shares(
                [((name,), label) for label in labels], parts, daily[:-1], daily[-1], message
            )


class Levels(Figures):
    """Mean and spread of a number, its outermost values cut.

    When nothing changed, the mean and the logarithm of the standard deviation have the errors of
    independent rows around what is expected.
    """

    kind = "level"

    def learn(self, parts: Parts) -> dict[str, Scale]:
        rows = parts.rows
        return {name: scale for name, scale in scales(rows).items()
                if rows.types.get(name) != FLAG}  # fmt: skip

    def compute(self, model: dict[str, Scale], parts: Parts) -> Iterator[Table]:
        names, values, noise, alike, crowding = [], [], [], [], np.ones(parts.count)
        for name, scale in model.items():
            scaled = scale_of(parts.rows.numbers[name], scale)
            count, mean, deviation = moments(scaled, parts.label, parts.count)
            names += [((name,), "mean"), ((name,), "spread")]
            enough = count >= FEWEST
            values += [np.where(enough, mean, np.nan),
                       np.where(enough, np.log(deviation + 0.02), np.nan)]  # fmt: skip
            noise += [error_of_mean(count, deviation),
                      0.7 / np.sqrt(np.maximum(count, 1))]  # fmt: skip
            clusters = clusters_of_means(parts, scaled)
            alike += [clusters.alike[0], clusters.alike[0]]
            crowding = np.maximum(crowding, clusters.crowding)
        if not names:
            return

        def message(number: int, now: float, expected: float) -> str:
            name = names[number][0][0]
            center, width, _, _ = model[name]
            if names[number][1] == "mean":
                return (f"its mean is {center + now * width:.4g}, expected "
                        f"{center + expected * width:.4g}")  # fmt: skip
            return f"it spreads {np.exp(now - expected):.2g} times as far as expected"

        floor = np.full(len(names), 0.05)
        yield Table(
            names, np.array(values), np.array(noise), floor, message,
            Clusters(np.array(alike), crowding),
        )  # fmt: skip


class Variety(Figures):
    """How many different values a field has.

    When nothing changed, the number has a Poisson error around what is expected.
    """

    kind = "different values"
    is_of_all = True

    def learn(self, parts: Parts) -> list[str]:
        rows = parts.rows
        return [*rows.numbers, *rows.texts]

    def compute(self, model: list[str], parts: Parts) -> Iterator[Table]:
        names, values = [], []
        frame = parts.rows.frame.select(model).with_columns(pl.Series("\0part", parts.label))
        counted = frame.group_by("\0part").agg(pl.all().drop_nulls().n_unique()).sort("\0part")
        at = counted["\0part"].to_numpy()
        for name in model:
            different = np.zeros(parts.count)
            different[at] = counted[name].to_numpy()
            names.append(((name,), "different"))
            values.append(np.where(different > 1, np.log(np.maximum(different, 1)), np.nan))
        if not names:
            return

        def message(_: int, now: float, expected: float) -> str:
            return f"it has {np.exp(now):,.0f} different values, expected {np.exp(expected):,.0f}"

        matrix = np.array(values)
        with np.errstate(all="ignore"):
            noise = 1 / np.sqrt(np.exp(np.nan_to_num(matrix, nan=0.0)))
        yield Table(names, matrix, noise, np.full(len(names), 0.25), message)
