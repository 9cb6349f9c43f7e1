"""Silent changes in the real weather of New York: a season is none, an upstream's fault is one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from ml_experiment_runner.signals.contract.contract import Contract, Field
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.drift import detection
from ml_experiment_runner.signals.snapshots import snapshot
from ml_experiment_runner.signals.sources import fetch

TEMPLATE = Path(__file__).resolve().parents[3] / "{{cookiecutter.project_slug}}"
CELSIUS = ((pl.col("temp") - 32) / 1.8).round(1)
LAST_TEN_DAYS = pl.col("day") > 20


@pytest.fixture(scope="module")
def weather() -> Contract:
    return read_contracts(TEMPLATE)["weather"]


@pytest.fixture(scope="module")
def months(weather: Contract) -> dict[str, pl.DataFrame]:
    return snapshot.by_partition(weather, fetch.fetch_rows(weather))


@pytest.fixture(autouse=True)
def learned_once(monkeypatch: pytest.MonkeyPatch, known: dict) -> None:
    """The same past is learned once for all tests."""
    learn = detection.learn

    def remembered(contract, frame, days):
        key = (contract.fields, frame.hash_rows().sum(), days)
        if key not in known:
            known[key] = learn(contract, frame, days)
        return known[key]

    monkeypatch.setattr(detection, "learn", remembered)


@pytest.fixture(scope="module")
def known() -> dict:
    return {}


@pytest.fixture
def received(
    weather: Contract, months: dict[str, pl.DataFrame]
) -> Callable[..., list[tuple[str, str | None]]]:
    """Kind and field of the violations in a month that comes after those before it."""

    def receive(rows: pl.DataFrame, month: str = "2013-06", **more):
        past = {name: part.lazy() for name, part in months.items() if name < month}
        contract = more.pop("contract", weather)
        found = detection.changes(contract, past, {month: rows}, more.pop("accepted", {}))
        return [(each.kind, each.field) for each in found]

    return receive


@pytest.mark.parametrize("month", ["2013-03", "2013-06", "2013-07", "2013-10"])
def test_weather_turns_and_nothing_is_said(received, months, month: str) -> None:
    assert received(months[month], month) == []


def week(months: dict[str, pl.DataFrame], month: int, first: int) -> tuple[dict, dict]:
    """The past of a week within a month, and the month as it is after it."""
    name = f"2013-{month:02}"
    past = {each: part.lazy() for each, part in months.items() if each < name}
    if first > 1:
        past[name] = months[name].filter(pl.col("day") < first).lazy()
    return past, {name: months[name].filter(pl.col("day") < first + 7)}


@pytest.mark.parametrize(("month", "first"), [(1, 15), (1, 22), (2, 5)])
def test_first_winter_is_not_held_for_its_weather(weather, months, month: int, first: int) -> None:
    assert detection.changes(weather, *week(months, month, first), {}) == []


def test_fault_in_a_week_is_found_after_a_month(weather, months) -> None:
    past, delivery = week(months, 2, 5)
    new = pl.when(pl.col("day") >= 5).then(CELSIUS).otherwise(pl.col("temp"))
    faulty = {name: rows.with_columns(temp=new) for name, rows in delivery.items()}
    assert detection.changes(weather, past, faulty, {})[0].field == "temp"


def test_half_a_missing_week_is_found_in_the_first_weeks(weather, months) -> None:
    past, delivery = week(months, 2, 5)
    thinned = {
        name: rows.filter((pl.col("day") < 5) | (pl.col("hour") % 2 == 0))
        for name, rows in delivery.items()
    }
    assert ("volume", None) in [
        (violation.kind, violation.field)
        for violation in detection.changes(weather, past, thinned, {})
    ]


def test_real_faults_are_found(received, months) -> None:
    assert received(months["2013-02"], "2013-02") == [("extreme", "wind_speed")]
    assert received(months["2013-11"], "2013-11") == [("twice", "time_hour")]


@pytest.mark.parametrize(
    ("field", "fault"),
    [
        ("temp", CELSIUS),
        ("temp", pl.when(LAST_TEN_DAYS).then(CELSIUS).otherwise(pl.col("temp"))),
        ("humid", (pl.col("humid") * 1.05).round(2)),
        ("wind_speed", (pl.col("wind_speed") * 0.8689762).round(0)),
        ("dewp", pl.col("dewp").shuffle(seed=1)),
        ("temp", pl.when(pl.int_range(pl.len()) % 25 > 0).then(pl.col("temp"))),
        ("visib", pl.when(pl.int_range(pl.len()) % 5 > 0).then(pl.col("visib")).otherwise(-1.0)),
        ("temp", pl.when(LAST_TEN_DAYS).then(71.6).otherwise(pl.col("temp"))),
        ("pressure", (pl.col("pressure") / 10).round() * 10),
        ("time_hour", pl.col("time_hour") + timedelta(hours=1)),
        (
            "origin",
            pl.when(pl.int_range(pl.len()) % 20 > 0).then("origin").otherwise(pl.lit("NYC")),
        ),
    ],
    ids=[
        *("celsius", "celsius_from_a_day_on", "five_percent", "knots", "other_rows", "nulls"),
        *("minus_one", "frozen", "tens", "one_hour_off", "new_code"),
    ],
)
def test_fault_is_found_and_its_field_named(received, months, field: str, fault: pl.Expr) -> None:
    found = received(months["2013-06"].with_columns(fault.alias(field)))
    assert found
    assert found[0][1] == field


def test_half_the_rows_and_days_without_any_are_found(received, months) -> None:
    june = months["2013-06"]
    assert ("volume", None) in received(june.gather_every(2))
    assert ("volume", None) in received(june.filter(~pl.col("day").is_between(10, 12)))


def test_repeated_day_is_found(received, months) -> None:
    june = months["2013-06"]
    same = ["origin", "year", "month", "day", "hour", "time_hour"]
    second = june.filter(pl.col("day") == 2).select(same)
    first = june.filter(pl.col("day") == 1).drop("year", "month", "day", "time_hour")
    again = second.join(first, on=["origin", "hour"]).select(june.columns)
    rows = pl.concat([june.filter(pl.col("day") != 2), again]).sort("time_hour", "origin")
    assert ("repeated day", None) in received(rows)


def test_first_delivery_has_no_past(weather, months) -> None:
    assert detection.changes(weather, {}, {"2013-01": months["2013-01"]}, {}) == []


def test_few_rows_tell_nothing(received, months) -> None:
    assert received(months["2013-06"].head(20).with_columns(temp=CELSIUS)) == []


def test_codes_that_come_more_or_less_often_are_found(weather, months) -> None:
    place = pl.int_range(pl.len())
    with_mode = {
        name: part.with_columns(
            mode=pl.when(place % 5 == 0).then(pl.lit("a")).otherwise(pl.lit("b"))
        )
        for name, part in months.items()
    }
    contract = replace(weather, fields=(*weather.fields, Field("mode", "string")))
    past = {name: part.lazy() for name, part in with_mode.items() if name < "2013-06"}
    june = with_mode["2013-06"]
    assert detection.changes(contract, past, {"2013-06": june}, {}) == []
    swapped = june.with_columns(pl.col("mode").replace({"a": "b", "b": "a"}))
    found = detection.changes(contract, past, {"2013-06": swapped}, {})
    assert [(each.kind, each.field) for each in found] == [("shares", "mode")]
    assert "expected" in found[0].message


def test_several_months_are_each_compared_with_those_before(weather, months) -> None:
    past = {name: part.lazy() for name, part in months.items() if name < "2013-06"}
    july = months["2013-07"].with_columns(dewp=((pl.col("dewp") - 32) / 1.8).round(1))
    found = detection.changes(weather, past, {"2013-06": months["2013-06"], "2013-07": july}, {})
    assert {(each.field, each.partition) for each in found} == {("dewp", "2013-07")}


def test_months_after_a_held_one_are_not_held_for_their_season(weather, months) -> None:
    """February's wind is held; March to May come with it and know February's weather."""
    past = {"2013-01": months["2013-01"].lazy()}
    delivery = {name: months[name] for name in ("2013-02", "2013-03", "2013-04", "2013-05")}
    found = detection.changes(weather, past, delivery, {})
    assert [(each.field, each.partition) for each in found] == [("wind_speed", "2013-02")]


def test_only_rows_that_come_later_are_compared(months, weather):
    june = months["2013-06"]
    past = {name: part.lazy() for name, part in months.items() if name < "2013-06"}
    past["2013-06"] = june.filter(~LAST_TEN_DAYS).lazy()
    assert detection.changes(weather, past, {"2013-06": june}, {}) == []
    wrong = june.with_columns(temp=pl.when(LAST_TEN_DAYS).then(CELSIUS).otherwise(pl.col("temp")))
    found = detection.changes(weather, past, {"2013-06": wrong}, {})
    assert [each.field for each in found][:1] == ["temp"]


def test_month_that_was_there_and_comes_otherwise_is_found(weather, months) -> None:
    past = {name: months[name].lazy() for name in ("2013-01", "2013-03")}
    other = months["2013-03"].with_columns(pressure=pl.col("pressure") + 1)
    found = detection.changes(weather, past, {"2013-03": other}, {})
    assert [(each.kind, each.field) for each in found] == [("changed rows", "pressure")]
    assert "have another value" in found[0].message


def test_accepted_change_is_the_new_past(weather, months) -> None:
    """Celsius since June was accepted: July in Celsius is fine, July in Fahrenheit is not."""
    past = {name: part.lazy() for name, part in months.items() if name < "2013-06"}
    past["2013-06"] = months["2013-06"].with_columns(temp=CELSIUS).lazy()
    july = months["2013-07"]
    accepted = {"temp": "2013-06"}
    celsius = {"2013-07": july.with_columns(temp=CELSIUS)}
    assert detection.changes(weather, past, celsius, accepted) == []
    found = detection.changes(weather, past, {"2013-07": july}, accepted)
    assert [each.field for each in found] == ["temp"]


def test_field_is_named_alone_though_another_was_accepted(received, months) -> None:
    """What was accepted of the wind does not part the temperature from what it is told by."""
    rows = months["2013-06"].with_columns(temp=CELSIUS)
    accepted = {"wind_speed": "2013-02"}
    assert [field for _, field in received(rows, accepted=accepted)] == ["temp"]
    assert received(months["2013-06"], accepted=accepted) == []


def test_classified_values_are_not_shown(weather, months) -> None:
    fields = tuple(
        replace(field, classification="restricted") if field.name == "visib" else field
        for field in weather.fields
    )
    past = {name: part.lazy() for name, part in months.items() if name < "2013-06"}
    wrong = months["2013-06"].with_columns(visib=pl.lit(123.456))
    found = detection.changes(replace(weather, fields=fields), past, {"2013-06": wrong}, {})
    assert found[0].field == "visib"
    assert "123" not in " ".join(each.message for each in found)


def test_state_is_compared_row_by_row() -> None:
    planes = read_contracts(TEMPLATE)["planes"]
    rows = fetch.fetch_rows(planes)
    before = rows.sample(3000, seed=1)
    assert detection.changes(planes, {"all": before.lazy()}, {"all": rows}, {}) == []
    more = rows.with_columns(seats=(pl.col("seats") * 1.05).round(0).cast(pl.Int64))
    found = detection.changes(planes, {"all": before.lazy()}, {"all": more}, {})
    assert found[0].field == "seats"
    found = detection.changes(planes, {"all": rows.lazy()}, {"all": before.head(2000)}, {})
    assert found[0].field is None
    assert "are missing" in found[0].message


def test_fields_may_have_any_name(weather: Contract, months: dict[str, pl.DataFrame]) -> None:
    renamed = ("humid", "dewp", "wind_dir", "visib", "wind_gust", "precip", "pressure")
    others = ("len", "code", "count", "usual", "most", "index", "_day")
    names = dict(zip(renamed, others, strict=True))
    fields = tuple(replace(each, name=names.get(each.name, each.name)) for each in weather.fields)
    utc = replace(weather, fields=fields, time_zone="UTC")  # so `day` is no part of the event time
    past = {name: months[name].rename(names).lazy() for name in ("2013-01", "2013-02", "2013-03")}
    april = months["2013-04"].rename(names).with_columns(temp=CELSIUS)
    assert "temp" in {each.field for each in detection.changes(utc, past, {"2013-04": april}, {})}
