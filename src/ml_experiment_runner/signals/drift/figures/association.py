"""How much two fields tell of each other."""

# ruff: noqa: D102  Figures documents learn and compute

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from ml_experiment_runner.signals.drift.figures.parts import Labels, Parts
from ml_experiment_runner.signals.drift.figures.table import (
    Figures,
    Table,
)
from ml_experiment_runner.signals.drift.rows import Numbers, Rows


class Association(Figures):
    """How much two fields tell of each other: what belongs to other rows tells nothing any more.

    Mutual information (Shannon, A Mathematical Theory of Communication, 1948) of codes and binned
    numbers, less what chance gives it (Miller, Note on the Bias of Information Estimates, 1955).
    When nothing changed, it is as expected, with an error by the rows and cells.
    """

    kind = "association"
    BINS, CODES, FIELDS = 5, 12, 24

    def learn(self, parts: Parts) -> dict[str, Any]:
        """By field its codes, or the bounds between its bins."""
        rows = parts.rows
        model: dict[str, Any] = {}
        for name in [*rows.codes, *rows.numbers]:
            if name in rows.numbers and name not in rows.categories:
                values = rows.known(name)
                bounds = np.unique(np.quantile(values, np.linspace(0, 1, self.BINS + 1)[1:-1])) \
                    if len(values) >= 30 else np.array([])  # fmt: skip
                if len(bounds):
                    model[name] = bounds
            else:
                counted = rows.categories[name].drop_nulls().value_counts(sort=True, name="\0rows")
                if counted.height >= 2 and counted["\0rows"][0] < 0.98 * len(rows):
                    model[name] = counted[name].head(self.CODES).to_list()
        return dict(list(model.items())[: self.FIELDS])

    def compute(self, model: dict[str, Any], parts: Parts) -> Iterator[Table]:
        codes, counts = self._codes(model, parts.rows)
        names, values, noise = [], [], []
        sizes = np.maximum(parts.sizes, 1)
        for first, second in itertools.combinations(model, 2):
            cells = parts.counts(
                codes[first] * counts[second] + codes[second], counts[first] * counts[second]
            ).reshape(counts[first], counts[second], parts.count)
            names.append(((first, second), ""))
            information, error = self._information(cells, sizes)
            values.append(np.where(parts.sizes >= 30, information, np.nan))
            noise.append(error)
        if not names:
            return

        def message(_: int, now: float, expected: float) -> str:
            return f"they tell {now:.2f} of each other, expected {expected:.2f} (1: all)"

        yield Table(names, np.array(values), np.array(noise), np.full(len(names), 0.04), message)

    @staticmethod
    def _information(cells: Numbers, sizes: Numbers) -> tuple[Numbers, Numbers]:
        """By part, a correlation of as much information, and its standard error."""
        together = cells / sizes
        apart = together.sum(axis=1, keepdims=True) * together.sum(axis=0, keepdims=True)
        with np.errstate(all="ignore"):
            each = np.where(together > 0, together * np.log(together / apart), 0.0)
        there = (cells.sum(axis=1) > 0).sum(axis=0), (cells.sum(axis=0) > 0).sum(axis=0)
        freedom = np.maximum((there[0] - 1) * (there[1] - 1), 1)
        information = np.maximum(each.sum(axis=(0, 1)) - freedom / (2 * sizes), 0.0)
        correlation: Numbers = np.sqrt(1 - np.exp(-2 * information))
        spread = np.sqrt(freedom / 2) / sizes  # of the information, if there is none
        error = spread / np.maximum(correlation, np.sqrt(2 * spread)) + 1 / np.sqrt(sizes)
        return correlation, error

    @staticmethod
    def _codes(model: dict[str, Any], rows: Rows) -> tuple[dict[str, Labels], dict[str, int]]:
        """By field, the number of each row's code or bin, and how many there are; 0 for null."""
        codes, counts = {}, {}
        for name, known in model.items():
            if isinstance(known, list):
                codes[name] = rows.code_numbers(name, known) + 1
                counts[name] = len(known) + 2
            else:
                values = rows.numbers[name]
                places = np.searchsorted(known, values) + 1
                codes[name] = np.where(np.isnan(values), 0, places)
                counts[name] = len(known) + 2
        return codes, counts
