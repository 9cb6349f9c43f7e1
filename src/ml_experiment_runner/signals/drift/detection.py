"""Drift detection: finds what has changed in a signal though its contract has not.

Weather turns warm and schedules change; an upstream change is something else. Each detector
measures what a season leaves alone (how numbers end, how the fields of a row belong together, how
rows follow each other). What exceeds by far all that the past ever did to itself is a violation of
the field that explains most of it.
"""

import logging
import math
from collections.abc import Iterable, Mapping, Set

import polars as pl

from ml_experiment_runner.holds.holds import Violation
from ml_experiment_runner.signals.checks.quality import in_first_partition
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.drift import sequence
from ml_experiment_runner.signals.drift.limits import (
    IDENTITIES,
    RELATION,
    Excess,
    Past,
    compare,
    is_certain,
    learn,
    limit_of,
)
from ml_experiment_runner.signals.drift.rows import FEW, Rows

log = logging.getLogger(__name__)

PAST_ROWS = 1_000_000  # newer partitions first
MOST_WARNINGS = 3  # of a partition, the most unusual first


def changes(
    contract: Contract,
    past: Mapping[str, pl.LazyFrame],
    delivery: Mapping[str, pl.DataFrame],
    accepted: Mapping[str, str],
    *,
    set_aside: Set[str] = frozenset(),
) -> list[Violation]:
    """The changes in a delivery that the signal's past does not explain.

    Args:
        contract: The signal's contract.
        past: Accepted rows by partition; of a partition that the delivery changes, its old rows.
        delivery: New and changed partitions, whole, in the contract's types.
        accepted: By field (`""` for whole rows), the first partition since which a person has
            accepted its change: its past before that is not compared with.
        set_aside: Partitions whose rows a person has accepted only once: they are not compared
            with, and may be corrected.
    """
    frames = _newest(past)
    violations: list[Violation] = []
    for partition in sorted(delivery):
        rows = delivery[partition]
        if contract.event_time and partition in frames:
            if partition not in set_aside:
                violations += _restated(contract, frames[partition], rows, partition, accepted)
            rows = rows.join(frames[partition], on=contract.key, how="anti")
        if rows.height >= FEW:
            usual = {name: frame for name, frame in frames.items() if name not in set_aside}
            pasts = Pasts(contract, usual, rows, accepted)
            found = explain(pasts, pasts.compare())
            violations += [
                _violation(contract, field, excesses, partition, pasts.totals)
                for field, excesses in found.items()
            ]
            _warn(contract, pasts, set(found), partition)
        if contract.event_time:
            # also where it is held, as the delivery then is anyway: the seasons go on
            frames[partition] = delivery[partition]
    return _one_for_each_field(violations)


def explain(pasts: "Pasts", excesses: Iterable[Excess]) -> dict[str, list[Excess]]:
    """The fields to blame for what exceeds its limit, the most to blame first.

    Each time the field is blamed without which the least is left to explain; of equals none of a
    sum or product that still holds.

    Returns:
        By field, its excesses, the strongest first; `""` stands for whole rows.
    """
    left = list(excesses)
    sound = pasts.sound(left)
    blamed: dict[str, list[Excess]] = {}
    while left:
        suspects = {field for excess in left for field in excess.fields} - set(blamed)
        rests = {field: pasts.without(left, {*blamed, field}) for field in suspects}
        field = _most_to_blame(left, rests, sound)
        blamed[field] = _excesses_of(field, left)
        left = rests[field]
    return blamed


def _most_to_blame(
    left: Iterable[Excess], rests: Mapping[str, list[Excess]], sound: Set[str]
) -> str:
    """The field without which the least is left; of equals, the one that exceeds most itself."""

    def order(field: str) -> tuple[float, bool, float]:
        return round(_weight(rests[field]), 2), field in sound, -_own(left, field)

    return min(sorted(rests), key=order)


def _excesses_of(field: str, excesses: Iterable[Excess]) -> list[Excess]:
    """A field's excesses: first those that are mainly about it, then by strength."""
    own = [excess for excess in excesses if field in excess.fields]
    return sorted(own, key=lambda excess: (excess.measure.likeliest != field, -excess.strength))


class Pasts:
    """What new rows are compared with: the past, and the newer past of accepted fields.

    Attributes:
        uncertain: What may be a season, as no year is known.

    Args:
        contract: The signal's contract.
        frames: Rows of the past by partition.
        frame: The new rows.
        accepted: The first partition whose past counts, by field.
    """

    def __init__(
        self, contract: Contract, frames: Mapping[str, pl.DataFrame], frame: pl.DataFrame,
        accepted: Mapping[str, str],
    ) -> None:  # fmt: skip
        self._accepted = accepted
        self._since: dict[str, tuple[Past, Rows]] = {}
        self.uncertain: list[Excess] = []
        for since in sorted({"", *accepted.values()}):
            before = [frame for name, frame in frames.items() if name >= since]
            if sum(frame.height for frame in before) < FEW:
                continue
            past = learn(contract, pl.concat(before), _days(contract, frame))
            self._since[since] = past, past.rows(frame)

    def compare(self) -> list[Excess]:
        """Everything about the new rows that exceeds its limit, each field by its own past."""
        excesses: list[Excess] = []
        for since, (past, rows) in self._since.items():
            for excess in compare(past, rows):
                if self._counts(since, excess):
                    chosen = excesses if is_certain(past, excess) else self.uncertain
                    chosen.append(excess)
        return excesses

    def sound(self, excesses: Iterable[Excess]) -> frozenset[str]:
        """The fields of sums and products that hold, if some do not."""
        broken = {excess.measure.fields for excess in excesses if excess.detector in IDENTITIES}
        if not broken:
            return frozenset()
        return frozenset(
            field
            for past, rows in self._since.values()
            for detector in IDENTITIES
            for measure in detector.measure(past.model[detector], rows)
            if measure.fields not in broken
            for field in measure.fields
        )

    @property
    def days(self) -> float:
        """How many days the whole past spans."""
        return max((past.days for past, _ in self._since.values()), default=0.0)

    @property
    def totals(self) -> Set[str]:
        """The fields that are compared by what they rise from row to row."""
        pasts = [past.totals for past, _ in self._since.values()]
        return {name for totals in pasts if totals is not None for name in totals.names}

    def without(self, excesses: list[Excess], fields: Set[str]) -> list[Excess]:
        """The excesses that are left without fields; relations are learned anew without them."""
        rest = [excess for excess in excesses if fields.isdisjoint(excess.fields)]
        if not any(excess.detector is RELATION for excess in excesses):
            return rest
        rest = [excess for excess in rest if excess.detector is not RELATION]
        for since, (past, rows) in self._since.items():
            for measure in RELATION.measure(past.without(frozenset(fields)), rows):
                limit = limit_of(past, RELATION, measure, rows)
                excess = Excess(RELATION, measure, measure.value / limit)
                if measure.value > limit and self._counts(since, excess):
                    rest.append(excess)
        return rest

    def _counts(self, since: str, excess: Excess) -> bool:
        """Whether this past is the newest that a person has accepted of the measured fields."""
        return since == max(self._accepted.get(field, "") for field in excess.fields)


def _warn(contract: Contract, pasts: "Pasts", held: Set[str], partition: str) -> None:
    """Warns of what is unusual and may be a season, while the past is shorter than a year."""
    unusual: dict[str, Excess] = {}
    for excess in sorted(pasts.uncertain, key=lambda excess: -excess.strength):
        if held.isdisjoint(excess.fields):
            unusual.setdefault(excess.measure.likeliest, excess)
    for field, excess in list(unusual.items())[:MOST_WARNINGS]:
        violation = _violation(contract, field, [excess], partition, pasts.totals)
        log.warning(
            "signal %s is learning (%.0f days of its past are known, a year is needed): not held, "
            "but unusual in %s: %s: %s: %s",
            contract.name, pasts.days, partition, violation.kind, field or "the rows",
            violation.message,
        )  # fmt: skip


def _restated(
    contract: Contract, before: pl.DataFrame, rows: pl.DataFrame, partition: str,
    accepted: Mapping[str, str],
) -> list[Violation]:  # fmt: skip
    """Changes in recorded rows, except in fields whose change was accepted later."""
    detector = sequence.ChangedRows()
    return [
        _violation(contract, "".join(measure.fields), [Excess(detector, measure, 1.0)], partition)
        for measure in detector.measure(before, Rows(contract, rows))
        if measure.value > detector.limit(0.0, rows.height)
        and not any(partition < accepted.get(field, "") for field in measure.fields or ("",))
    ]


def _one_for_each_field(violations: list[Violation]) -> list[Violation]:
    """One violation for a kind and a field, however many partitions it concerns."""
    grouped: dict[tuple[str, str | None], list[Violation]] = {}
    for violation in violations:
        grouped.setdefault((violation.kind, violation.field), []).append(violation)
    return [in_first_partition(group) for group in grouped.values()]


def _violation(
    contract: Contract, field: str, excesses: list[Excess], partition: str,
    totals: Set[str] = frozenset(),
) -> Violation:  # fmt: skip
    """A field's strongest excess as a violation; of a classified field, without a value."""
    first = excesses[0]
    fields = {field, *first.measure.fields} - {""}
    message = first.measure.message
    if field in totals:
        message = f"of its increase from row to row: {message}"
    if any(contract.field(name).classification for name in fields):
        message = "it differs from its past; it is classified, so no value is shown"
    more = sorted({excess.detector.kind for excess in excesses[1:]} - {first.detector.kind})
    if more:
        message += f" (also: {', '.join(more)})"
    return Violation(first.detector.kind, field or None, message, partition)


def _newest(past: Mapping[str, pl.LazyFrame]) -> dict[str, pl.DataFrame]:
    """The newest partitions, as many as are needed."""
    frames: dict[str, pl.DataFrame] = {}
    for name in sorted(past, reverse=True):
        if sum(frame.height for frame in frames.values()) < PAST_ROWS:
            frames[name] = past[name].collect()
    return {name: frames[name] for name in sorted(frames)}


def _days(contract: Contract, frame: pl.DataFrame) -> int | None:
    """How many days rows span; None for a state."""
    if contract.event_time is None:
        return None
    days = Rows(contract, frame).days
    return int(days.max() - days.min()) + 1


def _weight(excesses: Iterable[Excess]) -> float:
    return sum(math.log1p(excess.strength) for excess in excesses)


def _own(excesses: Iterable[Excess], field: str) -> float:
    """How much of the excesses is a field's own."""
    weight = 0.0
    for excess in excesses:
        fields = excess.fields
        if excess.detector is RELATION:
            weight += 0.1 * math.log1p(excess.strength) * (field == excess.measure.likeliest)
        elif field in fields:
            # the likelier one of equals
            first = 1.1 if field == excess.measure.likeliest else 1.0
            weight += first * 2 / len(fields) * math.log1p(excess.strength)
    return weight
