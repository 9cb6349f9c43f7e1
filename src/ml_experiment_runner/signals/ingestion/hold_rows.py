"""The rows that a picture in the report on a hold is computed from, and their steps of time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.drift.rows import Flags, Rows
from ml_experiment_runner.signals.semantic_types import semantic_types

Places = NDArray[np.int64]  # of rows

SOME = 150_000  # rows that are looked at, of the past and of the delivery each
SEASON, ENOUGH = 90, 200  # days that "before" is, so that it is of one season, and their rows
STEPS = {1: 90, 7: 52, 28: 24}  # days of a step, and how many of the past are drawn
FEWEST = 20  # rows of a step, for a share or a mean
MOST_STEPS = 120  # of a delivery
STRAGGLERS = 0.01  # of a delivery's rows that may be from long ago


class Steps(NamedTuple):
    """Equal steps of time; the first of the delivery has the number 0.

    Attributes:
        days: How many one has.
        first: The delivery's first day, counted from 1970.
        past: How many are before it.
        delivered: How many the delivery has.
    """

    days: int
    first: int
    past: int
    delivered: int

    def number(self, days: NDArray[np.int32]) -> Places:
        """The number of the step of each day, counted from the first of the past."""
        return (days.astype(np.int64) - self.first) // self.days + self.past

    @property
    def total(self) -> int:
        """How many there are."""
        return self.past + self.delivered


@dataclass(frozen=True)
class RowsToDraw:
    """The past and the delivery's new rows, one below the other.

    Attributes:
        rows: All of them.
        is_new: Where they are the delivery's.
        shown: Fields whose values may be shown.
        changed: Of partitions that were recorded before, their rows then and now.
    """

    rows: Rows
    is_new: Flags
    shown: frozenset[str]
    changed: tuple[pl.DataFrame, pl.DataFrame] | None = None

    @property
    def contract(self) -> Contract:
        """The signal's contract."""
        return self.rows.contract

    @cached_property
    def masks(self) -> tuple[Flags, Flags]:
        """Where rows are of shortly before and of the delivery."""
        if self.rows.event is None:
            return ~self.is_new, self.is_new
        recent = ~self.is_new & (self.rows.days >= self.first - SEASON)
        return recent if recent.sum() >= ENOUGH else ~self.is_new, self.is_new

    @property
    def before(self) -> str:
        """What is compared with, in words."""
        is_recent = self.rows.event is not None and self.masks[0].sum() < (~self.is_new).sum()
        return f"; before is the {SEASON} days up to the delivery" if is_recent else ""

    @cached_property
    def first(self) -> int:
        """The delivery's first day."""
        return int(np.quantile(self.rows.days[self.is_new], STRAGGLERS, method="lower"))

    @cached_property
    def some(self) -> "RowsToDraw":
        """Rows drawn at random, where there are many."""
        return self._part(lambda at: np.random.default_rng(0).choice(at, SOME, replace=False))

    @cached_property
    def newest(self) -> "RowsToDraw":
        """The past's newest rows and the delivery's first, where there are many.

        No row in between is missing.
        """
        if self.rows.event is None:
            return self._part(lambda at: at[:SOME])
        order = self.rows.frame[self.rows.event].to_physical().to_numpy()
        return self._part(
            lambda at: at[np.argsort(order[at], kind="stable")][
                slice(SOME) if self.is_new[at[0]] else slice(-SOME, None)
            ]
        )

    def _part(self, choose: Callable[[Places], Places]) -> "RowsToDraw":
        chosen = [
            choose(at) if len(at) > SOME else at
            for at in (np.flatnonzero(~self.is_new), np.flatnonzero(self.is_new))
        ]
        if sum(map(len, chosen)) == len(self.rows):
            return self
        kept = np.sort(np.concatenate(chosen))
        rows = Rows(self.contract, self.rows.frame[kept], self.rows.types)
        return RowsToDraw(rows, self.is_new[kept], self.shown, self.changed)

    def steps(self, counted: Flags | None = None, fewest: int = FEWEST) -> Steps:
        """The shortest steps in which most have enough of the counted rows."""
        days = self.rows.days if counted is None else self.rows.days[counted]
        end = int(self.rows.days[self.is_new].max()) + 1
        for length, past in STEPS.items():
            delivered = max(1, -(-(end - self.first) // length))
            oldest = (self.first - int(self.rows.days.min())) // length
            steps = Steps(length, self.first, min(max(oldest, 1), past), delivered)
            number = steps.number(days)
            rows = np.bincount(number[(number >= 0) & (number < steps.total)],
                               minlength=steps.total)  # fmt: skip
            if delivered <= MOST_STEPS and np.median(rows[rows > 0] if rows.any() else 0) >= fewest:
                break
        return steps


def rows_to_draw(
    contract: Contract,
    past: Mapping[str, pl.DataFrame],
    delivery: Mapping[str, pl.DataFrame],
) -> RowsToDraw:
    """The past, and what a delivery adds to it; if it adds nothing, what it restates.

    Args:
        contract: The signal's contract.
        past: Accepted rows by partition.
        delivery: Held rows by partition.
    """
    key = list(contract.key)
    both = [name for name in sorted(delivery) if name in past]
    new = pl.concat([
        delivery[name].join(past[name], on=key, how="anti")
        if contract.event_time and key and name in past else delivery[name]
        for name in sorted(delivery)
    ])  # fmt: skip
    before = past
    if new.is_empty():
        new = pl.concat([delivery[name] for name in sorted(delivery)])
        before = {name: frame for name, frame in past.items() if name not in delivery}
    old = pl.concat([before[name] for name in sorted(before)]) if before else new.clear()
    types = semantic_types(contract, new if old.is_empty() else old)
    rows = Rows(contract, pl.concat([old, new.select(old.columns)]), types)
    changed = None
    if both:
        changed = (pl.concat([past[name] for name in both]),
                   pl.concat([delivery[name] for name in both]))  # fmt: skip
    return RowsToDraw(
        rows,
        np.arange(len(rows)) >= old.height,
        frozenset(field.name for field in contract.fields if not field.classification),
        changed,
    )


def named_in(message: str, fields: Sequence[str]) -> list[str]:
    """The fields that a message names, in the order in which it does."""
    padded = f" {message} "
    places = {name: padded.find(f" {name} ") for name in fields}
    places |= {name: padded.find(f" {name},") for name in fields if places[name] < 0}
    return sorted((name for name in fields if places[name] >= 0), key=lambda name: places[name])
