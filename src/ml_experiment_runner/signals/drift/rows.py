"""A signal's rows as arrays, and what a detector measures of them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml_experiment_runner.signals.contract.contract import NESTED, Contract
from ml_experiment_runner.signals.semantic_types import CALENDAR, CODE, FLAG, IDENTIFIER

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

WIDE = 24
"""So many fields are compared with each other; a wider table's neighbours with each other only."""
FARTHEST = 1e100  # infinity and its like are taken for this, whose square is still a number
LARGEST = 2.0**62  # what lies beyond it has no last digits
FEW = 30  # rows that are too few to tell anything
UNIQUE = 0.5  # of the rows have another value where it identifies a row rather than a customer
FEW_VALUES = 30  # of whole numbers that are looked at one by one
CLOCK = ("year", "month", "day", "hour", "minute", "weekday", "quarter", "week", "day of year")


@dataclass(frozen=True)
class Measure:
    """One figure of a delivery.

    Attributes:
        fields: The fields that it speaks of; none where it is about the rows as such.
        what: Tells figures of one check about the same fields apart.
        value: The larger, the further from the past.
        message: The same in words, with numbers.
        first: The field that it is mainly about, if not the first.
    """

    fields: tuple[str, ...]
    value: float
    message: str
    what: str = ""
    first: str = ""

    @property
    def likeliest(self) -> str:
        """The field that it is mainly about; none where it is about the rows as such."""
        return self.first or (self.fields[0] if self.fields else "")

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
        is_seasonal: A season may move it: before a whole year is known it has to be far beyond.
        learns_each: It learns each part of the past before it measures the next one, as what was
            new once is not new again.
        needs: Rows of a large past that it learns from: some at random, the newest, or all.
    """

    kind: ClassVar[str]
    floor: ClassVar[float]
    factor: ClassVar[float] = 2.0
    is_share: ClassVar[bool] = True
    has_past: ClassVar[bool] = True
    is_rough: ClassVar[bool] = True
    is_seasonal: ClassVar[bool] = True
    learns_each: ClassVar[bool] = False
    needs: ClassVar[Literal["some", "newest", "all"]] = "some"

    @abstractmethod
    def learn(self, rows: "Rows") -> Any:
        """What the past is like."""

    def learn_again(self, model: Any, rows: "Rows") -> Any:  # noqa: ARG002
        """What an earlier part of the past is like; what holds for the whole need not be sought."""
        return self.learn(rows)

    @abstractmethod
    def measure(self, model: Any, rows: "Rows") -> Iterator[Measure]:
        """How a delivery differs from what was learned."""

    def limit(self, natural: float, rows: int) -> float:
        """The value above which neither chance nor season explains so many rows."""
        limit = max(self.floor, self.factor * natural)
        return limit + 4 * float(np.sqrt(limit / max(rows, 1))) if self.is_share else limit


class LocalClock(dict[str, Numbers]):
    """The parts of moments, such as their hour, each computed when it is asked for."""

    def __init__(self, local: pl.Series) -> None:
        super().__init__()
        self._local = local

    def __missing__(self, part: str) -> Numbers:
        name = "ordinal_day" if part == "day of year" else part
        self[part] = getattr(self._local.dt, name)().cast(pl.Float64).to_numpy()
        return self[part]


class Rows:
    """A frame as arrays: numbers with NaN for null, texts, and the local clock.

    Attributes:
        contract: The signal's contract.
        frame: The rows.
        types: The semantic type of each field, as the contract says or the past looks.
        calendar: Fields that follow from a part of the event time, such as its hour.
        event: Name of the event time; None for a state.
        places: The key's other fields: what tells rows of one moment apart.
        numbers: Quantities, counts, flags (0 and 1), dates (days since the event) and times of day
            (seconds).
        texts: Texts, and whole numbers that are names; what is nested is in neither.
    """

    def __init__(
        self, contract: Contract, frame: pl.DataFrame, types: Mapping[str, str] | None = None
    ) -> None:
        self.contract, self.frame, self.types = contract, frame, types or {}
        self.calendar = frozenset(name for name, kind in self.types.items() if kind == CALENDAR)
        self.event = contract.event_time
        self.places = [name for name in contract.key if name != self.event]
        self.numbers: dict[str, Numbers] = {}
        self.texts: dict[str, pl.Series] = {}
        for field in contract.fields:
            if field.name in (*self.calendar, self.event) or field.name not in frame.columns:
                continue
            is_name = field.key or self.types.get(field.name) in (IDENTIFIER, CODE)
            if field.type == "string":
                self.texts[field.name] = frame[field.name]
            elif is_name and field.type == "integer":
                self.texts[field.name] = frame[field.name].cast(pl.String)
            elif not (field.key or field.type in NESTED):
                self.numbers[field.name] = self._number(field.name)

    def _number(self, name: str) -> Numbers:
        series = self.frame[name]
        if series.dtype == pl.Time:
            series = series.to_physical() / 1e9
        elif series.dtype == pl.Date and self.event:
            series = series.to_physical() - pl.Series(
                self.days
            )  # both as the local calendar has them
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
        """Texts of few values, whose new ones say something."""
        return [
            name for name in self.texts
            if self.types.get(name, CODE) in (CODE, FLAG)
            and (self.event or name not in self.contract.key)
        ]  # fmt: skip

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
    def clock(self) -> "LocalClock":
        """The event time's parts where it happened."""
        assert self.event is not None
        return LocalClock(self.frame[self.event].dt.convert_time_zone(self.contract.time_zone))

    def local_time(self, part: str) -> pl.Series:
        """The event's local `date` or `time`."""
        assert self.event is not None
        local = self.frame[self.event].dt.convert_time_zone(self.contract.time_zone)
        whole: pl.Series = getattr(local.dt, part)()
        return whole

    @cached_property
    def periods(self) -> dict[str, NDArray[np.int64]]:
        """The number of the day, week, month and year in which a row was."""
        day, year = self.days.astype(np.int64), self.clock["year"].astype(np.int64)
        month = year * 12 + self.clock["month"].astype(np.int64)
        return {"day": day, "week": (day + 3) // 7, "month": month, "year": year}

    @cached_property
    def days(self) -> NDArray[np.int32]:
        """The event's local day, counted from 1970."""
        assert self.event is not None
        local = self.frame[self.event].dt.convert_time_zone(self.contract.time_zone)
        days: NDArray[np.int32] = local.dt.date().to_physical().to_numpy()
        return days

    @cached_property
    def seconds(self) -> Numbers:
        """The seconds of the event's minute, fractions included."""
        assert self.event is not None
        micro: Numbers = (self.frame[self.event].dt.epoch("us") % 60_000_000).to_numpy() / 1e6
        return micro

    @cached_property
    def categories(self) -> dict[str, pl.Series]:
        """Fields of few values as texts: codes, flags, and counts such as the stars of a rating."""
        found = {name: self.texts[name] for name in self.codes}
        for name in self.numbers:
            series = self.frame[name]
            if series.dtype.is_integer() or series.dtype == pl.Boolean:
                different = series.n_unique()
                if 2 <= different <= FEW_VALUES and different < 0.1 * len(self):
                    found[name] = series.cast(pl.String)
        return found

    def code_numbers(self, name: str, known: Sequence[str]) -> NDArray[np.int64]:
        """By row, the place of a field's code among known ones; -1 for null, else the number."""
        codes = self.frame[name].cast(pl.String)
        places = pl.Series(range(len(known)), dtype=pl.Int64)
        places = codes.replace_strict(
            pl.Series(known, dtype=pl.String), places, default=len(known), return_dtype=pl.Int64
        )
        numbers: NDArray[np.int64] = (
            pl.select(pl.when(codes.is_null()).then(-1).otherwise(places)).to_series().to_numpy()
        )
        return numbers

    @cached_property
    def contents(self) -> list[str]:
        """Fields that neither identify a row nor say when it was."""
        return [
            name for name in self.frame.columns
            if name not in (self.event, *self.calendar)
            and not (self.types.get(name) == IDENTIFIER and self._is_unique(name))
            and not self.frame[name].dtype.is_nested()
        ]  # fmt: skip

    def _is_unique(self, name: str) -> bool:
        return name in self.contract.key or self.frame[name].n_unique() > UNIQUE * len(self)

    def filter(self, chosen: Flags) -> "Rows":
        """Some of the rows."""
        return Rows(self.contract, self.frame.filter(pl.Series(chosen)), self.types)

    def newest(self, most: int) -> "Rows":
        """The newest days, as many as have about so many rows."""
        if self.event is None or len(self) <= most:
            return self
        return self.filter(self.days >= np.sort(self.days)[-most])

    def sample(self, most: int) -> "Rows":
        """At most so many rows, drawn at random: every so-many-th would follow a period."""
        if len(self) <= most:
            return self
        chosen = np.sort(np.random.default_rng(0).choice(len(self), most, replace=False))
        return Rows(self.contract, self.frame[chosen], self.types)


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
