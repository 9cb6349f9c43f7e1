"""Reads the entry under `servers` of a contract: its type, its options and their mistakes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.secrets import is_secret_name, secrets_of_address
from ml_experiment_runner.project.text import shorten
from ml_experiment_runner.signals.contract.dialect import OPTIONS, wrong
from ml_experiment_runner.signals.contract.source_configuration import (
    NOWHERE,
    VARIABLE,
    SourceConfiguration,
)
from ml_experiment_runner.signals.odcs.reading import Reading, custom_properties
from ml_experiment_runner.signals.odcs.yaml_document import Entry

FORMATS = ("csv", "parquet", "jsonl", "json")
_FILES = (*OPTIONS, "maxBytes")
"""What the properties of a server of files say of them."""

LIMITS = ("maxPages", "maxBytes", "maxSeconds")
"""How much an HTTP interface may send before it is stopped; the reader has the defaults."""

_SECRET = re.compile(r"\$\{[A-Za-z_]\w*\}")
_SETTING = re.compile(r"(?:^|[;\s])(?P<name>[A-Za-z][\w .-]*)=(?P<value>[^;]+)")
"""One of a connection string's, such as `Password=…`."""
_LIKE_OURS = 5
"""Characters of a name that may be a slip; of a server that is read, shorter ones are another's."""


@dataclass(frozen=True)
class SourceType:
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


_POSTGRES = SourceType(
    "postgres",
    ("host", "port", "database", "schema"),
    ("user", "password"),
    ("host", "port", "database", "schema"),
)
TYPES = {
    "local": SourceType("files", ("path", "format", "encoding"), _FILES, ("path", "format")),
    "s3": SourceType("files", ("location", "endpointUrl", "format", "delimiter", "encoding"),
                     _FILES, ("location", "format")),
    "azure": SourceType("files", ("location", "format", "delimiter", "encoding"), _FILES,
                  ("location", "format")),
    "postgres": _POSTGRES,
    "postgresql": _POSTGRES,
    # ODCS 3.1 wants a number for DuckDB's `schema`, so it is a property
    "duckdb": SourceType("duckdb", ("database",), ("schema",), ("database",)),
    "api": SourceType(
        "api",
        ("location",),
        (
            *("records", "next", "page", "firstPage", "cursor", "cursorParameter", "since"),
            *("token", "tokenHeader", "timeout", *LIMITS),
        ),
        ("location",),
    ),
}  # fmt: skip
# the property `reader` of the type `custom`; any other is the dotted path of a function
READERS = {
    "files": SourceType("files", ("location", "endpointUrl", "format", "delimiter", "encoding"),
                  ("user", "password", *_FILES), ("location", "format")),
    "sqlite": SourceType("sqlite", ("database",), (), ("database",)),
    "dvc": SourceType("dvc", ("location", "path", "format", "delimiter", "encoding"),
                      ("rev", *_FILES), ("location", "path", "format", "rev")),
    "model": SourceType("model", ("location",), ("input", "prediction"), ("input",)),
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


def read_servers(
    servers: Entry, table: tuple[str, str], chosen: Entry | None, reading: Reading
) -> SourceConfiguration:
    """The server that a signal comes from.

    Args:
        servers: The contract's entry.
        table: What the contract calls the table, and what the source does.
        chosen: The contract's property that names one of several.
        reading: Where its mistakes are collected.
    """
    server = _chosen(servers, chosen, reading)
    if server is None or not {"server", "type"} <= set(server.entries()):
        return NOWHERE
    for other in servers.items():
        if other.line != server.line and (name := other.find("server")):
            reading.unchecked.add("servers", shorten(name.raw))
    with reading.needs.collected():
        return _server(server, table, reading)
    return NOWHERE


def _chosen(servers: Entry, chosen: Entry | None, reading: Reading) -> Entry | None:
    """The server that is named, or the one that can be read."""
    listed = {
        name.raw: server
        for server in servers.items()
        if (name := server.find("server")) is not None
    }
    if chosen is not None:
        with reading.needs.collected():
            return listed[chosen.choice(listed)]
        return None
    readable = {name: server for name, server in listed.items() if _is_read(server)}
    if len(readable) == 1:
        return next(iter(readable.values()))
    if readable:
        reading.lacking.add(servers.mistake(
            "several servers can be read; choose one: add the custom property `server` with one "
            f"of {', '.join(map(shorten, readable))} to the contract"
        ))  # fmt: skip
        return None
    types = sorted(
        {server_type.raw for server in listed.values() if (server_type := server.find("type"))}
    )
    if types == ["custom"]:  # says itself what is wrong
        return next(iter(listed.values()))
    reading.lacking.add(servers.mistake(
        f"unsupported servers of type {', '.join(types) or 'none'}; add one of type "
        f"{', '.join(TYPES)}, or of type custom with the property reader"
    ))  # fmt: skip
    return None


def _is_read(server: Entry) -> bool:
    form = server.find("type")
    if form is None or form.raw != "custom":
        return form is not None and form.raw in TYPES
    reader = _plain_properties(server.find("customProperties")).get("reader")
    return reader is not None and (reader in READERS or "." in reader)


def _plain_properties(custom: Entry | None) -> dict[str, str]:
    """The custom properties that are plain texts, whatever they are called."""
    return {name: value.raw for name, value in _all_properties(custom).items()}


def _all_properties(custom: Entry | None) -> dict[str, Entry]:
    pairs = [
        (item.find("property"), item.find("value"))
        for item in (custom.items() if custom and custom.is_list else [])
    ]
    return {name.raw: value for name, value in pairs if name and value}


def _server(server: Entry, table: tuple[str, str], reading: Reading) -> SourceConfiguration:
    source_type = _source_type(server)
    entries = server.entries()
    place = entries["server"].raw
    options = _options(source_type, entries, reading)
    if missing := [name for name in source_type.required if name not in options]:
        reading.lacking.all += [
            server.mistake(f"'{name}' is missing in {server.name}") for name in missing
        ]
        return NOWHERE
    for name, value in (_all_properties(entries.get("customProperties")) | options).items():
        with reading.mistakes.collected():
            _check_secrets(name, value)
    for name, value in options.items():
        with reading.needs.collected():
            _check(name, value, entries["type"].text())
    if source_type.reader == "api":
        _check_paging(options)
    with reading.needs.collected():
        _check_dialect(options)
    reading.unchecked.add_of(entries, "server", place)
    for key in entries:
        if key in _CUSTOM and key not in options:
            reading.unchecked.add(key, place)
    texts = {name: value.text() for name, value in options.items()}
    for name in ("path", "location"):
        if name in texts:  # the placeholder that datacontract-cli fills in too
            texts[name] = texts[name].replace("{model}", table[0])
    if source_type.reader in ("postgres", "sqlite", "duckdb"):
        texts["table"] = table[1]
    return SourceConfiguration(source_type.reader, texts)


def _source_type(server: Entry) -> SourceType:
    form = server.entries()["type"].raw
    if form in TYPES:
        return TYPES[form]
    if form != "custom":
        raise server.mistake(
            f"unsupported server type '{shorten(form)}'; write one of "
            f"{', '.join((*TYPES, 'custom'))}"
        )
    custom = server.find("customProperties")
    reader = custom_properties(custom, ("reader",), Reading()).get("reader")
    if reader is None:
        raise server.mistake(
            "a server of type 'custom' needs the property 'reader': add it under customProperties "
            f"with one of {', '.join(READERS)} or a function of yours"
        )
    if "." in reader.text():
        return SourceType(reader.text(), _CUSTOM)
    return READERS[reader.choice(READERS)]


def _options(
    source_type: SourceType, entries: Mapping[str, Entry], reading: Reading
) -> dict[str, Entry]:
    """What the server and its properties say, under one roof."""
    options = {name: entries[name] for name in source_type.entries if name in entries}
    custom = entries.get("customProperties")
    if "." in source_type.reader:
        known = [name for name in _plain_properties(custom) if name != "reader"]
    else:
        known = list(source_type.properties)
    own = ["reader"] if entries["type"].raw == "custom" else []
    custom_values = custom_properties(
        custom, (*known, *own), reading, entries["server"].raw, shortest=_LIKE_OURS
    )
    for name, value in custom_values.items():
        if name in own:
            continue
        if name in options:
            raise value.mistake(f"duplicate option '{name}'; remove one")
        options[name] = value
    return options


def _check_secrets(name: str, value: Entry) -> None:
    text = value.raw
    is_secret = name == "user" or is_secret_name(name)
    if is_secret and not _SECRET.fullmatch(text):
        raise _literal(value, f"'{name}' is")
    settings = [
        match["value"] for match in _SETTING.finditer(text) if is_secret_name(match["name"])
    ]
    for secret in (*secrets_of_address(text), *settings):
        if not _SECRET.fullmatch(secret.strip()):
            raise _literal(value, f"'{name}' holds")


def _check(name: str, value: Entry, form: str) -> None:
    text = value.text()
    if name == "format":
        value.choice(FORMATS)
    if name in OPTIONS and (mistake := wrong(name, text)):
        raise value.mistake(f"{value.name}: {mistake}")
    is_variable = VARIABLE.fullmatch(text) is not None
    if name in ("port", "firstPage") and not (is_variable or re.fullmatch(r"\d+", text)):
        raise value.mistake(f"{value.name}: {name} must be a whole number, got '{text}'")
    if name in LIMITS and not re.fullmatch(r"0*[1-9]\d{0,17}", text):
        raise value.mistake(
            f"{value.name}: {name} must be a whole number of at least 1, got '{text}'"
        )
    if name == "timeout" and not value.number():
        raise value.mistake(f"{value.name}: timeout must be above 0 seconds, got '{text}'")
    schemes = _SCHEMES.get(form, ())
    if (
        name == "location"
        and schemes
        and not text.startswith("${")
        and text.partition("://")[0] not in schemes
    ):
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
            f"thousands and decimal must differ, got '{thousands.text()}' for both; `decimal` is "
            "the character before the decimals"
        )


def _check_paging(options: Mapping[str, Entry]) -> None:
    ways = [name for name in ("next", "page", "cursor") if name in options]
    if len(ways) > 1:
        raise options[ways[1]].mistake(
            f"'{ways[0]}' and '{ways[1]}' exclude each other: both say how to page; remove one"
        )
    for name, other in (
        ("cursor", "cursorParameter"),
        ("cursorParameter", "cursor"),
        ("firstPage", "page"),
        ("tokenHeader", "token"),
    ):
        if name in options and other not in options:
            raise options[name].mistake(f"'{name}' needs '{other}' as well")
