"""What a run's folder tells later."""

import math
import os
import pickle
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record import journal as journals
from ml_experiment_runner.record.find_run import find_run, load_run
from ml_experiment_runner.record.process_identity import identity
from ml_experiment_runner.record.run_reader import Point, RecordedRun, folders, read_run
from support.folders import NOBODY, write_run


def append(folder: Path, text: str) -> None:
    with (folder / "journal.jsonl").open("a", encoding="utf-8") as file:
        file.write(text)


def test_recorded_run_tells_what_was_logged(tmp_path: Path) -> None:
    folder = write_run(tmp_path, git_commit="abc")
    append(folder, '{"kind":"tag","time":9000,"name":"a","value":"b"}\n')
    append(folder, '{"kind":"artifact","time":9000,"path":"artifacts/x.txt","name":"x.txt"}\n')
    run = read_run(folder)
    assert (run.id, run.project, run.experiment) == ("aaaa1111", "flights", "baseline")
    assert run.status == "FINISHED"
    assert run.outputs == tmp_path
    assert run.params["dataset.label"] == "late"
    assert run.metrics["test/roc_auc"] == 0.7
    assert run.provenance == {"git_commit": "abc"}
    assert run.tags == {"a": "b"}
    assert run.artifacts == ["artifacts/x.txt"]
    assert [one["signal"] for one in run.datasets] == ["flights"]
    assert abs(run.started.timestamp() - time.time()) < 60


def test_last_run_of_a_sweep_is_that_of_the_highest_number(tmp_path: Path) -> None:
    for number in (9, 10, 11):
        write_run(tmp_path, f"a/2026-01-01/10-00-00-aaaa1111/{number}-bbbb22{number:02}")
    assert find_run(tmp_path, "last").name == "11-bbbb2211"
    assert folders(tmp_path)[0].name == "9-bbbb2209"


def test_recorded_metric_is_the_one_of_the_highest_step(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    for step, value in ((0, "3.0"), (2, "1.0"), (1, "2.0"), (2, '"inf"')):
        append(
            folder,
            f'{{"kind":"metric","time":{9 - step},"name":"loss","value":{value},"step":{step}}}\n',
        )
    run = read_run(folder)
    assert [(one.step, one.value) for one in run.series("loss")] == [
        (0, 3.0), (1, 2.0), (2, 1.0), (2, float("inf")),
    ]  # fmt: skip
    assert run.metrics["loss"] == float("inf")


def test_recorded_point_is_known_by_its_metric_step_and_value(tmp_path: Path) -> None:
    folder = write_run(tmp_path, metrics={})
    nan, inf = float("nan"), float("inf")
    for step, value in ((0, "0.1"), (0, "0.2"), (1, '"nan"'), (2, '"inf"'), (3, "-0.0"), (4, "1")):
        append(
            folder, f'{{"kind":"metric","time":1,"name":"loss","value":{value},"step":{step}}}\n'
        )
    run = read_run(folder)
    known = [
        (0, 0.1),
        (0, 0.2),
        (1, nan),
        (2, inf),
        (3, -0.0),
        (4, 1),
        (4, True),
        (4, np.float32(1)),
    ]
    assert all(run.has_point("loss", value, step) for step, value in known)
    assert run.has_point("loss", 1.0, np.int64(4))
    new = [(1, 0.1), (0, math.nextafter(0.1, 1)), (0, nan), (2, -inf), (2, nan), (3, 0.0), (5, 1.0)]
    assert not any(run.has_point("loss", value, step) for step, value in new)
    assert not run.has_point("gain", 0.1, 0)


def test_recorded_points_are_read_once_for_any_number(tmp_path: Path) -> None:
    class Counted(list[Point]):
        """Points that tell how often they were gone through."""

        times = 0

        def __iter__(self) -> Iterator[Point]:
            self.times += 1
            return super().__iter__()

    run = RecordedRun(tmp_path, "aaaa1111")
    points = run.points["loss"] = Counted(Point(step, 1, 0.5) for step in range(9))
    assert [run.has_point("loss", 0.5, step) for step in range(10)] == [True] * 9 + [False]
    assert points.times == 1


def test_journal_longer_than_a_chunk_is_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "_CHUNK", 100)
    folder = write_run(tmp_path, metrics={f"metric/{number}": number for number in range(500)})
    run = read_run(folder)
    assert run.metrics == {f"metric/{number}": number for number in range(500)}
    assert run.status == "FINISHED"


def test_recorded_run_with_a_torn_last_line_is_read(tmp_path: Path) -> None:
    folder = write_run(tmp_path, status=None)
    append(folder, '{"kind":"metric","time":1,"na')
    assert read_run(folder).metrics["threshold"] == 0.31


def test_recorded_status_without_an_end_depends_on_the_process(tmp_path: Path) -> None:
    here = write_run(tmp_path, "a/b/c-00000001", status=None, writer=identity())
    gone = write_run(tmp_path, "a/b/c-00000002", status=None, writer=NOBODY)
    other = {**NOBODY, "boot": "another machine's"}
    there = write_run(tmp_path, "a/b/c-00000003", status=None, writer=other)
    assert read_run(here).status == "RUNNING"
    assert read_run(gone).status == "KILLED"
    assert read_run(there).status == "RUNNING"
    silent = time.time() - 16 * 60
    os.utime(there / "journal.jsonl", (silent, silent))
    assert read_run(there).status == "KILLED"


def test_recorded_model_is_loaded(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    with pytest.raises(UserError, match=r"aaaa1111 \(FINISHED\) has no model"):
        read_run(folder).model()
    (folder / "model").mkdir()
    (folder / "model" / "model.pkl").write_bytes(pickle.dumps({"a": 1}))
    assert read_run(folder).model() == {"a": 1}


def test_folder_is_loaded_from_outside_a_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_run(tmp_path / "outputs")
    monkeypatch.chdir(tmp_path)
    assert load_run(folder).id == read_run(folder).id


@pytest.mark.usefixtures("in_a_project")
def test_find_run_by_id_beginning_folder_and_last(tmp_path: Path) -> None:
    newest = write_run(tmp_path, "baseline/2026-11-03/09-00-00-cccc3333")
    first = write_run(tmp_path, "weather/2026-11-01/10-00-00-aaaa1111")
    job = write_run(tmp_path, "weather/2026-11-02/10-00-00-bbbb2222/0-abab0000")
    write_run(tmp_path, ".rerun/2026-11-09/10-00-00-dddd4444")
    assert folders(tmp_path) == [first, job, newest]
    assert find_run(tmp_path, "aaaa1111") == first
    assert find_run(tmp_path, "cc") == newest
    assert find_run(tmp_path, "abab") == job
    assert find_run(tmp_path, first) == first
    assert find_run(tmp_path, "last") == newest


@pytest.fixture
def several(tmp_path: Path) -> dict[str, Path]:
    """Runs of three experiments, a sweep with its job, and a reception of signals at the end."""

    def scored(value: float, **params: str) -> dict[str, object]:
        metrics = {"validation/roc_auc": value, "validation/log_loss": value, "test/rows": 9.0}
        return {"metrics": metrics, "params": params, "dataset.judged": "rows"}

    day = "2026-11-0"
    return {
        "good": write_run(tmp_path, f"baseline/{day}1/10-00-00-aaaa1111", **scored(0.9)),
        "poor": write_run(tmp_path, f"baseline/{day}2/10-00-00-bbbb1111", **scored(0.6)),
        "debug": write_run(tmp_path, f"baseline/{day}3/10-00-00-cccc1111",
                           **scored(0.99, **{"debug.rows": "2000"})),
        "failed": write_run(tmp_path, f"baseline/{day}4/10-00-00-dddd1111", "FAILED"),
        "worst": write_run(tmp_path, f"weather/{day}5/10-00-00-eeee1111", **scored(0.5)),
        "least": write_run(tmp_path, f"loss/{day}5/11-00-00-ffff1111",
                           **scored(0.2, objective="validation/log_loss")),
        "more": write_run(tmp_path, f"loss/{day}5/12-00-00-abcd1111",
                          **scored(0.3, objective="validation/log_loss")),
        "own": write_run(tmp_path, f"bowl/{day}6/10-00-00-aaaa2222", metrics={"height": 1.0}),
        "sweep": write_run(tmp_path, f"weather/{day}7/10-00-00-bbbb2222", metrics={}),
        "job": write_run(tmp_path, f"weather/{day}7/10-00-00-bbbb2222/0-cccc2222", **scored(0.7)),
        "ingest": write_run(tmp_path, f"ingest/{day}8/10-00-00-dddd2222", metrics={"rows/a": 3.0},
                            params={"task.uses": "['signals']"}),
    }  # fmt: skip


@pytest.mark.usefixtures("in_a_project")
@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("last", "sweep"),  # neither its job nor the reception of signals
        ("last:baseline", "failed"),
        ("last:ingest", "ingest"),
        ("last:weather", "sweep"),
        ("baseline", "good"),
        ("best:baseline", "good"),
        ("weather", "job"),
        ("loss", "least"),  # its own objective, of which less is better
        ("bowl", "own"),  # no model is evaluated: the last that has finished
        ("ingest", "ingest"),
        ("dddd2", "ingest"),
    ],
)
def test_find_run_by_name(tmp_path: Path, several: dict[str, Path], name: str, run: str) -> None:
    assert find_run(tmp_path, name) == several[run]


@pytest.mark.parametrize("journal", ["", '{"kind": "start", "id": "aaaa'])
def test_find_run_last_is_one_that_began(
    tmp_path: Path, several: dict[str, Path], journal: str
) -> None:
    place = "weather/2026-11-09/10-00-00-eeee2222"
    (write_run(tmp_path, place) / "journal.jsonl").write_text(journal)
    (write_run(tmp_path, "new/2026-11-09/11-00-00-ffff2222") / "journal.jsonl").write_text(journal)
    assert find_run(tmp_path, "last") == several["sweep"]
    assert find_run(tmp_path, "last:weather") == several["sweep"]
    assert find_run(tmp_path, "weather") == several["job"]
    with pytest.raises(UserError, match="unknown run 'last:new'"):
        find_run(tmp_path, "last:new")


def test_find_run_best_of_all_is_evaluated_as_the_latest(
    tmp_path: Path, several: dict[str, Path]
) -> None:
    for gone in ("least", "more"):
        shutil.rmtree(several[gone])
    assert find_run(tmp_path, "best") == several["good"]
    write_run(tmp_path, "new/2026-11-09/10-00-00-aaaa3333", **{"dataset.judged": "other"},
              metrics={"validation/roc_auc": 0.4, "test/rows": 9.0})  # fmt: skip
    assert find_run(tmp_path, "best").name == "10-00-00-aaaa3333"


@pytest.mark.usefixtures("in_a_project")
def test_find_run_says_why_a_name_has_no_run(tmp_path: Path) -> None:
    write_run(tmp_path, params={"debug.rows": "2000"})
    with pytest.raises(UserError, match=r"^baseline: no finished run .*`last:baseline`"):
        find_run(tmp_path, "baseline")
    with pytest.raises(UserError, match=r"^best: no finished run .*`last` is"):
        find_run(tmp_path, "best")
    with pytest.raises(
        UserError, match=r"^best:weather: the experiment has no run yet; .*=weather"
    ):
        find_run(tmp_path, "best:weather")
    for text in ("first:baseline", "last:", "best:nothing", ":", "../baseline"):
        with pytest.raises(UserError, match="unknown run"):
            find_run(tmp_path, text)


@pytest.mark.usefixtures("in_a_project")
def test_find_run_names_what_there_is_instead(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no run yet"):
        find_run(tmp_path, "aaaa1111")
    write_run(tmp_path, "weather/2026-11-01/10-00-00-aaaa1111")
    write_run(tmp_path, "weather/2026-11-01/10-00-00-aaaa2222")
    with pytest.raises(UserError, match=r"2 run ids begin so .*aaaa1111.*aaaa2222"):
        find_run(tmp_path, "aaaa")
    with pytest.raises(UserError, match="the nearest: aaaa2222"):
        find_run(tmp_path, "aaaa2223")
    with pytest.raises(UserError, match=r"the nearest: weather$"):
        find_run(tmp_path, "wether")
    with pytest.raises(UserError, match=r"the latest: aaaa1111 \(weather, 2026-11-01 10-00-00\)"):
        find_run(tmp_path, "xyz")
    with pytest.raises(UserError, match="unknown run"):
        find_run(tmp_path, "")
