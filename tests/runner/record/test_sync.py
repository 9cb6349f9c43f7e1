"""Whatever happens, a run is in MLflow once, complete, and with the right status."""

import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from ml_experiment_runner.record.process_identity import identity
from ml_experiment_runner.record.run_reader import folders, read_run
from ml_experiment_runner.record.sync.completeness import missing
from support.folders import write_run
from support.store_reader import (
    StoreFile,
    assert_complete,
    journals,
    points,
    sync_workers,
)
from support.tracking_server import Server
from support.waiting import wait_until


def client(place: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{place}/mlflow.db")


def only_run(client: Any) -> Any:
    experiments = [each.experiment_id for each in client.search_experiments()]
    (run,) = client.search_runs(experiments)
    return run


def markers(place: Path) -> list[Path]:
    return list(place.glob("outputs/.pending/*/*.run"))


def test_finished_run_is_complete_in_mlflow(place: Path, start: Any) -> None:
    worker = start(place, model="plain", points=2500)
    output = worker.communicate(timeout=60)[0]
    assert worker.returncode == 0
    assert "synced" in output
    assert "no mlflow" in output
    assert_complete(place)
    mlflow = client(place)
    run = only_run(mlflow)
    record = next(iter(journals(place)))
    assert run.info.run_name == f"2026-01-01 10-00-00-{record}"
    assert mlflow.get_experiment(run.info.experiment_id).name == "little/baseline"
    assert run.data.params["model.C"] == "0.5"
    assert run.data.params["model.names"] == "['a', 'b']"
    assert run.data.tags["metric.endless"] == "inf at step 0"
    assert "endless" not in run.data.metrics
    assert run.data.metrics["nothing"] != run.data.metrics["nothing"]
    assert len(mlflow.get_metric_history(run.info.run_id, "loss")) == 2500
    assert run.data.metrics["seconds/loop"] > 0
    assert run.data.metrics["system/process_memory_mib"] > 1
    (dataset,) = run.inputs.dataset_inputs
    assert dataset.dataset.name == "flights"
    assert dataset.dataset.digest == "0" * 32 + ".dir"
    assert [tag.value for tag in dataset.tags] == ["training"]
    artifacts = {artifact.path for artifact in mlflow.list_artifacts(run.info.run_id)}
    wanted = {"config.yaml", "console.log", "overrides.yaml", "requirements.lock", "notes"}
    assert artifacts >= wanted
    console = Path(mlflow.download_artifacts(run.info.run_id, "console.log")).read_text()
    assert "said on stdout" in console
    assert "loop" in console
    end = journals(place)[record][-1]["time"]
    assert run.info.end_time == end
    assert not markers(place)


def test_failed_run_has_its_traceback(place: Path, start: Any) -> None:
    start(place, end="fail").communicate(timeout=60)
    mlflow = client(place)
    run = only_run(mlflow)
    assert run.info.status == "FAILED"
    text = Path(mlflow.download_artifacts(run.info.run_id, "traceback.txt")).read_text()
    assert "ZeroDivisionError: no way to divide" in text
    assert "worker.py" in text


def test_failed_run_with_an_error_without_text_is_closed(place: Path, start: Any) -> None:
    start(place, end="unspeakable").communicate(timeout=60)
    run = only_run(client(place))
    assert run.info.status == "FAILED"
    assert_complete(place)


def test_interrupted_run_is_killed_and_its_process_soon_back(place: Path, start: Any) -> None:
    worker = start(place, seconds=120)
    while not journals(place):
        time.sleep(0.05)
    time.sleep(2.5)
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=30)
    wait_until(lambda: not markers(place))
    assert only_run(client(place)).info.status == "KILLED"


def test_killed_run_keeps_all_of_ten_thousand_points(place: Path, start: Any, sync: Any) -> None:
    worker = start(place, points=10_000, end="kill")
    worker.wait(timeout=60)
    assert worker.returncode == -signal.SIGKILL
    done = sync(place)
    assert done.returncode == 0, done.stdout
    assert_complete(place)
    run = only_run(client(place))
    assert run.info.status == "KILLED"
    assert len([row for row in StoreFile(place).points() if row[1] == "loss"]) == 10_000


def test_sync_twice_changes_nothing(place: Path, start: Any, sync: Any) -> None:
    start(place, model="plain").communicate(timeout=60)
    before = sorted(StoreFile(place).points()), StoreFile(place).models()
    (folder,) = place.glob("outputs/baseline/*/*")
    record = folder.name[-8:]
    # As if the sync had been stopped before it noted anything.
    (folder / "delivery.json").unlink()
    (pending,) = place.glob("outputs/.pending/*/")
    marker = {"folder": str(folder.relative_to(place / "outputs")), "writer": dead_writer()}
    (pending / f"{record}.run").write_text(json.dumps(marker))
    done = sync(place)
    assert (done.returncode, "1 synced" in done.stdout) == (0, True), done.stdout
    assert (sorted(StoreFile(place).points()), StoreFile(place).models()) == before
    assert_complete(place)
    assert "0 synced" in sync(place).stdout


def dead_writer() -> dict[str, Any]:
    return {**identity(), "pid": 1, "started": "1"}


def test_run_elsewhere_is_not_killed_while_it_may_live(place: Path, start: Any) -> None:
    start(place, end="kill", points=10).wait(timeout=60)
    wait_until(lambda: not sync_workers(place))
    (folder,) = place.glob("outputs/baseline/*/*")
    (pending,) = place.glob("outputs/.pending/*/")
    marker = {
        "folder": str(folder.relative_to(place / "outputs")),
        "writer": {**dead_writer(), "boot": "another machine's"},
    }
    path = pending / f"{folder.name[-8:]}.run"
    path.write_text(json.dumps(marker))
    (folder / "delivery.json").unlink(missing_ok=True)
    client(place).set_terminated(only_run(client(place)).info.run_id, "RUNNING")
    process = sync_worker(place)
    time.sleep(4)
    assert only_run(client(place)).info.status == "RUNNING"
    assert path.exists()
    hour_ago = time.time() - 3600
    os.utime(folder / "journal.jsonl", (hour_ago, hour_ago))
    wait_until(lambda: not path.exists())
    assert only_run(client(place)).info.status == "KILLED"
    process.kill()


def sync_worker(place: Path) -> "subprocess.Popen[bytes]":
    (pending,) = place.glob("outputs/.pending/*/")
    return subprocess.Popen(
        [sys.executable, "-m", "ml_experiment_runner.record.sync.worker", str(pending)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "RUNNER_STORE_URI": f"sqlite:///{place}/mlflow.db",
        },
        stdin=subprocess.PIPE,
    )


def test_eight_first_runs_at_once_are_eight_complete_runs(tmp_path: Path, start: Any) -> None:
    workers = [start(tmp_path, points=20) for _ in range(8)]
    outputs = [worker.communicate(timeout=120)[0] for worker in workers]
    assert all("synced" in output for output in outputs), outputs
    assert len(journals(tmp_path)) == 8
    assert_complete(tmp_path)


def test_one_sync_worker_serves_a_whole_sweep(place: Path, start: Any) -> None:
    workers = [start(place, points=10, runs=3, seconds=1) for _ in range(2)]
    at_work: set[int] = set()
    while any(worker.poll() is None for worker in workers):
        for process in sync_workers(place):
            with contextlib.suppress(psutil.Error):  # One that finds another at work leaves soon.
                if process.memory_info().rss > 100 * 2**20:
                    at_work.add(process.pid)
        time.sleep(0.1)
    assert len(journals(place)) == 6
    assert len(at_work) == 1
    wait_until(lambda: not sync_workers(place))
    assert_complete(place)


def test_sync_killed_before_noting_makes_one_run(place: Path, start: Any) -> None:
    worker = start(place, {"RUNNER_FAULT": "after_create_run"}, points=10)
    output = worker.communicate(timeout=90)[0]
    # The fault strikes once: the next sync worker finds the run and has none to create.
    assert worker.returncode == 0
    assert "synced" in output
    assert_complete(place)


@pytest.mark.parametrize("point", ["after_batch", "before_end", "after_create_model"])
def test_sync_killed_elsewhere_sends_the_rest_later(
    place: Path, start: Any, sync: Any, point: str
) -> None:
    worker = start(place, {"RUNNER_FAULT": point}, points=10, model="plain")
    assert "pending" in worker.communicate(timeout=90)[0]
    assert sync(place).returncode == 0
    assert_complete(place)


def test_run_going_on_while_it_is_closed_arrives_whole(place: Path, start: Any) -> None:
    output = start(place, points=10, runs=30, again=0.004).communicate(timeout=90)[0]
    assert "synced" in output
    mlflow = client(place)
    runs = mlflow.search_runs([each.experiment_id for each in mlflow.search_experiments()])
    assert [run.data.tags.get("again") for run in runs] == ["yes"] * 30
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert_complete(place)


def test_journal_that_ends_within_a_line_is_synced(place: Path, start: Any, sync: Any) -> None:
    start(place, points=10).communicate(timeout=60)
    (folder,) = place.glob("outputs/baseline/*/*")
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    # a machine that lost its power: the end was not written, and a line only in part
    (folder / "journal.jsonl").write_bytes(b"".join(lines[:-1]) + lines[-1][:20])
    (folder / "delivery.json").unlink()
    (pending,) = place.glob("outputs/.pending/*/")
    marker = {"folder": str(folder.relative_to(place / "outputs")), "writer": dead_writer()}
    (pending / f"{folder.name[-8:]}.run").write_text(json.dumps(marker))
    done = sync(place)
    assert (done.returncode, "1 synced" in done.stdout) == (0, True), done.stdout
    assert not markers(place)
    assert only_run(client(place)).info.status == "KILLED"


@pytest.mark.parametrize("ends", [None, "FAILED"])
@pytest.mark.parametrize("size", [1, 2_000_000])
def test_torn_line_holds_up_nothing(place: Path, size: int, ends: str | None) -> None:
    from ml_experiment_runner.record.sync.mlflow_store import Store
    from ml_experiment_runner.record.sync.run_sync import RunSync

    folder = write_run(place, status=None)
    text = (folder / "journal.jsonl").read_text()
    text = text.replace('"kind": "start"', '"kind": "start", "user": "ada"')
    (folder / "journal.jsonl").write_text(text)
    run = RunSync(Store(f"sqlite:///{place}/mlflow.db"), folder, place)
    while run.advance():
        pass
    with (folder / "journal.jsonl").open("a") as file:
        file.write('{"kind": "tag", "value": "' + "x" * size + "\n")
        if ends:
            file.write(json.dumps({"kind": "end", "time": 1, "status": ends}) + "\n")
    while run.advance():
        pass
    if not ends:
        run.close_dead()
    assert run.finished
    assert not run.has_news()
    stored = only_run(client(place))
    assert stored.info.status == (ends or "KILLED")
    assert missing(client(place), stored.info.run_id, folder) is None


class Reader(threading.Thread):
    """Polls a store and notes everything that it saw and then no longer did."""

    def __init__(self, place: Path) -> None:
        super().__init__(daemon=True)
        self._store = StoreFile(place)
        self.vanished: set[Any] = set()
        self.looks = 0
        self.done = threading.Event()

    def run(self) -> None:
        seen: set[Any] = set()
        while not self.done.wait(0.05):
            now = {record for record, _ in self._store.runs()} | set(self._store.points())
            self.vanished |= seen - now
            seen |= now
            self.looks += 1


@pytest.mark.parametrize("victim", ["training", "sync", "both"])
def test_every_run_arrives_once_whoever_is_killed_and_when(
    place: Path, start: Any, sync: Any, victim: str
) -> None:
    begin = time.monotonic()
    undisturbed = start(place, points=200, seconds=1, model="plain")
    output = undisturbed.communicate(timeout=60)[0]
    assert "synced" in output, output
    usual = time.monotonic() - begin
    reader = Reader(place)
    reader.start()
    # thirty moments of a real run are in tests/journeys/test_bad_luck.py
    moments = random.Random(5).sample(range(1000), 5)
    for moment in moments:
        worker = start(place, points=200, seconds=1, model="plain")
        time.sleep(moment / 1000 * 1.2 * usual)
        if victim in ("sync", "both"):
            for process in sync_workers(place):
                process.kill()
        if victim in ("training", "both"):
            worker.kill()
        worker.communicate(timeout=60)
    wait_until(lambda: not sync_workers(place))
    done = sync(place)
    assert done.returncode == 0, done.stdout
    assert_complete(place)
    reader.done.set()
    reader.join()
    assert reader.looks > 10
    assert not reader.vanished
    assert not markers(place)


def content(run: Any, mlflow: Any) -> dict[str, Any]:
    """What must be equal in two runs of the same thing; times are not."""
    timed = ("system/", "seconds/")
    history = {
        name: [
            (point.step, repr(point.value))
            for point in mlflow.get_metric_history(run.info.run_id, name)
        ]
        for name in run.data.metrics
        if not name.startswith(timed)
    }
    own = ("record.", "mlflow.runName", "provenance.command")
    return {
        "status": run.info.status,
        "metrics": history,
        "timed": {name for name in run.data.metrics if name.startswith(timed)},
        "params": run.data.params,
        "tags": {k: v for k, v in run.data.tags.items() if not k.startswith(own)},
        "datasets": [(d.dataset.name, d.dataset.digest) for d in run.inputs.dataset_inputs],
        "artifacts": {artifact.path for artifact in mlflow.list_artifacts(run.info.run_id)},
        "models": len(run.outputs.model_outputs),
    }


def test_server_that_goes_away_gets_the_same_content_later(
    place: Path, start: Any, sync: Any
) -> None:
    from mlflow import MlflowClient

    server = Server(place)
    try:
        options = {"points": 300, "model": "plain", "uri": server.uri}
        assert "synced" in start(place, **options).communicate(timeout=90)[0]
        worker = start(place, **options, seconds=4)
        wait_until(lambda: len(StoreFile(place).runs()) == 2)
        server.stop()
        output = worker.communicate(timeout=60)[0]
        assert worker.returncode == 0
        (line,) = [line for line in output.splitlines() if line.startswith("pending")]
        assert "run.py sync" in line
        assert server.uri in line
        waited = float(output.split("waited ")[1].split()[0])
        assert waited < 60  # MLflow's own client would ask for minutes
        assert sync(place).returncode == 1
        server.start()
        assert sync(place).returncode == 0
        mlflow = MlflowClient(server.uri)
        experiment = mlflow.get_experiment_by_name("little/baseline")
        undisturbed, disturbed = mlflow.search_runs(
            [experiment.experiment_id], order_by=["start_time ASC"]
        )
        assert content(disturbed, mlflow) == content(undisturbed, mlflow)
        assert_complete(place)
    finally:
        server.stop()


def test_runs_within_a_run_are_its_children_in_mlflow(place: Path, start: Any) -> None:
    output, _ = start(place, nested=1).communicate(timeout=120)
    assert "synced" in output
    assert_complete(place)
    experiment = client(place).get_experiment_by_name("little/baseline")
    found = client(place).search_runs([experiment.experiment_id])
    runs = {run.info.run_name: run for run in found}
    well, badly = runs.pop("well"), runs.pop("badly")
    (parent,) = runs.values()
    assert [run.info.status for run in (parent, well, badly)] == ["FINISHED", "FINISHED", "FAILED"]
    for child in (well, badly):
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert (parent.data.params["seed"], badly.data.params["seed"]) == ("7", "8")
    assert parent.data.metrics["survived"] == 1
    recorded = [read_run(folder) for folder in folders(place / "outputs")]
    assert [run.name for run in recorded][1:] == ["well", "badly"]
    assert {run.parent for run in recorded[1:]} == {recorded[0].id}
    assert {run.outputs for run in recorded} == {place / "outputs"}


def test_locked_database_delays_only_the_sync(place: Path, start: Any, sync: Any) -> None:
    import sqlite3

    connection = sqlite3.connect(place / "mlflow.db", isolation_level=None)
    connection.execute("begin exclusive")
    worker = start(place)
    output = worker.communicate(timeout=90)[0]
    assert worker.returncode == 0
    assert "pending" in output
    assert "locked" in output
    connection.execute("rollback")
    connection.close()
    assert sync(place).returncode == 0
    assert_complete(place)


def test_next_run_syncs_what_is_pending(place: Path, start: Any) -> None:
    start(place, end="kill").wait(timeout=60)
    for process in sync_workers(place):
        process.kill()
    assert markers(place)
    start(place, seconds=3).communicate(timeout=60)
    wait_until(lambda: not markers(place))
    assert_complete(place)


@pytest.mark.parametrize("kind", ["plain", "own", "lambda"])
def test_model_loads_in_a_fresh_process_without_the_repo(
    place: Path, start: Any, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    start(place, model=kind).communicate(timeout=60)
    ((_record, status),) = StoreFile(place).models()
    assert status == 2
    code = (
        "import sys, mlflow\n"
        "mlflow.set_tracking_uri(sys.argv[1])\n"
        "(model,) = mlflow.MlflowClient().search_logged_models(\n"
        "    [e.experiment_id for e in mlflow.MlflowClient().search_experiments()])\n"
        "loaded = mlflow.pyfunc.load_model(model.model_uri)\n"
        "example = loaded.input_example\n"
        "assert loaded.metadata.signature.inputs.input_names() == ['a', 'b'], 'signature'\n"
        "print('predicts', list(loaded.predict(example)))\n"
        "folder = model.artifact_location.removeprefix('file://')\n"
        "requirements = open(folder + '/requirements.txt').read()\n"
        "assert 'scikit-learn==' in requirements and 'pandas==' in requirements, requirements\n"
        "print(open(folder + '/MLmodel').read())\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", code, f"sqlite:///{place}/mlflow.db"],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "predicts [" in done.stdout
    wanted = "cloudpickle" if kind == "lambda" else "skops"
    assert f"serialization_format: {wanted}" in done.stdout


def test_secrets_are_nowhere_in_the_record_but_reach_the_store(place: Path, start: Any) -> None:
    secret, password = "s3cr3t-value-of-a-key", "pa55word"
    environment = {
        "OWN_KEY": secret,
        "OWN_URI": f"sqlite:///{place}/mlflow.db?{password}=1".split("?")[0],
    }
    worker = start(
        place,
        environment,
        key="${oc.env:OWN_KEY}",
        uri="${oc.env:OWN_URI}",
        note=f"http://me:{password}@host/",
    )
    assert "synced" in worker.communicate(timeout=60)[0]
    run = only_run(client(place))
    assert run.data.params["model.key"] == "***"
    assert run.data.params["tracking.uri"] == "***"
    for path in place.rglob("*"):
        if path.is_file() and path.name != "mlflow.db":
            content = path.read_bytes()
            assert secret.encode() not in content, path
            assert password.encode() not in content, path
    dump = (place / "mlflow.db").read_bytes()
    assert secret.encode() not in dump
    assert password.encode() not in dump


def test_code_that_calls_mlflow_itself_finds_the_run(place: Path, start: Any) -> None:
    start(place, inline=1, end="fail").communicate(timeout=60)
    run = only_run(client(place))
    assert run.data.metrics["said_inline"] == 1.0
    assert run.info.status == "FAILED"


def test_models_that_user_code_logs_do_not_hide_that_of_the_run(place: Path, start: Any) -> None:
    start(place, inline="yes", model="plain").communicate(timeout=60)
    mlflow = client(place)
    run = only_run(mlflow)
    models = mlflow.search_logged_models([run.info.experiment_id])
    ready = [model.name for model in models if "record.model" in model.tags]
    assert len(models) == 2
    assert ready == ["model"]


def test_experiment_deleted_in_mlflow_comes_back(place: Path, start: Any) -> None:
    start(place).communicate(timeout=60)
    mlflow = client(place)
    experiment = only_run(mlflow).info.experiment_id
    mlflow.delete_experiment(experiment)
    assert "synced" in start(place).communicate(timeout=60)[0]
    assert mlflow.get_experiment(experiment).lifecycle_stage == "active"


def test_password_of_a_server_that_is_away_is_in_no_log(place: Path, start: Any) -> None:
    uri = "http://me:hush-hush@127.0.0.1:9"
    output = start(place, uri=uri).communicate(timeout=60)[0]
    assert "pending" in output
    files = [path for path in place.rglob("*") if path.is_file()]
    logs = [path for path in files if path.name == "delivery.log"]
    assert logs
    assert "127.0.0.1" in logs[0].read_text()
    assert not [path for path in files if b"hush-hush" in path.read_bytes()]


def test_what_mlflow_refuses_does_not_keep_the_rest_back(place: Path, start: Any) -> None:
    start(place, key="x" * 9000, points=5).communicate(timeout=60)
    run = only_run(client(place))
    assert run.info.status == "FINISHED"
    assert run.data.params["model.key"] == "x" * 6000
    assert points(next(iter(journals(place).values())))


@pytest.mark.parametrize(
    "event",
    [
        {"kind": "artifact", "path": "artifacts/../e.txt", "name": "../e.txt"},
        {"kind": "artifact", "path": "artifacts/" + "x" * 300, "name": "x" * 300},
        {"kind": "metric", "name": "loss", "value": 1.0, "step": 2**70},
    ],
    ids=["outside", "too long", "too large"],
)
def test_one_bad_record_does_not_keep_the_others_back(
    place: Path, start: Any, sync: Any, event: dict[str, Any]
) -> None:
    start(place, points=2).communicate(timeout=60)
    (synced,) = folders(place / "outputs")
    (pending,) = place.glob("outputs/.pending/*/")
    first, *rest = (synced / "journal.jsonl").read_text().splitlines()
    line = json.dumps({"time": json.loads(first)["time"], **event})
    for name, added in (("aaaa0000", [line]), ("bbbb0000", [])):
        folder = shutil.copytree(synced, synced.with_name(f"10-00-01-{name}"))
        (folder / "delivery.json").unlink()
        lines = [first.replace(synced.name[-8:], name), *added, *rest]
        (folder / "journal.jsonl").write_text("\n".join(lines) + "\n")
        (folder / "e.txt").write_text("of another place")
        marker = {"folder": str(folder.relative_to(place / "outputs")), "writer": dead_writer()}
        (pending / f"{name}.run").write_text(json.dumps(marker))
    done = sync(place)
    assert done.stdout.splitlines()[-1] == "2 synced", done.stdout
    statuses = dict(StoreFile(place).runs())
    assert (statuses["aaaa0000"], statuses["bbbb0000"]) == ("FINISHED", "FINISHED")
    assert "record.refused" in {tag for run in runs_of(place) for tag in run.data.tags}


def runs_of(place: Path) -> list[Any]:
    found = client(place)
    return list(found.search_runs([each.experiment_id for each in found.search_experiments()]))
