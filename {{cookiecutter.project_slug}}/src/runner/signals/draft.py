"""Drafts the contract of a new signal from its data; what only a person knows stays open."""

import importlib.util
import io
import json
import math
import re
import zipfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path, PurePosixPath

import polars as pl

from runner.errors import UserError
from runner.record.address import without_password
from runner.signals import snapshot, source
from runner.signals.contract import UNKNOWN, Contract
from runner.signals.contract_file import contract_of
from runner.signals.document import parse
from runner.signals.inspection import Column, Table, inspect
from runner.signals.odcs import NUMERIC
from runner.signals.readers.files import unzipped
from runner.signals.rules import broken

FORMATS = {
    ".csv": "csv",
    ".zip": "csv",
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
STORES = {"s3": "s3", "az": "azure", "abfs": "azure", "abfss": "azure"}
CODES = 20
"""A text with at most so many values is taken for a code …"""
ROWS_A_CODE = 50
"""… if there are so many rows for each."""
VERSION = r"^[vV]?\d+(\.\d+)+\b"
"""A text of this form is a version, and there will be others."""
FEW, RISING = 20, 0.9
"""From so many rows on, numbers of this rank correlation with the row are taken for counters."""
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
        place: A file's path, `package:<package>/<path>`, or an address such as `s3://…`.

    Raises:
        UserError: The contract is there already, or the data cannot be read or have no key.
    """
    path = root / "signals" / f"{name}.yaml"
    if path.exists():
        raise UserError(f"signals/{name}.yaml is there already: edit it or take another name")
    now = datetime.now(UTC)
    server, table = look(root, place, now)
    text = _text(name, without_password(place), server, table)
    contract = contract_of(parse(text, path), path).complete()
    parts = snapshot.split(contract, source.receive(contract))
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    for breach in broken(contract, parts, now):
        print(f"signal {name}: {breach.message}")
    return contract


def look(root: Path, place: str, now: datetime) -> tuple[str, Table]:
    """The entry under `servers` that data are received by, and what they say of themselves.

    Args:
        root: The project.
        place: A file's path, `package:<package>/<path>`, or an address such as `s3://…`.
        now: No event is later.

    Raises:
        UserError: The data cannot be read or have no key.
    """
    said = f"--from {without_password(place)}"
    suffix = PurePosixPath(place.partition("?")[0]).suffix.lower()
    form = FORMATS.get(suffix)
    if Path(place).is_dir():
        raise UserError(
            f"{said}: is a folder; draft from one of its files, then write the folder at `path`"
        )
    if form is None:
        raise UserError(
            f"{said}: its name must end in {', '.join(FORMATS)}.\n"
            "For a database or an API write the contract by hand: docs, Contracts."
        )
    data = _bytes(place, said)
    if suffix == ".zip" or (form == "csv" and zipfile.is_zipfile(io.BytesIO(data))):
        try:
            data = unzipped(data)
        except ValueError as error:
            raise UserError(f"{said}: {error}") from None
    return _server(root, place, form), inspect(data, form, said, now)


def _bytes(place: str, said: str) -> bytes:
    if "://" in place:
        import fsspec

        try:
            with fsspec.open(place, "rb") as file:
                return bytes(file.read())
        except ImportError as error:
            raise UserError(f"{said}: {error}") from None
        except FileNotFoundError:
            raise UserError(f"{said}: it is not there, or its server does not answer") from None
        except Exception as error:  # each kind of store has its own
            reason = without_password(str(error)) or type(error).__name__
            raise UserError(f"{said}: cannot be read ({reason})") from None
    path = Path(place).expanduser()
    if place.startswith("package:"):
        package, *inside = PurePosixPath(place.removeprefix("package:")).parts
        spec = importlib.util.find_spec(package) if package.isidentifier() else None
        if spec is None or not spec.submodule_search_locations:
            raise UserError(f"{said}: the package '{package}' is not installed")
        path = Path(spec.submodule_search_locations[0]).joinpath(*inside)
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{said}: cannot be read ({error.strerror})") from None


def _server(root: Path, place: str, form: str) -> str:
    """The entry under `servers`."""
    scheme, is_address, _ = place.partition("://")
    if scheme == "file" and is_address:
        place, is_address = place.removeprefix("file://"), ""
    if is_address:
        said = {"location": _quoted(place), "format": form}
        if scheme in STORES:
            return _entry(server="source", type=STORES[scheme], **said)
        reader = f"[{_entry(property='reader', value='files')}]"
        return _entry(server="source", type="custom", **said, customProperties=reader)
    if not place.startswith("package:"):
        path = Path(place).expanduser().absolute()
        place = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
    return _entry(server="source", type="local", path=_quoted(place), format=form)


def _text(name: str, place: str, server: str, table: Table) -> str:
    parts = table.parts()
    key, *others = table.keys
    fields = "\n".join(_field(each, table, parts) for each in table.columns)
    also = "".join(f", or {_listed(each)}" for each in others[:2])
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

# Ranges, values, shares of nulls and rows are what these data have, with room around. Say
# - whether the key is {_listed(key)}{also}
# - what nobody knows yet when a prediction is made:
#     customProperties: [{_entry(property="knownAfterEvent", value="true")}]
# - what a number counts:
#     customProperties: [{_entry(property="unit", value="mph")}]
schema:
  - name: {name}
    logicalType: object
    quality:
      - {_entry(metric="rowCount", mustBeBetween=str(_rows(parts)))}
    properties:
{fields}
{_times(table)}"""


def _rows(parts: Sequence[pl.DataFrame]) -> list[int]:
    heights = [part.height for part in parts]
    return [min(heights) // 2, 2 * max(heights)]


def _field(column: Column, table: Table, parts: Sequence[pl.DataFrame]) -> str:
    lines = [f"- name: {_quoted(column.name)}", f"  logicalType: {column.type}"]
    key = table.keys[0]
    if column.name in key:
        lines.append("  primaryKey: true")
        if len(key) > 1:
            lines.append(f"  primaryKeyPosition: {key.index(column.name) + 1}")
    elif column.name in table.times[:1]:
        lines.append("  required: true")
    if column.personal:
        lines.append("  classification: restricted  # it may be about a person")
    rules = []
    if column.name not in (*key, *table.times[:1]):
        if bounds := _range(column):
            lines.append(f"  logicalTypeOptions: {bounds}")
            rules.append(_share("invalidValues", "0.1"))
        worst = max(part[column.name].null_count() / part.height for part in parts)
        if (percent := math.ceil(150 * worst) + 1) < 100:
            rules.append(_share("nullValues", str(percent)))
    if values := _values(column):
        listed = _entry(validValues=f"[{_listed(values)}]")
        rules.append(_share("invalidValues", "0.1", arguments=listed))
    if rules:
        lines += ["  quality:", *(f"    - {rule}" for rule in rules)]
    return "\n".join(f"      {line}" for line in lines)


def _range(column: Column) -> str:
    """The values' range with half as much around it, in round numbers; never below 0 for once."""
    if column.type not in NUMERIC or column.personal or column.names_things:
        return ""
    values = column.values.drop_nulls().cast(pl.Float64)
    if values.n_unique() < 2 or _grows(values):
        return ""
    low, high = float(values.min()), float(values.max())  # type: ignore[arg-type]
    if not math.isfinite(2 * (high - low)):
        return ""
    step = 10.0 ** (math.floor(math.log10(high - low)) - 1)
    if column.type == "integer":
        step = max(step, 1.0)
    least = math.floor((low - (high - low) / 2) / step) * step
    most = math.ceil((high + (high - low) / 2) / step) * step
    least = max(least, 0.0) if low >= 0 else least
    return _entry(minimum=_number(least), maximum=_number(most))


def _grows(values: pl.Series) -> bool:
    """Whether numbers rise with the rows, as counters and readings of meters do."""
    if len(values) < FEW:
        return False
    rows = pl.int_range(len(values), eager=True)
    rise = pl.select(pl.corr(rows, values, method="spearman")).item()
    return bool(rise > RISING)


def _number(value: float) -> str:
    return (
        f"{Decimal(f'{value or 0:.15g}'):f}"  # no 1e-9: what reads contracts may take it for a text
    )


def _values(column: Column) -> list[str]:
    """The values of a code, if it looks as if there were no others to come."""
    if column.type != "string" or column.personal or column.names_things:
        return []
    given = column.values.drop_nulls()
    values = given.unique().sort().to_list()
    if not 0 < len(values) <= min(CODES, len(column.values) // ROWS_A_CODE):
        return []
    is_known_early = given.head(len(given) // 2).n_unique() == len(values)
    if not is_known_early or given.str.contains(VERSION).sum() > len(given) / 2:
        return []
    return values if all(value == value.strip() and value for value in values) else []


def _times(table: Table) -> str:
    """What is said of time and of nulls, if anything is."""
    custom = []
    said = ""
    if table.times:
        time, *others = table.times
        also = f"  # or {_listed(others)}" if others else ""
        custom.append(_entry(property="eventTime", value=_quoted(time)) + also)
        zone = _entry(property="timeZone", value="UTC")
        custom.append(f"{zone}  # of times without an offset")
        said = DAILY if table.daily else TIMELY
    if table.nulls:
        custom.append(_entry(property="nullValues", value=f"[{_listed(table.nulls)}]"))
    if custom:
        said += "\ncustomProperties:\n" + "".join(f"  - {entry}\n" for entry in custom)
    return said


def _share(metric: str, percent: str, **more: str) -> str:
    """A rule that bounds a share of rows."""
    return _entry(metric=metric, **more, mustBeLessOrEqualTo=percent, unit="percent")


def _entry(**said: str) -> str:
    """A YAML mapping in one line."""
    return "{" + ", ".join(f"{key}: {value}" for key, value in said.items()) + "}"


def _listed(texts: Iterable[str]) -> str:
    return ", ".join(map(_quoted, texts))


def _quoted(text: str) -> str:
    """A text that YAML reads as this text."""
    return text if WORDS.fullmatch(text) else json.dumps(text, ensure_ascii=not text.isprintable())
