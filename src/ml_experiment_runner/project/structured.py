"""Takes a text apart that holds several values: JSON, YAML, or the settings of a connection."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

_QUOTED = r"\"(?:[^\"]|\"\")*\"|'(?:[^'\\]|''|\\.)*'|\{(?:[^{}]|\}\})*\}"
_SEPARATORS = ((";", " "), (",", " "), ("&", " "), (r"\n", " "), (r"\s", ""))
"""What may stand between two settings, and what then may stand within a name."""
_SETTINGS = [
    re.compile(
        rf"(?:\A|{separator})\n?[ \t]*-?-?(?P<name>[A-Za-z][\w.{within}-]"
        r"{0,60})"
        rf"\s*(?:=|:\s)\s*(?P<value>(?:{_QUOTED})(?=\s*(?:{separator}|\Z))|[^{separator}]+)",
        re.DOTALL,
    )
    for separator, within in _SEPARATORS
]
_DOUBLED = re.compile(r"\\(.)|([\"'}])\2", re.DOTALL)
_IN_QUOTES = re.compile(r"\s*([\"'])(?P<inner>.+)\1\s*", re.DOTALL)
_WITH_SCHEME = re.compile(r"\s*(?:bearer|basic|token)\s+(?P<inner>\S+)\s*", re.IGNORECASE)


def is_flow(text: str) -> bool:
    """Whether a text is bracketed as lists and mappings are in JSON and YAML, and for OmegaConf."""
    text = text.strip()
    return text[:1] + text[-1:] in ("[]", "{}")


def decoded(text: str) -> Any:
    """The list or the mapping that a text is in JSON or YAML, None for any other text."""
    if is_flow(text):
        with suppress(ValueError, RecursionError):
            return json.loads(text)
    elif "\n" not in text.strip() or ": " not in text:
        return None
    import yaml

    try:
        # numbers stay as they are written: in YAML 0123 is another
        node = yaml.load(text, yaml.BaseLoader)  # noqa: S506
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return node if isinstance(node, dict | list) else None


def unwrapped(text: str) -> str:
    """The text without the quotes around it, or without the scheme before credentials."""
    found = _IN_QUOTES.fullmatch(text) or _WITH_SCHEME.fullmatch(text)
    return found["inner"] if found else text


def settings(text: str) -> Iterator[tuple[str, str]]:
    """Names and values of settings such as `Server=db;Pwd=…`, or `host=db password=…`.

    What separates them is not known, so a value ends at each character in turn that may do so: it
    comes several times, once as it is meant. In quotes it comes with what they have escaped, and
    without.
    """
    for pattern in _SETTINGS:
        for found in pattern.finditer(text):
            value = found["value"].strip().rstrip(";,")
            inner = value[1:-1] if value[:1] + value[-1:] == "{}" else unwrapped(value)
            for form in dict.fromkeys((value, inner, _DOUBLED.sub(r"\1\2", inner))):
                yield found["name"].strip(), form
