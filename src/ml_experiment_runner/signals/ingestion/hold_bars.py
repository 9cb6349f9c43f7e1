"""Pictures of groups of rows, before and in the delivery: hours, weekdays, digits, forms, codes."""

from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml_experiment_runner.project.text import shorten
from ml_experiment_runner.signals.drift.rows import Flags, Numbers, decimals, in_steps
from ml_experiment_runner.signals.ingestion.hold_comparison import Histogram
from ml_experiment_runner.signals.ingestion.hold_rows import RowsToDraw, named_in

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
FORMS = {
    "a digit": r"\d",
    "lower case": r"[a-z]",
    "upper case": r"[A-Z]",
    "a space": r"\S\s+\S",
    "a space at an end": r"^\s|\s$",
    "a hyphen, dot or slash": r"[-./_]",
    "other than ASCII": r"[^\x00-\x7F]",
}
MOST_CODES = 10  # of a field that are drawn
FEWEST = 10  # rows that a mean needs
MOST_BINS = 60  # of a histogram whose bins are the numbers themselves
LONGEST = 40  # characters of texts that are told apart


class Bars(NamedTuple):
    """A number for each of some groups of rows, before and in the delivery.

    Attributes:
        caption: What they are.
        names: Of the groups.
        type: `share` (in %), or the unit of the numbers.
        before: Numbers by group; NaN where there are too few rows.
        delivery: The same of the delivery.
        shape: `bars`; `points` on a line, for means of groups in order; or `dots` on a line for
            each group, whose names are long.
    """

    caption: str
    names: list[str]
    type: str
    before: Numbers
    delivery: Numbers
    shape: str = "bars"

    @property
    def moved(self) -> float:
        """How much the most changed one has changed."""
        return float(np.nanmax(np.abs(self.delivery - self.before), initial=0.0))


def hours(data: RowsToDraw) -> Bars:
    """Rows at each hour of the day."""
    hour = data.rows.clock["hour"].astype(np.int64)
    shares = [_percent(np.bincount(hour[mask], minlength=24)) for mask in data.masks]
    caption = "Share of the rows at each hour of the day"
    return Bars(caption, [str(number) for number in range(24)], "share", shares[0], shares[1])


def weekdays(data: RowsToDraw) -> Bars:
    """Rows on each day of the week, as if there were as many Mondays as Tuesdays."""
    shares = []
    for mask in data.masks:
        days = data.rows.days[mask].astype(np.int64)
        rows = np.bincount((days + 3) % 7, minlength=7)
        there = np.bincount((np.arange(days.min(), days.max() + 1) + 3) % 7, minlength=7)
        shares.append(_percent(rows / np.maximum(there, 1)))
    return Bars(
        "Share of the rows on each day of the week", list(WEEKDAYS), "share", shares[0], shares[1]
    )


def last_digits(data: RowsToDraw, name: str) -> Bars:
    """How numbers end, as they are written."""
    values = [_values(data, name, number) for number in (0, 1)]
    count = decimals(values[0])
    if count is None:
        count = 2
    if decimals(values[1]) not in range(count + 1):  # then finer ones are what is new
        count += 1
    shares = [
        _percent(np.bincount(np.mod(in_steps(part, count), 10), minlength=10)) for part in values
    ]
    what = {0: "", 1: ", written with one decimal"}.get(count, f", written with {count} decimals")
    caption = f"Share of the values of {name} by their last digit{what}"
    return Bars(caption, [str(digit) for digit in range(10)], "share", shares[0], shares[1])


def gaps(data: RowsToDraw, name: str) -> Histogram:
    """A histogram with a bin for each number that the decimals allow, around the median."""
    values = [_values(data, name, number) for number in (0, 1)]
    step = 10.0 ** -(decimals(values[0]) or 0)
    middle = np.round(np.median(values[1]) / step)
    inner = np.concatenate([np.round(part / step) for part in values])
    low, high = np.quantile(inner, (0.02, 0.98))
    low, high = max(low, middle - MOST_BINS // 2), min(high, middle + MOST_BINS // 2)
    edges = (np.arange(low, high + 2) - 0.5) * step
    shares = []
    for part in values:
        counts = np.histogram(part, edges)[0]
        shares.append(counts / max(counts.sum(), 1))
    return Histogram("number", edges, (shares[0], shares[1]))


def text_forms(data: RowsToDraw, name: str) -> Bars:
    """What texts have in them, or how long they are, whichever differs more."""
    parts = [data.rows.frame[name].cast(pl.String).filter(pl.Series(mask)).drop_nulls()
             for mask in data.masks]  # fmt: skip
    have = [
        np.array(
            [
                100 * float(part.str.contains(form).cast(pl.Float64).sum()) / max(len(part), 1)
                for form in FORMS.values()
            ]
        )
        for part in parts
    ]
    forms = Bars(
        f"Share of the texts of {name} that have …", list(FORMS), "share", have[0], have[1], "dots"
    )
    forms = _part_of(forms, (have[0] > 0) | (have[1] > 0))
    lengths = [part.str.len_chars().to_numpy().astype(np.int64).clip(0, LONGEST) for part in parts]
    least, most = int(min(map(np.min, lengths))), int(max(map(np.max, lengths)))
    shares = [_percent(np.bincount(part - least, minlength=most - least + 1)) for part in lengths]
    names = [f"{LONGEST} +" if length == LONGEST else str(length)
             for length in range(least, most + 1)]  # fmt: skip
    by_length = Bars(f"Share of the texts of {name} by number of characters", names, "share",
                     shares[0], shares[1])  # fmt: skip
    return forms if forms.moved >= by_length.moved else by_length


def group_level(
    data: RowsToDraw, name: str, unit: str, message: str, *, beside_all: bool = False
) -> Bars | None:
    """The mean of a number at each code, of the field whose codes' means move most apart.

    Args:
        data: The rows.
        name: The number.
        unit: What it is in.
        message: Names the field of the codes, if it is known.
        beside_all: Less the mean of all rows, which a season moves.
    """
    others = [other for other in data.rows.codes if other in data.shown and other != name]
    named = named_in(message, others)
    values = data.rows.numbers[name]
    overall = [np.nanmean(values[mask]) for mask in data.masks]
    found = []
    for other in named or others:
        codes = data.rows.texts[other]
        known = codes.drop_nulls().value_counts(sort=True, name="\0rows")[other].head(60).to_list()
        numbers = data.rows.code_numbers(other, known)
        means = np.array([_means(values, numbers, mask, len(known)) for mask in data.masks])
        apart = np.abs((means[1] - overall[1]) - (means[0] - overall[0]))
        if np.isnan(apart).all():
            continue
        order = np.argsort(np.nan_to_num(-apart, nan=np.inf))[:MOST_CODES]
        if beside_all:
            means = means - np.array(overall)[:, None]
        less = ", less that of all rows" if beside_all else ""
        bars = Bars(
            f"Mean of {name} at each {other}{less}, the most changed first",
            [shorten(known[place], 24) for place in order], unit,
            means[0, order], means[1, order], "dots",
        )  # fmt: skip
        found.append((float(np.nanmax(apart)), bars))
    return max(found, key=lambda each: each[0])[1] if found else None


def daily_course(data: RowsToDraw, name: str, unit: str) -> Bars:
    """The mean of a number at each hour of the day, beside that of the whole day."""
    hour, values = data.rows.clock["hour"].astype(np.int64), data.rows.numbers[name]
    means = [_means(values, hour, mask, 24) - np.nanmean(values[mask]) for mask in data.masks]
    names = [str(number) for number in range(24)]
    return Bars(
        f"Mean of {name} at each hour, less that of the day",
        names,
        unit,
        means[0],
        means[1],
        "points",
    )


def _means(values: Numbers, group: NDArray[np.int64], mask: Flags, count: int) -> Numbers:
    chosen = mask & ~np.isnan(values) & (group >= 0) & (group < count)
    rows = np.bincount(group[chosen], minlength=count)
    sums = np.bincount(group[chosen], weights=values[chosen], minlength=count)
    means: Numbers = np.where(rows >= FEWEST, sums / np.maximum(rows, 1), np.nan)
    return means


def _values(data: RowsToDraw, name: str, part: int) -> Numbers:
    values = data.rows.numbers[name][data.masks[part]]
    known: Numbers = values[~np.isnan(values)]
    return known


def _part_of(bars: Bars, chosen: Flags) -> Bars:
    names = [name for name, kept in zip(bars.names, chosen, strict=True) if kept]
    return bars._replace(names=names, before=bars.before[chosen], delivery=bars.delivery[chosen])


def _percent(counts: NDArray[Any]) -> Numbers:
    shares: Numbers = 100 * counts / max(counts.sum(), 1e-9)
    return shares
