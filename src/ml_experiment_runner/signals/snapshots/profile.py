"""What a snapshot looks like: counts, nulls, quantiles, top values and rank correlations.

A profile is made of one part for each partition, and what it says of the whole is merged from its
parts. Of a classified field it says how many rows are without it and nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml_experiment_runner.project.text import shorten
from ml_experiment_runner.signals.contract.contract import NESTED, Contract

Floats = NDArray[np.float64]

LEVELS = (0.0, 0.01, *(step / 20 for step in range(1, 20)), 0.99, 1.0)
MANY = 128  # distinct texts; of more only the most frequent are kept
MOST = 20
RANKED = 50_000  # rows; a rank correlation among so many is known to ± 0.01
WEAK = 0.05  # a weaker rank correlation is taken for none
DAY = 86400
ORDERED = ("integer", "number", "date", "timestamp", "time")
# 9999-12-31, which often stands for "never ends", is in the year 10000 elsewhere
FIRST = datetime.min.replace(tzinfo=UTC).timestamp()
LAST = datetime.max.replace(tzinfo=UTC, microsecond=0).timestamp()
LARGEST = 1e300  # a number, or infinity, beyond it is shown as this


class ColumnProfile(NamedTuple):
    """What a field looks like in some rows.

    Attributes:
        nulls: Rows without it.
        mean: Of numbers.
        deviation: Standard deviation of numbers.
        quantiles: Of numbers and times, at LEVELS, all of them values that occur; times are
            seconds since 1970, those of a day seconds since midnight.
        top: Rows by value, for texts and booleans; the most frequent first.
        others: Rows with a value that is not among the top.
        distinct: How many different values there are; None where nobody knows.
    """

    nulls: int
    mean: float | None = None
    deviation: float | None = None
    quantiles: tuple[float, ...] = ()
    top: Mapping[str, int] = {}
    others: int = 0
    distinct: int | None = None


class PartitionProfile(NamedTuple):
    """What some rows look like.

    Attributes:
        rows: How many.
        columns: Their fields by name.
        correlations: Spearman's rank correlation of two numeric fields where it is not weak.
        content: Hash of the rows; none for the whole.
    """

    rows: int
    columns: Mapping[str, ColumnProfile]
    correlations: Mapping[tuple[str, str], float]
    content: str = ""


@dataclass(frozen=True)
class Profile:
    """What a snapshot looks like.

    Attributes:
        signal: Its name.
        version: The contract's version.
        md5: DVC's md5 of the snapshot.
        content: Hash of the snapshot's rows.
        fields: What the contract says of each field, as far as it matters for what is shown.
        partitions: Its partitions by name.
    """

    signal: str
    version: str
    md5: str
    content: str
    fields: Mapping[str, Mapping[str, Any]]
    partitions: Mapping[str, PartitionProfile]

    @cached_property
    def whole(self) -> PartitionProfile:
        """The snapshot, merged from its parts."""
        return merge(self.partitions.values())


def measure(contract: Contract, frame: pl.DataFrame, content: str = "") -> PartitionProfile:
    """What rows in the contract's types look like.

    Args:
        contract: The signal's contract; of its fields those are looked at that the rows have.
        frame: The rows.
        content: Their hash.
    """
    fields = [field for field in contract.fields if field.name in frame.columns]
    types = {field.name: field.type for field in fields if not field.classification}
    ordered = [name for name, kind in types.items() if kind in ORDERED]
    numeric = [name for name in ordered if types[name] in ("integer", "number")]
    nulls = {field.name: frame[field.name].null_count() for field in fields}
    in_order = frame.select(pl.col(ordered).sort(nulls_last=True))
    columns = {}
    for name, missing in nulls.items():
        if name in numeric:
            values = frame[name]
            columns[name] = ColumnProfile(
                missing,
                _short(values.mean()),
                _short(values.std()),
                _quantiles(in_order[name], frame.height - missing, types[name]),
            )
        elif name in ordered:
            quantiles = _quantiles(in_order[name], frame.height - missing, types[name])
            columns[name] = ColumnProfile(missing, quantiles=quantiles)
        elif name in types and types[name] not in NESTED:
            columns[name] = ColumnProfile(missing, **_top(frame[name]))
        else:
            columns[name] = ColumnProfile(missing)
    return PartitionProfile(frame.height, columns, _correlations(frame, numeric), content)


def merge(partitions: Iterable[PartitionProfile]) -> PartitionProfile:
    """What several parts look like together.

    Counts, means and deviations are exact. A quantile is one of the parts' quantiles, each of which
    stands for the rows nearest to it: at most 2.5 % of the rows lie between it and the true one. A
    rank correlation is the mean of the parts', by their rows: a relation within a month is not
    taken for one between seasons.
    """
    partitions = [part for part in partitions if part.rows] or list(partitions)[:1]
    if len(partitions) == 1:
        return partitions[0]._replace(content="")
    rows = sum(part.rows for part in partitions)
    names = dict.fromkeys(name for part in partitions for name in part.columns)
    pairs = dict.fromkeys(pair for part in partitions for pair in part.correlations)
    return PartitionProfile(
        rows,
        {name: _merged([(part.rows, part.columns[name]) for part in partitions]) for name in names},
        {
            pair: mean
            for pair in pairs
            if abs(mean := sum(part.rows * part.correlations.get(pair, 0.0) for part in partitions)
                   / rows) >= WEAK
        },
    )  # fmt: skip


def _quantiles(values: pl.Series, count: int, kind: str) -> tuple[float, ...]:
    """The quantiles of values in order, of which only the first are there."""
    if not count:
        return ()
    at = np.rint(np.array(LEVELS) * (count - 1)).astype(int)
    values_at = values.gather(at).to_physical().cast(pl.Float64).to_numpy()
    if kind == "timestamp":
        return tuple(np.floor(values_at / 1e6).tolist())
    if kind == "date":
        return tuple((values_at * DAY).tolist())
    if kind == "time":
        return tuple((values_at / 1e9).tolist())
    return tuple(_short(value) or 0.0 for value in values_at.tolist())


def _top(values: pl.Series) -> dict[str, Any]:
    texts = values.drop_nulls().cast(pl.String).alias("value")
    counts = texts.value_counts().sort("count", "value", descending=[True, False])
    distinct = counts.height
    if distinct > MANY:  # what occurs once tells nothing of the others
        counts = counts.filter(pl.col("count") > 1).head(MOST)
    top = _shown(counts.iter_rows())
    others = len(values) - values.null_count() - sum(top.values())
    return {"top": top, "others": others, "distinct": distinct}


def _shown(counts: Iterable[Sequence[Any]]) -> dict[str, int]:
    """Rows by value, a long text shortened."""
    top: dict[str, int] = {}
    for text, count in counts:
        shown = shorten(text)
        top[shown] = top.get(shown, 0) + count
    return top


def _correlations(frame: pl.DataFrame, numeric: list[str]) -> dict[tuple[str, str], float]:
    """Spearman's rank correlation of every two fields, over the rows that have both.

    A field's ranks are those among all rows that have it, so that they are computed once.
    """
    if len(numeric) < 2 or frame.height < 2:
        return {}
    every = -(-frame.height // RANKED)
    frame = frame.select(numeric).gather_every(every)
    there = frame.select(pl.all().is_not_null().cast(pl.Float64)).to_numpy()
    ranks = frame.select(pl.all().rank().fill_null(0)).to_numpy()
    # sums over the rows that have both: count, first, square of the first, product
    count, first, square, product = there.T @ there, ranks.T @ there, ranks.T**2 @ there, \
        ranks.T @ ranks  # fmt: skip
    spread = count * square - first**2
    with np.errstate(divide="ignore", invalid="ignore"):
        table = (count * product - first * first.T) / np.sqrt(spread * spread.T)
    return {
        (name, earlier): round(float(table[i, j]), 3)
        for i, name in enumerate(numeric)
        for j, earlier in enumerate(numeric[:i])
        if abs(table[i, j]) >= WEAK  # not where a field is constant: that is no number
    }


def _merged(columns: Sequence[tuple[int, ColumnProfile]]) -> ColumnProfile:
    """A field in several parts, each with its rows."""
    nulls = sum(column.nulls for _, column in columns)
    filled = [(rows - column.nulls, column) for rows, column in columns if rows > column.nulls]
    if not filled:
        return ColumnProfile(nulls)
    tops: dict[str, int] = {}
    for _, column in filled:
        for value, count in column.top.items():
            tops[value] = tops.get(value, 0) + count
    ordered = sorted(tops.items(), key=lambda item: (-item[1], item[0]))
    counted = sum(tops.values()) + sum(column.others for _, column in filled)
    complete = len(ordered) <= MANY and not any(column.others for _, column in filled)
    top = dict(ordered if complete else ordered[:MOST])
    return ColumnProfile(
        nulls,
        *_moments(filled),
        quantiles=_merged_quantiles(filled),
        top=top,
        others=counted - sum(top.values()),
        distinct=len(ordered) if complete and tops else None,
    )


def _moments(filled: Sequence[tuple[int, ColumnProfile]]) -> tuple[float | None, float | None]:
    """Mean and standard deviation."""
    counts = np.array([count for count, _ in filled], float)
    if any(column.mean is None for _, column in filled):
        return None, None
    means = np.array([column.mean for _, column in filled], float)
    deviations = np.array([column.deviation or 0.0 for _, column in filled], float)
    with np.errstate(over="ignore", invalid="ignore"):  # infinity among them
        mean = float(counts @ means / counts.sum())
        squares = float((counts - 1) @ deviations**2 + counts @ (means - mean) ** 2)
    return _short(mean), _short((squares / max(counts.sum() - 1, 1)) ** 0.5)


def _merged_quantiles(filled: Sequence[tuple[int, ColumnProfile]]) -> tuple[float, ...]:
    if not all(column.quantiles for _, column in filled):
        return ()
    levels = np.array(LEVELS)
    ends = np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2, [1.0]])
    values = np.concatenate([column.quantiles for _, column in filled])
    weights = np.concatenate([count * np.diff(ends) for count, _ in filled])
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order])
    at = np.searchsorted(below, levels * below[-1] * (1 - 1e-12))
    return tuple(values[order][at].tolist())


def _short(value: Any) -> float | None:
    """A number with six significant digits: more would not be the same on every machine."""
    if value is None or np.isnan(value):
        return None
    return float(f"{min(max(value, -LARGEST), LARGEST):.6g}")


def moment(value: float) -> datetime:
    """Seconds since 1970 as a time; one that Python has no name for as the nearest that it has."""
    return datetime.fromtimestamp(min(max(value, FIRST), LAST), UTC)


def show(value: float, kind: str) -> str:
    """A quantile of a field of this type, for a person."""
    if kind == "timestamp":
        return f"{moment(value):%Y-%m-%d %H:%M}"
    if kind == "date":
        return f"{moment(value):%Y-%m-%d}"
    if kind == "time":
        return f"{moment(value):%H:%M:%S}"
    return f"{value:,.5g}" if abs(value) < 1e5 else f"{value:,.0f}"
