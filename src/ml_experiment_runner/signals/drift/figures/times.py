"""When rows are: at which hours, on which days, and how exactly."""

# ruff: noqa: D102  Figures documents learn and compute

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import polars as pl

from ml_experiment_runner.signals.drift.figures.parts import Labels, Parts
from ml_experiment_runner.signals.drift.figures.table import (
    Figures,
    Table,
    daily_shares,
    shares,
)
from ml_experiment_runner.signals.drift.rows import Rows

FEWEST_HOURS = 3  # of the day with rows; of fewer nothing is to be said
SPARSE = 12  # hours: a feed of no more that come evenly goes by UTC


def goes_by_utc(rows: Rows) -> bool:
    """Whether rows come every few hours of UTC, whatever summer time makes of them.

    A shop's hours are those of the local clock; a station that is read every three hours is not.
    """
    universal = np.unique(hours_of_day(rows, is_utc=True))
    local = np.unique(rows.clock["hour"])
    if not FEWEST_HOURS <= len(universal) <= SPARSE or len(universal) > len(local):
        return False
    steps = np.diff(universal)
    is_even = len(set(steps)) == 1 and steps[0] * len(universal) == 24
    return len(universal) < len(local) or is_even


def hours_of_day(rows: Rows, *, is_utc: bool) -> Labels:
    """The hour of each row, of the local clock or of UTC."""
    assert rows.event is not None
    hours: Labels = rows.clock["hour"].astype(np.int64)
    if is_utc:
        hours = rows.frame[rows.event].dt.hour().cast(pl.Int64).to_numpy()
    return hours


class Hours(Figures):
    """Rows at each hour of the day.

    When nothing changed, each share has a binomial error around what is expected (`shares`).
    """

    kind = "time of day"
    is_apart = True

    def learn(self, parts: Parts) -> bool:
        return goes_by_utc(parts.rows)

    def compute(self, model: bool, parts: Parts) -> Iterator[Table]:
        rows = parts.rows
        zone = " UTC" if model else ""
        if rows.event is not None:
            yield shares(
                [((rows.event,), str(hour)) for hour in range(24)],
                parts.counts(hours_of_day(rows, is_utc=model), 24), parts.sizes,
                lambda hour, now, usual: f"{now:.1%} of the rows are at {hour} o'clock{zone}, "
                f"expected {usual:.1%}",
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
