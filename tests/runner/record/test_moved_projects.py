"""A project is copied, moved, renamed: its store goes with it, and leads to nowhere else."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ml_experiment_runner.cli import doctor
from ml_experiment_runner.record.sync import embedded_store
from support.store_reader import StoreFile, assert_complete, sync_workers
from support.waiting import wait_until

NAMES = ["per%20cent", "Zürich 東京"]
ALL = "50%25 é?=1 #+&'x"
ANY_NAME = [ALL, *(pytest.param(name, marks=pytest.mark.long) for name in NAMES)]

READ = """
import sys, tempfile, pathlib, mlflow
mlflow.set_tracking_uri(sys.argv[1])
# MLflow reads a percent sign in a model's folder as the start of a code
options = {"dst_path": tempfile.mkdtemp()} if "%25" in sys.argv[1] else {}
client = mlflow.MlflowClient()
experiments = [each.experiment_id for each in client.search_experiments()]
for run in client.search_runs(experiments):
    text = pathlib.Path(client.download_artifacts(run.info.run_id, "notes/hello.txt")).read_text()
    print("artifact", run.data.tags["record.folder"], text)
for model in client.search_logged_models(experiments):
    loaded = mlflow.pyfunc.load_model(model.model_uri, **options)
    print("model", len(loaded.predict(loaded.input_example)))
for version in client.search_model_versions():
    loaded = mlflow.pyfunc.load_model(f"models:/{version.name}/{version.version}", **options)
    print("version", len(loaded.predict(loaded.input_example)))
"""
"""Reads all that a store has, in a process that knows nothing of the runner."""


def read(place: Path, elsewhere: Path) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", READ, embedded_store.address(f"sqlite:///{place}/mlflow.db")],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.splitlines())


def register(place: Path) -> None:
    """Makes the newest model a version in the registry, as a user does."""
    from mlflow import MlflowClient

    client = MlflowClient(embedded_store.address(f"sqlite:///{place}/mlflow.db"))
    experiments = [each.experiment_id for each in client.search_experiments()]
    model = client.search_logged_models(experiments)[0]
    client.create_registered_model("late")
    client.create_model_version("late", model.artifact_location, model.source_run_id)


def run(start: Any, place: Path) -> None:
    output = start(place, model="plain").communicate(timeout=120)[0]
    assert "synced" in output, output
    wait_until(lambda: not sync_workers(place))


def files(place: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in place.rglob("*") if path.is_file()}


@pytest.fixture
def recorded(tmp_path: Path, start: Any, empty_store: Path) -> Path:
    """A place with one run and a registered version."""
    place = tmp_path / "old" / "project"
    place.mkdir(parents=True)
    shutil.copyfile(empty_store, place / "mlflow.db")
    run(start, place)
    register(place)
    return place


def copied(old: Path, new: Path) -> None:
    new.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(old, new, symlinks=True)


def moved(old: Path, new: Path) -> None:
    new.parent.mkdir(parents=True, exist_ok=True)
    old.rename(new)


@pytest.mark.parametrize("how", [copied, moved])
def test_project_elsewhere_leaves_the_old_place_alone(
    recorded: Path, tmp_path: Path, start: Any, how: Callable[[Path, Path], None]
) -> None:
    new = tmp_path / "new" / "pro ject"
    how(recorded, new)
    before = files(tmp_path / "old")
    run(start, new)
    found = read(new, tmp_path)
    kinds = [line.split()[0] for line in found]
    assert kinds == ["artifact"] * 2 + ["model"] * 2 + ["version"]
    assert all(f"artifact {new}/outputs/" in line for line in found[:2])
    assert files(tmp_path / "old") == before
    assert_complete(new)
    assert len(StoreFile(new).runs()) == 2
    assert old_paths(new, recorded) == []
    assert not embedded_store.strays(new / "mlflow.db")


def old_paths(place: Path, old: Path) -> list[str]:
    """What in the store still leads to the old place; what is history may."""
    import sqlite3

    found = []
    with sqlite3.connect(place / "mlflow.db") as store:
        for (table,) in store.execute("select name from sqlite_master where type = 'table'"):
            for _, column, *_ in store.execute(f"pragma table_info({table})").fetchall():
                rows = store.execute(f"select * from {table} where instr({column}, ?)", [str(old)])
                found += [f"{table}.{column} {row}" for row in rows]
    history = ("params.value", "tags.value ('provenance.")
    return [each for each in found if not each.startswith(history)]


@pytest.mark.long
@pytest.mark.parametrize("name", [ALL, *NAMES])
def test_project_in_any_folder_has_its_runs(
    recorded: Path, tmp_path: Path, start: Any, name: str
) -> None:
    there = tmp_path / name / "project"
    moved(recorded, there)
    run(start, there)
    back = tmp_path / "back" / name
    moved(tmp_path / name, back)
    run(start, back / "project")
    found = read(back / "project", tmp_path)
    assert [line.split()[0] for line in found] == ["artifact"] * 3 + ["model"] * 3 + ["version"]
    assert [path.name for path in tmp_path.iterdir() if path.name != "old"] == ["back"]
    assert not list((tmp_path / "old").rglob("*.txt"))


@pytest.mark.parametrize("name", ANY_NAME)
def test_first_run_in_any_folder_arrives(
    tmp_path: Path, start: Any, name: str, empty_store: Path
) -> None:
    place = tmp_path / name
    place.mkdir()
    shutil.copyfile(empty_store, place / "mlflow.db")
    run(start, place)
    kinds = [line.split()[0] for line in read(place, tmp_path)]
    assert kinds == ["artifact", "model"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_project_behind_a_link_was_not_moved(recorded: Path, tmp_path: Path, start: Any) -> None:
    before = old_paths(recorded, recorded)
    link = tmp_path / "link"
    link.symlink_to(recorded.parent)
    run(start, link / "project")
    assert embedded_store.correct(link / "project" / "mlflow.db").homes == ()
    assert set(before) <= set(old_paths(recorded, recorded))
    renamed = tmp_path / "renamed"
    recorded.parent.rename(renamed)
    recorded.parent.symlink_to(renamed)  # so that the old path goes on
    assert embedded_store.correct(renamed / "project" / "mlflow.db").homes == ()
    assert len(read(recorded, tmp_path)) == 5


def test_runs_pending_when_the_project_moved_go_to_where_it_is(
    recorded: Path, tmp_path: Path, start: Any, sync: Any
) -> None:
    start(recorded, end="kill").wait(timeout=60)
    for process in sync_workers(recorded):
        process.kill()
    wait_until(lambda: not sync_workers(recorded))
    assert list(recorded.glob("outputs/.pending/*/*.run"))
    new = tmp_path / "new"
    copied(recorded, new)
    before = files(recorded)
    done = sync(new)
    assert (done.returncode, "1 synced" in done.stdout) == (0, True), done.stdout
    assert len(StoreFile(new).runs()) == 2
    assert_complete(new)
    assert files(recorded) == before


def test_runs_pending_for_a_store_that_is_gone_make_no_new_one(
    recorded: Path, tmp_path: Path, start: Any, sync: Any
) -> None:
    apart = tmp_path / "apart"
    apart.mkdir()
    start(recorded, uri=f"sqlite:///{apart}/mlflow.db", end="kill").wait(timeout=60)
    for process in sync_workers(recorded):
        process.kill()
    wait_until(lambda: not sync_workers(recorded))
    apart.rename(tmp_path / "moved")
    done = sync(recorded)
    assert done.returncode == 1
    assert f"ln -s <where it is> {apart}" in done.stdout
    assert not apart.exists()
    apart.symlink_to(tmp_path / "moved")
    assert "1 synced" in sync(recorded).stdout


def test_copied_store_keeps_what_only_the_old_place_has(
    recorded: Path, tmp_path: Path, start: Any
) -> None:
    new = tmp_path / "new"
    new.mkdir()
    shutil.copyfile(recorded / "mlflow.db", new / "mlflow.db")
    run(start, new)
    assert len([line for line in read(new, tmp_path) if line.startswith("model")]) == 2
    assert len(list((new / "mlartifacts").rglob("hello.txt"))) == 1
    (stray,) = embedded_store.strays(new / "mlflow.db")
    assert stray.exists
    assert stray.path.is_relative_to(recorded)


def test_doctor_mends_a_moved_project_and_says_what_lacks(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = tmp_path / "new"
    moved(recorded, new)
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(new))
    (check,) = doctor.check_stores()
    assert check.is_ok
    assert f"moved from {recorded}" in check.detail
    assert len(read(new, tmp_path)) == 3
    (check,) = doctor.check_stores()
    assert check == ("store", True, "mlflow.db: the artifacts of every run exist")
    (new / "mlartifacts").rename(tmp_path / "mlartifacts")
    (check,) = doctor.check_stores()
    assert not check.is_ok
    assert "are missing" in check.detail


def test_doctor_says_where_mlflow_loads_no_models(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = tmp_path / "per%20cent"
    moved(recorded, new)
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(new))
    (check,) = doctor.check_stores()
    assert not check.is_ok
    assert "'%20'" in check.detail
    moved(new, tmp_path / "per%")
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(tmp_path / "per%"))
    (check,) = doctor.check_stores()
    assert check.is_ok, check.detail


def test_doctor_names_and_brings_artifacts_left_behind(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = tmp_path / "ne'w"
    new.mkdir()
    shutil.copyfile(recorded / "mlflow.db", new / "mlflow.db")
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(new))
    (check,) = doctor.check_stores()
    assert not check.is_ok
    command = check.detail.partition("; ")[2].removesuffix(", then python run.py doctor")
    subprocess.run(command, shell=True, check=True)
    shutil.rmtree(recorded)
    (check,) = doctor.check_stores()
    assert check.is_ok, check.detail
    assert len(read(new, tmp_path)) == 3


@pytest.mark.parametrize(
    ("old", "new"),
    [("a", "a/b"), ("a/b", "a"), ("a/a", "a"), ("a", "a/a"), ("a", "ab"), ("ab", "a")],
)
def test_paths_are_corrected_once_however_the_places_lie(
    tmp_path: Path, old: str, new: str
) -> None:
    """The old place may lie in the new one, the new one in the old, or begin like it."""
    import sqlite3

    before, now = tmp_path / old, tmp_path / new
    now.mkdir(parents=True)
    name = "mine/baseline"
    with sqlite3.connect(now / "mlflow.db") as store:
        store.execute("create table experiments (experiment_id, name, artifact_location)")
        store.execute("create table runs (experiment_id, artifact_uri)")
        location = (before / "mlartifacts" / name).as_uri()
        store.execute("insert into experiments values (1, ?, ?)", [name, location])
        store.execute("insert into experiments values (0, 'Default', ?)", [f"{before}/mlruns/0"])
        store.execute("insert into experiments values (2, 'shared', 's3://bucket/mlartifacts/x')")
        store.execute("insert into runs values (1, ?)", [f"{location}/r/artifacts"])
        new_one = (now / "mlartifacts" / "mine" / "new").as_uri()  # of after the move
        store.execute("insert into experiments values (3, 'mine/new', ?)", [new_one])
    for count in (3, 0, 0):
        assert embedded_store.correct(now / "mlflow.db").count == count
    with sqlite3.connect(now / "mlflow.db") as store:
        found = {row[0] for row in store.execute("select artifact_location from experiments")}
    here = (now / "mlartifacts" / name).as_uri()
    assert found == {here, new_one, f"{now}/mlruns/0", "s3://bucket/mlartifacts/x"}


@pytest.mark.parametrize(
    ("uri", "there", "wanted"),
    [
        ("sqlite:///{old}/p/mlflow.db", ["new/p/mlflow.db"], "sqlite:///{new}/p/mlflow.db"),
        ("sqlite:///{old}/p/mlflow.db", ["new/p/mlflow.db", "old/p/mlflow.db"],
         "sqlite:///{new}/p/mlflow.db"),
        ("sqlite:///{old}/p/mlflow.db", ["old/p/mlflow.db"], "sqlite:///{old}/p/mlflow.db"),
        ("sqlite:///{old}/mlflow.db", ["new/mlflow.db", "old/mlflow.db"],
         "sqlite:///{old}/mlflow.db"),
        ("http://host:5000", [], "http://host:5000"),
        ("", [], ""),
    ],
)  # fmt: skip
def test_store_of_a_run_is_that_of_the_project_where_it_is(
    tmp_path: Path, uri: str, there: list[str], wanted: str
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for name in there:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = embedded_store.recorded_store(
        uri.format(old=old), old / "p" / "outputs", new / "p" / "outputs"
    )
    assert found == wanted.format(old=old, new=new)


def test_store_is_corrected_whole_or_not_at_all(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = tmp_path / "new"
    moved(recorded, new)
    before = old_paths(new, recorded)
    monkeypatch.setattr(
        embedded_store, "_PLACES", (*embedded_store._PLACES[:3], ("runs", "run_uuid = ", ""))
    )
    monkeypatch.setattr(embedded_store, "_has", lambda *_: True)
    with pytest.raises(Exception, match="syntax error"):
        embedded_store.correct(new / "mlflow.db")
    assert old_paths(new, recorded) == before
