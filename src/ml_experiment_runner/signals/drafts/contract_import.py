"""Imports the contract that a producer has written, with what ingestion needs added.

Their text stays as it is, comments and order included: what is added are lines of its own.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from ml_experiment_runner.project.atomic import write_atomically
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.secrets import mask_addresses
from ml_experiment_runner.signals.contract import generated_key
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.contract.contract_file import contract_of
from ml_experiment_runner.signals.drafts.draft import infer_source
from ml_experiment_runner.signals.drafts.inferred_table import InferredTable
from ml_experiment_runner.signals.odcs.yaml_document import Entry, parse, read

SUFFIXES = (".yaml", ".yml")


def is_contract(place: str) -> bool:
    """Whether this is the file of a contract and not of data."""
    return Path(place).suffix.lower() in SUFFIXES


def import_contract(root: Path, name: str, place: str, source: str | None) -> Contract:
    """Writes `signals/<name>.yaml` from a producer's contract.

    Args:
        root: The project.
        name: The signal's name.
        place: The path of their contract.
        source: The data's path or address, which are looked at; None to write it by hand.

    Raises:
        UserError: The contract is there already, the standard refuses theirs, or the data cannot
            be read.
    """
    path = root / "signals" / f"{name}.yaml"
    for taken in (path, path.with_suffix(".yml")):
        if taken.exists():
            raise UserError(f"signals/{taken.name} is there already: edit it or take another name")
    if "://" in place:
        raise UserError(f"--from {mask_addresses(place)}: download the contract and name its file")
    theirs = Path(place).expanduser()
    contract = contract_of(read(theirs), path)
    text = theirs.read_text(encoding="utf-8-sig")
    data = None
    if source:
        server, data = infer_source(root, source, datetime.now(UTC))
        text = _with_source(text, path, server, data)
    text = _with_the_rest(text, path, data)
    contract = contract_of(parse(text, path), path)
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, text)
    return contract


def _with_source(text: str, path: Path, server: str, data: InferredTable) -> str:
    """The contract with the source that is given, and the table that the data are of."""
    document, additions = parse(text, path), _Additions(text)
    contract = contract_of(document, path)
    _add_server(document, server, contract, additions)
    tables = _items(document.find("schema"))
    if not contract.fields and len(tables) > 1:
        columns = {column.name for column in data.columns}
        nearest = max(tables, key=lambda table: len(columns & _source_names(table)))
        if name := nearest.find("name"):
            _add_custom(document, "table", name.raw, additions)
    return additions.text()


def _with_the_rest(text: str, path: Path, data: InferredTable | None) -> str:
    """The contract with key and event time, and lines for what only a person knows."""
    document, additions = parse(text, path), _Additions(text)
    contract = contract_of(document, path)
    if data:
        _add_key(document, contract, data, additions)
    _add_event_time(document, contract, data, additions)
    _add_hints(document, contract, additions)
    return additions.text()


def _source_names(table: Entry) -> set[str]:
    fields = _items(table.find("properties"))
    return {name.raw for item in fields if (name := item.find("physicalName") or item.find("name"))}


@dataclass
class _Additions:
    """Lines and words to be put into a text, each at its place.

    Attributes:
        original: The text as it came.
        spans: Line, column and end column of what is replaced, with what comes there.
        below: What is added at the text's end.
    """

    original: str
    spans: list[tuple[int, int, int, str]] = field(default_factory=list)
    below: list[str] = field(default_factory=list)

    def line(self, number: int, text: str) -> None:
        """A line of its own before a line."""
        self.spans.append((number, 0, 0, f"{text}\n"))

    def replace(self, entry: Entry, text: str) -> None:
        """Another value for one that stands in one line."""
        (line, start), (_, end) = entry.start, entry.end
        self.spans.append((line, start, end, text))

    def text(self) -> str:
        """The text with all of it."""
        lines = [f"{line}\n" for line in self.original.removesuffix("\n").split("\n")]
        for number, start, end, text in sorted(self.spans, reverse=True):
            if number == len(lines):
                lines.append(text)
            else:
                line = lines[number]
                lines[number] = line[:start] + text + line[end:]
        if self.below:
            header = "\n# Added to the producer's contract: what receiving its data needs.\n"
            lines += [] if header.strip() in self.original else [header]
            lines += [f"{line}\n" for line in self.below]
        return "".join(lines)


def _add_server(document: Entry, server: str, contract: Contract, additions: _Additions) -> None:
    """The source that is given; where another can be read, it is named as the one."""
    servers = document.find("servers")
    names = [name.raw for item in _items(servers) if (name := item.find("server"))]
    ours = next(name for name in ("source", "here", "local_copy", "import") if name not in names)
    server = server.replace("server: source", f"server: {ours}", 1)
    if not _items(servers):
        if servers is None:
            additions.below += ["servers:", f"  - {server}"]
        return
    _insert(servers, server, additions)
    if contract.source_configuration.reader or any(
        "servers can be read" in line for line in contract.missing
    ):
        _add_custom(document, "server", ours, additions)


def _add_key(
    document: Entry, contract: Contract, table: InferredTable, additions: _Additions
) -> None:
    """Adds the key that the data show, if the contract has none."""
    if contract.key or not contract.fields:
        return
    named = [key for key in table.keys if set(key) <= set(contract.source_names)]
    if not named:
        if not table.keys and (properties := _list_of_properties(document, contract)):
            _insert(properties, _generated_key(contract), additions)
        return
    entries = _properties(document, contract)
    for position, name in enumerate(named[0], 1):
        entry = entries[contract.source_field(name).name]
        values = {"primaryKey": "true"}
        if len(named[0]) > 1:
            values["primaryKeyPosition"] = str(position)
        _set(entry, values, additions)


def _set(field: Entry, values: Mapping[str, str], additions: _Additions) -> None:
    """Entries of a field, behind its name where they are not there yet."""
    entries = field.entries()
    name = entries["name"]
    for key, value in values.items():
        if key in entries:
            additions.replace(entries[key], value)
        elif field.is_flow:
            line, column = name.end
            additions.spans.append((line, column, column, f", {key}: {value}"))
        else:
            additions.line(name.end[0] + 1, " " * field.start[1] + f"{key}: {value}")


def _generated_key(contract: Contract) -> str:
    """The entry of a field that stands for all that a row holds."""
    name = generated_key.free_name({*contract.names, *contract.source_names})
    custom = "customProperties: [{property: " + generated_key.PROPERTY + ", value: true}]"
    return "{name: " + name + ", logicalType: string, primaryKey: true, " + custom + "}"


def _list_of_properties(document: Entry, contract: Contract) -> Entry | None:
    """The entry that lists the signal's fields."""
    for table in _items(document.find("schema")):
        listed = table.find("properties")
        if set(contract.names) <= set(_by_name(listed)):
            return listed
    return None


def _properties(document: Entry, contract: Contract) -> dict[str, Entry]:
    """The entries of the signal's fields by name."""
    return _by_name(_list_of_properties(document, contract))


def _by_name(properties: Entry | None) -> dict[str, Entry]:
    return {
        name.raw: item for item in _items(properties) if (name := item.find("name")) is not None
    }


def _add_event_time(
    document: Entry, contract: Contract, table: InferredTable | None, additions: _Additions
) -> None:
    """The event time: the one of the data, or those to choose from."""
    if contract.event_time is not None or not contract.fields:
        return
    moments = [
        field
        for field in contract.fields
        if field.type == "timestamp" and not field.known_after_event
    ]
    times = [field for field in moments if table is None or field.source_name in table.times]
    if table is not None and times:
        if not times[0].required:
            entry = _properties(document, contract).get(times[0].name)
            if entry is not None:
                _set(entry, {"required": "true"}, additions)
        _add_custom(document, "eventTime", times[0].name, additions)
    elif moments:
        listed = " or ".join(field.name for field in moments)
        additions.below += [
            f"# when a row happened: {listed}, which then needs `required: true`",
            "# customProperties:",
            "#   - {property: eventTime, value: " + moments[0].name + "}",
        ]


def _add_custom(document: Entry, name: str, value: str, additions: _Additions) -> None:
    """A custom property of the contract."""
    custom = document.find("customProperties")
    plain = value if re.fullmatch(r"[A-Za-z_]\w*", value) else json.dumps(value)
    entry = "{property: " + f"{name}, value: {plain}" + "}"
    if _items(custom):
        _insert(custom, entry, additions)
    else:
        if "customProperties:" not in additions.below:
            additions.below.append("customProperties:")
        additions.below.append(f"  - {entry}")


def _insert(listed: Entry | None, entry: str, additions: _Additions) -> None:
    """An entry before the first of a list."""
    assert listed is not None
    line, column = listed.start
    if listed.is_flow:
        additions.spans.append((line, column + 1, column + 1, f"{entry}, "))
    else:
        additions.line(line, f"{' ' * column}- {entry}")


def _add_hints(document: Entry, contract: Contract, additions: _Additions) -> None:
    """What only a person knows, as lines to be filled in."""
    if document.find("servers") is None and "servers:" not in additions.below:
        additions.below += [
            "# where the data come from",
            "# servers:",
            "#   - {server: source, type: local, path: data/raw/file.csv, format: csv}",
        ]
    if "team.name" in contract.unfilled and document.find("team") is None:
        additions.below += [
            "# who answers for these data", "# team:", "#   name: a team",
        ]  # fmt: skip
    if "support" in contract.unfilled and document.find("support") is None:
        additions.below += [
            "# how to reach them", "# support:", "#   - {channel: 'mailto:desk@example.com'}",
        ]  # fmt: skip


def _items(entry: Entry | None) -> list[Entry]:
    return entry.items() if entry is not None and entry.is_list else []
