"""What a run says about where it comes from, and what it must not say."""

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ml_experiment_runner.record import provenance
from ml_experiment_runner.record.console import Console, Output
from ml_experiment_runner.record.provenance import LARGEST_FILE, Git
from ml_experiment_runner.record.sync.store_address import real_address, store_key


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "core.autocrlf=false")
    done = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, check=True)
    return done.stdout.decode()


def look(folder: Path) -> tuple[dict[str, Any], bytes]:
    notes: dict[str, Any] = {}
    patches: list[bytes] = []
    thread = Git(folder, folder / "runs", notes.__setitem__, patches.append)
    thread.start()
    thread.join()
    return {name: notes[name] for name in notes if name.startswith("git_")}, b"".join(patches)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "of origin"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "kept.py").write_text("one = 1\n")
    (folder / "gone.py").write_text("two = 2\n")
    (folder / ".gitignore").write_text("*.secret\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "first")
    return folder


def test_clean_repository_is_its_commit_and_nothing_else(repository: Path) -> None:
    notes, patch = look(repository)
    assert notes == {"git_commit": git(repository, "rev-parse", "HEAD").strip(), "git_dirty": False}
    assert patch == b""


def test_patch_brings_every_uncommitted_change_back(repository: Path, tmp_path: Path) -> None:
    (repository / "kept.py").write_text("one = 11\n")
    (repository / "gone.py").unlink()
    (repository / "stäged é.py").write_text("three = 3\n")
    git(repository, "add", "stäged é.py")
    (repository / "sub").mkdir()
    (repository / "sub" / "un tracked*.py").write_text("four = 4\n")
    (repository / "sub" / "bytes.bin").write_bytes(bytes(range(256)))
    (repository / "key.secret").write_text("not this\n")
    before = git(repository, "status", "--porcelain")
    notes, patch = look(repository / "sub")
    assert notes["git_dirty"] is True
    assert git(repository, "status", "--porcelain") == before
    copy = tmp_path / "copy"
    git(tmp_path, "clone", "-q", str(repository), str(copy))
    subprocess.run(["git", "apply", "--binary", "-"], cwd=copy, input=patch, check=True)
    for name in ("kept.py", "stäged é.py", "sub/un tracked*.py", "sub/bytes.bin"):
        assert (copy / name).read_bytes() == (repository / name).read_bytes()
    assert not (copy / "gone.py").exists()
    assert b"not this" not in patch


def test_file_that_is_too_large_is_named_instead(repository: Path) -> None:
    (repository / "large.bin").write_bytes(b"\0" * (LARGEST_FILE + 1))
    notes, patch = look(repository)
    assert notes["git_left_out"] == ["large.bin"]
    assert b"large.bin" not in patch


def test_records_and_what_is_too_large_are_not_in_the_patch(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "LARGEST_SUM", 5)
    for name in ("runs/a/record.txt", "one.txt", "two.txt"):
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text("abc\n")
    notes, patch = look(repository)
    assert notes["git_left_out"] == ["two.txt"]
    assert b"one.txt" in patch
    assert b"record.txt" not in patch


def test_repository_without_a_commit_is_all_patch(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "new.py").write_text("a = 1\n")
    notes, patch = look(tmp_path)
    assert notes["git_commit"].startswith("none")
    assert b"+a = 1" in patch


def test_no_repository_is_recorded_as_such(tmp_path: Path) -> None:
    notes, patch = look(tmp_path)
    assert set(notes) == {"git_commit"}
    assert notes["git_commit"].startswith("none: fatal: not a git repository")
    assert patch == b""


def test_masked_address_is_found_again_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = "http://me:pw@host:5000"
    monkeypatch.setenv("SOMEWHERE", uri)
    key = store_key("http://me:other@host:5000")
    assert real_address("http://me:***@host:5000", lambda one: one == key) == uri
    assert real_address("sqlite:///a.db", lambda _: False) == "sqlite:///a.db"


def test_output_without_a_reader_does_not_stop_the_run() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        output = Output(stream)
        print("nobody hears this", file=output, flush=True)
        print("nor this", file=output, flush=True)


def test_console_log_holds_what_was_printed_and_logged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    console = Console(tmp_path / "console.log", lambda text: text.replace("hush", "***"))
    print("\x1b[31mred\x1b[0m words, hush")
    print("a warning", file=sys.stderr)
    logging.getLogger("somebody").warning("a line")
    console.stop()
    print("later")
    lines = (tmp_path / "console.log").read_text().splitlines()
    assert lines[:2] == ["red words, ***", "a warning"]
    assert lines[2].endswith("WARNING a line")
    assert len(lines) == 3
    assert "\x1b[31mred" in capsys.readouterr().out
