"""Whose process a run is: across containers, machines, forks and pauses."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ml_experiment_runner.record.journal import Journal
from ml_experiment_runner.record.process_identity import SILENCE, WriterLock, identity
from ml_experiment_runner.record.run_reader import folders, read_run
from support.folders import NOBODY, write_run
from support.store_reader import StoreFile, assert_complete
from support.waiting import wait_until

CONTAINER = (
    *("unshare", "--pid", "--fork", "--mount-proc", "--kill-child"),
    *(("--map-root-user",) if os.getuid() else ()),
)
"""Runs a command that sees other processes than we do, as in a container."""


def can_contain() -> bool:
    try:
        return (
            subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode == 0
        )
    except FileNotFoundError:
        return False


needs_containers = pytest.mark.skipif(not can_contain(), reason="no process namespaces here")


def only_record(outputs: Path) -> Path:
    wait_until(lambda: folders(outputs))
    return folders(outputs)[-1]


@needs_containers
def test_run_in_another_container_is_running_and_then_finished(place: Path, start: Any) -> None:
    end = place / "end"
    start(place, until=end).stdout.readline()  # its worker syncs the other's run too
    inside = start(place, within=CONTAINER, seconds=3)
    record = inside.stdout.readline().split()[1]
    folder = next(each for each in folders(place / "outputs") if each.name.endswith(record))
    while (status := read_run(folder).status) != "FINISHED":
        assert status == "RUNNING"
        assert dict(StoreFile(place).runs()).get(record, "RUNNING") in ("RUNNING", "FINISHED")
        time.sleep(0.1)
    assert "synced" in inside.communicate(timeout=60)[0]
    end.touch()
    assert read_run(folder).status == "FINISHED"
    assert dict(StoreFile(place).runs())[record] == "FINISHED"


@needs_containers
def test_run_killed_in_another_container_is_killed_at_once(place: Path, start: Any) -> None:
    inside = start(place, within=CONTAINER, seconds=60)
    inside.stdout.readline()
    folder = only_record(place / "outputs")
    assert read_run(folder).status == "RUNNING"
    inside.kill()
    wait_until(lambda: read_run(folder).status == "KILLED", seconds=5)


HERE = identity()
WRITERS = {
    "this process": (HERE, True),
    "ended process": (NOBODY, False),
    "container that holds locks": ({**NOBODY, "namespace": "pid:[1]", "locks": True}, "lock"),
    "container without locks": ({**NOBODY, "namespace": "pid:[1]"}, "lock or heartbeat"),
    "container of another name": ({**NOBODY, "host": "other", "locks": True}, "lock"),
    "other machine": ({**NOBODY, "host": "b", "boot": "b", "locks": True}, "lock or heartbeat"),
    "other machine of the same name": ({**HERE, "boot": "b", "locks": True}, "lock or heartbeat"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("who", "is_locked", "is_silent"),
    list(itertools.product(WRITERS, (True, False), (True, False))),
)
def test_status_follows_process_lock_and_heartbeat(
    tmp_path: Path, who: str, is_locked: bool, is_silent: bool
) -> None:
    writer, rule = WRITERS[who]
    folder = write_run(tmp_path, status=None, writer=writer)
    journal = folder / "journal.jsonl"
    lock = WriterLock(journal) if is_locked else None
    if is_silent:
        long_ago = time.time() - SILENCE - 1
        os.utime(journal, (long_ago, long_ago))
    alive = {"lock": is_locked, "lock or heartbeat": is_locked or not is_silent}.get(rule, rule)
    assert read_run(folder).status == ("RUNNING" if alive else "KILLED")
    if lock:
        lock.release()


def test_forked_process_does_not_keep_a_run_alive(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    child = os.fork()
    if not child:
        time.sleep(30)
        os._exit(0)
    try:
        journal.close()
        WriterLock(tmp_path / "journal.jsonl").release()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_run_that_another_process_writes_is_not_resumed(place: Path, start: Any) -> None:
    worker = start(place, seconds=60)
    worker.stdout.readline()
    folder = only_record(place / "outputs")
    before = (folder / "journal.jsonl").stat().st_size
    with pytest.raises(BlockingIOError):
        Journal(folder / "journal.jsonl", resumed=True)
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    Journal(folder / "journal.jsonl", resumed=True).close()
    assert (folder / "journal.jsonl").stat().st_size >= before


def test_run_taken_for_dead_is_finished_when_it_ends(place: Path, start: Any) -> None:
    end = place / "end"
    worker = start(place, until=end)
    record = worker.stdout.readline().split()[1]
    (pending,) = place.glob("outputs/.pending/*/")
    marker = pending / f"{record}.run"
    wait_until(lambda: record in dict(StoreFile(place).runs()))
    content = json.loads(marker.read_text())
    marker.write_text(json.dumps({**content, "writer": NOBODY}))  # as if its process were gone
    wait_until(lambda: dict(StoreFile(place).runs())[record] == "KILLED")
    end.touch()
    assert "synced" in worker.communicate(timeout=60)[0]
    assert dict(StoreFile(place).runs())[record] == "FINISHED"
    assert_complete(place)


@needs_containers
def test_small_file_written_by_two_containers_at_once_is_whole(tmp_path: Path) -> None:
    """Both processes are number 1, each among its own."""
    code = (
        "import sys; from pathlib import Path\n"
        "from ml_experiment_runner.project.atomic import write_atomically\n"
        "for number in range(300): write_atomically(Path(sys.argv[1]), sys.argv[2] * 2000)"
    )
    path = tmp_path / "status.json"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [
        subprocess.Popen(
            [*CONTAINER, sys.executable, "-c", code, str(path), letter], env=environment
        )
        for letter in "ab"
    ]
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            assert path.read_text() in ("a" * 2000, "b" * 2000)
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [each.name for each in tmp_path.iterdir()] == ["status.json"]
