"""Another team's DVC repository as a source: a real one, with two revisions."""

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.sources import fetch
from support.data_project import DataProject, build, git, replace
from support.reading import content, contract, rows, serve

FILE = "type: custom\nlocation: {}\npath: out/shops.csv\nformat: csv"
FOLDER = "type: custom\nlocation: {}\npath: out/visits\nformat: parquet"


def dvc(root: Path, *words: str) -> None:
    command = [sys.executable, "-m", "dvc", *words]
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    subprocess.run(command, cwd=root, check=True, capture_output=True, env=environment)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> DataProject:
    return build(tmp_path_factory.mktemp("dvc") / "project")


@pytest.fixture
def project(tmp_path: Path, original: DataProject) -> DataProject:
    shutil.copytree(original.root, tmp_path / "project")
    return DataProject(tmp_path / "project")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory, original: DataProject) -> Path:
    """Shops as a file and visits as a folder; at the revision `v2` shop a has grown."""
    root = tmp_path_factory.mktemp("another team") / "theirs"
    (root / "out" / "visits").mkdir(parents=True)
    git(root, "init", "-q", "-b", "main")
    dvc(root, "init", "-q")
    shutil.copy(original.source("shops"), root / "out" / "shops.csv")
    german = original.source("shops").read_text().replace(",", ";")
    (root / "out" / "german.csv.gz").write_bytes(gzip.compress(german.encode("utf-16-le")))
    frame = rows(original, "visits")
    frame[:700].write_parquet(root / "out" / "visits" / "2024-01.parquet")
    frame[700:].write_parquet(root / "out" / "visits" / "2024-02.parquet")
    for revision in ("v1", "v2"):
        if revision == "v2":
            replace(root / "out" / "shops.csv", ",12", ",13")
        dvc(root, "add", "-q", "out/shops.csv", "out/german.csv.gz", "out/visits")
        git(root, "add", ".")
        git(root, "commit", "-qm", revision)
        git(root, "tag", revision)
    return root


def test_same_rows_in_a_dvc_repository_are_the_same_signal(
    project: DataProject, theirs: Path
) -> None:
    wanted = {name: content(contract(project, name)) for name in ("shops", "visits")}
    shops = serve(project, "shops", FILE.format(theirs), "reader=dvc rev=v1")
    visits = serve(project, "visits", FOLDER.format(theirs), "reader=dvc rev=v1")
    assert content(shops) == wanted["shops"]
    assert content(visits) == wanted["visits"]
    assert shops.source == f"{theirs}@v1:out/shops.csv"


def test_revision_decides_which_rows_come(project: DataProject, theirs: Path) -> None:
    there = os.path.relpath(theirs, project.root)
    for revision, size in (("v1", 12), ("v2", 13)):
        found = serve(project, "shops", FILE.format(there), f"reader=dvc rev={revision}")
        assert fetch.fetch_rows(found)["size"].to_list() == [size, None]


def test_file_in_another_dialect_is_the_same_signal(project: DataProject, theirs: Path) -> None:
    wanted = content(contract(project, "shops"))
    entry = FILE.format(theirs).replace("shops.csv", "german.csv.gz")
    found = serve(project, "shops", entry, "reader=dvc rev=v1 delimiter=; encoding=utf-16-le")
    assert content(found) == wanted


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('value: "v1"', 'value: "v7"', "v7"),
        ("out/shops.csv", "out/shps.csv", "out/shps.csv"),
        ("location: ", "location: /nowhere", "nowhere"),
    ],
)
def test_what_the_repository_does_not_have_is_said(
    project: DataProject, theirs: Path, old: str, new: str, says: str
) -> None:
    serve(project, "shops", FILE.format(theirs), "reader=dvc rev=v1")
    replace(project.contract("shops"), old, new)
    with pytest.raises(UserError, match=rf"cannot be fetched \(.*{says}") as error:
        fetch.fetch_rows(contract(project, "shops"))
    assert len(str(error.value).splitlines()) <= 2
    assert "shops@example.com" in str(error.value)


def test_token_in_the_repositorys_address_is_not_shown(
    project: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TOKEN", "hunter2")
    location = "http://git:${GIT_TOKEN}@127.0.0.1:1/theirs"
    found = serve(project, "shops", FILE.format(location), "reader=dvc rev=v1")
    with pytest.raises(UserError, match="cannot be fetched") as error:
        fetch.fetch_rows(found)
    assert "hunter2" not in str(error.value)
    assert "hunter2" not in found.source
