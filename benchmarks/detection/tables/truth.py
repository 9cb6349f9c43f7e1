"""Whether a fault could be seen at all: two-sample tests that are told the truth.

The faulty delivery is compared with its own clean twin, which nobody has in practice. If not even
that shows a difference, no method is asked to. Each test takes the two as independent samples, and
all tests on a delivery together err at `LEVEL` (Bonferroni). Which test is to see which kind:

- Rows in all: half_volume, more_volume, duplicated; low_dropped, code_gone and place_missing, where
  it is many rows.
- Days and hours: days_missing, hours_missing, stale_day, stale_month, time_shifted and its like,
  days_shifted, time_truncated.
- Keys that come twice: whatever makes them.
- Copies, among the rows and of the past, apart from key, identifiers and calendar: duplicated,
  stale_month, stale_day, foreign_rows.
- Nulls: nulls, nulls_group, nulls_filled, low_null.
- Each of the frequent values: sentinel, constant, default_for_group, nulls_filled, clipped, frozen,
  all of codes and flags (swapped_codes, code_gone, codes_merged, rare_to_other, codes_rotated,
  new_code, code_case, code_space, quoted, flags_inverted), calendar_shifted.
- Kolmogorov-Smirnov: unit, rescale, rescale_group, offset, sign_flipped, column_swap, slow_drift,
  product_broken, sum_broken, low_dropped, identifiers_reissued.
- Beyond the clean 1, 5, 95 and 99 %: clipped, decimal_point, low_dropped, sign_flipped, unit.
- Multiples of 1, 5 and 10 steps: coarser, decimals_lost, unit, rescale.
- Steps from row to row at a place, and steps of 0: frozen, misjoined, stale_day.
- Pairs of fields, of a field and the hour or weekday, and rank correlations: misjoined,
  foreign_rows, default_for_group, rescale_group, nulls_group, swapped_codes, time_shifted_group,
  day_month_swapped, calendar_shifted, flags_inverted.
- Whether sums and products hold: sum_broken, product_broken, and any other fault of their fields.
- Lengths and kinds of characters: truncated_text, damaged_encoding, code_case, code_space, quoted,
  identifiers_reissued.
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from faults import Fault
from injection import decimals
from numpy.typing import NDArray
from sample import CELLS, Bins, Sample, coded, most_frequent, pooled
from scipy import stats

if TYPE_CHECKING:
    from tables import Table

LEVEL = 0.001  # of all tests on a delivery together
FEW = 5  # values that tell of no distribution
FEW_IN_A_DAY = 8  # a day with fewer rows may be without any
CHARACTERS = ("[a-z]", "[A-Z]", "[0-9]", r"\s$", r"[^\x00-\x7F]", "[-_/.,\"'&;:]")

_twin: list[Any] = []  # the clean one of the last call; hundreds of faulty ones have the same


def visible(
    table: "Table",
    clean: pl.DataFrame,
    faulty: pl.DataFrame,
    past: Mapping[str, pl.DataFrame],
    fault: Fault,  # noqa: ARG001  all tests are made for every kind: which one sees it is no secret
) -> bool:
    """Whether rows, keys, values, pairs of fields, copies or the course in time differ."""
    if faulty.height == 0 or faulty.equals(clean):
        return False
    if faulty.select(table.contract.key).n_unique() < faulty.height:
        return True
    if not (_twin and _twin[0].is_of(table, clean, past)):
        _twin[:] = [Sample(table, clean, past)]
    return _differ(_twin[0], Sample(table, faulty, past, _twin[0]))


def _differ(clean: Sample, faulty: Sample) -> bool:
    rows = np.array([clean.rows.height, faulty.rows.height])
    if abs(rows[1] / rows[0] - 1) > 0.1 and stats.binomtest(rows[1], rows.sum()).pvalue < LEVEL:
        return True
    if clean.table.contract.event_time and _days_differ(clean, faulty):
        return True
    tests = [each for each in _tests(clean, faulty) if not np.isnan(each)]
    return min(tests, default=1.0) < LEVEL / max(len(tests), 1)


def _tests(a: Sample, b: Sample) -> Iterator[float]:
    names = list(a.rows.columns)
    whole = a.rows.height != b.rows.height
    changed = [name for name in names if whole or not a.rows[name].equals(b.rows[name])]
    bins = {name: pooled(a, b, name) for name in names}
    yield from _row_tests(a, b)
    for number, name in enumerate(changed):
        yield _table(np.array([[each.some[name].null_count(),
                                each.some.height - each.some[name].null_count()]
                               for each in (a, b)]))  # fmt: skip
        yield _frequent(a.some[name], b.some[name])
        one, other = bins[name]
        yield _histograms(one, other)
        if a.is_number(name):
            yield from _number_tests(a, b, name)
        elif a.rows.schema[name] == pl.String:
            yield from _text_tests(a.some[name], b.some[name])
        done = {name, *changed[:number]}
        for second in bins.keys() - done:
            yield _pair(one, bins[second][0], other, bins[second][1])
        for part in a.clock:
            yield _pair(one, a.clock[part], other, b.clock[part])
        yield from _correlation_tests(a, b, name)


def _row_tests(a: Sample, b: Sample) -> Iterator[float]:
    for part in a.clock:
        yield _histograms(a.clock[part], b.clock[part])
    if a.table.contract.event_time:
        days = [each.local.dt.date().to_physical().cast(pl.Int64).to_numpy() for each in (a, b)]
        yield _histograms(days[0], days[1])
    for at in (0, 1):
        counts = [(each.copies[at], each.rows.height - each.copies[at]) for each in (a, b)]
        if counts[1][0] * a.rows.height > counts[0][0] * b.rows.height:  # fewer are no fault
            yield _table(np.array(counts))
    for kind, each in (("sum", a.table.sums), ("product", a.table.products)):
        for fields in each:
            yield _table(np.array([a.holds(kind, fields), b.holds(kind, fields)]))


def _number_tests(a: Sample, b: Sample, name: str) -> Iterator[float]:
    first, second = (each.numbers(name) for each in (a, b))
    first, second = first[~np.isnan(first)], second[~np.isnan(second)]
    if not len(first) or not len(second):
        return
    yield _ks(first, second)
    low, high = np.quantile(first, [0.01, 0.05]), np.quantile(first, [0.95, 0.99])
    for edge in low:
        yield _shares(first < edge, second < edge)
    for edge in high:
        yield _shares(first > edge, second > edge)
    yield _shares(first >= high[0], second >= high[0])
    places = decimals(a.table, name) if a.rows.schema[name].is_numeric() else 0
    for steps in (1, 5, 10):
        size = steps * 10.0 ** -(places or 0)
        yield _shares(_is_multiple(first, size), _is_multiple(second, size))
    if a.table.types.get(name) not in ("identifier", "event time") and a.table.contract.event_time:
        one, other = a.steps(name), b.steps(name)
        if len(one) and len(other):
            yield _ks(one, other)
            yield _shares(one == 0, other == 0)


def _is_multiple(values: NDArray[np.float64], size: float) -> NDArray[np.bool_]:
    return np.asarray(np.abs(values / size - np.round(values / size)) < 1e-3)


def _text_tests(a: pl.Series, b: pl.Series) -> Iterator[float]:
    one, other = (each.drop_nulls().str.len_chars().cast(pl.Int64).to_numpy() for each in (a, b))
    if not len(one) or not len(other):
        return
    yield _histograms(one, other)
    for pattern in CHARACTERS:
        yield _shares(*(each.drop_nulls().str.contains(pattern).to_numpy() for each in (a, b)))


def _correlation_tests(a: Sample, b: Sample, name: str) -> Iterator[float]:
    """Of a field with all others (Fisher's z)."""
    if name not in a.ordered or min(a.some.height, b.some.height) < 10:
        return
    at = a.ordered.index(name)
    one, other = (np.clip(each.correlations[at], -0.9999, 0.9999) for each in (a, b))
    error = np.sqrt(1.06 / (a.some.height - 3) + 1.06 / (b.some.height - 3))
    z = (np.arctanh(one) - np.arctanh(other)) / error
    yield from (float(2 * stats.norm.sf(abs(each))) for at_z, each in enumerate(z) if at_z != at)


def _days_differ(clean: Sample, faulty: Sample) -> bool:
    """Whether a day with rows has none, or the other way round."""
    counts = []
    for each in (clean, faulty):
        event, zone = each.table.contract.event_time, each.table.contract.time_zone
        days = each.rows[event].dt.convert_time_zone(zone).dt.date() + timedelta(0)
        counts.append(dict(days.value_counts().iter_rows()))
    return any(
        count >= FEW_IN_A_DAY and day not in others
        for mine, others in (counts, counts[::-1])
        for day, count in mine.items()
    )


def _frequent(a: pl.Series, b: pl.Series) -> float:
    """The most frequent values of both, each as it is: a fill value is one of them."""
    top = most_frequent(pl.concat([a, b]), 20)
    return _histograms(coded(a, top), coded(b, top))


def _ks(a: NDArray[Any], b: NDArray[Any]) -> float:
    if min(len(a), len(b)) < FEW:
        return 1.0
    return float(stats.ks_2samp(a, b, method="asymp").pvalue)


def _shares(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return _table(np.array([[each.sum(), len(each) - each.sum()] for each in (a, b)]))


def _pair(a1: Bins, a2: Bins, b1: Bins, b2: Bins) -> float:
    return _histograms(a1 * CELLS + a2, b1 * CELLS + b2)


def _histograms(a: Bins, b: Bins) -> float:
    least = min(a.min(initial=0), b.min(initial=0))
    a, b = a - least, b - least
    size = int(max(a.max(initial=0), b.max(initial=0))) + 1
    counts = np.array([np.bincount(each, minlength=size) for each in (a, b)])
    few = counts.sum(axis=0) < 10  # chi-square needs some rows in each cell
    return _table(np.column_stack([counts[:, ~few], counts[:, few].sum(axis=1)]))


def _table(counts: NDArray[Any]) -> float:
    counts = counts[:, counts.sum(axis=0) > 0]
    if counts.shape[1] < 2 or (counts.sum(axis=1) == 0).any():
        return 1.0
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    statistic = ((counts - expected) ** 2 / expected).sum()
    if counts.shape[1] == 2 and expected.min() < 5:
        return float(stats.fisher_exact(counts).pvalue)
    return float(stats.chi2.sf(statistic, counts.shape[1] - 1))
