"""The journal loses nothing, whatever ends the process, and its reader takes what is there."""

import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_experiment_runner.record.journal import Journal, all_events, read_events
from ml_experiment_runner.record.process_identity import WriterLock
from support import SOURCE


def test_journal_keeps_ten_thousand_points_when_killed(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from ml_experiment_runner.record.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "for step in range(10_000): journal.metric('loss', step / 7, step)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "journal.jsonl"
    done = subprocess.run([sys.executable, "-c", code, str(path)], env={"PYTHONPATH": str(SOURCE)})
    assert done.returncode == -signal.SIGKILL
    events = list(all_events(path))
    assert [event["step"] for event in events] == list(range(10_000))
    assert [event["value"] for event in events] == [step / 7 for step in range(10_000)]


def test_journal_is_never_shared_by_two_runs(tmp_path: Path) -> None:
    Journal(tmp_path / "journal.jsonl")
    with pytest.raises(FileExistsError):
        Journal(tmp_path / "journal.jsonl")


def test_reader_leaves_a_torn_last_line_until_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"kind":"a"}\n{"kind":"b"')
    events, offset = read_events(path)
    assert [event["kind"] for event in events] == ["a"]
    assert read_events(path, offset) == ([], offset)
    with path.open("ab") as file:
        file.write(b"}\n")
    assert [event["kind"] for event in read_events(path, offset)[0]] == ["b"]


def test_reader_goes_on_behind_a_line_that_a_full_disk_tore(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"kind":"a"}\n{"kind":\n{"kind":"c"}\n')
    assert [event["kind"] for event in read_events(path)[0]] == ["a", "c"]


ON_A_DISK = """
import resource, signal, sys
from pathlib import Path
from ml_experiment_runner.record.journal import Journal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])

def room(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
"""
FULL_TWICE = """
journal = Journal(path)
journal.write("start")
for size in (200, 300):
    room(size)
    try:
        while True:
            journal.metric("loss", 0.5, 1)
    except OSError:
        assert path.read_bytes()[-1:] not in b"}\\n", "the line is torn"
room(resource.RLIM_INFINITY)
journal.write("end")
"""
FULL_AS_IT_GOES_ON = """
path.write_bytes(b'{"kind":"start"}\\n{"kind":"met')
room(path.stat().st_size)
journal = Journal(path, resumed=True)
room(resource.RLIM_INFINITY)
journal.write("resume")
journal.write("end")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
@pytest.mark.parametrize(
    ("code", "events"),
    [(FULL_TWICE, {"start", "metric", "end"}), (FULL_AS_IT_GOES_ON, {"start", "resume", "end"})],
)
def test_event_after_a_full_disk_is_read(tmp_path: Path, code: str, events: set[str]) -> None:
    path = tmp_path / "journal.jsonl"
    words = [sys.executable, "-c", ON_A_DISK + code, str(path)]
    subprocess.run(words, env={"PYTHONPATH": str(SOURCE)}, check=True)
    kinds = [event["kind"] for event in all_events(path)]
    assert (kinds[0], kinds[-1], set(kinds)) == ("start", "end", events)


def test_journal_goes_on_after_a_line_torn_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"kind":"start"}\n')

    class Lock(WriterLock):
        """The one who has it until now writes, and is killed."""

        def __init__(self, journal: Path) -> None:
            with journal.open("ab") as file:
                file.write(b'{"kind":"met')
            super().__init__(journal)

    monkeypatch.setattr("ml_experiment_runner.record.journal.WriterLock", Lock)
    journal = Journal(path, resumed=True)
    journal.write("resume")
    journal.close()
    assert [event["kind"] for event in all_events(path)] == ["start", "resume"]


def test_reader_takes_a_line_that_is_longer_than_its_buffer(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.write("tag", name="long", value="x" * 3_000_000)
    journal.write("end", status="FINISHED")
    assert [event["kind"] for event in all_events(tmp_path / "journal.jsonl")] == ["tag", "end"]


@settings(deadline=None)
@given(
    st.floats(),
    st.integers(-(2**40), 2**40),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=9),
)
def test_metric_comes_back_as_it_went_in(value: float, step: int, name: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        journal = Journal(path)
        journal.metric(name, value, step)
        journal.close()
        line = path.read_bytes()
        (event,) = all_events(path)
    json.loads(line, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))
    read = float(str(event["value"]))
    assert read == value or (math.isnan(read) and math.isnan(value))
    assert (event["step"], event["name"]) == (step, name)
