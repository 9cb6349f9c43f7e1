"""The secrets that this process has read; masks them in texts, lists and dicts."""

import os
import re
from collections.abc import Mapping
from itertools import chain, count
from typing import Any
from urllib.parse import unquote

from ml_experiment_runner.project.secrets.addresses import MASK, mask_addresses, secrets_of_address
from ml_experiment_runner.project.secrets.escapes import escapes
from ml_experiment_runner.project.secrets.names import is_secret_variable
from ml_experiment_runner.project.secrets.structured import values_within
from ml_experiment_runner.project.secrets.usual_texts import is_usual, is_words

PRIVATE = "RUNNER_PRIVATE"
"""Environment variable that hands the names of private variables to child processes.

Its names are separated by `=`. Child processes inherit the values of `.env`, but not all of them
find the file.
"""

SHORTEST = 4
"""Characters; a shorter secret is masked only where it is the whole text."""
_NO_MATCH = 0, re.compile(r"(?!)")


class Secrets:
    """A set of secret values that masks them in texts.

    Values may be added at any time, from any thread.
    """

    def __init__(self) -> None:
        self._anywhere: set[str] = set()
        self._whole: set[str] = set()
        # beside the number of values in it: it is outdated when another thread has added one
        self._compiled = _NO_MATCH

    def add(self, value: str, is_secret: bool | None = True) -> None:
        """Adds a value, the logins of its addresses, and the secrets among its settings.

        Args:
            value: As it was read.
            is_secret: Whether its name is a secret's. If not, words are masked only where they are
                the whole text. None adds only what is within the value.
        """
        remaining = [(value, is_secret)]
        while remaining:
            text, is_secret = remaining.pop()
            if is_secret is not None:
                self._add(text, is_secret)
            self.add_addresses(text)
            remaining += values_within(text, bool(is_secret))

    def add_addresses(self, text: str) -> None:
        """Adds the logins of the addresses in a text, and nothing else of it."""
        for secret in _secrets_of_addresses(text):
            self._add(secret, is_secret=True)

    def mask(self, text: str) -> str:
        """The text without the values, however they are escaped."""
        return MASK if self._whole and text.strip() in self._whole else self.mask_name(text)

    def mask_name(self, text: str) -> str:
        """`mask` for a name or a line: what is masked only as a whole text stays."""
        if self._anywhere:
            size, pattern = self._compiled
            if size != len(self._anywhere):
                pattern = self._compile()
            text = pattern.sub(MASK, text)
        return text

    def clear(self) -> None:
        """Forgets all values."""
        self._anywhere.clear()
        self._whole.clear()
        self._compiled = _NO_MATCH

    def _add(self, value: str, is_secret: bool) -> None:
        value = value.strip()
        if not value or value in self._anywhere or is_usual(value):
            return
        if len(value) < SHORTEST or (not is_secret and is_words(value)):
            self._whole.add(value)
            return
        self._anywhere.add(value)

    def _compile(self) -> re.Pattern[str]:
        values = sorted(self._anywhere, key=len, reverse=True)
        pattern = re.compile("|".join(form for value in values for form in escapes(value)))
        self._compiled = len(values), pattern
        return pattern


_secrets = Secrets()


def register(value: str, name: str = "") -> None:
    """Registers a value, which this process masks from now on in everything that it writes.

    Numbers, usual words and paths of this machine are never masked.

    Args:
        value: As it was read.
        name: The name of its variable or option. If it is not a secret's, words are masked only
            where they are the whole text.
    """
    _secrets.add(value, not name or is_secret_variable(name))


def register_addresses(node: Any) -> None:
    """Registers the logins of the addresses in a text, or within lists and dicts."""
    if isinstance(node, str):
        _secrets.add_addresses(node)
    elif isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            register_addresses(value)


def register_environment() -> None:
    """Registers secret and private variables, and the logins of addresses in all others.

    The variable `PRIVATE` names the private ones, which are those of `.env`.
    """
    private = os.environ.get(PRIVATE, "").split("=")
    for name, value in os.environ.items():
        register_addresses(value)
        if is_secret_variable(name):
            register(value, name)
        elif name in private:
            _secrets.add(value, None if "://" in value else False)


def watch_resolver() -> None:
    """Registers each value that a configuration reads through the resolver `oc.env`."""
    from omegaconf import OmegaConf
    from omegaconf.resolvers import oc

    missing: Any = object()

    def env(key: str, default: Any = missing) -> str | None:
        value = oc.env(key) if default is missing else oc.env(key, default)
        # a default is written in a file, so only the name of the variable makes it a secret
        if value is not None and (key in os.environ or is_secret_variable(key)):
            register(value, key)
        return value

    OmegaConf.register_new_resolver("oc.env", env, replace=True)


def clear() -> None:
    """Forgets all registered values; for tests."""
    _secrets.clear()


def mask(text: str) -> str:
    """The text without registered values, however escaped, and without secrets in addresses."""
    return mask_addresses(_secrets.mask(text))


def mask_name(text: str) -> str:
    """`mask` for a name or a line: what is masked only as a whole text stays."""
    return mask_addresses(_secrets.mask_name(text))


def mask_within(node: Any) -> Any:
    """`mask` for every text inside lists and dicts, keys included."""
    if isinstance(node, str):
        return mask(node)
    if isinstance(node, dict):
        return {key: mask_within(value) for key, value in mask_keys(node).items()}
    if isinstance(node, list | tuple):
        return [mask_within(value) for value in node]
    return node


def mask_keys(node: Mapping[Any, Any]) -> dict[Any, Any]:
    """The same entries with masked keys; equal keys are numbered, so that no entry is lost."""
    names = {key: mask_name(key) if isinstance(key, str) else key for key in node}
    taken = {key for key, name in names.items() if key == name}
    for key, name in names.items():
        if key != name:
            candidates = chain([name], (f"{name} ({number})" for number in count(2)))
            names[key] = next(candidate for candidate in candidates if candidate not in taken)
            taken.add(names[key])
    return {names[key]: value for key, value in node.items()}


def _secrets_of_addresses(text: str) -> set[str]:
    """The secrets of all addresses in a text, quoted and unquoted."""
    if "://" not in text:
        return set()
    secrets = {form for part in secrets_of_address(text) for form in (part, unquote(part))}
    # libraries show what precedes a slash in a password as the port
    pieces = {piece for secret in secrets for piece in re.split(r"[/?#@]", secret)}
    secrets |= {piece for piece in pieces if len(piece) >= SHORTEST}
    return secrets - {MASK}
