"""Killed at any step, a command that is typed again ends as if it had not been killed."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import ROOT
from support.data_project import DataProject, replace
from support.killed import Commands, differences

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")

INGEST = """
from unittest.mock import MagicMock
from omegaconf import OmegaConf
from ml_experiment_runner.signals.ingest import ingest
run = MagicMock(progress=lambda items, *_: items)
ingest(OmegaConf.create({"signals": ["visits"], "now": None}), run)
"""
DECIDE = """
from ml_experiment_runner.cli.holds import holds
holds([{word!r}, {hold!r}, "--by", "Ada", "--why", "The clock was moved."])
"""
LOOK = """
from ml_experiment_runner.cli.holds import holds
from ml_experiment_runner.signals.ingestion.loading import load_snapshots
from ml_experiment_runner.cli.signals import signals
holds([])
holds(["--all"])
signals([])
signals(["visits"])
"""
READ = """
import polars as pl
from ml_experiment_runner.signals.snapshots import snapshot
from ml_experiment_runner.signals.ingestion.loading import load_snapshots
found = load_snapshots(["visits"])["visits"]
files = {path.stem: pl.read_parquet(path) for path in found.folder.iterdir()}
assert {key: snapshot.content_hash(rows) for key, rows in files.items()} == found.partitions
print(found.rows)
"""
FEW = 5
"""Steps at which each command is killed in the tests that always run."""


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    names = ("cli.holds", "cli.signals", "cli.new", "training.thresholds.active", "signals.ingest")
    modules = (f"ml_experiment_runner.{name}" for name in names)
    with Commands("dvc.repo", *modules) as commands:
        yield commands


@pytest.fixture
def before(received_project: DataProject, tmp_path: Path) -> DataProject:
    """A project that has received its signals; small, for it is copied for every step."""
    kept_out = shutil.ignore_patterns("runner", ".git", "tmp")
    shutil.copytree(received_project.root, tmp_path / "before", symlinks=True, ignore=kept_out)
    (tmp_path / "before/.dvc/config.local").write_text("[core]\nno_scm = true\n")
    return DataProject(tmp_path / "before")


def _deliver(project: DataProject, minute: int, at: str = "2024-05-02") -> None:
    with project.source("visits").open("a") as file:
        file.write(f"{at}T12:00:00Z,a,1,{minute},true,5\n")


def _hold(project: DataProject) -> str:
    (path,) = (project.root / "holds").glob("*.yaml")
    return path.stem


def _good(project: DataProject, _: Commands) -> str:
    """New rows in an old and in a new partition."""
    _deliver(project, 6)
    _deliver(project, 7, "2024-02-03")
    return INGEST


def _first(project: DataProject, _: Commands) -> str:
    shutil.rmtree(project.root / "data/signals/visits")
    for path in project.root.glob("data/signals/visits.*"):
        path.unlink()
    shutil.rmtree(project.root / "data/signals/.index")
    return INGEST


def _new_version(project: DataProject, commands: Commands) -> str:
    """The first rows under a new version supersede what is held."""
    _held(project, commands)
    lines = project.source("visits").read_text().splitlines(keepends=True)
    project.source("visits").write_text("".join(lines[:-2]))
    _deliver(project, 6)
    replace(project.contract("visits"), "version: 1.0.0", "version: 1.1.0")
    return INGEST


def _other_hold(project: DataProject, commands: Commands) -> str:
    """Another delivery under a new version takes the place of what is held."""
    _held(project, commands)
    replace(project.contract("visits"), "version: 1.0.0", "version: 1.1.0")
    return INGEST


def _held_again(project: DataProject, commands: Commands) -> str:
    return _held(project, commands)


def _held(project: DataProject, commands: Commands) -> str:
    _deliver(project, 600)
    _deliver(project, 600, "2024-02-03")
    ended = commands.run(project.root, INGEST)
    assert "held" in ended.output, ended.output
    return INGEST


def _release(project: DataProject, commands: Commands) -> str:
    _held(project, commands)
    project.source("visits").unlink()  # what is published is what was held
    return DECIDE.format(word="release", hold=_hold(project))


def _reject(project: DataProject, commands: Commands) -> str:
    _held(project, commands)
    return DECIDE.format(word="reject", hold=_hold(project))


BEGIN: dict[str, Callable[[DataProject, Commands], str]] = {
    "ingest": _good,
    "first ingest": _first,
    "ingest of a new version": _new_version,
    "ingest that is held": _other_hold,
    "ingest of what is held": _held_again,
    "holds release": _release,
    "holds reject": _reject,
}


def _clock(path: str) -> bool:
    """What tells times of files, or who is at work, and drafts."""
    is_draft = path.endswith(".part") or (path.startswith(".dvc/cache/") and path.endswith(".tmp"))
    return is_draft or path.startswith((".dvc/tmp/", "data/signals/.index/"))


def _untimed(project: Path) -> Path:
    """Holds without the moments at which they were opened and decided."""
    for path in project.glob("holds/*.yaml"):
        path.write_text(re.sub(r"^(when|opened): .*\n", "", path.read_text(), flags=re.MULTILINE))
    for path in project.glob("data/held/*/report.html"):
        path.write_text("")
    return project


def _repeat_everywhere(
    before: DataProject, commands: Commands, command: str, few: int, in_dvc: bool = False
) -> None:
    code = BEGIN[command](before, commands)
    after = Path(shutil.copytree(before.root, before.root.with_name("after"), symlinks=True))
    done = commands.run(after, code, in_dvc=in_dvc)
    assert done.code == 0, done.output
    _untimed(after)
    every = range(1, done.steps + 1)
    steps = every[:: max(1, len(every) // few)]
    for number, (step, root) in enumerate(commands.killed(before.root, code, steps, in_dvc)):
        # readers may come first, and finish it; or only the command itself does
        looked = commands.run(root, (LOOK, READ, "")[number % 3])
        assert looked.code in (0, 2), f"step {step}: {looked.output}"
        again = commands.run(root, code)
        assert again.code == 0 or "already" in again.output, f"step {step}: {again.output}"
        assert differences(after, _untimed(root), _clock) == [], f"step {step}"


@pytest.mark.parametrize("command", BEGIN)
def test_killed_command_is_finished_by_typing_it_again(
    before: DataProject, commands: Commands, command: str
) -> None:
    _repeat_everywhere(before, commands, command, few=FEW)


EXPERIMENT = """
from ml_experiment_runner.cli.new import new
new(["experiment", "idea", "--question", "Is it late?", "--owner", "Ada"])
"""
SIGNAL = """
from ml_experiment_runner.cli.new import new
new(["signal", "shops2", "--from", "data/raw/shops.csv"])
"""
IMPORT = """
from ml_experiment_runner.cli.new import new
new(["signal", "shops2", "--from", "signals/shops.yaml"])
"""


@pytest.mark.parametrize(
    "code", [EXPERIMENT, SIGNAL, IMPORT], ids=["experiment", "signal", "import"]
)
def test_new_file_is_whole_or_not_there(before: DataProject, commands: Commands, code: str) -> None:
    after = Path(shutil.copytree(before.root, before.root.with_name("after"), symlinks=True))
    done = commands.run(after, code)
    assert done.code == 0, done.output
    for step, root in commands.killed(before.root, code, range(1, done.steps + 1)):
        again = commands.run(root, code)
        taken = re.search("already exists|is there already", again.output)
        assert again.code == 0 or taken, f"step {step}: {again}"
        assert differences(after, root, _clock) == [], f"step {step}"


SET_UP = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(ROOT / "{{cookiecutter.project_slug}}" / "tools")!r})
import setup
fake = "import shutil, sys; shutil.copyfile(sys.argv[-1], '.venv/content')"
setup.find_uv = lambda root: [sys.executable, "-c", fake]
root = Path.cwd()
setup.install(root, [root / "requirements.lock"], None)
"""


def _set_up_everywhere(tmp_path: Path, commands: Commands, few: int) -> None:
    before = tmp_path / "before"
    before.mkdir()
    (before / "requirements.lock").write_text("a==1\n")
    done = commands.run(Path(shutil.copytree(before, tmp_path / "after")), SET_UP)
    assert done.code == 0, done.output
    steps = range(1, done.steps + 1)
    for step, root in commands.killed(before, SET_UP, steps[:: max(1, len(steps) // few)]):
        again = commands.run(root, SET_UP)
        assert again.code == 0, f"step {step}: {again.output}"
        subprocess.run([root / ".venv/bin/python", "-c", ""], check=True)
        assert (root / ".venv/content").read_text() == "a==1\n", f"step {step}"


def test_killed_set_up_is_finished_by_typing_it_again(tmp_path: Path, commands: Commands) -> None:
    _set_up_everywhere(tmp_path, commands, FEW)


@pytest.mark.long
def test_set_up_killed_at_any_step_is_done_again(tmp_path: Path, commands: Commands) -> None:
    _set_up_everywhere(tmp_path, commands, 1000)


def test_failed_set_up_is_not_taken_for_a_former_one(tmp_path: Path, commands: Commands) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("a==1\n")
    (tmp_path / "other.lock").write_text("b==1\n")
    assert commands.run(tmp_path, SET_UP).code == 0
    lock.write_text("a==2\n")
    killed = SET_UP.replace(
        "sys.argv[-1], '.venv/content')", "'other.lock', '.venv/content'); 1 / 0"
    )
    assert "installation failed" in commands.run(tmp_path, killed).output
    lock.write_text("a==1\n")
    assert commands.run(tmp_path, SET_UP).code == 0
    assert (tmp_path / ".venv/content").read_text() == "a==1\n"


@pytest.mark.long
@pytest.mark.parametrize("command", BEGIN)
def test_command_killed_at_any_step_is_finished_by_the_next(
    before: DataProject, commands: Commands, command: str
) -> None:
    _repeat_everywhere(before, commands, command, few=1000)


@pytest.mark.long
def test_release_killed_with_dvc_is_finished_by_the_next(
    before: DataProject, commands: Commands
) -> None:
    _repeat_everywhere(before, commands, "holds release", few=20, in_dvc=True)


def _is_publishing(project: Path) -> bool:
    return "publishing" in (project / "data/signals/.index/visits.json").read_text()


@pytest.mark.long
def test_putting_back_a_killed_publication_may_be_killed_too(
    before: DataProject, commands: Commands
) -> None:
    code = _good(before, commands)
    after = Path(shutil.copytree(before.root, before.root.with_name("after"), symlinks=True))
    done = commands.run(after, code)
    ((_, root),) = commands.killed(before.root, code, [done.steps - 6])
    half = DataProject(root.rename(root.with_name("half")))
    again = commands.run(Path(shutil.copytree(half.root, root, symlinks=True)), code)
    assert _is_publishing(half.root)
    for step, twice in commands.killed(half.root, code, range(1, again.steps + 1)):
        read = commands.run(twice, READ)
        assert read.code == 0, f"step {step}: {read.output}"
        assert commands.run(twice, code).code == 0
        assert differences(after, twice, _clock) == [], f"step {step}"


@pytest.mark.long
def test_nothing_looks_edited_where_putting_back_was_killed(
    before: DataProject, commands: Commands
) -> None:
    shutil.rmtree(before.root / ".dvc/cache")  # as in a clone whose data were received anew
    code = _good(before, commands)
    steps = commands.run(Path(shutil.copytree(before.root, before.root.with_name("a"))), code).steps
    ((_, root),) = commands.killed(before.root, code, [steps - 6])
    half = root.rename(root.with_name("half"))
    again = commands.run(Path(shutil.copytree(half, root, symlinks=True)), READ)
    assert _is_publishing(half)
    for step, twice in commands.killed(half, READ, range(1, again.steps + 1)):
        read = commands.run(twice, READ)
        assert read.code in (0, 2), f"step {step}: {read.output}"
        assert "changed by hand" not in read.output, f"step {step}: {read.output}"


@pytest.mark.long
def test_release_after_a_killed_ingest_is_of_all_rows_or_none(
    before: DataProject, commands: Commands
) -> None:
    code = _held_again(before, commands)
    steps = commands.run(Path(shutil.copytree(before.root, before.root.with_name("a"))), code).steps
    release = DECIDE.format(word="release", hold=_hold(before))
    for step, root in commands.killed(before.root, code, range(1, steps + 1)):
        released = commands.run(root, release)
        assert released.code == 0, f"step {step}: {released.output}"
        (root / "data/raw/visits.csv").unlink()
        read = commands.run(root, READ)
        rows = "2400" if "its rows are not on this machine" in released.output else "2402"
        assert read.output.split()[-1] == rows, f"step {step}: {read.output}"
