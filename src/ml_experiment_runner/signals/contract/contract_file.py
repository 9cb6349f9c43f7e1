"""Reads contracts: files in `signals/` in the Open Data Contract Standard (ODCS) v3.

Whatever the standard allows is taken. What it forbids is a mistake; what receiving lacks is told
when the signal is to be received; what nothing here acts on is listed.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.contract.contract import UNKNOWN, Contract, Contracts
from ml_experiment_runner.signals.contract.people import people
from ml_experiment_runner.signals.contract.source_configuration import NOWHERE, Server, parse
from ml_experiment_runner.signals.contract.table import Table, read_table
from ml_experiment_runner.signals.contract.timeliness import read_times
from ml_experiment_runner.signals.odcs import standard
from ml_experiment_runner.signals.odcs.reading import Reading, custom_properties
from ml_experiment_runner.signals.odcs.values import check_zone
from ml_experiment_runner.signals.odcs.yaml_document import Entry, read, short

STATUSES = ("proposed", "draft", "active", "deprecated", "retired")
CUSTOM = (
    *("eventTime", "timeZone", "nullValues", "whenHeld", "maxAge", "model", "table", "server"),
)
SUFFIXES = (".yaml", ".yml")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
VERSION = re.compile(r"\w(?:[\w.+-]*\w)?", re.ASCII)
"""What can stand in the name of a file on every system."""


def contract_files(root: Path) -> list[Path]:
    """The files in `signals/` that hold contracts, in order of their names."""
    found = (root / "signals").glob("*.y*ml")
    return sorted(path for path in found if path.suffix in SUFFIXES)


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
                f"signals/{path.name}: another file has the contract of '{name}' too; remove one"
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
    """The contract that a document says, at the place where it is or will be.

    Raises:
        UserError: The standard forbids something in it; names all of it, with file and line.
    """
    _check_format(document)
    reading = Reading()
    standard.check(document, reading.mistakes)
    name = signal_name(path)
    with reading.mistakes.collected():
        if not NAME.fullmatch(name):
            raise document.mistake(
                f"the file's name is the signal's: '{short(name)}' must have letters, digits, _ "
                "and -, such as orders.yaml"
            )
    entries = document.entries()
    reading.unchecked.add_of(entries, "contract")
    if "description" in entries:
        reading.unchecked.add_of(entries["description"].entries(), "description", "description")
    custom = custom_properties(entries.get("customProperties"), CUSTOM, reading)
    table, server = Table(name, name), NOWHERE
    with reading.needs.collected():
        table = read_table(entries.get("schema"), document, name, custom.get("table"), reading)
    with reading.needs.collected():
        server = _server(entries, document, table, custom, reading)
    owner, contact = people(entries.get("team"), entries.get("support"))
    times = read_times(entries.get("slaProperties"), table, custom, reading)
    status = _status(entries.get("status"), reading)
    version, zone, model = "", "UTC", None
    nulls: tuple[str, ...] = ()
    with reading.needs.collected():
        version = _version(entries["version"]) if "version" in entries else ""
    with reading.needs.collected():
        zone = check_zone(custom["timeZone"]) if "timeZone" in custom else "UTC"
    with reading.needs.collected():
        nulls = _nulls(custom.get("nullValues"))
    with reading.needs.collected():
        model = _model(custom["model"]) if "model" in custom else None
    unsaid = _unsaid(entries, status, owner, contact, reading)
    reading.refuse()
    return Contract(
        name=name,
        version=version,
        owner=owner,
        contact=contact,
        server=server,
        fields=table.fields,
        key=table.key,
        event_time=times.event_time,
        time_zone=zone,
        delay=times.latency,
        freshness=times.freshness,
        null_values=nulls,
        path=path,
        status=status,
        frequency=times.frequency,
        rows=table.rows,
        rules=table.rules,
        when_held=times.when_held,
        max_age=times.max_age,
        model=model,
        unsaid=unsaid,
        missing=reading.missing(),
        unchecked=reading.unchecked.texts(),
    )


def _check_format(document: Entry) -> None:
    """One line for a file of another kind, instead of one for each of its entries."""
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
            f"apiVersion: {version.raw} is another format than v3; the owner has to convert it "
            f"to one of {', '.join(standard.VERSIONS)}"
        )


def _server(
    entries: Mapping[str, Entry],
    document: Entry,
    table: Table,
    custom: Mapping[str, Entry],
    reading: Reading,
) -> Server:
    servers = entries.get("servers")
    if servers is None or not servers.items():
        reading.lacking.found.append((servers or document).mistake(
            "'servers' is missing: say where the data come from"
        ))  # fmt: skip
        return NOWHERE
    return parse(servers, (table.name, table.source_name), custom.get("server"), reading)


def _status(entry: Entry | None, reading: Reading) -> str:
    text = entry.raw if entry else ""
    if text.casefold() in STATUSES:
        return text.casefold()
    if text:
        reading.unchecked.add(f"status {short(text)}")
    return text or "active"


def _version(entry: Entry) -> str:
    version = entry.text()
    if not VERSION.fullmatch(version) or len(version) > 60:
        raise entry.mistake(
            f"version: '{short(version)}' cannot stand in a file's name; write letters, digits, "
            "and . - + _ between them, such as 1.0.0"
        )
    return version


def _nulls(entry: Entry | None) -> tuple[str, ...]:
    return tuple(item.text() for item in entry.items()) if entry else ()


def _unsaid(
    entries: Mapping[str, Entry], status: str, owner: str, contact: str, reading: Reading
) -> tuple[str, ...]:
    """What a person still has to fill in."""
    words = entries["description"].entries() if "description" in entries else {}
    team, support = entries.get("team"), entries.get("support")
    said = {
        "team.name": team.find("name") if team else None,
        "support": _channel(support),
        "description.purpose": words.get("purpose"),
    }
    for entry in said.values():
        if status != "draft" and entry and entry.raw == UNKNOWN:
            with reading.needs.collected():
                raise entry.mistake(
                    f"{entry.name}: '{UNKNOWN}' is for a draft; write what it is, or "
                    "`status: draft`"
                )
    open_ones = {"team.name": owner == UNKNOWN, "support": contact == UNKNOWN}
    if status == "draft":
        purpose = said["description.purpose"]
        open_ones["description.purpose"] = purpose is None or purpose.raw == UNKNOWN
    return tuple(name for name, is_open in open_ones.items() if is_open)


def _channel(support: Entry | None) -> Entry | None:
    channels = support.items() if support and support.is_list else []
    return channels[0].find("url") or channels[0].find("channel") if channels else None


def _model(entry: Entry) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", entry.text()):
        raise entry.mistake(
            f"model: '{entry.text()}' is no registered model and alias, such as demand@champion"
        )
    return entry.text()
