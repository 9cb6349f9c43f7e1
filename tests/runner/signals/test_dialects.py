"""Files as producers' tools write them: drafted, received, and the same table as any other."""

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ml_experiment_runner.cli.new import new
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.contract.source_configuration import SourceConfiguration
from ml_experiment_runner.signals.sources import fetch
from support.data_project import DataProject, build
from support.reading import serve

MANY = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataProject]:
    project = build(tmp_path_factory.mktemp("dialects") / "project")
    for path in (project.root / "signals").glob("*.yaml"):
        path.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ML_EXPERIMENT_ROOT", str(project.root))
        patch.setenv("ML_EXPERIMENT_ROOT", str(project.root))
        yield project


@pytest.fixture
def project(shared: DataProject) -> DataProject:
    return shared


def drafted(project: DataProject, place: str | Path) -> Contract:
    project.contract("orders").unlink(missing_ok=True)
    assert new(["signal", "orders", "--from", str(place)]) == 0
    return read_contracts(project.root)["orders"]


def put(project: DataProject, name: str, data: bytes) -> Path:
    path = project.root / "data" / "raw" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# ---------------------------------------------------------------- what producers write

DAYS = [date(2024, 1, 1) + timedelta(days=9 * each) for each in range(40)]
TABLE = pl.DataFrame(
    {
        "id": [*range(1, 41)],
        "größe, außen": [each * 1234.25 - 5000 for each in range(40)],
        "town": [
            ("Köln; Süd", 'the "old" one', "O'Fallon", "a,b", "x|y")[e % 5] for e in range(40)
        ],
        "day": DAYS,
        "seen": [datetime(2024, 2, 27, 9, 30) + timedelta(hours=31 * e) for e in range(40)],
        "count": [None if each % 7 == 3 else each * 1000 for each in range(40)],
    }
)
WANTED = TABLE.with_columns(pl.col("seen").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"))


def comma(value: float | None, thousands: str = "") -> str:
    if value is None:
        return ""
    text = f"{value:,.2f}" if isinstance(value, float) else f"{value:,}"
    return text.replace(",", "\0").replace(".", ",").replace("\0", thousands)


def written(
    days: str = "%Y-%m-%d", times: str = "%Y-%m-%d %H:%M:%S", number: Callable[..., str] = str
) -> list[list[str]]:
    """The table's rows as texts."""
    return [
        [
            str(row["id"]),
            number(row["größe, außen"]),
            row["town"],
            row["day"].strftime(days),
            row["seen"].strftime(times),
            "" if row["count"] is None else number(row["count"]),
        ]
        for row in TABLE.iter_rows(named=True)
    ]


def by_csv(
    rows: list[list[str]], encoding: str = "utf-8", header: bool = True, **how: Any
) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, **how)
    writer.writerows([TABLE.columns] if header else [])
    writer.writerows(rows)
    return text.getvalue().encode(encoding)


def by_pandas(**how: Any) -> bytes:
    frame = pd.DataFrame(TABLE.to_dict(as_series=False))
    frame["count"] = frame["count"].astype("Int64")
    text = frame.to_csv(**{"index": False, "lineterminator": "\n", **how})
    return str(text).encode(how.get("encoding", "utf-8"))


def german(thousands: str = "") -> list[list[str]]:
    return written("%d.%m.%Y", "%d.%m.%Y %H:%M", lambda value: comma(value, thousands))


def lined_up(rows: list[list[str]], width: int) -> bytes:
    """Columns below each other, texts in quotes."""
    cells = [[f'"{cell.replace(chr(34), 2 * chr(34))}"' if re.search(r"[,;\"']", cell) else cell
              for cell in row] for row in rows]  # fmt: skip
    lines = ["".join(f"{cell}, ".ljust(width) for cell in row[:-1]) + row[-1] for row in cells]
    return ("\n".join(lines) + "\n").encode()


EXCEL = by_csv(german("."), "cp1252", delimiter=";", lineterminator="\r\n")
PRODUCERS: dict[str, bytes] = {
    "csv": by_csv(written()),
    "csv: tabs": by_csv(written(), dialect="excel-tab"),
    "csv: semicolons, single quotes": by_csv(written(), delimiter=";", quotechar="'"),
    "csv: pipes, all quoted": by_csv(written(), delimiter="|", quoting=csv.QUOTE_ALL),
    "csv: CR": by_csv(written(), lineterminator="\r"),
    "csv: LF, Latin-1": by_csv(written(), "latin-1", lineterminator="\n"),
    **{
        f"csv: {encoding}, {delimiter!r}": by_csv(written(), encoding, delimiter=delimiter)
        for delimiter in (",", "\t")
        for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32")
    },
    "csv: day first": by_csv(written("%d/%m/%Y", "%d/%m/%Y %H:%M:%S")),
    "csv: month first": by_csv(written("%m/%d/%Y", "%m/%d/%Y %H:%M")),
    "csv: compact days": by_csv(written("%Y%m%d", "%Y%m%d%H%M%S")),
    "csv: years first": by_csv(written("%Y/%m/%d", "%Y/%m/%d %H:%M:%S")),
    "csv: short years": by_csv(written("%d-%m-%y", "%d-%m-%y %H:%M")),
    "csv: Spark": by_csv(
        written(), escapechar="\\", doublequote=False, quoting=csv.QUOTE_ALL
    ),
    "csv: spaces behind commas": lined_up([TABLE.columns, *written()], 0),
    "csv: lined up": lined_up([TABLE.columns, *written()], 24),
    "csv: parted by spaces": by_csv(written(), delimiter=" "),
    "csv: Oracle": by_csv(
        [[*row[:3], row[3].upper(), *row[4:]]
         for row in written("%d-%b-%y", "%d-%b-%Y %I:%M:%S %p")]
    ),
    "csv: American": by_csv(written("%b %-d, %Y", "%-m/%-d/%Y %-I:%M %p")),
    "csv: mail and HTTP": by_csv(written("%a, %d %b %Y", "%a, %d %b %Y %H:%M:%S GMT")),
    "csv: web server": by_csv(written("%d/%b/%Y", "%d/%b/%Y:%H:%M:%S +0000")),
    "csv: no padding": by_csv(
        [[*row[:3], f"{day.day}/{day.month}/{day.year}", *row[4:]]
         for row, day in zip(written(), DAYS, strict=True)]
    ),
    "csv: a preamble": b"Orders of 2024\nas of today, by Ada\n\n" + by_csv(written()),
    "csv: thousands": by_csv(written(number=lambda value: f"{value:,}")),
    "csv: Swiss": by_csv(
        written("%d.%m.%Y", number=lambda value: f"{value:,}".replace(",", "'")), delimiter=";"
    ),
    "csv: French": by_csv(
        written("%d/%m/%Y", number=lambda value: comma(value, "\u202f")), delimiter=";"
    ),
    "csv: delimiter at each line's end": by_csv(written()).replace(b"\r\n", b",\r\n"),
    "csv: delimiter at each row's end": by_csv(written()).replace(b"\r\n", b",\r\n").replace(
        b",\r\n", b"\r\n", 1
    ),
    "Excel: German": EXCEL,
    "Excel: German, UTF-8": b"\xef\xbb\xbf" + EXCEL.decode("cp1252").encode(),
    "Excel: sep=": b"sep=;\r\n" + EXCEL,
    "pandas": by_pandas(),
    "pandas: German": by_pandas(sep=";", decimal=",", date_format="%d.%m.%Y %H:%M:%S"),
    "pandas: decimal comma between commas": by_pandas(decimal=","),
    "pandas: all quoted": by_pandas(quoting=csv.QUOTE_NONNUMERIC),
    "pandas: nulls": by_pandas(na_rep="NA"),
    "pandas: CRLF, UTF-16": by_pandas(encoding="utf-16", lineterminator="\r\n"),
    "polars": TABLE.write_csv().encode(),
    "polars: tabs, BOM": TABLE.write_csv(separator="\t", include_bom=True).encode(),
    "polars: never quoted": TABLE.with_columns(
        pl.col("town").str.replace_all('[,"]', "")
    ).rename({"größe, außen": "size"}).write_csv(quote_style="never").encode(),
    "polars: all quoted": TABLE.write_csv(quote_style="always", null_value="null").encode(),
}  # fmt: skip


def same(frame: pl.DataFrame, wanted: pl.DataFrame) -> None:
    """Whether tables are the same, where days may be moments and `None` an empty text."""
    for got, true in zip(frame, wanted, strict=True):
        if true.dtype == pl.Date and got.dtype != pl.Date:
            true = true.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        if true.dtype == pl.Int64 and got.dtype == pl.Float64:
            true = true.cast(pl.Float64)
        assert got.to_list() == true.to_list(), got.name


@pytest.mark.parametrize("name", PRODUCERS)
def test_what_a_producers_tool_writes_is_drafted_and_received(
    project: DataProject, name: str
) -> None:
    contract = drafted(project, put(project, "orders.csv", PRODUCERS[name]))
    frame = fetch.fetch_rows(contract)
    wanted = WANTED
    if name == "polars: never quoted":
        wanted = WANTED.with_columns(pl.col("town").str.replace_all('[,"]', ""))
    else:
        assert frame.columns == wanted.columns
    same(frame, wanted)


def received(contract: Contract) -> pl.DataFrame | None:
    """The rows, or none where a line or two say why not."""
    try:
        return fetch.fetch_rows(contract)
    except UserError as told:
        message = str(told)
    assert len(message.splitlines()) <= 2
    return None


def pack_zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue().to_pybytes())


def pack_zip(method: int) -> Callable[[bytes], bytes]:
    def pack(data: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            archive.writestr("orders.csv", data)
        return file.getvalue()

    return pack


PACKED: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": (".gz", gzip.compress),
    "bzip2": (".bz2", bz2.compress),
    "bzip2 in two": (".bz2", lambda data: bz2.compress(data[:90]) + bz2.compress(data[90:])),
    "xz": (".xz", lzma.compress),
    "xz in two": (
        ".xz",
        lambda data: lzma.compress(data[:90]) + b"\0" * 4 + lzma.compress(data[90:]),
    ),
    "zstd": (".zst", pack_zstd),
    "zip": (".zip", pack_zip(zipfile.ZIP_DEFLATED)),
    "zip, stored": (".zip", pack_zip(zipfile.ZIP_STORED)),
    "zip, bzip2": (".zip", pack_zip(zipfile.ZIP_BZIP2)),
    "zip, lzma": (".zip", pack_zip(zipfile.ZIP_LZMA)),
}  # fmt: skip


@pytest.mark.parametrize("packing", PACKED)
@pytest.mark.parametrize("named", [True, False])
def test_packed_file_is_drafted_and_received(
    project: DataProject, packing: str, named: bool
) -> None:
    ending, pack = PACKED[packing]
    for name, data in (("orders.csv", EXCEL), ("orders.json", TABLE.write_json().encode())):
        if ending == ".zip" and name == "orders.json":
            continue
        ends = ending if named or ending == ".zip" else ""
        frame = fetch.fetch_rows(drafted(project, put(project, name + ends, pack(data))))
        same(frame, WANTED)


@pytest.mark.parametrize("packing", PACKED)
def test_packed_file_that_is_damaged_never_has_fewer_rows(
    project: DataProject, packing: str
) -> None:
    ending, pack = PACKED[packing]
    packed = pack(EXCEL)
    contract = drafted(project, put(project, "orders.csv" + ending, packed))
    place = project.root / contract.source

    @MANY
    @given(cut=st.integers(0, len(packed) - 1), flip=st.integers(-1, len(packed) * 8 - 1))
    def check(cut: int, flip: int) -> None:
        data = bytearray(packed)
        if flip >= 0 and packing != "zstd":  # which has no sum to check here
            data[flip // 8] ^= 1 << flip % 8
        else:
            data = data[:cut]
        place.write_bytes(data)
        frame = received(contract)
        if frame is not None:  # a bit that nothing depends on, as in a date of packing
            same(frame, WANTED)

    check()


CONTRACTS: dict[str, Contract] = {}


@MANY
@given(share=st.floats(0, 1, exclude_max=True), name=st.sampled_from(sorted(PRODUCERS)))
def test_file_that_is_cut_off_within_a_row_is_told(
    shared: DataProject, share: float, name: str
) -> None:
    data = PRODUCERS[name]
    if name not in CONTRACTS:
        CONTRACTS[name] = drafted(shared, put(shared, "cut.csv", data))
    cut = data[: int(share * len(data))]
    put(shared, "cut.csv", cut)
    frame = received(CONTRACTS[name])
    if frame is None:
        return
    # only the last value may be shorter, which is warned of
    same(frame.drop("count"), fetch.fetch_rows(_whole(shared, name)).drop("count")[: frame.height])
    above = line_ends(data) - TABLE.height
    assert frame.height in (line_ends(cut) - above, line_ends(cut) - above + 1)


def _whole(project: DataProject, name: str) -> Contract:
    put(project, "cut.csv", PRODUCERS[name])
    return CONTRACTS[name]


def line_ends(data: bytes) -> int:
    return data.count(b"\n") or data.count(b"\r")


# ---------------------------------------------------------------- what the draft says


def entry(project: DataProject, name: str) -> str:
    drafted(project, put(project, "orders.csv", PRODUCERS[name]))
    lines = project.contract("orders").read_text().splitlines()
    return next(line for line in lines if "server: source" in line).partition("format: csv")[2]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("csv", "}"),
        ("pandas", "}"),
        ("csv: utf-16, ','", "}"),
        ("csv: utf-16-le, ','", "encoding, value: utf-16-le}]}"),
        ("csv: tabs", "delimiter, value: tab}]}"),
        ("csv: a preamble", 'header, value: "4"}]}'),
        ("csv: thousands", 'thousands, value: ","}]}'),
    ],
)
def test_draft_says_of_a_dialect_only_what_differs(
    project: DataProject, name: str, says: str
) -> None:
    found = entry(project, name)
    assert found.endswith(says)
    assert found.count("property:") == (says != "}")


def test_draft_of_a_file_by_excel_says_all_that_differs(project: DataProject) -> None:
    contract = drafted(project, put(project, "orders.csv", EXCEL))
    said = {
        key: contract.source_configuration.options[key]
        for key in contract.source_configuration.options
    }
    del said["path"]
    assert said == {
        "format": "csv", "delimiter": ";", "encoding": "cp1252", "decimal": ",", "thousands": ".",
    }  # fmt: skip
    assert contract.field("day").format == "dd.MM.yyyy"
    assert contract.field("seen").format == "dd.MM.yyyy HH:mm"
    assert "a guess: other encodings" in project.contract("orders").read_text()


def test_days_that_may_be_months_stay_texts_and_are_told_of(project: DataProject) -> None:
    data = b"id,day\n1,01/02/2024\n2,03/04/2024\n3,12/11/2024\n"
    contract = drafted(project, put(project, "orders.csv", data))
    assert contract.field("day").type == "string"
    assert "may be a date in dd/MM/yyyy and in MM/dd/yyyy" in project.contract("orders").read_text()


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_seconds_since_1970_are_moments_if_named_a_time(project: DataProject, form: str) -> None:
    moments = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=each) for each in range(9)]
    frame = pl.DataFrame(
        {"id": range(9), "createdAt": [int(each.timestamp()) * 1000 for each in moments]}
    )
    data = io.BytesIO()
    {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[form](
        data
    )
    contract = drafted(project, put(project, f"orders.{form}", data.getvalue()))
    assert contract.field("createdAt").type == "timestamp"
    assert contract.event_time == "createdAt"
    assert fetch.fetch_rows(contract)["createdAt"].to_list() == moments


def test_row_names_as_r_writes_them_are_one_more_column(project: DataProject) -> None:
    data = b'"weight" "feed" "pig"\n"a" 26.5 1.25 1\n"b" 27 2.5 2\n"c" 28 2.75 3\n'
    contract = drafted(project, put(project, "orders.csv", data))
    assert contract.names == ("column_1", "weight", "feed", "pig")
    assert fetch.fetch_rows(contract)["column_1"].to_list() == ["a", "b", "c"]
    # one name too few is another thing where the first column names no rows
    data = b"shop,sold\nN,1,5\nN,2,6\n"
    with pytest.raises(UserError, match="3 values instead of 2 in row 1"):
        drafted(project, put(project, "orders.csv", data))


@pytest.mark.parametrize(
    ("data", "column", "values"),
    [
        # spaces that belong to a text
        (b"id,text\n1,hello\n2, world\n", "text", ["hello", " world"]),
        (b'id,text\n1," a"\n2," b"\n', "text", [" a", " b"]),
        (b"name\nAda Lovelace\nAlan Turing\n", "name", ["Ada Lovelace", "Alan Turing"]),
        (b"day;sum\n1;1 234\n2;5 678\n", "sum", [1234, 5678]),
        # backslashes that belong to a text
        (b'id,path\n1,"C:\\new, old\\"\n2,"D:\\"\n', "path", ["C:\\new, old\\", "D:\\"]),
        (b'id,path\n1,C:\\dir\n2,"say \\"a, b\\""\n', "path", ["C:\\dir", 'say "a, b"']),
    ],
)
def test_spaces_and_backslashes_of_a_text_stay(
    project: DataProject, data: bytes, column: str, values: list[object]
) -> None:
    contract = drafted(project, put(project, "orders.csv", data))
    assert sorted(fetch.fetch_rows(contract)[column].to_list(), key=str) == sorted(values, key=str)


def test_thousands_that_may_be_decimals_stay_texts(project: DataProject) -> None:
    data = b"id;size\n1;1,234\n2;5,678\n"
    contract = drafted(project, put(project, "orders.csv", data))
    assert contract.field("size").type == "string"


def test_columns_without_a_line_of_names_are_numbered(project: DataProject) -> None:
    data = by_csv(written(), header=False)
    contract = drafted(project, put(project, "orders.csv", data))
    assert contract.names == tuple(f"column_{each}" for each in range(1, 7))
    assert contract.source_configuration.options["header"] == "none"
    same(fetch.fetch_rows(contract), WANTED)
    text = project.contract("orders").read_text().replace("column_3", "town")
    project.contract("orders").write_text(text)
    assert fetch.fetch_rows(read_contracts(project.root)["orders"])["town"][0] == "Köln; Süd"


def test_columns_without_a_name_are_called_by_their_position(project: DataProject) -> None:
    """The index of pandas, and the names of rows of R."""
    frame = pd.DataFrame({"size": [5, 7, 9]}, index=["a", "b", "c"])
    contract = drafted(project, put(project, "orders.csv", frame.to_csv().encode()))
    assert contract.names == ("column_1", "size")
    r = b'"","size"\n"a",5\n"b",7\n"c",9\n'
    assert fetch.fetch_rows(drafted(project, put(project, "orders.csv", r))).rows() == [
        ("a", 5), ("b", 7), ("c", 9),
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["csv", "parquet", "json", "jsonl"])
def test_names_no_field_can_have_become_physical_names(project: DataProject, form: str) -> None:
    names = ["*", "^a.*$", " spaced ", "a.b", 'x "y"', "größe", "spaced"]
    frame = pl.DataFrame({name: [place, place + 10] for place, name in enumerate(names)})
    write = {"csv": frame.write_csv, "parquet": frame.write_parquet, "json": frame.write_json,
             "jsonl": frame.write_ndjson}  # fmt: skip
    path = put(project, f"orders.{form}", b"")
    write[form](path)
    contract = drafted(project, path)
    assert contract.source_names == tuple(names)
    assert contract.names[:2] == ("column_1", "a")
    assert contract.names[3:] == tuple(names[3:])
    assert sorted(fetch.fetch_rows(contract).rows()) == [tuple(range(7)), tuple(range(10, 17))]


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=6)


@MANY
@given(
    table=st.lists(st.tuples(cells, cells), min_size=1, max_size=8),
    delimiter=st.sampled_from(",;\t|§^ "),
    quote=st.sampled_from(['"', "'"]),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32-le"]),
    header=st.sampled_from(["1", "none", "3"]),
)
def test_texts_in_a_dialect_of_the_contract_arrive_as_they_are(
    shared: DataProject, table: list[tuple[str, str]], delimiter: str, quote: str, end: str,
    encoding: str, header: str,
) -> None:  # fmt: skip
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quotechar=quote, lineterminator=end)
    if header == "3":
        text.write(f"of 2024{end}by Ada{end}")
    rows = [(str(place), *cells) for place, cells in enumerate(table)]
    writer.writerows(rows if header == "none" else [("id", "a", "b"), *rows])
    put(shared, "orders.csv", text.getvalue().encode(encoding))
    word = {"\t": "tab", " ": "space"}.get(delimiter, delimiter)
    properties = {"delimiter": word, "quote": quote, "encoding": encoding, "header": header}
    frame = fetch.fetch_rows(texts_contract(shared, properties))
    got = [tuple(value or "" for value in row) for row in frame.sort("id").rows()]
    assert got == sorted(rows)


def texts_contract(project: DataProject, properties: dict[str, str], form: str = "csv") -> Contract:
    listed = ", ".join(
        f"{{property: {name}, value: {json.dumps(text)}}}" for name, text in properties.items()
    )
    fields = "".join(
        f"\n      - {{name: {name}, logicalType: string{', primaryKey: true' * (name == 'id')}}}"
        for name in ("id", "a", "b")
    )
    project.contract("orders").write_text(
        f"""\
apiVersion: v3.1.0
kind: DataContract
id: orders
version: 1.0.0
status: active
team: {{name: Team orders}}
support: [{{channel: orders@example.com}}]
servers:
  - {{server: source, type: local, path: data/raw/orders.{form}, format: {form},
     customProperties: [{listed}]}}
schema:
  - name: orders
    properties:{fields}
"""
    )
    return read_contracts(project.root)["orders"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("delimiter", ";;"),
        ("delimiter", "\\n"),
        ("quote", "`"),
        ("encoding", "klingon"),
        ("encoding", "rot13"),
        ("encoding", "hex"),
        ("decimal", ";"),
        ("thousands", "_"),
        ("thousands", "."),
        ("header", "0"),
        ("header", "-1"),
        ("header", "yes"),
        ("maxBytes", "many"),
    ],
)
def test_meaningless_option_of_a_dialect_is_told_with_line(
    project: DataProject, name: str, value: str
) -> None:
    with pytest.raises(UserError, match=rf"^signals/orders\.yaml:10: .*({name}|whole number)"):
        texts_contract(project, {name: value})


@pytest.mark.parametrize("bad", ["1.5", "1.234", "1,234.5", "1.23,4", "12.34,5"])
def test_number_in_another_dialect_is_no_number(project: DataProject, bad: str) -> None:
    data = f"id;size\n1;1,5\n2;{'2,5'}\n".encode()
    contract = drafted(project, put(project, "orders.csv", data))
    assert contract.source_configuration.options["decimal"] == ","
    put(project, "orders.csv", data.replace(b"2,5", bad.encode()))
    with pytest.raises(UserError, match=f"size must be a number, but row 2 of .* has '{bad}'"):
        fetch.fetch_rows(contract)


# ---------------------------------------------------------------- several files


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl", "json"])
@pytest.mark.parametrize("place", ["sales", "sales/year=*/month=*/*", "sales/**/part*"])
def test_folders_that_say_keys_are_drafted_and_received(
    project: DataProject, tmp_path: Path, form: str, place: str
) -> None:
    wanted = []
    for year in (2023, 2024):
        for month in ("01", "02", "a b"):
            folder = tmp_path / "sales" / f"year={year}" / f"month={month.replace(' ', '%20')}"
            folder.mkdir(parents=True)
            frame = pl.DataFrame({"id": [1, 2], "size": [year, len(month)]})
            write = {"csv": frame.write_csv, "parquet": frame.write_parquet,
                     "json": frame.write_json, "jsonl": frame.write_ndjson}  # fmt: skip
            write[form](folder / f"part-0.{form}")
            (folder / "_SUCCESS").touch() if "*" not in place else None
            (folder / ".hidden.csv").write_text("x")
            wanted += [(*row, year, month) for row in frame.rows()]
    if "*" not in place:  # a link back up leads nowhere new
        (tmp_path / "sales" / "loop=1").symlink_to(tmp_path / "sales")
    contract = drafted(project, f"{tmp_path}/{place}")
    assert contract.names == ("id", "size", "year", "month")
    assert [contract.field(name).type for name in ("year", "month")] == ["integer", "string"]
    assert sorted(fetch.fetch_rows(contract).rows()) == sorted(wanted)


def test_endings_that_producers_write_are_found_in_a_folder(
    project: DataProject, tmp_path: Path
) -> None:
    names = ["a.csv", "b.CSV", "c.csv.gz", "d.tsv", "e.csv.zip"]
    for number, name in enumerate(names):
        data = f"id,size\n{number},{number * 2}\n".encode()
        packed = {".gz": gzip.compress, ".zip": PACKED["zip"][1]}.get(Path(name).suffix, bytes)
        (tmp_path / name).write_bytes(packed(data))
    (tmp_path / "README.txt").write_text("these are the orders")
    rows = fetch.fetch_rows(drafted(project, tmp_path)).rows()
    assert rows == [(number, number * 2) for number in range(5)]
    pl.DataFrame({"id": [1]}).write_parquet(tmp_path / "f.parquet")
    with pytest.raises(UserError, match="holds csv and parquet files"):
        drafted(project, tmp_path)


# ---------------------------------------------------------------- places and files that are none

PLACES = [
    "a**b.csv", "~nosuchuser/a.csv", "package:", "package:/", "package:..", "package:a b/c.csv",
    "x" * 300 + ".csv", "/".join(["y" * 200] * 30) + ".csv", "a\0b.csv", "/dev/zero", "/dev/null",
    "[", "[]", "**", "***", "*", "a/**/**/b.csv", "", ".", "..", "/", "//", "no/such.csv", "a\nb",
    "/proc/self/mem", "../../..", "{a,b}.csv", "[!a", "?*[", "C:\\a.csv", "s p a c e", "é́", "-",
]  # fmt: skip


@MANY
@given(
    place=st.one_of(
        st.sampled_from(PLACES),
        st.text(st.sampled_from("ab*?[]/~.{}\\ \0é=:!"), min_size=1, max_size=12),
    )
)
def test_place_that_holds_nothing_is_told_in_a_line(shared: DataProject, place: str) -> None:
    assume(not place.startswith(("/", "..")) or place in PLACES)
    contract = texts_contract(shared, {"header": "1"})
    server = SourceConfiguration("files", {"path": place or ".", "format": "parquet"})
    with pytest.raises(UserError) as error:
        fetch.fetch_rows(replace(contract, source_configuration=server))
    assert len(str(error.value).splitlines()) <= 2 + place.count("\n") * 2
    assert str(error.value).startswith("signal orders: ")
    with pytest.raises(UserError) as told:
        drafted(shared, place or ".")
    assert len(str(told.value).splitlines()) <= 2 + place.count("\n") * 2


def test_pipe_is_told_and_not_waited_for(project: DataProject, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(UserError, match=r"a\.csv cannot be read \(it is not a regular file\)"):
        drafted(project, tmp_path / "a.csv")


def test_links_that_lead_to_each_other_are_told(project: DataProject, tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to(tmp_path / "b.csv")
    (tmp_path / "b.csv").symlink_to(tmp_path / "a.csv")
    for place in (tmp_path / "a.csv", tmp_path / "*.csv"):
        with pytest.raises(UserError, match=r"a\.csv cannot be read \(Too many levels"):
            drafted(project, place)


def test_file_that_unpacks_to_more_than_it_may_is_told(project: DataProject) -> None:
    data = b"id,size\n" + b"".join(b"%d,5\n" % each for each in range(20_000))
    for packing, (ending, pack) in PACKED.items():
        path = put(project, "orders.csv" + ending, pack(data))
        contract = drafted(project, path)
        text = project.contract("orders").read_text()
        more = "format: csv, customProperties: [{property: maxBytes, value: 100000}]"
        project.contract("orders").write_text(text.replace("format: csv", more))
        with pytest.raises(UserError, match=r"unpacks to more than 100,000 bytes.\nIf that is"):
            fetch.fetch_rows(read_contracts(project.root)["orders"])
        assert fetch.fetch_rows(contract).height == 20_000, packing


def test_archive_that_grows_as_no_table_does_is_stopped(
    project: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ml_experiment_runner.signals.sources.file_content.SMALL", 10**6)
    bomb = lzma.compress(b"id,size\n" + b"1,5\n" * 3 * 10**6)
    with pytest.raises(UserError, match=r"unpacks to more than [\d,]+ bytes"):
        drafted(project, put(project, "orders.csv.xz", bomb))


def test_archive_with_a_password_is_told(project: DataProject) -> None:
    data = bytearray(pack_zip(zipfile.ZIP_STORED)(b"id,a\n1,2\n"))
    data[6] |= 1  # the flag in front of the file, and that in the list at the end
    data[data.index(b"PK\1\2") + 8] |= 1
    with pytest.raises(UserError, match="is encrypted with a password"):
        drafted(project, put(project, "orders.csv.zip", bytes(data)))


def test_file_that_changes_while_it_is_read_is_told(
    project: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = drafted(project, put(project, "orders.csv", PRODUCERS["csv"]))
    read = Path.read_bytes

    def appended(path: Path) -> bytes:
        data = read(path)
        path.write_bytes(data + b"99,1,a,2024-01-01,2024-01-01 00:00:00,1\n")
        return data

    monkeypatch.setattr(Path, "read_bytes", appended)
    with pytest.raises(UserError, match="has changed while it was read"):
        fetch.fetch_rows(contract)


@pytest.mark.parametrize("form", ["json", "jsonl"])
@pytest.mark.parametrize("cut", [0.02, 0.3, 0.7, 0.99])
def test_records_that_are_cut_off_are_told(project: DataProject, form: str, cut: float) -> None:
    lines = [json.dumps({"id": each, "a": "[,]\n"}) for each in range(20)]
    whole = "\n".join(lines) if form == "jsonl" else json.dumps(
        [json.loads(line) for line in lines], indent=2
    )  # fmt: skip
    contract = drafted(project, put(project, f"orders.{form}", whole.encode()))
    assert fetch.fetch_rows(contract).height == 20
    put(project, f"orders.{form}", whole[: int(len(whole) * cut)].encode())
    with pytest.raises(UserError, match="is cut off or invalid JSON"):
        fetch.fetch_rows(contract)


def test_other_place_takes_the_same_dialect(project: DataProject) -> None:
    drafted(project, put(project, "orders.csv", EXCEL))
    contract = serve(
        project, "orders",
        f"type: custom\nlocation: file://{project.root}/data/raw/orders.csv\nformat: csv",
        "reader=files delimiter=; encoding=cp1252 decimal=, thousands=.",
    )  # fmt: skip
    same(fetch.fetch_rows(contract), WANTED)


@pytest.mark.parametrize("delimiter", [",", ";", "tab", "|", "§"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("quote", ['"', "'", "none"])
@pytest.mark.parametrize("header", ["1", "none", "2"])
def test_row_with_fewer_values_is_told_in_every_dialect(
    project: DataProject, delimiter: str, encoding: str, quote: str, header: str
) -> None:
    sign = "\t" if delimiter == "tab" else delimiter
    above = {"1": "id,a,b\n", "none": "", "2": "of 2024\nid,a,b\n"}[header]
    text = f"{above}1,x,y\n2,z".replace(",", sign)
    put(project, "orders.csv", text.encode(encoding))
    options = {"delimiter": delimiter, "encoding": encoding, "quote": quote, "header": header}
    contract = texts_contract(project, options)
    with pytest.raises(UserError, match=r"has 2 values instead of 3 in row 2; it may be cut off"):
        fetch.fetch_rows(contract)


@pytest.mark.parametrize("more", ["x", "[]", '{"id": "2"}', "]"])
def test_list_of_records_with_something_behind_is_told(project: DataProject, more: str) -> None:
    put(project, "orders.json", f'[{{"id": "1", "a": "x", "b": "y"}}]\n{more}'.encode())
    with pytest.raises(UserError, match="is invalid JSON after record 1"):
        fetch.fetch_rows(texts_contract(project, {}, "json"))


@pytest.mark.parametrize("form", ["csv", "json", "jsonl"])
def test_empty_file_is_told(project: DataProject, form: str) -> None:
    for data in (b"", b"\n\n", "\ufeff".encode()):
        put(project, f"orders.{form}", data)
        with pytest.raises(UserError, match="is empty"):
            fetch.fetch_rows(texts_contract(project, {}, form))


def test_folders_that_say_keys_hold_files_without_names(
    project: DataProject, tmp_path: Path
) -> None:
    for year in (2023, 2024):
        (tmp_path / f"year={year}").mkdir()
        (tmp_path / f"year={year}" / "part.csv").write_text(f"{year}1,5\n{year}2,7\n")
    contract = drafted(project, tmp_path)
    assert contract.names == ("column_1", "column_2", "year")
    assert fetch.fetch_rows(contract).rows() == [
        (20231, 5, 2023), (20232, 7, 2023), (20241, 5, 2024), (20242, 7, 2024),
    ]  # fmt: skip
