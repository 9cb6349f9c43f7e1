"""The table of a contract: its fields, their key, and the rules on them."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from ml_experiment_runner.project.text import shorten
from ml_experiment_runner.signals.contract import generated_key
from ml_experiment_runner.signals.contract.contract import (
    NESTED,
    SEMANTIC_TYPES,
    TYPES,
    Field,
)
from ml_experiment_runner.signals.contract.physical_types import logical_type
from ml_experiment_runner.signals.odcs.quality_rules import Rule
from ml_experiment_runner.signals.odcs.reading import Reading, custom_properties
from ml_experiment_runner.signals.odcs.rule_attributes import field_rules, table_rules
from ml_experiment_runner.signals.odcs.type_options import read_options
from ml_experiment_runner.signals.odcs.values import NO_NAME, NUMERIC, TIMES
from ml_experiment_runner.signals.odcs.yaml_document import Entry

CUSTOM_OF_FIELD = ("unit", "knownAfterEvent", "semanticType", generated_key.PROPERTY)
COMPUTED = ("measure", "dimension")
"""What a semantic layer computes from the table's columns, and no row holds."""
NAMED_BY = ("name", "physicalName")
STORED_AS = {"map": "object", "vector": "array"}
"""Types of ODCS v3.2 that are stored as another, as JSON."""


@dataclass(frozen=True)
class Table:
    """What a contract says of its table.

    Attributes:
        name: What the contract calls it.
        source_name: What it is called where it comes from.
        others: What the contract calls its other tables, where they come from too.
        fields: Its columns.
        key: Names of the key's fields, in order.
        rows: Least and greatest number of rows in a delivery's partition.
        rules: Further quality rules of the table.
    """

    name: str
    source_name: str
    others: frozenset[str] = frozenset()
    fields: tuple[Field, ...] = ()
    key: tuple[str, ...] = ()
    rows: tuple[int | None, int | None] = (None, None)
    rules: tuple[Rule, ...] = ()


def read_table(
    schema: Entry | None, document: Entry, name: str, chosen: Entry | None, reading: Reading
) -> Table:
    """The table of a contract that is the signal.

    Args:
        schema: The contract's entry.
        document: The whole contract.
        name: The signal's name.
        chosen: The contract's property that names one of several tables.
        reading: Where its mistakes are collected.
    """
    if schema is None or not schema.items():
        what = "is missing" if schema is None else "is empty"
        reading.lacking.add(
            (schema or document).mistake(f"'schema' {what}: write the table and its fields there")
        )
        return Table(name, name)
    table = _chosen(schema, name, chosen, reading)
    if table is None:
        return Table(name, name)
    others = set()
    for other in schema.items():
        if other.line != table.line and (called := other.find("name")):
            reading.unchecked.add("tables", shorten(called.raw))
            others |= {entry.raw for key in NAMED_BY if (entry := other.find(key))}
    entries = table.entries()
    reading.unchecked.add_of(entries, "table")
    custom_properties(entries.get("customProperties"), (), reading)
    physical = entries.get("physicalName") or entries.get("name")
    source_name = physical.raw if physical and physical.raw else name
    result = Table(
        entries["name"].raw if "name" in entries else name, source_name, frozenset(others)
    )
    properties = entries.get("properties")
    if properties is None or not properties.items():
        reading.lacking.add(table.mistake("'properties' is missing in the table: list its fields"))
        return result
    fields, positions = _fields(properties, reading)
    with reading.needs.collected():
        fields = _with_generated(fields, properties)
    key: tuple[str, ...] = ()
    if not any(_says_key(entry) for entry in properties.items()):
        reading.lacking.add(properties.mistake(
            "the key is missing; write `primaryKey: true` at the fields that identify a row"
        ))  # fmt: skip
    with reading.needs.collected():
        key = _in_order(positions, properties)
    result = replace(result, fields=fields, key=key)
    unchecked: list[str] = []
    with reading.needs.collected():
        names = tuple(field.name for field in fields)
        rows, rules = table_rules(entries.get("quality"), name, names, unchecked)
        result = replace(result, rows=rows, rules=rules)
    reading.unchecked.add_texts(unchecked)
    return result


def _chosen(schema: Entry, name: str, chosen: Entry | None, reading: Reading) -> Entry | None:
    """The table that is named, the only one, or the one with the signal's name."""
    tables = schema.items()
    wanted = chosen.raw if chosen else name
    if len(tables) == 1 and chosen is None:
        return tables[0]
    for key in NAMED_BY:
        for table in tables:
            called = table.find(key)
            if called and called.raw == wanted:
                return table
    names = [called.raw for table in tables if (called := table.find("name"))]
    with reading.needs.collected():
        if chosen is not None:
            chosen.choice(names)
    if chosen is None:
        reading.lacking.add(schema.mistake(
            f"none of {len(tables)} tables is called {name}; choose one: add the custom property "
            f"`table` with one of {', '.join(map(shorten, names[:8]))} to the contract"
        ))  # fmt: skip
    return None


def _fields(
    properties: Entry, reading: Reading
) -> tuple[tuple[Field, ...], dict[str, Entry | None]]:
    """The fields, and those of the key with the entry that says their position."""
    fields: dict[str, Field] = {}
    sources: set[str] = set()
    positions: dict[str, Entry | None] = {}
    for entry in properties.items():
        values = entry.entries()
        meaning = values["semanticType"].raw if "semanticType" in values else "column"
        if meaning in COMPUTED:
            called = values["name"].raw if "name" in values else ""
            reading.unchecked.add(f"properties of semanticType {meaning}", shorten(called))
            continue
        with reading.needs.collected():
            field = _field(entry, values, reading)
            if field.name in fields:
                raise values["name"].mistake(f"duplicate field '{field.name}'")
            if field.source_name in sources and not field.generated:
                raise values.get("physicalName", values["name"]).mistake(
                    f"duplicate physicalName '{field.source_name}'"
                )
            fields[field.name] = field
            if not field.generated:
                sources.add(field.source_name)
            if field.key:
                positions[field.name] = _position(values)
    return tuple(fields.values()), positions


def _says_key(entry: Entry) -> bool:
    key = entry.find("primaryKey")
    return key is not None and key.raw.casefold() == "true"


def _with_generated(fields: tuple[Field, ...], properties: Entry) -> tuple[Field, ...]:
    """The fields, where one that stands for all of a row is classified as they are."""
    generated = [field for field in fields if field.generated]
    if not generated:
        return fields
    if len(generated) < sum(field.key for field in fields):
        raise properties.mistake(
            f"the generated key '{generated[0].name}' must be the only field of the key"
        )
    secret = next((field.classification for field in fields if field.classification), None)
    return tuple(
        replace(field, classification=field.classification or secret) if field.generated else field
        for field in fields
    )


def _field(entry: Entry, values: Mapping[str, Entry], reading: Reading) -> Field:
    if "name" not in values:
        raise entry.mistake(f"'name' is missing in {entry.name}")
    name = values["name"].text()
    if NO_NAME.fullmatch(name):
        raise values["name"].mistake(
            f"the field name '{name}' would select other fields in a feature; set `name` to "
            f'another word and `physicalName: "{name}"`'
        )
    kind = _type(values, name)
    reading.unchecked.add_of(values, "property", name)
    custom = custom_properties(values.get("customProperties"), CUSTOM_OF_FIELD, reading, name)
    unit, late = custom.get("unit"), custom.get("knownAfterEvent")
    physical = values.get("physicalName")
    if unit and kind not in NUMERIC:
        raise unit.mistake(
            f"unit is only allowed for an integer or number; '{shorten(name)}' is a {kind}"
        )
    is_key, required = _required(values, name, reading)
    generated = custom.get(generated_key.PROPERTY)
    is_generated = generated is not None and generated.flag()
    if generated and is_generated and not (is_key and kind == "string" and not physical):
        raise generated.mistake(
            f"{generated_key.PROPERTY}: '{shorten(name)}' must be a string with `primaryKey: true` "
            "and without a physicalName; it does not come from the source"
        )
    unchecked: list[str] = []
    options = read_options(
        values.get("logicalTypeOptions"), values.get("enum"), kind, name, unchecked
    )
    options |= field_rules(values, kind, options, unchecked, required=required)
    reading.unchecked.add_texts(unchecked)
    secret = values.get("classification")
    meaning = custom.get("semanticType")
    return Field(
        name=name,
        type=kind,
        required=required,
        key=is_key,
        generated=is_generated,
        known_after_event=late is not None and late.flag(),
        classification=secret.text() if secret else None,
        unit=unit.text() if unit else None,
        physical_name=physical.written if physical and physical.text() else None,
        semantic_type=_semantic_type(meaning, kind, name) if meaning else None,
        unique="unique" in values and values["unique"].flag(),
        **options,
    )


def _type(values: Mapping[str, Entry], name: str) -> str:
    """The logical type, or the one that follows from the physical type."""
    logical, physical = values.get("logicalType"), values.get("physicalType")
    derived = logical_type(physical.raw) if physical else None
    if logical is not None:
        kind = STORED_AS.get(logical.raw, logical.raw)
        # ODCS v3.0 has no other word for a moment
        if kind == "date" and derived in ("timestamp", "time"):
            return derived
        return kind if kind in TYPES else logical.choice(TYPES)
    if physical is None:
        raise values["name"].mistake(
            f"the type of '{name}' is missing; write logicalType, one of "
            f"{', '.join((*TYPES, *STORED_AS))}"
        )
    if derived is None:
        raise physical.mistake(
            f"unknown physicalType '{shorten(physical.raw)}'; write logicalType at "
            f"'{shorten(name)}'"
        )
    return derived


def _semantic_type(entry: Entry, kind: str, name: str) -> str:
    """What the values stand for, which has to fit their type."""
    meaning = entry.choice(SEMANTIC_TYPES)
    fitting = {
        "quantity": (*NUMERIC, *TIMES),
        "count": NUMERIC,
        "cumulative": NUMERIC,
        "text": ("string", *NESTED),
    }
    if kind not in fitting.get(meaning, TYPES):
        raise entry.mistake(
            f"semanticType {meaning} does not fit '{shorten(name)}' of logicalType {kind}"
        )
    return meaning


def _required(values: Mapping[str, Entry], name: str, reading: Reading) -> tuple[bool, bool]:
    """Whether the field is part of the key, and whether no row may be without it."""
    key = "primaryKey" in values and values["primaryKey"].flag()
    required = values["required"].flag() if "required" in values else key
    if key and not required:  # rows cannot be told apart by what they lack
        reading.unchecked.add("required: false of the key", name)
    if not key and "primaryKey" not in values and _position(values):
        raise values["primaryKeyPosition"].mistake("primaryKeyPosition without `primaryKey: true`")
    return key, key or required


def _position(values: Mapping[str, Entry]) -> Entry | None:
    """Where the field stands in the key, if it says so: the standard's -1 says nothing."""
    position = values.get("primaryKeyPosition")
    return position if position and position.number(signed=True) >= 0 else None


def _in_order(positions: Mapping[str, Entry | None], properties: Entry) -> tuple[str, ...]:
    """The key's fields by their positions, or in the order of the file without positions."""
    given = {name: entry.whole() for name, entry in positions.items() if entry}
    if not given:
        return tuple(positions)
    counts = Counter(given.values())
    for name, entry in positions.items():
        if entry is None:
            raise properties.mistake(
                f"the key field '{name}' has no primaryKeyPosition; give one to all or to none"
            )
        if counts[given[name]] > 1:
            raise entry.mistake(f"duplicate primaryKeyPosition {given[name]}")
    return tuple(sorted(given, key=lambda name: given[name]))
