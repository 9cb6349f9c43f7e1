"""The rows of a signal, parted into deliveries."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ml_experiment_runner.signals.drift.rows import Flags, Numbers, Rows

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Parts:
    """Rows that are parted into deliveries.

    Attributes:
        label: By row, the number of its part.
        days: By part, how many days it spans.
    """

    rows: Rows
    label: Labels
    days: Numbers

    @property
    def count(self) -> int:
        """How many parts there are."""
        return len(self.days)

    @cached_property
    def sizes(self) -> Numbers:
        """Rows of each part."""
        return np.bincount(self.label, minlength=self.count).astype(np.float64)

    def sample(self, most: int) -> "Parts":
        """About so many of the rows, drawn at random within each part."""
        if len(self.rows) <= most:
            return self
        order = np.random.default_rng(0).permutation(len(self.rows))
        order = order[np.argsort(self.label[order], kind="stable")]
        first = np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int64)
        place = np.arange(len(order)) - first[self.label[order]]
        chosen = np.sort(order[place < most / self.count])
        rows = Rows(self.rows.contract, self.rows.frame[chosen], self.rows.types)
        return Parts(rows, self.label[chosen], self.days)

    @cached_property
    def days_with_rows(self) -> tuple[Labels, Labels]:
        """Every day that has rows: its part, and its number since 1970."""
        day = self.rows.days.astype(np.int64)
        first, last = int(day.min()), int(day.max()) + 1
        cells = np.flatnonzero(np.bincount(self.label * (last - first) + day - first))
        return cells // (last - first), cells % (last - first) + first

    @cached_property
    def day_of_row(self) -> Labels:
        """By row, the number of its day among those with rows."""
        day = self.rows.days.astype(np.int64)
        first, span = int(day.min()), int(day.max()) + 1 - int(day.min())
        part, days = self.days_with_rows
        number = np.zeros(self.count * span, dtype=np.int64)
        number[part * span + days - first] = np.arange(len(days))
        found: Labels = number[self.label * span + day - first]
        return found

    @cached_property
    def rows_by_day(self) -> Numbers:
        """The rows of each day that has any."""
        return np.bincount(self.day_of_row).astype(np.float64)

    def daily(self, codes: Labels, number: int) -> Numbers:
        """Rows by code and day, of shape (number, days with rows); negative codes are left out."""
        there, days = codes >= 0, len(self.days_with_rows[0])
        cells = codes[there] * days + self.day_of_row[there]
        counted = np.bincount(cells, minlength=number * days)
        return counted.reshape(number, days).astype(np.float64)

    def daily_flags(self, flags: Sequence[Flags]) -> Numbers:
        """Rows of which a flag is set, by flag and day."""
        days = len(self.days_with_rows[0])
        counted = [np.bincount(self.day_of_row[flag], minlength=days) for flag in flags]
        return np.array(counted, dtype=np.float64)

    def counts(self, codes: Labels, number: int) -> Numbers:
        """Rows by code and part, of shape (number, parts); negative codes are left out."""
        there = codes >= 0
        cells = codes[there] * self.count + self.label[there]
        counted = np.bincount(cells, minlength=number * self.count)
        return counted.reshape(number, self.count).astype(np.float64)
