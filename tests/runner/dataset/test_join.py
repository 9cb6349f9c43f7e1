"""The point-in-time join against a slow reference: every row once, nothing from the future."""

import contextlib
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_experiment_runner.dataset import assemble as assembly
from ml_experiment_runner.dataset import join
from ml_experiment_runner.dataset.assemble import assemble
from ml_experiment_runner.dataset.join import Joined, Window, attach
from ml_experiment_runner.dataset.plan import Plan
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.contract.contract import Contract, Field
from ml_experiment_runner.signals.contract.source_configuration import SourceConfiguration
from ml_experiment_runner.signals.snapshots import snapshot
from ml_experiment_runner.signals.snapshots.snapshot import Snapshot

START = datetime(2024, 1, 1, tzinfo=UTC)
TIME = pl.Datetime("us", "UTC")


def contract(name: str, fields: dict[str, str], key: Sequence[str], **more: Any) -> Contract:
    values: dict[str, Any] = {
        "name": name, "version": "1.0.0", "owner": "a", "contact": "b",
        "source_configuration": SourceConfiguration("files", {}),
        "event_time": None, "time_zone": "UTC", "delay": timedelta(0),
        "freshness": None, "null_values": (), "path": Path("/x/y.yaml"),
    }  # fmt: skip
    columns = tuple(Field(each, kind, key=each in key) for each, kind in fields.items())
    return Contract(fields=columns, key=tuple(key), **{**values, **more})


SPINE = contract("s", {"at": "timestamp", "place": "string", "n": "integer"}, ["at", "n"])
MINUTE, INSTANT = timedelta(minutes=1), timedelta(microseconds=1)
Row = tuple[datetime, tuple[str | None, ...]]

# few of each, so that ties, repetitions and exact limits come often
TIMES = [START + 10 * step * MINUTE + rest * INSTANT for step in range(6) for rest in (-1, 0, 1)]
places = st.sampled_from(["a", "b", None])
durations = st.sampled_from([timedelta(0), INSTANT, timedelta(seconds=0.5), 10 * MINUTE,
                             10 * MINUTE - INSTANT, 25 * MINUTE])  # fmt: skip


def reference(
    rows: Sequence[Row], events: Sequence[Row], delay: timedelta, freshness: timedelta | None
) -> list[int | None]:
    """For each row the number of the event whose values it may have."""
    found = []
    for prediction_time, key in rows:
        best, newest = None, None
        for number, (event, its_key) in enumerate(events):
            known = event + delay
            if its_key != key or None in key or known > prediction_time:
                continue
            if freshness is not None and prediction_time - known > freshness:
                continue
            if newest is None or known >= newest:
                best, newest = number, known
        found.append(best)
    return found


def table(name: str, time: str, rows: Sequence[Row], fields: Sequence[str]) -> pl.DataFrame:
    """Rows with time, key and, as their value, a number of their own: none can pass for another."""
    columns: dict[str, list[Any]] = {time: [each for each, _ in rows]}
    for place, field in enumerate(fields):
        columns[f"{name}.{field}"] = [key[place] for _, key in rows]
    columns[f"{name}.n"] = list(range(len(rows)))
    types = [TIME, *[pl.String] * len(fields), pl.Int64]
    return pl.DataFrame(columns, schema=dict(zip(columns, types, strict=True)))


@st.composite
def tables(draw: st.DrawFn) -> tuple[int, list[Row], list[Row]]:
    """How many fields the key has, the spine's rows and the signal's, in any order."""
    width = draw(st.integers(0, 2))
    rows = st.lists(st.tuples(st.sampled_from(TIMES), st.tuples(*[places] * width)), max_size=30)
    return width, draw(rows), draw(rows)


@settings(max_examples=300, deadline=None)
@given(tables=tables(), delay=durations, freshness=st.none() | durations)
def test_as_of_join_is_the_slow_reference(
    tables: tuple[int, list[Row], list[Row]], delay: timedelta, freshness: timedelta | None
) -> None:
    width, spine, events = tables
    fields = ("one", "two")[:width]
    strings = dict.fromkeys(fields, "string")
    own = contract("s", {"at": "timestamp", **strings, "n": "integer"}, ["at", "n"])
    weather = contract(
        "w", {"hour": "timestamp", **strings, "n": "integer"}, ["hour", *fields],
        event_time="hour", delay=delay, freshness=freshness,
    )  # fmt: skip
    before = table("s", "prediction_time", spine, fields)
    other = table("w", "w.hour", events, fields)
    on = {field: field for field in fields}
    joined = attach(before, own, [Joined(other, weather, on, weather.names)])

    assert joined.select(before.columns).equals(before)  # every row, once, in its place
    assert joined["w.n"].to_list() == reference(spine, events, delay, freshness)
    assert joined.filter(pl.col("w.hour") + delay > pl.col("prediction_time")).is_empty()
    for name in other.columns:  # all of them from one and the same event
        assert joined[name].to_list() == [
            None if number is None else other[name][number] for number in joined["w.n"]
        ]


def rows(values: list[tuple[int, str | None]]) -> pl.DataFrame:
    times: list[Row] = [(START + minute * MINUTE, (place,)) for minute, place in values]
    return table("s", "prediction_time", times, ["place"])


# ---------------------------------------------------------------- slice by slice

# around the end of a month and of daylight saving time in New York, where 5:30 and 6:30 are both
# half past one in the night of 3 November
NIGHTS = [
    datetime(2024, 11, day, hour, minute, tzinfo=UTC)
    for day in (1, 3)
    for hour in (3, 4, 5, 6)
    for minute in (0, 30)
]
LOCAL = "America/New_York"


def keep(folder: Path, signal: Contract, frame: pl.DataFrame) -> Snapshot:
    """A snapshot as receiving the signal leaves it: by months, in the order of its key."""
    home = folder / signal.name
    home.mkdir()
    for name, part in snapshot.by_partition(signal, frame.sort(signal.key)).items():
        part.write_parquet(home / f"{name}.parquet")
    return Snapshot(signal.name, "1.0.0", "", "", frame.height, home, None, {}, "")


def in_local_time(time: str) -> pl.Expr:
    """The instant that a clock in New York shows, the earlier one where there are two."""
    wall = pl.col(time).dt.convert_time_zone(LOCAL).dt.replace_time_zone(None)
    return wall.dt.replace_time_zone(LOCAL, ambiguous="earliest")


@settings(max_examples=300, deadline=None)
@given(
    spine=st.lists(
        st.tuples(st.sampled_from(NIGHTS), places, st.sampled_from([True, False, None])),
        min_size=1, max_size=30,
    ).filter(lambda rows: any(label is not None for *_, label in rows)),
    events=st.sets(st.tuples(st.sampled_from(NIGHTS), st.sampled_from("ab")), max_size=20),
    states=st.sets(st.sampled_from("abc")),
    delay=st.sampled_from([timedelta(0), timedelta(hours=1), timedelta(days=1)]),
    freshness=st.sampled_from([None, timedelta(0), timedelta(hours=1), timedelta(days=2)]),
    chosen=st.sets(st.sampled_from(["s.n", "w.n", "p.n", "k.n"]), min_size=1),
    in_order=st.booleans(),
    size=st.integers(1, 40),
    ahead=st.sampled_from([timedelta(0), timedelta(hours=1), timedelta(days=31)]),
)  # fmt: skip
def test_dataset_of_any_slices_is_the_slow_reference(
    spine: list[tuple[datetime, str | None, bool | None]],
    events: set[tuple[datetime, str]],
    states: set[str],
    delay: timedelta,
    freshness: timedelta | None,
    chosen: set[str],
    in_order: bool,
    size: int,
    ahead: timedelta,
) -> None:
    # in the order of its number, not of time, the spine's slices go back and forth in time
    key = ["at", "n"] if in_order else ["n"]
    fields = {"at": "timestamp", "place": "string", "late": "boolean", "n": "integer"}
    own = contract("s", fields, key, event_time="at", time_zone=LOCAL)
    weather = contract(
        "w", {"hour": "timestamp", "place": "string", "n": "integer"}, ["hour", "place"],
        event_time="hour", delay=delay, freshness=freshness, time_zone=LOCAL,
    )  # fmt: skip
    anywhere = contract(
        "k", {"hour": "timestamp", "n": "integer"}, ["hour"], event_time="hour", delay=delay,
        freshness=freshness,
    )  # fmt: skip
    state = contract("p", {"place": "string", "n": "integer"}, ["place"])
    observed: list[Row] = [(hour, (place,)) for hour, place in sorted(events)]
    hours: list[Row] = [(hour, ()) for hour in sorted({hour for hour, _ in events})]
    place = {"place": "place"}
    plan = Plan(
        contracts={"s": own, "w": weather, "p": state, "k": anywhere}, spine=own,
        features={name: pl.col(name) for name in sorted(chosen)},
        label_name="late", label=pl.col("s.late"), prediction_time=in_local_time("s.at"),
        joins={"w": place, "p": place, "k": {}}, now=None,
        split={"by": "time", "validation": "1d", "test": "1d"},
    )  # fmt: skip
    frames = {
        "s": pl.DataFrame(
            [(*row, number) for number, row in enumerate(spine)], orient="row",
            schema={"at": TIME, "place": pl.String, "late": pl.Boolean, "n": pl.Int64},
        ),
        "w": table("w", "w.hour", observed, ["place"]).rename(lambda name: name[2:]),
        "k": table("k", "k.hour", hours, []).rename(lambda name: name[2:]),
        "p": pl.DataFrame(
            {"place": sorted(states), "n": range(len(states))},
            schema={"place": pl.String, "n": pl.Int64},
        ),
    }  # fmt: skip
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        snapshots = {name: keep(folder, plan.contracts[name], frames[name]) for name in frames}
        stack.enter_context(patch.object(assembly, "SLICE", size))
        stack.enter_context(patch.object(join, "AHEAD", ahead))
        stack.enter_context(patch.object(assembly, "_check_splits"))
        frame, dropped = assemble(plan, snapshots)

    months = sorted(range(len(spine)), key=lambda n: (month(spine[n][0]), *(
        (spine[n][0], n) if in_order else (n,)
    )))  # fmt: skip
    labelled = [number for number in months if spine[number][2] is not None]
    times: list[Row] = [(earliest(spine[n][0]), (spine[n][1],)) for n in labelled]
    sizes = {place: number for number, place in enumerate(sorted(states))}
    expected = {
        "s.n": labelled,
        "w.n": reference(times, observed, delay, freshness),
        "k.n": reference([(at, ()) for at, _ in times], hours, delay, freshness),
        "p.n": [sizes.get(place or "") for _, (place,) in times],
        "late": [int(bool(spine[number][2])) for number in labelled],
        "prediction_time": [time for time, _ in times],
    }
    assert dropped == len(spine) - len(labelled)
    assert frame.columns == [*sorted(chosen), "prediction_time", "late", "split"]
    for name in frame.columns[:-1]:
        assert frame[name].to_list() == expected[name]


def month(at: datetime) -> str:
    return f"{at.astimezone(ZoneInfo(LOCAL)):%Y-%m}"


def earliest(at: datetime) -> datetime:
    """What `in_local_time` gives."""
    return at.astimezone(ZoneInfo(LOCAL)).replace(fold=0).astimezone(UTC)


# ---------------------------------------------------------------- by hand


@settings(max_examples=100, deadline=None)
@given(
    spine=st.lists(st.tuples(st.integers(0, 12), places), max_size=25),
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
    joined = attach(before, SPINE, [Joined(other, state, {"place": "place"}, state.names)])
    assert joined.select(before.columns).equals(before)
    assert joined["p.size"].to_list() == [sizes.get(place or "") for _, place in spine]


@pytest.mark.parametrize("firsts", [range(0, 1000, 100), (500, 0, 300, 900, 800)])
@pytest.mark.parametrize("ahead", [timedelta(0), 150 * MINUTE, timedelta(days=31)])
def test_window_has_what_a_slice_needs_and_no_more(
    firsts: Sequence[int], ahead: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    weather = contract(
        "w", {"hour": "timestamp", "place": "string", "n": "integer"}, ["hour", "place"],
        event_time="hour", delay=5 * MINUTE,
    )  # fmt: skip
    hours: list[Row] = [(START + n * MINUTE, ("ab"[n % 2],)) for n in range(1000)]
    monkeypatch.setattr(join, "AHEAD", ahead)
    window = Window(table("w", "w.hour", hours, ["place"]).lazy(), weather, {"place": "place"})
    for first in firsts:
        slice_ = rows([(first, "a"), (first + 99, "b")])
        found = window.at(slice_)["w.n"].to_list()
        assert found == list(range(max(0, first - 6), first + 95))


def test_value_known_at_prediction_time_is_used_not_later() -> None:
    weather = contract(
        "w", {"hour": "timestamp", "place": "string", "value": "integer"}, ["hour", "place"],
        event_time="hour", delay=timedelta(minutes=5),
    )  # fmt: skip
    other = pl.DataFrame(
        {"w.hour": [START], "w.place": ["a"], "w.value": [1]}, schema_overrides={"w.hour": TIME}
    )
    spine = rows([(5, "a"), (5, "a")]).with_columns(
        pl.col("prediction_time") - pl.Series([timedelta(0), timedelta(microseconds=1)])
    )
    joined = attach(spine, SPINE, [Joined(other, weather, {"place": "place"}, ["value"])])
    assert joined["w.value"].to_list() == [1, None]


@pytest.mark.parametrize(
    ("on", "says"),
    [
        ({}, "the key field 'place' of w is missing"),
        ({"place": "plaza"}, "s has no field 'plaza'. Did you mean 'place'?"),
        ({"place": "n"}, "w.place is of type string, but s.n of type integer"),
        ({"place": "place", "value": "n"}, "'value' is not a key field of w"),
    ],
)
def test_wrong_join_names_key_and_nearest(on: dict[str, str], says: str) -> None:
    weather = contract(
        "w", {"hour": "timestamp", "place": "string", "value": "integer"}, ["hour", "place"],
        event_time="hour",
    )  # fmt: skip
    with pytest.raises(UserError, match=r"dataset\.joins\.w") as error:
        attach(rows([]), SPINE, [Joined(pl.DataFrame(), weather, on, ["value"])])
    assert says in str(error.value)
