"""The faults of `faults.yaml` that fit a table."""

import functools
import itertools
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import yaml

from ml_experiment_runner.signals.contract.contract import NESTED

if TYPE_CHECKING:
    from tables import Table

FAULTS = yaml.safe_load((Path(__file__).parent / "faults.yaml").read_text(encoding="utf-8"))
KINDS = tuple(entry["kind"] for entry in FAULTS["faults"])
SAMPLE = 20_000  # rows are enough to know what a field is like


@dataclass(frozen=True)
class Fault:
    """One way to break a delivery.

    Attributes:
        kind: Such as `unit`.
        field: The field that is wrong; None where it is the rows as such.
        size: How large, by the names of `faults.yaml`.
        also: Fields that may as well be named: nobody can tell which of two changed places.
    """

    kind: str
    field: str | None
    size: Mapping[str, Any] = field(default_factory=dict)
    also: tuple[str, ...] = ()

    def __str__(self) -> str:
        size = " ".join(f"{value}" for value in self.size.values())
        return f"{self.kind} {size}".strip() + (f" of {self.field}" if self.field else "")


def faults(table: "Table", seed: list[int]) -> Iterator[Fault]:
    """A draw of the faults that fit a table: of each kind a few pairs of a field and a size."""
    for entry in FAULTS["faults"]:
        rng = np.random.default_rng([*seed, zlib.crc32(entry["kind"].encode())])
        names = list(entry["sizes"])
        sizes = [
            dict(zip(names, values, strict=True))
            for values in itertools.product(*entry["sizes"].values())
        ]
        found = candidates(table, entry["kind"])
        order = rng.permutation(len(found))
        first = int(rng.integers(len(sizes)))
        count = min(entry.get("draws", FAULTS["draws"]), len(found) * len(sizes))
        for number in range(count):
            name, *also = found[order[number % len(found)]]
            size = sizes[(first + number) % len(sizes)]
            yield Fault(entry["kind"], name, size, tuple(also))


@functools.cache
def _entries() -> dict[str, Mapping[str, Any]]:
    return {entry["kind"]: entry for entry in FAULTS["faults"]}


_CANDIDATES: dict[tuple[str, str], list[tuple[str | None, ...]]] = {}


def candidates(table: "Table", kind: str) -> list[tuple[str | None, ...]]:
    """The fields that a kind fits, each with those that may be named in its place."""
    if (table.name, kind) not in _CANDIDATES:
        _CANDIDATES[table.name, kind] = list(_candidates(table, _entries()[kind]))
    return _CANDIDATES[table.name, kind]


def _candidates(table: "Table", entry: Mapping[str, Any]) -> Iterator[tuple[str | None, ...]]:
    needs = [NEEDS[need] for need in entry.get("needs", ())]
    if "types" not in entry:
        names: list[tuple[str | None, ...]] = [(None,)]
    else:
        names = [
            each for kind in entry["types"]
            for each in _SPECIAL.get(kind, functools.partial(_of_type, kind=kind))(table)
        ]  # fmt: skip
    key = (
        set() if entry.get("key") or "event time" in entry.get("types", ()) else table.contract.key
    )
    for name, *also in names:
        if name in key or (name and table.contract.field(name).generated):
            continue
        if all(need(table, name) for need in needs):
            yield (name, *also)


def _of_type(table: "Table", kind: str) -> Iterator[tuple[str]]:
    if kind == "event time":
        yield (table.contract.event_time,)
        return
    for name in table.contract.names:
        is_plain = table.contract.field(name).type not in NESTED
        if table.types.get(name) == kind and is_plain and name != table.contract.event_time:
            yield (name,)


def _products(table: "Table") -> Iterator[tuple[str, ...]]:
    for total, price, *more in table.products:
        if table.types[price] in ("quantity", "count"):
            yield price, total, *more


def _sums(table: "Table") -> Iterator[tuple[str, ...]]:
    for total, *summands in table.sums:
        for name in summands:
            yield name, total, *(other for other in summands if other != name)


def _pairs(table: "Table") -> Iterator[tuple[str, str]]:
    """Two fields with numbers of like size, of which either could be taken for the other."""
    names = [
        name for (name,) in (*_of_type(table, "quantity"), *_of_type(table, "count"))
        if _number(table, name) and name not in table.contract.key
    ]  # fmt: skip
    for first, second in itertools.combinations(names, 2):
        one, other = (_values(table, name) for name in (first, second))
        fields = [table.contract.field(name) for name in (first, second)]
        if fields[0].type != fields[1].type or fields[0].required != fields[1].required:
            continue
        low, high = sorted(abs(float(values.median() or 0)) for values in (one, other))
        ranges = [(each.quantile(0.05), each.quantile(0.95)) for each in (one, other)]
        overlap = max(each[0] for each in ranges) <= min(each[1] for each in ranges)
        if overlap and high <= 3 * low:
            yield first, second


_SPECIAL: dict[str, Callable[["Table"], Iterator[tuple[str, ...]]]] = {
    "product": _products, "sum": _sums, "pair": _pairs,
}  # fmt: skip


def _values(table: "Table", name: str) -> pl.Series:
    rows = table.rows[name].drop_nulls()
    return rows.gather_every(max(1, rows.len() // SAMPLE))


def _number(table: "Table", name: str) -> bool:
    return table.rows.schema[name].is_numeric()


def _text(table: "Table", name: str) -> bool:
    return table.rows.schema[name] == pl.String


def _letters(table: "Table", name: str) -> bool:
    """Whether most values have letters that can be written large or small."""
    if not _text(table, name):
        return False
    share = _values(table, name).str.contains("[a-zA-Z]{2}").mean()
    return share is not None and share > 0.5


def _distinct(table: "Table", name: str) -> int:
    return _values(table, name).n_unique()


def _is_flag(table: "Table", name: str) -> bool:
    return table.rows.schema[name] == pl.Boolean


def _signs(table: "Table", name: str) -> bool:
    """Whether no rule refuses what is less than 0, and signs tell something."""
    known = table.contract.field(name)
    bounds = [each for each in (known.minimum, known.exclusive_minimum) if each is not None]
    return all(bound < 0 for bound in bounds)


def hours(table: "Table") -> bool:
    """Whether the event time has a time of day."""
    if table.contract.event_time is None:
        return False
    local = _values(table, table.contract.event_time).dt.convert_time_zone(table.contract.time_zone)
    return local.dt.hour().n_unique() > 4


def groups(table: "Table") -> list[str]:
    """Fields whose values are groups of rows: places, then codes of a few values."""
    codes = [
        name for name in table.contract.names
        if table.types.get(name) == "code" and name not in table.places
    ]  # fmt: skip
    return [name for name in (*table.places, *codes) if 2 <= _distinct(table, name) <= 200]


def identifiers(table: "Table") -> list[str]:
    """Fields of the key that only number the rows."""
    return [name for name in table.contract.key if table.types.get(name) == "identifier"]


NEEDS: dict[str, Callable[["Table", Any], bool]] = {
    "number": _number,
    "text": _text,
    "letters": _letters,
    "signs": _signs,
    "unit": lambda table, name: name in table.units,
    "decimals": lambda table, name: (
        table.rows.schema[name].is_float()
        and bool((_values(table, name) % 1 != 0).mean() or 0 > 0.2)
    ),
    "optional": lambda table, name: not table.contract.field(name).required,
    "nulls": lambda table, name: table.rows[name].null_count() > 0.02 * table.rows.height,
    "no_flag": lambda table, name: not _is_flag(table, name) and (
        _number(table, name) or _text(table, name)
    ),
    "varied": lambda table, name: _distinct(table, name) >= 2,
    "several": lambda table, name: _distinct(table, name) >= 3,
    "many": lambda table, name: _distinct(table, name) >= 6,
    "date": lambda table, name: table.rows.schema[name] == pl.Date,
    "group": lambda table, name: any(each != name for each in groups(table)),
    "hours": lambda table, _: hours(table),
    "identifier": lambda table, _: bool(identifiers(table)),
    "new_keys": lambda table, _: bool(identifiers(table))
    or table.contract.event_time in table.contract.key,
}  # fmt: skip
