"""What a draft promises of a table's values and rows: what holds for rows that nobody has seen.

That no value was beyond a bound so far says little of the next season, product or year. A rule is
drafted where the meaning of a field, its name or very many rows say what is possible.
"""

import re
from collections.abc import Sequence
from datetime import timedelta

import polars as pl

from ml_experiment_runner.signals.drafts.inferred_table import InferredColumn
from ml_experiment_runner.signals.odcs.values import NUMERIC
from ml_experiment_runner.signals.semantic_types import (
    CODE,
    COUNT,
    FLAG,
    HUMP,
    IDENTIFIER,
    MEASURED,
    NAMES_THINGS,
)

Bounds = tuple[float | None, float | None]

CODES = 20
"""A text with at most so many values may be a code whose values are all known …"""
ROWS_A_CODE = 50
"""… if there are so many rows for each …"""
RARE = 0.01
"""… each has at least this share of the rows, as rare ones point to rarer ones …"""
SPAN = timedelta(days=600)
"""… and none was new in the second half, which is most of a year: launches have their seasons."""
VERSION = r"^[vV]?\d+(\.\d+)+\b"
"""A text of this form is a version, and there will be others."""
OPEN = re.compile(
    r"(?i)(^|[\W_])(product|item|campaign|store|shop|station|carrier|vendor|supplier|brand|model|sku"
    r"|plan|page|source|version|title|name|city|country|region|team|customer|user)s?$"
)
"""What fields are called whose values come and go."""
COMPLETE = 5_000
"""Of so many rows none lacks a value: then few ever will."""
FEW_NULLS = 5
"""Percent."""
FEW, RISING = 20, 0.9
"""From so many rows on, numbers of this rank correlation with the row are taken for counters."""
ZEROS = 0.005
"""From this share of zeros on, and nothing below, zero is where the numbers end."""
STEADY = 1.5
"""Months whose rows a day differ by no more than this factor say how many are due."""
YEAR = 12

ON_CLOCK: dict[str, tuple[tuple[int, int], ...]] = {
    r"(hour|hr)": ((0, 23), (1, 24)),
    r"(minute|second)": ((0, 59),),
    r"(month|mnth)": ((1, 12), (0, 11)),
    r"(day_?of_?week|week_?day|dow)": ((0, 6), (1, 7)),
    r"(day_?of_?year|yday)": ((1, 366), (0, 365)),
    r"(day|mday|day_?of_?month)": ((1, 31),),
    r"(quarter|qtr)": ((1, 4),),
    r"(week|week_?of_?year)": ((1, 53), (0, 53)),
}
"""By what a field is called, the values that it may have, as it may be counted."""
POSSIBLE: dict[str, tuple[tuple[int, int], ...]] = {
    r"(percent|percentage|pct|humid|humidity)": ((0, 1), (0, 100)),
    r"(share|fraction|probability|proportion)": ((0, 1), (0, 100)),
    r"(dir|direction|bearing|heading|azimuth)": ((0, 360),),
    r"(lat|latitude)": ((-90, 90),),
    r"(lon|lng|long|longitude)": ((-180, 180),),
}
SIGNED = re.compile(
    r"(?i)(^|[\W_])(temp|temperature|dewp|dewpt|price|cost|value|total|amount|revenue|income|rate"
    r"|fare|fee|tip|tax|toll|cents|level|score|lat|lon|latitude|longitude|elevation|altitude|delay"
    r"|time|power|load|energy|ratio|year)\d*([\W_]|$)"
)
"""What names say whose numbers measure something, and may be negative, as where it is paid back."""


def bounds(column: InferredColumn, meaning: str | None) -> Bounds:
    """The smallest and largest value that a field can have; None where nothing says so."""
    if column.type not in NUMERIC or column.personal or meaning in (IDENTIFIER, CODE):
        return None, None
    values = column.values.drop_nulls().cast(pl.Float64)
    if values.n_unique() < 2:
        return None, None
    low, high = float(values.min()), float(values.max())  # type: ignore[arg-type]
    name = HUMP.sub("_", column.name)
    if meaning == FLAG:  # where the one is rare, there may be a rarer two
        ones = (values == high).mean()
        return (low, high) if RARE <= ones <= 1 - RARE else (0, None)  # type: ignore[operator]
    ranges = ON_CLOCK if column.type == "integer" else {}
    for names, possible in (ranges | POSSIBLE).items():
        if re.search(rf"(?i)(^|[\W_]){names}$", name):
            return next(
                ((least, most) for least, most in possible if least <= low and high <= most),
                (None, None),
            )
    is_measure = MEASURED.search(name) is not None and SIGNED.search(name) is None
    ends_at_zero = low == 0 and (values == 0).sum() >= ZEROS * len(values)
    if low < 0 or _grows(values) or not (meaning == COUNT or is_measure or ends_at_zero):
        return None, None
    return 0, None


def valid_values(column: InferredColumn, meaning: str | None, times: pl.Series | None) -> list[str]:
    """The values of a flag, or of a code that has no others; none where there may be more."""
    if column.type != "string" or column.personal or meaning not in (FLAG, CODE):
        return []
    given = column.values
    if times is not None:
        given = given.gather(times.arg_sort())
    given = given.drop_nulls()
    values = given.unique().sort().to_list()
    if any(value != value.strip() or not value for value in values):
        return []
    if meaning == FLAG:
        return values if len(values) == 2 else []
    if NAMES_THINGS.search(column.name) or OPEN.search(HUMP.sub("_", column.name)):
        return []
    if not 0 < len(values) <= min(CODES, len(column.values) // ROWS_A_CODE):
        return []
    span = times.max() - times.min() if times is not None else SPAN  # type: ignore[operator]
    rarest = given.alias("").value_counts()["count"].min()
    is_known_early = given.head(len(given) // 2).n_unique() == len(values)
    is_rare = rarest < RARE * len(given)  # type: ignore[operator]
    if span < SPAN or is_rare or not is_known_early:  # type: ignore[operator]
        return []
    return [] if given.str.contains(VERSION).sum() > len(given) / 2 else values


def tolerated_nulls(column: InferredColumn) -> int | None:
    """The percentage of rows that may lack a value; None where nothing says how many will."""
    values = column.values
    return FEW_NULLS if len(values) >= COMPLETE and not values.has_nulls() else None


def fewest_rows(partitions: Sequence[pl.DataFrame], time: str | None) -> int | None:
    """How many rows a partition has at least, where they come steadily; there is no most."""
    if time is None:
        return sum(part.height for part in partitions) // 2
    months = sorted(partitions, key=lambda part: part.select(pl.min(time)).item())
    whole = [part for part in months if _is_whole(part[time])]
    if len(whole) < 2 or not all(_is_whole(part[time]) for part in months[1:-1]):
        return None
    daily = [part.height / part[time].dt.month_end().dt.day()[0] for part in whole]
    if max(daily) > STEADY * min(daily):
        return None
    # where times are of another zone, the first month may begin with a few hours
    fewest = min(months[0].height, *(part.height for part in whole))
    return fewest // (4 if len(whole) >= YEAR else 10) or None


def _is_whole(times: pl.Series) -> bool:
    """Whether rows are of a whole month, and not of its beginning or end alone."""
    days = times.dt.day()
    return int(days.min()) <= 2 and int(days.max()) >= 27  # type: ignore[arg-type]


def _grows(values: pl.Series) -> bool:
    """Whether numbers rise with the rows, as counters and readings of meters do."""
    if len(values) < FEW:
        return False
    rows = pl.int_range(len(values), eager=True)
    rise = pl.select(pl.corr(rows, values, method="spearman")).item()
    return bool(rise > RISING)
