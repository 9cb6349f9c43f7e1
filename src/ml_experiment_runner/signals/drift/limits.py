"""The limits of a signal's measures, learned from its past, and what of new rows exceeds them.

Each limit is learned from the signal itself: the newest parts of the past are measured against what
was before them, as the delivery is (Dawid, Present Position and Potential Developments: the
Prequential Approach, JRSS A 1984).
"""

import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.drift import invariants, relationships, sequence, values
from ml_experiment_runner.signals.drift.rows import Detector, Measure, Rows

DETECTORS: tuple[Detector, ...] = (
    values.NewValues(),
    values.NewCodes(),
    values.Shares(),
    values.LastDigits(),
    values.Gaps(),
    values.SingleValue(),
    values.Extreme(),
    relationships.Together(),
    invariants.Clock(),
    invariants.Twice(),
    invariants.Sums(),
    invariants.Dependence(),
    relationships.Relation(),
    relationships.Absence(),
    relationships.SwappedCodes(),
    sequence.Steps(),
    sequence.Frozen(),
    sequence.RepeatedDay(),
    sequence.Volume(),
    sequence.Level(),
    sequence.ChangedRows(),
)
RELATION = next(detector for detector in DETECTORS if isinstance(detector, relationships.Relation))

TRIALS = (3, 5, 7)  # after so many ninths of the past, the parts up to the next are measured
FEW = 30  # rows that are too few to tell anything
WEEK, MONTH = 7, 28  # days; a month of past is enough to judge a month

Model = dict[Detector, Any]


@dataclass(frozen=True)
class Past:
    """What was learned from a signal's past.

    Attributes:
        calendar: Fields that repeat a part of the event time.
        model: What each detector has learned.
        natural: By detector and measure, the largest value among the past's own parts.
        whole: What a detector measures in the whole past, by measure.
        wider: How many times wider its limits are, as it is short.
        without: What `Relation` learns without some fields.
    """

    contract: Contract
    calendar: frozenset[str]
    model: Model
    natural: dict[Detector, dict[Any, float]]
    whole: Callable[[Detector], dict[Any, float]]
    wider: float
    without: Callable[[frozenset[str]], dict[str, Any]]


@dataclass(frozen=True)
class Excess:
    """A measure beyond its limit.

    Attributes:
        detector: What measured it.
        measure: The measure.
        strength: How many times the limit it is.
    """

    detector: Detector
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
    calendar = _calendar(contract, frame)
    rows = Rows(contract, frame, calendar)
    natural: dict[Detector, dict[Any, float]] = {detector: {} for detector in DETECTORS}
    for before, parts in _trials(rows, days):
        for detector in DETECTORS:
            if not detector.has_past:
                continue
            model, largest = detector.learn(before), natural[detector]
            for measure in (measure for part in parts for measure in detector.measure(model, part)):
                largest[measure.key] = max(largest.get(measure.key, 0.0), measure.value)

    @functools.cache
    def without(fields: frozenset[str]) -> dict[str, Any]:
        return RELATION.learn(rows, fields)

    model = {detector: detector.learn(rows) for detector in DETECTORS}

    @functools.cache
    def whole(detector: Detector) -> dict[Any, float]:
        return {measure.key: measure.value for measure in detector.measure(model[detector], rows)}

    return Past(contract, calendar, model, natural, whole, _wider(rows, days), without)


def compare(past: Past, frame: pl.DataFrame) -> list[Excess]:
    """Everything about new rows that exceeds its limit."""
    rows = Rows(past.contract, frame, past.calendar)
    return [
        Excess(detector, measure, measure.value / limit)
        for detector, model in past.model.items()
        for measure in detector.measure(model, rows)
        if measure.value > (limit := limit_of(past, detector, measure, rows))
    ]


def _calendar(contract: Contract, frame: pl.DataFrame) -> frozenset[str]:
    whole = frozenset(field.name for field in contract.fields if field.type == "integer")
    if contract.event_time is None:
        return frozenset()
    return frozenset(name for name, _ in invariants.Clock().learn(Rows(contract, frame, whole)))


def _trials(rows: Rows, days: int | None) -> list[tuple[Rows, list[Rows]]]:
    """Rows known at some moments of the past, each with the parts that followed.

    A state has no other past than itself: random quarters and the rest.
    """

    def part(chosen: Any) -> Rows:
        return Rows(rows.contract, rows.frame.filter(pl.Series(chosen)), rows.calendar)

    if days is None:
        quarter = np.random.default_rng(0).permutation(len(rows)) % 4
        return [(part(quarter < number), [part(quarter == number)]) for number in (2, 3)]
    first, end = int(rows.days.min()), int(rows.days.max()) + 1
    length = max(1, min(days, (end - first) // 4))
    starts = range(end - (end - first) // length * length, end, length)
    moments = [first + round((end - first) * ninths / 9) for ninths in TRIALS]
    trials = []
    for moment, following in itertools.pairwise([*moments, end]):
        parts = [
            part((rows.days >= start) & (rows.days < start + length))
            for start in starts
            if moment <= start < following
        ]
        if parts := [rows_of_part for rows_of_part in parts if len(rows_of_part) >= FEW]:
            before = parts[0].days.min()
            trials.append((part(rows.days < before), parts))
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
    """The largest value of a measure in new rows that the past explains."""
    natural = past.natural[detector]
    largest = natural.get(measure.key)
    if largest is None:
        # what no part of the past could be measured for is as its like, and as in the whole
        usual = float(np.median(list(natural.values()))) if natural else 0.0
        known = past.whole(detector) if detector.has_past else {}
        largest = max(usual, known.get(measure.key, 0.0))
    wider = past.wider if detector.is_rough else 1.0
    return wider * detector.limit(largest, len(rows))
