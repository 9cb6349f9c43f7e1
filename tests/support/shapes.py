"""The shapes of tables that others have: a line for each, and what is delivered of it.

A column is a function of the rows' times and a source of randomness. To try another shape, add a
line to SHAPES: the tests and the page in the docs follow.
"""

import calendar
import random
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

Times = Sequence[datetime]
Column = Callable[[Times, random.Random], Sequence[Any] | pl.Series]

YEAR, MONTHS = 2024, (1, 2, 3, 4)
LATE, CORRECTED = 3, 2
"""The months whose rows come late, and are corrected."""


@dataclass(frozen=True)
class Shape:
    """A table that somebody has.

    Attributes:
        name: The signal's name.
        about: What is special about it, for people.
        columns: Its columns by name.
        key: The fields that tell its rows apart.
        event: The field that says when a row happened; None for a state.
        form: Format of its file.
        rows: How many a month; None for one a day.
        months: Those that have rows.
        zone: The contract's time zone.
    """

    name: str
    about: str
    columns: dict[str, Column]
    key: tuple[str, ...]
    event: str | None
    form: str = "csv"
    rows: int | None = 150
    months: tuple[int, ...] = MONTHS
    zone: str = "UTC"

    @property
    def can_be_joined(self) -> bool:
        """Whether it has a key that another table can name."""
        return set(self.key) <= set(self.columns)

    @property
    def joined_by(self) -> tuple[str, ...]:
        """The key's fields that another table can name."""
        return tuple(name for name in self.key if name != self.event and name in self.columns)

    def frame(self) -> pl.DataFrame:
        """All its rows, with `~month`, in order of time."""
        chance = random.Random(self.name)
        times = [time for month in self.months for time in _times(month, self.rows)]
        columns = {name: column(times, chance) for name, column in self.columns.items()}
        return pl.DataFrame({**columns, "~month": [time.month for time in times]}, strict=False)

    def deliveries(self) -> list[pl.DataFrame]:
        """Three that are good: three months, the fourth and late rows, corrections and removals."""
        rows = self.frame().with_row_index("~row")
        is_late = (pl.col("~month") == LATE) & (pl.col("~row") % 40 == 7)
        first = rows.filter((pl.col("~month") < self.months[-1]) & ~is_late)
        gone = rows.filter(pl.col("~month") == CORRECTED)["~row"].tail(1)
        last = rows.filter(~pl.col("~row").is_in(gone.implode())).with_columns(
            amount=pl.col("amount")
            + (pl.col("~row") == rows.filter(pl.col("~month") == CORRECTED)["~row"][0]) * 0.5
        )
        return [each.drop("~row", "~month") for each in (first, rows, last)]

    def violation(self) -> pl.DataFrame:
        """A delivery in which most rows of before have gone."""
        rows = self.frame().with_row_index("~row")
        return rows.filter((pl.col("~row") % 5 < 1) | (pl.col("~month") == self.months[-1])).drop(
            "~row", "~month"
        )

    def notes(self) -> pl.DataFrame:
        """Another team's table: two notes on each row, found by the key, taken before and after.

        Of a state, which has no time, one note on each row.
        """
        rows, times = self.frame(), [time for month in self.months
                                     for time in _times(month, self.rows)]  # fmt: skip
        away = (timedelta(days=-3), timedelta(days=3)) if self.event else (timedelta(0),)
        chance = random.Random(1)
        found = [
            rows.select(self.joined_by or "amount").with_columns(
                pl.Series("asked", [time + each for time in times], pl.Datetime("us", "UTC")),
                pl.Series("note", [round(chance.gauss(0, 1), 3) for _ in times]),
                pl.Series("helped", [chance.random() < 0.5 for _ in times]),
            )
            for each in away
        ]
        key = [*self.joined_by, *(["asked"] if self.event else [])]
        return pl.concat(found).select(*key, "note", "helped").unique(key, maintain_order=True)


def write(frame: pl.DataFrame, path: Path, form: str) -> None:
    """Puts a table where its producer puts it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if form == "parquet":
        frame.write_parquet(path)
    elif form == "jsonl":
        frame.write_ndjson(path)
    else:
        frame.write_csv(path, datetime_format="%Y-%m-%dT%H:%M:%S%.fZ")


def _times(month: int, rows: int | None) -> list[datetime]:
    """A month's rows, evenly spread."""
    first, days = datetime(YEAR, month, 1, tzinfo=UTC), calendar.monthrange(YEAR, month)[1]
    if rows is None:
        return [first + timedelta(days=day) for day in range(days)]
    step = timedelta(days=days) / rows
    return [(first + number * step).replace(microsecond=0) for number in range(rows)]


def moments(times: Times, _: random.Random) -> pl.Series:
    return pl.Series(times, dtype=pl.Datetime("us", "UTC"))


def naive(times: Times, _: random.Random) -> list[str]:
    return [f"{time:%Y-%m-%d %H:%M:%S}" for time in times]


def local(zone: str) -> Column:
    return lambda times, _: [time.replace(tzinfo=ZoneInfo(zone)).isoformat() for time in times]


def wall_clock(zone: str) -> Column:
    """Times without an offset; the hour that comes twice comes twice."""
    return lambda times, _: [
        f"{time.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}" for time in times
    ]


def days(times: Times, _: random.Random) -> list[date]:
    return [time.date() for time in times]


def ids(times: Times, _: random.Random) -> list[int]:
    return [100_000 + number for number in range(len(times))]


def uuids(times: Times, chance: random.Random) -> list[str]:
    return [str(uuid.UUID(int=chance.getrandbits(128), version=4)) for _ in times]


def texts(times: Times, _: random.Random) -> list[str]:
    return [f"K{number:06}" for number in range(len(times))]


def codes(*values: Any) -> Column:
    return lambda times, chance: [chance.choice(values) for _ in times]


def in_turn(*values: Any) -> Column:
    return lambda times, _: [values[number % len(values)] for number in range(len(times))]


def numbers(times: Times, chance: random.Random) -> list[float]:
    return [round(chance.gauss(50, 10), 2) for _ in times]


def whole(least: int, most: int) -> Column:
    return lambda times, chance: [chance.randint(least, most) for _ in times]


def decimals(precision: int, scale: int) -> Column:
    def column(times: Times, chance: random.Random) -> pl.Series:
        values = [Decimal(chance.randint(1, 10**9)).scaleb(-scale) for _ in times]
        return pl.Series(values, dtype=pl.Decimal(precision, scale))

    return column


def accounts(times: Times, _: random.Random) -> pl.Series:
    """Whole numbers that a float cannot tell apart."""
    return pl.Series(
        [Decimal(2**53 + number) for number in range(len(times))], dtype=pl.Decimal(38, 0)
    )


def hashes(times: Times, _: random.Random) -> list[int]:
    """Whole numbers beyond 64 bits with a sign."""
    return [2**63 + number for number in range(len(times))]


def twice(column: Column) -> Column:
    """Each value in two rows."""
    return lambda times, chance: [value for value in column(times[::2], chance) for _ in range(2)][
        : len(times)
    ]


def counter(times: Times, _: random.Random) -> list[int]:
    """Numbers that begin anew every day."""
    days_of = [time.date() for time in times]
    return [number - days_of.index(day) for number, day in enumerate(days_of)]


def nothing(times: Times, _: random.Random) -> list[None]:
    return [None for _ in times]


def sometimes(column: Column, share: float = 0.2) -> Column:
    def some(times: Times, chance: random.Random) -> list[Any]:
        return [None if chance.random() < share else value for value in column(times, chance)]

    return some


def long_texts(times: Times, chance: random.Random) -> list[str]:
    return ["".join(chance.choices("abc \n\"',;é", k=chance.randint(2_000, 6_000))) for _ in times]


def lists(times: Times, chance: random.Random) -> list[list[int]]:
    return [[chance.randint(1, 9) for _ in range(chance.randint(0, 3))] for _ in times]


def structs(times: Times, chance: random.Random) -> list[dict[str, Any]]:
    return [
        {"lat": round(chance.random(), 3), "tags": ["a", "b"][: chance.randint(0, 2)]}
        for _ in times
    ]


BASE: dict[str, Column] = {
    "amount": numbers,
    "kind": codes("A", "B", "C"),
    "good": in_turn(True, False, False, True, False, True, True),
}
"""What every shape has beside what is special about it; `good` is what is predicted."""


def shape(
    name: str, about: str, key: str = "id", event: str | None = "at", *,
    form: str = "csv", rows: int | None = 150, months: tuple[int, ...] = MONTHS,
    zone: str = "UTC", columns: dict[str, Column] | None = None, **more: Column,
) -> Shape:  # fmt: skip
    """A shape with the columns of BASE; those that are named come first, and may be among them."""
    named = {**more, **(columns or {})}
    return Shape(
        name, about, named | {name: column for name, column in BASE.items() if name not in named},
        tuple(key.split("+")), event, form, rows, months, zone,
    )  # fmt: skip


SHAPES = (
    # the event time
    shape("time_in_key", "event time in the key", "at+place", rows=300,
          at=lambda times, _: pl.Series([times[n - n % 2] for n in range(len(times))]),
          place=in_turn("N", "S")),
    shape("time_beside_key", "event time beside the key, as orders have it", id=ids, at=moments),
    shape("time_alone", "event time is the key", "at", at=moments),
    shape("day", "the event is a day", "id", "day", id=ids, day=days),
    shape("naive", "times without an offset", id=ids, at=naive),
    shape("state", "no event time", event=None, id=ids),
    shape("offsets", "times with offsets of a zone with summer time", zone="America/New_York",
          id=ids, at=local("America/New_York")),
    shape("summer_time", "times of the wall clock where summer time is", zone="America/New_York",
          months=(1, 2, 3, 11), id=ids, at=wall_clock("America/New_York")),
    shape("row_a_day", "one row a day", "day", "day", rows=None, day=days),
    shape("few_rows", "a few rows in all", rows=7, id=ids, at=moments),
    shape("gaps", "months without rows", months=(1, 2, 3, 9), id=ids, at=moments),
    # the key
    shape("two_fields", "a key of two texts", "shop+till", None,
          shop=lambda times, _: [f"S{n // 10:03}" for n in range(len(times))],
          till=lambda times, _: [f"T{n % 10}" for n in range(len(times))]),
    shape("text_key", "a key of texts", id=texts, at=moments),
    shape("uuid_key", "a key of UUIDs", id=uuids, at=moments),
    shape("date_key", "a key of a date and a number", "day+desk", "day", day=days,
          desk=counter),
    shape("five_fields", "a key of five fields", "at+a+b+c+d", rows=360,
          at=lambda times, _: [times[n - n % 24] for n in range(len(times))],
          a=lambda times, _: [n % 2 for n in range(len(times))],
          b=lambda times, _: ["xy"[n // 2 % 2] for n in range(len(times))],
          c=lambda times, _: [n // 4 % 2 for n in range(len(times))],
          d=lambda times, _: ["klm"[n // 8 % 3] for n in range(len(times))]),
    shape("twins", "rows that are the same in all", "row_key", "day", rows=300,
          day=lambda times, _: [times[n - n % 2].date() for n in range(len(times))],
          amount=twice(numbers), kind=twice(codes("A", "B", "C"))),
    # the columns
    shape("wide", "300 columns", id=ids, at=moments,
          columns={f"c{n}": (numbers, codes("u", "v"), whole(0, 9))[n % 3] for n in range(300)}),
    shape("names", "names with spaces, dots, quotes and letters of other scripts", "order.id",
          "ordered at", columns={"order.id": ids, "ordered at": moments, "unit.price": numbers,
                                 "it's": codes("a", "b"), 'in "EUR"': numbers, "größe m²": numbers,
                                 "数量": whole(1, 9), "a,b": whole(1, 9)}),
    shape("our_names", "fields that are called as the runner calls its own", "row", "moment",
          row=ids, moment=moments, part=numbers, label=codes("a", "b"), split=numbers,
          fold=whole(0, 4), index=whole(0, 9), day=whole(0, 9), place=codes("c", "d"), sum=numbers,
          columns={"|day": numbers, "|rows": numbers, "len": whole(1, 5), "count": whole(1, 5)}),
    shape("constant", "constant and empty columns", id=ids, at=moments, unit=codes("kg"),
          one=codes(1), none=nothing, also_none=nothing),
    shape("gappy", "values that are often missing", id=ids, at=moments, maybe=sometimes(numbers),
          code=sometimes(codes("x", "y")), count=sometimes(whole(0, 9))),
    shape("decimals", "decimals", form="parquet", id=ids, at=moments, price=decimals(12, 2),
          account=accounts),
    shape("wide_numbers", "whole numbers beyond 64 bits", id=ids, at=moments, hash=hashes),
    shape("booleans", "truth as 0 and 1, and as Y and N", id=ids, at=moments, paid=codes(0, 1),
          sent=codes("Y", "N")),
    shape("long_texts", "very long texts", id=ids, at=moments, body=long_texts),
    shape("many_values", "texts of which nearly each is another", id=ids, at=moments, mail=uuids,
          visitor=whole(1, 10**12)),
    shape("nested", "lists and nested fields", form="parquet", id=ids, at=moments, items=lists,
          place=structs),
    shape("nested_lines", "lists and nested fields in JSON lines", form="jsonl", id=ids, at=naive,
          items=lists, place=structs),
    shape("ids_and_versions", "other tables' ids, and versions of an app", id=ids, at=moments,
          customer_id=whole(1, 900), app_version=codes("1.0.0", "1.1.0", "2.0.1")),
)  # fmt: skip
