"""Pictures of a quantity through time: of the past's last days and of the delivery's."""

import datetime
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml_experiment_runner.signals.drift.rows import Flags, Numbers, Rows
from ml_experiment_runner.signals.ingestion.hold_counts import CountedRows
from ml_experiment_runner.signals.ingestion.hold_rows import RowsToDraw, Steps

ENOUGH = 28  # days of the past that tell what a weekday is like
JUMP = 7  # steps before and after a jump, whose means differ
BEYOND = 1.4  # times the past's largest jump that a change is, to say when it begins
NAMED = 10.0  # more than any share changes
NAMES = {1: "day", 7: "week", 28: "four weeks"}


class Course(NamedTuple):
    """A quantity by steps of time.

    Attributes:
        what: What it is.
        type: `share` (in %), `count`, or the type and unit of a field.
        steps: Its steps.
        past: By step; NaN where there is nothing.
        delivered: The same of the delivery.
        bands: Lower and upper quantiles of both, if there are any.
        begins: The step in which the change begins; None where it cannot be told.
    """

    what: str
    type: str
    steps: Steps
    past: Numbers
    delivered: Numbers
    bands: tuple[tuple[Numbers, Numbers], tuple[Numbers, Numbers]] | None
    begins: int | None

    @property
    def caption(self) -> str:
        """What is drawn, and when it begins."""
        begins = ""
        if self.begins is not None:
            first = "with the delivery, " if self.begins == self.steps.past else ""
            begins = f"; the change begins {first}on {self.day(self.begins):%-d %B %Y}"
            if self.steps.days > 1:
                begins = begins.replace(" on ", " in the days from ")
        return f"{self.what}, by {NAMES[self.steps.days]}; the delivery is shaded{begins}"

    def day(self, step: float) -> datetime.date:
        """A step's first day."""
        days = round((step - self.steps.past) * self.steps.days) + self.steps.first
        return datetime.date(1970, 1, 1) + datetime.timedelta(days=days)


def share_course(data: RowsToDraw, counted: Iterable[CountedRows], message: str) -> Course | None:
    """The share that the message names, or else the one that the delivery changes most."""
    chosen, most = None, -1.0
    for each in counted:
        there = ~np.isnan(each.flags)
        before, now = (each.flags[there & mask] for mask in data.masks)
        if not (len(now) and len(before)):
            continue
        # the arcsine's scale, on which 0 to 1 % is as much as 40 to 50 %
        moved = abs(np.arcsin(np.sqrt(now.mean())) - np.arcsin(np.sqrt(before.mean())))
        moved += NAMED * bool(each.label and each.label in message)
        if moved > most:
            chosen, most = each, float(moved)
    if chosen is None:
        return None
    return mean_course(data, f"Share of {chosen.what}", "share", 100 * chosen.flags)


def mean_course(
    data: RowsToDraw, what: str, type_: str, values: Numbers, levels: tuple[float, ...] = ()
) -> Course:
    """The mean by step, and quantiles around it."""
    there = ~np.isnan(values)
    steps = data.steps(there)
    return _course(what, type_, steps, data, lambda chosen: _means(chosen, steps, data, values),
                   levels, values)  # fmt: skip


def _means(chosen: Flags, steps: Steps, data: RowsToDraw, values: Numbers) -> Numbers:
    number = steps.number(data.rows.days)
    chosen = chosen & ~np.isnan(values) & (number >= 0) & (number < steps.total)
    with np.errstate(all="ignore"):
        means: Numbers = np.bincount(
            number[chosen], weights=values[chosen], minlength=steps.total
        ) / np.bincount(number[chosen], minlength=steps.total)
    return means


def _course(
    what: str, type_: str, steps: Steps, data: RowsToDraw, by_step: Callable[[Flags], Numbers],
    levels: tuple[float, ...] = (), values: Numbers | None = None,
) -> Course:  # fmt: skip
    past, delivered = by_step(~data.is_new), by_step(data.is_new)
    bands = None
    if levels and values is not None:
        bands = tuple(
            tuple(_quantiles(chosen, steps, data, values, level) for level in levels)
            for chosen in (~data.is_new, data.is_new)
        )
    begins = _begin(steps, past, delivered)
    return Course(what, type_, steps, past, delivered, bands, begins)  # type: ignore[arg-type]


def _quantiles(
    chosen: Flags, steps: Steps, data: RowsToDraw, values: Numbers, level: float
) -> Numbers:
    number = steps.number(data.rows.days)
    chosen = chosen & ~np.isnan(values) & (number >= 0) & (number < steps.total)
    found = np.full(steps.total, np.nan)
    by_step = pl.DataFrame({"step": number[chosen], "value": values[chosen]}).group_by("step")
    quantiles = by_step.agg(pl.col("value").quantile(level))
    found[quantiles["step"].to_numpy()] = quantiles["value"].to_numpy()
    return found


def _begin(steps: Steps, past: Numbers, delivered: Numbers) -> int | None:
    """The delivery's step from which on it is another one: the split of least squares.

    After Bai, Estimation of a Change Point in Multiple Regression Models, The Review of Economics
    and Statistics 1997, with the level before known from the past. Weekdays are no change.
    """
    before, after = past[: steps.past], delivered[steps.past :]
    if steps.days == 1 and (~np.isnan(before)).sum() >= ENOUGH:
        weekday = (np.arange(steps.total) - steps.past + steps.first) % 7
        usual = np.array([
            np.nanmedian(each) if (~np.isnan(each := before[weekday[: steps.past] == day])).any()
            else np.nanmedian(before) for day in range(7)
        ])  # fmt: skip
        before, after = before - usual[weekday[: steps.past]], after - usual[weekday[steps.past :]]
    place = np.flatnonzero(~np.isnan(after))
    before, after = before[~np.isnan(before)], after[place]
    back = min(JUMP, len(before) // 3)
    if not back or not len(after):
        return None
    level = np.median(before[-ENOUGH:])
    squares = [
        ((after[:split] - level) ** 2).sum() + ((after[split:] - after[split:].mean()) ** 2).sum()
        for split in range(len(after))
    ]
    split = int(np.argmin(squares))
    ahead = min(JUMP, len(after) - split, len(before) - back)
    around = np.concatenate([before, after])[len(before) + split - back :][: back + ahead]
    # a season or the weather makes jumps, too
    usual = _jumps(before, back, ahead).max()
    jump = _jumps(around, back, ahead)[0]
    return steps.past + int(place[split]) if jump > max(BEYOND * usual, 1e-9) else None


def _jumps(values: Numbers, back: int, ahead: int) -> Numbers:
    """How far the mean of some values is from that of those just before, at each place."""
    windows = np.lib.stride_tricks.sliding_window_view(values, back + ahead)
    jumps: Numbers = np.abs(windows[:, back:].mean(axis=1) - windows[:, :back].mean(axis=1))
    return jumps


def volume(data: RowsToDraw) -> Course:
    """Rows a day, or the hours of a day that have any, whichever changes more."""
    steps = data.steps(fewest=1)
    number = steps.number(data.rows.days)
    inside = (number >= 0) & (number < steps.total)

    def parted(counts: Numbers) -> tuple[Numbers, Numbers]:
        """The past's, and the delivery's with what the past has of its first step."""
        is_new = np.bincount(number[inside & data.is_new], minlength=steps.total) > 0
        delivered = is_new | (np.arange(steps.total) >= steps.past)
        return np.where(delivered, np.nan, counts), np.where(delivered, counts, np.nan)

    rows = np.bincount(number[inside], minlength=steps.total) / steps.days
    hours = np.unique(number[inside] * 10_000 + (data.rows.days[inside] % steps.days) * 24
                      + data.rows.clock["hour"][inside].astype(np.int64))  # fmt: skip
    filled = np.bincount(hours // 10_000, minlength=steps.total) / steps.days
    courses = []
    for what, counts in (("Rows a day", rows), ("Hours of a day that have rows", filled)):
        past, delivered = parted(counts.astype(np.float64))
        begins = _begin(steps, past, delivered)
        courses.append(Course(what, "count", steps, past, delivered, None, begins))
    return max(courses, key=lambda course: (_moved(course), course is courses[0]))


def _moved(course: Course) -> float:
    before, now = np.nanmedian(course.past), course.delivered[~np.isnan(course.delivered)]
    spread = np.nanstd(course.past) + 0.02 * before
    return round(float(np.abs(now - before).mean() / max(spread, 1e-9)), 1)


def variety(data: RowsToDraw, name: str) -> Course:
    """How many different values a field has in each step."""
    data = data.newest
    there = data.rows.frame[name].is_not_null().to_numpy()
    steps = data.steps(there)
    number = steps.number(data.rows.days)

    def different(chosen: Flags) -> Numbers:
        chosen = chosen & there & (number >= 0) & (number < steps.total)
        counted = pl.DataFrame(
            {"step": number[chosen], "value": data.rows.frame[name].filter(pl.Series(chosen))}
        ).group_by("step").agg(pl.col("value").n_unique())  # fmt: skip
        found = np.full(steps.total, np.nan)
        found[counted["step"].to_numpy()] = counted["value"].to_numpy()
        return found

    return _course(f"Different values of {name}", "count", steps, data, different)


def extreme(data: RowsToDraw, name: str, unit: str) -> Course:
    """The outermost number of each step, on the side on which the delivery goes further."""
    data = data.newest
    values = data.rows.numbers[name]
    before, now = (values[mask & ~np.isnan(values)] for mask in data.masks)
    is_up = now.max() - before.max() >= before.min() - now.min()
    steps = data.steps()
    return _course(
        f"The {'largest' if is_up else 'smallest'} {name}", unit, steps, data,
        lambda chosen: _quantiles(chosen, steps, data, values, 1.0 if is_up else 0.0),
    )  # fmt: skip


def level(data: RowsToDraw, name: str, unit: str) -> Course:
    """The mean of a number and its middle 80 %."""
    return mean_course(data.some, f"Mean of {name}, and its middle 80 %", unit,
                       data.some.rows.numbers[name], (0.1, 0.9))  # fmt: skip


def _row_before(rows: Rows) -> NDArray[np.int64]:
    """By row, the one before it at the same place; -1 for none."""
    place = pl.struct(rows.places).rank("dense") if rows.places else pl.lit(0)
    order = rows.frame.select(
        place.alias("place"), pl.col(rows.event or "").to_physical().alias("time")
    ).with_row_index("row").sort("place", "time", maintain_order=True)  # fmt: skip
    at = order["row"].to_numpy().astype(np.int64)
    same = (order["place"].diff() == 0).fill_null(value=False).to_numpy()
    before = np.full(len(rows), -1, dtype=np.int64)
    before[at[1:]] = np.where(same[1:], at[:-1], -1)
    return before


def steps(data: RowsToDraw, name: str, unit: str, message: str) -> Course:
    """How often a value is that of the row before, or how far it is from it."""
    data = data.newest
    before = _row_before(data.rows)
    values = data.rows.numbers.get(name)
    text = data.rows.frame[name].cast(pl.String)
    same = (text == text[np.maximum(before, 0)]).cast(pl.Float64).fill_null(np.nan).to_numpy()
    same = np.where(before < 0, np.nan, same)
    if values is None or "equals" in message:
        what = f"Share of the rows in which {name} equals the row before"
        return mean_course(data, what, "share", 100 * same)
    size = np.where(before < 0, np.nan, np.abs(values - values[np.maximum(before, 0)]))
    return mean_course(data, f"Change of {name} from row to row, on average", unit, size)


def gone(data: RowsToDraw) -> Course | None:
    """Recorded rows that the delivery has no more."""
    if data.changed is None or data.rows.event is None:
        return None
    old, new = data.changed
    key = list(data.contract.key)
    is_gone = old.select(key).with_row_index("\0row").join(new.select(key), on=key, how="anti")
    flags = np.zeros(old.height)
    flags[is_gone["\0row"].to_numpy()] = 100
    rows = Rows(data.contract, old, data.rows.types)
    recorded = RowsToDraw(rows, np.ones(old.height, dtype=bool), data.shown)
    return mean_course(recorded, "Share of the recorded rows that are missing", "share", flags)
