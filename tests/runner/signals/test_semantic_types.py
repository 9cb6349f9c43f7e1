"""Semantic types: what the values of a field stand for, told from rows or said by a contract."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ml_experiment_runner.signals.contract.contract import Field
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.semantic_types import infer, semantic_types

HOURS = 24 * 90
CHANCE = np.random.default_rng(0)
WORDS = ("the", "train", "was", "late", "again", "and", "nobody", "said", "why", "it", "rained")


def hourly(
    hours: int = HOURS, zone: str = "UTC", start: datetime = datetime(2023, 1, 1, tzinfo=UTC)
) -> pl.DataFrame:
    moments = [start + timedelta(hours=hour) for hour in range(hours)]
    return pl.DataFrame({"at": moments}, schema={"at": pl.Datetime("us", "UTC")}).with_columns(
        local=pl.col("at").dt.convert_time_zone(zone)
    )


def types_of(frame: pl.DataFrame, zone: str = "UTC", **of_fields: str) -> dict[str, str]:
    kinds = {pl.String: "string", pl.Boolean: "boolean", pl.Float64: "number", pl.Date: "date",
             pl.Time: "time"}  # fmt: skip
    fields = [
        Field(name, kinds.get(type(dtype), "integer"), key=name in of_fields.get("key", ""))
        for name, dtype in frame.schema.items()
        if name != "local"
    ]
    return infer(fields, frame, "at" if "at" in frame.columns else None, zone)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_fields_that_repeat_the_local_clock_are_calendar(zone: str) -> None:
    local = pl.col("local").dt
    frame = hourly(HOURS, zone).with_columns(
        year=local.year(),
        mnth=local.month(),
        month_name=local.strftime("%B"),
        quarter="Q" + local.quarter().cast(pl.String),
        hr=local.hour(),
        weekday=local.weekday() % 7,
        day_name=local.strftime("%a"),
        is_weekend=(local.weekday() > 5).cast(pl.Int64),
        working=local.weekday() <= 5,
        day=local.date(),
        clock=local.time(),
        peak=pl.when(local.hour().is_in([7, 8, 17, 18])).then(pl.lit("peak")).otherwise(None),
        # of which the clock says nothing, or not in every row
        level=local.date().rank("dense") % 5,
        tariff=(local.month() == 2).cast(pl.Int64) * 3 + 5,
        wrong=pl.when(pl.int_range(pl.len()) % 100 == 0).then(0).otherwise(local.hour()),
        always=pl.lit(0),
    )
    types = types_of(frame, zone)
    calendar = {name for name, meaning in types.items() if meaning == "calendar"}
    assert calendar == {
        *("year", "mnth", "month_name", "quarter", "hr", "weekday", "day_name", "is_weekend"),
        *("working", "day", "clock", "peak"),
    }


def test_season_follows_from_the_month_once_it_has_come_back() -> None:
    for years, expected in ((1, "code"), (3, "calendar")):
        frame = hourly(24 * 365 * years).with_columns(season=pl.col("at").dt.month() % 12 // 3 + 7)
        assert types_of(frame)["season"] == expected


def test_numbers_and_texts_are_told_apart_by_what_they_stand_for() -> None:
    chance, rows = random.Random(0), HOURS
    frame = hourly().with_columns(
        id=pl.int_range(1000, 1000 + rows),
        customer_id=pl.Series(chance.choices(range(10**6), k=rows)),
        uuid=pl.Series([f"{chance.getrandbits(128):032x}" for _ in range(rows)]),
        store=pl.Series(chance.choices(range(1, 46), k=rows)),
        zip=pl.Series(chance.choices(range(10115, 10200), k=rows)),
        payment_type=pl.Series(chance.choices([1, 2, 4, 99], k=rows)),
        kind=pl.Series(chance.choices(["sedan", "bus", "tram"], k=rows)),
        paid=pl.Series(chance.choices(["Y", "N"], k=rows)),
        member=pl.Series(chance.choices([0, 1], k=rows)),
        rating=pl.Series(chance.choices(range(1, 6), k=rows)),
        bedrooms=pl.Series(chance.choices(range(7), k=rows)),
        age=pl.Series(chance.choices(range(18, 90), k=rows)),
        riders=pl.Series(chance.choices(range(30_000), k=rows)),
        delay=pl.Series(chance.choices(range(-20, 90), k=rows)),
        cents=pl.Series(chance.choices(range(50_000), k=rows)),
        temp=pl.Series([chance.gauss(10, 5) for _ in range(rows)]),
        note=pl.Series([" ".join(chance.choices(WORDS, k=9)) for _ in range(rows)]),
        seen=pl.Series([datetime(2020, 1, 1 + row % 28, tzinfo=UTC).date() for row in range(rows)]),
    )
    assert types_of(frame) == {
        "id": "identifier",
        "customer_id": "identifier",
        "uuid": "identifier",
        "store": "code",
        "zip": "code",
        "payment_type": "code",
        "kind": "code",
        "paid": "flag",
        "member": "flag",
        "rating": "count",
        "bedrooms": "count",
        "age": "count",
        "riders": "count",
        "delay": "quantity",
        "cents": "quantity",
        "temp": "quantity",
        "note": "text",
        "seen": "quantity",
    }


def test_state_and_empty_rows_have_types_too() -> None:
    frame = pl.DataFrame({"name": [f"N{row}" for row in range(99)], "doors": [1, 2, 3] * 33})
    assert types_of(frame, key="name") == {"name": "identifier", "doors": "count"}
    assert types_of(frame.clear(), key="name")["doors"] == "quantity"
    assert types_of(hourly(0).with_columns(hour=pl.lit(1)))["hour"] == "quantity"
    nothing = pl.DataFrame({"a": [None, None], "b": [1.5, None]}, schema_overrides={"a": pl.String})
    assert types_of(nothing) == {"a": "code", "b": "quantity"}


def test_contract_corrects_what_the_rows_look_like(tmp_path: Path) -> None:
    path = tmp_path / "signals" / "air.yaml"
    path.parent.mkdir()
    text = (Path(__file__).parent / "air.yaml").read_text(encoding="utf-8")
    said = "{property: semanticType, value: flag}, "
    for meaning, corrected in ((None, text.replace(said, "")), ("flag", text)):
        path.write_text(corrected, encoding="utf-8")
        contract = read_contracts(tmp_path)["air"]
        assert contract.field("okta").semantic_type == meaning
        rows = hourly().select(hour="at", okta=pl.int_range(pl.len()) % 7)
        assert semantic_types(contract, rows) == {"okta": meaning or "count"}


def test_types_of_a_million_rows_are_those_of_a_few() -> None:
    rows = 1_000_000
    frame = pl.DataFrame({
        "at": pl.datetime_range(datetime(2020, 1, 1, tzinfo=UTC), interval="1m", eager=True,
                                end=datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=rows - 1)),
        **{f"n{number}": CHANCE.normal(size=rows) for number in range(7)},
        **{f"c{number}": CHANCE.integers(0, 40, rows) for number in range(7)},
    })  # fmt: skip
    types = types_of(frame)
    assert set(types.values()) == {"quantity", "count"}
    assert types == types_of(frame[:20_000])


@pytest.mark.parametrize("places", [1, 12])
def test_number_that_goes_on_from_row_to_row_of_a_place_is_cumulative(places: int) -> None:
    hours, chance = 24 * 60, np.random.default_rng(places)
    used = chance.exponential(3, (hours, places))
    frame = hourly(hours).select("at").join(
        pl.DataFrame({"place": [f"P{number}" for number in range(places)]}), how="cross"
    ).with_columns(
        counted=pl.Series((9000 + np.cumsum(used, axis=0)).ravel()),
        cases=pl.Series(np.cumsum(used > 8, axis=0).ravel()),
        used=pl.Series(used.ravel()),
        warmer=pl.Series((np.arange(hours)[:, None] / 100 + used).ravel()),
        since=pl.Series(np.full(hours * places, 3.5)),
    )  # fmt: skip
    types = types_of(frame, key="place" if places > 1 else "")
    assert [name for name, meaning in types.items() if meaning == "cumulative"] == [
        *("counted", "cases")
    ]


def test_meter_that_is_replaced_now_and_then_is_still_cumulative() -> None:
    used = np.random.default_rng(3).exponential(3, HOURS)
    counted = np.cumsum(used)
    counted[HOURS // 2 :] -= counted[HOURS // 2] - 1
    assert types_of(hourly().with_columns(counted=pl.Series(counted)))["counted"] == "cumulative"


def test_codes_that_are_ever_others_identify_and_rewritten_ones_do_not() -> None:
    rows = np.arange(HOURS)
    frame = hourly().with_columns(
        storm=pl.Series([f"Storm {row // 90}" for row in rows]),
        status=pl.Series([f"{'S' if row < HOURS // 2 else 'Step '}{row % 12}" for row in rows]),
        station=pl.Series([f"ST{row % 40}" for row in rows]),
    )
    types = types_of(frame)
    assert [types[name] for name in ("storm", "status", "station")] == [
        "identifier",
        "code",
        "code",
    ]


def test_period_of_a_season_or_of_late_bookings_is_calendar() -> None:
    at = pl.col("at").dt
    frame = hourly(24 * 150, start=datetime(2023, 8, 1, tzinfo=UTC)).with_columns(
        season=at.offset_by("-7mo").dt.year(),
        period=pl.when(at.day() <= 2).then(at.offset_by("-3d").dt.month()).otherwise(at.month()),
        rooms=pl.int_range(pl.len()) % 5 + 1,
    )
    assert types_of(frame) == {"season": "calendar", "period": "calendar", "rooms": "count"}
