"""A signal's rows as arrays, and what a detector measures of them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml_experiment_runner.signals.contract.contract import NESTED, Contract

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

WIDE = 24
"""So many fields are compared with each other; a wider table's neighbours with each other only."""
FARTHEST = 1e100  # infinity and its like are taken for this, whose square is still a number
LARGEST = 2.0**62  # what lies beyond it has no last digits
CLOCK = ("year", "month", "day", "hour", "minute", "weekday")


@dataclass(frozen=True)
class Measure:
    """One figure of a delivery.

    Attributes:
        fields: The fields that it speaks of; none where it is about the rows as such.
        what: Tells figures of one check about the same fields apart.
        value: The larger, the further from the past.
        message: The same in words, with numbers.
    """

    fields: tuple[str, ...]
    value: float
    message: str
    what: str = ""

    @property
    def key(self) -> tuple[tuple[str, ...], str]:
        """What is compared with the same figure of the past."""
        return self.fields, self.what


class Detector(ABC):
    """Something that can be learned from the past and measured in a delivery.

    Attributes:
        kind: How messages call it.
        floor: No limit is below this value.
        factor: The limit is this many times the largest value that the past gave by itself.
        is_share: The value is a share of rows, so its limit allows for the number of rows.
        has_past: The past can be measured against itself; else the floor alone is the limit.
        is_rough: A storm or a holiday moves it, so a short past has wider limits.
    """

    kind: ClassVar[str]
    floor: ClassVar[float]
    factor: ClassVar[float] = 2.0
    is_share: ClassVar[bool] = True
    has_past: ClassVar[bool] = True
    is_rough: ClassVar[bool] = True

    @abstractmethod
    def learn(self, rows: "Rows") -> Any:
        """What the past is like."""

    @abstractmethod
    def measure(self, model: Any, rows: "Rows") -> Iterator[Measure]:
        """How a delivery differs from what was learned."""

    def limit(self, natural: float, rows: int) -> float:
        """The value above which neither chance nor season explains so many rows."""
        limit = max(self.floor, self.factor * natural)
        return limit + 4 * float(np.sqrt(limit / max(rows, 1))) if self.is_share else limit


class Rows:
    """A frame as arrays: numbers with NaN for null, texts, and the local clock.

    Attributes:
        contract: The signal's contract.
        frame: The rows.
        calendar: Fields that repeat a part of the event time, such as its hour.
        event: Name of the event time; None for a state.
        places: The key's other fields: what tells rows of one moment apart.
        numbers: Columns of numbers, truth values (0 and 1), dates (days since the event) and
            times of day (seconds).
        texts: Columns of texts; what is nested is in neither.
    """

    def __init__(
        self, contract: Contract, frame: pl.DataFrame, calendar: frozenset[str] = frozenset()
    ) -> None:
        self.contract, self.frame, self.calendar = contract, frame, calendar
        self.event = contract.event_time
        self.places = [name for name in contract.key if name != self.event]
        self.numbers: dict[str, Numbers] = {}
        self.texts: dict[str, pl.Series] = {}
        for field in contract.fields:
            if field.name in (*calendar, self.event) or field.name not in frame.columns:
                continue
            if field.type == "string":
                self.texts[field.name] = frame[field.name]
            elif not (field.key or field.type in NESTED):  # a number in a key is a name
                self.numbers[field.name] = self._number(field.name)

    def _number(self, name: str) -> Numbers:
        series = self.frame[name]
        if series.dtype == pl.Time:
            series = series.to_physical() / 1e9
        elif series.dtype.is_temporal():
            moment = series.cast(pl.Datetime("us", "UTC")).dt.epoch("s") / 86400.0
            since = self.frame[self.event].dt.epoch("s") / 86400.0 if self.event else 0.0
            series = moment - since
        number: Numbers = series.cast(pl.Float64).fill_null(np.nan).to_numpy()
        return number.clip(-FARTHEST, FARTHEST)

    def __len__(self) -> int:
        return self.frame.height

    @property
    def codes(self) -> list[str]:
        """Texts that may be of few values; a new row of a state brings a new key."""
        return [name for name in self.texts if self.event or name not in self.contract.key]

    def known(self, name: str) -> Numbers:
        """The numbers that are there."""
        values = self.numbers[name]
        return values[~np.isnan(values)]

    def is_null(self, name: str) -> Flags:
        """Where a field has no value."""
        return self._nulls[name]

    @cached_property
    def _nulls(self) -> dict[str, Flags]:
        return {name: self.frame[name].is_null().to_numpy() for name in self.frame.columns}

    @cached_property
    def clock(self) -> dict[str, Numbers]:
        """The event time's parts where it happened; empty for a state."""
        if self.event is None:
            return {}
        local = self.frame[self.event].dt.convert_time_zone(self.contract.time_zone).dt
        return {part: getattr(local, part)().cast(pl.Float64).to_numpy() for part in CLOCK}

    @cached_property
    def days(self) -> NDArray[np.int32]:
        """The event's local day, counted from 1970."""
        assert self.event is not None
        local = self.frame[self.event].dt.convert_time_zone(self.contract.time_zone)
        days: NDArray[np.int32] = local.dt.date().to_physical().to_numpy()
        return days

    def every(self, step: int) -> "Rows":
        """Every so-many-th row."""
        return Rows(self.contract, self.frame.gather_every(max(step, 1)), self.calendar)


def blocks(names: Sequence[str]) -> Iterator[list[str]]:
    """Fields that are compared with each other: all, or neighbours in a wide table.

    What is compared pair by pair would take hours for hundreds of fields.
    """
    count = -(-len(names) // WIDE)
    for number in range(count):
        yield list(names[len(names) * number // count : len(names) * (number + 1) // count])


def in_steps(values: Numbers, count: int) -> NDArray[np.int64]:
    """Numbers with so many decimals as whole numbers of their smallest step."""
    scaled = np.nan_to_num(np.round(values * 10.0**count), nan=0.0)
    steps: NDArray[np.int64] = scaled.clip(-LARGEST, LARGEST).astype(np.int64)
    return steps


def decimals(values: Numbers) -> int | None:
    """Decimals of numbers as they were written; None if there are more than five."""
    some = values[:5000]
    if not np.isfinite(some).all():
        return None
    for count in range(6):
        scaled = some * 10.0**count
        if np.abs(scaled - np.round(scaled)).max(initial=0.0) < 1e-4:
            return count
    return None
