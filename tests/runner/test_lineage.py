"""The command `signals`: who uses what, read from the expressions and the experiments."""

import importlib
import shutil
from pathlib import Path

import pytest
from data_project import DataProject, build, replace

from runner.lineage import signals

CONF = {
    "config.yaml": """\
defaults: [_self_, {task: train}, {dataset: visits}]
project: p
package: PACKAGE
outputs: ${root:}/outputs
tracking: {uri: "sqlite:///x.db"}
experiment: {owner: "", question: "", budget_days: null, until: null, status: active}
""",
    "task/train.yaml": "_target_: runner.training.train.train\nuses: [dataset]\n",
    "dataset/visits.yaml": """\
spine: visits
moment: arrival
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
    process = project.python("from runner.signals.ingest import ensure_received\n"
                             "ensure_received(['visits'])")  # fmt: skip
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    return project


@pytest.fixture
def project(original: DataProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataProject:
    root = tmp_path / "project"
    shutil.copytree(original.root, root)
    monkeypatch.setattr("runner.project.root", lambda: root)
    compose = importlib.import_module("runner.composition")
    monkeypatch.setattr(compose, "root", lambda: root)
    monkeypatch.setattr(compose, "CONF", root / "conf")
    monkeypatch.syspath_prepend(str(root / "src"))
    project = DataProject(root)
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
def test_signals_tells_who_uses_what(capsys: pytest.CaptureFixture[str]) -> None:
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
    assert visits["never used"] == "member"
    assert shops["never used"] == "opened"
    assert prices["never used"] == "none"


def test_signal_that_no_experiment_uses_is_seen(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    replace(project.root / "conf/experiment/expensive.yaml", "relative_price", "minute")
    found = facts(capsys, "shops")
    assert list(found) == ["shops"]
    assert found["shops"]["experiments"] == "none"
    assert found["shops"]["never used"] == "shop, opened, size"


def test_broken_experiment_is_named_and_the_rest_is_told(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    replace(project.root / "conf/experiment/expensive.yaml", "relative_price", "relative_prise")
    assert signals([]) == 0
    output = capsys.readouterr().out
    assert "expensive: dataset.features: features.py has no 'relative_prise'" in output
    assert "hour, minute" in output


def test_data_changed_by_hand_is_told(
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
