"""The point-in-time join against a slow reference: every row once, nothing from the future."""

import bisect
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.dataset.join import attach
from runner.errors import UserError
from runner.signals.contract import Contract, Field

START = datetime(2024, 1, 1, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")


def contract(name: str, fields: dict[str, str], key: Sequence[str], **more: Any) -> Contract:
    values: dict[str, Any] = {
        "name": name, "version": "1.0.0", "owner": "a", "contact": "b", "source": "",
        "format": "csv", "event_time": None, "time_zone": "UTC", "delay": timedelta(0),
        "freshness": None, "null_values": (), "path": Path("/x/y.yaml"),
    }  # fmt: skip
    columns = tuple(Field(each, kind, key=each in key) for each, kind in fields.items())
    return Contract(fields=columns, key=tuple(key), **{**values, **more})


SPINE = contract("s", {"at": "timestamp", "place": "string", "n": "integer"}, ["at", "n"])
places = st.sampled_from(["a", "b", "c", None])
# minutes close together, so that ties and exact limits come often
minutes = st.integers(0, 12)


def rows(values: list[tuple[int, str | None]]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "moment": [START + timedelta(minutes=minute) for minute, _ in values],
            "s.place": [place for _, place in values],
            "s.n": range(len(values)),
        },
        schema={"moment": TIME, "s.place": pl.String, "s.n": pl.Int64},
    )


@settings(max_examples=200, deadline=None)
@given(
    spine=st.lists(st.tuples(minutes, places), max_size=25),
    # an event's value is its own number, so that equal values cannot hide a wrong row
    events=st.sets(st.tuples(minutes, st.sampled_from("abd")), max_size=25),
    delay=st.integers(0, 4),
    freshness=st.one_of(st.none(), st.integers(0, 6)),
)
def test_as_of_join_is_the_slow_reference(
    spine: list[tuple[int, str | None]],
    events: set[tuple[int, str]],
    delay: int,
    freshness: int | None,
) -> None:
    weather = contract(
        "w", {"hour": "timestamp", "place": "string", "value": "integer"}, ["hour", "place"],
        event_time="hour", delay=timedelta(minutes=delay),
        freshness=None if freshness is None else timedelta(minutes=freshness),
    )  # fmt: skip
    ordered = sorted(events)
    other = pl.DataFrame(
        {
            "w.hour": [START + timedelta(minutes=minute) for minute, _ in ordered],
            "w.place": [place for _, place in ordered],
            "w.value": range(len(ordered)),
        },
        schema={"w.hour": TIME, "w.place": pl.String, "w.value": pl.Int64},
    )
    before = rows(spine)
    joined = attach(before, SPINE, other, weather, {"place": "place"})

    assert joined.select(before.columns).equals(before)  # every row, once, in its place
    for (moment, place), found in zip(spine, joined["w.value"], strict=True):
        known = [
            (minute + delay, number)
            for number, (minute, where) in enumerate(ordered)
            if where == place and minute + delay <= moment
        ]
        expected = known[bisect.bisect_right(known, (moment, 10**6)) - 1] if known else None
        if expected and freshness is not None and moment - expected[0] > freshness:
            expected = None
        assert found == (expected[1] if expected else None)
    late = joined.filter(pl.col("w.hour") + timedelta(minutes=delay) > pl.col("moment"))
    assert late.is_empty()


@settings(max_examples=100, deadline=None)
@given(
    spine=st.lists(st.tuples(minutes, places), max_size=25),
    known=st.sets(st.sampled_from("abd")),
)
def test_join_of_a_state_keeps_every_row_once(
    spine: list[tuple[int, str | None]], known: set[str]
) -> None:
    state = contract("p", {"place": "string", "size": "integer"}, ["place"])
    sizes = {place: number for number, place in enumerate(sorted(known))}
    other = pl.DataFrame(
        {"p.place": list(sizes), "p.size": list(sizes.values())},
        schema={"p.place": pl.String, "p.size": pl.Int64},
    )
    before = rows(spine)
    joined = attach(before, SPINE, other, state, {"place": "place"})
    assert joined.select(before.columns).equals(before)
    assert joined["p.size"].to_list() == [sizes.get(place or "") for _, place in spine]


def test_value_known_at_the_very_moment_is_used_and_a_microsecond_later_is_not() -> None:
    weather = contract(
        "w", {"hour": "timestamp", "place": "string", "value": "integer"}, ["hour", "place"],
        event_time="hour", delay=timedelta(minutes=5),
    )  # fmt: skip
    other = pl.DataFrame(
        {"w.hour": [START], "w.place": ["a"], "w.value": [1]}, schema_overrides={"w.hour": TIME}
    )
    spine = rows([(5, "a"), (5, "a")]).with_columns(
        pl.col("moment") - pl.Series([timedelta(0), timedelta(microseconds=1)])
    )
    joined = attach(spine, SPINE, other, weather, {"place": "place"})
    assert joined["w.value"].to_list() == [1, None]


@pytest.mark.parametrize(
    ("on", "says"),
    [
        ({}, "the key field 'place' of w is missing"),
        ({"place": "plaza"}, "s has no field 'plaza'. Did you mean 'place'?"),
        ({"place": "n"}, "w.place is of type string and s.n of type integer"),
        ({"place": "place", "value": "n"}, "value: this is no key field of w"),
    ],
)
def test_wrong_join_names_key_and_nearest(on: dict[str, str], says: str) -> None:
    weather = contract(
        "w", {"hour": "timestamp", "place": "string", "value": "integer"}, ["hour", "place"],
        event_time="hour",
    )  # fmt: skip
    with pytest.raises(UserError, match=r"dataset\.joins\.w") as error:
        attach(rows([]), SPINE, pl.DataFrame(), weather, on)
    assert says in str(error.value)
