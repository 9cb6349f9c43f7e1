"""Drafts the contract of a new signal from its data; what only a person knows stays open."""

import json
import os
import re
import textwrap
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from ml_experiment_runner.project.atomic import write_atomically
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.secrets import mask, mask_addresses, register_addresses
from ml_experiment_runner.signals.checks.quality import broken
from ml_experiment_runner.signals.contract import generated_key
from ml_experiment_runner.signals.contract.contract import SEMANTIC_TYPES, UNKNOWN, Contract
from ml_experiment_runner.signals.contract.contract_file import contract_of
from ml_experiment_runner.signals.contract.dialect import Dialect
from ml_experiment_runner.signals.contract.source_configuration import SourceConfiguration
from ml_experiment_runner.signals.drafts import promises, table
from ml_experiment_runner.signals.drafts.inferred_table import InferredColumn, InferredTable
from ml_experiment_runner.signals.drafts.schema_inference import infer_schema
from ml_experiment_runner.signals.odcs import date_patterns
from ml_experiment_runner.signals.odcs.yaml_document import parse
from ml_experiment_runner.signals.snapshots import snapshot
from ml_experiment_runner.signals.sources import fetch, file_content, file_locations

GUESSED = "  # a guess: other encodings of one byte a letter look the same"
NO_HEADER = "# No line has the names of the columns: these are the columns in order.\n"
STORES = {"s3": "s3", "az": "azure", "abfs": "azure", "abfss": "azure"}
WORDS = re.compile(r"(?!(?:true|false|yes|no|on|off|null|y|n)$)[A-Za-z_]([\w ./-]*\w)?", re.I)
"""What YAML takes for a text without quotes."""


TIMELY = """
# how long after its event time a row is known, and how often new ones are due
# slaProperties:
#   - {property: latency, value: 1, unit: h}
#   - {property: frequency, value: 1, unit: d}
"""
DAILY = """
slaProperties:
  # how long after a day's first moment its row is known: not before the day is over
  - {property: latency, value: 1, unit: d}
  # how often new rows are due
  # - {property: frequency, value: 1, unit: d}
"""


def draft(root: Path, name: str, place: str) -> Contract:
    """Writes `signals/<name>.yaml`, which the data that it is drafted from keep.

    Args:
        root: The project.
        name: The signal's name.
        place: The path of a file, a folder or a pattern, `package:<package>/<path>`, or an address
            such as `s3://…`.

    Raises:
        UserError: The contract is there already, or the data cannot be read.
    """
    path = root / "signals" / f"{name}.yaml"
    if path.exists():
        raise UserError(f"signals/{name}.yaml is there already: edit it or take another name")
    now = datetime.now(UTC)
    server, table = infer_source(root, place, now)
    text = _text(name, mask_addresses(place), server, table)
    contract = contract_of(parse(text, path), path).complete()
    partitions = snapshot.by_partition(contract, fetch.fetch_rows(contract))
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, text)
    if table.nearly_key:
        print(f"signal {name}: the key is {', '.join(contract.key)}; {table.nearly_key}")
    for violation in broken(contract, partitions, now):
        print(f"signal {name}: {violation.message}")
    return contract


def infer_source(root: Path, place: str, now: datetime) -> tuple[str, InferredTable]:
    """The entry under `servers` that reads the data, and their inferred schema.

    Args:
        root: The project.
        place: A file's path, `package:<package>/<path>`, or an address such as `s3://…`.
        now: No event is later.

    Raises:
        UserError: The data cannot be read.
    """
    register_addresses(place)
    argument = f"--from {mask_addresses(place)}"
    form = _format(root, place, argument)
    server = SourceConfiguration("files", _options(root, place, form))
    try:
        with file_locations.files(server, root) as files:
            raw = table.read(files, form)
    except file_content.Unreadable as error:
        raise UserError(f"{argument}: {mask(str(error))}") from None
    return _server(server, raw.dialect), infer_schema(raw, argument, now)


def _format(root: Path, place: str, argument: str) -> str:
    """The format that the file's name says, or those in a folder or of a pattern."""
    name = place.partition("?")[0] if "://" in place else place
    if form := file_content.format_of(PurePosixPath(name).name):
        return form
    known = (
        f"{', '.join(file_content.FORMATS)}, and may go on with {', '.join(file_content.PACKINGS)}"
    )
    formats = []
    for form in dict.fromkeys(file_content.FORMATS.values()):
        try:
            with file_locations.files(
                SourceConfiguration("files", _options(root, place, form)), root
            ) as files:
                if all(file_content.is_of(file.path.name, form) for file in files):
                    formats.append(form)
        except file_content.Unreadable as error:
            if "holds no" not in str(error):
                raise UserError(f"{argument}: {mask(str(error))}") from None
    if formats[:2] in (["jsonl", "json"], ["json", "jsonl"]):
        formats = ["json"]
    if len(formats) > 1:
        raise UserError(
            f"{argument}: it holds {' and '.join(formats)} files; name those of one format, such "
            f"as {place.rstrip('/')}/*.{formats[0]}"
        )
    if not formats:
        raise UserError(
            f"{argument}: its name must end in {known}; of a folder the names of its files.\n"
            "For a database or an API write the contract by hand: docs, Contracts."
        )
    return formats[0]


def _options(root: Path, place: str, form: str) -> dict[str, str]:
    """What the server says of the place."""
    if place.startswith("file://"):
        place = place.removeprefix("file://")
    if "://" in place:
        return {"location": place, "format": form}
    if not place.startswith(("package:", "~")):
        path = Path(os.path.abspath(place))  # noqa: PTH100 (of a pattern, and of no file too)
        place = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    return {"path": place, "format": form}


def _server(server: SourceConfiguration, dialect: Dialect) -> str:
    """The entry under `servers`."""
    options = dict(server.options)
    properties = {name: _quoted(value) for name, value in dialect.options().items()}
    kind = "local"
    if "location" in options:
        kind = STORES.get(options["location"].partition("://")[0], "custom")
        options["location"] = _quoted(options["location"])
    else:
        options["path"] = _quoted(options["path"])
    if kind == "custom":
        properties = {"reader": "files", **properties}
    entry = _entry(server="source", type=kind, **options)
    if not properties:
        return entry
    listed = ", ".join(_entry(property=name, value=text) for name, text in properties.items())
    entry = entry.removesuffix("}") + f", customProperties: [{listed}]}}"
    return f"{entry}{GUESSED}" if dialect.encoding in ("cp1252", "latin-1") else entry


def _text(name: str, place: str, server: str, table: InferredTable) -> str:
    fields = "\n".join(_field(column, table) for column in table.columns)
    if not table.keys:
        fields = f"{_generated_key(table)}\n{fields}"
    unnamed = NO_HEADER if "property: header, value: none" in server else ""
    return f"""\
# A draft, from {table.rows:,} rows of {json.dumps(place, ensure_ascii=False)[1:-1]}.
# Write what stands as `{UNKNOWN}`, read over the rest, and set `status: active`.
apiVersion: v3.1.0
kind: DataContract
id: {name}
name: {name}
version: 1.0.0
status: draft
description:
  # what one row is, and what it is for
  purpose: {UNKNOWN}

# who answers for these data, and how to reach them
team:
  name: {UNKNOWN}
support:
  - {_entry(channel=UNKNOWN)}

servers:
  - {server}

# Rules are only what rows of any later month will keep too: add those that you know. Say
# - {_about_key(table)}
# - whether a semanticType is another: {", ".join(SEMANTIC_TYPES)}
# and in the customProperties of a field
# - what nobody knows yet when a prediction is made, {{property: knownAfterEvent, value: true}}
# - what a number counts, {{property: unit, value: mph}}
{unnamed}schema:
  - name: {name}
    logicalType: object
{_volume(table)}    properties:
{fields}
{_times(table)}"""


def _volume(table: InferredTable) -> str:
    """The lines on how many rows a partition has."""
    time = table.times[0] if table.times else None
    fewest = promises.fewest_rows(table.partitions(), time)
    if not fewest:
        return ""
    rule = _entry(metric="rowCount", mustBeGreaterOrEqualTo=str(fewest))
    return f"    quality:\n      - {rule}\n"


def _about_key(table: InferredTable) -> str:
    """What a person has to say of the key."""
    if not table.keys:
        text = "which fields tell the rows apart, if any do, instead of a key of all of them"
    else:
        also = "".join(f", or {_listed(key)}" for key in table.keys[1:3])
        text = f"whether the key is {_listed(table.keys[0])}{also}"
    if table.nearly_key:
        fields = _listed(table.nearly_key.fields)
        text += f"; it is not {fields}, as {table.nearly_key}: if these are mistakes, have them "
        text += "corrected and take the fewer fields"
    return "\n#   ".join(textwrap.wrap(text, 96, break_long_words=False, break_on_hyphens=False))


def _generated_key(table: InferredTable) -> str:
    """The field that stands for all that a row holds."""
    name = generated_key.free_name({column.name for column in table.columns})
    custom = _entry(property=generated_key.PROPERTY, value="true")
    return f"""\
      - name: {name}
        logicalType: string
        primaryKey: true
        customProperties: [{custom}]  # a digest of the row: no fields tell the rows apart"""


def _field(column: InferredColumn, table: InferredTable) -> str:
    lines = [f"- name: {_quoted(column.name)}", *_in_source(column)]
    key = table.keys[0] if table.keys else ()
    if column.name in key:
        lines.append("  primaryKey: true")
        if len(key) > 1:
            lines.append(f"  primaryKeyPosition: {key.index(column.name) + 1}")
    elif column.name in table.times[:1]:
        lines.append("  required: true")
    if column.personal:
        lines.append("  classification: restricted  # it may be about a person")
    if meaning := table.semantic_types.get(column.name):
        custom = _entry(property="semanticType", value=meaning)
        lines.append(f"  customProperties: [{custom}]")
    return "\n".join(f"      {line}" for line in [*lines, *_rules_of(column, table)])


def _rules_of(column: InferredColumn, table: InferredTable) -> list[str]:
    """The lines on which values a field may have, and how many may be missing."""
    lines, rules = [], []
    key = table.keys[0] if table.keys else ()
    meaning = table.semantic_types.get(column.name)
    if column.name not in (*key, *table.times[:1]):
        least, most = promises.bounds(column, meaning)
        bounds = {"minimum": least, "maximum": most}
        given = {name: f"{bound:g}" for name, bound in bounds.items() if bound is not None}
        if given:
            lines.append(f"  logicalTypeOptions: {_entry(**given)}")
            rules.append(_share("invalidValues", "0.1"))
        if (percent := promises.tolerated_nulls(column)) is not None:
            rules.append(_share("nullValues", str(percent)))
    times = table.column(table.times[0]).values if table.times else None
    if values := promises.valid_values(column, meaning, times):
        listed = _entry(validValues=f"[{_listed(values)}]")
        rules.append(_share("invalidValues", "0.1", arguments=listed))
    if rules:
        lines += ["  quality:", *(f"    - {rule}" for rule in rules)]
    return lines


def _in_source(column: InferredColumn) -> list[str]:
    """A column's type, and how the source calls it and writes its dates."""
    lines = [f"  logicalType: {column.type}"]
    if column.physical_name != column.name:
        lines.insert(0, f"  physicalName: {_quoted(column.physical_name)}")
    if column.format:
        lines.append(f"  logicalTypeOptions: {_entry(format=_quoted(column.format))}")
    if not column.formats:
        return lines
    kind = date_patterns.parse(column.formats[0]).type
    return [
        *lines,
        f"  # every value may be a date in {' and in '.join(column.formats)}: write one as",
        f"  # logicalType: {kind}, logicalTypeOptions: {_entry(format=column.formats[0])}",
    ]


def _times(table: InferredTable) -> str:
    """The draft's lines about time and null values."""
    custom = []
    sections = ""
    if table.times:
        time, *others = table.times
        also = f"  # or {_listed(others)}" if others else ""
        custom.append(_entry(property="eventTime", value=_quoted(time)) + also)
        zone = _entry(property="timeZone", value="UTC")
        seen = f", or {table.zone}, whose clock some fields repeat" if table.zone != "UTC" else ""
        custom.append(f"{zone}  # of times without an offset{seen}")
        sections = DAILY if table.daily else TIMELY
    if table.nulls:
        custom.append(_entry(property="nullValues", value=f"[{_listed(table.nulls)}]"))
    if custom:
        sections += "\ncustomProperties:\n" + "".join(f"  - {entry}\n" for entry in custom)
    return sections


def _share(metric: str, percent: str, **more: str) -> str:
    """A rule that bounds a share of rows."""
    return _entry(metric=metric, **more, mustBeLessOrEqualTo=percent, unit="percent")


def _entry(**entries: str) -> str:
    """A YAML mapping in one line."""
    return "{" + ", ".join(f"{key}: {value}" for key, value in entries.items()) + "}"


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(map(_quoted, texts))


def _quoted(text: str) -> str:
    """A text that YAML reads as this text."""
    return text if WORDS.fullmatch(text) else json.dumps(text, ensure_ascii=not text.isprintable())
