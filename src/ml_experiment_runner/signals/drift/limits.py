"""The limits of a signal's measures, learned from its past, and what of new rows exceeds them.

Each limit is learned from the signal itself: the newest parts of the past are measured against what
was before them, as the delivery is (Dawid, Present Position and Potential Developments: the
Prequential Approach, JRSS A 1984).
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.drift import (
    identities,
    invariants,
    relationships,
    sequence,
    swapped_codes,
    values,
)
from ml_experiment_runner.signals.drift.figures.table import Figures
from ml_experiment_runner.signals.drift.history import History, learn_history
from ml_experiment_runner.signals.drift.rows import FEW, Detector, Measure, Rows
from ml_experiment_runner.signals.drift.running_totals import RunningTotals, running_totals
from ml_experiment_runner.signals.semantic_types import CALENDAR, semantic_types

DETECTORS: tuple[Detector, ...] = (
    values.NewValues(),
    values.NewCodes(),
    values.LastDigits(),
    values.Gaps(),
    values.SingleValue(),
    values.Extreme(),
    values.Identifiers(),
    relationships.Together(),
    invariants.Clock(),
    invariants.Twice(),
    identities.Sums(),
    identities.Products(),
    invariants.Dependence(),
    relationships.Relation(),
    relationships.Absence(),
    swapped_codes.SwappedCodes(),
    sequence.Order(),
    sequence.Numbering(),
    sequence.Steps(),
    sequence.Frozen(),
    sequence.RepeatedDay(),
    sequence.Volume(),
    sequence.CopiesInState(),
    sequence.ChangedRows(),
)
VOLUME = next(detector for detector in DETECTORS if isinstance(detector, sequence.Volume))
IDENTITIES = tuple(
    detector for detector in DETECTORS
    if isinstance(detector, identities.Sums | identities.Products)
)  # fmt: skip
RELATION = next(detector for detector in DETECTORS if isinstance(detector, relationships.Relation))

SOME, NEWEST = 40_000, 60_000  # rows of a large past that most detectors learn from
TRIALS = (3, 5, 7)  # after so many ninths of the past, the parts up to the next are measured
GROWS = 0.98  # rank correlation with the time, of a number that only grows
FEWEST_PARTS = 3  # of the past that tell whether a detector can be trusted
MOST_PARTS = 24  # of the past that are measured, the newest
ENOUGH = 8  # parts of which one may be odd
ODD = 2.0  # times the next one
MARGIN = 1.2  # how much further than ever before a measure has to be
LEARNING = (1.2, 2.5)  # times its limit, shortly before a year is known and at the beginning
CERTAIN = 1.15  # times its limit, at the beginning, of what no season moves
NEVER = 3.0  # of so many rows none: their share is hardly more than 3 to their number
WEEK, MONTH, YEAR = 7, 28, 365  # days; a month of past is enough to judge a month

Model = dict[Detector, Any]


@dataclass(frozen=True)
class Natural:
    """How large the measures of a detector are among the past's own parts.

    Attributes:
        largest: By measure, the largest value that counts: where there are many parts, one odd one
            that was accepted does not.
        wider: How many times wider the detector's limits are on this table, as it would have held
            parts of the past for nothing.
        is_known: Any part of the past could be measured.
    """

    largest: dict[Any, float]
    wider: float
    is_known: bool


@dataclass(frozen=True)
class Past:
    """What was learned from a signal's past.

    Attributes:
        types: The semantic type of each field.
        model: What each detector has learned.
        natural: By detector, how large its measures are among the past's own parts.
        whole: What a detector measures in the whole past, by measure.
        wider: How many times wider its limits are, as it is short.
        without: What `Relation` learns without some fields.
        history: Its deliveries as such; None for a state.
        days: How many it spans; infinite for a state, which has no seasons.
        totals: Its running totals, if it has any.
        count: How many rows it has.
    """

    contract: Contract
    types: Mapping[str, str]
    model: Model
    natural: dict[Detector, Natural]
    whole: Callable[[Detector], dict[Any, float]]
    wider: float
    without: Callable[[frozenset[str]], dict[str, Any]]
    history: History | None
    days: float
    totals: RunningTotals | None
    count: int

    def rows(self, frame: pl.DataFrame) -> Rows:
        """New rows as the past's were learned: by the same types, running totals by increase."""
        if self.totals is not None:
            frame = self.totals.increases(frame)
        return Rows(self.contract, frame, self.types)


@dataclass(frozen=True)
class Excess:
    """A measure beyond its limit.

    Attributes:
        detector: What measured it.
        measure: The measure.
        strength: How many times the limit it is.
    """

    detector: Detector | Figures
    measure: Measure
    strength: float

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that it is about; `""` stands for whole rows."""
        return self.measure.fields or ("",)


def learn(contract: Contract, frame: pl.DataFrame, days: int | None) -> Past:
    """What the past is like, and how far its own newest parts were from what was before them.

    Args:
        contract: The signal's contract.
        frame: Rows of the past.
        days: How many the delivery spans: parts of the past as long are its measure; None for a
            state.
    """
    types = semantic_types(contract, frame)
    totals, frame = running_totals(contract, frame, types)
    rows = _without_far_days(Rows(contract, frame, types))
    types |= dict.fromkeys(_with_time(rows), CALENDAR)  # nothing of them stays as it was
    rows = Rows(contract, rows.frame, types)
    of_size = {"some": rows.sample(SOME), "newest": rows.newest(NEWEST), "all": rows}
    trials = {size: _trials(chosen, days) for size, chosen in of_size.items()}
    model: Model = {}
    natural: dict[Detector, Natural] = {}
    for detector in DETECTORS:
        chosen = of_size[detector.needs]
        model[detector] = detector.learn(chosen)
        parts = trials[detector.needs] if detector.has_past else []
        natural[detector] = _natural(detector, _measured(detector, model[detector], chosen, parts))

    @functools.cache
    def without(fields: frozenset[str]) -> dict[str, Any]:
        return RELATION.learn(of_size[RELATION.needs], fields)

    @functools.cache
    def whole(detector: Detector) -> dict[Any, float]:
        known = detector.measure(model[detector], of_size[detector.needs])
        return {measure.key: measure.value for measure in known}

    history = learn_history(rows, days) if days is not None else None
    known = math.inf if days is None else float(np.ptp(rows.days)) + 1
    wider = _wider(rows, days)
    return Past(
        contract, types, model, natural, whole, wider, without, history, known, totals, len(rows)
    )


def _measured(
    detector: Detector, model: Any, rows: Rows, trials: list[tuple[Rows, list[Rows]]]
) -> list[tuple[int, dict[Any, float]]]:
    """Rows and measures of each part of the past, by what was known before it."""
    measured = []
    for before, parts in trials:
        earlier = detector.learn_again(model, before)
        for number, part in enumerate(parts):
            if detector.learns_each and number:
                earlier = detector.learn_again(model, rows.filter(rows.days < part.days.min()))
            values = {each.key: each.value for each in detector.measure(earlier, part)}
            measured.append((len(part), values))
    return measured


def _natural(detector: Detector, measured: list[tuple[int, dict[Any, float]]]) -> Natural:
    """How large measures are in the past, and whether the past itself would have been held."""
    columns: dict[Any, list[float]] = {}
    for _, part in measured:
        for key, value in part.items():
            columns.setdefault(key, []).append(value)
    ordered = {key: sorted(values, reverse=True) for key, values in columns.items()}
    worst = []
    for rows, part in measured:
        beyond = [
            value / detector.limit(_largest([each for each in ordered[key] if each != value]), rows)
            for key, value in part.items()
            if len(ordered[key]) >= FEWEST_PARTS
        ]
        worst.append(max(beyond, default=0.0))
    wider = MARGIN * _largest(sorted(worst, reverse=True)) if len(worst) >= FEWEST_PARTS else 1.0
    largest = {key: _largest(values) for key, values in ordered.items()}
    return Natural(largest, max(1.0, wider), bool(measured))


def _largest(ordered: Sequence[float]) -> float:
    """The largest of values in falling order; of many the second, if the first is far beyond it."""
    if len(ordered) >= ENOUGH and ordered[0] > ODD * ordered[1]:
        return ordered[1]
    return ordered[0] if ordered else 0.0


def compare(past: Past, rows: Rows) -> list[Excess]:
    """Everything about new rows that exceeds its limit."""
    beyond = [
        Excess(detector, measure, measure.value / limit)
        for detector, model in past.model.items()
        if not (detector is VOLUME and past.days >= YEAR)  # then its own history tells more
        if past.natural[detector].is_known or not detector.has_past
        for measure in detector.measure(model, rows)
        if measure.value > (limit := limit_of(past, detector, measure, rows))
    ]
    if past.history is None:
        return beyond
    days = int(rows.days.max() - rows.days.min()) + 1
    return beyond + [
        Excess(figures, measure, measure.value)
        for figures, measure in past.history.compare(rows, days)
    ]


def is_certain(past: Past, excess: Excess) -> bool:
    """Whether an excess cannot be a season that the past has not seen yet."""
    parts = 12 if past.history is None else past.history.parts
    missing = max(0.0, 1 - past.days / YEAR, 1 - parts / 12)
    if not excess.detector.is_seasonal:
        return excess.strength > 1.0 + (CERTAIN - 1.0) * missing
    needed = 1.0 if not missing else LEARNING[0] + (LEARNING[1] - LEARNING[0]) * missing
    return excess.strength > needed


def _without_far_days(rows: Rows) -> Rows:
    """Rows but for a few whose time is far from that of all others, as the year 9999 is."""
    if rows.event is None:
        return rows
    low, middle, high = np.quantile(rows.days, [0.01, 0.5, 0.99])
    near = np.abs(rows.days - middle) <= 3 * (high - low) + 2 * MONTH
    return rows if near.all() else rows.filter(near)


def _with_time(rows: Rows) -> Iterator[str]:
    """Numbers that only grow with time, and dates that do not go with it."""
    if rows.event is None:
        return
    some = rows.sample(5000)
    moments = some.frame[rows.event].to_physical().rank().to_numpy()
    for name, numbers in some.numbers.items():
        there = ~np.isnan(numbers)
        if some.frame[name].dtype.is_temporal() and some.frame[name].dtype != pl.Time:
            days = numbers + some.days
            if there.any() and np.nanstd(numbers) > np.nanstd(days):
                yield name
        elif there.sum() > FEW and len(np.unique(numbers[there])) > FEW:
            ranks = pl.Series(numbers[there]).rank().to_numpy()
            if np.corrcoef(ranks, moments[there])[0, 1] > GROWS:
                yield name


def _trials(rows: Rows, days: int | None) -> list[tuple[Rows, list[Rows]]]:
    """Rows known at some moments of the past, each with the parts that followed.

    A state has no other past than itself: random quarters and the rest.
    """

    def part(chosen: Any) -> Rows:
        return Rows(rows.contract, rows.frame.filter(pl.Series(chosen)), rows.types)

    if days is None:
        quarter = np.random.default_rng(0).permutation(len(rows)) % 4
        return [(part(quarter < number), [part(quarter == number)]) for number in (2, 3)]
    first, end = int(rows.days.min()), int(rows.days.max()) + 1
    length = max(1, min(days, (end - first) // 4))
    count = min(MOST_PARTS, (end - first) // length)
    starts = range(end - count * length, end, length)
    moments = [first + round((end - first) * ninths / 9) for ninths in TRIALS]
    trials = []
    for moment, following in itertools.pairwise([*moments, end]):
        parts = [
            part((rows.days >= start) & (rows.days < start + length))
            for start in starts
            if moment <= start < following
        ]
        if parts := [rows_of_part for rows_of_part in parts if len(rows_of_part) >= FEW]:
            before = part(rows.days < parts[0].days.min())
            if len(before) >= FEW:
                trials.append((before, parts))
    return trials


def _wider(rows: Rows, days: int | None) -> float:
    """How much wider the limits of a short past are: it has seen few storms and holidays.

    A short delivery needs more of it, for one storm is half of a week and little of a month.
    """
    if days is None:
        return 1.0
    known = int(rows.days.max()) - int(rows.days.min()) + 1
    return max(1.0, MONTH / known * MONTH / max(days, WEEK))


def limit_of(past: Past, detector: Detector, measure: Measure, rows: Rows) -> float:
    """The largest value of a measure in new rows that the past explains.

    What never came in few rows may still come (Hanley and Lippman-Hand, If Nothing Goes Wrong, Is
    Everything All Right?, JAMA 1983).
    """
    natural = past.natural[detector]
    largest = natural.largest.get(measure.key)
    if largest is None:
        # what no part of the past could be measured for is as its like, and as in the whole
        usual = float(np.median(list(natural.largest.values()))) if natural.largest else 0.0
        known = past.whole(detector) if detector.has_past else {}
        largest = max(usual, known.get(measure.key, 0.0))
    if detector.is_share:
        largest = max(largest, NEVER / past.count)
    wider = past.wider if detector.is_rough else 1.0
    return max(wider, natural.wider) * detector.limit(largest, len(rows))
