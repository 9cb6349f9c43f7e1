"""Rows as the tests of `truth.py` take them."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

if TYPE_CHECKING:
    from tables import Table

MOST = 20_000  # rows are looked at
FREQUENT = 50  # codes are told apart
RARE, NULL = FREQUENT, FREQUENT + 1
CELLS = FREQUENT + 2
OFTEN = 10

Bins = NDArray[np.int64]


class Sample:
    """Rows, and what the tests want to know of them.

    Args:
        table: What is true of it.
        rows: All rows.
        past: What was known before.
        clean: The clean twin; None for itself. Its edges and codes are everybody's.
    """

    def __init__(
        self, table: "Table", rows: pl.DataFrame, past: Mapping[str, pl.DataFrame],
        clean: "Sample | None" = None,
    ) -> None:  # fmt: skip
        self.table, self.rows, self.past, self.clean = table, rows, past, clean or self
        step = -(-rows.height // MOST)
        self.some = rows if step == 1 else rows.sample(MOST, seed=0)

    def is_of(self, *parts: Any) -> bool:
        """Whether it is of these very objects."""
        return all(
            mine is part
            for mine, part in zip((self.table, self.rows, self.past), parts, strict=True)
        )

    @cached_property
    def _cache(self) -> dict[Any, Any]:
        return {}

    def numbers(self, name: str) -> NDArray[np.float64]:
        """A field as numbers; NaN for null."""
        if name not in self._cache:
            values = self.some[name].to_physical().cast(pl.Float64)
            self._cache[name] = values.fill_null(float("nan")).to_numpy()
        return self._cache[name]

    def is_number(self, name: str) -> bool:
        """Whether a field has an order."""
        dtype = self.rows.schema[name]
        return dtype.is_numeric() or dtype.is_temporal()

    def edges(self, name: str) -> NDArray[np.float64]:
        """The clean eighths."""
        key = "edges", name
        if key not in self._cache:
            values = self.numbers(name)
            values = values[~np.isnan(values)]
            self._cache[key] = (
                np.unique(np.quantile(values, np.linspace(0, 1, 9)[1:-1]))
                if len(values)
                else values
            )
        return self._cache[key]

    def bins(self, name: str, codes: list[Any] | None = None) -> Bins:
        """A field in bins: eighths, or the most frequent codes.

        Args:
            name: The field.
            codes: The most frequent of both samples; None where the samples do not differ.
        """
        if codes is not None and not self.is_in_eighths(name):
            return coded(self.some[name], codes)
        key = "bins", name
        if key not in self._cache:
            if self.is_in_eighths(name):
                values = self.numbers(name)
                found = np.searchsorted(self.clean.edges(name), values, side="right")
                self._cache[key] = np.where(np.isnan(values), NULL, found).astype(np.int64)
            else:
                self._cache[key] = coded(self.some[name], most_frequent(self.some[name], FREQUENT))
        return self._cache[key]

    def is_in_eighths(self, name: str) -> bool:
        """Whether a field is binned by its order."""
        return self.is_number(name) and not self.clean.is_coded(name)

    def is_coded(self, name: str) -> bool:
        """Whether a field with numbers has so few values that each is a bin."""
        return self.some[name].n_unique() <= 20

    @cached_property
    def local(self) -> pl.Series:
        """The event time by the clock at the place."""
        zone = self.table.contract.time_zone
        return self.some[self.table.contract.event_time].dt.convert_time_zone(zone)

    @cached_property
    def clock(self) -> dict[str, Bins]:
        """The hour and the weekday."""
        if self.table.contract.event_time is None:
            return {}
        return {
            "hour": self.local.dt.hour().cast(pl.Int64).to_numpy(),
            "weekday": self.local.dt.weekday().cast(pl.Int64).to_numpy(),
        }

    def steps(self, name: str) -> NDArray[np.float64]:
        """From one row to the next at the same place."""
        contract, event = self.table.contract, self.table.contract.event_time
        place = [*self.table.places] or [
            key for key in contract.key
            if key not in (event, name) and self.table.types.get(key) != "identifier"
        ]  # fmt: skip
        place = [each for each in place if each != name]
        value = pl.col(name).to_physical().cast(pl.Float64)
        step = value.diff().over(place, order_by=event) if place else value.diff()
        found = self.rows.select(step.alias("step")).to_series().drop_nulls().to_numpy()
        return found[:: -(-len(found) // MOST) or 1]

    @cached_property
    def ranks(self) -> NDArray[np.float64]:
        """The ranks of all fields with numbers, a column each; nulls are in the middle."""
        columns = []
        for name in self.ordered:
            ranks = stats.rankdata(np.nan_to_num(self.numbers(name), nan=np.inf))
            missing = np.isnan(self.numbers(name))
            ranks[missing] = ranks[~missing].mean() if not missing.all() else 0.0
            columns.append(ranks)
        return np.column_stack(columns) if columns else np.empty((self.some.height, 0))

    @property
    def ordered(self) -> list[str]:
        """Fields with numbers."""
        return [name for name in self.rows.columns if self.is_number(name)]

    @cached_property
    def correlations(self) -> NDArray[np.float64]:
        """Rank correlations of these fields."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.nan_to_num(np.atleast_2d(np.corrcoef(self.ranks, rowvar=False)))

    @cached_property
    def content(self) -> list[str]:
        """What makes a copy: all but key, identifiers, calendar and time."""
        contract = self.table.contract
        return [
            name for name in contract.names
            if (name not in contract.key or name in self.table.places)
            and name != contract.event_time and not contract.field(name).generated
            and self.table.types.get(name) not in ("identifier", "calendar")
        ]  # fmt: skip

    def hashes(self, rows: pl.DataFrame) -> pl.Series:
        """A number for the content of each row."""
        return rows.select(pl.struct(self.content).hash().alias("content")).to_series()

    @cached_property
    def copies(self) -> tuple[int, int]:
        """Rows that are like another one, and rows that are like one of the past."""
        if not self.content:
            return 0, 0
        mine = self.hashes(self.rows)
        return int(mine.is_duplicated().sum()), int(mine.is_in(self.clean.known.implode()).sum())

    @cached_property
    def known(self) -> pl.Series:
        """The content of the past's newest rows."""
        if not self.past:
            return pl.Series("content", [], dtype=pl.UInt64)
        newest = [self.past[name] for name in sorted(self.past)[-2:]]
        return pl.concat([self.hashes(rows) for rows in newest]).unique()

    def holds(self, kind: str, fields: tuple[str, ...]) -> tuple[int, int]:
        """In how many rows a sum or product is as it should be, and in how many not."""
        total, *parts = (self.numbers(name) for name in fields)
        whole = np.sum(parts, axis=0) if kind == "sum" else np.prod(parts, axis=0)
        there = ~np.isnan(total) & ~np.isnan(whole)
        right = np.isclose(total[there], whole[there], rtol=1e-3, atol=0.02)
        return int(right.sum()), int((~right).sum())


def pooled(a: Sample, b: Sample, name: str) -> tuple[Bins, Bins]:
    """A field's bins in both; codes are chosen by both, or either's own chance would count."""
    if a.some[name].equals(b.some[name]):
        return a.bins(name), a.bins(name)
    if a.is_in_eighths(name):
        return a.bins(name), b.bins(name)
    codes = most_frequent(pl.concat([a.some[name], b.some[name]]), FREQUENT)
    return a.bins(name, codes), b.bins(name, codes)


def most_frequent(values: pl.Series, count: int) -> list[Any]:
    """A field's values that are there often enough for a test, the most frequent first."""
    counts = values.drop_nulls().value_counts(sort=True)
    counts = counts.filter(counts[counts.columns[1]] >= OFTEN)
    return counts.sort([counts.columns[1], counts.columns[0]], descending=[True, False])[
        :count, 0
    ].to_list()


def coded(values: pl.Series, codes: list[Any]) -> Bins:
    """Each value as its place in a list."""
    if not codes:
        return np.where(values.is_null().to_numpy(), NULL, RARE)
    places = {code: number for number, code in enumerate(codes)}
    found = values.replace_strict(places, default=RARE, return_dtype=pl.Int64)
    return np.where(values.is_null().to_numpy(), NULL, found.fill_null(NULL).to_numpy())
