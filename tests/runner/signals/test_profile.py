"""Profiles: what they say of a snapshot, that they say it exactly, and what they never say."""

import dataclasses
import itertools
import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.ingestion.loading import load_snapshots
from ml_experiment_runner.signals.snapshots import profile, profile_file, snapshot
from support.data_project import DataProject, git, replace


def contract(project: DataProject, name: str) -> Contract:
    return read_contracts(project.root)[name]


def read(project: DataProject, name: str) -> profile.Profile:
    return profile_file.read(profile_file.path(contract(project, name)))


def test_receiving_a_signal_writes_its_profile_for_git(project: DataProject) -> None:
    visits = read(project, "visits")
    record = snapshot.current(contract(project, "visits"))
    assert record is not None
    assert (visits.version, visits.md5, visits.content) == ("1.0.0", record.md5, record.content)
    assert list(visits.partitions) == ["2024-01", "2024-02", "2024-03", "2024-04"]
    assert "data/signals/visits.profile.json" in git(project.root, "ls-files")
    assert visits.whole.rows == 2400
    assert visits.whole.columns["shop"].top == {"a": 1200, "b": 1200}
    assert set(visits.whole.columns["member"].top) == {"true", "false"}


def test_counts_means_and_quantiles_are_those_of_the_rows(project: DataProject) -> None:
    said = contract(project, "visits")
    record = snapshot.current(said)
    assert record is not None
    rows = snapshot.scan(record).collect()
    for part, frame in [
        (read(project, "visits").whole, rows),
        *zip(read(project, "visits").partitions.values(),
             snapshot.by_partition(said, rows).values(), strict=True),
    ]:  # fmt: skip
        spent, values = part.columns["spent"], frame["spent"].drop_nulls().sort().to_numpy()
        assert spent.nulls == frame["spent"].null_count() > 0
        assert spent.mean == pytest.approx(values.mean(), rel=1e-5)
        assert spent.deviation == pytest.approx(values.std(ddof=1), rel=1e-5)
        assert (spent.quantiles[0], spent.quantiles[-1]) == (values[0], values[-1])
        for level, value in zip(profile.LEVELS, spent.quantiles, strict=True):
            below, upto = (np.searchsorted(values, value, side) / len(values)
                           for side in ("left", "right"))  # fmt: skip
            assert below - 0.025 <= level <= upto + 0.025
        moments = part.columns["at"].quantiles
        for moment, true in ((moments[0], frame["at"].min()), (moments[-1], frame["at"].max())):
            assert profile.show(moment, "timestamp") == f"{true:%Y-%m-%d %H:%M}"


def test_rank_correlations_are_spearman_s(project: DataProject) -> None:
    rng = random.Random(1)
    rows = [{"minute": one, "spent": one**3 + rng.gauss(0, 20000), "visitor": rng.random()}
            for one in (rng.randint(0, 59) for _ in range(500))]  # fmt: skip
    rows[7]["spent"] = None  # type: ignore[assignment]
    frame = pl.DataFrame(rows)
    found = profile.measure(contract(project, "visits"), frame).correlations
    true = frame.drop_nulls().select(pl.corr("spent", "minute", method="spearman")).item()
    assert found["spent", "minute"] == pytest.approx(true, abs=0.005)
    assert 0.3 < true < 0.99


def test_constant_and_empty_fields_have_no_correlation(project: DataProject) -> None:
    frame = pl.DataFrame({"minute": [3, 3, 3], "spent": [None, None, None], "visitor": [1, 2, 3]},
                         schema_overrides={"spent": pl.Float64})  # fmt: skip
    part = profile.measure(contract(project, "visits"), frame)
    assert part.correlations == {}
    assert part.columns["spent"] == profile.ColumnProfile(3)
    assert profile.measure(contract(project, "visits"), frame.clear()).rows == 0


def test_same_snapshot_makes_the_same_bytes(project: DataProject) -> None:
    path = profile_file.path(contract(project, "visits"))
    before = path.read_bytes()
    path.unlink()
    record = snapshot.current(contract(project, "visits"))
    assert record is not None
    assert profile_file.write(contract(project, "visits"), record) == path
    assert path.read_bytes() == before
    assert len(before) < 20_000


def test_only_changed_partitions_are_read_again(
    project: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    with project.source("visits").open("a") as file:
        file.write("2024-04-30T10:00:00Z,a,1,1,true,5\n")
    read_files = []
    true = pl.read_parquet

    def spy(path: Path, **more: Any) -> pl.DataFrame:
        read_files.append(path.stem)
        return true(path, **more)

    monkeypatch.setattr(pl, "read_parquet", spy)
    shutil.rmtree(project.root / "data/signals/visits")
    (project.root / "data/signals/visits.dvc").unlink()
    load_snapshots(["visits"])
    assert read_files == ["2024-04"]
    assert read(project, "visits").whole.rows == 2401


def test_merging_parts_does_not_depend_on_how_they_are_cut(project: DataProject) -> None:
    said = contract(project, "visits")
    rng = np.random.default_rng(3)
    frame = pl.DataFrame({"minute": rng.integers(0, 60, 3000), "spent": rng.normal(5, 2, 3000)})
    whole = profile.measure(said, frame)
    cuts = [0, 100, 700, 2900, 3000]
    parts = [profile.measure(said, frame[a:b]) for a, b in itertools.pairwise(cuts)]
    merged = profile.merge(parts)
    assert merged.rows == 3000
    for name in ("minute", "spent"):
        one, other = merged.columns[name], whole.columns[name]
        assert one.mean == pytest.approx(other.mean, rel=1e-4)
        assert one.deviation == pytest.approx(other.deviation, rel=1e-4)
        values = frame[name].sort().to_numpy()
        for level, value in zip(profile.LEVELS, one.quantiles, strict=True):
            assert np.searchsorted(values, value, "left") / 3000 <= level + 0.025
            assert np.searchsorted(values, value, "right") / 3000 >= level - 0.025


def test_classified_field_shows_only_how_often_it_is_there(project: DataProject) -> None:
    for line in ("{name: visitor, logicalType: integer", "{name: shop, logicalType: string",
                 "{name: spent, logicalType: number"):  # fmt: skip
        replace(project.contract("visits"), line, line + ", classification: restricted")
    said = contract(project, "visits")
    record = snapshot.state_of(said)[1]
    assert record is not None
    profile_file.write(said, record)  # the old parts, which knew more, are not taken over
    for part in json.loads(profile_file.path(said).read_text())["partitions"].values():
        for name in ("visitor", "shop", "spent"):
            assert set(part["columns"][name]) == {"nulls"}
        assert not part["correlations"]


def test_long_and_rare_texts_do_not_fill_the_profile(project: DataProject) -> None:
    said = contract(project, "visits")
    frame = pl.DataFrame({"shop": [f"{number} " + "x" * 500 for number in range(1000)] + ["a"] * 5})
    shop = profile.measure(said, frame).columns["shop"]
    assert shop.top == {"a": 5}
    assert shop.distinct == 1001


@pytest.mark.parametrize("text", ["", "{}", '{"levels": [0]}', "[1]"])
def test_file_that_is_no_profile_is_written_anew(project: DataProject, text: str) -> None:
    said = contract(project, "shops")
    path = profile_file.path(said)
    before = path.read_bytes()
    path.write_text(text)
    with pytest.raises(UserError, match="is not a profile that this version can read"):
        profile_file.read(path)
    record = snapshot.current(said)
    assert record is not None
    profile_file.write(said, record)
    assert path.read_bytes() == before


def test_numbers_beyond_reason_stay_valid_json(
    project: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pl.DataFrame({"spent": [1.0, float("inf"), -float("inf")]})
    said = contract(project, "visits")
    record = snapshot.current(said)
    assert record is not None
    part = profile.measure(said, frame)
    made = dataclasses.replace(profile_file.of(said, record), partitions={"all": part})
    monkeypatch.setattr(profile_file, "of", lambda *_: made)
    text = profile_file.write(said, record).read_text()
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not valid JSON"))
