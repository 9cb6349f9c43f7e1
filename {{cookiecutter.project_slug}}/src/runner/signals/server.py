"""Where a signal comes from: the entry under `servers`, and the secrets that it names.

A secret stands in a contract only as `${NAME}` of an environment variable, and has its value only
while a reader reads.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

from runner.config import SECRET_WORDS, nearest
from runner.errors import UserError
from runner.record.address import MASK, without_password
from runner.signals.dialect import OPTIONS, wrong
from runner.signals.document import Entry
from runner.signals.odcs import properties

FORMATS = ("csv", "parquet", "jsonl", "json")
_FILES = (*OPTIONS, "maxBytes")
"""What the properties of a server of files say of them."""

_VARIABLE = re.compile(r"\$\{([A-Za-z_]\w*)\}")
_IN_ADDRESS = re.compile(r"://[^/@\s:]*:(?P<value>[^/@\s]+)@")
_IN_QUERY = re.compile(
    r"[?&][^=&]*(?:key|token|secret|passw|signature|sig|auth|appid)[^=&]*=(?P<value>[^&#]*)", re.I
)
_SHORT = 4


@dataclass(frozen=True)
class Kind:
    """What one type of server is read by, and what its entry says.

    Attributes:
        reader: The reader's name.
        entries: Keys of the server itself, as ODCS has them.
        properties: Names of its `customProperties`.
        required: Those of both that must be there.
    """

    reader: str
    entries: tuple[str, ...]
    properties: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


_POSTGRES = Kind(
    "postgres",
    ("host", "port", "database", "schema"),
    ("user", "password"),
    ("host", "port", "database", "schema"),
)
TYPES = {
    "local": Kind("files", ("path", "format"), _FILES, ("path", "format")),
    "s3": Kind("files", ("location", "endpointUrl", "format", "delimiter"), _FILES,
               ("location", "format")),
    "azure": Kind("files", ("location", "format", "delimiter"), _FILES, ("location", "format")),
    "postgres": _POSTGRES,
    "postgresql": _POSTGRES,
    # ODCS 3.1 wants a number for DuckDB's `schema`, so it is a property
    "duckdb": Kind("duckdb", ("database",), ("schema",), ("database",)),
    "api": Kind(
        "api",
        ("location",),
        (
            *("records", "next", "page", "firstPage", "cursor", "cursorParameter", "since"),
            *("token", "tokenHeader", "timeout"),
        ),
        ("location",),
    ),
}  # fmt: skip
# the property `reader` of the type `custom`; any other is the dotted path of a function
READERS = {
    "files": Kind("files", ("location", "endpointUrl", "format", "delimiter"),
                  ("user", "password", *_FILES), ("location", "format")),
    "sqlite": Kind("sqlite", ("database",), (), ("database",)),
    "dvc": Kind("dvc", ("location", "path", "format", "delimiter"), ("rev", *_FILES),
                ("location", "path", "format", "rev")),
    "model": Kind("model", ("location",), ("input", "prediction"), ("input",)),
}  # fmt: skip
_CUSTOM = (
    *("account", "catalog", "database", "dataset", "delimiter", "endpointUrl", "format", "host"),
    *("location", "path", "port", "project", "region", "regionName", "schema", "serviceName"),
    *("stagingDir", "warehouse"),
)
_SCHEMES = {
    "s3": ("s3",),
    "azure": ("az", "abfs", "abfss"),
    "api": ("http", "https"),
}


@dataclass(frozen=True)
class Server:
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
        said = self.options
        table = ".".join(said[name] for name in ("schema", "table") if name in said)
        if self.reader == "postgres":
            return f"postgres://{said['host']}:{said['port']}/{said['database']}/{table}"
        if self.reader in ("sqlite", "duckdb"):
            return f"{self.reader}:{said['database']}/{table}"
        if self.reader == "dvc":
            return f"{said['location']}@{said['rev']}:{said['path']}"
        if self.reader == "model":
            return f"the model's output on {said['input']}"
        return said.get("path") or said.get("location") or self.reader

    @property
    def unset(self) -> list[str]:
        """The variables that the options name and the environment does not have."""
        return [name for name in self._variables() if not os.environ.get(name)]

    def resolved(self) -> dict[str, str]:
        """The options with the values of the variables that they name."""
        return {
            option: _VARIABLE.sub(lambda found: os.environ[found[1]], text)
            for option, text in self.options.items()
        }

    def hide(self, text: str) -> str:
        """The text without the values of the variables, and without passwords in addresses."""
        values = {os.environ.get(name, "") for name in self._variables()} - {""}
        for secret in sorted(values, key=len, reverse=True):
            for form in {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}:
                if len(form) >= _SHORT:
                    text = text.replace(form, MASK)
                else:  # not the letter in every word
                    text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", lambda _: MASK, text)
        return without_password(text)

    def _variables(self) -> list[str]:
        return [name for text in self.options.values() for name in _VARIABLE.findall(text)]


def parse(servers: Entry, table: str) -> Server:
    """The one server of a contract.

    Args:
        servers: The contract's entry.
        table: The table's or view's name, for a server that is a database.

    Raises:
        UserError: An entry is unknown, missing or contradicts another, or a secret stands there.
    """
    if len(servers.items()) != 1:
        raise servers.mistake("a signal comes from one place: list exactly one server")
    server = servers.items()[0]
    kind = _kind(server)
    said = server.mapping(
        ("server", "type", "description", "environment", "customProperties", *kind.entries),
        ("server", "type"),
    )
    options = _options(kind, said)
    for name in kind.required:
        if name not in options:
            raise server.mistake(f"'{name}' is missing in {server.name}")
    for name, value in options.items():
        _check(name, value, said["type"].text())
    if kind.reader == "api":
        _check_paging(options)
    _check_dialect(options)
    texts = {name: value.text() for name, value in options.items()}
    if kind.reader in ("postgres", "sqlite", "duckdb"):
        texts["table"] = table
    return Server(kind.reader, texts)


def _kind(server: Entry) -> Kind:
    every = ("server", "type", "description", "environment", "customProperties", *_CUSTOM)
    said = server.mapping(every, ("server", "type"))
    form = said["type"].choice((*TYPES, "custom"))
    if form != "custom":
        return TYPES[form]
    reader = _properties(said.get("customProperties")).get("reader")
    if reader is None:
        raise server.mistake(
            "a server of type 'custom' says its reader: write 'property: reader' under "
            f"customProperties, with one of {', '.join(READERS)} or a function of yours"
        )
    if "." in reader.text():
        return Kind(reader.text(), _CUSTOM)
    return READERS[reader.choice(READERS)]


def _options(kind: Kind, said: Mapping[str, Entry]) -> dict[str, Entry]:
    """What the server and its properties say, under one roof."""
    options = {name: said[name] for name in kind.entries if name in said}
    for name, value in _properties(said.get("customProperties")).items():
        if name == "reader" and said["type"].text() == "custom":
            continue
        if "." not in kind.reader and name not in kind.properties:
            known = kind.properties
            there = nearest(name, known) if known else "This type of server has none."
            raise value.mistake(f"unknown property '{name}' of the server. {there}")
        if name in options:
            raise value.mistake(f"'{name}' stands twice; remove one")
        options[name] = value
    return options


def _properties(entry: Entry | None) -> dict[str, Entry]:
    return {name: values["value"] for name, values in properties(entry).items()}


def _check(name: str, value: Entry, form: str) -> None:
    text = value.text()
    is_secret = name == "user" or SECRET_WORDS.search(name) is not None
    if is_secret and not _VARIABLE.fullmatch(text):
        raise _literal(value, f"'{name}' is")
    for pattern in (_IN_ADDRESS, _IN_QUERY):
        found = pattern.search(text)
        if found and not _VARIABLE.fullmatch(found["value"]):
            raise _literal(value, f"'{name}' holds")
    if name == "format":
        value.choice(FORMATS)
    if name in OPTIONS and (mistake := wrong(name, text)):
        raise value.mistake(f"{value.name}: {mistake}")
    if name in ("port", "firstPage", "maxBytes") and not re.fullmatch(r"\d+", text):
        raise value.mistake(f"{value.name}: '{text}' is no whole number")
    if name == "timeout" and not value.number():
        raise value.mistake(f"{value.name}: a timeout is more than 0 seconds")
    schemes = _SCHEMES.get(form, ())
    if name == "location" and schemes and text.partition("://")[0] not in schemes:
        raise value.mistake(f"{value.name}: the address must start with "
                            f"{' or '.join(f'{scheme}://' for scheme in schemes)}")  # fmt: skip


def _literal(value: Entry, what: str) -> UserError:
    return value.mistake(
        f"{what} a secret: write the environment variable that has it, such as '$"
        "{VARIABLE}', "
        "and renew the secret if this file was shared"
    )


def _check_dialect(options: Mapping[str, Entry]) -> None:
    """A character has one meaning in a file."""
    decimal, thousands = options.get("decimal"), options.get("thousands")
    if thousands and thousands.text() == (decimal.text() if decimal else "."):
        raise thousands.mistake(
            f"thousands and decimal are both '{thousands.text()}'; write at decimal what stands "
            "before the decimals"
        )


def _check_paging(options: Mapping[str, Entry]) -> None:
    ways = [name for name in ("next", "page", "cursor") if name in options]
    if len(ways) > 1:
        raise options[ways[1]].mistake(f"'{ways[0]}' and '{ways[1]}' are two ways to page: say one")
    for name, other in (
        ("cursor", "cursorParameter"),
        ("cursorParameter", "cursor"),
        ("firstPage", "page"),
        ("tokenHeader", "token"),
    ):
        if name in options and other not in options:
            raise options[name].mistake(f"'{name}' needs '{other}' beside it")
