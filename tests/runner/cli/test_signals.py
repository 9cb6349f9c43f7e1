"""The command `signals`: who uses what, read from the expressions and the experiments."""

import shutil
from pathlib import Path

import pytest

from ml_experiment_runner.cli.signals import signals
from ml_experiment_runner.holds import holds
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.snapshots import snapshot
from support.data_project import DataProject, build, git, replace
from support.folders import write_run

CONF = {
    "config.yaml": """\
defaults: [_self_, {task: train}, {dataset: visits}]
project: p
package: PACKAGE
outputs: ${root:}/outputs
tracking: {uri: "sqlite:///x.db"}
experiment: {owner: "", question: "", budget_days: null, until: null, status: active}
""",
    "task/train.yaml": "_target_: ml_experiment_runner.training.train.train\nuses: [dataset]\n",
    "task/ingest.yaml": "_target_: ml_experiment_runner.signals.ingest.ingest\n",
    "dataset/visits.yaml": """\
spine: visits
prediction_time: arrival
label: spends
features: [hour, minute]
joins: {prices: {shop: shop}, shops: {shop: shop}}
split: {by: time, validation: 1mo, test: 1mo}
""",
    "experiment/expensive.yaml": """\
# @package _global_
dataset: {features: [hour, relative_price]}
""",
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> DataProject:
    project = build(tmp_path_factory.mktemp("lineage") / "project")
    project.receive("visits")
    return project


@pytest.fixture
def project(original: DataProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataProject:
    root = tmp_path / "project"
    project = original.copy(root, monkeypatch)
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(root))
    project.rename_package()
    for name, text in CONF.items():
        path = root / "conf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("PACKAGE", project.package))
    return project


def facts(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, str]]:
    """What the command prints, by signal."""
    assert signals(list(arguments)) == 0
    found: dict[str, dict[str, str]] = {}
    for line in capsys.readouterr().out.splitlines():
        if not line.startswith("  "):
            name = line
            found[name] = {}
        else:
            found[name][line[2:14].strip()] = line[15:]
    return found


@pytest.mark.usefixtures("project")
def test_signals_lists_the_users_of_each_signal(capsys: pytest.CaptureFixture[str]) -> None:
    found = facts(capsys)
    assert list(found) == ["prices", "shops", "visits"]
    visits, prices, shops = found["visits"], found["prices"], found["shops"]
    assert visits["version"] == "1.0.0"
    assert visits["rows"] == "2,400"
    assert visits["last event"].startswith("2024-04-09")  # in New York
    assert visits["here"] == "ready"
    assert prices["here"] == "never received"
    assert "visits@example.com" in visits["owner"]
    assert visits["features"] == "hour, minute (default)"
    assert visits["experiments"] == "default, expensive"
    assert prices["features"] == "relative_price"
    assert prices["experiments"] == "expensive"
    assert shops["experiments"] == "expensive"
    assert visits["unused"] == "member"
    assert shops["unused"] == "opened"
    assert prices["unused"] == "none"
    assert not any("idle" in each or "late" in each for each in found.values())
    assert {each["held"] for each in found.values()} == {"no"}
    assert {each["models"] for each in found.values()} == {"none"}


def test_project_without_default_dataset_is_valid(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.root / "conf/experiment/expensive.yaml").unlink()
    replace(project.root / "conf/config.yaml", ", {dataset: visits}", "")
    found = facts(capsys)
    assert {each["experiments"] for each in found.values()} == {"none"}


def test_signal_without_experiment_is_idle(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    replace(project.root / "conf/experiment/expensive.yaml", "relative_price", "minute")
    found = facts(capsys, "shops")
    assert list(found) == ["shops"]
    assert found["shops"]["experiments"] == "none"
    assert found["shops"]["idle"] == "no feature and no experiment uses it"
    assert found["shops"]["unused"] == "shop, opened, size"


def test_signal_of_a_stopped_experiment_is_idle(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    with (project.root / "conf/experiment/expensive.yaml").open("a") as file:
        file.write("experiment: {status: stopped, conclusion: No.}\n")
    found = facts(capsys)
    assert found["prices"]["experiments"] == "expensive (stopped)"
    assert found["prices"]["idle"] == "no active experiment uses it"
    assert "idle" not in found["visits"]


def test_signal_without_feature_is_idle(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    replace(project.root / "conf/dataset/visits.yaml", "[hour, minute]", "[size]")
    replace(project.root / "conf/experiment/expensive.yaml", "[hour, relative_price]", "[size]")
    visits = facts(capsys, "visits")["visits"]
    assert visits["idle"] == "no feature uses it"  # its rows and the label alone
    assert visits["experiments"] == "default, expensive"


def test_models_are_listed_with_their_data(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    record = snapshot.recorded(read_contracts(project.root)["visits"])
    assert record is not None
    outputs = project.root / "outputs"
    for place, md5, status in (
        ("expensive/2026-11-01/10-00-00-aaaa1111", "old.dir", "FINISHED"),
        ("expensive/2026-11-02/10-00-00-bbbb2222", record.md5, "FINISHED"),
        ("expensive/2026-11-03/10-00-00-cccc3333", record.md5, "FAILED"),
        ("default/2026-11-01/10-00-00-dddd4444", "old.dir", "FINISHED"),
    ):
        folder = write_run(outputs, place, status, read={"signal": "visits", "md5": md5})
        (folder / "model").mkdir()
        (folder / "model/model.pkl").touch()
    write_run(outputs, "expensive/2026-11-04/10-00-00-eeee5555", read={"signal": "visits"})
    found = facts(capsys)
    assert found["visits"]["models"] == (
        "default dddd4444 (1.0.0, other rows), expensive bbbb2222 (1.0.0)"
    )
    assert found["prices"]["models"] == "none"


def test_signals_lists_status_versions_model_and_lateness(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    replace(project.contract("visits"), "status: active", "status: draft")
    replace(project.contract("visits"), "customProperties:\n  - {",
            "slaProperties: [{property: frequency, value: 1, unit: d}]\n"
            "customProperties:\n  - {property: model, value: demand@champion}\n  - {")  # fmt: skip
    kept = project.root / "data/versions/visits"
    kept.mkdir(parents=True)
    (kept / "0.9.0.dvc").touch()
    visits = facts(capsys, "visits")["visits"]
    assert visits["status"] == "draft"
    assert visits["version"] == "1.0.0; kept: 0.9.0"
    assert visits["output of"] == "the model demand@champion"
    assert "new ones are due within 24 hours" in visits["late"]


def test_last_change_is_the_commit_in_git(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    assert facts(capsys, "visits")["visits"]["last change"] == "not in git yet"
    git(project.root, "add", ".")
    git(project.root, "commit", "-qm", "data", "--date", "2026-03-04T12:00:00Z")
    commit = git(project.root, "rev-parse", "--short", "HEAD").strip()
    assert facts(capsys, "visits")["visits"]["last change"].endswith(f"(commit {commit})")
    shutil.rmtree(project.root / ".git")
    assert facts(capsys, "visits")["visits"]["last change"] == "not known to git"


def test_signals_lists_a_hold(project: DataProject, capsys: pytest.CaptureFixture[str]) -> None:
    violation = holds.Violation("range", "minute", "minute is 99", "2024-04")
    hold = holds.open_hold(
        project.root,
        holds.Hold(
            id="", subject="visits", version="1.0.0", last_good="none", owner="Team visits",
            opened="2026-11-20T10:00:00+00:00", partition="2024-04", violations=(violation,),
            delivery=("blake2b:00",),
        ),
    )  # fmt: skip
    held = facts(capsys)
    assert held["visits"]["held"] == f"{hold.id}, since 2026-11-20 (python run.py holds)"
    assert held["prices"]["held"] == "no"


def test_signals_are_listed_beside_a_broken_experiment(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    replace(project.root / "conf/experiment/expensive.yaml", "relative_price", "relative_prise")
    assert signals([]) == 2
    output = capsys.readouterr().out
    assert "idle" not in output  # the broken one may use it
    assert "expensive: dataset.features: features.py has no 'relative_prise'" in output
    assert "hour, minute" in output


def test_signals_lists_data_changed_by_hand(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.root / "data/signals/visits/2024-02.parquet").write_bytes(b"x")
    assert facts(capsys, "visits")["visits"]["here"] == "changed by hand"


def test_project_without_signals_says_how_to_begin(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(project.root / "signals")
    assert signals([]) == 0
    assert "none yet" in capsys.readouterr().out


def test_unused_signals_fields_and_features_are_findings(project: DataProject) -> None:
    from ml_experiment_runner.config.composition import compose
    from ml_experiment_runner.dataset.lineage import unused

    replace(project.root / "conf/experiment/expensive.yaml", "relative_price", "price")
    found = {(each.kind, each.subject): each for each in unused(compose())}
    assert ("unused_signal", "shops") in found
    assert ("unused_signal", "prices") not in found
    features = {subject for kind, subject in found if kind == "unused_feature"}
    assert features == {"member", "shop", "relative_price", "size"}
    assert found["unused_fields", "visits"].evidence["fields"] == ["member"]


def test_broken_contract_follows_the_other_signals(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.root / "signals/old.yaml").write_text("kind: DataContract\nid: [\n")
    assert signals([]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line in ("prices", "shops", "visits")] == [
        "prices", "shops", "visits"
    ]  # fmt: skip
    assert lines[-1].startswith("signals/old.yaml:3: invalid YAML: ")
    assert signals(["shops"]) == 0
    assert "old.yaml" not in capsys.readouterr().out
    assert signals(["old"]) == 2
    assert capsys.readouterr().out.startswith("signals/old.yaml:3: ")


def test_unchecked_entries_are_listed_for_a_chosen_signal(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project.root / "signals/shops.yaml"
    replace(path, "status: active\n", "status: active\ntenant: acme\nprice: {priceAmount: 1}\n")
    assert signals(["shops"]) == 0
    assert "  not checked here tenant; price\n" in capsys.readouterr().out
    assert signals([]) == 0
    assert "not checked here" not in capsys.readouterr().out


def test_incomplete_contract_is_listed_with_what_is_missing(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (project.root / "signals/shops.yaml").read_text().replace(", primaryKey: true", "")
    (project.root / "signals/new.yaml").write_text(text)
    assert signals(["new"]) == 0
    told = capsys.readouterr().out
    assert "new cannot be ingested yet:\nsignals/new.yaml:" in told
    assert "the key is missing; write `primaryKey: true`" in told
