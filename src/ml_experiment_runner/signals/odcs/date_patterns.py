"""How a source writes dates and times: patterns of JDK's DateTimeFormatter, as ODCS has them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000}
"""Whole numbers since 1970, with the microseconds in one."""
LETTERS = {
    "yyyy": "%Y",
    "uuuu": "%Y",
    "yy": "%y",
    "uu": "%y",
    "MM": "%m",
    "M": "%-m",
    "MMM": "%b",
    "MMMM": "%B",
    "dd": "%d",
    "d": "%-d",
    "DDD": "%j",
    "EEE": "%a",
    "EEEE": "%A",
    "HH": "%H",
    "H": "%-H",
    "hh": "%I",
    "h": "%-I",
    "a": "%p",
    "mm": "%M",
    "ss": "%S",
    "SSS": "%3f",
    "SSSSSS": "%6f",
}
UTC_NAMES = ("GMT", "UTC")
OFFSETS = {
    "X": r"Z|[+-]\d\d(?:\d\d)?",
    "XX": r"Z|[+-]\d{4}",
    "XXX": r"Z|[+-]\d\d:\d\d",
    "x": r"[+-]\d\d(?:\d\d)?",
    "xx": r"[+-]\d{4}",
    "xxx": r"[+-]\d\d:\d\d",
    # producers write it for the letter Z and for any offset
    "Z": r"Z|[+-]\d\d:?\d\d",
    # of the names of zones only those that say one thing everywhere
    "z": "|".join(UTC_NAMES),
}
NAMES = ("%b", "%B", "%a", "%A", "%p")
"""Directives for words, which producers write in small and in capital letters."""
_TOKEN = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+")


@dataclass(frozen=True)
class Pattern:
    """How to read a text.

    Attributes:
        directives: As strptime has them, without the offset.
        offset: A regular expression for the offset that ends a text; empty where there is none.
        has_clock: It says a time of the day.
        has_day: It says a day.
    """

    directives: str
    offset: str
    has_clock: bool
    has_day: bool

    @property
    def type(self) -> str:
        """The type of what it writes."""
        return "timestamp" if self.has_clock else "date"


def parse(pattern: str) -> Pattern:
    """What a pattern says.

    Raises:
        ValueError: It holds a letter that cannot be read, or lacks a part; says which.
    """
    directives, offset, letters = "", "", ""
    for text, is_letters in _tokens(pattern):
        if offset:
            raise ValueError(f"the offset must end the pattern '{pattern}'")
        if not is_letters:
            directives += text.replace("%", "%%")
        elif text == "T":  # often without its quotes
            directives += text
        elif text in LETTERS or text in OFFSETS:
            letters += text[0]
            directives += LETTERS.get(text, "")
            offset = OFFSETS.get(text, "")
        else:
            raise ValueError(f"{text} in '{pattern}' is not supported; known are {_known()}")
    _check(pattern, set(letters))
    has_clock, has_day = (bool(set(some) & set(letters)) for some in ("Hh", "dD"))
    return Pattern(directives, offset, has_clock, has_day)


def _tokens(pattern: str) -> Iterator[tuple[str, bool]]:
    """What a pattern consists of, and whether each is letters that stand for something."""
    end = 0
    for token in _TOKEN.finditer(pattern):
        if token.start() != end:
            break
        end = token.end()
        if token[2]:
            yield token[0], True
        elif token[0] == "''":
            yield "'", False
        else:
            yield token[0] if token[1] is None else token[1].replace("''", "'"), False
    if end != len(pattern):
        raise ValueError(f"a quote is not closed in '{pattern}'")


def _check(pattern: str, letters: set[str]) -> None:
    """Raises a ValueError for a pattern that lacks what makes it a day or a time."""
    has_clock = bool(letters & set("Hh"))
    if has_clock and "m" not in letters:
        raise ValueError(f"'{pattern}' has an hour without minutes (mm)")
    if "h" in letters and "a" not in letters:
        raise ValueError(f"'{pattern}' has an hour of twelve (h) without AM or PM (a)")
    has_day = bool(letters & set("yu")) and ({"M", "d"} <= letters or "D" in letters)
    if not has_day and (not has_clock or letters & set("yuMdDE")):
        raise ValueError(f"'{pattern}' must hold a year, a month and a day, or a time")


def _known() -> str:
    return ", ".join([*LETTERS, *OFFSETS, *EPOCHS])
