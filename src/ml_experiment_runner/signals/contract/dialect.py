"""How a producer writes its text files: delimiter, quotes, encoding, and the marks in numbers."""

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, fields

WORDS = {"tab": "\t", "space": " ", "none": "", "backslash": "\\"}
"""How a contract writes invisible characters."""
OF_JSON = ("new_line", "array")
"""What ODCS says of JSON files at `delimiter`; which it is, the file shows."""
QUOTES = ('"', "'", "")
ESCAPES = ("", "\\")
DECIMALS = (".", ",")
THOUSANDS = ("", ".", ",", "'", " ")
SPACES = " \u00a0\u202f"
"""Each may part thousands where a contract says `space`."""


@dataclass(frozen=True)
class Dialect:
    """How a CSV is written; of JSON lines only the encoding counts.

    Attributes:
        delimiter: The character between two values.
        quote: The character around a value that holds a delimiter; empty for none.
        escape: The character before a quote within quotes; empty where it is doubled.
        encoding: A codec of Python; a byte order mark wins over it.
        decimal: The character before the decimals.
        thousands: The character between thousands; empty for none.
        header: The line with the names, from 1; 0 if there is none.
        skip_initial_space: Spaces behind a delimiter belong to no value, as in columns that were
            lined up.
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str = ""
    encoding: str = "utf-8"
    decimal: str = "."
    thousands: str = ""
    header: int = 1
    skip_initial_space: bool = False

    def options(self) -> dict[str, str]:
        """The options of a contract that differ from the default."""
        written = {value: word for word, value in WORDS.items()}
        values = {name: getattr(self, attribute) for name, attribute in OPTIONS.items()}
        return {
            name: {"header": str(value or "none"), SKIP: "true"}.get(
                name, written.get(value, str(value))
            )
            for name, value in values.items()
            if value != getattr(DEFAULT, OPTIONS[name])
        }


DEFAULT = Dialect()
SKIP = "skipInitialSpace"
OPTIONS = {
    SKIP if field.name == "skip_initial_space" else field.name: field.name
    for field in fields(Dialect)
}
"""What a contract calls each attribute."""


def dialect_of(options: Mapping[str, str]) -> Dialect:
    """The dialect that a server's options say."""
    attributes = {
        name: WORDS.get(options[name], options[name]) for name in OPTIONS if name in options
    }
    if attributes.get("delimiter") in OF_JSON:
        del attributes["delimiter"]
    if attributes.get("delimiter") == r"\t":
        attributes["delimiter"] = "\t"
    header = int(attributes.pop("header", "1") or 0)
    skip = attributes.pop(SKIP, "false") == "true"
    return Dialect(**attributes, header=header, skip_initial_space=skip)


CHOICES = {
    "quote": (QUOTES, "\", ' or none"),
    "escape": (ESCAPES, "backslash or none"),
    "decimal": (DECIMALS, ". or ,"),
    "thousands": (THOUSANDS, ". , ' space or none"),
    SKIP: (("true", "false"), "true or false"),
}
"""The values of an option, and how a message lists them."""


def wrong(name: str, text: str) -> str:
    """What is wrong with an option's value; empty if nothing is."""
    value = WORDS.get(text, text)
    if name == "delimiter" and text in OF_JSON:
        return ""
    if name == "delimiter" and (len(value.replace(r"\t", "\t")) != 1 or value in "\r\n\"'"):
        return f"delimiter must be one character or the word tab or space, got '{text}'"
    if name in CHOICES and value not in CHOICES[name][0]:
        return f"{name} must be {CHOICES[name][1]}, got '{text}'"
    if name == "header" and text != "none" and not (text.isdecimal() and 0 < int(text) < 10**6):
        return f"header must be the number of the line with the names, or none, got '{text}'"
    return _wrong_encoding(text) if name == "encoding" else ""


def _wrong_encoding(text: str) -> str:
    try:
        if not codecs.lookup(text)._is_text_encoding:
            return f"encoding must be one of texts, such as utf-8 or cp1252, got '{text}'"
    except (LookupError, ValueError):
        return f"encoding must be one that Python knows, such as utf-8 or cp1252, got '{text}'"
    return ""
