"""A contract that cannot be used costs only what needs it."""

import logging
from pathlib import Path

import pytest

from ml_experiment_runner.cli.doctor import check_signals
from ml_experiment_runner.dataset.plan import make_plan
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.contract.contract import known
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.ingest import ingest
from ml_experiment_runner.signals.ingestion.loading import load_snapshots
from support.data_project import TEMPLATE, DataProject, Recorder, build, git, replace

BROKEN = "apiVersion: v3.1.0\nkind: DataContract\nid: [\n"
WRONG = "apiVersion: v3.1.0\nkind: DataContract\nid: x\nverson: 1.0.0\nstatus: active\nfoo: 1\n"
INCOMPLETE = "apiVersion: v3.1.0\nkind: DataContract\nid: x\nversion: 1.0.0\nstatus: active\n"
TEXTS = {
    "broken": (BROKEN, "invalid YAML"),
    "wrong": (WRONG, "Did you mean 'version'?"),
    "incomplete": (INCOMPLETE, "'servers' is missing"),
    "other_name": ("- 1\n", "must hold keys and values"),
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> DataProject:
    return build(tmp_path_factory.mktemp("broken") / "project")


@pytest.fixture
def project(original: DataProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataProject:
    project = original.copy(tmp_path / "project", monkeypatch)
    for name, (text, _) in TEXTS.items():
        project.contract(name).write_text(text)
    return project


def test_contract_that_cannot_be_used_hides_no_other(project: DataProject) -> None:
    contracts = read_contracts(project.root)
    assert sorted(dict.keys(contracts)) == ["prices", "shops", "visits"]
    assert sorted(contracts.broken) == sorted(TEXTS)
    assert list(contracts.incomplete) == ["incomplete"]
    for name, (_, says) in TEXTS.items():
        assert name in contracts
        for look_up in (lambda: known(contracts, name), lambda: contracts.get(name)):  # noqa: B023
            with pytest.raises(UserError, match=says) as error:
                look_up()
            assert all(line.startswith(f"signals/{name}.yaml:")
                       for line in str(error.value).splitlines())  # fmt: skip
    with pytest.raises(UserError, match=r"unknown signal 'visit'.* Did you mean 'visits'"):
        known(contracts, "visit")


def test_ingest_receives_the_others_and_fails_at_the_end(project: DataProject) -> None:
    recorder = Recorder()
    with pytest.raises(UserError) as error:
        ingest(project.config(), recorder)  # type: ignore[arg-type]
    assert all(says in str(error.value) for _, says in TEXTS.values())
    assert {name for name in recorder.metrics if name.startswith("rows/")} == {
        "rows/prices", "rows/shops", "rows/visits"
    }  # fmt: skip


def test_ingest_of_a_broken_signal_is_refused_at_once(project: DataProject) -> None:
    config = project.config()
    config.signals = ["shops", "broken", "wrong"]
    recorder = Recorder()
    with pytest.raises(UserError) as error:
        ingest(config, recorder)  # type: ignore[arg-type]
    assert "invalid YAML" in str(error.value)
    assert "Did you mean 'version'?" in str(error.value)
    assert not recorder.metrics


def test_dataset_that_uses_no_broken_signal_is_planned(project: DataProject) -> None:
    assert make_plan(project.config()).spine.name == "visits"


def test_dataset_that_uses_a_broken_signal_tells_its_mistakes(project: DataProject) -> None:
    replace(project.contract("shops"), "status: active", "status: [active]")
    with pytest.raises(UserError, match=r"signals/shops\.yaml:\d+: "):
        make_plan(project.config())


@pytest.mark.usefixtures("project")
def test_run_says_in_one_line_which_contracts_it_cannot_use(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        assert list(load_snapshots(["shops"])) == ["shops"]
    lines = [each.getMessage() for each in caplog.records if "not usable" in each.getMessage()]
    assert len(lines) == 1
    assert all(name in lines[0] for name in TEXTS)
    assert "python run.py signals" in lines[0]


def test_signal_without_an_owner_is_received_with_a_warning(
    project: DataProject, caplog: pytest.LogCaptureFixture
) -> None:
    text = project.contract("shops").read_text()
    kept = [line for line in text.splitlines() if not line.startswith(("team", "support"))]
    kept = [line for line in kept if not line.startswith("  - {channel")]
    project.contract("shops").write_text("\n".join(kept) + "\n")
    with caplog.at_level(logging.WARNING):
        assert list(load_snapshots(["shops"])) == ["shops"]
    assert "nobody is named under team.name and support in signals/shops.yaml" in caplog.text


def test_doctor_names_each_contract_that_cannot_be_used(
    project: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(project.root))
    checks = list(check_signals())
    assert sum(not check.is_ok for check in checks) == len(TEXTS)
    assert sum(check.is_ok for check in checks) == 3


@pytest.mark.parametrize("name", ["visits.yml", "visits.odcs.yaml", "visits.odcs.yml"])
def test_contract_may_have_any_ending_of_yaml(project: DataProject, name: str) -> None:
    path = project.contract("visits")
    path.rename(path.with_name(name))
    contract = read_contracts(project.root)["visits"]
    assert (contract.name, contract.path.name) == ("visits", name)


def test_two_contracts_of_one_signal_are_refused(project: DataProject) -> None:
    path = project.contract("visits")
    path.with_suffix(".yml").write_text(path.read_text())
    contracts = read_contracts(project.root)
    with pytest.raises(UserError, match=r"signals/visits\.yml: duplicate contract of 'visits'"):
        known(contracts, "visits")
    assert "visits" not in dict.keys(contracts)


def test_contract_of_a_producer_may_be_called_anything(project: DataProject) -> None:
    path = project.contract("visits")
    replace(path, "name: visits\n", "name: What people buy\n")
    replace(path, "  - name: visits\n", "  - name: T_VISITS\n")
    replace(path, "version: 1.0.0", "version: v1")
    contract = read_contracts(project.root)["visits"]
    assert (contract.name, contract.version) == ("visits", "v1")
    load_snapshots(["visits"])
    assert project.partitions("visits")


@pytest.mark.parametrize("version", ["1.0.0", "v2", "2024-06", "rc_1"])
def test_git_keeps_the_record_of_a_version_and_not_its_rows(tmp_path: Path, version: str) -> None:
    (tmp_path / ".gitignore").write_text((TEMPLATE / ".gitignore").read_text())
    folder = tmp_path / "data" / "versions" / "orders"
    (folder / version).mkdir(parents=True)
    (folder / version / "2024-01.parquet").touch()
    for ending in (".dvc", ".yaml", ".profile.json"):
        (folder / f"{version}{ending}").touch()
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    kept = git(tmp_path, "ls-files", "data").split()
    assert sorted(Path(path).name for path in kept) == sorted(
        f"{version}{ending}" for ending in (".dvc", ".yaml", ".profile.json")
    )
