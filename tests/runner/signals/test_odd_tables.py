"""Tables that nobody expects: none of them makes the check fail, and a clean month is not held."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from ml_experiment_runner.holds.holds import Violation
from ml_experiment_runner.signals.drift import detection
from support.any_tables import MOMENT, START, Table, first_days, table

Values = Callable[[np.random.Generator, int], Any]
ROWS, MONTHS = 60, 15


def spread(begin: datetime, share: float) -> datetime:
    """Over all days of a month."""
    return begin + timedelta(days=27.9 * share)


def odd(
    columns: Mapping[str, Values] | None = None,
    *,
    rows: int = ROWS,
    months: tuple[int, ...] = tuple(range(MONTHS)),
    moment: Callable[[datetime, float], datetime] = spread,
    key: tuple[str, ...] = ("id",),
    nested: tuple[str, ...] = (),
    first: int = 0,
) -> Table:
    """A number, a code, and columns that are odd.

    Args:
        columns: What they hold.
        rows: How many a month.
        months: Those that have rows, counted from 0.
        moment: When a row was, from its month's begin and its place in the month, 0 to 1.
        key: The key.
        nested: Columns whose texts are objects.
        first: The first id.
    """
    chance = np.random.default_rng(0)
    begins = [datetime(each.year, each.month, 1, tzinfo=UTC) for each in first_days(1 + months[-1])]
    at = [moment(begins[month], row / rows) for month in months for row in range(rows)]
    size = len(at)
    frame = pl.DataFrame({
        "id": first + np.arange(size), "at": pl.Series(at, dtype=MOMENT),
        "amount": chance.normal(10, 2, size).round(2),
        "kind": chance.choice(["a", "b", "c"], size).tolist(),
        **{name: values(chance, size) for name, values in (columns or {}).items()},
    })  # fmt: skip
    made = table(frame, *key)
    fields = tuple(
        replace(field, type="object") if field.name in nested else field
        for field in made.contract.fields
    )
    return replace(made, contract=replace(made.contract, fields=fields))


def held(
    table: Table, past: Mapping[str, pl.DataFrame], came: Mapping[str, pl.DataFrame]
) -> list[Violation]:
    frames = {name: rows.lazy() for name, rows in past.items()}
    return detection.changes(table.contract, frames, came, {})


def of(*values: Any, dtype: Any = None) -> Values:
    """Some of these values."""
    return lambda chance, size: pl.Series(
        [values[at] for at in chance.integers(0, len(values), size)], dtype=dtype
    )


def wide(chance: np.random.Generator, size: int) -> Any:
    return chance.normal(0, 1, size)


def whole(low: int, high: int) -> Values:
    return lambda chance, size: chance.integers(low, high, size)


def in_order(_: np.random.Generator, size: int) -> Any:
    """Whole numbers that a float cannot tell apart."""
    return 2**53 + np.arange(size)


def addresses(chance: np.random.Generator, size: int) -> list[str]:
    return [f"{number:x}@x" for number in chance.integers(0, 2**60, size)]


def days(chance: np.random.Generator, size: int) -> list[date]:
    return [date(2023, 1, 1) + timedelta(days=int(day)) for day in chance.integers(0, 900, size)]


NOTHING: Mapping[str, Any] = {
    "text": pl.String, "number": pl.Float64, "whole": pl.Int64, "truth": pl.Boolean,
    "day": pl.Date, "time": pl.Time, "moment": MOMENT,
}  # fmt: skip
ODD: Mapping[str, Callable[[], Table]] = {
    "plain": odd,
    "40 rows a month": lambda: odd(rows=40),
    "31 rows a month": lambda: odd(rows=31),
    "3 rows a month": lambda: odd(rows=3),
    "all null": lambda: odd({name: of(None, dtype=dtype) for name, dtype in NOTHING.items()}),
    "constant": lambda: odd({"text": of("kg"), "number": of(1.5), "whole": of(7), "no": of(False)}),
    "empty texts": lambda: odd({"text": of(""), "blank": of("", " ", "\n")}),
    "one event time": lambda: odd(moment=lambda *_: START),
    "one event time a month": lambda: odd(moment=lambda begin, _: begin),
    "one day a month": lambda: odd(moment=lambda begin, at: begin + timedelta(hours=20 * at)),
    "in one minute": lambda: odd(moment=lambda begin, at: begin + timedelta(seconds=50 * at)),
    "times come twice": lambda: odd(moment=lambda begin, at: begin + timedelta(days=int(28 * at))),
    "before 1970": lambda: odd(
        moment=lambda begin, at: spread(begin.replace(year=begin.year - 80), at)
    ),
    "the first 27 days": lambda: odd(moment=lambda begin, at: begin + timedelta(days=27 * at)),
    "unicode": lambda: odd({
        "größe m²": wide, "数量": of("甲", "乙", "é", "é", "\U0001f600"), 'in "EUR"': wide,
        "a,b": of("Ω", "a\0b", "x" * 3000),
    }),
    "names of its own": lambda: odd({
        "|rows": wide, "|day": of("x", "y"), "len": wide, "number": of("u", "v"), "text": wide,
        "count": whole(0, 9), "usual": of("p", "q"), "part": whole(0, 40),
    }),
    "nested": lambda: odd({"it": of('{"a": 1}', '{"a": [1, 2]}', "{}")}, nested=("it",)),
    "300 columns": lambda: odd(
        {f"c{number}": (wide, of("u", "v"), of(1, 2, 3))[number % 3] for number in range(300)},
        rows=40, months=tuple(range(8)),
    ),
    "huge integers": lambda: odd({"hash": whole(-2**63, 2**63 - 1), "account": in_order}),
    "huge numbers": lambda: odd({"number": of(1e308, -1e308, 5e-324, 0.0, -0.0, 1e16)}),
    "inf and NaN": lambda: odd({"number": of(1.0, 2.0, float("inf"), float("-inf"), float("nan"))}),
    "decimals": lambda: odd({"price": lambda chance, size: chance.integers(1, 10**9, size) / 1e4}),
    "many values": lambda: odd({"mail": addresses}),
    "one value rarely": lambda: odd({"flag": lambda chance, size: chance.random(size) < 0.01}),
    "gappy": lambda: odd({"number": of(None, None, None, 1.0, 2.0, 3.5), "code": of(None, "x")}),
    "months without rows": lambda: odd(months=(0, 1, 2, 3, 5, 6, 7, 8, 10, 11, 12, 15)),
    "key of three": lambda: odd({"shop": of("N", "S")}, key=("id", "at", "shop")),
    "ids of one more digit": lambda: odd(first=10_000 - (MONTHS - 1) * ROWS),
    "day's number in the key": lambda: odd(
        {"day": lambda _, size: np.arange(size) % 56 // 2 + 1}, rows=56, key=("id", "day"),
        moment=lambda begin, at: begin + timedelta(days=int(28 * at + 1e-6)),
    ),
    "numbered batches": lambda: odd({"batch": lambda _, size: np.arange(size) // 25}),
    "running total": lambda: odd({
        "total": lambda chance, size: chance.exponential(3, size).cumsum().round(2)
    }),
    "any dates": lambda: odd({"day": days}),
    "date of no end": lambda: odd({"until": of(date(9999, 12, 31)), "since": of(date(1, 1, 1))}),
    "date of a place": lambda: odd({
        "opened": of(date(2011, 3, 1), date(2015, 5, 1), date(2022, 1, 1))
    }),
}  # fmt: skip


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("name", ODD)
def test_odd_table_is_compared_and_a_clean_month_not_held(name: str) -> None:
    table = ODD[name]()
    assert held(table, table.past, {table.last: table.next}) == []


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("name", [name for name in ODD if name != "300 columns"])
def test_odd_rows_are_compared_with_a_plain_past(name: str) -> None:
    """Whatever comes after a past without it."""
    table = ODD[name]()
    rows = table.next
    others = [name for name in rows.columns if name not in (*table.contract.key, "at")]
    empty = [pl.lit(None, dtype=rows[name].dtype).alias(name) for name in others]
    plain = {month: before.with_columns(empty) for month, before in table.past.items()}
    for violation in held(table, plain, {table.last: rows}):
        assert violation.message
    for violation in held(table, table.past, {table.last: rows.with_columns(empty)}):
        assert violation.message
    assert held(table, table.past, {table.last: rows.clear()}) == []
    assert held(table, {}, {table.last: rows}) == []


@pytest.mark.parametrize("known", [1, 2, 5, 14])
def test_months_of_one_day_each_are_compared(known: int) -> None:
    table = odd(moment=lambda begin, share: begin + timedelta(hours=23 * share))
    names = sorted(table.months)
    past = {name: table.months[name] for name in names[:known]}
    assert held(table, past, {names[known]: table.months[names[known]]}) == []


@pytest.fixture(scope="module")
def daily() -> Table:
    """Fifty rows a day."""
    chance = np.random.default_rng(1)
    size = 50 * 430
    at = [START + timedelta(days=row // 50, seconds=int(second))
          for row, second in enumerate(chance.integers(0, 86_400, size))]  # fmt: skip
    frame = pl.DataFrame({
        "id": np.arange(size), "at": pl.Series(at, dtype=MOMENT),
        "amount": chance.normal(10, 2, size).round(1),
        "kind": chance.choice(["a", "b", "c"], size, p=[0.7, 0.2, 0.1]).tolist(),
    })  # fmt: skip
    return table(frame, "id")


Frames = dict[str, pl.DataFrame]


def after(table: Table, moment: datetime, length: int) -> tuple[Frames, Frames]:
    """The past at a moment, and the months that the next days change."""
    at, until = pl.col("at"), moment + timedelta(days=length)
    past = {name: rows.filter(at < moment) for name, rows in table.months.items()}
    came = {name: rows.filter(at < until) for name, rows in table.months.items()}
    came = {name: rows for name, rows in came.items() if rows.height > past[name].height}
    return {name: rows for name, rows in past.items() if rows.height}, came


@pytest.mark.parametrize("length", [1, 3, 7, 10, 31, 60])
def test_deliveries_of_any_length_after_a_year(daily: Table, length: int) -> None:
    moment = datetime(2024, 1, 3, tzinfo=UTC)
    past, came = after(daily, moment, length)
    assert held(daily, past, came) == []
    minus = pl.when(pl.col("at") >= moment).then(-pl.col("amount")).otherwise("amount")
    wrong = {name: rows.with_columns(amount=minus) for name, rows in came.items()}
    assert [each.field for each in held(daily, past, wrong)][:1] == ["amount"]


def test_daily_deliveries_of_a_week_after_a_year(daily: Table) -> None:
    for day in range(10, 17):
        assert held(daily, *after(daily, datetime(2024, 1, day, tzinfo=UTC), 1)) == []


def test_three_months_at_once(daily: Table) -> None:
    names = sorted(daily.months)[:14]
    past = {name: daily.months[name] for name in names[:11]}
    came = {name: daily.months[name] for name in names[11:]}
    assert held(daily, past, came) == []
    came[names[12]] = came[names[12]].with_columns(kind=pl.lit("a"))
    assert {(each.field, each.partition) for each in held(daily, past, came)} == {
        ("kind", names[12])
    }


@pytest.mark.parametrize("year", [1900, 2099, 9999])
def test_one_event_time_far_away_does_not_blind(daily: Table, year: int) -> None:
    months = {name: rows for name, rows in daily.months.items() if name <= "2024-02"}
    last = months.pop("2024-02")
    far = daily.frame.head(1).with_columns(
        id=pl.lit(-1, dtype=pl.Int64), at=pl.lit(datetime(year, 12, 31, tzinfo=UTC)).cast(MOMENT)
    )
    past = {**months, f"{year}-12": far}
    assert held(daily, past, {"2024-02": last}) == []
    wrong = last.with_columns(kind=pl.col("kind").replace({"b": "a"}))
    assert [each.field for each in held(daily, past, {"2024-02": wrong})][:1] == ["kind"]
