"""The past of a signal as deliveries of one length, and what of a new one it does not explain."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_experiment_runner.signals.drift.figures.kinds import FIGURES
from ml_experiment_runner.signals.drift.figures.parts import Parts
from ml_experiment_runner.signals.drift.figures.table import Figures, Table
from ml_experiment_runner.signals.drift.forecast import Forecast, forecast
from ml_experiment_runner.signals.drift.rows import Measure, Numbers, Rows

MOST_PARTS = 60  # newer ones first
SOME = 100_000  # rows of a large past that most figures are computed from
YEAR = 365.25
MONTH = (27, 31)  # days of a delivery that is taken for a month
SELDOM = 0.5  # of the windows have rows
COVERED = 0.8  # of its days, for a part at the past's beginning to count


@dataclass(frozen=True)
class History:
    """What was learned from the past's deliveries.

    Attributes:
        models: What each kind of figures has to know of the past.
        forecasts: What it expects of the next delivery.
        parts: How many deliveries with rows the past has.
        last_day: Its last day, counted from 1970.
        is_monthly: They are calendar months.
    """

    models: dict[Figures, Any]
    forecasts: dict[Figures, Forecast]
    parts: int
    last_day: int
    is_monthly: bool

    def compare(self, rows: Rows, days: int) -> list[tuple[Figures, Measure]]:
        """What of new rows is not as expected; the worst of each kind and field."""
        if self.is_monthly:
            month = int(np.median(_months(rows)))
            begin, end = _first_day(month), _first_day(month + 1)
            days = end - (self.last_day + 1 if begin <= self.last_day < end - 1 else begin)
        parts = Parts(rows, np.zeros(len(rows), dtype=np.int64), np.array([float(days)]))
        beyond = []
        for figures, expected in self.forecasts.items():
            tables = list(figures.compute(self.models[figures], parts))
            values, noise, _, groups, _ = _joined(tables, expected.alike)
            off = expected.deviations(values[:, 0], noise[:, 0])
            together = np.nan_to_num(expected.deviations_together(off)) * figures.is_apart
            off = np.nan_to_num(off)
            messages = [
                functools.partial(table.message, number)
                for table in tables for number in range(len(table.names))
            ]  # fmt: skip
            fields = [fields for table in tables for fields, _ in table.names]
            for group in range(len(together)):
                mine = np.flatnonzero(groups == group)
                worst = int(mine[off[mine].argmax()])
                strength = max(float(off[worst]), float(together[group]))
                if strength > 1.0:
                    now, usual = float(values[worst, 0]), float(expected.expected[worst])
                    message = messages[worst](now, usual)
                    # of two codes that were swapped one is higher now and the other lower
                    moved = mine[off[mine] > max(1.0, off[worst] / 2)]
                    signs = np.sign(values[moved, 0] - expected.expected[moved])
                    is_swap = figures.of_codes and len(np.unique(signs)) > 1
                    first = fields[worst][-1] if is_swap else ""
                    measure = Measure(fields[worst], strength, message, first=first)
                    beyond.append((figures, measure))
        return beyond


def learn_history(rows: Rows, days: int) -> History:
    """Learns from the past's parts that are as long as a delivery.

    Args:
        rows: The past.
        days: How many a delivery spans.
    """
    is_seldom = _is_seldom(rows, days)
    is_monthly = is_seldom or MONTH[0] <= days <= MONTH[1]
    parts = part(rows, None if is_monthly else days, is_seldom=is_seldom)
    models: dict[Figures, Any] = {}
    forecasts: dict[Figures, Forecast] = {}
    last_day = int(rows.days.max())
    if parts is None:
        return History(models, forecasts, 0, last_day, is_monthly)
    season = 12 if is_monthly else max(1, round(YEAR / days))
    some = parts.sample(SOME)
    for figures in FIGURES:
        chosen = parts if figures.is_of_all else some
        model = figures.learn(chosen)
        tables = list(figures.compute(model, chosen))
        if not tables:
            continue
        expected = forecast(*_joined(tables), season)
        if expected is not None:
            models[figures], forecasts[figures] = model, expected
    return History(models, forecasts, int((parts.sizes > 0).sum()), last_day, is_monthly)


def _is_seldom(rows: Rows, days: int) -> bool:
    """Whether most windows as long as a delivery have no row, as it is of a day a month."""
    if days > MONTH[1]:
        return False
    windows = (int(rows.days.max()) - rows.days.astype(np.int64)) // days
    return len(np.unique(windows)) < SELDOM * (int(windows.max()) + 1)


def part(rows: Rows, days: int | None, *, is_seldom: bool = False) -> Parts | None:
    """The newest rows by deliveries: calendar months, or windows back from the past's end."""
    local = rows.days.astype(np.int64)
    if days is None:
        months = _months(rows)
        number = months - months.min()
        starts = [_first_day(month) for month in range(int(months.min()), int(months.max()) + 2)]
    else:
        end = int(local.max()) + 1
        count = max(1, -(-(end - int(local.min())) // days))
        starts = [end - days * (count - place) for place in range(count + 1)]
        number = (local - starts[0]) // days
    lengths = np.diff(np.array(starts)).astype(np.float64)
    first, last = max(0, len(lengths) - MOST_PARTS), len(lengths)
    if not is_seldom and first == 0 and (starts[1] - int(local.min())) < COVERED * lengths[0]:
        first = 1
    if not is_seldom and int(local.max()) + 1 - starts[-2] < COVERED * lengths[-1]:
        last -= 1  # a month that the delivery goes on with
    if first >= last:
        return None
    kept = (number >= first) & (number < last)
    chosen = rows if kept.all() else rows.filter(kept)
    return Parts(chosen, (number[kept] - first).astype(np.int64), lengths[first:last])


def _months(rows: Rows) -> NDArray[np.int64]:
    """The number of each row's month."""
    months: NDArray[np.int64] = rows.periods["month"] - 1
    return months


def _first_day(month: int) -> int:
    """A month's first day, counted from 1970."""
    return int(np.datetime64(f"{month // 12:04}-{month % 12 + 1:02}-01", "D").astype(np.int64))


def _joined(
    tables: list[Table], alike: Numbers | None = None
) -> tuple[Numbers, Numbers, Numbers, NDArray[np.int64], Numbers]:
    """Values, noise and floors of all figures, the number of its fields, and how alike days are.

    Args:
        tables: The figures.
        alike: How alike the rows of a day are, by figure; None for as alike as they are here.
    """
    fields = [fields for table in tables for fields, _ in table.names]
    numbers = {each: number for number, each in enumerate(dict.fromkeys(fields))}
    if alike is None:
        alike = np.concatenate([
            np.zeros(len(table.names)) if table.clusters is None else table.clusters.alike
            for table in tables
        ])  # fmt: skip
    ends = np.cumsum([len(table.names) for table in tables])[:-1]
    noise = [
        table.noise if table.clusters is None else table.noise * table.clusters.effect(mine)
        for table, mine in zip(tables, np.split(alike, ends), strict=True)
    ]
    return (
        np.concatenate([table.values for table in tables]),
        np.concatenate(noise),
        np.concatenate([table.floor for table in tables]),
        np.array([numbers[each] for each in fields]),
        alike,
    )
