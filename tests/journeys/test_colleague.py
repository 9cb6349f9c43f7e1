"""A colleague clones the repository and gets the same data and the same figures."""

import re
import shutil
from pathlib import Path

import pytest

from support.baking import git
from support.journey import QUICK, Project, clone, dvc, judged, versions

WORDS = ("experiment=weather", *QUICK)


@pytest.fixture
def shared(project: Project, tmp_path: Path) -> tuple[Project, Path]:
    """A project with a recorded run, and the bare repository that it is pushed to."""
    project.run(*WORDS)
    bare = tmp_path / "shared.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git(project.root, "remote", "add", "shared", str(bare))
    git(project.root, "push", "--quiet", "shared", "HEAD:main")
    return project, bare


def test_clone_pulls_the_data_and_reproduces_the_run(shared, tmp_path: Path) -> None:
    project, bare = shared
    dvc(project, "push")
    # The remote lies beside the repository: `../flight-delays-data`.
    colleague = clone(bare, tmp_path / "colleague")
    done = colleague.run(*WORDS)
    assert re.search(r"^getting .*flights.* with DVC$", done.stdout, re.MULTILINE)
    assert "received" not in done.stdout
    assert versions(colleague) == versions(project)
    assert judged(colleague.runs("weather")[0]) == judged(project.runs("weather")[0])
    assert git(colleague.root, "status", "--short") == ""


def test_clone_without_a_remote_receives_the_same(shared, tmp_path) -> None:
    project, bare = shared
    elsewhere = tmp_path / "another machine"
    elsewhere.mkdir()
    colleague = clone(bare, elsewhere / "flight-delays")
    done = colleague.run(*WORDS)
    assert "DVC has no copy" in done.stdout
    assert "received flights: 336,776 rows" in done.stdout
    assert versions(colleague) == versions(project)
    assert judged(colleague.runs("weather")[0]) == judged(project.runs("weather")[0])
    assert git(colleague.root, "status", "--short") == ""


def test_changed_partition_is_noticed_and_restored(project: Project) -> None:
    project.run(*WORDS)
    partition = project.root / "data/signals/flights/2013-05.parquet"
    shutil.copyfile(partition.with_name("2013-06.parquet"), partition)
    done = project.run(*WORDS, code=2)
    assert "signal flights" in done.stderr
    assert "changed by hand" in done.stderr
    (command,) = [line for line in done.stderr.splitlines() if "dvc checkout" in line]
    dvc(project, *command.partition(" -m dvc ")[2].split())
    project.run(*WORDS)
    first, last = project.runs("weather")[0], project.runs("weather")[-1]
    assert judged(first) == judged(last)
