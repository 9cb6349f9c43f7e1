"""Finds out in which pattern of JDK letters dates are written that are not in ISO 8601."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from ml_experiment_runner.signals.casting import times
from ml_experiment_runner.signals.odcs import date_patterns

_WEEKDAY = r"(?:(?P<weekday>[A-Za-z]{3,9})(?P<after>,? ))?"
_NUMBERS = r"(?P<first>\d{1,4})(?P<sign>[/.-])\d{1,2}(?P=sign)(?P<last>\d{1,4})"
_MONTH = r"(?P<month>[A-Za-z]{3,9}\b)"
_DAYS = (
    _NUMBERS,
    r"(?P<first>\d\d?)(?P<sign>[ /.-])" + _MONTH + r"(?P=sign)(?P<last>\d{4}|\d\d)",
    r"(?P<first>\d{4})(?P<sign>[ /.-])" + _MONTH + r"(?P=sign)(?P<last>\d\d?)",
    _MONTH + r"(?P<sign> )\d\d?(?P<comma>,?) (?P<last>\d{4})",
)
_CLOCK = (
    r"(?P<parting>T|,? |:)\d{1,2}:\d\d(?P<seconds>:\d\d(?P<fraction>[.,](?:\d{6}|\d{3}))?)?"
    r"(?:(?P<gap> ?)(?P<half>[AaPp][Mm]))?"
)
_OFFSET = r"(?P<space> ?)(?P<offset>Z|GMT|UTC|[+-]\d\d(?::?\d\d)?)"
_SHAPES = tuple(re.compile(f"{_WEEKDAY}{day}(?:{_CLOCK}(?:{_OFFSET})?)?") for day in _DAYS)
_COMPACT = {8: "yyyyMMdd", 12: "yyyyMMddHHmm", 14: "yyyyMMddHHmmss"}
_CENTURIES = r"^(19|20)\d\d"
_SAYS_TIME = re.compile(
    r"(?i:(^|[\W_])(ts|time|timestamp|date|datetime|epoch|unix|unixtime|at|created|updated|modified"
    r"|utc)(?=$|[\W_]))|[a-z](At|Time|Timestamp|Date)$"
)
_EPOCHS_SINCE, _YEARS_AHEAD = datetime(1990, 1, 1), 20


@dataclass(frozen=True)
class Found:
    """How the dates of a column are written.

    Attributes:
        patterns: Every pattern that all of them fit; several if nothing tells them apart.
        type: `date` or `timestamp`.
    """

    patterns: tuple[str, ...]
    type: str


def find(texts: pl.Series) -> Found | None:
    """How the dates of a column are written, if all of its texts are dates."""
    given = texts.drop_nulls().unique()
    if given.is_empty():
        return None
    compact = given.str.contains(r"^\d+$").any()
    if compact and not given.str.contains(_CENTURIES).all():
        return None
    fitting: dict[str, str] = {}
    for pattern in _candidates(str(given[0])):
        # of those that part the same in narrower and wider fields, the strictest comes first
        parts = re.sub(r"([A-Za-z])\1+", r"\1", pattern)
        if parts not in fitting and not _read(given, pattern).has_nulls():
            fitting[parts] = pattern
    patterns = tuple(fitting.values())
    return Found(patterns, date_patterns.parse(patterns[0]).type) if patterns else None


def find_epoch(name: str, numbers: pl.Series, now: datetime) -> Found | None:
    """Whether whole numbers count from 1970: their field's name says a time, and all are recent.

    Args:
        name: The field's.
        numbers: Of dtype Int64.
        now: They lie between 1990 and twenty years after it.
    """
    given = numbers.drop_nulls()
    if given.is_empty() or not _SAYS_TIME.search(name):
        return None
    latest = now.replace(tzinfo=None, year=now.year + _YEARS_AHEAD, day=1)
    for pattern, microseconds in date_patterns.EPOCHS.items():
        first, last = (
            (bound - datetime(1970, 1, 1)).total_seconds() * 1_000_000 / microseconds
            for bound in (_EPOCHS_SINCE, latest)
        )
        if given.is_between(first, last).all():
            return Found((pattern,), "timestamp")
    return None


def _read(texts: pl.Series, pattern: str) -> pl.Series:
    if date_patterns.parse(pattern).type == "date":
        return times.dates(texts, pattern)
    return times.moments(texts, "UTC", pattern)


def _candidates(text: str) -> Iterator[str]:
    """The patterns that a text may be written in, the stricter first."""
    if text.isdecimal() and text.isascii() and len(text) in _COMPACT:
        yield _COMPACT[len(text)]
    for shape in _SHAPES:
        if match := shape.fullmatch(text):
            parts = {key: value or "" for key, value in match.groupdict().items()}
            for before, day, after in itertools.product(
                _weekdays(parts), _days(parts), _clocks(parts)
            ):
                yield before + day + after


def _weekdays(parts: dict[str, str]) -> list[str]:
    if not parts["weekday"]:
        return [""]
    return [letters + parts["after"] for letters in ("EEE", "EEEE")]


def _days(parts: dict[str, str]) -> Iterator[str]:
    sign = parts["sign"]
    year = "yyyy" if len(parts["last"]) == 4 else "yy"
    is_year_first = len(parts.get("first", "")) == 4
    for day in ("dd", "d"):
        if "month" not in parts:
            month = "M" * len(day)
            orders = [(day, month, year), (month, day, year)]
            if is_year_first:
                orders = [("yyyy", month, day)]
            elif sign == ".":
                orders = orders[:1]  # nobody writes the month first there
            yield from (sign.join(order) for order in orders)
            continue
        for month in ("MMM", "MMMM"):
            if "comma" in parts:
                yield f"{month} {day}{parts['comma']} {year}"
            elif is_year_first:
                yield sign.join(("yyyy", month, day))
            else:
                yield sign.join((day, month, year))


def _clocks(parts: dict[str, str]) -> list[str]:
    if not parts["parting"]:
        return [""]
    parting = parts["parting"].replace("T", "'T'")
    seconds = ":ss" if parts["seconds"] else ""
    fraction = parts["fraction"][:1] + "S" * len(parts["fraction"][1:])
    half = f"{parts['gap']}a" if parts["half"] else ""
    hour = "h" if half else "H"
    return [
        f"{parting}{hour * width}:mm{seconds}{fraction}{half}{parts['space']}{_offset(parts)}"
        for width in (2, 1)
    ]


def _offset(parts: dict[str, str]) -> str:
    """The letters for what a time ends with."""
    if parts["offset"] in date_patterns.UTC_NAMES:
        return "z"
    return "Z" if parts["offset"] else ""
