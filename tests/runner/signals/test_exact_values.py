"""Values arrive as they are, or not at all, whatever source they are in."""

import json
import math
import uuid
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.casting import casts, exact_numbers, times
from ml_experiment_runner.signals.contract.contract import Field
from ml_experiment_runner.signals.drafts.schema_inference import type_of_texts
from support.exact import (
    as_csv,
    as_duckdb,
    as_jsonl,
    as_parquet,
    as_sqlite,
    local,
    numbers_in,
    receive,
    texts_in,
)

WHERE = ("csv", "jsonl", "parquet", "sqlite", "duckdb")
ZONES = (
    *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"),
    *("Asia/Kathmandu", "America/Sao_Paulo", "Africa/Casablanca", "UTC"),
)
examples = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
whole_numbers = st.one_of(
    st.integers(-(10**27), 10**27),
    st.integers(2**53 - 3, 2**53 + 3),
    st.integers(2**63 - 3, 2**63 + 3),
    st.integers(-(2**63) - 3, -(2**63) + 3),
    st.integers(-9, 9),
).map(Decimal)
decimals = st.one_of(
    st.decimals(-(10**12), 10**12, places=10),
    st.decimals(-10, 10, places=2),
    st.floats(-1e6, 1e6).map(lambda value: round(Decimal(repr(value)), 10)),
    whole_numbers,
)


def refused(root: Path, server: str, kind: str, **more: str) -> str:
    """The first line of what is said of a value that does not arrive."""
    with pytest.raises(UserError) as error:
        receive(root, server, kind, **more)
    lines = str(error.value).splitlines()
    assert len(lines) <= 2
    return lines[0]


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize("where", WHERE)
@examples
@given(values=st.lists(whole_numbers, min_size=1, max_size=8))
def test_whole_number_arrives_with_every_digit_or_is_refused(
    tmp_path: Path, where: str, values: list[Decimal]
) -> None:
    if where in ("csv", "jsonl", "sqlite"):
        values = [value.to_integral_value() for value in values]
    server = numbers_in(tmp_path, where, values)
    bad = [row for row, value in enumerate(values, 1) if not -(2**63) <= value < 2**63]
    if bad:
        said = refused(tmp_path, server, "integer")
        assert f"v must be an integer, but row {bad[0]} of" in said
        assert "beyond 64 bits; write `logicalType: string`" in said
        assert (f"(and {len(bad) - 1} more)" in said) == (len(bad) > 1)
    else:
        assert receive(tmp_path, server, "integer").to_list() == values


@pytest.mark.parametrize("where", WHERE)
@examples
@given(values=st.lists(decimals, min_size=1, max_size=8))
def test_decimal_arrives_as_the_number_it_is_or_is_refused(
    tmp_path: Path, where: str, values: list[Decimal]
) -> None:
    server = numbers_in(tmp_path, where, values)
    bad = [row for row, each in enumerate(values, 1) if not _holds(float(each), each)]
    if bad:
        said = refused(tmp_path, server, "number")
        assert f"v must be a number, but row {bad[0]} of" in said
        assert "which a 64-bit number cannot hold; write `logicalType: string`" in said
    else:
        got = receive(tmp_path, server, "number").to_list()
        assert len(got) == len(values)
        assert all(map(_holds, got, values))


def _holds(number: float, value: Decimal) -> bool:
    """Whether a float is written so, or is what its exact value rounds to at so many digits."""
    with localcontext(prec=1000):
        rounded = round(Fraction(number) * 10**10) / Decimal(10**10)
    shown = f"{number:.{max(0, -int(value.as_tuple().exponent))}f}"
    return value in (Decimal(repr(number)), rounded, Decimal(shown))


@pytest.mark.parametrize("where", WHERE)
@examples
@given(values=st.lists(st.floats(allow_nan=False), min_size=1, max_size=8))
def test_float_arrives_bit_by_bit(tmp_path: Path, where: str, values: list[float]) -> None:
    texts = [repr(value) for value in values]
    if where == "csv":
        server = as_csv(tmp_path, texts)
    elif where == "jsonl":
        server = as_jsonl(tmp_path, [json.dumps(value) for value in values])
    elif where == "parquet":
        server = as_parquet(tmp_path, pa.array(values, pa.float64()))
    elif where == "sqlite":
        server = as_sqlite(tmp_path, values)
    else:
        server = as_duckdb(tmp_path, [f"'{text}'::DOUBLE" for text in texts])
    got = receive(tmp_path, server, "number").to_list()
    assert [repr(value) for value in got] == texts


@examples
@given(value=st.floats(allow_nan=False, allow_infinity=False), digits=st.integers(17, 40))
def test_float_written_with_more_digits_is_the_same_float(
    tmp_path: Path, value: float, digits: int
) -> None:
    """As numpy's savetxt writes it: `%.18e`."""
    got = receive(tmp_path, as_csv(tmp_path, [f"{value:.{digits - 1}e}"]), "number")
    assert repr(got[0]) == repr(value)


@pytest.mark.parametrize("dtype", [pl.Int64, pl.UInt64, pl.Int128])
def test_long_integer_is_a_number_only_where_a_float_holds_it(tmp_path: Path, dtype: Any) -> None:
    pl.DataFrame({"n": [0, 1], "v": pl.Series([2**62, 2**53], dtype=dtype)}).write_parquet(
        tmp_path / "t.parquet"
    )
    assert receive(tmp_path, local("parquet"), "number").to_list() == [2.0**62, 2.0**53]
    pl.DataFrame({"n": [0, 1], "v": pl.Series([5, 2**53 + 1], dtype=dtype)}).write_parquet(
        tmp_path / "t.parquet"
    )
    assert "row 2 of t.parquet has 9007199254740993, which" in refused(
        tmp_path, local("parquet"), "number"
    )


@pytest.mark.parametrize("value", [2.0**53, -(2.0**53), 1e300, 0.5, math.inf])
def test_float_that_stands_for_several_integers_is_none(tmp_path: Path, value: float) -> None:
    server = as_parquet(tmp_path, pa.array([1.0, value]))
    assert f"row 2 of t.parquet has {value!r}" in refused(tmp_path, server, "integer")
    assert receive(tmp_path, as_parquet(tmp_path, pa.array([-0.0, 2.0**53 - 1])), "integer"
                   ).to_list() == [0, 2**53 - 1]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        ("integer", "+5", 5),
        ("integer", "-0", 0),
        ("integer", "5.00", 5),
        ("number", "-0.0", -0.0),
        ("number", "-inf", -math.inf),
        ("number", "Infinity", math.inf),
        ("number", "1.10000000000000000000", 1.1),
        ("number", "5e-324", 5e-324),
        ("number", "1E+16", 1e16),
    ],
)
def test_number_is_read_as_producers_write_it(
    tmp_path: Path, kind: str, text: str, wanted: float
) -> None:
    assert repr(receive(tmp_path, as_csv(tmp_path, [text]), kind)[0]) == repr(wanted)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *(("integer", text) for text in ("1e3", "5.5", "5_0", "0x1", " 5", "٣", "1,000", "nan")),
        *(("integer", text) for text in ("9223372036854775808", "9007199254740993.0")),
        *(("number", text) for text in ("1e400", "1e-400", "4e-324", "0.12345678901234567891")),
        *(
            ("number", text)
            for text in ("1_0", "1d", "0x1p3", "1.2.3", "NaN", "5.0000000000000001")
        ),
        ("number", "9007199254740993"),
    ],
)
def test_text_that_is_no_such_number_is_shown_with_its_row(
    tmp_path: Path, kind: str, text: str
) -> None:
    said = refused(tmp_path, as_csv(tmp_path, ["1", text]), kind)
    assert f"v must be a{'n' * (kind == 'integer')} {kind}, but row 2 of t.csv has {text!r}" in said


@pytest.mark.parametrize("where", ["csv", "jsonl", "parquet", "duckdb"])
def test_nan_is_null_where_listed_and_else_refused(tmp_path: Path, where: str) -> None:
    server = {
        "csv": lambda: as_csv(tmp_path, ["1.5", "NaN"]),
        "jsonl": lambda: as_jsonl(tmp_path, ["1.5", "NaN"]),
        "parquet": lambda: as_parquet(tmp_path, pa.array([1.5, math.nan])),
        "duckdb": lambda: as_duckdb(tmp_path, ["1.5::DOUBLE", "'nan'::DOUBLE"]),
    }[where]()
    said = refused(tmp_path, server, "number")
    assert "row 2 of" in said
    assert "list NaN under nullValues if it stands for nothing" in said
    assert receive(tmp_path, server, "number", nulls="NaN").to_list() == [1.5, None]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.array([-999, 5]), "integer"),
        (pa.array([-999.0, 5.0]), "number"),
        (pa.array([Decimal("-999.0"), Decimal("5.0")]), "number"),
        (pa.array(["-999", "5"]), "string"),
    ],
)
def test_what_stands_for_nothing_does_so_in_any_type(
    tmp_path: Path, values: Any, kind: str
) -> None:
    server = as_parquet(tmp_path, values)
    assert receive(tmp_path, server, kind, nulls="-999").to_list()[0] is None
    assert receive(tmp_path, server, kind, nulls="-99").null_count() == 0


# ---------------------------------------------------------------- texts


@pytest.mark.parametrize("where", ["csv", "jsonl", "parquet", "sqlite"])
@examples
@given(
    values=st.lists(
        st.one_of(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
            st.sampled_from(["", " x ", "e\u0301", "\u00e9", "\ufeffa", "a\x00b", "\u2028",
                             "x" * 9999, '"', "NA", "null", "a,b", "a\nb", "a\r\nb"]),
        ),
        min_size=1, max_size=6,
    )
)  # fmt: skip
@example(values=["", "\r"])
@example(values=["a\rb", "", "\r\n", '"\r"'])
def test_text_arrives_sign_by_sign(tmp_path: Path, where: str, values: list[str]) -> None:
    got = receive(tmp_path, texts_in(tmp_path, where, values), "string")
    assert got.to_list() == values


def test_quoted_nothing_of_a_csv_is_a_text_and_nothing_is_null(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text('n,v\n0,""\n1,\n')
    assert receive(tmp_path, local("csv"), "string").to_list() == ["", None]
    assert receive(tmp_path, local("csv"), "number").to_list() == [None, None]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (pa.array([Decimal(12), Decimal(10**37)], pa.decimal128(38, 0)), ["12", str(10**37)]),
        (pa.array([Decimal("1.10")], pa.decimal128(10, 2)), ["1.10"]),
        (pa.array([2**64 - 1], pa.uint64()), [str(2**64 - 1)]),
        (pa.array([b"caf\xc3\xa9"], pa.binary()), ["café"]),
        (pa.array(["a", None]).dictionary_encode(), ["a", None]),
    ],
)
def test_what_has_no_type_of_its_own_arrives_as_exact_text(
    tmp_path: Path, values: Any, wanted: list[str]
) -> None:
    assert receive(tmp_path, as_parquet(tmp_path, values), "string").to_list() == wanted


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    server = as_parquet(tmp_path, pa.array([b"a", b"\xff"], pa.binary()))
    assert "row 2 of t.parquet has b'\\xff', which is bytes" in refused(tmp_path, server, "string")


@pytest.mark.parametrize(
    ("tokens", "kind", "says"),
    [
        (["1", '"1"'], "string", "row 2 of t.jsonl has '1' among numbers"),
        (['"1"', "1"], "string", "row 2 of t.jsonl has '1' among texts"),
        (['"a"', "true"], "string", "row 2 of t.jsonl has True among texts"),
        (['"a"', '"\\ud800"'], "string", "row 2 of t.jsonl has"),
        (['"a"', "[1]"], "string", "row 2 of t.jsonl has '[1]' among texts"),
        (["{}", '"{}"'], "object", "row 2 of t.jsonl has '{}' among objects"),
        (["1", '{"a": 1}'], "integer", """row 2 of t.jsonl has '{"a":1}'"""),
        (["1", "true"], "integer", "row 2 of t.jsonl has 'true'"),
        (["true", "1"], "boolean", "row 2 of t.jsonl has '1'"),
        (["{}", "[]"], "object", "row 2 of t.jsonl has '[]' among objects"),
        (["{}", '{"a": NaN}'], "object", "row 2 of t.jsonl has"),
    ],
)
def test_json_that_would_make_two_values_one_is_refused(
    tmp_path: Path, tokens: list[str], kind: str, says: str
) -> None:
    assert says in refused(tmp_path, as_jsonl(tmp_path, tokens), kind)


def test_json_with_a_key_twice_is_refused(tmp_path: Path) -> None:
    assert "row 2: duplicate key 'a'" in refused(
        tmp_path, as_jsonl(tmp_path, ["{}", '{"a": 1, "a": 2}']), "object"
    )
    (tmp_path / "t.jsonl").write_text('{"n": 1, "v": 1, "v": 2}\n')
    assert "row 1: duplicate key 'v'" in refused(tmp_path, local("jsonl"), "integer")


def test_json_number_arrives_as_text_as_it_is_written(tmp_path: Path) -> None:
    tokens = ["1", "1.0", "12345678901234567890123", "0.10", "1e400", "-0"]
    assert receive(tmp_path, as_jsonl(tmp_path, tokens), "string").to_list() == tokens


@pytest.mark.parametrize(
    ("values", "kind", "says"),
    [
        ([2**53 + 1, 0.5], "number", "row 1 of .* has '9007199254740993'"),
        ([1, "1"], "string", "row 2 of .* has '1' among numbers"),
        ([5, "x"], "integer", "row 2 of .* has 'x'"),
        ([b"a", "a"], "string", "row 1 of .* has b'a'"),
        ([b"\xff"], "string", r"row 1 of .* has b'\\xff', which is bytes"),
        ([0, 1, 2], "boolean", "row 3 of .* has 2"),
    ],
)
def test_sqlite_that_would_make_two_values_one_is_refused(
    tmp_path: Path, values: list[Any], kind: str, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        receive(tmp_path, as_sqlite(tmp_path, values), kind)


def test_sqlite_mixes_integers_and_floats_without_loss(tmp_path: Path) -> None:
    values = [2**53 - 1, 0.5, None, 3]
    assert receive(tmp_path, as_sqlite(tmp_path, values), "number").to_list() == values
    whole = [2**62 + 1, 4.0, "12"]
    assert receive(tmp_path, as_sqlite(tmp_path, whole), "integer").to_list() == [2**62 + 1, 4, 12]


@pytest.mark.parametrize(
    ("expression", "kind", "wanted"),
    [
        ("170141183460469231731687303715884105727::HUGEINT", "string", str(2**127 - 1)),
        ("340282366920938463463374607431768211455::UHUGEINT", "string", str(2**128 - 1)),
        ("9223372036854775807::HUGEINT", "integer", 2**63 - 1),
        ("1.10::DECIMAL(38, 2)", "string", "1.10"),
        ("'2c5f3e20-7f44-4b0e-9c7e-0123456789ab'::UUID", "string",
         "2c5f3e20-7f44-4b0e-9c7e-0123456789ab"),
        ("TIMESTAMP_NS '2024-01-01 00:00:00.123456000'", "timestamp",
         datetime(2024, 1, 1, 0, 0, 0, 123456, UTC)),
        ("TIME '12:00:00.123456'", "time", time(12, 0, 0, 123456)),
        ("[1.10::DECIMAL(5, 2), NULL]", "array", "[1.10,null]"),
        ("[170141183460469231731687303715884105727::HUGEINT]", "array", f"[{2**127 - 1}]"),
        ("{'b': DATE '2024-01-01', 'a': 'é'}", "object", '{"b":"2024-01-01","a":"é"}'),
        ("""'{"b": 1.10, "a": [1]}'::JSON""", "object", '{"b":1.10,"a":[1]}'),
        ("'a'::BLOB", "string", "a"),
        ("'HUGEINT'::ENUM('HUGEINT', 'BIT')", "string", "HUGEINT"),
    ],
)  # fmt: skip
def test_duckdb_type_arrives_exactly(
    tmp_path: Path, expression: str, kind: str, wanted: Any
) -> None:
    assert receive(tmp_path, as_duckdb(tmp_path, [expression]), kind).to_list() == [wanted]


@pytest.mark.parametrize(
    ("expression", "kind"),
    [
        ("TIMESTAMP_NS '2024-01-01 00:00:00.123456789'", "timestamp"),
        ("'infinity'::TIMESTAMP", "timestamp"),
        ("'-infinity'::TIMESTAMPTZ", "timestamp"),
        ("'infinity'::DATE", "date"),
        ("DATE '12000-01-01'", "date"),
        ("TIMETZ '12:00:00+01'", "time"),
        ("'\\xAA'::BLOB", "string"),
        ("['nan'::DOUBLE]", "array"),
        ("'12'", "integer"),
    ],
)
def test_duckdb_value_that_no_signal_holds_is_refused(
    tmp_path: Path, expression: str, kind: str
) -> None:
    said = refused(tmp_path, as_duckdb(tmp_path, [expression]), kind)
    assert f"v must be a{'n' * (kind[0] in 'aio')} {kind}, but row 1 of" in said


# ---------------------------------------------------------------- booleans


@pytest.mark.parametrize(
    "pair", ["true false", "True False", "TRUE FALSE", "t f", "1 0", "1.0 0.0", "yes no", "Y N"]
)
def test_boolean_is_read_as_producers_write_it(tmp_path: Path, pair: str) -> None:
    server = as_csv(tmp_path, [*pair.split(), pair.split()[0]])
    assert receive(tmp_path, server, "boolean").to_list() == [True, False, True]


@pytest.mark.parametrize(
    ("first", "other"), [("true", "1"), ("1", "true"), ("yes", "t"), ("1", "2"), ("0", "no")]
)
def test_boolean_written_in_two_ways_is_refused(tmp_path: Path, first: str, other: str) -> None:
    said = refused(tmp_path, as_csv(tmp_path, [first, other]), "boolean")
    assert f"row 2 of t.csv has {other!r}" in said


# ---------------------------------------------------------------- times


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("where", ["csv", "parquet"])
@examples
@given(data=st.data())
def test_local_time_is_the_moment_of_its_zone_or_refused(
    tmp_path: Path, where: str, zone: str, data: st.DataObject
) -> None:
    info = ZoneInfo(zone)
    near = [datetime(2024, 3, 31), datetime(2024, 10, 27), datetime(2011, 12, 30),
            datetime(2018, 11, 4), datetime(2024, 4, 7), datetime(2024, 10, 6)]  # fmt: skip
    times = st.one_of(
        st.datetimes(datetime(1975, 1, 1), datetime(2030, 1, 1)),
        st.builds(
            lambda day, minutes: day + timedelta(minutes=minutes, seconds=1),
            st.sampled_from(near), st.integers(-60, 26 * 60),
        ),
    )  # fmt: skip
    wall = data.draw(times)
    moment = wall.replace(tzinfo=info).astimezone(UTC)
    exists = moment.astimezone(info).replace(tzinfo=None) == wall
    if where == "csv":
        server = as_csv(tmp_path, [wall.isoformat(" ")])
    else:
        server = as_parquet(tmp_path, pa.array([wall], pa.timestamp("us")))
    if exists or not wall.time():
        if exists:
            assert receive(tmp_path, server, "timestamp", zone)[0] == moment
    else:
        said = refused(tmp_path, server, "timestamp", zone=zone)
        assert f"which does not exist in {zone}: clocks went forward then" in said


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2024-01-01 00:00:00+00", datetime(2024, 1, 1, tzinfo=UTC)),
        ("2024-01-01 00:00:00+0530", datetime(2023, 12, 31, 18, 30, tzinfo=UTC)),
        ("2024-01-01T00:00Z", datetime(2024, 1, 1, tzinfo=UTC)),
        ("2024-01-01T00:00:00.123456000Z", datetime(2024, 1, 1, 0, 0, 0, 123456, UTC)),
        ("2024-01-01", datetime(2024, 1, 1, tzinfo=UTC)),
        ("0001-01-01 00:00", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_timestamp_is_read_as_producers_write_it(
    tmp_path: Path, text: str, wanted: datetime
) -> None:
    assert receive(tmp_path, as_csv(tmp_path, [text]), "timestamp").to_list() == [wanted]


@pytest.mark.parametrize(
    "text",
    [
        *("2024-01-01T00:00:00.123456789Z", "2024-01-01 23:59:60", "2024-01-01 24:00:00"),
        *("0000-01-01", "10000-01-01", "-0044-03-15", "2024-W01-1", "2024-02-30", "2024-1-1"),
        *("2024-01-01 25:00", "2024-01-01T00", "20240101", "1704067200", "01/02/2024"),
        *("2024-01-01 00:00:00 Europe/Berlin", "infinity", "2024-01-01+01:00"),
    ],
)
def test_text_that_is_no_timestamp_is_shown_with_its_row(tmp_path: Path, text: str) -> None:
    said = refused(tmp_path, as_csv(tmp_path, ["2024-01-01", text]), "timestamp")
    assert f"v must be a timestamp, but row 2 of t.csv has {text!r}" in said


@pytest.mark.parametrize("encoded", [False, True])
def test_text_of_parquet_is_a_time_and_no_number(tmp_path: Path, encoded: bool) -> None:
    texts = pa.array(["2024-01-01", "2024-01-02"])
    server = as_parquet(tmp_path, texts.dictionary_encode() if encoded else texts)
    assert receive(tmp_path, server, "date").to_list() == [date(2024, 1, 1), date(2024, 1, 2)]
    numbers = pa.array(["1", "2"])
    server = as_parquet(tmp_path, numbers.dictionary_encode() if encoded else numbers)
    said = refused(tmp_path, server, "integer")
    assert "row 1 of t.parquet has '1', which is a text (and 1 more)" in said


def test_day_is_a_midnight_and_no_other_time(tmp_path: Path) -> None:
    for server in (
        as_csv(tmp_path, ["2024-01-01", "2024-01-02 00:00:00"]),
        as_parquet(tmp_path, pa.array([datetime(2024, 1, 1), datetime(2024, 1, 2)])),
    ):
        assert receive(tmp_path, server, "date").to_list() == [date(2024, 1, 1), date(2024, 1, 2)]
    for server in (
        as_csv(tmp_path, ["2024-01-01", "2024-01-02 00:00:01"]),
        as_parquet(tmp_path, pa.array([datetime(2024, 1, 1), datetime(2024, 1, 2, 0, 0, 1)])),
    ):
        assert "v must be a date, but row 2 of" in refused(tmp_path, server, "date")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@examples
@given(value=st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)))
def test_timestamp_of_any_unit_arrives_to_the_microsecond(
    tmp_path: Path, unit: str, value: datetime
) -> None:
    if unit in ("s", "ms"):
        value = value.replace(microsecond=value.microsecond // 1000 * 1000 * (unit == "ms"))
    server = as_parquet(tmp_path, pa.array([value], pa.timestamp(unit, "UTC")))
    assert receive(tmp_path, server, "timestamp")[0] == value.replace(tzinfo=UTC)


@pytest.mark.parametrize("offset", ["+05:30", "-03:00", "+00:00"])
def test_timestamp_of_a_fixed_offset_is_the_moment(tmp_path: Path, offset: str) -> None:
    server = as_parquet(tmp_path, pa.array([0, 1], pa.timestamp("us", offset)))
    first = datetime(1970, 1, 1, tzinfo=UTC)
    wanted = [first, first + timedelta(microseconds=1)]
    assert receive(tmp_path, server, "timestamp", "Asia/Tokyo").to_list() == wanted


def test_timestamp_finer_than_a_microsecond_is_refused(tmp_path: Path) -> None:
    server = as_parquet(tmp_path, pa.array([1_000, 1_001], pa.timestamp("ns")))
    said = refused(tmp_path, server, "timestamp")
    assert "row 2 of t.parquet has 1970-01-01 00:00:00.000001, which is finer" in said


FORMATS = {
    "dd/MM/yyyy": "%d/%m/%Y",
    "MM/dd/yyyy HH:mm": "%m/%d/%Y %H:%M",
    "dd.MM.yyyy HH:mm:ss": "%d.%m.%Y %H:%M:%S",
    "yyyyMMdd": "%Y%m%d",
    "yyyy-MM-dd'T'HH:mm:ssX": "%Y-%m-%dT%H:%M:%SZ",
    "d/M/yy": "%-d/%-m/%y",
    "EEE, dd MMM yyyy": "%a, %d %b %Y",
    "hh:mm a 'on' MMMM d, yyyy": "%I:%M %p on %B %-d, %Y",
    "yyyy-MM-dd HH:mm:ss,SSSSSS": "%Y-%m-%d %H:%M:%S,%f",
    "yyyyMMddHHmmss": "%Y%m%d%H%M%S",
}


@pytest.mark.parametrize("form", FORMATS)
@examples
@given(value=st.datetimes(datetime(2000, 1, 1), datetime(2060, 1, 1)))
def test_time_in_a_format_of_its_own_is_the_time(
    tmp_path: Path, form: str, value: datetime
) -> None:
    text = value.strftime(FORMATS[form])
    wanted = datetime.strptime(text, FORMATS[form].replace("%-", "%")).replace(tzinfo=UTC)
    server = as_csv(tmp_path, [text])
    assert receive(tmp_path, server, "timestamp", form=form).to_list() == [wanted]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("dd/MM/yyyy", "31/02/2024"),
        ("dd/MM/yyyy", "01/31/2024"),
        ("dd/MM/yyyy", "1/1/2024"),
        ("dd/MM/yyyy", "01/01/2024 00:00"),
        ("d/M/yy", "01/1/24"),
        ("EEE, dd MMM yyyy", "Mon, 05 Jan 2024"),
        ("yyyyMMdd", "2024011"),
        ("yyyy-MM-dd'T'HH:mm:ssX", "2024-01-01T00:00:00"),
        ("epoch_s", "1.5"),
        ("epoch_ms", "99999999999999999"),
    ],
)
def test_time_in_another_format_is_refused(tmp_path: Path, form: str, text: str) -> None:
    said = refused(tmp_path, as_csv(tmp_path, [text]), "timestamp", form=form)
    assert f"v must be a timestamp, but row 1 of t.csv has {text!r}" in said


def test_number_of_seconds_is_a_moment(tmp_path: Path) -> None:
    wanted = datetime(2024, 1, 1, tzinfo=UTC)
    for form, number in (("epoch_s", 1704067200), ("epoch_ms", 1704067200000)):
        for server in (
            as_csv(tmp_path, [str(number)]),
            as_parquet(tmp_path, pa.array([number])),
            as_jsonl(tmp_path, [str(number)]),
        ):
            assert receive(tmp_path, server, "timestamp", form=form).to_list() == [wanted]


@pytest.mark.parametrize(
    ("kind", "form", "text", "wanted"),
    [
        ("timestamp", "epoch_s", "1704067200", datetime(2024, 1, 1, tzinfo=UTC)),
        ("timestamp", "dd/MM/yyyy", "01/01/2024", datetime(2023, 12, 31, 23, tzinfo=UTC)),
        ("date", "dd/MM/yyyy", "01/01/2024", date(2024, 1, 1)),
        ("date", "epoch_ms", "1704067200000", date(2024, 1, 1)),
        ("time", "HHmm", "1230", time(12, 30)),
        ("time", None, "12:30:00.123456789", time(12, 30, 0, 123456)),
        ("timestamp", None, "2024-01-01", datetime(2023, 12, 31, 23, tzinfo=UTC)),
        ("number", None, "0.10", 0.1),
        ("boolean", None, "yes", True),
        ("object", None, '{"a": 1.10}', '{"a":1.10}'),
    ],
)
def test_value_is_the_same_in_one_file_or_in_several(
    tmp_path: Path, kind: str, form: str | None, text: str, wanted: Any
) -> None:
    """Each file is read on its own, and all of them as a whole."""
    (tmp_path / "some").mkdir()
    as_csv(tmp_path, [text])
    content = (tmp_path / "t.csv").read_text()
    (tmp_path / "some" / "a.csv").write_text(content)
    (tmp_path / "some" / "b.csv").write_text(content.replace("\n0,", "\n1,"))
    some = "{server: source, type: local, path: some, format: csv}"
    got = receive(tmp_path, some, kind, "Europe/Berlin", form=form)
    assert got.to_list() == [wanted, wanted]
    one = receive(tmp_path, local("csv"), kind, "Europe/Berlin", form=form)
    assert one.equals(got.head(1))


@pytest.mark.parametrize(
    ("text", "wanted"), [("12:30", time(12, 30)), ("23:59:59.5", time(23, 59, 59, 500000))]
)
def test_time_of_the_day_arrives(tmp_path: Path, text: str, wanted: time) -> None:
    assert receive(tmp_path, as_csv(tmp_path, [text]), "time").to_list() == [wanted]


@pytest.mark.parametrize("text", ["24:00:00", "12:30:60", "12:30+01", "1:30", "12", "12:30 PM"])
def test_text_that_is_no_time_of_the_day_is_refused(tmp_path: Path, text: str) -> None:
    said = refused(tmp_path, as_csv(tmp_path, [text]), "time")
    assert f"v must be a time, but row 1 of t.csv has {text!r}" in said


# ---------------------------------------------------------------- objects and arrays

leaves = st.one_of(st.none(), st.booleans(), st.integers(), decimals.map(str).map(float),
                   st.text(st.characters(exclude_categories=["Cs"]), max_size=5))  # fmt: skip
documents = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(
        st.characters(exclude_categories=["Cs"]), max_size=3), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@pytest.mark.parametrize("where", ["jsonl", "sqlite", "parquet"])
@examples
@given(value=st.dictionaries(st.text(max_size=0) | st.just("a"), documents, max_size=2))
def test_object_keeps_every_digit_and_the_order_of_its_keys(
    tmp_path: Path, where: str, value: dict[str, Any]
) -> None:
    text = json.dumps(value, indent=1)
    if where == "jsonl":
        server = as_jsonl(tmp_path, [json.dumps(value)])
    elif where == "sqlite":
        server = as_sqlite(tmp_path, [text])
    else:
        server = as_parquet(tmp_path, pa.array([text]))
    got = receive(tmp_path, server, "object")[0]
    assert got == json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize(
    ("values", "kind", "wanted"),
    [
        (pa.array([{"b": Decimal("1.10"), "a": [1, None]}, None]), "object",
         ['{"b":1.10,"a":[1,null]}', None]),
        (pa.array([[2**63 - 1], []]), "array", [f"[{2**63 - 1}]", "[]"]),
        (pa.array([[date(2024, 1, 1)]]), "array", ['["2024-01-01"]']),
        (pa.array([[{"a": datetime(2024, 1, 1, 0, 0, 0, 5)}]]), "array",
         ['[{"a":"2024-01-01T00:00:00.000005"}]']),
        (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), "object", ['{"k":1}']),
    ],
)  # fmt: skip
def test_nested_column_arrives_as_compact_json(
    tmp_path: Path, values: Any, kind: str, wanted: list[str]
) -> None:
    assert receive(tmp_path, as_parquet(tmp_path, values), kind).to_list() == wanted


@pytest.mark.parametrize(
    "values",
    [
        pa.array([[1.0], [math.nan]]),
        pa.array([[0], [1]], pa.list_(pa.timestamp("ns"))),
        pa.array(["[1]", "[1"]),
        pa.array(["[1]", "{}"]),
        pa.array(["[1]", "[NaN]"]),
    ],
)
def test_nested_value_that_json_does_not_have_is_refused(tmp_path: Path, values: Any) -> None:
    said = refused(tmp_path, as_parquet(tmp_path, values), "array")
    assert "v must be an array, but row 2 of" in said


def test_uuid_of_parquet_is_its_text(tmp_path: Path) -> None:
    value = uuid.UUID("2c5f3e20-7f44-4b0e-9c7e-0123456789ab")
    server = as_parquet(tmp_path, pa.array([value.bytes, None], pa.uuid()))
    assert receive(tmp_path, server, "string").to_list() == [str(value), None]


def test_keys_differ_as_texts_do_and_zeros_do_not(tmp_path: Path) -> None:
    contract = "string, primaryKey: true"
    server = as_csv(tmp_path, ["e\u0301", "\u00e9"])
    assert receive(tmp_path, server, contract).n_unique() == 2
    (tmp_path / "t.csv").write_text("n,v\n1,-0.0\n1,0.0\n")
    assert "2 rows of t.csv share their key" in refused(
        tmp_path, local("csv"), "number, primaryKey: true"
    )


@pytest.mark.parametrize(
    ("texts", "bad"),
    [
        (["1801439.850948197", "1801439.8509481971"], "1801439.8509481971"),
        (["0.1", "0.10000000000000001"], "0.10000000000000001"),
        (["0.10000000000000001", "0.1000000000000000056"], "0.10000000000000001"),
        # the same number, however it is written; and what one program writes with many digits
        (["0.1", "0.10", "1e-1"], None),
        (["0.10000000000000001", "0.20000000000000001"], None),
    ],
)
def test_two_numbers_that_share_a_float_are_never_taken_for_one(
    texts: list[str], bad: str | None
) -> None:
    series = pl.Series(texts)
    refused = series.filter(exact_numbers.numbers(series).is_null()).to_list()
    assert bad in refused if bad else not refused


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("yyyy-MM-dd'T'HH:mm:ssZ", "2024-01-01T00:00:00Z"),
        ("yyyy-MM-ddTHH:mm:ssZ", "2024-01-01T01:00:00+0100"),
        ("yyyy-MM-dd'T'HH:mm:ssZ", "2024-01-01T01:00:00+01:00"),
    ],
)
def test_offset_is_read_as_producers_write_it(pattern: str, text: str) -> None:
    (moment,) = times.moments(pl.Series([text]), "UTC", pattern).to_list()
    assert moment == datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("last", [date(9999, 12, 31), datetime(9999, 12, 31, 23, 59, 59)])
def test_last_day_that_there_is_arrives(last: date) -> None:
    read = times.moments if isinstance(last, datetime) else times.dates
    zone = ["UTC"] if isinstance(last, datetime) else []
    for series in (pl.Series([last]), pl.Series([last.isoformat()])):
        (value,) = read(series, *zone).to_list()
        assert value.replace(tzinfo=None) == last if zone else value == last


def test_time_without_an_offset_is_in_its_fields_zone() -> None:
    field = Field("at", "timestamp", time_zone="Europe/Berlin")
    values = casts.cast(pl.Series("at", ["2024-07-01 00:00:00"]), field, field.time_zone or "")
    assert values.to_list() == [datetime(2024, 6, 30, 22, tzinfo=UTC)]


@given(
    st.lists(
        st.sampled_from(["NaN", "nan", "Nan", "-inf", "Infinity", "Nantes", "1e309", "0", "-0.0"])
        | st.text("0123456789.-+eE", max_size=30)
        | st.none(),
        max_size=12,
    )
)
@settings(max_examples=300)
def test_texts_of_numbers_and_words_are_told_apart(
    texts: list[str | None],
) -> None:
    column = pl.Series(texts, dtype=pl.String)
    for read in (exact_numbers.numbers, exact_numbers.integers):
        for text, value in zip(texts, read(column), strict=True):
            if value is not None and math.isfinite(value):
                assert Decimal(text) == Decimal(repr(value))
    assert type_of_texts(column) in ("string", "integer", "number", "date", "timestamp", "boolean")
