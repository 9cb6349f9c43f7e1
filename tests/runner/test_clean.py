"""`python run.py clean` removes what is old and nowhere the only copy."""

import json
import shutil
from pathlib import Path

import pytest
from folders import make_old, write_run
from mlflow import MlflowClient

from runner.errors import UserError
from runner.record import clean as cleaning
from runner.record.liveness import identity


@pytest.fixture(autouse=True)
def project(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's root with a store."""
    monkeypatch.setattr(cleaning, "root", lambda: place)
    return place


def delivered(project: Path, place: str) -> Path:
    """An old run that is in the store."""
    uri = f"sqlite:///{project}/mlflow.db"
    folder = write_run(project / "outputs", place, params={"tracking.uri": uri})
    client = MlflowClient(uri)
    artifacts = project / "mlartifacts"
    artifacts.mkdir(exist_ok=True)
    known = client.get_experiment_by_name("e")
    experiment = known.experiment_id if known else client.create_experiment("e", artifacts.as_uri())
    run = client.create_run(experiment)
    client.log_text(run.info.run_id, "a", "b.txt")
    client.set_terminated(run.info.run_id, "FINISHED")
    (folder / "delivery.json").write_text(json.dumps({"mlflow_run_id": run.info.run_id}))
    make_old(folder)
    return folder


def run_id(folder: Path) -> str:
    return str(json.loads((folder / "delivery.json").read_text())["mlflow_run_id"])


def test_clean_changes_nothing_unless_told(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = delivered(project, "a/2020-01-01/10-00-00-aaaa1111")
    assert cleaning.clean([]) == 0
    assert "would remove 1 folders" in (said := capsys.readouterr().out)
    assert "outputs/a/2020-01-01/10-00-00-aaaa1111" in said
    assert (folder / "journal.jsonl").exists()


def test_clean_removes_old_delivered_runs_and_the_empty_folders_above(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    single = delivered(project, "a/2020-01-01/10-00-00-aaaa1111")
    job = delivered(project, "a/2020-01-02/10-00-00-bbbb2222/0-cccc3333")
    recent = write_run(project / "outputs", "b/2020-01-02/10-00-00-dddd4444")
    cleaning.clean(["--yes"])
    assert not single.parent.exists()
    assert not job.parent.parent.exists()
    assert recent.exists()
    assert "removed 2 folders" in capsys.readouterr().out


def test_clean_removes_a_run_with_those_within_it_or_none_of_them(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = delivered(project, "a/2020-01-01/10-00-00-aaaa1111")
    child = delivered(project, "a/2020-01-01/10-00-00-aaaa1111/0-bbbb2222")
    (note := child / "delivery.json").rename(aside := project / "aside.json")
    cleaning.clean(["--yes"])
    assert parent.exists()
    assert "kept 1: not found in MLflow" in capsys.readouterr().out
    aside.rename(note)
    recent = write_run(project / "outputs", "a/2020-01-01/10-00-00-aaaa1111/1-cccc3333")
    cleaning.clean(["--yes"])
    assert parent.exists()
    shutil.rmtree(recent)
    cleaning.clean(["--yes"])
    assert not parent.exists()


def test_clean_never_removes_an_only_copy(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pending = delivered(project, "a/2020-01-01/10-00-00-aaaa1111")
    (project / "outputs/.pending/key").mkdir(parents=True)
    (project / "outputs/.pending/key/aaaa1111.run").write_text("{}")
    deleted = delivered(project, "a/2020-01-01/10-00-00-bbbb2222")
    client = MlflowClient(f"sqlite:///{project}/mlflow.db")
    client.delete_run(run_id(deleted))
    unended = delivered(project, "a/2020-01-01/10-00-00-cccc3333")
    client.update_run(run_id(unended), status="RUNNING")
    emptied = delivered(project, "a/2020-01-01/10-00-00-dddd4444")
    shutil.rmtree(project / "mlartifacts" / run_id(emptied))
    unknown = delivered(project, "a/2020-01-01/10-00-00-eeee5555")
    (unknown / "delivery.json").unlink()
    refused = delivered(project, "a/2020-01-01/10-00-00-ffff6666")
    client.set_tag(run_id(refused), "record.refused", "the model")
    cleaning.clean(["--yes"])
    assert all(path.exists() for path in (pending, deleted, unended, emptied, unknown, refused))
    said = capsys.readouterr().out
    assert "kept 1: not in MLflow yet" in said
    assert "kept 5: not found in MLflow" in said


def test_clean_keeps_runs_whose_store_is_gone_and_makes_no_store(project: Path) -> None:
    folder = delivered(project, "a/2020-01-01/10-00-00-aaaa1111")
    (project / "mlflow.db").unlink()
    cleaning.clean(["--yes"])
    assert folder.exists()
    assert not (project / "mlflow.db").exists()


def test_clean_keeps_a_running_run_and_the_caches_it_may_read(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = project / "data" / "cache" / "f.parquet"
    cache.parent.mkdir(parents=True)
    cache.write_bytes(b"1234")
    make_old(cache.parent)
    folder = write_run(project / "outputs", status=None, writer=identity())
    make_old(folder)
    worktree = project / "outputs" / ".rerun" / "aaaa1111-0000"
    worktree.mkdir(parents=True)
    make_old(worktree)
    cleaning.clean(["--yes"])
    assert folder.exists()
    assert cache.exists()
    assert worktree.exists()
    assert "still running" in capsys.readouterr().out
    shutil.rmtree(folder)
    cleaning.clean(["--yes"])
    assert not cache.exists()


def test_clean_never_touches_snapshots(project: Path) -> None:
    snapshot = project / "data" / "signals" / "flights" / "2013-01.parquet"
    snapshot.parent.mkdir(parents=True)
    snapshot.write_bytes(b"1")
    make_old(project / "data")
    cleaning.clean(["--yes", "--older-than", "0h"])
    assert snapshot.exists()


def test_clean_refuses_an_age_that_is_none() -> None:
    with pytest.raises(UserError, match="--older-than soon: not an age; type it such as 12h, 30d"):
        cleaning.clean(["--older-than", "soon"])
