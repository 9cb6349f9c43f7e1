"""Finds a text in any escaped form: repr, JSON, YAML, HTML, addresses, shell, or Base64."""

import html.entities
import re
from base64 import b64encode
from collections.abc import Callable, Iterable

_ALONE = 8  # characters; a shorter text is found only between characters of other kinds
_IN_BASE64 = 8  # characters; fewer occur in pictures by chance


def escapes(value: str) -> Iterable[str]:
    """Regular expressions for a text as it is, in any escaped form, and in Base64."""
    yield from _base64(value)
    form = "".join(_escaped(character) for character in re.findall(r"\s+|\\+|[^\s\\]", value))
    if len(value) < _ALONE or value.isalpha():
        before = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{2})|(?<=\\x[0-9a-f]{2}))"
        form = f"{before}{form}(?![A-Za-z0-9])"
    yield form


_PERCENT = "%(?:25)*"
"""Begins an escaped byte in an address, also where one address is part of another."""
_BACKSLASH = rf"(?:\\|{_PERCENT}5[Cc])"
_BACKSLASHES = _BACKSLASH + "{1,16}"
_AND = rf"(?:&|{_PERCENT}26)(?:amp(?:;|{_PERCENT}3[Bb]))*"
_NUMBER = rf"{_AND}(?:#|{_PERCENT}23)"
_END = rf"(?:;|{_PERCENT}3[Bb])"
_WHITE = (
    rf"(?:\s|{_BACKSLASH}[nrt]?|{_BACKSLASH}x(?:20|0[9ad])|{_PERCENT}(?i:20|0[9ad])|\+"
    rf"|{_PERCENT}2[Bb]|{_NUMBER}x?[0-9A-Fa-f]+{_END})+"
)
"""White space in any escaped form, also where a line was broken there."""
_BREAK = rf"(?:[n\n]|{_PERCENT}0[Aa])(?:[\s+]|{_PERCENT}20)*"
_FOLD = f"(?:{_BACKSLASHES}{_BREAK})?"
"""A line break that YAML puts behind an escaped character."""


def _escaped(character: str) -> str:
    """A regular expression for a character in any escaped form.

    Escapes may be nested, so backslashes and `%25` are repeated. Runs of spaces and of backslashes
    count as one character.
    """
    if character.isspace():
        return _WHITE
    if character[0] == "\\":
        return f"(?:{_BACKSLASH}(?:{_BREAK})?|{_NUMBER}(?:92|x5[Cc]){_END})" + "{1,64}"
    if character.isascii() and character.isalnum():
        return character
    form = _unquoted(character)
    if character == "%":  # is doubled in texts that %-formatting builds
        form = f"(?:{form})" + "{1,2}"
    if character == "'":  # in a shell, and in YAML
        double = _unquoted('"')
        form = f"{form}(?:{double}{form}{double}{form}|{form}{form}?)?"
    return f"{form}{_FOLD}"


def _unquoted(character: str) -> str:
    # each form once, because two equal ones would be tried in all combinations
    return f"(?:{_BACKSLASHES})?(?:{'|'.join(dict.fromkeys(_forms(character)))})"


def _forms(character: str) -> list[str]:
    """The forms of a character: itself, its bytes, its code, and its name in HTML."""
    code = ord(character)
    data = character.encode("utf-8", "surrogatepass")
    utf16 = character.encode("utf-16-be", "surrogatepass")
    units = [utf16[place : place + 2].hex() for place in range(0, len(utf16), 2)]
    forms = [
        re.escape(character),
        "".join(f"{_PERCENT}(?i:{byte:02x})" for byte in data),
        _BACKSLASHES.join(f"x(?i:{byte:02x})" for byte in data),
        _BACKSLASHES.join(f"u(?i:{unit})" for unit in units),
        f"U(?i:{code:08x})",
        rf"{_NUMBER}(?:0*{code}|(?i:x0*{code:x})){_END}",
    ]
    if name := html.entities.codepoint2name.get(code):
        forms.append(f"{_AND}{name}{_END}")
    if code < 256:
        forms += [f"{_PERCENT}(?i:{code:02x})", f"x(?i:{code:02x})"]
    if 0xD800 <= code < 0xE000:  # a lone surrogate: what is written instead
        forms += [r"\?", "\ufffd"]
    return forms


def _base64(value: str) -> set[str]:
    """The value within Base64, as of `user:password`, at each of three offsets in a group."""
    encodings: list[Callable[[], bytes]] = [
        lambda: value.encode("utf-8", "surrogateescape"),
        lambda: value.encode("latin-1"),
    ]
    forms = set()
    for encode in encodings:
        try:
            data = encode()
        except UnicodeEncodeError:
            continue
        for offset in range(3):
            text = b64encode(bytes(offset) + data).decode()
            # without the characters that hold bits of the neighbouring bytes
            core = text[-(-8 * offset // 6) : 8 * (offset + len(data)) // 6]
            if len(core) >= _IN_BASE64:
                core = core.replace("+", "(?:[+-]|%2[Bb])").replace("/", r"(?:[/_]|\\/|%2[Ff])")
                forms.add(core + r"[A-Za-z0-9+/_-]{0,2}(?:={1,2}|(?:%3[Dd]){1,2})?")
    return forms
