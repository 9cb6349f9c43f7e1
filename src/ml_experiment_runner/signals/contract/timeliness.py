"""What a contract says of time: the event time, and when rows are known, due and too old."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from ml_experiment_runner.project.text import shorten
from ml_experiment_runner.signals.contract.contract import Field
from ml_experiment_runner.signals.contract.table import Table
from ml_experiment_runner.signals.odcs.reading import Reading, nearly, spelled
from ml_experiment_runner.signals.odcs.values import UNITS, duration, span
from ml_experiment_runner.signals.odcs.yaml_document import Entry

WHEN_HELD = ("last_good", "stop", "without")
SLA_PROPERTIES = ("latency", "freshness", "frequency")


@dataclass(frozen=True)
class Times:
    """What a contract says of time.

    Attributes:
        event_time: The field that says when a row happened; None for a state without history.
        latency: How long after its event time a row is known.
        freshness: How long a row may be used after it became known; None for ever.
        frequency: How often new rows are due; None where nothing says when it is late.
        when_held: What a run does while the signal is held or late.
        max_age: How old the last good snapshot may be; None for any age.
    """

    event_time: str | None = None
    latency: timedelta = timedelta(0)
    freshness: timedelta | None = None
    frequency: timedelta | None = None
    when_held: str = WHEN_HELD[0]
    max_age: timedelta | None = None


def read_times(
    sla_properties: Entry | None, table: Table, custom: Mapping[str, Entry], reading: Reading
) -> Times:
    """Reads `slaProperties` and the contract's custom properties about time.

    Args:
        sla_properties: The contract's `slaProperties`.
        table: The table that they are about.
        custom: The contract's custom properties.
        reading: Where its mistakes are collected.
    """
    event_time, latency, freshness, frequency = None, timedelta(0), None, None
    when_held, max_age = WHEN_HELD[0], None
    with reading.needs.collected():
        if "eventTime" in custom:
            event_time = _event_time(custom["eventTime"], table.fields)
    if "eventTime" in custom and event_time is None:
        return Times()  # all else counts from it
    given = _acted_on(sla_properties, event_time, table, reading)
    if "maxAge" in custom:
        with reading.needs.collected():
            _check_event_time("maxAge", custom["maxAge"], event_time)
    with reading.needs.collected():
        latency = duration(given["latency"]) if "latency" in given else timedelta(0)
    with reading.needs.collected():
        freshness = duration(given["freshness"]) if "freshness" in given else None
    with reading.needs.collected():
        frequency = _frequency(given["frequency"]) if "frequency" in given else None
    with reading.needs.collected():
        when_held, max_age = _when_held(custom, latency, frequency)
    return Times(event_time, latency, freshness, frequency, when_held, max_age)


def _acted_on(
    sla_properties: Entry | None, event_time: str | None, table: Table, reading: Reading
) -> dict[str, Mapping[str, Entry]]:
    """The properties that are acted on, by their names."""
    given: dict[str, list[Mapping[str, Entry]]] = {}
    for item in sla_properties.items() if sla_properties and sla_properties.is_list else []:
        entries = item.entries()
        if "property" not in entries or "value" not in entries:
            continue
        name = entries["property"].raw
        element = entries["element"].raw if "element" in entries else ""
        if element.rpartition(".")[0] in table.others:
            reading.unchecked.add(f"slaProperties {shorten(name)}", shorten(element))
            continue
        if known_name := spelled(name, SLA_PROPERTIES):
            given.setdefault(known_name, []).append(entries)
            continue
        with reading.mistakes.collected():
            if slip := nearly(name, SLA_PROPERTIES):
                raise entries["property"].mistake(
                    f"unknown entry '{shorten(name)}'. Did you mean '{slip}'?"
                )
        reading.unchecked.add(f"slaProperties {shorten(name)}")
    chosen: dict[str, Mapping[str, Entry]] = {}
    if not table.fields:  # the table or its fields are missing, which another mistake says
        return chosen
    has_moments = any(field.type == "timestamp" for field in table.fields)
    if event_time is None and not has_moments:  # nothing that they could count from
        for name in given:
            reading.unchecked.add(f"slaProperties {name}", "no field is a timestamp")
        return chosen
    for name, ways in given.items():
        with reading.needs.collected():
            _check_event_time(name, ways[0]["property"], event_time)
            chosen[name] = _of_event_time(name, ways, str(event_time), table.name)
    return chosen


def _check_event_time(what: str, entry: Entry, event_time: str | None) -> None:
    """Raises a UserError for a property about time in a contract without an event time."""
    if event_time is None:
        raise entry.mistake(
            f"{what} counts from a row's event time: add the custom property eventTime"
        )


def _of_event_time(
    what: str, ways: list[Mapping[str, Entry]], event_time: str, name: str
) -> Mapping[str, Entry]:
    """The entry about the event time, of those that are about several fields."""
    about = [
        entries
        for entries in ways
        if "element" not in entries or entries["element"].raw.rpartition(".")[2] == event_time
    ]
    if not about:
        ways[0]["element"].choice((event_time, f"{name}.{event_time}"))
    if len(about) > 1:
        raise about[1]["property"].mistake(f"duplicate '{what}'; remove one")
    return about[0]


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
        raise entry.mistake(f"eventTime: the field '{named.name}' must not be `knownAfterEvent`")
    return entry.text()


def _frequency(values: Mapping[str, Entry]) -> timedelta:
    frequency = duration(values)
    if not frequency:
        raise values["value"].mistake("frequency must be above 0")
    return frequency


def _when_held(
    custom: Mapping[str, Entry], latency: timedelta, frequency: timedelta | None
) -> tuple[str, timedelta | None]:
    when_held = WHEN_HELD[0]
    if "whenHeld" in custom:
        when_held = custom["whenHeld"].choice(WHEN_HELD)
    if "maxAge" not in custom:
        return when_held, None
    entry = custom["maxAge"]
    parts = re.fullmatch(r"(\d+(?:\.\d+)?) ?([a-z]+)", entry.text())
    if not parts or parts[2] not in UNITS or not float(parts[1]):
        raise entry.mistake(f"maxAge must be a duration such as 30 d, got '{entry.text()}'")
    if when_held != WHEN_HELD[0]:
        raise entry.mistake(
            f"maxAge has no effect with `whenHeld: {when_held}`, which uses no last good snapshot; "
            "remove one of them"
        )
    max_age = span(entry, float(parts[1]), parts[2])
    if frequency and max_age < frequency + latency:
        raise entry.mistake(
            f"maxAge must be at least frequency plus latency, when new rows are due, got "
            f"{entry.text()}"
        )
    return when_held, max_age
