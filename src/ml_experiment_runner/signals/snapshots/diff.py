"""Compares two versions of a signal field by field, from their profiles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ml_experiment_runner.project.text import enumerated
from ml_experiment_runner.signals.snapshots import profile
from ml_experiment_runner.signals.snapshots.profile import (
    LEVELS,
    ColumnProfile,
    Floats,
    PartitionProfile,
    Profile,
    show,
)

LEAST = 0.01  # of the rows; who asks for less reads the profiles
GAP = 0.1  # between two rank correlations
FIFTH, MEDIAN, LAST_FIFTH = (LEVELS.index(level) for level in (0.05, 0.5, 0.95))


class Gap(NamedTuple):
    """Two fields whose rank correlation differs."""

    fields: tuple[str, str]
    before: float
    after: float


@dataclass(frozen=True)
class FieldDifference:
    """A field that differs.

    Attributes:
        field: Its name.
        size: How different it is, 0 to 1, on average over the partitions.
        by_nulls: It is the share of nulls that differs most.
        since: The first partition in which it differs.
        texts: What differs.
    """

    field: str
    size: float
    by_nulls: bool
    since: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """Two versions of a signal.

    Attributes:
        before: The older profile.
        after: The newer profile.
        names: How they are called.
        common: Partitions that both have and that are compared; all, where there is none.
        merged: Their rows of before and after.
        changes: Fields that differ, the most changed first.
        gaps: Relations between fields that differ, the widest first.
    """

    before: Profile
    after: Profile
    names: tuple[str, str]
    common: tuple[str, ...]
    merged: tuple[PartitionProfile, PartitionProfile]
    changes: tuple[FieldDifference, ...]
    gaps: tuple[Gap, ...]


def compare(before: Profile, after: Profile, names: tuple[str, str]) -> Comparison:
    """The differences over the partitions that both have: a season is not a change.

    Args:
        before: The older profile.
        after: The newer profile.
        names: How they are called.
    """
    common = tuple(name for name in after.partitions if name in before.partitions)
    old, new = (
        profile.merge([profile_of.partitions[name] for name in common])
        if common
        else profile_of.whole
        for profile_of in (before, after)
    )
    changes = [
        change
        for name in dict.fromkeys([*after.fields, *before.fields])
        if (change := _difference(name, before, after, common, (old, new)))
    ]
    pairs = [
        Gap(pair, old.correlations.get(pair, 0.0), new.correlations.get(pair, 0.0))
        for pair in dict.fromkeys([*old.correlations, *new.correlations])
        if all(name in part.columns for name in pair for part in (old, new))
    ]
    gaps = [gap for gap in pairs if abs(gap.after - gap.before) >= GAP]
    return Comparison(
        before,
        after,
        names,
        common,
        (old, new),
        tuple(sorted(changes, key=lambda change: -change.size)),
        tuple(sorted(gaps, key=lambda gap: -abs(gap.after - gap.before))),
    )


def distance(before: ColumnProfile, after: ColumnProfile) -> float:
    """How different a field is, 0 to 1: its distribution, or the shift of its mean if that is more.

    The mean's shift, in standard deviations, shows what happens to few rows far out.
    """
    return max(gap(before, after), _shift(before, after))


def gap(before: ColumnProfile, after: ColumnProfile) -> float:
    """How different two distributions are, 0 to 1.

    For numbers and times the largest gap between the distribution functions (Kolmogorov-Smirnov)
    that their quantiles leave no doubt of, for texts half the sum of the differences between the
    values' shares (total variation).
    """
    if before.quantiles and after.quantiles:
        return max(_surely_below(before, after), _surely_below(after, before))
    return max(_surely_more(before, after), _surely_more(after, before))


def _surely_below(one: ColumnProfile, other: ColumnProfile) -> float:
    """By how much more of one than of the other's rows surely have at most the same value."""
    values, levels = np.array(other.quantiles), np.array(LEVELS)
    at = np.searchsorted(one.quantiles, values, side="right") - 1
    surely = np.where(at >= 0, levels[at], 0.0)
    at_most = np.append(levels, 1.0)[np.searchsorted(values, values, side="right")]
    return float((surely - at_most).max())


def _surely_more(one: ColumnProfile, other: ColumnProfile) -> float:
    """How many more of one than of the other's rows surely have some value."""
    more, less = shares(one), shares(other)
    if not (more and less):
        return 0.0
    # a value that is not listed is no more frequent than the rarest that is
    unlisted = min(less.values()) if other.others else 0.0
    return sum(max(share - less.get(value, unlisted), 0.0) for value, share in more.items())


def _shift(before: ColumnProfile, after: ColumnProfile) -> float:
    if before.mean is None or after.mean is None or before.mean == after.mean:
        return 0.0
    return min(abs(after.mean - before.mean) / (before.deviation or 1e-300), 1.0)


def below(column: ColumnProfile, at: Floats) -> Floats:
    """Share of the rows that have at most these values."""
    values, counts = np.unique(column.quantiles, return_counts=True)
    upto = np.array(LEVELS)[np.cumsum(counts) - 1]
    found: Floats = np.interp(at, values, upto, left=0.0, right=1.0)
    return found


def shares(column: ColumnProfile) -> dict[str, float]:
    """Share of each value that is listed, of the rows that have one."""
    total = sum(column.top.values()) + column.others
    return {value: count / total for value, count in column.top.items()}


def moved(before: ColumnProfile, after: ColumnProfile) -> list[str]:
    """The values, first the one whose share differs most."""
    old, new = shares(before), shares(after)
    return sorted(old | new, key=lambda value: -abs(new.get(value, 0.0) - old.get(value, 0.0)))


def null_share(part: PartitionProfile, field: str) -> float:
    """Share of the rows that are without a field."""
    return part.columns[field].nulls / max(part.rows, 1)


def _difference(
    name: str,
    before: Profile,
    after: Profile,
    common: tuple[str, ...],
    merged: tuple[PartitionProfile, PartitionProfile],
) -> FieldDifference | None:
    """How a field differs; None if it does not."""
    if name not in before.fields or name not in after.fields:
        text = "new field" if name in after.fields else "removed field"
        return FieldDifference(name, 1.0, False, "", (text,))
    old, new = before.fields[name], after.fields[name]
    texts = _schema_differences(old, new)
    has_new_type = old["type"] != new["type"]
    pairs = [(before.partitions[part], after.partitions[part]) for part in common] or [merged]
    sizes = [_size(name, *pair) for pair in pairs]
    rows = [max(part.rows, 1) for _, part in pairs]
    values, nulls = (float(np.average(size, weights=rows)) for size in zip(*sizes, strict=True))
    if has_new_type or max(values, nulls) >= LEAST:
        shares_of_nulls = [f"{null_share(profile, name):.1%}" for profile in merged]
        if shares_of_nulls[0] != shares_of_nulls[1]:
            texts.append(f"nulls {' → '.join(shares_of_nulls)}")
    if values >= LEAST and not has_new_type:
        texts += _value_differences(merged[0].columns[name], merged[1].columns[name], new["type"])
    if not texts:
        return None
    since = next(
        (part for part, size in zip(common, sizes, strict=False) if max(size) >= LEAST), ""
    )
    size = 1.0 if has_new_type else max(values, nulls)
    return FieldDifference(name, size, values < nulls, since, tuple(texts))


def _schema_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    texts = []
    for entry in ("type", "unit", "classification"):
        if before.get(entry) != after.get(entry):
            texts.append(f"{entry} {before.get(entry, 'none')} → {after.get(entry, 'none')}")
    for entry in ("required", "key"):
        if before.get(entry) != after.get(entry):
            texts.append(f"{'now' if after.get(entry) else 'no longer'} {entry}")
    return texts


def _value_differences(before: ColumnProfile, after: ColumnProfile, kind: str) -> list[str]:
    if before.quantiles:
        return _quantile_differences(before, after, kind)
    texts = []
    for what, column, other in (("new", after, before), ("gone", before, after)):
        alone = [value for value in column.top if value not in other.top]
        # of too many values only the frequent are listed: another may have been there all along
        if alone and not other.others:
            texts.append(f"{what}: {enumerated(alone, 5)}")
    old, new = shares(before), shares(after)
    return texts + [
        f"{value} {old[value]:.1%} → {new[value]:.1%}"
        for value in moved(before, after)[:3]
        if value in old and value in new and abs(new[value] - old[value]) >= LEAST
    ]


def _quantile_differences(before: ColumnProfile, after: ColumnProfile, kind: str) -> list[str]:
    median = [quantile_range(column, (MEDIAN,), kind) for column in (before, after)]
    middle = [quantile_range(column, (FIFTH, LAST_FIFTH), kind) for column in (before, after)]
    figures = [("median", *median), ("5-95 %", *middle)]
    if before.mean is not None and after.mean is not None and median[0] == median[1]:
        figures[0] = ("mean", show(before.mean, kind), show(after.mean, kind))
    return [f"{name} {old} → {new}" for name, old, new in figures if old != new]


def quantile_range(column: ColumnProfile, at: Sequence[int], kind: str) -> str:
    """Quantiles of a field of this type, for a person."""
    return " … ".join(show(column.quantiles[level], kind) for level in at)


def _size(name: str, before: PartitionProfile, after: PartitionProfile) -> tuple[float, float]:
    """How different a field's values are, and its share of nulls."""
    values = distance(before.columns[name], after.columns[name])
    return values, abs(null_share(after, name) - null_share(before, name))
