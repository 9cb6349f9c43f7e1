"""Reads contracts: files in `signals/` in the Open Data Contract Standard (ODCS) v3.

Whatever the standard allows is accepted. What it forbids is a mistake; what ingestion lacks is
reported when the signal is to be ingested; what nothing here acts on is listed.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.text import shorten
from ml_experiment_runner.signals.contract.contract import UNKNOWN, Contract, Contracts
from ml_experiment_runner.signals.contract.people import people
from ml_experiment_runner.signals.contract.server_entry import read_servers
from ml_experiment_runner.signals.contract.source_configuration import NOWHERE, SourceConfiguration
from ml_experiment_runner.signals.contract.table import Table, read_table
from ml_experiment_runner.signals.contract.timeliness import read_times
from ml_experiment_runner.signals.odcs import standard
from ml_experiment_runner.signals.odcs.reading import Reading, custom_properties
from ml_experiment_runner.signals.odcs.values import check_zone
from ml_experiment_runner.signals.odcs.yaml_document import Entry, read

STATUSES = ("proposed", "draft", "active", "deprecated", "retired")
CUSTOM = (
    *("eventTime", "timeZone", "nullValues", "whenHeld", "maxAge", "model", "table", "server"),
)
SUFFIXES = (".yaml", ".yml")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
VERSION = re.compile(r"\w(?:[\w.+-]*\w)?", re.ASCII)
"""What the name of a file can hold on every system."""


def contract_files(root: Path) -> list[Path]:
    """The files in `signals/` that hold contracts, in order of their names."""
    paths = (root / "signals").glob("*.y*ml")
    return sorted(path for path in paths if path.suffix in SUFFIXES)


def signal_name(path: Path) -> str:
    """The name of the signal whose contract is in this file."""
    return path.stem.removesuffix(".odcs")


def read_contracts(root: Path) -> Contracts:
    """All contracts of the project by the signal's name.

    One that cannot be read, or lacks what receiving needs, raises its error when it is looked up.
    """
    contracts = Contracts()
    for path in contract_files(root):
        name = signal_name(path)
        if name in contracts:
            dict.pop(contracts, name, None)
            contracts.broken[name] = UserError(
                f"signals/{path.name}: duplicate contract of '{name}'; remove one of its files"
            )
            continue
        try:
            contract = contract_of(read(path), path)
            if contract.missing:
                contracts.incomplete[name] = contract
            contracts[name] = contract.complete()
        except UserError as error:
            contracts.broken[name] = error
    return contracts


def contract_of(document: Entry, path: Path) -> Contract:
    """The contract in a YAML document.

    Args:
        document: The root of the document.
        path: The contract's file, or where it will be.

    Raises:
        UserError: The standard forbids something in it; names all of it, with file and line.
    """
    _check_format(document)
    reading = Reading()
    standard.check(document, reading.mistakes)
    name = signal_name(path)
    _check_name(name, document, reading)
    entries = document.entries()
    _list_unchecked(entries, reading)
    custom = custom_properties(entries.get("customProperties"), CUSTOM, reading)
    table = reading.needed(
        Table(name, name),
        lambda: read_table(entries.get("schema"), document, name, custom.get("table"), reading),
    )
    source = reading.needed(
        NOWHERE, lambda: _source_configuration(entries, document, table, custom, reading)
    )
    owner, contact = people(entries.get("team"), entries.get("support"))
    times = read_times(entries.get("slaProperties"), table, custom, reading)
    status = _status(entries.get("status"), reading)
    version = reading.needed("", lambda: _version(entries.get("version")))
    time_zone = reading.needed("UTC", lambda: _time_zone(custom.get("timeZone")))
    null_values: tuple[str, ...] = ()
    null_values = reading.needed(null_values, lambda: _null_values(custom.get("nullValues")))
    model = reading.needed(None, lambda: _model(custom.get("model")))
    unfilled = _unfilled(entries, status, owner, contact, reading)
    reading.refuse()
    return Contract(
        name=name,
        version=version,
        owner=owner,
        contact=contact,
        source_configuration=source,
        fields=table.fields,
        key=table.key,
        event_time=times.event_time,
        time_zone=time_zone,
        delay=times.latency,
        freshness=times.freshness,
        null_values=null_values,
        path=path,
        status=status,
        frequency=times.frequency,
        rows=table.rows,
        rules=table.rules,
        when_held=times.when_held,
        max_age=times.max_age,
        model=model,
        unfilled=unfilled,
        missing=reading.missing(),
        unchecked=reading.unchecked.texts(),
    )


def _check_format(document: Entry) -> None:
    """Refuses a file of another format in one line, instead of one for each of its entries."""
    if document.find("dataContractSpecification"):
        raise document.mistake(
            "this is a Data Contract Specification, an older format; convert it to ODCS: "
            "datacontract export --format odcs"
        )
    kind, version = document.find("kind"), document.find("apiVersion")
    if kind is not None:
        kind.choice(standard.WORDS["kind"])
    if version is not None and re.match(r"v?[012]\.", version.raw):
        raise version.mistake(
            f"apiVersion must be one of {', '.join(standard.VERSIONS)}, got {version.raw}; ask the "
            "owner to convert the contract"
        )


def _check_name(name: str, document: Entry, reading: Reading) -> None:
    with reading.mistakes.collected():
        if not NAME.fullmatch(name):
            raise document.mistake(
                f"invalid file name '{shorten(name)}': it is the signal's name, with letters, "
                "digits, _ and -, such as orders.yaml"
            )


def _list_unchecked(entries: Mapping[str, Entry], reading: Reading) -> None:
    """Lists what the contract says of itself and nothing here acts on."""
    reading.unchecked.add_of(entries, "contract")
    if "description" in entries:
        reading.unchecked.add_of(entries["description"].entries(), "description", "description")


def _source_configuration(
    entries: Mapping[str, Entry],
    document: Entry,
    table: Table,
    custom: Mapping[str, Entry],
    reading: Reading,
) -> SourceConfiguration:
    servers = entries.get("servers")
    if servers is None or not servers.items():
        reading.lacking.add((servers or document).mistake(
            "'servers' is missing: say where the data come from"
        ))  # fmt: skip
        return NOWHERE
    return read_servers(servers, (table.name, table.source_name), custom.get("server"), reading)


def _status(entry: Entry | None, reading: Reading) -> str:
    text = entry.raw if entry else ""
    if text.casefold() in STATUSES:
        return text.casefold()
    if text:
        reading.unchecked.add(f"status {shorten(text)}")
    return text or "active"


def _version(entry: Entry | None) -> str:
    if entry is None:
        return ""
    version = entry.text()
    if not VERSION.fullmatch(version) or len(version) > 60:
        raise entry.mistake(
            f"version must hold only letters, digits and . - + _ between them, such as 1.0.0, "
            f"got '{shorten(version)}'"
        )
    return version


def _time_zone(entry: Entry | None) -> str:
    return check_zone(entry) if entry else "UTC"


def _null_values(entry: Entry | None) -> tuple[str, ...]:
    return tuple(item.text() for item in entry.items()) if entry else ()


def _model(entry: Entry | None) -> str | None:
    if entry is None:
        return None
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", entry.text()):
        raise entry.mistake(
            f"model must be a registered model with its alias, such as demand@champion, "
            f"got '{entry.text()}'"
        )
    return entry.text()


def _unfilled(
    entries: Mapping[str, Entry], status: str, owner: str, contact: str, reading: Reading
) -> tuple[str, ...]:
    """The entries that a person still has to fill in."""
    description = entries["description"].entries() if "description" in entries else {}
    team, purpose = entries.get("team"), description.get("purpose")
    if status != "draft":
        team_name = team.find("name") if team else None
        for entry in (team_name, _channel(entries.get("support")), purpose):
            _check_no_placeholder(entry, reading)
    is_open = {"team.name": owner == UNKNOWN, "support": contact == UNKNOWN}
    if status == "draft":
        is_open["description.purpose"] = purpose is None or purpose.raw == UNKNOWN
    return tuple(name for name in is_open if is_open[name])


def _check_no_placeholder(entry: Entry | None, reading: Reading) -> None:
    with reading.needs.collected():
        if entry and entry.raw == UNKNOWN:
            raise entry.mistake(
                f"{entry.name}: '{UNKNOWN}' is only allowed in a draft; fill it in, or write "
                "`status: draft`"
            )


def _channel(support: Entry | None) -> Entry | None:
    channels = support.items() if support and support.is_list else []
    return channels[0].find("url") or channels[0].find("channel") if channels else None
