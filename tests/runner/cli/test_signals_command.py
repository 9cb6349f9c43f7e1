"""The command `signals diff`: what differs between two versions of a signal, and its picture."""

import io
import json
import shutil
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from ml_experiment_runner.cli.signals import signals
from ml_experiment_runner.cli.signals_diff import print_comparison
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.snapshots import profile
from ml_experiment_runner.signals.snapshots.diff import Comparison, compare
from ml_experiment_runner.signals.snapshots.profile import Profile
from support.data_project import DataProject, build, git, replace

MONTHS = ("2024-01", "2024-02", "2024-03")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> DataProject:
    project = build(tmp_path_factory.mktemp("diff") / "project")
    project.receive("visits", "shops")
    project.commit()
    return project


@pytest.fixture
def project(original: DataProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataProject:
    return original.copy(tmp_path / "project", monkeypatch)


@pytest.fixture
def visits(project: DataProject) -> Contract:
    return read_contracts(project.root)["visits"]


def rows(month: int, shift: float = 0.0, scale: float = 1.0) -> pl.DataFrame:
    """A month of visits; their level has a season."""
    rng = np.random.default_rng(month)
    minute = rng.integers(0, 60, 1000)
    spent = minute / 6 + rng.normal(10 * month, 3, 1000)
    return pl.DataFrame({"shop": rng.choice(["a", "b"], 1000), "minute": minute,
                         "spent": spent * scale + shift})  # fmt: skip


def made(contract: Contract, frames: list[pl.DataFrame], **said: Any) -> Profile:
    """A profile of these months; `said` is what the contract says otherwise of `spent`."""
    fields = {"shop": {"type": "string"}, "minute": {"type": "integer"},
              "spent": {"type": "number", **said}}  # fmt: skip
    parts = {
        month: profile.measure(contract, frame, str(frame.hash_rows().sum()))
        for month, frame in zip(MONTHS, frames, strict=False)
    }
    return Profile("visits", "1.0.0", "", "", fields, parts)


def printed(comparison: Comparison) -> str:
    with redirect_stdout(io.StringIO()) as output:
        print_comparison(comparison)
    return output.getvalue()


CLEAN = [rows(1), rows(2), rows(3)]


def test_same_rows_have_no_difference(visits: Contract) -> None:
    one = made(visits, CLEAN)
    found = compare(one, one, ("1.0.0", "1.1.0"))
    assert (found.changes, found.gaps) == ((), ())
    assert "3 of them with the same rows" in printed(found)
    assert "the same  shop, minute, spent" in printed(found)


def test_another_unit_is_told_from_the_month_it_came(visits: Contract) -> None:
    after = made(visits, [rows(1), rows(2, scale=0.4), rows(3, scale=0.4)], unit="EUR")
    found = compare(made(visits, CLEAN, unit="SEK"), after, ("1.0.0", "1.1.0"))
    (change,) = found.changes
    assert (change.field, change.since) == ("spent", "2024-02")
    assert 0.6 < change.size < 0.7  # two of three months
    assert change.texts[0] == "unit SEK → EUR"
    assert change.texts[1].startswith("median 2")
    assert "spent  " in printed(found)


def test_a_season_is_no_difference(visits: Contract) -> None:
    """The newer version reaches further: what came later is not compared with what was before."""
    found = compare(made(visits, CLEAN[:2]), made(visits, CLEAN), ("1.0.0", "1.1.0"))
    assert found.changes == ()
    assert "only after  1 partition, 2024-03" in printed(found)


def test_most_changed_field_comes_first(visits: Contract) -> None:
    after = [frame.with_columns(pl.lit("b").alias("shop"), pl.col("spent") + 0.5)
             for frame in CLEAN]  # fmt: skip
    found = compare(made(visits, CLEAN), made(visits, after), ("1.0.0", "1.1.0"))
    assert [change.field for change in found.changes] == ["shop", "spent"]
    assert "gone: a" in found.changes[0].texts


def test_new_values_are_named_unless_nobody_can_know(visits: Contract) -> None:
    after = [frame.with_columns(pl.when(pl.col("minute") < 10).then(pl.lit("c"))
                                .otherwise("shop").alias("shop")) for frame in CLEAN]  # fmt: skip
    found = compare(made(visits, CLEAN), made(visits, after), ("1.0.0", "1.1.0"))
    assert found.changes[0].texts[0] == "new: c"
    # of 250 values the profile lists 20: x200 may have been there all along, and was
    many = [frame.with_columns(shop=pl.format("x{}", pl.int_range(pl.len()) % 250))
            for frame in CLEAN]  # fmt: skip
    one = [frame.with_columns(shop=pl.lit("x200")) for frame in CLEAN]
    (change,) = compare(made(visits, many), made(visits, one), ("1.0.0", "1.1.0")).changes
    assert change.size > 0.9
    assert not any("new" in word for word in change.texts)


def test_nulls_types_and_fields_that_come_and_go_are_told(visits: Contract) -> None:
    before = made(visits, CLEAN)
    some = pl.when(pl.int_range(pl.len()) % 4 > 0).then("spent").alias("spent")
    nulls = compare(before, made(visits, [frame.with_columns(some) for frame in CLEAN]), ("", ""))
    change = nulls.changes[0]
    assert (change.field, change.by_nulls) == ("spent", True)
    assert change.texts[0].startswith("nulls 0.0% → 2")
    after = made(visits, [frame.drop("shop") for frame in CLEAN], type="string", required=True)
    del after.fields["shop"]  # type: ignore[attr-defined]
    found = compare(before, after, ("", ""))
    assert {change.field: change.texts[0] for change in found.changes} == {
        "shop": "removed field",
        "spent": "type number → string",
    }
    assert "now required" in printed(found)


def test_broken_relation_between_fields_is_told(visits: Contract) -> None:
    after = [frame.with_columns(pl.col("spent").shuffle(seed=1)) for frame in CLEAN]
    found = compare(made(visits, CLEAN), made(visits, after), ("1.0.0", "1.1.0"))
    assert found.changes == ()  # each field by itself is what it was
    assert found.gaps[0].fields == ("spent", "minute")
    assert found.gaps[0].before > 0.5 > 0.2 > abs(found.gaps[0].after)
    assert "spent ~ minute" in printed(found)


def test_unchanged_quantiles_on_a_few_values_are_no_difference(visits: Contract) -> None:
    """A value's share that crosses a quantile's level by one row has not changed."""
    few, more = ([1] * count + [2] * (1000 - count) for count in (499, 502))
    frames = [pl.DataFrame({"minute": values}) for values in (few, more)]
    one, other = (made(visits, [frame]) for frame in frames)
    for each in (one, other):
        for name in ("shop", "spent"):
            del each.fields[name]  # type: ignore[attr-defined]
    assert compare(one, other, ("", "")).changes == ()


# ---------------------------------------------------------------- the command


def bump(project: DataProject) -> None:
    """A new version, which receiving keeps the former one of."""
    replace(project.contract("visits"), "version: 1.0.0", "version: 2.0.0")
    replace(project.contract("visits"), "{name: minute,", "{name: minute, required: true,")
    project.receive("visits")


def test_diff_compares_the_last_version_kept_and_draws_it(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    bump(project)
    assert signals(["diff", "visits"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("visits  1.0.0 → 2.0.0\n")
    assert "now required" in output
    picture = Path(output.splitlines()[-1].removeprefix("picture  "))
    assert picture.parent == project.root / "data/cache"  # git does not see it
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 200_000


def test_field_of_another_type_is_told_and_not_drawn(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    replace(project.contract("visits"), "version: 1.0.0", "version: 2.0.0")
    replace(project.contract("visits"), "{name: minute, logicalType: integer",
            "{name: minute, logicalType: string")  # fmt: skip
    project.receive("visits")
    assert signals(["diff", "visits"]) == 0
    assert "type integer → string" in capsys.readouterr().out


def test_versions_and_git_revisions_can_be_named(
    project: DataProject, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    bump(project)
    target = tmp_path / "new" / "x.png"
    assert signals(["diff", "visits", "2.0.0", "1.0.0", "--picture", str(target)]) == 0
    with pytest.raises(UserError, match=r"a\.png cannot be written .*--picture PATH"):
        signals(["diff", "visits", "2.0.0", "1.0.0", "--picture", str(target / "a.png")])
    assert "visits  2.0.0 → 1.0.0" in capsys.readouterr().out
    assert target.exists()
    assert signals(["diff", "visits", "HEAD", "2.0.0"]) == 0
    assert "visits  1.0.0 (HEAD) → 2.0.0" in capsys.readouterr().out


def test_without_a_kept_version_gits_last_profile_is_meant(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    with project.source("visits").open("a") as file:
        file.write("2024-04-30T10:00:00Z,a,1,1,true,5\n")
    (project.root / "data/signals/visits.dvc").unlink()
    shutil.rmtree(project.root / "data/signals/visits")
    project.receive("visits")
    assert signals(["diff", "visits"]) == 0
    head = git(project.root, "rev-parse", "--short", "HEAD").strip()
    output = capsys.readouterr().out
    assert f"visits  1.0.0 ({head}) → 1.0.0 (current)" in output
    assert "rows        2,400 → 2,401" in output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["visits"], "version 1.0.0 is its only one"),
        (
            ["visits", "3.0.0"],
            "unknown version '3.0.0'.\nWrite one of its versions \\(1.0.0\\) or a git revision",
        ),
        (["visit"], "Did you mean 'visits'"),
        (
            ["prices"],
            "does not exist yet.\nIngest it: python run.py task=ingest signals=\\[prices\\]",
        ),
    ],
)
@pytest.mark.usefixtures("project")
def test_what_cannot_be_compared_is_said(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        signals(["diff", *words])


@pytest.mark.usefixtures("project")
def test_picture_that_cannot_be_drawn_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        signals(["diff", "visits", "--picture", "change.foo"])
    assert "--picture: must end in .png" in capsys.readouterr().err


def test_classified_values_are_not_told(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    replace(project.contract("visits"), "{name: spent,",
            "{name: spent, classification: restricted,")  # fmt: skip
    (project.root / "data/signals/visits.dvc").unlink()
    shutil.rmtree(project.root / "data/signals/visits")
    project.receive("visits")
    assert signals(["diff", "visits", "HEAD"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines()
                if line.startswith("spent"))  # fmt: skip
    assert line.split("  ")[-1].strip() == "classification none → restricted"
    assert "quantiles" not in json.dumps(
        json.loads((project.root / "data/signals/visits.profile.json").read_text())["whole"][
            "columns"
        ]["spent"]
    )
