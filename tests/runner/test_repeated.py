"""Killed at any step, a command that is typed again ends as if it had not been killed."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from data_project import DataProject, replace
from killed import Commands, differences

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")

INGEST = """
from unittest.mock import MagicMock
from omegaconf import OmegaConf
from runner.signals.ingest import ingest
run = MagicMock(progress=lambda items, *_: items)
ingest(OmegaConf.create({"signals": ["visits"], "now": None}), run)
"""
DECIDE = """
from runner.holds import holds
holds([{word!r}, {hold!r}, "--by", "Ada", "--why", "The clock was moved."])
"""
LOOK = """
from runner.holds import holds
from runner.signals.received import ensure_received
from runner.lineage import signals
holds([])
holds(["--all"])
signals([])
signals(["visits"])
"""
READ = """
import polars as pl
from runner.signals import snapshot
from runner.signals.received import ensure_received
found = ensure_received(["visits"])["visits"]
files = {path.stem: pl.read_parquet(path) for path in found.folder.iterdir()}
assert {key: snapshot.content_hash(rows) for key, rows in files.items()} == found.partitions
print(found.rows)
"""
FEW = 5
"""Steps at which each command is killed in the tests that always run."""


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with Commands("dvc.repo", "runner.lineage", "runner.new", "runner.training.in_force",
                  "runner.signals.ingest") as commands:  # fmt: skip
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
    """What tells times of files, or who is at work."""
    return path.startswith((".dvc/tmp/", "data/signals/.index/")) or path.endswith(".part")


def _untimed(project: Path) -> Path:
    """Holds without the moments at which they were opened and decided."""
    for path in project.glob("holds/*.yaml"):
        path.write_text(re.sub(r"^(when|opened): .*\n", "", path.read_text(), flags=re.MULTILINE))
    for path in project.glob("data/held/*/report.html"):
        path.write_text("")
    return project


def _repeat_everywhere(
    before: DataProject, commands: Commands, command: str, few: bool, in_dvc: bool = False
) -> None:
    code = BEGIN[command](before, commands)
    after = Path(shutil.copytree(before.root, before.root.with_name("after"), symlinks=True))
    done = commands.run(after, code, in_dvc=in_dvc)
    assert done.code == 0, done.output
    _untimed(after)
    every = range(1, done.steps + 1)
    steps = every[:: max(1, len(every) // FEW)] if few else every
    for step, root in commands.killed(before.root, code, steps, in_dvc):
        looked = commands.run(root, LOOK)
        assert looked.code in (0, 2), f"step {step}: {looked.output}"
        if "holds" not in command or step % 2:  # else only the command itself finishes it
            read = commands.run(root, READ)
            assert read.code in (0, 2), f"step {step}: {read.output}"
        again = commands.run(root, code)
        assert again.code == 0 or "already" in again.output, f"step {step}: {again.output}"
        assert differences(after, _untimed(root), _clock) == [], f"step {step}"


@pytest.mark.parametrize("command", BEGIN)
def test_killed_command_is_finished_by_typing_it_again(
    before: DataProject, commands: Commands, command: str
) -> None:
    _repeat_everywhere(before, commands, command, few=True)


@pytest.mark.long
@pytest.mark.parametrize("command", BEGIN)
def test_command_killed_at_any_step_is_finished_by_the_next(
    before: DataProject, commands: Commands, command: str
) -> None:
    _repeat_everywhere(before, commands, command, few=False)
