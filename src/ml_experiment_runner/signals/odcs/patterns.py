"""Regular expressions of contracts, as polars reads them, and texts in messages."""

import re

from ml_experiment_runner.project.text import enumerated, shorten
from ml_experiment_runner.signals.odcs.yaml_document import Entry

CLASSES = {
    r"\d": "[0-9]",
    r"\D": "[^0-9]",
    r"\w": "[0-9A-Za-z_]",
    r"\W": "[^0-9A-Za-z_]",
    r"\b": r"(?-u:\b)",
}
"""Classes of ECMA-262 that polars would take for those of all the world's letters and digits."""
TEXT_FORMATS = {
    "email": r"^[^\s@]+@[^\s@.]+(\.[^\s@.]+)*$",
    "uuid": r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
    "uri": r"^[A-Za-z][A-Za-z0-9+.-]*:[^\s]+$",
    "hostname": r"^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    r"(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$",
    "ipv4": r"^((25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])(\.\b|$)){4}$",
}
"""What `format` says of a text, as far as a regular expression can tell."""


def read_pattern(entry: Entry) -> tuple[str, str]:
    """A regular expression, and why it is not checked; empty if it is."""
    import polars as pl  # most contracts have no pattern, and are read without waiting for it

    pattern = entry.scalar() or ""
    try:
        pl.Series([""]).str.contains(translated(pattern))
    except pl.exceptions.ComputeError as error:
        reason = re.search(r"^error: (.*)", str(error), re.MULTILINE)
        return pattern, reason[1] if reason else "not a regular expression that polars knows"
    return pattern, ""


def translated(pattern: str) -> str:
    r"""A regular expression of ECMA-262, as polars reads them.

    In the standard `\d` and `\w` are ASCII, a dot is no line's end, and an opening bracket, `&&`,
    `--` and `~~` inside a class are themselves.
    """
    text, is_class = "", False
    for part in re.findall(r"\\.|.", pattern, re.DOTALL):
        if part in CLASSES and not (is_class and part == r"\b"):
            text += CLASSES[part]
        elif is_class:
            is_itself = part in ("[", "&", "~") or (part == "-" and text.endswith("-"))
            text += f"\\{part}" if is_itself else part
        else:
            text += r"[^\n\r\u2028\u2029]" if part == "." else part
        if part == "]" or (part == "[" and not is_class):
            is_class = part == "["
    return text


def shortened(text: str) -> str:
    """A text that fits into a line."""
    return shorten(text if text.isprintable() else repr(text)[1:-1])


def listed(texts: tuple[str, ...]) -> str:
    """Texts in a message; an empty one, or blanks, would not be seen without quotes."""
    return enumerated([text if text.strip() == text != "" else f"'{text}'" for text in texts], 8)
