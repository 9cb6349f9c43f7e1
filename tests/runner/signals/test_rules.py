"""What a delivery may hold, how much may come, and when it is late."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from ml_experiment_runner.signals.checks.quality import broken, is_growing, lateness, too_many
from ml_experiment_runner.signals.contract.contract import Contract, Field
from ml_experiment_runner.signals.contract.source_configuration import SourceConfiguration

NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
JANUARY, FEBRUARY = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)


def a_contract(*fields: Field, **more: Any) -> Contract:
    said: dict[str, Any] = {
        "name": "air",
        "version": "1.0.0",
        "owner": "Weather desk",
        "contact": "desk@example.com",
        "source_configuration": SourceConfiguration("files", {"path": "air.csv", "format": "csv"}),
        "fields": (Field("hour", "timestamp", required=True, key=True), *fields),
        "key": ("hour",),
        "event_time": "hour",
        "time_zone": "UTC",
        "delay": timedelta(0),
        "freshness": None,
        "null_values": (),
        "path": Path("signals/air.yaml"),
    }
    return Contract(**{**said, **more})


def hours(count: int, start: datetime = FEBRUARY, **columns: Any) -> pl.DataFrame:
    times = [start + timedelta(hours=number) for number in range(count)]
    frame = pl.DataFrame({"hour": times, **columns})
    return frame.with_columns(pl.col("hour").dt.convert_time_zone("UTC").dt.cast_time_unit("us"))


TEMP = Field("temp", "number", unit="°F", minimum=-20, maximum=110)


def test_good_delivery_breaks_nothing() -> None:
    contract = a_contract(
        replace(TEMP, tolerated_nulls=0.05),
        Field("sky", "string", allowed=("clear", "cloudy")),
        rows=(600, 800),
        frequency=timedelta(days=4),
    )
    frame = hours(650, temp=50.0, sky="clear")
    assert broken(contract, {"2024-02": frame}, NOON) == []


def test_value_out_of_range_is_told_with_worst_and_first() -> None:
    frame = hours(100, temp=[50.0] * 98 + [-30.5, 1048.36])
    (violation,) = broken(a_contract(TEMP), {"2024-02": frame}, NOON)
    assert (violation.kind, violation.field, violation.partition) == ("range", "temp", "2024-02")
    assert violation.message == (
        "2 of 100 values of temp (2 %) are not within -20 to 110 °F; the worst is 1,048.36, "
        "first at hour=2024-02-05 02:00"
    )


@pytest.mark.parametrize(
    ("least", "most", "values", "worst"),
    [(0, None, [-3, 5, -7], "-7"), (None, 4, [3, 5, 9], "9"), (0, 4, [-1, 2, 8], "8")],
)
def test_range_may_have_one_bound_alone(
    least: float | None, most: float | None, values: list[int], worst: str
) -> None:
    field = Field("okta", "integer", minimum=least, maximum=most)
    (violation,) = broken(a_contract(field), {"2024-02": hours(3, okta=values)}, NOON)
    assert f"the worst is {worst}," in violation.message
    assert violation.message.startswith("2 of 3 ")


@pytest.mark.parametrize(
    ("field", "values"),
    [
        (Field("sky", "string", allowed=("clear", "cloudy")), ["clear", "fog", None, "fog"]),
        (Field("sky", "integer", allowed=("1", "2")), [1, 7, None, 7]),
        (Field("sky", "number", allowed=("0.5", "1")), [1.0, 7.0, None, 7.0]),
    ],
)
def test_value_off_the_list_is_a_breach_and_no_value_is_not(
    field: Field, values: list[Any]
) -> None:
    (violation,) = broken(a_contract(field), {"2024-02": hours(4, sky=values)}, NOON)
    assert violation.kind == "values"
    assert violation.message.startswith("2 of 4 values of sky (50 %) are none of ")
    assert f"the worst is {'fog' if field.type == 'string' else '7'}, first at" in violation.message


def test_classified_values_and_keys_are_not_shown() -> None:
    secret = replace(TEMP, classification="restricted")
    frame = hours(3, temp=[1048.36, 50, 50])
    (violation,) = broken(a_contract(secret), {"2024-02": frame}, NOON)
    assert "1,048" not in violation.message
    assert "the worst is a classified value" in violation.message
    contract = a_contract(TEMP)
    hour = replace(contract.fields[0], classification="restricted")
    (violation,) = broken(replace(contract, fields=(hour, TEMP)), {"2024-02": frame}, NOON)
    assert "first at hour=a classified value" in violation.message


def test_tolerated_share_bounds_the_source_and_not_each_batch() -> None:
    """Of 2,000 rows 2 are tolerated: 8 may come by chance, 12 do not."""
    field = replace(TEMP, tolerated_invalid=0.001)
    for wrong, expected in ((2, 0), (8, 0), (12, 1)):
        frame = hours(2000, JANUARY, temp=[999.0] * wrong + [5.0] * (2000 - wrong))
        found = broken(a_contract(field), {"2024-02": frame}, NOON + timedelta(days=60))
        assert len(found) == expected, wrong
    assert "; tolerated: 0.1 %; the worst is 999" in found[0].message


def test_nulls_beyond_the_tolerated_share_are_a_breach() -> None:
    field = Field("temp", "number", tolerated_nulls=0.1)
    for nulls, expected in ((0, []), (60, []), (100, ["nulls"]), (500, ["nulls"])):
        frame = hours(500, temp=[None] * nulls + [5.0] * (500 - nulls))
        frame = frame.with_columns(pl.col("temp").cast(pl.Float64))
        found = broken(a_contract(field), {"2024-02": frame}, NOON)
        assert [violation.kind for violation in found] == expected, nulls
    assert found[0].message.startswith("500 of 500 values of temp (100 %) have no value; tolerated")
    never = replace(field, tolerated_nulls=0.0)
    frame = hours(500, temp=[None] + [5.0] * 499)
    assert [each.kind for each in broken(a_contract(never), {"2024-02": frame}, NOON)] == ["nulls"]


@pytest.mark.parametrize("tolerated", [0.0005, 0.01, 0.2])
def test_source_that_keeps_its_promise_raises_no_alarm(tolerated: float) -> None:
    rng = np.random.default_rng(1)
    for rows in (50, 2_000, 1_000_000):
        counts = rng.binomial(rows, tolerated, size=20_000)
        alarms = sum(too_many(int(count), rows, tolerated) for count in counts)
        assert alarms <= 4, rows  # one in 10,000 at most, of 20,000
        half_more = rng.binomial(rows, 1.5 * tolerated, size=200)
        if rows * tolerated >= 500:
            assert all(too_many(int(count), rows, tolerated) for count in half_more)


def test_rule_broken_in_many_months_is_one_breach() -> None:
    bad = {
        "2024-01": hours(5, JANUARY, temp=[50.0] * 5),
        "2024-02": hours(5, temp=[999.0] * 5),
        "2024-03": hours(5, NOON - timedelta(hours=9), temp=[999.0] * 5),
    }
    (violation,) = broken(a_contract(TEMP), bad, NOON)
    assert violation.partition == "2024-02"
    assert violation.message.endswith("; also in 2024-03")


def test_volume_of_a_month_that_is_over_has_both_bounds() -> None:
    contract = a_contract(rows=(600, 800))
    for rows, says in ((599, "at least 600"), (600, None), (800, None), (801, "at most 800")):
        frame = hours(29 * 24).sample(rows, with_replacement=True, seed=0)
        found = broken(contract, {"2024-02": frame}, NOON)
        assert [each.kind for each in found] == ([] if says is None else ["volume"])
        if says:
            assert found[0].message == f"{rows:,} rows in 2024-02 where {says} are expected"


def test_newest_month_that_ends_early_has_its_upper_bound_alone() -> None:
    contract, later = a_contract(rows=(600, 800)), NOON + timedelta(days=400)
    half, whole = hours(300), hours(29 * 24)
    assert broken(contract, {"2024-02": half}, later) == []
    assert broken(contract, {"2024-01": whole, "2024-02": half}, later) == []
    for others in ({"2024-03": whole.lazy()}, {}):
        came = {"2024-02": half} if others else {"2024-02": half, "2024-03": whole}
        (violation,) = broken(contract, came, later, others)
        assert violation.message == "300 rows in 2024-02 where at least 600 are expected"


def test_volume_of_a_growing_month_has_its_upper_bound_alone() -> None:
    contract = a_contract(rows=(600, 800))
    frame = hours(1).sample(900, with_replacement=True, seed=0)
    (violation,) = broken(contract, {"2024-03": frame}, NOON)
    assert "at most" in violation.message
    assert broken(contract, {"2024-03": hours(3)}, NOON) == []
    assert broken(replace(contract, event_time=None), {"all": hours(3)}, NOON)[0].kind == "volume"


@pytest.mark.parametrize(
    ("partition", "zone", "delay", "now", "growing"),
    [
        ("2024-02", "UTC", 0, "2024-02-29T23:59Z", True),
        ("2024-02", "UTC", 0, "2024-03-01T00:00Z", False),
        ("2024-02", "UTC", 48, "2024-03-02T12:00Z", True),
        ("2024-02", "America/New_York", 0, "2024-03-01T04:00Z", True),
        ("2024-02", "America/New_York", 0, "2024-03-01T05:00Z", False),
        ("2023-12", "UTC", 0, "2023-12-31T12:00Z", True),
        ("2023-12", "UTC", 0, "2024-01-01T12:00Z", False),
        ("all", "UTC", 0, "2024-01-01T12:00Z", False),
    ],
)
def test_month_grows_until_its_last_row_is_known(
    partition: str, zone: str, delay: int, now: str, growing: bool
) -> None:
    contract = a_contract(time_zone=zone, delay=timedelta(hours=delay))
    assert is_growing(contract, partition, datetime.fromisoformat(now)) is growing


def test_signal_is_late_once_frequency_and_latency_are_over() -> None:
    contract = a_contract(frequency=timedelta(hours=1), delay=timedelta(minutes=30))
    last = NOON - timedelta(minutes=90)
    assert lateness(contract, last, NOON) is None
    late = lateness(contract, last, NOON + timedelta(minutes=1))
    assert late
    assert (late.kind, late.field, late.partition) == ("freshness", "hour", "2024-03")
    assert "the last event is of 2024-03-01 10:30" in late.message
    assert "due within 1.5 hours" in late.message
    assert lateness(replace(contract, frequency=None), last, NOON + timedelta(days=9)) is None


def test_event_after_arrival_is_a_breach_but_for_clocks() -> None:
    for ahead, expected in ((timedelta(minutes=4), []), (timedelta(hours=1), ["future"])):
        frame = hours(3, NOON - timedelta(hours=2) + ahead)
        found = broken(a_contract(), {"2024-03": frame}, NOON)
        assert [each.kind for each in found] == expected
    assert "1 of 3 values of hour (33.3 %) are after 2024-03-01 12:00" in found[0].message


def test_day_that_came_twice_under_other_keys_is_a_breach() -> None:
    number = Field("number", "integer", required=True, key=True)
    fields = (number, Field("hour", "timestamp", required=True), Field("temp", "number"))
    contract = replace(a_contract(), fields=fields, key=("number",))
    once = hours(240, temp=[float(each % 17) for each in range(240)])
    day = once[24:48]
    twice = pl.concat([once, day]).with_row_index("number").select("number", "hour", "temp")
    (violation,) = broken(contract, {"2024-02": twice}, NOON)
    assert violation.kind == "duplicates"
    assert "each of 24 rows of 2024-02-02 came more than once" in violation.message
    assert "48 rows" in violation.message
    single = once.with_row_index("number").select("number", "hour", "temp")
    assert broken(contract, {"2024-02": single}, NOON) == []


def test_few_rows_or_rows_alike_by_nature_are_no_copies() -> None:
    number = Field("number", "integer", required=True, key=True)
    contract = a_contract(event_time=None, key=("number",))
    contract = replace(contract, fields=(number, Field("size", "integer")))
    alike = pl.DataFrame({"number": range(2000), "size": [each % 500 // 5 for each in range(2000)]})
    odd = alike.head(1999)
    assert broken(contract, {"all": odd}, NOON) == []
    # two languages of each: the key has two fields, and says what the row is
    both = pl.DataFrame({"number": list(range(50)) * 2, "size": list(range(50)) * 2})
    both = both.with_columns(language=pl.Series(["en"] * 50 + ["fr"] * 50))
    language = Field("language", "string", required=True, key=True)
    two = replace(contract, fields=(*contract.fields, language), key=("number", "language"))
    assert broken(two, {"all": both}, NOON) == []
    few = pl.DataFrame({"number": range(20), "size": [each % 10 for each in range(20)]})
    assert broken(contract, {"all": few}, NOON) == []


def test_delivery_without_rows_breaks_only_its_volume() -> None:
    contract = a_contract(TEMP, rows=(1, None))
    empty = hours(1, temp=1.0).clear()
    assert [each.kind for each in broken(contract, {"all": empty}, NOON)] == ["volume"]
    assert broken(a_contract(TEMP), {}, NOON) == []
