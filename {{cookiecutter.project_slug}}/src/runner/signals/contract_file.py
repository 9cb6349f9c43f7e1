"""Reads contracts: files in `signals/` in the Open Data Contract Standard (ODCS) v3.

The part of it that is read here is all that may stand in one: an entry that nobody reads would be
an empty promise.
"""

import re
import zoneinfo
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from runner.signals.contract import TYPES, UNKNOWN, Contract, Field
from runner.signals.document import Entry, read
from runner.signals.odcs import (
    NO_NAME,
    NUMERIC,
    UNITS,
    check_texts,
    duration,
    metrics,
    properties,
    row_count,
    share,
    span,
    valid_values,
    value_range,
)
from runner.signals.server import parse

VERSIONS = ("v3.1.0", "v3.2.0")
STATUSES = ("proposed", "draft", "active", "deprecated", "retired")
WHEN_HELD = ("last_good", "stop", "without")
CONTRACT = (
    *("apiVersion", "kind", "id", "name", "version", "status", "domain", "tags", "description"),
    *("team", "support", "servers", "schema", "slaProperties", "customProperties"),
)
DESCRIPTION = ("purpose", "limitations", "usage")
TEAM = ("name", "description", "members")
MEMBER = ("username", "name", "role", "description")
SUPPORT = ("channel", "url", "tool", "scope", "description")
FIELD = (
    *("name", "logicalType", "physicalType", "description", "businessName", "classification"),
    *("required", "primaryKey", "primaryKeyPosition", "tags", "customProperties"),
    *("logicalTypeOptions", "quality", "physicalName"),
)
TABLE = (
    *("name", "logicalType", "physicalType", "physicalName", "description", "properties"),
    "quality",
)
CUSTOM = ("eventTime", "timeZone", "nullValues", "whenHeld", "maxAge", "model")
CUSTOM_OF_FIELD = ("unit", "knownAfterEvent")
PROMISES = ("latency", "freshness", "frequency")
METRICS = ("invalidValues", "nullValues")


def read_contracts(root: Path) -> dict[str, Contract]:
    """All contracts of the project by the signal's name.

    Raises:
        UserError: A contract cannot be read; names file, line and the nearest valid entry.
    """
    contracts: dict[str, Contract] = {}
    for path in sorted((root / "signals").glob("*.yaml")):
        contract = contract_of(read(path), path)
        contracts[contract.name] = contract
    return contracts


def contract_of(document: Entry, path: Path) -> Contract:
    """The contract that a document says, at the place where it is or will be.

    Raises:
        UserError: It cannot be read; names file, line and the nearest valid entry.
    """
    entries = document.mapping(
        CONTRACT, ("apiVersion", "kind", "id", "version", "status", "team", "servers", "schema")
    )
    entries["apiVersion"].choice(VERSIONS)
    entries["kind"].choice(("DataContract",))
    status = entries["status"].choice(STATUSES)
    name = entries.get("name", entries["id"])
    if name.text() != path.stem:
        raise name.mistake(f"the signal '{name.text()}' must be in {name.text()}.yaml")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name.text()):
        raise name.mistake("a signal's name has letters, digits, _ and -, such as orders")
    if not re.fullmatch(r"\d+\.\d+\.\d+", entries["version"].text()):
        raise entries["version"].mistake(
            f"version: '{entries['version'].text()}' is none of the form 1.0.0: a change that "
            "breaks readers raises the first number, one that adds the second"
        )
    server = parse(entries["servers"], _table(entries["schema"], name.text()))
    fields, key, rows = _schema(entries["schema"], name.text())
    custom = properties(entries.get("customProperties"), CUSTOM)
    promises = properties(entries.get("slaProperties"), PROMISES, ("unit", "element"))
    zone = custom["timeZone"]["value"] if "timeZone" in custom else None
    if zone:
        _check_zone(zone)
    nulls = custom["nullValues"]["value"].items() if "nullValues" in custom else []
    if "nullValues" in custom and server.options.get("format") != "csv":
        raise custom["nullValues"]["property"].mistake(
            "nullValues are texts of a CSV; this source has nulls of its own"
        )
    owner, contact = _people(entries["team"], entries.get("support"))
    event_time = (
        _event_time(custom["eventTime"]["value"], fields) if "eventTime" in custom else None
    )
    _check_times(name.text(), event_time, promises, custom)
    latency = duration(promises["latency"]) if "latency" in promises else timedelta(0)
    frequency = _frequency(promises["frequency"]) if "frequency" in promises else None
    when_held, max_age = _when_held(custom, latency, frequency)
    return Contract(
        name=name.text(),
        version=entries["version"].text(),
        owner=owner,
        contact=contact,
        server=server,
        fields=fields,
        key=key,
        event_time=event_time,
        time_zone=zone.text() if zone else "UTC",
        delay=latency,
        freshness=duration(promises["freshness"]) if "freshness" in promises else None,
        null_values=tuple(entry.text() for entry in nulls),
        path=path,
        status=status,
        frequency=frequency,
        rows=rows,
        when_held=when_held,
        max_age=max_age,
        model=_model(custom["model"]["value"]) if "model" in custom else None,
        unsaid=_unsaid(entries, status),
    )


def _unsaid(entries: Mapping[str, Entry], status: str) -> tuple[str, ...]:
    """What a draft leaves open; in any other contract that is a mistake."""
    check_texts(entries, "domain", "tags")
    words: dict[str, Entry] = {}
    if "description" in entries:
        words = entries["description"].mapping(DESCRIPTION)
        check_texts(words, *words)
    channel = entries["support"].items()[0].mapping(SUPPORT)
    said: dict[str, Entry | None] = {
        "team.name": entries["team"].mapping(TEAM)["name"],
        "support": channel.get("url", channel["channel"]),
        "description.purpose": words.get("purpose"),
    }
    for entry in said.values():
        if status != "draft" and entry and entry.text() == UNKNOWN:
            raise entry.mistake(
                f"{entry.name}: '{UNKNOWN}' is for a draft; write what it is, or `status: draft`"
            )
    if status != "draft":
        return ()
    return tuple(name for name, entry in said.items() if not entry or entry.text() == UNKNOWN)


def _people(team: Entry, support: Entry | None) -> tuple[str, str]:
    parts = team.mapping(TEAM, ("name",))
    for member in parts["members"].items() if "members" in parts else []:
        words = member.mapping(MEMBER)
        check_texts(words, *words)
    if support is None or not (channels := support.items()):
        raise team.mistake("'support' is missing: name the channel that reaches the owner")
    first, *_ = [channel.mapping(SUPPORT, ("channel",)) for channel in channels]
    return parts["name"].text(), first.get("url", first["channel"]).text().removeprefix("mailto:")


def _table(schema: Entry, name: str) -> str:
    """What the table or view is called where it comes from."""
    physical = next((table.find("physicalName") for table in schema.items()), None)
    return physical.text() if physical else name


def _schema(
    schema: Entry, name: str
) -> tuple[tuple[Field, ...], tuple[str, ...], tuple[int | None, int | None]]:
    if len(schema.items()) != 1:
        raise schema.mistake("a signal is one table: list exactly one object")
    table = schema.items()[0].mapping(TABLE, ("name", "properties"))
    if table["name"].text() != name:
        raise table["name"].mistake(f"the table must have the signal's name, '{name}'")
    if "logicalType" in table:
        table["logicalType"].choice(("object",))
    check_texts(table, "physicalType", "physicalName", "description")
    fields: dict[str, Field] = {}
    positions: dict[str, Entry | None] = {}
    for entry in table["properties"].items():
        values = entry.mapping(FIELD, ("name", "logicalType"))
        field = _field(values)
        if field.name in fields:
            raise values["name"].mistake(f"the field '{field.name}' stands twice")
        if field.source_name in {each.source_name for each in fields.values()}:
            raise values.get("physicalName", values["name"]).mistake(
                f"the physicalName '{field.source_name}' stands twice"
            )
        fields[field.name] = field
        if field.key:
            positions[field.name] = values.get("primaryKeyPosition")
    if not positions:
        raise table["properties"].mistake(
            "there is no key; write `primaryKey: true` at the fields that tell the rows apart"
        )
    order = _in_order(positions, table["properties"])
    return tuple(fields.values()), order, row_count(table.get("quality"))


def _in_order(positions: Mapping[str, Entry | None], properties: Entry) -> tuple[str, ...]:
    """The key's fields by their positions, or as they stand where none is given."""
    given = {name: entry.whole() for name, entry in positions.items() if entry}
    if not given:
        return tuple(positions)
    for name, entry in positions.items():
        if entry is None:
            raise properties.mistake(
                f"the key field '{name}' has no primaryKeyPosition; give one to all or to none"
            )
        if list(given.values()).count(given[name]) > 1:
            raise entry.mistake(f"primaryKeyPosition {given[name]} stands twice")
    return tuple(sorted(given, key=lambda name: given[name]))


def _field(values: Mapping[str, Entry]) -> Field:
    name, kind = values["name"].text(), values["logicalType"].choice(TYPES)
    if NO_NAME.fullmatch(name):
        raise values["name"].mistake(
            "a field's name may not be * and not go from ^ to $: in a feature it would name "
            "others; write another, and the source's as physicalName"
        )
    check_texts(values, "description", "businessName", "physicalType", "tags")
    custom = properties(values.get("customProperties"), CUSTOM_OF_FIELD)
    unit = custom["unit"]["value"] if "unit" in custom else None
    if unit and kind not in NUMERIC:
        raise unit.mistake(f"unit: a {kind} has none; it belongs to an integer or number")
    is_key, required = _required(values)
    low, high = value_range(values.get("logicalTypeOptions"), kind)
    options = values.get("logicalTypeOptions")
    form = options.find("format") if options and kind in ("date", "timestamp", "time") else None
    allowed, tolerated_invalid, tolerated_nulls = _rules(values, required=required)
    return Field(
        name=name,
        type=kind,
        required=required,
        key=is_key,
        known_after_event="knownAfterEvent" in custom and custom["knownAfterEvent"]["value"].flag(),
        classification=values["classification"].text() if "classification" in values else None,
        unit=unit.text() if unit else None,
        minimum=low,
        maximum=high,
        allowed=allowed,
        tolerated_invalid=tolerated_invalid,
        tolerated_nulls=tolerated_nulls,
        physical_name=values["physicalName"].raw if "physicalName" in values else None,
        format=form.text() if form else None,
    )


def _required(values: Mapping[str, Entry]) -> tuple[bool, bool]:
    """Whether the field is part of the key, and whether no row may be without it."""
    key = "primaryKey" in values and values["primaryKey"].flag()
    required = values["required"].flag() if "required" in values else key
    if key and not required:
        raise values["required"].mistake(
            "it is part of the key, and a row cannot be told apart by something that it lacks"
        )
    if "primaryKeyPosition" in values and not key:
        raise values["primaryKeyPosition"].mistake("primaryKeyPosition without `primaryKey: true`")
    return key, required


def _rules(
    values: Mapping[str, Entry], *, required: bool
) -> tuple[tuple[str, ...], float, float | None]:
    """The valid values, and the tolerated shares of invalid ones and of nulls."""
    rules = metrics(values.get("quality"), METRICS, ("arguments", "mustBeLessOrEqualTo"))
    allowed: tuple[str, ...] = ()
    invalid, nulls = rules.get("invalidValues"), rules.get("nullValues")
    if invalid and "arguments" in invalid:
        allowed = valid_values(invalid["arguments"], values)
    elif invalid and "logicalTypeOptions" not in values:
        raise invalid["metric"].mistake(
            "nothing says which values are invalid: add `arguments: {validValues: […]}`, or a "
            "minimum or maximum under logicalTypeOptions"
        )
    if nulls and "arguments" in nulls:
        raise nulls["arguments"].mistake("nullValues takes no arguments")
    if nulls and required and share(nulls):
        raise nulls["metric"].mistake(
            "the field is required, so that no row may be without it; take one of both away"
        )
    return allowed, share(invalid) if invalid else 0.0, share(nulls) if nulls else None


def _event_time(entry: Entry, fields: tuple[Field, ...]) -> str:
    named = next((field for field in fields if field.name == entry.text()), None)
    if named is None:
        entry.choice([field.name for field in fields if field.type == "timestamp"])
    elif named.type != "timestamp" or not named.required:
        raise entry.mistake(
            f"eventTime: the field '{named.name}' must have `logicalType: timestamp` and "
            "`required: true`"
        )
    elif named.known_after_event:
        raise entry.mistake(f"eventTime: '{named.name}' cannot be known only after itself")
    return entry.text()


def _check_times(
    name: str,
    event_time: str | None,
    promises: Mapping[str, Mapping[str, Entry]],
    custom: Mapping[str, Mapping[str, Entry]],
) -> None:
    """What is said about time needs an event time to be said about."""
    said = {**promises, **{key: custom[key] for key in ("maxAge",) if key in custom}}
    for what, values in said.items():
        if event_time is None:
            raise values["property"].mistake(
                f"{what} counts from a row's event time, and there is none: add the custom "
                "property eventTime"
            )
        if "element" in values:
            values["element"].choice((event_time, f"{name}.{event_time}"))


def _frequency(values: Mapping[str, Entry]) -> timedelta:
    frequency = duration(values)
    if not frequency:
        raise values["value"].mistake("frequency must be above 0: new rows are due this often")
    return frequency


def _when_held(
    custom: Mapping[str, Mapping[str, Entry]], latency: timedelta, frequency: timedelta | None
) -> tuple[str, timedelta | None]:
    when_held = WHEN_HELD[0]
    if "whenHeld" in custom:
        when_held = custom["whenHeld"]["value"].choice(WHEN_HELD)
    if "maxAge" not in custom:
        return when_held, None
    entry = custom["maxAge"]["value"]
    parts = re.fullmatch(r"(\d+(?:\.\d+)?) ?([a-z]+)", entry.text())
    if not parts or parts[2] not in UNITS or not float(parts[1]):
        raise entry.mistake(f"maxAge: '{entry.text()}' is no duration such as 30 d")
    if when_held != WHEN_HELD[0]:
        raise entry.mistake(
            f"maxAge is how old the last good snapshot may be, and `whenHeld: {when_held}` "
            "uses none; remove one of both"
        )
    max_age = span(entry, float(parts[1]), parts[2])
    if frequency and max_age < frequency + latency:
        raise entry.mistake(
            f"maxAge: {entry.text()} is over before new rows are due, frequency and latency after "
            "the last"
        )
    return when_held, max_age


def _model(entry: Entry) -> str:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", entry.text()):
        raise entry.mistake(
            f"model: '{entry.text()}' is no registered model and alias, such as demand@champion"
        )
    return entry.text()


def _check_zone(entry: Entry) -> None:
    try:
        zoneinfo.ZoneInfo(entry.text())
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        entry.choice(zoneinfo.available_timezones())
