"""Receiving signals: sources, checks, partitions, DVC, and what a broken delivery says."""

import codecs
import contextlib
import json
import logging
import os
import pickle
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ml_experiment_runner.cli.holds import holds as holds_command
from ml_experiment_runner.holds import holds
from ml_experiment_runner.project import dvc as dvc_module
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals import sources
from ml_experiment_runner.signals.contract.contract import Contract, SchemaViolation
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.ingest import ingest
from ml_experiment_runner.signals.ingestion import loading as module
from ml_experiment_runner.signals.ingestion.loading import load_snapshots
from ml_experiment_runner.signals.snapshots import profile_file, snapshot
from ml_experiment_runner.signals.snapshots import writer as publish_module
from ml_experiment_runner.signals.sources import fetch
from support.data_project import CONTRACT, DataProject, Recorder, build, git, replace

ORDERS = """\
- {name: id, logicalType: integer, primaryKey: true}
- {name: at, logicalType: timestamp, required: true}
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> DataProject:
    return build(tmp_path_factory.mktemp("fresh") / "project")


@pytest.fixture
def fresh(original: DataProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataProject:
    return original.copy(tmp_path / "project", monkeypatch)


@pytest.fixture
def received(
    received_project: DataProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> DataProject:
    return received_project.copy(tmp_path / "project", monkeypatch)


def content(project: DataProject, name: str) -> str:
    contract = read_contracts(project.root)[name]
    parts = snapshot.by_partition(contract, fetch.fetch_rows(contract))
    return snapshot.combined_hash({key: snapshot.content_hash(part) for key, part in parts.items()})


# ---------------------------------------------------------------- sources


def test_csv_zip_parquet_and_json_lines_give_the_same_content(fresh: DataProject) -> None:
    csv = content(fresh, "shops")
    path = fresh.source("shops")
    with zipfile.ZipFile(path.with_suffix(".csv.zip"), "w") as archive:
        archive.write(path, "shops.csv")
    frame = pl.read_csv(path, try_parse_dates=True)
    frame.write_parquet(path.with_suffix(".parquet"))
    mark = codecs.BOM_UTF8  # as some Windows programs write it
    path.with_suffix(".jsonl").write_bytes(mark + frame.write_ndjson().encode())
    for suffix, form in ((".csv.zip", "csv"), (".parquet", "parquet"), (".jsonl", "jsonl")):
        text = fresh.contract("shops").read_text()
        fresh.contract("shops").write_text(
            re.sub(
                r"path: [^,]+, format: \w+", f"path: data/raw/shops{suffix}, format: {form}", text
            )
        )
        assert content(fresh, "shops") == csv, suffix


def test_rows_come_in_key_order_whatever_the_source_has(fresh: DataProject) -> None:
    before = content(fresh, "visits")
    header, *rows = fresh.source("visits").read_text().splitlines()
    fresh.source("visits").write_text("\n".join([header, *reversed(rows)]) + "\n")
    assert content(fresh, "visits") == before


def test_times_without_offset_are_in_the_contracts_time_zone(fresh: DataProject) -> None:
    replace(fresh.source("visits"), "2024-01-01T05:00:00Z", "2024-01-01T00:00:00")
    replace(fresh.source("visits"), "2024-01-01T07:00:00Z", "2024-01-01T09:00:00+02:00")
    frame = fetch.fetch_rows(read_contracts(fresh.root)["visits"])
    times = frame["at"].unique().sort().dt.to_string("%Y-%m-%dT%H:%MZ")
    assert times[:2].to_list() == ["2024-01-01T05:00Z", "2024-01-01T07:00Z"]


def test_double_hour_is_its_first_and_skipped_hour_is_refused(
    fresh: DataProject,
) -> None:
    replace(fresh.source("visits"), "2024-01-01T05:00:00Z", "2023-11-05T01:30:00")
    frame = fetch.fetch_rows(read_contracts(fresh.root)["visits"])
    assert f"{frame['at'].min():%Y-%m-%dT%H:%MZ}" == "2023-11-05T05:30Z"
    replace(fresh.source("visits"), "2023-11-05T01:30:00", "2023-03-12T02:30:00")
    with pytest.raises(UserError, match=r"row 1 of .* has '2023-03-12T02:30:00'"):
        fetch.fetch_rows(read_contracts(fresh.root)["visits"])


def test_rows_of_the_double_hour_are_told_why_keys_repeat(
    fresh: DataProject,
) -> None:
    row = "2023-11-05T01:30:00,a,7,7,true,5\n"
    with fresh.source("visits").open("a") as file:
        file.write(row * 2)
    with pytest.raises(UserError, match="clocks in America/New_York went back then, and this hour"):
        fetch.fetch_rows(read_contracts(fresh.root)["visits"])
    replace(fresh.source("visits"), row * 2, row.replace("11-05", "11-06") * 2)
    with pytest.raises(UserError, match="share their key") as error:
        fetch.fetch_rows(read_contracts(fresh.root)["visits"])
    assert "clocks" not in str(error.value)


def test_day_is_its_first_moment_though_clocks_skip_midnight(
    fresh: DataProject,
) -> None:
    replace(fresh.contract("visits"), "America/New_York", "America/Santiago")
    replace(fresh.source("visits"), "2024-01-01T05:00:00Z", "2023-09-03")
    frame = fetch.fetch_rows(read_contracts(fresh.root)["visits"])
    assert f"{frame['at'].min():%Y-%m-%dT%H:%MZ}" == "2023-09-03T04:00Z"


def _cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def _as_parquet(project: DataProject, name: str) -> Path:
    path = project.source(name)
    frame = pl.read_csv(path, null_values="NA", try_parse_dates=True)
    frame.write_parquet(path.with_suffix(".parquet"))
    text = project.contract(name).read_text()
    text = text.replace("  - {property: nullValues, value: [NA]}\n", "")
    project.contract(name).write_text(
        text.replace(".csv, format: csv", ".parquet, format: parquet")
    )
    return path.with_suffix(".parquet")


def _break_parquet(project: DataProject) -> None:
    _cut(_as_parquet(project, "visits"), 0.7)


def _break_zip(project: DataProject) -> None:
    path = project.source("visits")
    with zipfile.ZipFile(path.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "visits.csv")
    _cut(path.with_suffix(".zip"), 0.7)
    replace(project.contract("visits"), "raw/visits.csv", "raw/visits.zip")


def _empty_lines(project: DataProject) -> None:
    project.source("visits").with_suffix(".jsonl").touch()
    text = project.contract("visits").read_text()
    text = text.replace("  - {property: nullValues, value: [NA]}\n", "")
    text = text.replace(".csv, format: csv", ".jsonl, format: jsonl")
    project.contract("visits").write_text(text)


def _wrong_parquet_type(project: DataProject) -> None:
    path = _as_parquet(project, "visits")
    pl.read_parquet(path).with_columns(pl.col("minute").cast(pl.String)).write_parquet(path)


def _drop_column(project: DataProject) -> None:
    frame = pl.read_csv(project.source("visits"), infer_schema=False).drop("member")
    frame.write_csv(project.source("visits"))


def _edit(old: str, new: str, name: str = "visits") -> Any:
    return lambda project: replace(project.source(name), old, new)


FIRST = "2024-01-01T05:00:00Z,a"


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda project: project.source("visits").unlink(), "visits.csv does not exist"),
        (lambda project: _cut(project.source("visits"), 0.7), "may be cut off"),
        (_break_parquet, "visits.parquet is cut off or not a Parquet file"),
        (_break_zip, "visits.zip is cut off or not a zip file"),
        (_empty_lines, "visits.jsonl is empty"),
        (_wrong_parquet_type, "minute must be an integer, but row 1"),
        (_drop_column, "the field 'member' is missing in"),
        (_edit("spent\n", "spent,tip\n"), "the field 'tip'"),
        (_edit(FIRST, "2024-01-01T05:00:00Z,"), "the required field 'shop' has no value in 1 rows"),
        (_edit(FIRST, "yesterday,a"), "at must be a timestamp, but row 1 of"),
        (_edit(",true,", ",maybe,"), "member must be a boolean, but row"),
        (_edit("12\n", "twelve\n", "shops"), "size must be an integer, but row 1"),
        (_edit("2020-05-01", "1.5.2020", "shops"), "opened must be a date, but row 1"),
        (_edit("b,2021", "a,2021", "shops"), "share their key with another, first row 1 (shop=a)"),
        (lambda project: project.source("shops").write_bytes(b""), "is empty"),
        (lambda project: project.source("shops").write_bytes(b"shop,\xff\n"), "is not UTF-8"),
        (_edit("shop,opened,size\na,", 'shop,opened,size\n"a,', "shops"), "breaks off"),
    ],
)
def test_broken_source_is_named_and_costs_the_other_nothing(
    fresh: DataProject, harm: Any, says: str
) -> None:
    harm(fresh)
    with pytest.raises(UserError) as error:
        load_snapshots(["visits", "shops"])
    message = str(error.value)
    assert says in message
    found = re.match(r"signal (visits|shops): ", message)
    assert found
    assert f"{found[1]}@example.com" in message
    assert len(message.splitlines()) <= 2
    good = [path.stem for path in (fresh.root / "data" / "signals").glob("*.dvc")]
    assert good == [{"visits": "shops", "shops": "visits"}[found[1]]]


@pytest.mark.parametrize(
    ("harm", "kind", "field"),
    [
        (_drop_column, "schema", "member"),
        (_edit("spent\n", "spent,tip\n"), "schema", "tip"),
        (_wrong_parquet_type, "schema", "minute"),
        (_edit(",true,", ",maybe,"), "schema", "member"),
        (_edit(FIRST, "2024-01-01T05:00:00Z,"), "nulls", "shop"),
        (_edit("b,2021", "a,2021", "shops"), "key", None),
    ],
)
def test_unfit_delivery_names_the_promise_across_processes(
    fresh: DataProject, harm: Any, kind: str, field: str | None
) -> None:
    harm(fresh)
    with pytest.raises(SchemaViolation) as error:
        load_snapshots(["visits", "shops"])
    told = pickle.loads(pickle.dumps(error.value))
    assert (told.violation.kind, told.violation.field) == (kind, field)
    assert told.violation.message in str(told)
    assert "\n" not in told.violation.message


def test_wrong_value_is_shown_with_its_row(fresh: DataProject) -> None:
    lines = fresh.source("visits").read_text().splitlines()
    at, shop, visitor, _, member, spent = lines[7].split(",")
    lines[7] = ",".join([at, shop, visitor, "3.5", member, spent])
    fresh.source("visits").write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError, match=r"minute must be an integer, but row 7 of .* has '3.5'"):
        load_snapshots(["visits"])


def test_classified_values_are_not_shown(fresh: DataProject) -> None:
    replace(
        fresh.contract("visits"),
        "member, logicalType",
        "member, classification: personal, logicalType",
    )
    replace(fresh.source("visits"), ",true,", ",secret,")
    with pytest.raises(UserError) as error:
        load_snapshots(["visits"])
    assert "a classified value" in str(error.value)
    assert "secret" not in str(error.value)


def test_classified_key_is_not_shown_when_it_stands_twice(fresh: DataProject) -> None:
    replace(fresh.contract("shops"), "{name: shop,", "{name: shop, classification: personal,")
    replace(fresh.source("shops"), "a,2020-05-01,12\nb,", "secret,2020-05-01,12\nsecret,")
    with pytest.raises(UserError, match=r"first row 1 \(shop=a classified value\)") as error:
        load_snapshots(["shops"])
    assert "secret" not in str(error.value)


def test_nan_is_no_value_where_the_contract_says_so(fresh: DataProject) -> None:
    path = _as_parquet(fresh, "visits")
    nan = pl.when(pl.col("minute") < 30).then(float("nan")).otherwise("spent").alias("spent")
    pl.read_parquet(path).with_columns(nan).write_parquet(path)
    with pytest.raises(UserError, match=r"spent must be a number, but row \d+ of .* has nan; list"):
        fetch.fetch_rows(read_contracts(fresh.root)["visits"])
    replace(fresh.contract("visits"), "customProperties:\n  - ",
            "customProperties:\n  - {property: nullValues, value: [NaN]}\n  - ")  # fmt: skip
    frame = fetch.fetch_rows(read_contracts(fresh.root)["visits"])
    assert frame.filter(pl.col("minute") < 30)["spent"].is_null().all()
    assert not frame["spent"].is_nan().any()
    replace(fresh.contract("visits"), "name: spent,", "name: spent, required: true,")
    with pytest.raises(UserError, match="the required field 'spent' has no value"):
        fetch.fetch_rows(read_contracts(fresh.root)["visits"])


def test_missing_package_says_how_to_install_it(fresh: DataProject) -> None:
    replace(fresh.contract("shops"), "data/raw/shops.csv", "package:no_such_package/shops.csv")
    with pytest.raises(UserError, match="python -m pip install no_such_package"):
        load_snapshots(["shops"])


def test_draft_is_received_and_runs_say_what_is_to_be_set(
    fresh: DataProject, caplog: pytest.LogCaptureFixture
) -> None:
    replace(fresh.contract("shops"), "status: active", "status: draft")
    replace(fresh.contract("shops"), "Team shops", "unknown")
    said = (
        "signal shops is a draft: fill in team.name, description.purpose and set `status: active`"
    )
    for _ in range(2):
        caplog.clear()
        assert load_snapshots(["shops"])["shops"].rows == 2
        assert said in caplog.text
    load_snapshots(["prices"])
    assert "prices is a draft" not in caplog.text


def test_retired_signal_is_received_by_nobody(fresh: DataProject) -> None:
    replace(fresh.contract("shops"), "status: active", "status: retired")
    with pytest.raises(
        UserError, match=r"signal shops: its status is retired.*\n.*shops@example.com"
    ):
        load_snapshots(["shops"])
    metrics = ingest(fresh.config(), Recorder())  # type: ignore[arg-type]
    assert sorted(name for name in metrics if "rows" in name) == ["rows/prices", "rows/visits"]
    for name in ("prices", "visits"):
        replace(fresh.contract(name), "status: active", "status: retired")
    with pytest.raises(UserError, match=r"all signals are retired.*\n.*new signal"):
        ingest(fresh.config(), Recorder())  # type: ignore[arg-type]


@pytest.mark.usefixtures("fresh")
def test_unknown_signal_names_the_nearest() -> None:
    with pytest.raises(UserError, match="Did you mean 'prices'"):
        load_snapshots(["price"])


# ---------------------------------------------------------------- snapshots


def test_partitions_are_months_of_the_contracts_time_zone(received: DataProject) -> None:
    assert list(received.partitions("visits")) == ["2024-01", "2024-02", "2024-03", "2024-04"]
    assert min(received.partitions("prices")) == "2024-01"
    assert list(received.partitions("shops")) == ["all"]
    first = pl.read_parquet(received.root / "data/signals/visits/2024-02.parquet")["at"].min()
    assert f"{first:%Y-%m-%dT%H}" == "2024-02-01T05"  # midnight in New York


def test_new_data_adds_partitions_and_changes_none(received: DataProject) -> None:
    before = received.partitions("visits")
    with received.source("visits").open("a") as file:
        file.write("2024-05-02T12:00:00Z,a,1,1,true,5\n")
    config = received.config()
    metrics = ingest(config, Recorder())  # type: ignore[arg-type]
    after = received.partitions("visits")
    assert metrics["new_partitions/visits"] == 1
    assert metrics["rows/visits"] == 2401
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {"2024-05"}


def test_unchanged_source_rewrites_nothing_and_leaves_git_clean(
    received: DataProject, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    folder = received.root / "data" / "signals"
    times = {path: path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}
    recorder = Recorder()
    metrics = ingest(received.config(), recorder)  # type: ignore[arg-type]
    assert metrics["new_partitions/visits"] == 0
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert git(received.root, "status", "--porcelain") == ""
    assert "git add" not in caplog.text
    assert {entry[0] for entry in recorder.datasets} == {"visits", "prices", "shops"}


def test_vanished_month_is_held_and_goes_when_released(
    received: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = received.source("visits").read_text().splitlines()
    kept = [line for line in lines if not line.startswith("2024-04")]
    received.source("visits").write_text("\n".join(kept) + "\n")
    before = received.partitions("visits")
    assert ingest(received.config(), Recorder())["held/visits"] == 1  # type: ignore[arg-type]
    assert received.partitions("visits") == before
    hold = holds.read_holds(received.root)[0]
    assert any("are missing: 2024-04" in violation.message for violation in hold.violations)
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(received.root))
    holds_command(["release", hold.id, "--by", "Ann", "--why", "they keep a quarter"])
    # the first hours of April in UTC are still March in New York
    assert list(received.partitions("visits")) == ["2024-01", "2024-02", "2024-03"]
    contract = read_contracts(received.root)["visits"]
    assert snapshot.current(contract).rows == len(kept) - 1  # type: ignore[union-attr]


def test_first_run_says_what_it_does_and_what_belongs_into_git(
    fresh: DataProject, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    found = load_snapshots(["shops"])
    assert "receiving shops (never received)" in caplog.text
    assert "git add data/signals/shops.dvc" in caplog.text
    assert git(fresh.root, "status", "--porcelain").splitlines() == [
        "?? data/signals/shops.dvc",
        "?? data/signals/shops.profile.json",
    ]
    # only what was asked for
    assert not (fresh.root / "data/signals/visits").exists()
    record = (fresh.root / "data/signals/shops.dvc").read_text()
    assert found["shops"].md5 in record
    assert found["shops"].content in record


def test_content_hash_notices_every_value_and_no_writer() -> None:
    frame = pl.DataFrame({"a": ["x", "yz", None], "b": [1, None, 3], "c": [1.5, 0.0, None]})
    same = snapshot.content_hash(frame)
    assert snapshot.content_hash(pl.concat([frame[:1], frame[1:]], rechunk=False)) == same
    others = [
        frame.with_columns(a=pl.Series(["xy", "z", None])),
        frame.with_columns(a=pl.Series(["x", "yz", ""])),
        frame.with_columns(b=pl.Series([1, 0, 3])),
        frame.with_columns(c=pl.Series([1.5, None, 0.0])),
        frame.rename({"a": "d"}),
        frame[::-1],
        frame[:2],
    ]
    assert len({same, *map(snapshot.content_hash, others)}) == len(others) + 1


def test_content_hash_is_the_one_that_records_hold() -> None:
    """A changed hash would call every recorded snapshot changed."""
    frame = pl.DataFrame(
        {"t": ["é", None], "n": [1, 2], "x": [0.5, None], "b": [True, None]},
        schema_overrides={"n": pl.Int64},
    ).with_columns(at=pl.datetime(2024, 1, 1, time_zone="UTC", time_unit="us"))
    assert snapshot.content_hash(frame) == "5221ab4b3902c4ae277872b664a29eef"


def test_newer_parquet_writer_is_no_new_signal(
    received: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = received.partitions("visits")
    write = pl.DataFrame.write_parquet
    monkeypatch.setattr(
        pl.DataFrame,
        "write_parquet",
        lambda frame, file, **_: write(frame, file, compression="snappy"),
    )
    with received.source("visits").open("a") as file:
        file.write("2024-05-02T12:00:00Z,a,1,1,true,5\n")
    ingest(received.config(), Recorder())  # type: ignore[arg-type]
    after = received.partitions("visits")
    assert {name: after[name] for name in before} == before


def test_data_changed_by_hand_is_refused_and_restored_as_told(received: DataProject) -> None:
    path = received.root / "data/signals/visits/2024-02.parquet"
    frame = pl.read_parquet(path).with_columns(minute=pl.lit(0, pl.Int64))
    frame.write_parquet(path)
    with pytest.raises(UserError) as error:
        load_snapshots(["visits"])
    assert "2024-02.parquet" in str(error.value)
    assert "changed by hand" in str(error.value)
    command = re.search(r"python -m (dvc .*)", str(error.value))
    assert command
    process = received.python(f"from dvc.cli import main; main({command[1].split()[1:]!r})")
    process.communicate(timeout=120)
    assert load_snapshots(["visits"])["visits"].rows == 2400


def test_interrupted_publication_is_done_again(received: DataProject) -> None:
    contract = read_contracts(received.root)["visits"]
    snapshot.write_index(contract, {"publishing": True})
    (received.root / "data/signals/visits/2024-02.parquet").write_bytes(b"half")
    assert load_snapshots(["visits"])["visits"].rows == 2400
    assert git(received.root, "status", "--porcelain") == ""


def test_changed_contract_receives_again(
    received: DataProject, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = load_snapshots(["shops"])["shops"]
    replace(received.contract("shops"), "size, logicalType: integer", "size, logicalType: number")
    replace(received.contract("shops"), "1.0.0", "2.0.0")
    after = load_snapshots(["shops"])["shops"]
    assert "the contract has changed" in caplog.text
    assert (after.version, snapshot.scan(after).collect_schema()["size"]) == ("2.0.0", pl.Float64)
    assert after.content != before.content


def test_other_texts_for_nothing_receive_again(received: DataProject) -> None:
    before = load_snapshots(["visits", "shops"])
    missing = snapshot.scan(before["visits"]).collect()["member"].null_count()
    replace(received.contract("visits"), "value: [NA]", 'value: [NA, "true"]')
    after = load_snapshots(["visits", "shops"])
    assert snapshot.scan(after["visits"]).collect()["member"].null_count() > missing == 0


def test_contract_without_texts_for_nothing_keeps_its_promise(
    received: DataProject,
) -> None:
    """Another one would have every snapshot of before received again."""
    assert snapshot.schema_hash(read_contracts(received.root)["shops"]) == "d1fabf7fc7aa2116"


# ---------------------------------------------------------------- colleagues


def _clone(project: DataProject, root: Path, monkeypatch: pytest.MonkeyPatch) -> DataProject:
    git(root.parent, "clone", "-q", str(project.root), str(root))
    shutil.copytree(project.root / "data" / "raw", root / "data" / "raw", dirs_exist_ok=True)
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(root))
    return DataProject(root)


def test_clone_receives_the_same_content_again(
    received: DataProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = load_snapshots(["visits", "shops"])
    clone = _clone(received, tmp_path / "clone", monkeypatch)
    there = load_snapshots(["visits", "shops"])
    for name in here:
        assert (here[name].md5, here[name].content) == (there[name].md5, there[name].content)
    assert git(clone.root, "status", "--porcelain") == ""


def test_clone_pulls_what_was_pushed_even_without_the_source(
    received: DataProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = received.python("from dvc.cli import main; main(['push'])")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    clone = _clone(received, tmp_path / "clone", monkeypatch)
    clone.source("visits").unlink()
    assert load_snapshots(["visits"])["visits"].rows == 2400


def test_clone_whose_source_changed_names_both_hashes(
    received: DataProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = load_snapshots(["shops"])["shops"].content
    clone = _clone(received, tmp_path / "clone", monkeypatch)
    replace(clone.source("shops"), "a,2020-05-01,12", "a,2020-05-01,13")
    with pytest.raises(UserError, match="signal shops: its source has changed") as error:
        load_snapshots(["shops"])
    assert recorded in str(error.value)
    assert content(clone, "shops") in str(error.value)
    assert not (clone.root / "data/signals/shops").exists()


def test_newer_record_from_git_replaces_the_older_data(
    received: DataProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = _clone(received, tmp_path / "clone", monkeypatch)
    load_snapshots(["shops"])
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(received.root))
    replace(received.source("shops"), "a,2020-05-01,12", "a,2020-05-01,13")
    replace(clone.source("shops"), "a,2020-05-01,12", "a,2020-05-01,13")
    ingest(received.config(), Recorder())  # type: ignore[arg-type]
    git(received.root, "commit", "-qam", "newer")
    git(clone.root, "pull", "-q")
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(clone.root))
    found = load_snapshots(["shops"])["shops"]
    assert snapshot.scan(found).collect()["size"].to_list() == [13, None]


def test_without_git_dvc_still_tracks(fresh: DataProject) -> None:
    shutil.rmtree(fresh.root / ".git")
    assert load_snapshots(["shops"])["shops"].md5.endswith(".dir")


def test_folder_that_dvc_does_not_know_is_told(fresh: DataProject) -> None:
    shutil.rmtree(fresh.root / ".dvc")
    with pytest.raises(UserError, match="not inside of a DVC repository"):
        load_snapshots(["shops"])


def test_files_being_replaced_are_looked_at_again(
    received: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = received.root / "data/signals/visits/2024-02.parquet"
    done = path.read_bytes()
    path.write_bytes(b"half of it is there")
    real_lock = module.data_lock

    def lock_after_the_other(*arguments: Any, **more: Any) -> Any:
        path.write_bytes(done)
        return real_lock(*arguments, **more)

    monkeypatch.setattr(module, "data_lock", lock_after_the_other)
    assert load_snapshots(["visits"])["visits"].rows == 2400


def test_who_has_the_lock_may_receive(fresh: DataProject) -> None:
    code = """
        from ml_experiment_runner.project import repository
        from ml_experiment_runner.project.lock import data_lock
        from ml_experiment_runner.signals.ingestion.loading import load_snapshots
        with data_lock(repository.root()):
            print("HAS", load_snapshots(["shops"])["shops"].rows)
    """
    assert "HAS 2" in fresh.python(code).communicate(timeout=60)[0]


def test_reader_that_exits_costs_the_other_signals_nothing(
    fresh: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = sources.read

    def exits(contract: Contract, since: datetime | None) -> pl.DataFrame:
        if contract.name == "shops":
            sys.exit(1)
        return read(contract, since)

    monkeypatch.setattr(sources, "read", exits)
    with pytest.raises(RuntimeError, match="receiving shops ended in SystemExit"):
        load_snapshots(["visits", "shops"])
    assert (fresh.root / "data/signals/visits.dvc").exists()


def test_time_without_end_costs_the_others_nothing(
    fresh: DataProject,
) -> None:
    replace(fresh.contract("shops"), "- {name: size,",
            "- {name: until, logicalType: timestamp}\n      - {name: size,")  # fmt: skip
    with fresh.contract("shops").open("a") as file:
        file.write("customProperties:\n  - {property: timeZone, value: America/New_York}\n")
    fresh.source("shops").write_text(
        "shop,opened,until,size\na,2020-05-01,9999-12-31 23:59:59,12\nb,2021-06-02,,\n"
    )
    found = load_snapshots(["visits", "shops"])
    assert (found["visits"].rows, found["shops"].rows) == (2400, 2)
    text = (fresh.root / "data/signals/shops.profile.json").read_text()
    assert "9999-12-31T23:59:59Z" in text


@pytest.mark.usefixtures("fresh")
def test_unwritable_profile_costs_the_others_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = profile_file.write

    def fails(contract: Contract, *rest: Any) -> Path:
        if contract.name == "shops":
            raise ZeroDivisionError
        return write(contract, *rest)

    monkeypatch.setattr(profile_file, "write", fails)
    with pytest.raises(ZeroDivisionError):
        load_snapshots(["visits", "shops"])
    assert load_snapshots(["visits"])["visits"].rows == 2400


@pytest.mark.usefixtures("fresh")
def test_receiving_leaves_the_threads_as_they_were() -> None:
    import numpy as np
    from threadpoolctl import threadpool_info

    np.ones((2, 2)) @ np.ones((2, 2))
    before = [pool["num_threads"] for pool in threadpool_info()]
    load_snapshots(["visits", "shops"])
    assert [pool["num_threads"] for pool in threadpool_info()] == before


def test_eight_first_runs_at_once_receive_once(fresh: DataProject) -> None:
    code = """
        from ml_experiment_runner.signals.ingestion.loading import load_snapshots
        found = load_snapshots(["visits", "shops"])
        print("HAS", found["visits"].md5, found["shops"].md5)
    """
    processes = [fresh.python(code) for _ in range(8)]
    outputs = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 8, outputs
    results = {re.search(r"HAS .*", output)[0] for output in outputs}  # type: ignore[index]
    assert len(results) == 1
    assert "".join(outputs).count("receiving visits, shops") == 1


# ---------------------------------------------------------------- several at once


def test_failing_signals_are_told_and_the_others_are_there(
    received: DataProject, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    received.source("shops").unlink()
    with received.source("visits").open("a") as file:
        file.write("2024-05-02T12:00:00Z,a,1,1,true,5\n")
    real = fetch.fetch_rows

    def fetch_rows(contract: Contract, *more: Any) -> pl.DataFrame:
        if contract.name == "prices":
            raise ZeroDivisionError("a mistake of ours")
        return real(contract, *more)

    recorder = Recorder()
    with monkeypatch.context() as patch:
        patch.setattr(fetch, "fetch_rows", fetch_rows)
        with pytest.raises(ZeroDivisionError):
            ingest(received.config(), recorder)  # type: ignore[arg-type]
    assert recorder.metrics["rows/visits"] == 2401
    assert [line.split()[1] for line in caplog.messages if line.endswith("failed")] == [
        "failed"
    ] * 2
    with pytest.raises(UserError, match=r"signal shops: .*shops.csv does not exist"):
        ingest(received.config(), Recorder())  # type: ignore[arg-type]
    assert load_snapshots(["visits"])["visits"].rows == 2401


def test_signals_are_read_and_published_side_by_side(
    received: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    contracts = read_contracts(received.root)
    for name, row in (("visits", "2024-05-02T12:00:00Z,a,1,1,true,5"), ("shops", "c,2022-01-01,3")):
        with received.source(name).open("a") as file:
            file.write(row + "\n")
    real = fetch.fetch_rows
    begun = threading.Barrier(3)
    lines = (received.root / "data/signals/visits.dvc").read_text()

    def fetch_rows(contract: Contract, *more: Any) -> pl.DataFrame:
        begun.wait(timeout=30)  # breaks unless all three are being read
        frame = real(contract, *more)
        deadline = time.monotonic() + 30
        while contract.name == "shops":  # slow: until the snapshot of the others is there
            if (received.root / "data/signals/visits.dvc").read_text() != lines:
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return frame

    monkeypatch.setattr(fetch, "fetch_rows", fetch_rows)
    ingest(received.config(), Recorder())  # type: ignore[arg-type]
    assert snapshot.current(contracts["shops"]).rows == 3  # type: ignore[union-attr]


def test_reader_may_leave_out_older_than_the_newest_partition(
    received: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = received.partitions("visits")
    with received.source("visits").open("a") as file:
        file.write("2024-04-28T12:00:00Z,a,1,1,true,5\n2024-05-02T12:00:00Z,a,1,1,true,5\n")
    whole = content(received, "visits")
    real = fetch.fetch_rows
    asked = {}

    def fetch_rows(contract: Contract, since: datetime | None = None) -> pl.DataFrame:
        asked[contract.name] = since
        frame = real(contract)
        return frame.filter(pl.col("at") >= since) if contract.name == "visits" else frame

    monkeypatch.setattr(fetch, "fetch_rows", fetch_rows)
    monkeypatch.setattr(sources, "takes_since", lambda contract: contract.name == "visits")
    metrics = ingest(received.config(), Recorder())  # type: ignore[arg-type]
    # midnight in New York, where April's partition begins
    assert asked["visits"] == datetime(2024, 4, 1, 4, tzinfo=UTC)
    assert asked["shops"] is None
    assert (metrics["rows/visits"], metrics["new_partitions/visits"]) == (2402, 2)
    found = snapshot.current(read_contracts(received.root)["visits"])
    assert found is not None
    assert (found.content, found.rows) == (whole, 2402)
    assert {name: received.partitions("visits")[name] for name in list(before)[:3]} == {
        name: before[name] for name in list(before)[:3]
    }
    # rows of April may come as long as its last are not known yet
    late = "slaProperties:\n  - {property: latency, value: 3, unit: d}\n"
    replace(received.contract("visits"), "customProperties:\n", f"{late}customProperties:\n")
    ingest(received.config(), Recorder())  # type: ignore[arg-type]
    assert asked["visits"] == datetime(2024, 4, 1, 4, tzinfo=UTC)
    # under another promise the whole of it comes again
    replace(received.contract("visits"), "value: [NA]", "value: [NA, none]")
    monkeypatch.setattr(
        fetch,
        "fetch_rows",
        lambda contract, since=None: asked.update(visits=since) or real(contract),
    )
    load_snapshots(["visits"])
    assert asked["visits"] is None


def test_row_moved_in_time_is_there_once_among_newer_rows(
    fresh: DataProject,
) -> None:
    for path in (fresh.root / "signals").glob("*.yaml"):
        path.unlink()
    text = CONTRACT.format(name="orders", source="unused", fields=textwrap.indent(ORDERS, "      "))
    server = "{server: source, type: local, path: unused, format: csv}"
    assert server in text
    sqlite = ("{server: source, type: custom, database: data/raw/orders.db, "
              "customProperties: [{property: reader, value: sqlite}]}")  # fmt: skip
    event = "customProperties: [{property: eventTime, value: at}]\n"
    fresh.contract("orders").write_text(text.replace(server, sqlite) + event)
    with contextlib.closing(sqlite3.connect(fresh.root / "data/raw/orders.db")) as database:
        database.execute("CREATE TABLE orders (id INTEGER, at TEXT)")
        rows = [(row, f"2024-0{1 + row // 100}-{1 + row % 28:02}T12:00:00Z") for row in range(300)]
        database.executemany("INSERT INTO orders VALUES (?, ?)", rows)
        database.commit()
        ingest(fresh.config(), Recorder())  # type: ignore[arg-type]
        database.execute("UPDATE orders SET at = '2024-03-30T12:00:00Z' WHERE id = 7")
        database.commit()
    metrics = ingest(fresh.config(), Recorder())  # type: ignore[arg-type]
    assert metrics["rows/orders"] == 300
    found = snapshot.current(read_contracts(fresh.root)["orders"])
    assert found is not None
    moved = snapshot.scan(found).filter(id=7).collect()
    assert moved["at"].to_list() == [datetime(2024, 3, 30, 12, tzinfo=UTC)]


def test_unique_value_of_an_earlier_month_is_held(
    fresh: DataProject,
) -> None:
    for path in (fresh.root / "signals").glob("*.yaml"):
        path.unlink()
    fields = ORDERS + "- {name: invoice, logicalType: string, unique: true}\n"
    text = CONTRACT.format(
        name="orders", source="data/raw/orders.csv", fields=textwrap.indent(fields, "      ")
    )
    event = "customProperties: [{property: eventTime, value: at}]\n"
    fresh.contract("orders").write_text(text + event)
    lines = ["id,at,invoice", *(f"{row},2024-01-{1 + row % 28:02},R{row}" for row in range(60))]
    fresh.source("orders").write_text("\n".join(lines) + "\n")
    assert ingest(fresh.config(), Recorder())["held/orders"] == 0  # type: ignore[arg-type]
    lines += [
        f"{row},2024-02-{1 + row % 28:02},R{row if row != 77 else 7}" for row in range(60, 120)
    ]
    fresh.source("orders").write_text("\n".join(lines) + "\n")
    assert ingest(fresh.config(), Recorder())["held/orders"] == 1  # type: ignore[arg-type]
    (hold,) = holds.read_holds(fresh.root)
    assert [(violation.kind, violation.field) for violation in hold.violations] == [
        ("duplicates", "invoice")
    ]


def test_without_any_contract_it_says_how_to_write_the_first(fresh: DataProject) -> None:
    for path in (fresh.root / "signals").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"python run\.py new signal NAME --from PATH"):
        ingest(fresh.config(), Recorder())  # type: ignore[arg-type]


# ---------------------------------------------------------------- killed

INGEST = """
    from omegaconf import OmegaConf
    from unittest.mock import MagicMock
    from ml_experiment_runner.signals.ingest import ingest
    run = MagicMock(progress=lambda items, *_: items)
    ingest(OmegaConf.create({"signals": [], "now": None}), run)
"""


def _whole(name: str) -> str:
    """The content of a signal's files; that of its record, or the snapshot is not whole."""
    found = load_snapshots([name])[name]
    files = {path.stem: pl.read_parquet(path) for path in found.folder.iterdir()}
    assert {key: snapshot.content_hash(rows) for key, rows in files.items()} == found.partitions
    assert sum(rows.height for rows in files.values()) == found.rows
    return found.content


def _survive(project: DataProject, kills: int) -> None:
    """Kills receiving at random moments; the snapshot is whole and the next one completes."""
    names = ("visits", "shops")
    rng = random.Random(7)
    begin = time.monotonic()
    usual: float | None = None
    old = {name: _whole(name) for name in names}
    for number in range(-1, kills):
        month = f"{2020 + (number + 1) // 12}-{(number + 1) % 12 + 1:02}"
        with project.source("visits").open("a") as file:
            file.write(
                f"{month}-02T12:00:00Z,a,1,1,true,5\n2024-02-02T12:{number + 1:02}:00Z,b,1,1,,\n"
            )
        with project.source("shops").open("a") as file:
            file.write(f"s{number},2022-01-01,3\n")
        new = {name: content(project, name) for name in names}
        begin = time.monotonic()
        process = project.python(INGEST, start_new_session=True)
        if usual is None:
            assert process.wait(timeout=60) == 0
            usual = time.monotonic() - begin
            old = new
            continue
        time.sleep(usual * rng.uniform(0.2, 1.1))
        # with DVC, or DVC is left to find out by itself
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if number % 2 else os.kill)(process.pid, signal.SIGKILL)
        process.wait(timeout=60)
        for name in names:
            project.source(name).rename(project.source(name).with_suffix(".away"))
        found = {name: _whole(name) for name in names}
        assert all(found[name] in (old[name], new[name]) for name in names)
        for name in names:
            project.source(name).with_suffix(".away").rename(project.source(name))
        ingest(project.config(), Recorder())  # type: ignore[arg-type]
        assert {name: _whole(name) for name in names} == new
        old = new


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_anywhere_the_snapshot_is_whole(
    received: DataProject,
) -> None:
    _survive(received, 3)


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_thirty_times_killed_the_snapshot_is_whole(
    received: DataProject,
) -> None:
    _survive(received, 30)


@pytest.mark.parametrize("moment", ["before dvc", "after dvc", "dvc is half done"])
def test_publication_that_stopped_at_its_worst_is_put_back(
    received: DataProject, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    contract = read_contracts(received.root)["visits"]
    path = received.root / "data/signals/visits.dvc"
    before = snapshot.current(contract)
    text = path.read_text()
    with received.source("visits").open("a") as file:
        file.write("2024-02-02T12:01:00Z,a,1,1,true,5\n")
    real = publish_module.run_dvc

    def stopped(root: Path, arguments: list[str]) -> Any:
        assert arguments[0] != "pull", "the cache has it: nobody needs to be asked"
        if arguments[0] == "add":
            if moment != "before dvc":
                real(root, arguments)
            if moment == "dvc is half done":
                path.write_text(path.read_text()[:40])
            raise KeyboardInterrupt
        return real(root, arguments)

    monkeypatch.setattr(publish_module, "run_dvc", stopped)
    with pytest.raises(KeyboardInterrupt):
        ingest(received.config(), Recorder())  # type: ignore[arg-type]
    received.source("visits").rename(received.source("visits").with_suffix(".away"))
    assert load_snapshots(["visits"])["visits"] == before
    assert path.read_text() == text


def test_lock_file_that_dvc_left_half_written_is_no_obstacle(received: DataProject) -> None:
    lock = received.root / ".dvc" / "tmp" / "rwlock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_text("")
    with received.source("visits").open("a") as file:
        file.write("2024-02-02T12:01:00Z,a,1,1,true,5\n")
    ingest(received.config(), Recorder())  # type: ignore[arg-type]
    assert _whole("visits") == content(received, "visits")


@pytest.mark.skipif(not Path("/proc").exists(), reason="has no processes that nobody waits for")
def test_lock_of_a_killed_dvc_is_no_obstacle(received: DataProject) -> None:
    killed = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, killed.pid, os.WEXITED | os.WNOWAIT)
    lock = received.root / ".dvc" / "tmp" / "rwlock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    work = {"pid": killed.pid, "cmd": "add data/signals/visits"}
    lock.write_text(json.dumps({"write": {str(received.root / "data/signals/visits"): work}}))
    with received.source("visits").open("a") as file:
        file.write("2024-02-02T12:01:00Z,a,1,1,true,5\n")
    ingest(received.config(), Recorder())  # type: ignore[arg-type]
    assert _whole("visits") == content(received, "visits")
    killed.wait()


def test_another_dvc_at_work_is_waited_for_and_then_named(
    received: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = received.root / ".dvc" / "tmp" / "rwlock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    work = {"pid": os.getpid(), "cmd": "push"}
    lock.write_text(json.dumps({"write": {str(received.root / "data/signals/visits"): work}}))
    with received.source("visits").open("a") as file:
        file.write("2024-02-02T12:01:00Z,a,1,1,true,5\n")
    monkeypatch.setattr(dvc_module, "PATIENCE", 1)
    with pytest.raises(
        UserError, match=f"another DVC is at work here, process {os.getpid()}: push"
    ):
        ingest(received.config(), Recorder())  # type: ignore[arg-type]
    monkeypatch.setattr(dvc_module, "PATIENCE", 60)
    threading.Timer(2, lock.unlink).start()
    ingest(received.config(), Recorder())  # type: ignore[arg-type]
    assert _whole("visits") == content(received, "visits")


def test_first_publication_that_stopped_leaves_nothing_behind(
    fresh: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = publish_module.run_dvc

    def stopped(root: Path, arguments: list[str]) -> Any:
        real(root, arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(publish_module, "run_dvc", stopped)
        with pytest.raises(KeyboardInterrupt):
            load_snapshots(["shops"])
    fresh.source("shops").rename(fresh.source("shops").with_suffix(".away"))
    with pytest.raises(UserError, match="does not exist"):
        load_snapshots(["shops"])
    assert not (fresh.root / "data/signals/shops").exists()
    fresh.source("shops").with_suffix(".away").rename(fresh.source("shops"))
    assert load_snapshots(["shops"])["shops"].rows == 2


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into Linux's /proc")
def test_dvc_ends_with_the_run_that_started_it(received: DataProject) -> None:
    note = received.root / "child"
    process = received.python(f"""
        from ml_experiment_runner.project import dvc, repository
        own = "open({str(note)!r}, 'w').write(str(os.getpid())); import time; time.sleep(600)"
        dvc.PROGRAM = dvc.PROGRAM.partition("from dvc")[0] + own
        dvc.run_dvc(repository.root(), [])
    """)
    deadline = time.monotonic() + 30
    while not (note.exists() and note.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.wait(timeout=60)
    while Path(f"/proc/{note.read_text()}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
