"""Values within a text: JSON, YAML, or settings of a connection."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from ml_experiment_runner.project.secrets.names import is_public_name, is_secret_name

_LINE = 16  # characters; a shorter line of a secret is not a secret by itself
_PIECES = re.compile(r"[^\s\[\]{},:\"']{8,}")
_QUOTED = r"\"(?:[^\"]|\"\")*\"|'(?:[^'\\]|''|\\.)*'|\{(?:[^{}]|\}\})*\}"
_SEPARATORS = ((";", " "), (",", " "), ("&", " "), (r"\n", " "), (r"\s", ""))
"""Separators between two settings, each with the characters that a name may then hold."""
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


def values_within(text: str, is_secret: bool) -> Iterator[tuple[str, bool | None]]:
    """The values that code would read from a text, and whether each is a secret.

    Args:
        text: Anything: in quotes, JSON, YAML, settings of a connection, or lines of a key.
        is_secret: Whether the text itself is a secret.

    Yields:
        A value, and True for a secret, False for any other, None where only its parts matter.
    """
    if (inner := _unwrapped(text)) != text:
        yield inner, is_secret
        return
    is_flow = _is_flow(text)
    if (node := _decoded(text, is_flow)) is not None:
        yield from _leaves(node, is_secret)
    elif is_flow:  # the resolver `oc.decode` may read it
        yield from ((piece, False) for piece in _PIECES.findall(text))
    if is_flow:
        return
    yield from ((value, True) for name, value in _settings(text) if is_secret_name(name))
    lines = [line.strip() for line in text.splitlines()]
    if len(lines) > 1:  # each line of a key may be printed by itself
        longer = (line for line in lines if len(line) >= _LINE and not line.startswith("---"))
        yield from ((line, is_secret) for line in longer)


def _unwrapped(text: str) -> str:
    """The text without the quotes around it, or without the scheme before credentials."""
    match = _IN_QUOTES.fullmatch(text) or _WITH_SCHEME.fullmatch(text)
    return match["inner"] if match else text


def _is_flow(text: str) -> bool:
    """Whether a text is in brackets or braces, as in JSON, YAML's flow style and OmegaConf."""
    text = text.strip()
    return text[:1] + text[-1:] in ("[]", "{}")


def _decoded(text: str, is_flow: bool) -> Any:
    """The list or mapping that a text holds in JSON or YAML, else None."""
    if is_flow:
        with suppress(ValueError, RecursionError):
            return json.loads(text)
    elif "\n" not in text.strip() or ": " not in text:
        return None
    import yaml

    try:
        # BaseLoader keeps numbers as they are written, such as 0123
        node = yaml.load(text, yaml.BaseLoader)  # noqa: S506
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return node if isinstance(node, dict | list) else None


def _leaves(node: Any, is_secret: bool) -> Iterator[tuple[str, bool | None]]:
    """The values within lists and mappings, and whether each is a secret.

    Keys decide where any of them is a secret's name; otherwise the values are what the whole is.
    """
    remaining = [("", node, is_secret)]
    while remaining:
        name, node, is_secret = remaining.pop()
        if isinstance(node, dict):
            entries = [_entry(str(key), value) for key, value in node.items()]
            keys_decide = any(is_secret_name(key) for key, _ in entries)
            remaining += [
                (key, value, is_secret_name(key) or (is_secret and not keys_decide))
                for key, value in entries
            ]
        elif isinstance(node, list):
            remaining += [(name, value, is_secret) for value in node]
        elif isinstance(node, str):
            is_open = is_public_name(name) or (not is_secret and "://" in node)
            yield node, None if is_open else is_secret
        elif is_secret and isinstance(node, int | float):
            yield str(node), True


def _entry(key: str, value: Any) -> tuple[str, Any]:
    """An entry of a mapping; OmegaConf reads `{key:value}`, for which YAML needs a space."""
    name, colon, rest = key.partition(":")
    return (name, rest) if colon and not value else (key, value)


def _settings(text: str) -> Iterator[tuple[str, str]]:
    """Names and values of settings such as `Server=db;Pwd=…`, or `host=db password=…`.

    The separator is unknown, so each possible one is tried, and a value is yielded several times. A
    quoted value is yielded with its escapes and without.
    """
    for pattern in _SETTINGS:
        for setting in pattern.finditer(text):
            value = setting["value"].strip().rstrip(";,")
            inner = value[1:-1] if value[:1] + value[-1:] == "{}" else _unwrapped(value)
            for form in dict.fromkeys((value, inner, _DOUBLED.sub(r"\1\2", inner))):
                yield setting["name"].strip(), form
