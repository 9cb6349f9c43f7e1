"""What the report on a hold compares: the delivery with the accepted rows of before."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from ml_experiment_runner.signals.contract.contract import Contract, Field
from ml_experiment_runner.signals.snapshots import diff, profile
from ml_experiment_runner.signals.snapshots.profile import ColumnProfile, Floats, PartitionProfile

PAST = 24  # partitions: two years of months
YEAR = 12  # partitions that "before" is
BINS = 36
EXACT = 2**52  # from here on floats have no halves
MOST_VALUES = 10  # that are shown

Series = dict[str, tuple[float, ...]]  # numbers by partition


class ReportRows(NamedTuple):
    """What a report compares.

    Attributes:
        past: Profiles of the past's partitions.
        before: The profile of its last year.
        delivered: Profiles of the delivery's partitions.
        delivery: The profile of the whole delivery.
        frames: The rows of the last year and of the delivery.
    """

    past: Mapping[str, PartitionProfile]
    before: PartitionProfile
    delivered: Mapping[str, PartitionProfile]
    delivery: PartitionProfile
    frames: tuple[pl.DataFrame, pl.DataFrame]

    @property
    def year(self) -> list[str]:
        """The partitions that "before" is."""
        return list(self.past)[-YEAR:]


class Lines(NamedTuple):
    """Numbers by partition: one each, or median, lower and upper quantile.

    Attributes:
        caption: What they are.
        type: The field's type, `share` or `count`.
        past: Those of the past.
        delivered: Those of the delivery.
        partitions: All partitions of the past and the delivery, in order.
        since: The delivery's first partition.
    """

    caption: str
    type: str
    past: Series
    delivered: Series
    partitions: list[str]
    since: str


class Histogram(NamedTuple):
    """Shares of the rows in bins.

    Attributes:
        type: The field's type.
        edges: Of the bins; times in seconds.
        shares: Those of before and those of the delivery.
    """

    type: str
    edges: Floats
    shares: tuple[Floats, Floats]


def newest(past: Mapping[str, pl.LazyFrame]) -> dict[str, pl.DataFrame]:
    """The newest partitions of the past, in order."""
    return {name: past[name].collect() for name in sorted(past)[-PAST:]}


def rows_to_compare(
    contract: Contract, frames: Mapping[str, pl.DataFrame], delivery: Mapping[str, pl.DataFrame]
) -> ReportRows:
    """The past's newest partitions, in order, and the delivery, with their profiles."""
    partitions = {name: profile.measure(contract, frame) for name, frame in frames.items()}
    delivered = {name: profile.measure(contract, delivery[name]) for name in sorted(delivery)}
    year = list(frames)[-YEAR:]
    return ReportRows(
        partitions,
        profile.merge([partitions[name] for name in year]),
        delivered,
        profile.merge(delivered.values()),
        (pl.concat([frames[name] for name in year]), pl.concat(list(delivery.values()))),
    )


def quantile_facts(
    before: ColumnProfile, delivery: ColumnProfile, type_: str
) -> list[tuple[str, str, str]]:
    """Mean and quantiles of both, as texts."""
    facts = [
        (
            name,
            diff.quantile_range(before, levels, type_),
            diff.quantile_range(delivery, levels, type_),
        )
        for name, levels in (
            ("median", (diff.MEDIAN,)),
            ("middle 90 %", (diff.FIFTH, diff.LAST_FIFTH)),
            ("least … greatest", (0, -1)),
        )
    ]
    if before.mean is not None and delivery.mean is not None:
        facts.insert(
            0, ("mean", profile.show(before.mean, type_), profile.show(delivery.mean, type_))
        )
    return facts


def quantiles_by_partition(field: Field, rows: ReportRows) -> Lines:
    """Median and middle 90 % by partition."""

    def numbers(partition: PartitionProfile) -> tuple[float, ...]:
        quantiles = partition.columns[field.name].quantiles
        return tuple(
            quantiles[level] for level in (diff.MEDIAN, diff.FIFTH, diff.LAST_FIFTH) if quantiles
        )

    return _by_partition("Median and middle 90 % by partition", field.type, rows, numbers)


def changed_share_by_partition(field: Field, rows: ReportRows) -> Lines:
    """Share of the value that moved most, by partition."""
    value = diff.moved(rows.before.columns[field.name], rows.delivery.columns[field.name])[0]
    return _by_partition(
        f"Share of “{value}” by partition", "share", rows,
        lambda partition: (100 * diff.shares(partition.columns[field.name]).get(value, 0.0),),
    )  # fmt: skip


def nulls_by_partition(field: Field, rows: ReportRows) -> Lines:
    """Share of rows without a value, by partition."""
    return _by_partition(
        "Share of the rows without a value, by partition", "share", rows,
        lambda partition: (100 * diff.null_share(partition, field.name),),
    )  # fmt: skip


def rows_by_partition(rows: ReportRows) -> Lines:
    """Rows by partition."""
    return _by_partition("Rows by partition", "count", rows, lambda part: (float(part.rows),))


def _by_partition(
    caption: str,
    type_: str,
    rows: ReportRows,
    numbers: Callable[[PartitionProfile], tuple[float, ...]],
) -> Lines:
    past, delivered = (
        {name: values for name, partition in partitions.items() if (values := numbers(partition))}
        for partitions in (rows.past, rows.delivered)
    )
    partitions = sorted({*rows.past, *rows.delivered})
    return Lines(caption, type_, past, delivered, partitions, min(rows.delivered))


def histogram(field: Field, rows: ReportRows) -> Histogram:
    """Shares of the rows in bins of equal width; what lies outside is in the outermost."""
    before, delivery = (
        frame[field.name]
        .drop_nulls()
        .to_physical()
        .cast(pl.Float64)
        .to_numpy()
        .clip(-profile.LARGEST, profile.LARGEST)
        / _second(field)
        for frame in rows.frames
    )
    low = min(float(np.quantile(values, 0.005)) for values in (before, delivery))
    high = max(float(np.quantile(values, 0.995)) for values in (before, delivery))
    if field.type == "integer" and high - low < BINS and max(-low, high) < EXACT:
        edges = np.arange(math.floor(low) - 0.5, math.ceil(high) + 1.5)
    else:
        edges = np.linspace(low, high if high > low else low + (abs(low) or 1), BINS + 1)

    def shares_of(values: Floats) -> Floats:
        counts = np.histogram(values.clip(edges[0], edges[-1]), edges)[0]
        heights: Floats = counts / max(counts.sum(), 1)
        return heights

    return Histogram(field.type, edges, (shares_of(before), shares_of(delivery)))


def _second(field: Field) -> float:
    """What a second, or one, is in the numbers that polars keeps."""
    return {"timestamp": 1e6, "date": 1 / profile.DAY, "time": 1e9}.get(field.type, 1.0)


def value_shares(before: ColumnProfile, delivery: ColumnProfile) -> list[dict[str, Any]]:
    """Shares of the values that moved most."""
    old, new = diff.shares(before), diff.shares(delivery)
    longest = max([*old.values(), *new.values()], default=1.0)
    return [
        {
            "value": value,
            "shares": [
                (100 * listed.get(value, 0.0), 100 * listed.get(value, 0.0) / longest)
                for listed in (old, new)
            ],
            "new": value not in old and not before.others,
        }
        for value in diff.moved(before, delivery)[:MOST_VALUES]
    ]


def field_differences(
    contract: Contract, rows: ReportRows, named: Sequence[str]
) -> list[dict[str, Any]]:
    """Each field beside how different partitions usually are, the most different first."""
    differences = []
    for field in contract.fields:
        old, new = rows.before.columns[field.name], rows.delivery.columns[field.name]
        size = diff.gap(old, new)
        usual = max(diff.gap(old, rows.past[name].columns[field.name]) for name in rows.year)
        if field.name != contract.event_time and not field.classification:
            is_named = field.name in named
            differences.append({"name": field.name, "size": size, "usual": usual,
                                "named": is_named, "shown": is_named or size > usual})  # fmt: skip
    return sorted(
        differences, key=lambda field: (not field["named"], field["usual"] - field["size"])
    )


def correlation_gaps(rows: ReportRows) -> list[dict[str, Any]]:
    """Pairs of fields whose rank correlation is another, the widest gap first."""
    pairs = dict.fromkeys([*rows.before.correlations, *rows.delivery.correlations])
    gaps: list[dict[str, Any]] = []
    for pair in pairs:
        usual = [rows.past[name].correlations.get(pair, 0.0) for name in rows.year]
        before, delivery = (
            part.correlations.get(pair, 0.0) for part in (rows.before, rows.delivery)
        )
        beyond = max(delivery - max(usual), min(usual) - delivery)
        if beyond >= diff.GAP:  # no month of the past is as far from the delivery
            gaps.append({"fields": pair, "before": before, "delivery": delivery, "beyond": beyond,
                         "usual": (min(usual), max(usual))})  # fmt: skip
    return sorted(gaps, key=lambda gap: -gap["beyond"])
