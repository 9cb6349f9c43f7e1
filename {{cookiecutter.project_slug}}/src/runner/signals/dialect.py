"""How a producer writes its text files: what parts values, quotes them, and writes numbers."""

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, fields

WORDS = {"tab": "\t", "space": " ", "none": ""}
"""How a contract writes what nobody sees."""
OF_JSON = ("new_line", "array")
"""What ODCS says of JSON files at `delimiter`; which it is, the file shows."""
QUOTES = ('"', "'", "")
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
        encoding: A codec of Python; a byte order mark wins over it.
        decimal: The character before the decimals.
        thousands: The character between thousands; empty for none.
        header: The line with the names, from 1; 0 if there is none.
    """

    delimiter: str = ","
    quote: str = '"'
    encoding: str = "utf-8"
    decimal: str = "."
    thousands: str = ""
    header: int = 1

    def options(self) -> dict[str, str]:
        """What a contract has to say of it: what differs from the default."""
        written = {value: word for word, value in WORDS.items()}
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: written.get(value, str(value)) if name != "header" else str(value or "none")
            for name, value in said.items()
            if value != getattr(DEFAULT, name)
        }


DEFAULT = Dialect()
OPTIONS = tuple(each.name for each in fields(Dialect))


def dialect_of(options: Mapping[str, str]) -> Dialect:
    """The dialect that a server's options say."""
    said = {name: WORDS.get(options[name], options[name]) for name in OPTIONS if name in options}
    if said.get("delimiter") in OF_JSON:
        del said["delimiter"]
    if said.get("delimiter") == r"\t":
        said["delimiter"] = "\t"
    header = int(said.pop("header", "1") or 0)
    return Dialect(**said, header=header)


def wrong(name: str, text: str) -> str:
    """What is wrong with an option's value; empty if nothing is."""
    value = WORDS.get(text, text)
    if name == "delimiter" and text in OF_JSON:
        return ""
    if name == "delimiter" and (len(value.replace(r"\t", "\t")) != 1 or value in "\r\n\"'"):
        return f"delimiter must be one character or the word tab or space, got '{text}'"
    if name == "quote" and value not in QUOTES:
        return f"quote must be \", ' or none, got '{text}'"
    if name == "decimal" and value not in DECIMALS:
        return f"decimal must be . or , and got '{text}'"
    if name == "thousands" and value not in THOUSANDS:
        return f"thousands must be . , ' space or none, got '{text}'"
    if name == "header" and text != "none" and not (text.isdecimal() and 0 < int(text) < 10**6):
        return f"header must be the number of the line with the names, or none, got '{text}'"
    if name == "encoding":
        try:
            if not codecs.lookup(text)._is_text_encoding:
                return f"encoding must be one of texts, such as utf-8 or cp1252, got '{text}'"
        except (LookupError, ValueError):
            return f"encoding must be one that Python knows, such as utf-8 or cp1252, got '{text}'"
    return ""
