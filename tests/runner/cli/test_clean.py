"""`python run.py clean` removes what is old and nowhere the only copy."""

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, LoggedModelStatus

from ml_experiment_runner.cli.clean import clean
from ml_experiment_runner.project.atomic import draft_of
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record.process_identity import identity
from ml_experiment_runner.record.rerun.worktree import is_in_use
from ml_experiment_runner.record.run_reader import folders
from ml_experiment_runner.record.sync.mlflow_store import Store
from ml_experiment_runner.record.sync.run_sync import RunSync
from support.folders import make_old, write_run
from support.killed import KILLED, Commands


@pytest.fixture(autouse=True)
def project(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's root with a store."""
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(place))
    return place


def synced(project: Path, place: str, *more: dict[str, str]) -> Path:
    """An old run that is in the store as the sync worker brings it there."""
    uri = f"sqlite:///{project}/mlflow.db"
    folder = write_run(project / "outputs", place, params={"tracking.uri": uri}, commit="0123")
    (folder / "artifacts/plots").mkdir()
    (folder / "artifacts/plots/a.svg").write_text("<svg/>")
    (folder / "console.log").write_text("ready\n")
    end = (folder / "journal.jsonl").read_text().splitlines(keepends=True)[-1]
    before = (folder / "journal.jsonl").read_text().removesuffix(end)
    start = json.loads(before.splitlines()[0])
    events = [
        {**start, "user": "ada"},
        *map(json.loads, before.splitlines()[1:]),
        {"kind": "metric", "name": "loss", "value": "nan", "step": 3},
        {"kind": "metric", "name": "odds", "value": "inf", "step": 0},
        {"kind": "tag", "name": "note", "value": "first"},
        {"kind": "artifact", "path": "artifacts/plots/a.svg", "name": "plots/a.svg"},
        *more,
        json.loads(end),
    ]
    lines = [json.dumps({"time": 1, **event}) + "\n" for event in events]
    (folder / "journal.jsonl").write_text("".join(lines))
    pending = project / "outputs/.pending/key"
    pending.mkdir(parents=True, exist_ok=True)
    run = RunSync(Store(uri), folder, pending)
    while run.advance():
        pass
    assert run.finished
    make_old(folder)
    return folder


def run_id(folder: Path) -> str:
    return str(json.loads((folder / "delivery.json").read_text())["mlflow_run_id"])


def artifacts(client: MlflowClient, folder: Path) -> Path:
    return Path(client.get_run(run_id(folder)).info.artifact_uri.removeprefix("file://"))


def test_clean_changes_nothing_without_yes(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = synced(project, "a/2020-01-01/10-00-00-aaaa1111")
    assert clean([]) == 0
    assert "would remove 1 folders" in (output := capsys.readouterr().out)
    assert "outputs/a/2020-01-01/10-00-00-aaaa1111" in output
    assert (folder / "journal.jsonl").exists()


def test_clean_removes_old_synced_runs_and_empty_folders(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    single = synced(project, "a/2020-01-01/10-00-00-aaaa1111")
    job = synced(project, "a/2020-01-02/10-00-00-bbbb2222/0-cccc3333")
    recent = write_run(project / "outputs", "b/2020-01-02/10-00-00-dddd4444")
    clean(["--yes"])
    assert not single.parent.exists()
    assert not job.parent.parent.exists()
    assert recent.exists()
    assert "removed 2 folders" in capsys.readouterr().out


def test_clean_removes_a_run_with_all_within_it_or_none(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent = synced(project, "a/2020-01-01/10-00-00-aaaa1111")
    child = synced(project, "a/2020-01-01/10-00-00-aaaa1111/0-bbbb2222")
    (note := child / "delivery.json").rename(aside := project / "aside.json")
    clean(["--yes"])
    assert parent.exists()
    assert "kept 1: not found in MLflow" in capsys.readouterr().out
    aside.rename(note)
    recent = write_run(project / "outputs", "a/2020-01-01/10-00-00-aaaa1111/1-cccc3333")
    clean(["--yes"])
    assert parent.exists()
    shutil.rmtree(recent)
    clean(["--yes"])
    assert not parent.exists()


def test_clean_never_removes_an_only_copy(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pending = synced(project, "a/2020-01-01/10-00-00-aaaa1111")
    (project / "outputs/.pending/key/aaaa1111.run").write_text("{}")
    deleted = synced(project, "a/2020-01-01/10-00-00-bbbb2222")
    client = MlflowClient(f"sqlite:///{project}/mlflow.db")
    client.delete_run(run_id(deleted))
    unended = synced(project, "a/2020-01-01/10-00-00-cccc3333")
    client.update_run(run_id(unended), status="RUNNING")
    emptied = synced(project, "a/2020-01-01/10-00-00-dddd4444")
    shutil.rmtree(artifacts(client, emptied))
    unknown = synced(project, "a/2020-01-01/10-00-00-eeee5555")
    (unknown / "delivery.json").unlink()
    refused = synced(project, "a/2020-01-01/10-00-00-ffff6666")
    client.set_tag(run_id(refused), "record.refused", "the model")
    clean(["--yes"])
    assert all(path.exists() for path in (pending, deleted, unended, emptied, unknown, refused))
    output = capsys.readouterr().out
    assert "kept 1: not in MLflow yet" in output
    assert "kept 1: not found in MLflow" in output
    assert "kept 4: incomplete in MLflow" in output


def test_clean_keeps_runs_whose_store_is_gone(project: Path) -> None:
    folder = synced(project, "a/2020-01-01/10-00-00-aaaa1111")
    (project / "mlflow.db").unlink()
    clean(["--yes"])
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
    clean(["--yes"])
    assert folder.exists()
    assert cache.exists()
    assert worktree.exists()
    assert "still running" in capsys.readouterr().out
    shutil.rmtree(folder)
    clean(["--yes"])
    assert not cache.exists()


def test_clean_never_touches_snapshots(project: Path) -> None:
    snapshot = project / "data" / "signals" / "flights" / "2013-01.parquet"
    snapshot.parent.mkdir(parents=True)
    snapshot.write_bytes(b"1")
    make_old(project / "data")
    clean(["--yes", "--older-than", "0h"])
    assert snapshot.exists()


def test_clean_refuses_an_invalid_age() -> None:
    with pytest.raises(UserError, match=r"--older-than must be a number of hours, .* got soon"):
        clean(["--older-than", "soon"])


# ---------------------------------------------------------------- what MLflow does not hold


def _lose(project: Path, query: str) -> None:
    connection = sqlite3.connect(project / "mlflow.db")
    with connection:
        assert connection.execute(query).rowcount > 0
    connection.close()


LOST = {
    "metric test/roc_auc": "delete from latest_metrics where key = 'test/roc_auc'",
    "metric loss": "update latest_metrics set step = 2, is_nan = 0 where key = 'loss'",
    "param objective": "delete from params where key = 'objective'",
    "tag note": "delete from tags where key = 'note'",
    "tag metric.odds": "delete from tags where key = 'metric.odds'",
    "tag provenance.commit": "delete from tags where key = 'provenance.commit'",
    "dataset flights": "delete from inputs",
    "artifact plots/a.svg": "plots/a.svg",
    "artifact console.log": "console.log",
    "the end of its journal": "journal",
    "its end: it is KILLED there and FINISHED here": "update runs set status = 'KILLED'",
}


@pytest.mark.parametrize("what", LOST)
def test_clean_keeps_a_run_that_mlflow_has_not_all_of(
    project: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    folder = synced(project, "a/2020-01-01/10-00-00-aaaa1111")
    place = LOST[what]
    if place == "journal":
        with (folder / "journal.jsonl").open("a") as file:
            file.write('{"kind": "tag", "time": 1, "name": "note", "value": "second"}\n')
    elif " " in place:
        _lose(project, place)
    else:
        (artifacts(MlflowClient(f"sqlite:///{project}/mlflow.db"), folder) / place).unlink()
    make_old(folder)
    clean(["--yes"])
    assert folder.exists()
    assert f"aaaa1111 lacks {what})" in capsys.readouterr().out


def test_clean_keeps_a_run_whose_model_mlflow_has_not(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def log_model(client: MlflowClient, experiment: str, run: str, *_: object) -> None:
        model = client.create_logged_model(experiment, "m", run, tags={"record.model": "true"})
        client.log_outputs(run, [LoggedModelOutput(model.model_id, 0)])
        (project / "MLmodel").write_text("flavors: {}")
        client.log_model_artifact(model.model_id, str(project / "MLmodel"))
        client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)

    monkeypatch.setattr("ml_experiment_runner.record.sync.models.log_model", log_model)
    model = {"kind": "model", "path": "model"}
    folder = synced(project, "a/2020-01-01/10-00-00-aaaa1111", model)
    clean([])
    assert "would remove 1" in capsys.readouterr().out
    _lose(project, "delete from logged_model_tags where tag_key = 'record.model'")
    clean(["--yes"])
    assert folder.exists()
    assert "lacks its model" in capsys.readouterr().out


# ---------------------------------------------------------------- killed, and several at once

CLEAN = """
from ml_experiment_runner.cli.clean import clean
clean(["--yes"])
"""


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with Commands(
        "ml_experiment_runner.cli.clean", "ml_experiment_runner.record.sync.completeness", "mlflow"
    ) as commands:
        yield commands


def _old_runs(project: Path) -> Path:
    """Old runs, one within another, and what else is to be removed; a copy of them."""
    synced(project, "a/2020-01-01/10-00-00-aaaa1111")
    synced(project, "a/2020-01-02/10-00-00-bbbb2222")
    synced(project, "a/2020-01-02/10-00-00-bbbb2222/0-cccc3333")
    (project / "outputs/a/2020-01-02/11-00-00-dddd4444/artifacts").mkdir(parents=True)
    (project / "data/cache").mkdir(parents=True)
    (project / "data/cache/f.parquet").write_bytes(b"1234")
    make_old(project)
    return Path(shutil.copytree(project / "outputs", project / "kept"))


def _again(project: Path, kept: Path) -> None:
    shutil.rmtree(project / "outputs")
    shutil.copytree(kept, project / "outputs")


def _is_whole(folder: Path, kept: Path, project: Path) -> bool:
    before = kept / folder.relative_to(project / "outputs")
    return {each.name for each in folder.rglob("*")} == {each.name for each in before.rglob("*")}


def _kill_everywhere(project: Path, commands: Commands, few: int) -> None:
    kept = _old_runs(project)
    done = commands.run(project, CLEAN)
    assert "removed 4 folders and files" in done.output, done.output
    steps = range(1, done.steps + 1, max(1, done.steps // few))
    killed = 0
    for step in steps:
        _again(project, kept)
        killed += commands.run(project, CLEAN, step).code == KILLED
        assert all(_is_whole(each, kept, project) for each in folders(project / "outputs"))
        ended = commands.run(project, CLEAN)
        assert ended.code == 0, ended.output
        assert not any(path.is_file() for path in (project / "outputs/a").rglob("*")), step
        assert not (project / "outputs/.removing").exists(), step
    assert killed > len(steps) // 2, "what is not put back makes a few steps less"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_clean_killed_leaves_no_half_run_and_goes_on_next_time(
    project: Path, commands: Commands
) -> None:
    _kill_everywhere(project, commands, few=5)


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_clean_killed_at_any_step_goes_on_next_time(project: Path, commands: Commands) -> None:
    _kill_everywhere(project, commands, few=1000)


def _meet_everywhere(project: Path, commands: Commands, few: int) -> None:
    kept = _old_runs(project)
    done = commands.run(project, CLEAN, at=10**6, meanwhile=CLEAN)
    assert done.steps > few, done.output
    for step in range(1, done.steps + 1, max(1, done.steps // few)):
        _again(project, kept)
        ended = commands.run(project, CLEAN, step, meanwhile=CLEAN)
        assert ended.code == 0, f"step {step}: {ended.output}"
        left = [each.name for each in (project / "outputs").iterdir()]
        assert left == [".pending"], f"step {step}: {ended.output}"


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot fork")
def test_clean_meets_another_one_and_both_end_well(project: Path, commands: Commands) -> None:
    _meet_everywhere(project, commands, few=5)


@pytest.mark.long
@pytest.mark.skipif(os.name == "nt", reason="Windows cannot fork")
def test_clean_meets_another_one_at_many_steps(project: Path, commands: Commands) -> None:
    _meet_everywhere(project, commands, few=25)


FEW_FILES = """
import resource
from ml_experiment_runner.cli.clean import clean
from ml_experiment_runner.cli.cleanup.stores import Stores
resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit}))
Stores.reason_to_keep = lambda *_: (None, "")
clean(["--yes"])
"""


def _sweep(project: Path, jobs: int) -> Path:
    """An old sweep."""
    store = {"tracking.uri": "sqlite:///mlflow.db"}
    folder = write_run(project / "outputs", "a/2020-01-01/10-00-00-aaaa1111", params=store)
    for number in range(jobs):
        write_run(folder, f"{number}-bbbb{number:04}", params=store)
    make_old(folder)
    return folder


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limits")
def test_clean_removes_a_sweep_of_very_many_jobs(project: Path, commands: Commands) -> None:
    sweep = _sweep(project, jobs=80)
    ended = commands.run(project, FEW_FILES.format(limit=64))
    assert "removed 1 folders" in ended.output, ended.output
    assert not sweep.exists()


NO_FILES = """
import errno, os
from ml_experiment_runner.cli.clean import clean
from ml_experiment_runner.cli.cleanup.stores import Stores

def scandir(path, usual=os.scandir):
    if str(path).endswith("0-bbbb0000/artifacts"):
        raise OSError(errno.EMFILE, "Too many open files")
    return usual(path)

os.scandir = scandir
Stores.reason_to_keep = lambda *_: (None, "")
clean(["--yes"])
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot fork")
def test_clean_keeps_a_run_that_it_cannot_read(project: Path, commands: Commands) -> None:
    sweep = _sweep(project, jobs=1)
    ended = commands.run(project, NO_FILES)
    assert f"kept 1: cannot be removed ({sweep}: Too many open files)" in ended.output
    assert (sweep / "journal.jsonl").exists()


JOB_GOES_ON = """
from ml_experiment_runner.cli.clean import clean
from ml_experiment_runner.cli.cleanup import runs
from ml_experiment_runner.cli.cleanup.stores import Stores
from ml_experiment_runner.record import process_identity
Stores.reason_to_keep = lambda *_: (None, "")
process_identity.PATIENCE = 0.1
read = runs.read_run

def read_run(folder):  # it goes on just after it was asked for
    run = read(folder)
    if run.id.startswith("bbbb"):
        global lock
        lock = process_identity.WriterLock(folder / "journal.jsonl")
    return run

runs.read_run = read_run
clean(["--yes"])
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_clean_keeps_a_sweep_of_which_a_job_has_just_gone_on(
    project: Path, commands: Commands
) -> None:
    sweep = _sweep(project, jobs=1)
    ended = commands.run(project, JOB_GOES_ON)
    assert "kept 1: still running" in ended.output, ended.output
    assert sweep.exists()


# ---------------------------------------------------------------- what kills leave behind


def test_clean_removes_folders_of_runs_that_never_began(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    never = project / "outputs/a/2020-01-01/10-00-00-aaaa1111"
    (never / "artifacts").mkdir(parents=True)
    (never / "multirun.yaml").write_text("hydra: {}")
    make_old(project / "outputs")
    begins = project / "outputs/a/2020-01-02/10-00-00-bbbb2222"
    begins.mkdir(parents=True)
    clean(["--yes", "--older-than", "0h"])
    assert not never.parent.exists()
    assert begins.exists()
    assert "removed 1 folders" in capsys.readouterr().out


BEGIN = """
from pathlib import Path
from omegaconf import OmegaConf
from ml_experiment_runner.record.sync.client import SyncClient
from ml_experiment_runner.record.run import Run

Run._observe = lambda *_: None
config = OmegaConf.create({
    "project": "p", "package": "own", "seed": 1, "threads": 1, "outputs": "outputs",
    "task": {"uses": []}, "tracking": {"uri": f"sqlite:///{Path.cwd()}/mlflow.db"},
})
folder = Path("outputs/a/2020-01-01/10-00-00-aaaa1111")
Run.start(config, folder, ["run.py"], [], SyncClient.start(config, starts_worker=False))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_clean_removes_a_run_that_was_killed_as_it_began(project: Path, commands: Commands) -> None:
    folder = project / "outputs/a/2020-01-01/10-00-00-aaaa1111"
    began = []
    for step in range(1, commands.run(project, BEGIN).steps + 1):
        shutil.rmtree(project / "outputs")
        (project / "outputs").mkdir()
        commands.run(project, BEGIN, step)
        if not (folder / "journal.jsonl").exists():
            continue
        began.append((folder / "journal.jsonl").stat().st_size > 0)
        if began[-1]:
            _send(project, folder)
            for marker in project.glob("outputs/.pending/*/*.run"):
                marker.unlink()
        make_old(project / "outputs")
        ended = commands.run(project, CLEAN)
        assert not folder.exists(), f"{step}: {ended.output}"
    assert len(began) > sum(began) > 1


def _send(project: Path, folder: Path) -> None:
    run = RunSync(Store(f"sqlite:///{project}/mlflow.db"), folder, project)
    while run.advance():
        pass
    run.close_dead()


@pytest.mark.parametrize("start", ["", '{"kind": "start", "id": "aaaa'])
def test_clean_keeps_a_console_log_beside_a_lost_journal(
    project: Path, capsys: pytest.CaptureFixture[str], start: str
) -> None:
    folder = write_run(project / "outputs", "a/2020-01-01/10-00-00-aaaa1111")
    (folder / "journal.jsonl").write_text(start)
    (folder / "delivery.log").write_text("not delivered any further: it has not begun\n")
    (folder / "console.log").write_text("ready\n")
    make_old(folder)
    clean(["--yes"])
    assert "kept 1: not found in MLflow" in capsys.readouterr().out
    (folder / "console.log").unlink()
    clean(["--yes"])
    assert not folder.exists()


def test_clean_keeps_a_run_that_is_about_to_begin(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(project / "outputs")
    (folder / "journal.jsonl").write_text("")
    clean(["--yes", "--older-than", "0h"])
    assert "kept 1: still running" in capsys.readouterr().out
    assert folder.exists()


def test_clean_removes_a_sweep_with_a_job_that_never_began(project: Path) -> None:
    sweep = synced(project, "a/2020-01-01/10-00-00-aaaa1111")
    job = write_run(sweep, "0-bbbb2222")
    (job / "journal.jsonl").write_text("")
    make_old(sweep)
    clean(["--yes"])
    assert not sweep.exists()


def test_clean_removes_empty_folders_above_runs(project: Path) -> None:
    (project / "outputs/a/2020-01-01").mkdir(parents=True)
    clean(["--yes"])
    assert (project / "outputs/a/2020-01-01").exists()
    make_old(project / "outputs")
    clean(["--yes"])
    assert not (project / "outputs/a").exists()


def name_of_draft(folder: Path) -> str:
    """What is left of a small file whose process was killed while it wrote."""
    with draft_of(folder / "x.yaml") as draft:
        draft.touch()
    (folder / "x.yaml").unlink()
    return draft.name


def test_clean_removes_drafts_and_no_data_of_the_user(project: Path) -> None:
    drafts = [
        project / place / name_of_draft(project)
        for place in ("holds", "conf/experiment", "outputs/.pending/key", "data/signals/.index")
    ]
    theirs = [project / "data/raw/x.csv.123.part", project / "holds/own.part"]
    for path in (*drafts, *theirs):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    clean(["--yes", "--older-than", "0h"])
    assert all(path.exists() for path in drafts)
    for path in (*drafts, *theirs):
        make_old(path)
    clean(["--yes"])
    assert not any(path.exists() for path in drafts)
    assert all(path.exists() for path in theirs)


def test_clean_removes_a_worktree_that_git_was_killed_over(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(project))

    def git(*words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
        done = subprocess.run(["git", *who, *words], cwd=project, capture_output=True, check=True)
        return done.stdout.decode()

    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    for state in ("half made", "its folder is empty"):
        place = project / "outputs/.rerun" / state.replace(" ", "-")
        git("worktree", "add", "-q", "--detach", str(place))
        (project / ".git/worktrees" / place.name / "locked").write_text("initializing")
        if state != "half made":
            shutil.rmtree(place)
            place.mkdir()
        with FileLock(f"{place}.lock"):  # as its rerun has it as long as it lives
            assert is_in_use(place)
        assert not is_in_use(place)
        make_old(place)
    clean(["--yes"])
    assert git("worktree", "list").count("\n") == 1
    assert list((project / "outputs/.rerun").glob("*")) == []
