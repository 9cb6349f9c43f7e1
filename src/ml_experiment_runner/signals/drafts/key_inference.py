"""Finds the key of a table: the fewest fields that tell its rows apart, and not by chance."""

import itertools
import math
from collections.abc import Iterator, Sequence
from datetime import time

import numpy as np
import polars as pl

from ml_experiment_runner.signals.contract.contract import NESTED
from ml_experiment_runner.signals.drafts.inferred_table import InferredColumn, NearlyKey
from ml_experiment_runner.signals.semantic_types import HUMP, NAMES_KINDS, NAMES_THINGS

FIELDS_OF_KEY, FIELDS_TRIED = 4, 20
"""All sets of so many fields are tried, of so many; a larger key is put together field by field."""
PAIRS = 3.0
"""If fewer pairs of rows than these were the same by chance, it says nothing that none is."""
DENSE = 10
"""Whole numbers within so many times the rows are names; scattered ones are measures."""
SAMPLE = 10_000
"""So many rows are tried before all are."""
NEARLY = 0.01
"""At most this share of rows may share what nearly is their key."""
UNUSUAL = 0.05
"""They are at most this share of what chance would bring."""


class Keys:
    """The keys that a table may have.

    Args:
        columns: The fields.
        event_time: Its field; None if there is none.

    Attributes:
        found: Sets of fields that identify a row, the likeliest first; none where no fields do, or
            only by chance.
    """

    def __init__(self, columns: Sequence[InferredColumn], event_time: str | None) -> None:
        whole = [column for column in columns if not column.values.has_nulls()]
        self._columns = {column.name: column for column in whole}
        self._frame = pl.DataFrame([column.values for column in whole])
        self._different = {column.name: column.values.n_unique() for column in whole}
        self._time = event_time
        # the share of pairs of rows that a field has the same in
        self._same = {column.name: _same(column.values) for column in whole}
        self._has_grid = False
        if event_time is not None:
            cells = _cells(self._frame[event_time])
            self._same[event_time] = max(self._same[event_time], 1 / cells)
            self._has_grid = cells <= DENSE * self._different[event_time]
        self.found = self._find() if whole else []

    def _find(self) -> list[tuple[str, ...]]:
        if self._frame.n_unique() < self._frame.height:
            return []
        plain = [
            name for name, column in self._columns.items()
            if column.type not in ("number", "boolean", *NESTED)
        ]  # fmt: skip
        # a measure or a person's data may tell the rows of today apart, and not those of tomorrow
        likely = [name for name in plain if _may_be_named(self._columns[name])]
        for names in (likely, plain):
            if keys := self._smallest(names):
                return sorted(keys, key=self._rank)
            if names and self._frame.select(names).n_unique() == self._frame.height:
                key = self._put_together(names)
                if self._is_named(key) or not self._by_chance(key):
                    return [key]
        return []

    def _smallest(self, names: Sequence[str]) -> list[tuple[str, ...]]:
        """The smallest keys among fields; such that hold by chance only if no larger one is better.

        Moments differ by chance, too, if they are told to the second.
        """
        few = sorted(names, key=lambda name: name != self._time)[:FIELDS_TRIED]
        doubtful: list[tuple[str, ...]] = []
        for size in range(1, FIELDS_OF_KEY + 1):
            sets = itertools.combinations(sorted(few if size > 1 else names, key=names.index), size)
            keys = [key for key in sets if self._is_key(key)]
            if told := [key for key in keys if self._is_id(key) or not self._by_chance(key)]:
                return told
            if doubtful:  # one more field is all that is tried
                break
            doubtful = [key for key in keys if self._is_named(key)]
        return doubtful

    def _rank(self, key: tuple[str, ...]) -> tuple[bool, bool, bool, int]:
        """A key with the time of a grid is likelier, then an identifier, then one of few values."""
        if len(key) == 1:
            return key[0] == self._time, NAMES_THINGS.search(key[0]) is None, False, 0
        is_named = any(NAMES_THINGS.search(name) for name in key)
        return (
            not (self._time in key and self._has_grid),
            not is_named,
            self._time not in key,
            math.prod(self._different[name] for name in key),
        )

    def _is_id(self, key: Sequence[str]) -> bool:
        return len(key) == 1 and key[0] != self._time

    def _is_named(self, key: Sequence[str]) -> bool:
        """Whether a key says when or what, so that it is one even if chance would do."""
        return (
            len(key) == 1
            or self._time in key
            or any(NAMES_THINGS.search(name) is not None for name in key)
        )

    def _by_chance(self, key: Sequence[str]) -> bool:
        """Whether unrelated fields would identify so many rows by chance.

        Then hardly any pair of rows would be the same in all of them, as the birthdays of a few
        people. Of a grid of days and places, in which each day has each place once, many would.
        """
        rows = self._frame.height
        # of the smallest grids there are fewer pairs
        return self._expected(key) < min(PAIRS, (rows - 1) / 6)

    def _expected(self, key: Sequence[str]) -> float:
        """How many pairs of rows chance would make the same in all of the fields."""
        rows = self._frame.height
        return rows * (rows - 1) / 2 * math.prod(self._same[name] for name in key)

    def _put_together(self, names: Sequence[str]) -> tuple[str, ...]:
        """A key of many fields: the time, then whatever separates most rows, until it is unique."""
        frame = self._frame
        key = [self._time] if self._time is not None and self._time in names else []
        while not key or frame.select(key).n_unique() < frame.height:
            rest = [name for name in names if name not in key]
            key.append(max(rest, key=lambda name: frame.select(*key, name).n_unique()))
        for name in sorted(key, key=names.index, reverse=True):
            less = [other for other in key if other != name]
            if less and frame.select(less).n_unique() == frame.height:
                key = less
        return tuple(sorted(key, key=names.index))

    def _is_key(self, names: Sequence[str]) -> bool:
        if math.prod(self._different[name] for name in names) < self._frame.height:
            return False
        few = self._frame.select(names).head(SAMPLE)
        return few.n_unique() == few.height and (
            few.height == self._frame.height
            or self._frame.select(names).n_unique() == self._frame.height
        )

    def nearly(self) -> NearlyKey | None:
        """Fewer fields than the key has that would do, but for a few rows that may be mistakes."""
        key = self.found[0] if self.found else ()
        if key and self._is_id(key):
            return None
        most = len(key) - 1 if key else FIELDS_OF_KEY - 1
        best: tuple[int, int, tuple[str, ...]] | None = None
        for fields in self._sets_of_names(most):
            rows = self._shared(fields)
            if 0 < rows <= NEARLY * self._frame.height and (
                self._is_id(fields) or rows <= UNUSUAL * 2 * self._expected(fields)
            ):
                best = min(best or (len(fields), rows, fields), (len(fields), rows, fields))
        return self._nearly(best[2], best[1]) if best else None

    def _sets_of_names(self, most: int) -> Iterator[tuple[str, ...]]:
        """The event time with up to so many names in all, and identifiers alone."""
        names = [
            name for name, column in self._columns.items()
            if name != self._time and not column.personal
            and (column.type == "string" or NAMES_THINGS.search(name)
                 or (column.type == "integer" and NAMES_KINDS.search(HUMP.sub("_", name))))
        ][:FIELDS_TRIED]  # fmt: skip
        yield from ((name,) for name in names if NAMES_THINGS.search(name))
        if self._time is not None:
            for size in range(min(most, FIELDS_OF_KEY - 1)):
                for chosen in itertools.combinations(names, size):
                    yield (self._time, *chosen)

    def _shared(self, fields: Sequence[str]) -> int:
        """How many rows share their values with another; all, if a part of them shows too many."""
        height = self._frame.height
        if math.prod(self._different[name] for name in fields) < (1 - NEARLY) * height:
            return height
        few = self._frame.select(fields).head(SAMPLE)
        if few.is_duplicated().sum() > 5 * NEARLY * few.height:
            return height
        return int(self._frame.select(fields).is_duplicated().sum())

    def _nearly(self, fields: tuple[str, ...], rows: int) -> NearlyKey:
        counts = self._frame.group_by(fields, maintain_order=True).len("").sort(
            "", descending=True, maintain_order=True
        )  # fmt: skip
        worst = counts.row(0, named=True)
        times = int(worst.pop(""))
        days = [name for name in fields if self._columns[name].type == "timestamp"]
        for name in days:
            moment = worst[name]
            is_day = moment.time() == time.min
            worst[name] = moment.date() if is_day else moment.replace(tzinfo=None)
        return NearlyKey(fields, rows, self._frame.height, worst, times)


def _same(values: pl.Series) -> float:
    """The share of pairs of rows that have the same value."""
    counts = values.alias("").value_counts()["count"].cast(pl.Float64)
    return float((counts * (counts - 1)).sum() / max(len(values) * (len(values) - 1), 1))


def _cells(times: pl.Series) -> int:
    """How many moments there are from the first to the last, in their smallest common step."""
    moments = np.unique(times.to_physical().to_numpy())
    if len(moments) < 2:
        return 1
    steps = np.diff(moments)
    return int((moments[-1] - moments[0]) // np.gcd.reduce(steps)) + 1


def _may_be_named(column: InferredColumn) -> bool:
    """Whether a field looks like a name or an identifier."""
    if column.personal:
        return False
    if column.type != "integer" or NAMES_THINGS.search(column.name):
        return True
    span = int(column.values.max()) - int(column.values.min())  # type: ignore[arg-type]
    return span < DENSE * len(column.values) or column.values.is_sorted()
