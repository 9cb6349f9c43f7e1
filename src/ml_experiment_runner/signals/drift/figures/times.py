"""When rows are: at which hours, on which days, and how exactly."""

# ruff: noqa: D102  Figures documents learn and compute

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ml_experiment_runner.signals.drift.figures.parts import Parts
from ml_experiment_runner.signals.drift.figures.table import (
    Figures,
    Table,
    daily_shares,
    shares,
)


class Hours(Figures):
    """Rows at each hour of the day.

    When nothing changed, each share has a binomial error around what is expected (`shares`).
    """

    kind = "time of day"
    is_apart = True

    def compute(self, model: None, parts: Parts) -> Iterator[Table]:  # noqa: ARG002
        rows = parts.rows
        if rows.event is not None:
            yield shares(
                [((rows.event,), str(hour)) for hour in range(24)],
                parts.counts(rows.clock["hour"].astype(np.int64), 24), parts.sizes,
                lambda hour, now, usual: f"{now:.1%} of the rows are at {hour} o'clock, expected "
                f"{usual:.1%}",
            )  # fmt: skip


class Weekdays(Figures):
    """Rows on each day of the week, as if each came equally often.

    When nothing changed, each share is as expected, with the error of as many days: the rows of a
    day are busy or not together (`shares`).
    """

    kind = "day of week"
    NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

    def compute(self, model: None, parts: Parts) -> Iterator[Table]:  # noqa: ARG002
        rows = parts.rows
        if rows.event is None:
            return
        counts = parts.counts(rows.clock["weekday"].astype(np.int64) - 1, 7)
        label, day = parts.days_with_rows
        there = np.zeros((7, parts.count))
        np.add.at(there, ((day + 3) % 7, label), 1)
        # as if each part had as many Mondays as Tuesdays
        daily = counts / np.maximum(there, 1)
        share = daily / np.maximum(daily.sum(axis=0), 1e-9)
        table = shares(
            [((rows.event,), name) for name in self.NAMES], share * parts.sizes, parts.sizes,
            lambda number, now, usual: f"{now:.1%} of the rows are on a {self.NAMES[number]}, "
            f"expected {usual:.1%}",
        )  # fmt: skip
        # the rows of a day are busy or not together
        yield replace(table, noise=np.broadcast_to(0.5 / np.sqrt(parts.days), table.noise.shape))


class Precision(Figures):
    """Rows at a full hour and minute, as times cut to the hour or day are.

    When nothing changed, their shares have a binomial error around what is expected (`shares`).
    """

    kind = "precision of times"
    is_seasonal = False

    def compute(self, model: None, parts: Parts) -> Iterator[Table]:  # noqa: ARG002
        rows = parts.rows
        if rows.event is None:
            return
        is_minute = rows.seconds == 0
        is_hour = is_minute & (rows.clock["minute"] == 0)
        units = ("hour", "minute")
        yield daily_shares(
            [((rows.event,), name) for name in units], parts,
            parts.daily_flags([is_hour, is_minute]), parts.rows_by_day,
            lambda number, now, usual: f"{now:.1%} of the rows are at a full {units[number]}, "
            f"expected {usual:.1%}",
        )  # fmt: skip
