"""Files as sources: folders and patterns, S3 for real, and files that are not quite right."""

import importlib
import io
import logging
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.sources import fetch
from support.data_project import DataProject, build
from support.reading import NAMES, content, contract, rows, serve

SECRET = "s3cret/key"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> DataProject:
    return build(tmp_path_factory.mktemp("files") / "project")


@pytest.fixture
def project(tmp_path: Path, original: DataProject) -> DataProject:
    shutil.copytree(original.root, tmp_path / "project")
    return DataProject(tmp_path / "project")


def local(project: DataProject, name: str, path: str, form: str = "csv") -> Contract:
    return serve(project, name, f"type: local\npath: {path}\nformat: {form}")


def test_folder_or_pattern_of_files_is_one_table(project: DataProject) -> None:
    wanted = content(contract(project, "visits"))
    frame = rows(project, "visits")
    folder = project.root / "data" / "raw" / "monthly"
    folder.mkdir()
    frame[:1000].write_parquet(folder / "a.parquet")
    frame[1000:].write_parquet(folder / "b.parquet")
    assert content(local(project, "visits", "data/raw/monthly", "parquet")) == wanted
    assert content(local(project, "visits", "data/raw/monthly/*.parquet", "parquet")) == wanted
    (folder / "b.parquet").write_bytes(b"half")
    with pytest.raises(UserError, match=r"b\.parquet is cut off or not a Parquet file"):
        fetch.fetch_rows(contract(project, "visits"))
    with pytest.raises(UserError, match=r"monthly/\*\.csv holds no csv file"):
        fetch.fetch_rows(local(project, "visits", "data/raw/monthly/*.csv"))


def test_file_of_a_folder_is_read_however_its_ending_is_written(project: DataProject) -> None:
    wanted = content(contract(project, "shops"))
    folder = project.root / "data" / "raw" / "some [1]"
    folder.mkdir()
    shutil.copyfile(project.source("shops"), folder / "A.CSV")
    assert content(local(project, "shops", "data/raw/some [1]")) == wanted
    (folder / "B.csv").symlink_to(folder / "nowhere")
    with pytest.raises(UserError, match=r"data/raw/some \[1\]/B\.csv cannot be read \(No such"):
        fetch.fetch_rows(contract(project, "shops"))


def test_place_from_the_environment_is_not_shown(
    project: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOPS", str(project.root / "data/raw"))
    found = local(project, "shops", "${SHOPS}/shops.csv")
    fetch.fetch_rows(found)
    project.source("shops").unlink()
    with pytest.raises(UserError) as error:
        fetch.fetch_rows(found)
    assert "the source ${SHOPS}/shops.csv does not exist" in str(error.value)
    assert str(project.root) not in str(error.value)


def test_files_of_one_table_that_do_not_agree_are_refused(project: DataProject) -> None:
    folder = project.root / "data" / "raw" / "some"
    folder.mkdir()
    frame = rows(project, "shops")
    frame[:1].write_parquet(folder / "a.parquet")
    frame[1:].with_columns(size=pl.lit("x")).write_parquet(folder / "b.parquet")
    with pytest.raises(
        UserError, match=r"size must be an integer, but row 1 of .*b\.parquet has 'x'"
    ):
        fetch.fetch_rows(local(project, "shops", "data/raw/some", "parquet"))


# ---------------------------------------------------------------- edges


def test_empty_lines_at_the_end_are_no_rows(project: DataProject) -> None:
    wanted = content(contract(project, "visits"))
    with project.source("visits").open("a") as file:
        file.write("\n\r\n")
    assert content(contract(project, "visits")) == wanted


def test_shadow_that_macos_puts_into_a_zip_is_no_table(project: DataProject) -> None:
    wanted = content(contract(project, "shops"))
    path = project.root / "data" / "raw" / "shops.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(project.source("shops"), "shops.csv")
        archive.writestr("__MACOSX/._shops.csv", b"\x00\x05\x16\x07")
    assert content(local(project, "shops", "data/raw/shops.zip")) == wanted


def test_file_that_ends_within_a_line_is_warned_of(
    project: DataProject, caplog: pytest.LogCaptureFixture
) -> None:
    path = project.source("shops")
    path.write_text("shop,opened,size\na,2020-05-01,12\nb,2021-06-02,345")
    assert fetch.fetch_rows(contract(project, "shops"))["size"].to_list() == [12, 345]
    assert "ends within a line; it may be cut off" in caplog.text


@pytest.mark.parametrize(
    ("lines", "sizes"),
    [
        ('{"shop": "a", "opened": null, "size": 2}\n{"shop": "b", "opened": null, "size": 3.0}',
         [2, 3]),
        ('{"shop": "a", "opened": null, "size": null}\n{"shop": "b", "size": 3.0}\n',
         [None, 3]),
    ],
)  # fmt: skip
def test_whole_number_in_json_lines_is_an_integer(
    project: DataProject, lines: str, sizes: list[Any]
) -> None:
    (project.root / "data" / "raw" / "shops.jsonl").write_text(lines)
    frame = fetch.fetch_rows(local(project, "shops", "data/raw/shops.jsonl", "jsonl"))
    assert frame["size"].to_list() == sizes


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("2.5", "size must be an integer, but row 2 of .*shops.jsonl has '2.5'"),
        ("9007199254740994.0", "size must be an integer, but row 2 of .* has '9007199254740994.0'"),
        ('"many"', "size must be an integer, but row 2 of .*shops.jsonl has 'many'"),
        ('{"v": 1}', r"""size must be an integer, but row 2 of .*shops.jsonl has '{"v":1}'"""),
    ],
)
def test_json_lines_show_what_is_no_whole_number_by_row(
    project: DataProject, value: str, says: str
) -> None:
    (project.root / "data" / "raw" / "shops.jsonl").write_text(
        '{"shop": "a", "opened": null, "size": 2}\n'
        f'{{"shop": "b", "opened": null, "size": {value}}}\n'
    )
    with pytest.raises(UserError, match=says):
        fetch.fetch_rows(local(project, "shops", "data/raw/shops.jsonl", "jsonl"))


# ---------------------------------------------------------------- elsewhere


class Bucket:
    """A bucket on a real S3 interface."""

    def __init__(self, url: str) -> None:
        import boto3

        self.url = url
        self._client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
        self._client.create_bucket(Bucket="shop")

    def put(self, key: str, data: bytes) -> None:
        self._client.put_object(Bucket="shop", Key=key, Body=data)


@pytest.fixture(scope="module")
def credentials() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "someone")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="module")
def bucket(credentials: None) -> Iterator[Bucket]:  # noqa: ARG001
    code = (
        "from moto.server import ThreadedMotoServer as Server\n"
        "server = Server(ip_address='127.0.0.1', port=0, verbose=False)\n"
        "server.start(); print(server.get_host_and_port()[1], flush=True); input()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert process.stdout
    yield Bucket(f"http://127.0.0.1:{process.stdout.readline().strip()}")
    process.kill()
    process.wait()


@pytest.fixture
def s3(bucket: Bucket, project: DataProject) -> Callable[..., Contract]:
    def s3(name: str, key: str, form: str = "csv", url: str = bucket.url) -> Contract:
        entry = f"type: s3\nlocation: s3://shop/{key}\nendpointUrl: {url}\nformat: {form}"
        return serve(project, name, entry)

    return s3


@pytest.mark.parametrize("name", NAMES)
def test_same_rows_in_s3_are_the_same_signal(
    project: DataProject, bucket: Bucket, s3: Callable[..., Contract], name: str
) -> None:
    wanted = content(contract(project, name))
    frame = rows(project, name)
    half = frame.height // 2
    bucket.put(f"{name}.csv", project.source(name).read_bytes())
    zipped, whole, first, second, lines = (io.BytesIO() for _ in range(5))
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.write(project.source(name), f"{name}.csv")
    bucket.put(f"{name}.zip", zipped.getvalue())
    frame.write_parquet(whole)
    bucket.put(f"{name}.parquet", whole.getvalue())
    frame[:half].write_parquet(first)
    frame[half:].write_parquet(second)
    bucket.put(f"{name}/a/1.parquet", first.getvalue())
    bucket.put(f"{name}/a/2.parquet", second.getvalue())
    frame.with_columns(
        pl.col(pl.Datetime).dt.to_string("%Y-%m-%dT%H:%M:%SZ"), pl.col(pl.Date).dt.to_string()
    ).write_ndjson(lines)
    bucket.put(f"{name}.jsonl", lines.getvalue())
    for key, form in (
        (f"{name}.csv", "csv"),
        (f"{name}.zip", "csv"),
        (f"{name}.parquet", "parquet"),
        (f"{name}/a", "parquet"),
        (f"{name}/a/*.parquet", "parquet"),
        (f"{name}.jsonl", "jsonl"),
    ):
        assert content(s3(name, key, form)) == wanted, key


def test_file_in_s3_is_read_anew_each_time(bucket: Bucket, s3: Callable[..., Contract]) -> None:
    bucket.put("changing.csv", b"shop,opened,size\na,2020-05-01,1\n")
    found = s3("shops", "changing.csv")
    assert fetch.fetch_rows(found)["size"].to_list() == [1]
    bucket.put("changing.csv", b"shop,opened,size\na,2020-05-01,22\nb,2020-05-01,3\n")
    assert fetch.fetch_rows(found)["size"].to_list() == [22, 3]


def test_broken_file_in_s3_is_named_by_its_address(
    bucket: Bucket, s3: Callable[..., Contract]
) -> None:
    bucket.put("broken.csv", b"shop,opened,size\na,2020-05-01,x\n")
    with pytest.raises(UserError, match=r"size must be an integer, but row 1 of s3://shop/broken"):
        fetch.fetch_rows(s3("shops", "broken.csv"))


@pytest.mark.parametrize(
    ("key", "says"),
    [
        ("nowhere.csv", "the source s3://shop/nowhere.csv does not exist"),
        ("nowhere/*.csv", "s3://shop/nowhere/.*csv holds no csv file"),
        ("../other/a.csv", "signal shops: "),
    ],
)
def test_file_that_is_not_in_s3_is_said(s3: Callable[..., Contract], key: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as error:
        fetch.fetch_rows(s3("shops", key))
    assert len(str(error.value).splitlines()) <= 2
    assert "shops@example.com" in str(error.value)


def test_storage_that_is_away_is_said_without_a_secret(
    s3: Callable[..., Contract], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with pytest.raises(UserError, match=r"s3://shop/a.csv cannot be read \(.*onnect") as error:
        fetch.fetch_rows(s3("shops", "a.csv", url="http://127.0.0.1:1"))
    for text in (str(error.value), caplog.text):
        assert SECRET not in text
    assert len(str(error.value).splitlines()) <= 2


def test_storage_without_credentials_says_so(
    s3: Callable[..., Contract], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"(?i)credentials"):
        fetch.fetch_rows(s3("shops", "a.csv"))


def test_what_fsspec_reaches_can_be_read(project: DataProject, tmp_path: Path) -> None:
    """An address of another kind: a file inside an archive."""
    wanted = content(contract(project, "shops"))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(project.source("shops"), "raw/shops.csv")
    entry = f"type: custom\nlocation: zip://raw/shops.csv::file://{tmp_path}/all.zip\nformat: csv"
    assert content(serve(project, "shops", entry, "reader=files")) == wanted


@pytest.mark.parametrize(
    ("entry", "properties", "module", "package"),
    [
        ("type: s3\nlocation: s3://shop/a.csv\nformat: csv", "", "s3fs", "s3fs"),
        ("type: azure\nlocation: az://shop/a.csv\nformat: csv", "", "adlfs", "adlfs"),
        ("type: custom\nlocation: gs://shop/a.csv\nformat: csv", "reader=files", "gcsfs", "gcsfs"),
        ("type: custom\nlocation: sftp://h/a.csv\nformat: csv", "reader=files", "paramiko",
         "paramiko"),
    ],
)  # fmt: skip
def test_file_system_that_is_not_installed_is_named(
    project: DataProject,
    monkeypatch: pytest.MonkeyPatch,
    entry: str,
    properties: str,
    module: str,
    package: str,
) -> None:
    protocol = entry.partition("location: ")[2].partition(":")[0]
    registry = importlib.import_module("fsspec.registry")
    monkeypatch.delitem(registry._registry, protocol, raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError) as error:
        fetch.fetch_rows(serve(project, "shops", entry, properties))
    assert f"needs {package}, which is not installed" in str(error.value)
    assert re.search(r"Add \w+ to the dependencies in pyproject.toml", str(error.value))


def test_address_of_an_unknown_kind_is_said(project: DataProject) -> None:
    entry = "type: custom\nlocation: s4://shop/a.csv\nformat: csv"
    with pytest.raises(UserError, match="s4"):
        fetch.fetch_rows(serve(project, "shops", entry, "reader=files"))


def test_password_of_a_file_server_is_not_shown(
    project: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILES_PASSWORD", "hunter2")
    entry = "type: custom\nlocation: ftp://127.0.0.1:1/a.csv\nformat: csv"
    found = serve(project, "shops", entry, "reader=files password=${FILES_PASSWORD}")
    with pytest.raises(UserError, match=r"ftp://127.0.0.1:1/a.csv cannot be read") as error:
        fetch.fetch_rows(found)
    assert "hunter2" not in str(error.value)
