"""Tables of every shape are drafted, received again and again, and compared with their past."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_experiment_runner.holds.holds import Violation
from ml_experiment_runner.signals.checks import quality, schema
from ml_experiment_runner.signals.contract.contract import TYPES, Contract, Field
from ml_experiment_runner.signals.contract.source_configuration import SourceConfiguration
from ml_experiment_runner.signals.drafts import draft
from ml_experiment_runner.signals.drift import detection
from ml_experiment_runner.signals.snapshots import profile, snapshot
from ml_experiment_runner.signals.sources import fetch
from support.shapes import SHAPES, Shape, write

NOW = datetime(2026, 1, 1, tzinfo=UTC)
Deliver = Callable[[pl.DataFrame], dict[str, pl.DataFrame]]


def violations(
    contract: Contract, past: dict[str, pl.DataFrame], came: dict[str, pl.DataFrame]
) -> list[Violation]:
    """What is wrong with a delivery, as far as its rows are concerned."""
    new = {
        name: part for name, part in came.items()
        if name not in past or not part.equals(past[name], null_equal=True)
    }  # fmt: skip
    known = {name: part.lazy() for name, part in past.items()}
    return quality.broken(contract, new, NOW) + detection.changes(contract, known, new, {})


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_shape_comes_in_three_times_and_what_is_wrong_is_held(shape: Shape, tmp_path: Path) -> None:
    place = tmp_path / "data" / "raw" / f"{shape.name}.{shape.form}"
    first, *others = shape.deliveries()
    write(first, place, shape.form)
    contract = draft.draft(tmp_path, shape.name, str(place))
    assert set(contract.key) == set(shape.key)
    assert contract.event_time == shape.event
    if shape.zone != "UTC":
        contract = dataclasses.replace(contract, time_zone=shape.zone)
    past = snapshot.by_partition(contract, fetch.fetch_rows(contract))
    profile.merge([profile.measure(contract, part) for part in past.values()])
    for frame in others:
        write(frame, place, shape.form)
        rows = fetch.fetch_rows(contract)
        assert rows.height == frame.height
        assert rows.select(contract.key).n_unique() == frame.height
        came = snapshot.by_partition(contract, rows)
        assert violations(contract, past, came) == []
        past = came
    write(shape.violation(), place, shape.form)
    assert violations(contract, past, snapshot.by_partition(contract, fetch.fetch_rows(contract)))


def test_later_value_is_no_change_and_one_that_goes_is(tmp_path: Path) -> None:
    fields = (
        Field("id", "integer", required=True, key=True),
        Field("at", "timestamp", required=True),
        Field("closed", "timestamp"),
    )
    contract = Contract(
        "tickets", "1.0.0", "owner", "contact", SourceConfiguration("files", {}), fields,
        ("id",), "at", "UTC", timedelta(0), None, (), tmp_path / "signals" / "tickets.yaml",
    )  # fmt: skip
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    opened = [begin + timedelta(hours=3 * row) for row in range(160)]
    closed = [time + timedelta(hours=50 + row % 9) for row, time in enumerate(opened)]
    rows = pl.DataFrame({"id": range(160), "at": opened, "closed": closed}).cast(
        {name: pl.Datetime("us", "UTC") for name in ("at", "closed")}
    )
    early = rows.with_columns(closed=pl.when(pl.col("closed") < opened[90]).then("closed"))
    months = [{"2024-01": each} for each in (early, rows)]
    assert violations(contract, *months) == []
    assert [each.field for each in violations(contract, *reversed(months))] == ["closed"]


VALUES = {
    "string": st.text(max_size=4) | st.sampled_from(["A", "B", "\0", "é", "é", "x" * 5000]),
    "integer": st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3),
    "number": st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0, 1.5, float("inf"), 5e-324]),
    "boolean": st.booleans(),
    "date": st.dates(),
    "timestamp": st.datetimes(timezones=st.just(UTC)),
    "time": st.times(),
    "object": st.just('{"a": 1}'),
    "array": st.just("[1, 2]"),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[Contract, list[pl.DataFrame]]:
    """A contract of any fields, and two frames that keep it: events of some months, or states."""
    columns = draw(st.lists(st.tuples(st.sampled_from(TYPES), st.sampled_from([0.0, 0.3, 1.0])),
                            max_size=6))  # fmt: skip
    names = draw(st.lists(st.sampled_from(["|day", "|rows", "count", "len", "a b", "x.y", "part",
                                           "day", "数", "literal"]), min_size=len(columns),
                          max_size=len(columns), unique=True))  # fmt: skip
    event = draw(st.sampled_from([None, "beside", "in"]))
    rows, chance = draw(st.integers(1, 80)), draw(st.randoms(use_true_random=False))
    some = {name: draw(st.lists(VALUES[kind], min_size=1, max_size=12))
            for name, (kind, _) in zip(names, columns, strict=True)}  # fmt: skip
    fields = [Field("id", "integer", required=True, key=True)]
    if event:
        fields.append(Field("at", "timestamp", required=True, key=event == "in"))
    fields += [Field(name, kind) for name, (kind, _) in zip(names, columns, strict=True)]
    contract = Contract(
        "any", "1.0.0", "owner", "contact", SourceConfiguration("files", {}), tuple(fields),
        tuple(field.name for field in fields if field.key), "at" if event else None,
        draw(st.sampled_from(["UTC", "America/Sao_Paulo", "Australia/Lord_Howe"])), timedelta(0),
        None, (), Path("project/signals/any.yaml"),
    )  # fmt: skip
    frames = []
    for number in range(2):
        count = rows * (1 + number)
        data = {"id": range(count)}
        if event:
            data["at"] = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=9 * row)
                          for row in range(count)]  # fmt: skip
        for name, (_, lacking) in zip(names, columns, strict=True):
            data[name] = [None if chance.random() < lacking else chance.choice(some[name])
                          for _ in range(count)]  # fmt: skip
        types = {field.name: schema.DTYPES[field.type] for field in fields}
        frames.append(pl.DataFrame(data, schema=types))
    return contract, frames


@pytest.mark.filterwarnings("error::RuntimeWarning")
@given(tables())
@settings(max_examples=40)
def test_any_table_is_compared_with_its_past(table: tuple[Contract, list[pl.DataFrame]]) -> None:
    contract, frames = table
    past, came = (snapshot.by_partition(contract, frame) for frame in frames)
    for part in came.values():
        profile.measure(contract, part)
        snapshot.content_hash(part)
    for found in violations(contract, past, came):
        assert found.message
