"""Whether a fault could be seen at all: two-sample tests that are told the truth.

The faulty delivery is compared with its own clean twin, which nobody has in practice. If not even
that shows a difference, no method is asked to. Each test takes the two as independent samples.
"""

from datetime import timedelta

import numpy as np
import polars as pl
from scipy import stats

from ml_experiment_runner.signals.contract.contract import Contract

LEVEL = 0.001  # of all tests on a delivery together (Bonferroni)
SCHEMA = ("renamed", "retyped")


def visible(contract: Contract, clean: pl.DataFrame, faulty: pl.DataFrame, kind: str) -> bool:
    """Whether rows, key, values, pairs of fields or the course in time differ."""
    if kind in SCHEMA:
        return True
    if faulty.equals(clean):
        return False
    if faulty.select(contract.key).n_unique() < faulty.height:
        return True
    ratio = faulty.height / clean.height
    if not 0.9 < ratio < 1.1:
        return True
    if contract.event_time and _days(contract, clean) != _days(contract, faulty):
        return True
    changed = [
        name for name in clean.columns
        if clean.height != faulty.height or not clean[name].equals(faulty[name])
    ]  # fmt: skip
    tests = list(_tests(contract, clean, faulty, changed))
    return min(tests, default=1.0) < LEVEL / max(len(tests), 1)


def _days(contract: Contract, rows: pl.DataFrame) -> set:
    local = rows[contract.event_time].dt.convert_time_zone(contract.time_zone)
    return set((local.dt.date() + timedelta(0)).unique())


def _tests(contract, clean, faulty, changed):
    binned = {name: _bins(clean[name], faulty[name]) for name in clean.columns}
    for name in changed:
        a, b = clean[name], faulty[name]
        yield _table(np.array([[s.null_count(), s.len() - s.null_count()] for s in (a, b)]))
        yield _histograms(*_frequent(a, b))
        if a.dtype.is_numeric() or a.dtype.is_temporal():
            yield _ks(a, b)
            if contract.event_time:
                yield _ks(_steps(contract, clean, name), _steps(contract, faulty, name))
        else:
            yield _histograms(*binned[name])
        for other in clean.columns:
            if other != name:
                (a1, b1), (a2, b2) = binned[name], binned[other]
                yield _histograms(a1 * 100 + a2, b1 * 100 + b2)


def _ks(a: pl.Series, b: pl.Series) -> float:
    first, second = (s.drop_nulls().to_physical().to_numpy() for s in (a, b))
    return float(stats.ks_2samp(first, second).pvalue) if len(first) and len(second) else 1.0


def _steps(contract, rows: pl.DataFrame, name: str) -> pl.Series:
    """From one row to the next at the same place."""
    place = [key for key in contract.key if key not in (contract.event_time, name)]
    value = pl.col(name).to_physical() if rows.schema[name].is_temporal() else pl.col(name)
    step = value.diff().over(place, order_by=contract.event_time) if place else value.diff()
    return rows.select(step.alias("step")).to_series()


def _bins(a: pl.Series, b: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    if a.dtype.is_numeric() or a.dtype.is_temporal():
        first, second = a.to_physical().cast(pl.Float64), b.to_physical().cast(pl.Float64)
        edges = np.unique(np.nanquantile(first.to_numpy(), np.linspace(0, 1, 9)[1:-1]))
        return tuple(
            np.where(s.is_null().to_numpy(), 99, np.searchsorted(edges, s.fill_null(0).to_numpy()))
            for s in (first, second)
        )
    top = a.drop_nulls().value_counts(sort=True)[a.name].to_list()[:20]
    places = {code: number for number, code in enumerate(top)}
    return tuple(
        s.replace_strict(places, default=98, return_dtype=pl.Int64).fill_null(99).to_numpy()
        for s in (a, b)
    )


def _frequent(a: pl.Series, b: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """The most frequent values of either, each as it is: a fill value is one of them."""
    top = {value for s in (a, b)
           for value in s.drop_nulls().value_counts(sort=True)[s.name].to_list()[:10]}  # fmt: skip
    places = {value: number for number, value in enumerate(sorted(top))}
    return tuple(
        s.replace_strict(places, default=98, return_dtype=pl.Int64).fill_null(99).to_numpy()
        for s in (a, b)
    )


def _histograms(a: np.ndarray, b: np.ndarray) -> float:
    cells = np.unique(np.concatenate([a, b]), return_inverse=True)[1]
    counts = np.array([np.bincount(part, minlength=cells.max() + 1)
                       for part in (cells[: len(a)], cells[len(a) :])])  # fmt: skip
    few = counts.sum(axis=0) < 10  # chi-square needs some rows in each cell
    table = np.column_stack([counts[:, ~few], counts[:, few].sum(axis=1)])
    return _table(table)


def _table(counts: np.ndarray) -> float:
    counts = counts[:, counts.sum(axis=0) > 0]
    return float(stats.chi2_contingency(counts).pvalue) if counts.shape[1] > 1 else 1.0
