"""Where a signal comes from, and the secrets that this names.

A secret stands in a contract only as `${NAME}` of an environment variable, and has its value only
while a reader reads.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ml_experiment_runner.project.secrets import (
    MASK,
    SHORTEST,
    Secrets,
    is_secret_name,
    mask,
    register,
    register_addresses,
)

VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)(?::-([^{}]*))?\}")
"""`${NAME}`, or `${NAME:-value}` with what holds where the variable is not set."""


@dataclass(frozen=True)
class SourceConfiguration:
    """Where a signal comes from.

    Attributes:
        reader: Name of a reader, or the dotted path of a team's own function.
        options: What it needs, as the contract says it: with `${NAME}` instead of secrets. In a
            database, `table` is the table or view.
    """

    reader: str
    options: Mapping[str, str]

    @property
    def origin(self) -> str:
        """What people call the place, with no secret in it."""
        options = self.options
        table = ".".join(options[name] for name in ("schema", "table") if name in options)
        if self.reader == "postgres":
            return f"postgres://{options['host']}:{options['port']}/{options['database']}/{table}"
        if self.reader in ("sqlite", "duckdb"):
            return f"{self.reader}:{options['database']}/{table}"
        if self.reader == "dvc":
            return f"{options['location']}@{options['rev']}:{options['path']}"
        if self.reader == "model":
            return f"the model's output on {options['input']}"
        return options.get("path") or options.get("location") or self.reader

    @property
    def unset(self) -> list[str]:
        """The variables that the options name and the environment does not have."""
        return [
            name
            for text in self.options.values()
            for name, default in VARIABLE.findall(text)
            if not (default or os.environ.get(name))
        ]

    def resolved(self) -> dict[str, str]:
        """The options with the values of the variables that they name; secrets are registered."""
        options = {
            option: VARIABLE.sub(
                lambda match: os.environ.get(match[1]) or match[2] or os.environ[match[1]], text
            )
            for option, text in self.options.items()
        }
        for option, text in self.options.items():
            for name, _ in VARIABLE.findall(text):
                register(os.environ.get(name, ""), "" if is_secret_name(option) else name)
            register_addresses(options[option])
        return options

    def hide(self, text: str) -> str:
        """The text without the values of the variables, and without any other secret."""
        values = {os.environ.get(name, "").strip() for name in self._variables()} - {""}
        own = Secrets()
        for value in values:
            own.add(value)
            if len(value) < SHORTEST:  # not the letter in every word
                text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", lambda _: MASK, text)
        return mask(own.mask(text))

    def _variables(self) -> list[str]:
        return [name for text in self.options.values() for name, _ in VARIABLE.findall(text)]


NOWHERE = SourceConfiguration("", {})
"""The server of a contract that names none which can be read here."""
