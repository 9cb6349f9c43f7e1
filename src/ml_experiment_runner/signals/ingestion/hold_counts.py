"""The rows whose share a picture in the report on a hold follows through time."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl

from ml_experiment_runner.project.text import shorten
from ml_experiment_runner.signals.drift.rows import CLOCK, Flags, Numbers
from ml_experiment_runner.signals.drift.sequence import going_back
from ml_experiment_runner.signals.ingestion.hold_rows import RowsToDraw, named_in
from ml_experiment_runner.signals.snapshots.profile import show

MOST_CODES = 40  # of a field that are looked at for the most changed one
USUAL = 0.7  # of the rows that are copies, which then tell nothing


class CountedRows(NamedTuple):
    """Rows of which the share is taken.

    Attributes:
        what: Which they are.
        flags: By row 1, or 0 for one that is none of them; NaN for one that is not asked about.
        label: How a message would name them; empty if it would not.
    """

    what: str
    flags: Numbers
    label: str = ""


def missing(data: RowsToDraw, name: str) -> Iterator[CountedRows]:
    """Rows without a value, or with 0 in its place."""
    yield CountedRows(f"the rows without a value of {name}", _as_numbers(data.rows.is_null(name)))
    if name in data.shown and name in data.rows.numbers:
        values = data.rows.numbers[name]
        yield CountedRows(f"the rows in which {name} is 0", _as_numbers(values == 0))


def code_share(data: RowsToDraw, name: str) -> Iterator[CountedRows]:
    """Rows with each frequent code."""
    codes = data.rows.categories.get(name, data.rows.frame[name].cast(pl.String))
    for mask in data.masks:
        counted = codes.filter(pl.Series(mask)).drop_nulls().value_counts(sort=True, name="\0rows")
        for code in counted[name].head(MOST_CODES):
            values = (codes == code).cast(pl.Float64).fill_null(np.nan).to_numpy()
            what = f"the rows in which {name} is “{shorten(code, 40)}”"
            yield CountedRows(what, values, repr(code))


def precision(data: RowsToDraw) -> Iterator[CountedRows]:
    """Rows at midnight, at a full hour and at a full minute."""
    rows = data.rows
    is_minute = rows.seconds == 0
    is_hour = is_minute & (rows.clock["minute"] == 0)
    is_midnight = is_hour & (rows.clock["hour"] == 0)
    for what, flags in (("midnight", is_midnight), ("a full hour", is_hour),
                        ("a full minute", is_minute)):  # fmt: skip
        yield CountedRows(f"the rows at {what}", _as_numbers(flags))


def tails(data: RowsToDraw, name: str) -> Iterator[CountedRows]:
    """Numbers below zero, equal to zero and beyond the outer quantiles of the past."""
    values = data.rows.numbers[name]
    there = ~np.isnan(values)
    low, lower, upper, high = np.quantile(values[data.masks[0] & there], (0.005, 0.05, 0.95, 0.995))
    groups = {"below 0": values < 0, "0": values == 0}
    groups |= {f"below {show(bound, 'number')}": values < bound for bound in (low, lower)}
    groups |= {f"above {show(bound, 'number')}": values > bound for bound in (upper, high)}
    for what, chosen in groups.items():
        yield CountedRows(f"the values of {name} that are {what}", np.where(there, chosen, np.nan))


def digits(data: RowsToDraw, name: str) -> Iterator[CountedRows]:
    """Whole numbers with so many digits, for each count of digits of the delivery."""
    texts = data.rows.frame[name].cast(pl.String).str.strip_chars_start("-")
    counts = texts.str.len_chars().cast(pl.Float64).fill_null(np.nan).to_numpy()
    for count in np.unique(counts[data.is_new & ~np.isnan(counts)]):
        flags = np.where(np.isnan(counts), np.nan, counts == count)
        yield CountedRows(f"the rows in which {name} has {count:.0f} digits", flags)


def out_of_order(data: RowsToDraw, name: str) -> Iterator[CountedRows]:
    """Rows that are earlier than the one with the next smaller identifier."""
    flags = _as_numbers(going_back(data.rows, name))
    yield CountedRows(f"the rows that are earlier than the one before by {name}", flags)


def single_value(data: RowsToDraw, name: str) -> Iterator[CountedRows]:
    """The numbers that the delivery has most often."""
    values = data.rows.numbers[name]
    distinct, counts = np.unique(values[data.is_new & ~np.isnan(values)], return_counts=True)
    for value in distinct[np.argsort(-counts)][:MOST_CODES]:
        counted = np.where(np.isnan(values), np.nan, values == value)
        yield CountedRows(f"the rows in which {name} is {value:g}", counted)


def new_values(data: RowsToDraw, name: str) -> Iterator[CountedRows]:
    """Values that nothing before the step, and of the delivery nothing before it, has."""
    frame = data.rows.frame.select(pl.col(name).alias("value")).with_columns(
        pl.Series("day", np.where(data.is_new, data.first, data.rows.days)).cast(pl.Int64),
        pl.Series("new", data.is_new),
    ).with_columns(
        pl.when(pl.col("new")).then(None).otherwise(pl.col("day")).min().over("value").alias("old")
    )  # fmt: skip
    is_first = pl.when(pl.col("new")).then(pl.col("old").is_null()).otherwise(
        pl.col("day") == pl.col("old")
    )  # fmt: skip
    flags = frame.select(pl.when(pl.col("value").is_not_null()).then(is_first.cast(pl.Float64)))
    what = f"the rows in which {name} has a value that was never there before"
    yield CountedRows(what, flags.to_series().fill_null(np.nan).to_numpy())


def copies(data: RowsToDraw, message: str) -> Iterator[CountedRows]:
    """Rows that are like an earlier one of about the delivery's length, but for their key."""
    rows = data.rows
    named = named_in(message, rows.frame.columns)
    event = [rows.event] if rows.event else []
    others = [name for name in rows.contents if name not in rows.contract.key]
    sets = {f"that share {', '.join(named)} with an earlier one": named} if named else {
        "that are as an earlier one, their time included": [*rows.contents, *event],
        "that are as an earlier one but for its time": rows.contents,
        "that are as an earlier one but for key and time": others,
    }  # fmt: skip
    length = int(rows.days[data.is_new].max()) - data.first + 1
    for what, fields in sets.items():
        if not fields or (not named and len(fields) < 2):
            continue
        since = pl.DataFrame(
            {"content": rows.frame.select(fields).hash_rows(seed=7), "day": rows.days}
        ).with_row_index("row").sort("content", "day", "row").with_columns(
            pl.when(pl.col("content") == pl.col("content").shift())
            .then(pl.col("day").diff()).alias("since")
        )  # fmt: skip
        flags = since.sort("row")["since"].fill_null(2 * length + 1).to_numpy() < length
        if flags[~data.is_new].mean() <= USUAL:
            yield CountedRows(f"the rows {what}", _as_numbers(flags))


def clock(data: RowsToDraw, name: str) -> Iterator[CountedRows]:
    """Rows in which a field is not the part of the event time that it was."""
    values = data.rows.frame[name].cast(pl.String)
    before, _ = data.masks
    best: tuple[float, str, Numbers] | None = None
    for part in CLOCK:
        known = pl.DataFrame({"part": data.rows.clock[part], "value": values})
        usual = known.filter(pl.Series(before)).drop_nulls().group_by("part").agg(
            pl.col("value").mode().sort().first().alias("usual")
        )  # fmt: skip
        joined = known.join(usual, on="part", how="left", maintain_order="left")
        wrong = (joined["value"] != joined["usual"]).cast(pl.Float64).fill_null(np.nan).to_numpy()
        share = float(np.nanmean(wrong[before])) + 1e-3 * len(usual)
        if best is None or share < best[0]:
            best = (share, part, wrong)
    if best is not None:
        what = f"the rows in which {name} is not that of the event's {best[1]}"
        yield CountedRows(what, best[2])


def frozen(data: RowsToDraw, name: str) -> Iterator[CountedRows]:
    """Rows that have the most frequent value of their day and place."""
    rows = data.rows
    by = ["\0day", *rows.places]
    frame = rows.frame.select(*rows.places, name).with_columns(pl.Series("\0day", rows.days))
    rank = frame.select(
        pl.len().over([*by, name]).alias("rows"), pl.col(name).is_null().alias("null"),
        pl.len().over(by).alias("all"), *by,
    ).with_columns(pl.col("rows").max().over(by).alias("most"))  # fmt: skip
    share = rank.select(
        pl.when(~pl.col("null") & (pl.col("all") >= 6)).then(pl.col("most") / pl.col("all"))
        .max().over("\0day")
    ).to_series()  # fmt: skip
    where = " at one place" if rows.places else ""
    what = f"a day's rows{where} that have the most frequent value of {name}"
    yield CountedRows(what, share.fill_null(np.nan).to_numpy().astype(np.float64))


def repeated_day(data: RowsToDraw) -> Iterator[CountedRows]:
    """Values that are those of the day before, at the same place and hour."""
    rows = data.rows
    fields = [name for name in rows.frame.columns
              if name not in rows.contract.key and name not in rows.calendar]  # fmt: skip
    at = [*rows.places, "\0hour", "\0day"]
    frame = rows.frame.with_columns(
        pl.Series("\0day", rows.days).cast(pl.Int64),
        pl.Series("\0hour", rows.clock["hour"]).cast(pl.Int8),
    )  # fmt: skip
    before = frame.unique(at, keep="first", maintain_order=True).select(
        *at[:-1], pl.col("\0day") + 1, *(pl.col(name).alias(f"\0was{name}") for name in fields)
    )  # fmt: skip
    both = frame.join(before, on=at, how="left", maintain_order="left")
    same = both.select(
        pl.mean_horizontal((pl.col(name) == pl.col(f"\0was{name}")).cast(pl.Float64)
                           for name in fields)
    ).to_series()  # fmt: skip
    what = "the values that are those of the day before"
    yield CountedRows(what, same.fill_null(np.nan).to_numpy())


def _as_numbers(flags: Flags) -> Numbers:
    numbers: Numbers = flags.astype(np.float64)
    return numbers
