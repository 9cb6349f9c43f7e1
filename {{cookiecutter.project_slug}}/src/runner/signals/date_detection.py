"""Finds out in which pattern of JDK letters dates are written that are not in ISO 8601."""

import re
from dataclasses import dataclass

import polars as pl

from runner.signals import times

_SHAPE = re.compile(
    r"(?P<first>\d{1,4})(?P<sign>[/.-])\d{1,2}(?P=sign)(?P<last>\d{1,4})"
    r"(?:(?P<parting>[T ])\d\d:\d\d(?P<seconds>:\d\d)?)?"
)
_COMPACT = {8: "yyyyMMdd", 12: "yyyyMMddHHmm", 14: "yyyyMMddHHmmss"}
_CENTURIES = r"^(19|20)\d\d"


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
    kind, patterns = _candidates(str(given[0]))
    if patterns and patterns[0].startswith("yyyyMM") and not given.str.contains(_CENTURIES).all():
        return None
    fitting = [each for each in patterns if not _read(given, each, kind).has_nulls()]
    # a pattern of two digits and one of fewer are the same where all have two
    if padded := [each for each in fitting if "dd" in each]:
        fitting = padded
    return Found(tuple(fitting), kind) if fitting else None


def _read(texts: pl.Series, pattern: str, kind: str) -> pl.Series:
    return times.dates(texts, pattern) if kind == "date" else times.moments(texts, "UTC", pattern)


def _candidates(text: str) -> tuple[str, list[str]]:
    """The patterns that a text may be written in."""
    if text.isdecimal() and text.isascii() and len(text) in _COMPACT:
        return "date" if len(text) == 8 else "timestamp", [_COMPACT[len(text)]]
    shape = _SHAPE.fullmatch(text)
    if shape is None:
        return "", []
    time = ""
    if shape["parting"]:
        parting = "'T'" if shape["parting"] == "T" else " "
        time = f"{parting}HH:mm{':ss' if shape['seconds'] else ''}"
    sign = shape["sign"]
    year = "yyyy" if len(shape["last"]) == 4 else "yy"
    orders = [("d", "M", year), ("M", "d", year)]
    if len(shape["first"]) == 4:
        orders = [("yyyy", "M", "d")]
    elif sign == ".":
        orders = orders[:1]  # nobody writes the month first there
    patterns = []
    for order in orders:
        for width in (2, 1):
            parts = [part * width if len(part) == 1 else part for part in order]
            patterns.append(sign.join(parts) + time)
    return "timestamp" if time else "date", patterns
