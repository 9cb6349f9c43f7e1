"""Semantic types: what a field's values stand for, whatever type they are stored as.

A station's number is stored as an amount is, and nothing that holds for amounts holds for it. The
types are those that data discovery tells apart (Hulsebos et al., Sherlock: A Deep Learning Approach
to Semantic Data Type Detection, KDD 2019), reduced to the ones that are checked differently.
"""

import itertools
import re
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml_experiment_runner.signals.contract.contract import NESTED, SEMANTIC_TYPES, Contract, Field

Numbers = NDArray[np.int64]
IDENTIFIER, CODE, QUANTITY, COUNT, CUMULATIVE, CALENDAR, FLAG, TEXT = SEMANTIC_TYPES

ROWS = 20_000
"""So many rows, drawn by a fixed seed, stand for all: every n-th could always be the same hour."""
EXCEPTIONS = 0.005
"""Of a field that repeats the clock, at most this share of rows may say otherwise …"""
EXPLAINED = 0.1
"""… and at most this share of the rows that its most frequent value leaves."""
CYCLES = 1.9
"""It has done so this often, each value: in one year all that is monthly follows from the month."""
PARTS = {
    "year": (0, "year"),
    "quarter": (1, "year"),
    "month": (1, "year"),
    "week": (1, "year"),
    "ordinal_day": (1, "year"),
    "day": (1, "month"),
    "weekday": (1, "week"),
    "hour": (0, "day"),
    "minute": (0, "hour"),
}
"""Parts of the local clock, each with its first value and the cycle in which that comes once."""
LATE, MOSTLY = {"month": 12, "quarter": 4}, 0.8
"""Parts of which some rows may tell the one before or after: how many come, and most rows."""
DAYS = 366
"""No part but the year has more values."""
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NUMBERS = {word: number for words in (MONTHS, WEEKDAYS) for number, word in enumerate(words, 1)}
NAMED = (
    r"^(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sep(?:t|tember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?"
    r"|mon(?:day)?|tue(?:s|sday)?|wed(?:nesday)?|thu(?:r|rs|rsday)?|fri(?:day)?|sat(?:urday)?"
    r"|sun(?:day)?)\.?$"
)
"""The names of months and weekdays, and their numbers."""
NAMES_THINGS = re.compile(
    r"(?i:(^|[\W_])(id|ids|uuid|guid|key|pk|fk|no|nr|num|number|ref|reference|account|serial|zip|zip_?code"
    r"|post_?code|phone|sku|ean|isbn|hash))$|[a-z](Id|ID|Key|No|Nr|Ref)$"
)
"""What names of fields end with that tell things apart."""
DIGEST = r"^(?i:[0-9a-f]{16,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$"
SWITCHES = (
    *({"0", "1"}, {"n", "y"}, {"no", "yes"}, {"f", "t"}, {"false", "true"}, {"off", "on"}),
    {"0.0", "1.0"},
)
UNIQUE = 0.98
"""From this share of different values on, rows have one each."""
MANY = 100
"""So many values, or the next share of the rows if that is more, are too many for codes."""
MANY_OF_ROWS = 0.05
DENSE = 10
"""Within so many times the rows, numbers that only grow are given one after the other."""
WIDE = 10_000
"""Whole numbers of a wider range are amounts, unless their name says what they count."""
NAMES_KINDS = re.compile(
    r"(?i)(^|[\W_])(code|type|class|subclass|kind|category|zip|store|shop|station|stop|department"
    r"|dept|region|zone|district|precinct|ward|county|route|line|lane|track|platform|gate|status"
    r"|state|season|weather|weathersit|sector|segment|group|cluster|vendor|carrier|channel)s?$"
)
"""What names end with whose numbers name a kind or a place."""
COUNTED = re.compile(
    r"(?i)(^|[\W_])(count|cnt|counts|number_of|num|n|visitors|visits|riders|rides|rentals|trips"
    r"|casual|registered|passengers|population|cases|deaths|customers|orders|units|births"
    r"|entries|exits|views|clicks|seats)([\W_]|$)"
)
"""What names say whose numbers count things, however many."""
MEASURED = re.compile(
    r"(?i)(^|[\W_])(price|amount|cost|fare|fee|tip|tax|toll|total|revenue|income|salary|cents|value"
    r"|distance|length|width|height|depth|diameter|area|size|weight|mass|temp|temperature|pressure"
    r"|humidity|humid|hum|dewp|wind|speed|vis|visib|visibility|precip|rain|snow|cloud|radiation"
    r"|load|power|energy|volume|level|time|delay|duration|seconds|minutes|rate|ratio|share|percent"
    r"|pct|score|sqft|lat|lon|latitude|longitude|elevation|altitude|year)\d*([\W_]|$)"
)
"""What names say whose numbers measure something."""
OPEN = (10, 0.4)
"""Of so many values, and in most quarters but the first in this share of rows one that is new."""
UNREPEATED = 0.5
"""With so many different keys for a row, apart from the event time, there are no places."""
RISES = (0.98, 0.05)
"""Of a running total's steps from row to row this share does not fall, and that one rises."""
STEPS = 50
"""So many steps have to be known."""
HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
"""Where a word of a name begins that is written as in `orderId`."""


def semantic_types(contract: Contract, frame: pl.DataFrame) -> dict[str, str]:
    """The semantic type of each field of a signal, as its contract says or its rows look.

    Args:
        contract: The signal's contract.
        frame: Its rows, in the contract's types.
    """
    return infer(contract.fields, frame, contract.event_time, contract.time_zone)


def infer(
    fields: Sequence[Field], frame: pl.DataFrame, event_time: str | None, time_zone: str
) -> dict[str, str]:
    """The semantic type of each field: the one that it is given, or what its values look like.

    Args:
        fields: The fields; those that the frame does not have, and the event time, are left out.
        frame: The rows, in the fields' types.
        event_time: The field of the event time, in UTC; None for a state.
        time_zone: Where the event time's clock is read.
    """
    chosen = frame
    if frame.height > ROWS:
        drawn = np.random.default_rng(0).choice(frame.height, ROWS, replace=False, shuffle=False)
        chosen = frame[np.sort(drawn)]
    if event_time is not None:
        chosen = chosen.sort(event_time, maintain_order=True)
    clock = _Clock(chosen[event_time] if event_time else None, time_zone)
    key = [field.name for field in fields if field.key]
    types = {}
    for field in fields:
        if field.name == event_time or field.name not in frame.columns:
            continue
        values = chosen[field.name]
        if field.semantic_type:
            types[field.name] = field.semantic_type
        elif clock.is_repeated_by(field, values):
            types[field.name] = CALENDAR
        else:
            is_whole_key = key == [field.name]
            meaning = _type(field, values.drop_nulls(), frame.height, is_whole_key)
            if meaning == CODE and event_time and _is_open(values.drop_nulls()):
                meaning = IDENTIFIER
            if meaning in (QUANTITY, COUNT) and event_time and values.dtype.is_numeric():
                others = [name for name in key if name != event_time]
                if _is_running_total(chosen, field.name, others):
                    meaning = CUMULATIVE
            types[field.name] = meaning
    return types


def _is_open(ordered: pl.Series) -> bool:
    """Whether ever other values come, as the names of storms and the customers of a small shop.

    Most quarters of the rows have to bring them: codes that are rewritten are others only once.
    """
    if len(ordered) < MANY or ordered.n_unique() < OPEN[0]:
        return False
    bounds = [len(ordered) * quarter // 4 for quarter in range(5)]
    shares = []
    for begin, end in itertools.pairwise(bounds[1:]):
        known, now = ordered.head(begin).unique(), ordered.slice(begin, end - begin)
        shares.append(float((~now.is_in(known.implode())).mean() or 0.0))  # type: ignore[arg-type]
    return sorted(shares)[1] > OPEN[1]


def repeated_places(frame: pl.DataFrame, names: Sequence[str]) -> list[str]:
    """Fields that tell places apart, if these have rows again and again; else none.

    Args:
        frame: The rows.
        names: The key without the event time.
    """
    names = list(names)
    repeated = bool(names) and frame.select(names).n_unique() < UNREPEATED * frame.height
    return names if repeated else []


def _is_running_total(ordered: pl.DataFrame, name: str, places: Sequence[str]) -> bool:
    """Whether a number goes on from row to row of a place, or of the table, and hardly falls.

    Args:
        ordered: Rows by event time.
        name: The number.
        places: The key without the event time.
    """
    step = pl.col(name).diff()
    if places := repeated_places(ordered, places):
        step = step.over(places)
    steps = ordered.select(step.alias(name))[name].drop_nulls()
    least, rising = RISES
    falls, rises = float((steps < 0).mean() or 0.0), float((steps > 0).mean() or 0.0)  # type: ignore[arg-type]
    return len(steps) >= STEPS and 1 - falls >= least and rises >= rising


def _type(field: Field, values: pl.Series, rows: int, is_whole_key: bool) -> str:
    """What a field's values are, if they do not repeat the clock."""
    if field.type == "boolean" or _is_switch(values):
        return FLAG
    if is_whole_key or field.generated:
        return IDENTIFIER
    if field.type == "string":
        return _type_of_texts(values)
    if field.type in NESTED:
        return TEXT
    if field.type not in ("integer", "number") or values.is_empty():
        return QUANTITY
    return _type_of_numbers(field, values.cast(pl.Float64), rows)


def _is_switch(values: pl.Series) -> bool:
    if not (values.dtype.is_numeric() or values.dtype == pl.String):
        return False
    few = set(values.unique().head(3).cast(pl.String).str.to_lowercase())
    return few in SWITCHES or (len(few) == 1 and few < {"no", "yes", "false", "true"})


def _type_of_texts(values: pl.Series) -> str:
    count = max(len(values), 1)
    different = values.unique()
    if different.is_empty():
        return CODE
    words = different.str.count_matches(r"\S+").mean()
    length = different.str.len_chars().mean()
    assert isinstance(words, float)
    assert isinstance(length, float)
    if length > 60 or (words >= 3 and len(different) > 0.5 * count > 10):
        return TEXT
    has_many = len(different) > max(MANY, MANY_OF_ROWS * count)
    if different.str.contains(DIGEST).all():
        return IDENTIFIER
    if len(different) > UNIQUE * count and count > 20:
        return IDENTIFIER if words < 2 else TEXT
    if not has_many:
        return CODE
    if words < 2:
        return IDENTIFIER
    return TEXT if words >= 3 or length > 30 else IDENTIFIER


def _type_of_numbers(field: Field, values: pl.Series, rows: int) -> str:
    if not (values.is_finite() & (values == values.round())).all():
        return QUANTITY
    different, count = values.n_unique(), len(values)
    low, high = float(values.min()), float(values.max())  # type: ignore[arg-type]
    has_many = different > max(MANY, MANY_OF_ROWS * count)
    name = HUMP.sub("_", field.name)
    is_counted = COUNTED.search(name) is not None
    if NAMES_THINGS.search(field.name) and not is_counted:
        return IDENTIFIER if different > MANY else CODE
    if field.key:
        return IDENTIFIER if has_many else CODE
    if NAMES_KINDS.search(name) and not has_many and low >= 0:
        return CODE
    is_given = different > UNIQUE * count and high - low < DENSE * rows and count > 20
    if field.type == "integer" and is_given and (values.diff().drop_nulls() > 0).mean() > UNIQUE:  # type: ignore[operator]
        return IDENTIFIER
    if low < 0 or (MEASURED.search(name) and not is_counted):
        return QUANTITY
    if field.type == "number" and not is_counted:
        return QUANTITY
    return COUNT if high - low <= WIDE or is_counted else QUANTITY


class _Part:
    """A part of the local clock in each row.

    Attributes:
        values: The part, counted from 0.
        places: The number of its value among those that come.
        count: How many values come.
        returns: How often a value comes in another cycle, on average.
    """

    def __init__(self, values: Numbers, first: int, cycle: Numbers) -> None:
        different, self.places = np.unique(values, return_inverse=True)
        self.values, self.count = values - first, len(different)
        self.returns = len(np.unique(cycle * 1000 + self.places)) / max(self.count, 1)


class _Clock:
    """The local clock of the event time, in each row.

    Attributes:
        parts: Its parts by name; none where there is no event time.
        whole: What fields of a day and of a time of day are compared with, by their type.
    """

    def __init__(self, moments: pl.Series | None, time_zone: str) -> None:
        self.parts: dict[str, _Part] = {}
        if moments is None or moments.is_empty():
            return
        local = moments.dt.convert_time_zone(time_zone).dt
        self.whole = {"date": local.date(), "time": local.time()}
        day = self.whole["date"].to_physical().cast(pl.Int64).to_numpy()
        whole = {name: getattr(local, name)().cast(pl.Int64).to_numpy() for name in PARTS}
        cycles = {
            "year": whole["year"],
            "month": whole["year"] * 12 + whole["month"],
            "week": (day + 3) // 7,
            "day": day,
            "hour": day * 24 + whole["hour"],
        }
        for name, (first, cycle) in PARTS.items():
            self.parts[name] = _Part(whole[name], first, cycles[cycle])

    def is_repeated_by(self, field: Field, values: pl.Series) -> bool:
        """Whether a field follows from one part of the clock."""
        if not self.parts or field.type in ("timestamp", *NESTED):
            return False
        if field.type in self.whole:
            same = int((values == self.whole[field.type]).sum())
            return same >= (1 - EXCEPTIONS) * len(values)
        if values.head(4 * DAYS).n_unique() > DAYS:
            return False
        different = values.unique(maintain_order=True)
        if len(different) > DAYS:
            return False
        codes = values.replace_strict(different, range(len(different))).to_numpy()
        numbers = _clock_numbers(different)[codes]
        if self._is_nearly(numbers):
            return True
        usual = np.bincount(codes).max() / len(codes)
        worst = min(EXCEPTIONS, EXPLAINED * (1 - usual)) if len(different) > 1 else 0.0
        for name, part in self.parts.items():
            pairs = np.bincount(part.places * len(different) + codes,
                                minlength=part.count * len(different))  # fmt: skip
            follow = pairs.reshape(part.count, -1).max(axis=1).sum() / len(codes)
            if 1 - follow > worst:
                continue
            if part.returns >= CYCLES and len(different) > 1:
                return True
            is_named = len(different) > 1 or name in ("year", field.name.lower())
            if is_named and _is_same(name, part.values, numbers):
                return True
        return False

    def _is_nearly(self, numbers: NDArray[np.float64]) -> bool:
        """Whether numbers are a part of the clock or, in some rows, the one before or after it.

        A season's year begins in another month, and bookings of the first days of a month belong
        to the month before.
        """
        if (np.abs(numbers - self.parts["year"].values) <= 1).mean() >= 1 - EXCEPTIONS:
            return True
        for name, cycle in LATE.items():
            with np.errstate(invalid="ignore"):  # of infinite ones
                off = (numbers - self.parts[name].values - 1) % cycle
            if (off == 0).mean() >= MOSTLY and np.isin(off, (0, 1, cycle - 1)).mean() >= (
                1 - EXCEPTIONS
            ):
                return True
        return False


def _clock_numbers(different: pl.Series) -> NDArray[np.float64]:
    """The numbers that values say, as `3`, `Q3`, `March` or `Wednesday`; NaN for other values."""
    if different.dtype != pl.String:
        return different.cast(pl.Float64).fill_null(np.nan).to_numpy()
    digits = different.str.extract(r"^[Qq]?(\d{1,4})$").cast(pl.Float64)
    named = different.str.to_lowercase().str.extract(NAMED)
    numbers = named.str.head(3).replace_strict(NUMBERS, default=None, return_dtype=pl.Float64)
    return digits.fill_null(numbers).fill_null(np.nan).to_numpy()


def _is_same(name: str, part: Numbers, numbers: NDArray[np.float64]) -> bool:
    """Whether numbers are a part of the clock, counted from 0, 1 or where it is usual."""
    possible = [part, part + 1]
    if name == "weekday":
        possible += [(part + 1) % 7, (part + 1) % 7 + 1]
    if name == "year":
        possible = [part, part % 100, part - part.min(), part - part.min() + 1]
        if part.min() == part.max():
            possible = [part]
    return any((numbers == each).mean() >= 1 - EXCEPTIONS for each in possible)
