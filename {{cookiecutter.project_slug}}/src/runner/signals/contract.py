"""What a signal promises: its owner, version, fields, key, event time and source.

A contract is a file in `signals/` in the Open Data Contract Standard (ODCS) v3. The part of it
that is read here is all that may stand in it: an entry that nobody reads would be an empty promise.
"""

import zoneinfo
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from runner.errors import UserError
from runner.holds import Breach
from runner.signals.document import Entry, read

TYPES = ("string", "integer", "number", "boolean", "date", "timestamp")
FORMATS = ("csv", "parquet", "jsonl")
VERSIONS = ("v3.1.0", "v3.0.2", "v3.0.1", "v3.0.0")
UNITS = {
    **dict.fromkeys(("min", "minute", "minutes"), timedelta(minutes=1)),
    **dict.fromkeys(("h", "hour", "hours"), timedelta(hours=1)),
    **dict.fromkeys(("d", "day", "days"), timedelta(days=1)),
}

CONTRACT = (
    *("apiVersion", "kind", "id", "name", "version", "status", "domain", "tags", "description"),
    *("team", "support", "servers", "schema", "slaProperties", "customProperties"),
)
FIELD = (
    *("name", "logicalType", "physicalType", "description", "businessName", "classification"),
    *("required", "primaryKey", "primaryKeyPosition", "tags", "customProperties"),
)


class Unfit(UserError):  # noqa: N818 (said of a delivery, as in "unfit to be a snapshot")
    """Rows that cannot be a snapshot: their fields, types, required values or key are others."""

    def __init__(self, message: str, breach: Breach) -> None:
        super().__init__(message)
        self.breach = breach

    def __reduce__(self) -> tuple[type["Unfit"], tuple[str, Breach]]:
        """Errors come from processes of their own, and so are pickled."""
        return Unfit, (str(self), self.breach)


@dataclass(frozen=True)
class Field:
    """A column of a signal.

    Attributes:
        name: Its name in the source.
        type: One of TYPES.
        required: No row may be without it.
        key: Part of the primary key.
        known_after_event: Nobody knows it when the prediction is made.
        classification: Such as `restricted`; classified values never reach a record.
        unit: What its numbers count, such as `°F`.
        minimum: The least value; None for no bound.
        maximum: The greatest value; None for no bound.
        allowed: The only values, as texts; any, if empty.
        tolerated_invalid: Share of rows, 0 to 1, that may lie outside the range or the list.
        tolerated_nulls: Share of rows, 0 to 1, that may be without it; None for no bound.
    """

    name: str
    type: str
    required: bool = False
    key: bool = False
    known_after_event: bool = False
    classification: str | None = None
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    tolerated_invalid: float = 0.0
    tolerated_nulls: float | None = None


@dataclass(frozen=True)
class Contract:
    """A signal's contract.

    Attributes:
        key: Names of the key's fields, in order.
        event_time: The field that says when a row happened; None for a state without history.
        time_zone: Where the calendar's months begin and where times without an offset are.
        delay: How long after its event time a row is known.
        freshness: How long a row may be used after it became known; None for ever.
        null_values: Texts that stand for nothing.
        path: The contract's file.
        status: `proposed` or `draft` until a person has said who owns it and what it means.
        frequency: How often new rows are due; None where nothing says when it is late.
        rows: Least and greatest number of rows in a delivery's partition; None for no bound.
        when_held: What a run does while the signal is held or late: `last_good`, `stop` or
            `without`.
        max_age: How old, by its last event, the last good snapshot may be; None for any age.
        model: The registered model whose output it is, such as `demand@champion`; None for raw.
    """

    name: str
    version: str
    owner: str
    contact: str
    source: str
    format: str
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    event_time: str | None
    time_zone: str
    delay: timedelta
    freshness: timedelta | None
    null_values: tuple[str, ...]
    path: Path
    status: str = "active"
    frequency: timedelta | None = None
    rows: tuple[int | None, int | None] = (None, None)
    when_held: str = "last_good"
    max_age: timedelta | None = None
    model: str | None = None

    @property
    def root(self) -> Path:
        """The project that the contract belongs to."""
        return self.path.parents[1]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the fields, in order."""
        return tuple(field.name for field in self.fields)

    def field(self, name: str) -> Field:
        """The field of this name."""
        return self.fields[self.names.index(name)]

    def mistake(self, what: str, then: str = "") -> UserError:
        """The error that names the signal, its owner and what to do next."""
        then = then or f"Ask {self.owner} ({self.contact})"
        return UserError(f"signal {self.name}: {what}.\n{then}.")

    def unfit(self, breach: Breach, then: str = "") -> Unfit:
        """The error for a delivery that breaks a promise without which there is no snapshot."""
        return Unfit(str(self.mistake(breach.message, then)), breach)


def read_contracts(root: Path) -> dict[str, Contract]:
    """All contracts of the project by the signal's name.

    Raises:
        UserError: A contract cannot be read; names file, line and the nearest valid entry.
    """
    contracts: dict[str, Contract] = {}
    for path in sorted((root / "signals").glob("*.yaml")):
        contract = _contract(read(path), path)
        contracts[contract.name] = contract
    return contracts


def _contract(document: Entry, path: Path) -> Contract:
    entries = document.mapping(
        CONTRACT, ("apiVersion", "kind", "id", "version", "status", "team", "servers", "schema")
    )
    entries["apiVersion"].choice(VERSIONS)
    entries["kind"].choice(("DataContract",))
    entries["status"].choice(("proposed", "draft", "active", "deprecated", "retired"))
    if "description" in entries:
        for words in entries["description"].mapping(("purpose", "limitations", "usage")).values():
            words.text()
    name = entries.get("name", entries["id"])
    if name.text() != path.stem:
        raise name.mistake(f"the signal '{name.text()}' must be in {name.text()}.yaml")
    source, form = _server(entries["servers"])
    fields, key = _schema(entries["schema"], name.text())
    custom = _properties(entries.get("customProperties"), ("eventTime", "timeZone", "nullValues"))
    promises = _properties(
        entries.get("slaProperties"), ("latency", "freshness"), ("unit", "element")
    )
    zone = custom["timeZone"]["value"] if "timeZone" in custom else None
    if zone:
        _check_zone(zone)
    nulls = custom["nullValues"]["value"].items() if "nullValues" in custom else []
    owner, contact = _people(entries["team"], entries.get("support"))
    return Contract(
        name=name.text(),
        version=entries["version"].text(),
        owner=owner,
        contact=contact,
        source=source,
        format=form,
        fields=fields,
        key=key,
        event_time=_event_time(custom["eventTime"]["value"], fields) if "eventTime" in custom
        else None,
        time_zone=zone.text() if zone else "UTC",
        delay=_duration(promises["latency"]) if "latency" in promises else timedelta(0),
        freshness=_duration(promises["freshness"]) if "freshness" in promises else None,
        null_values=tuple(entry.text() for entry in nulls),
        path=path,
    )  # fmt: skip


def _people(team: Entry, support: Entry | None) -> tuple[str, str]:
    owner = team.mapping(("name", "description", "members"), ("name",))["name"].text()
    if support is None or not (channels := support.items()):
        raise team.mistake("'support' is missing: name the channel that reaches the owner")
    channel = channels[0].mapping(("channel", "url", "tool", "scope", "description"), ("channel",))
    return owner, channel.get("url", channel["channel"]).text().removeprefix("mailto:")


def _server(servers: Entry) -> tuple[str, str]:
    if len(servers.items()) != 1:
        raise servers.mistake("a signal comes from one place: list exactly one server")
    server = servers.items()[0].mapping(
        ("server", "type", "path", "format", "description", "environment"),
        ("server", "type", "path", "format"),
    )
    server["type"].choice(("local",))
    return server["path"].text(), server["format"].choice(FORMATS)


def _schema(schema: Entry, name: str) -> tuple[tuple[Field, ...], tuple[str, ...]]:
    if len(schema.items()) != 1:
        raise schema.mistake("a signal is one table: list exactly one object")
    table = schema.items()[0].mapping(
        ("name", "logicalType", "physicalType", "physicalName", "description", "properties"),
        ("name", "properties"),
    )
    if table["name"].text() != name:
        raise table["name"].mistake(f"the table must have the signal's name, '{name}'")
    fields: dict[str, Field] = {}
    positions: dict[str, float] = {}
    for entry in table["properties"].items():
        values = entry.mapping(FIELD, ("name", "logicalType"))
        field = _field(values)
        if field.name in fields:
            raise values["name"].mistake(f"the field '{field.name}' stands twice")
        fields[field.name] = field
        position = values.get("primaryKeyPosition")
        if field.key:
            positions[field.name] = position.number() if position else float(len(fields))
    if not positions:
        raise table["properties"].mistake(
            "there is no key; write `primaryKey: true` at the fields that tell the rows apart"
        )
    return tuple(fields.values()), tuple(sorted(positions, key=lambda key: positions[key]))


def _field(values: dict[str, Entry]) -> Field:
    custom = _properties(values.get("customProperties"), ("knownAfterEvent",))
    known_after = custom["knownAfterEvent"]["value"].flag() if custom else False
    key = values["primaryKey"].flag() if "primaryKey" in values else False
    if "." in values["name"].text():
        raise values["name"].mistake("a field's name may hold no dot: it parts signal and field")
    if "description" in values:
        values["description"].text()
    return Field(
        name=values["name"].text(),
        type=values["logicalType"].choice(TYPES),
        # a row cannot be told apart by something that it does not have
        required=key or ("required" in values and values["required"].flag()),
        key=key,
        known_after_event=known_after,
        classification=values["classification"].text() if "classification" in values else None,
    )


def _properties(
    entry: Entry | None, known: tuple[str, ...], more: tuple[str, ...] = ()
) -> dict[str, dict[str, Entry]]:
    """ODCS lists of `{property: …, value: …}` by the property's name."""
    properties: dict[str, dict[str, Entry]] = {}
    for item in entry.items() if entry else []:
        values = item.mapping(("property", "value", "description", *more), ("property", "value"))
        properties[values["property"].choice(known)] = values
    return properties


def _event_time(entry: Entry, fields: tuple[Field, ...]) -> str:
    named = next((field for field in fields if field.name == entry.text()), None)
    if named is None:
        entry.choice([field.name for field in fields if field.type == "timestamp"])
    elif named.type != "timestamp" or not named.required:
        raise entry.mistake(
            f"eventTime: the field '{named.name}' must have `logicalType: timestamp` and "
            "`required: true`"
        )
    return entry.text()


def _check_zone(entry: Entry) -> None:
    try:
        zoneinfo.ZoneInfo(entry.text())
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        entry.choice(zoneinfo.available_timezones())


def _duration(values: dict[str, Entry]) -> timedelta:
    if "unit" not in values:
        raise values["value"].mistake(f"'unit' is missing; write one of {', '.join(UNITS)}")
    return values["value"].number() * UNITS[values["unit"].choice(UNITS)]
