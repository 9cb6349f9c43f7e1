"""Versions of a signal: what a new one may change, and two of them side by side."""

import shutil
from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock

import polars as pl
import pytest

from ml_experiment_runner.config.overrides import normalise
from ml_experiment_runner.dataset.dataset import load_dataset
from ml_experiment_runner.dataset.plan import make_plan
from ml_experiment_runner.holds import holds
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.checks import quality
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.contract.contract_file import contract_of, read_contracts
from ml_experiment_runner.signals.drift import detection
from ml_experiment_runner.signals.ingest import ingest
from ml_experiment_runner.signals.ingestion.loading import load_snapshots
from ml_experiment_runner.signals.odcs.yaml_document import parse
from ml_experiment_runner.signals.snapshots import snapshot, versions
from support.data_project import DataProject, Recorder, git, replace

RICH = "{name: size, logicalType: integer, logicalTypeOptions: {minimum: 0, maximum: 99}}"
CHANGES = detection.changes
UNIT = "{name: price, logicalType: number, customProperties: [{property: unit, value: %s}]}"


@pytest.fixture(autouse=True)
def changes(monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    """What change finds in these little data is its own matter."""
    mock = MagicMock(return_value=[])
    monkeypatch.setattr(detection, "changes", mock)
    return mock


def _ingest(project: DataProject) -> dict[str, float]:
    return ingest(project.config(), Recorder())  # type: ignore[arg-type]


def _contract(text: str, path: Path) -> Contract:
    return contract_of(parse(text, path), path)


def _bump(project: DataProject, name: str, version: str) -> None:
    replace(project.contract(name), "version: 1.0.0", f"version: {version}")


def _twice_the_price(project: DataProject) -> None:
    """The owner of prices goes over to another unit, under a new version."""
    frame = pl.read_csv(project.source("prices"))
    frame.with_columns(pl.col("price") * 2).write_csv(project.source("prices"))
    replace(project.contract("prices"), UNIT % "EUR", UNIT % "XTS")
    _bump(project, "prices", "2.0.0")


# ---------------------------------------------------------------- what a version may change


def _edit(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new, 1)


NEW_FIELD = _edit("- {name: opened,", "- {name: city, logicalType: string}\n      - {name: opened,")


@pytest.mark.parametrize(
    ("edit", "least"),
    [
        (_edit("      - {name: opened, logicalType: date}\n", ""), "2.0.0"),
        (_edit("{name: opened,", "{name: since,"), "2.0.0"),
        (_edit("opened, logicalType: date", "opened, logicalType: string"), "2.0.0"),
        (_edit("logicalType: date", "logicalType: date, required: true"), "2.0.0"),
        (_edit("logicalType: date", "logicalType: date, primaryKey: true"), "2.0.0"),
        (_edit("maximum: 99", "maximum: 50"), "2.0.0"),
        (_edit("maximum: 99", "maximum: 500"), "2.0.0"),
        (_edit("minimum: 0, ", ""), "2.0.0"),
        (NEW_FIELD, "1.1.0"),
        (_edit("logicalType: date", "logicalType: date, customProperties: "
               "[{property: knownAfterEvent, value: true}]"), "2.0.0"),
        (_edit("Team shops", "Team stores"), "1.0.0"),
        (_edit("logicalType: date", "logicalType: date, description: The first day."), "1.0.0"),
    ],
)  # fmt: skip
def test_version_must_say_what_has_changed(
    project: DataProject, edit: Callable[[str], str], least: str
) -> None:
    path = project.contract("shops")
    text = path.read_text()
    before = _contract(text, path)
    assert edit(text) != text
    for version in ("1.0.0", "1.0.1", "1.1.0", "2.0.0"):
        now = _contract(edit(text).replace("version: 1.0.0", f"version: {version}"), path)
        if version >= least:
            versions.check(before, now)
        else:
            with pytest.raises(UserError) as error:
                versions.check(before, now)
            assert f"Write version: {least} in signals/shops.yaml" in str(error.value)
            assert len(str(error.value).splitlines()) == 2


def test_draft_and_version_zero_may_change(project: DataProject) -> None:
    path = project.contract("shops")
    text = path.read_text()
    broken = text.replace("opened, logicalType: date", "opened, logicalType: string")
    with pytest.raises(UserError):
        versions.check(_contract(text, path), _contract(broken, path))
    draft = text.replace("status: active", "status: draft")
    versions.check(_contract(draft, path), _contract(broken, path))
    zero = [each.replace("version: 1.0.0", "version: 0.1.0") for each in (text, broken)]
    with pytest.raises(UserError, match=r"Write version: 0\.2\.0"):
        versions.check(*(_contract(each, path) for each in zero))
    zero[1] = zero[1].replace("0.1.0", "0.2.0")
    versions.check(*(_contract(each, path) for each in zero))


def test_breaking_change_of_the_same_version_is_refused(
    project: DataProject,
) -> None:
    replace(project.contract("shops"), "opened, logicalType: date", "opened, logicalType: string")
    with project.source("visits").open("a") as file:
        file.write("2024-05-02T12:00:00Z,a,1,1,true,5\n")
    said = (
        r"signal shops: the type of 'opened' changed from date to string, which is a breaking "
        r"change, under version 1\.0\.0, as before\.\nWrite version: 2\.0\.0"
    )
    with pytest.raises(UserError, match=said):
        _ingest(project)
    assert load_snapshots(["visits"])["visits"].rows == 2401
    with pytest.raises(UserError, match=said):
        load_snapshots(["shops"])


def test_version_cannot_go_down(project: DataProject) -> None:
    _bump(project, "shops", "0.9.0")
    with pytest.raises(UserError, match=r"must not go down, from 1\.0\.0 to 0\.9\.0"):
        load_snapshots(["shops"])


# ---------------------------------------------------------------- side by side


def test_experiment_stays_on_the_version_that_it_pins(project: DataProject) -> None:
    before = load_dataset(project.config())
    _twice_the_price(project)
    _ingest(project)
    run = MagicMock()
    pinned = load_dataset(project.config(pin={"prices": "1.0.0"}), run)
    current = load_dataset(project.config())
    assert pinned.frame.equals(before.frame)
    assert pinned.fingerprint == before.fingerprint != current.fingerprint
    assert current.frame["price"].drop_nulls().equals(before.frame["price"].drop_nulls() * 2)
    recorded = {call.args[0]: call.args[1:3] for call in run.log_dataset.call_args_list}
    assert recorded["prices"] == ("1.0.0", before.snapshots["prices"].md5)
    names = {call.args[1] for call in run.log_artifact.call_args_list}
    assert {"versions/prices/1.0.0.dvc", "versions/prices/1.0.0.yaml"} <= names


def test_former_version_comes_back_with_dvc_pull(
    project: DataProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level("INFO")
    before = snapshot.current(read_contracts(project.root)["prices"])
    text = project.contract("prices").read_text()
    _twice_the_price(project)
    _ingest(project)
    assert "data/versions/prices/1.0.0.dvc" in caplog.text
    assert (project.root / "data/versions/prices/1.0.0.yaml").read_text() == text
    process = project.python("import sys; from dvc.cli import main; sys.exit(main(['push']))")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "two versions")
    git(tmp_path, "clone", "-q", str(project.root), "clone")
    clone = DataProject(tmp_path / "clone").enter(monkeypatch)
    clone.rename_package()
    found = load_snapshots(["prices"], pins={"prices": "1.0.0"})["prices"]
    assert before is not None
    assert (found.version, found.md5, found.content) == ("1.0.0", before.md5, before.content)
    assert snapshot.scan(found).collect().height == before.rows
    assert load_snapshots(["prices"])["prices"].version == "2.0.0"
    assert git(clone.root, "status", "--porcelain", "data", "holds") == ""


def test_pin_names_the_nearest(project: DataProject) -> None:
    with pytest.raises(UserError, match=r"dataset\.pin\.price: .*Did you mean 'prices'"):
        make_plan(project.config(pin={"price": "1.0.0"}))
    with pytest.raises(UserError, match=r"unknown version '1\.0\.1'. Did you mean '1\.0\.0'"):
        make_plan(project.config(pin={"prices": "1.0.1"}))


def test_version_that_is_nowhere_says_who_could_share_it(project: DataProject) -> None:
    _twice_the_price(project)
    _ingest(project)
    shutil.rmtree(project.root / ".dvc" / "cache")
    with pytest.raises(UserError, match=r"dvc push data/versions/prices/1\.0\.0\.dvc"):
        load_dataset(project.config(pin={"prices": "1.0.0"}))


def test_pin_that_pins_nothing_is_told(
    project: DataProject, caplog: pytest.LogCaptureFixture
) -> None:
    load_dataset(project.config(pin={"shops": "1.0.0"}, features=["hour"]))
    assert "dataset.pin.shops pins nothing: no feature of this dataset reads shops" in caplog.text


def test_pinned_rows_that_were_changed_by_hand_are_refused(project: DataProject) -> None:
    _twice_the_price(project)
    _ingest(project)
    found = load_snapshots(["prices"], pins={"prices": "1.0.0"})["prices"]
    path = next(found.folder.glob("*.parquet"))
    pl.read_parquet(path).head(1).write_parquet(path)
    with pytest.raises(UserError, match=r"data/versions/prices/1\.0\.0\.dvc"):
        load_snapshots(["prices"], pins={"prices": "1.0.0"})


def test_pin_on_the_version_outlives_an_interrupted_ingest(project: DataProject) -> None:
    snapshot.write_index(read_contracts(project.root)["prices"], {"publishing": True})
    (path,) = (project.root / "data/signals/prices").glob("2024-03*")
    path.write_bytes(b"half")
    before = git(project.root, "status", "--porcelain")
    found = load_snapshots(["prices"], pins={"prices": "1.0.0"})["prices"]
    assert snapshot.scan(found).collect().height == found.rows
    assert git(project.root, "status", "--porcelain") == before


def test_looking_does_not_hide_that_files_are_replaced(project: DataProject) -> None:
    contract = read_contracts(project.root)["prices"]
    text = snapshot.dvc_file(contract).read_text()
    snapshot.write_index(contract, {"publishing": True, "before": text})
    load_snapshots(["prices"], pins={"prices": "1.0.0"})
    # cut off now, its ingest is to be undone
    (path,) = (project.root / "data/signals/prices").glob("2024-03*")
    path.write_bytes(b"half")
    assert load_snapshots(["prices"])["prices"].rows == 1200


def test_pin_on_the_command_line_needs_no_plus() -> None:
    assert normalise(["dataset.pin.prices=1.0.0"]) == ["++dataset.pin.prices=1.0.0"]
    assert normalise(["++dataset.pin.prices=1.0.0"]) == ["++dataset.pin.prices=1.0.0"]


def test_pinned_dataset_is_checked_against_the_contract_of_then(project: DataProject) -> None:
    frame = pl.read_csv(project.source("shops"), infer_schema=False)
    frame.drop("size").write_csv(project.source("shops"))
    replace(project.contract("shops"), f"      - {RICH}\n", "")
    _bump(project, "shops", "2.0.0")
    _ingest(project)
    with pytest.raises(UserError, match="shops has no field 'size'"):
        load_dataset(project.config())
    assert "size" in load_dataset(project.config(pin={"shops": "1.0.0"})).frame.columns


# ---------------------------------------------------------------- held under a new version


def test_run_uses_the_former_version_while_the_new_is_held(
    project: DataProject, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = load_dataset(project.config())
    _twice_the_price(project)
    violation = quality.Violation("range", "price", "price is above what anybody pays", "2024-01")
    monkeypatch.setattr(quality, "broken", lambda *_: [violation])
    # received by the run itself, and held on arrival
    data = load_dataset(project.config())
    assert data.fingerprint == before.fingerprint
    assert data.snapshots["prices"].version == "1.0.0"
    assert "the run goes on with the last good snapshot" in caplog.text
    assert "version 1.0.0" in caplog.text
    assert not (project.root / "data/versions/prices").exists()


def test_what_a_version_announces_is_no_silent_change(
    project: DataProject, changes: MagicMock
) -> None:
    _twice_the_price(project)
    _ingest(project)
    (call,) = [call for call in changes.call_args_list if call.args[0].name == "prices"]
    assert call.args[3] == {"price": snapshot.LATER}  # all of its past was in another unit
    with project.source("prices").open("a") as file:
        file.write("a,2024-05-02T12:00:00Z,1.5\n")
    changes.reset_mock()
    _ingest(project)
    (call,) = [call for call in changes.call_args_list if call.args[0].name == "prices"]
    assert call.args[3] == {"price": "2024-01"}


def test_same_change_is_held_unless_a_version_announces_it(
    project: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection, "changes", CHANGES)
    before = project.contract("prices").read_text()
    _twice_the_price(project)
    announced = project.contract("prices").read_text()
    project.contract("prices").write_text(before)
    assert _ingest(project)["held/prices"] == 1
    project.contract("prices").write_text(announced)
    assert _ingest(project)["held/prices"] == 0
    assert [hold.status for hold in holds.read_holds(project.root)] == ["superseded"]


def test_announced_unit_begins_with_the_next_partition(
    project: DataProject, changes: MagicMock
) -> None:
    replace(project.contract("prices"), UNIT % "EUR", UNIT % "XTS")
    _bump(project, "prices", "2.0.0")
    _ingest(project)
    for month in ("05", "06"):
        with project.source("prices").open("a") as file:
            file.write(f"a,2024-{month}-02T12:00:00Z,1.5\n")
        changes.reset_mock()
        _ingest(project)
    (call,) = [call for call in changes.call_args_list if call.args[0].name == "prices"]
    assert call.args[3] == {"price": "2024-05"}


@pytest.mark.parametrize(
    ("version", "numbers"),
    [
        ("1.2.3", (1, 2, 3)),
        ("v1.2.3", (1, 2, 3)),
        ("1.2", (1, 2, 0)),
        ("v2", (2, 0, 0)),
        ("2024-06", ()),
        ("1.2.3.4", ()),
        ("1.0.0-rc.1", ()),
        ("latest", ()),
    ],
)
def test_version_of_a_producer_is_compared_by_its_numbers(
    version: str, numbers: tuple[int, ...]
) -> None:
    assert versions.numbers(version) == numbers


@pytest.mark.parametrize(("old", "new"), [("1.0.0", "2024-06"), ("2024-06", "1.0.0")])
def test_version_without_numbers_is_another_and_not_lower(
    project: DataProject, old: str, new: str
) -> None:
    path = project.contract("shops")
    text = path.read_text()
    before, now = (
        _contract(text.replace("version: 1.0.0", f"version: {version}"), path)
        for version in (old, new)
    )
    versions.check(before, now)
    with pytest.raises(UserError, match="must not go down"):
        versions.check(_contract(text.replace("version: 1.0.0", "version: v2"), path),
                       _contract(text.replace("version: 1.0.0", "version: 1.9"), path))  # fmt: skip
