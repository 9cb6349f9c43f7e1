"""Whatever happens to a run, its record is complete or says what is pending."""

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support.journey import QUICK, Project, content, judged
from support.store_reader import StoreFile, assert_complete, sync_workers
from support.tracking_server import Server
from support.waiting import wait_until

LONG = pytest.mark.long
BASELINE = ("experiment=baseline", *QUICK)

OWN_TASKS = '''"""Tasks of the team."""

import time


def metric_by_mlflow(config, run):
    import mlflow

    mlflow.log_metric("by_hand", 0.25)
    return {"by_runner": 0.5}


def slow(config, run):
    for step in range(60):
        run.log_metric("loss", 1 / (step + 1), step)
        time.sleep(0.1)
    return {"end": 1.0}


def fails_for_two(config, run):
    if config.seed == 2:
        raise ZeroDivisionError("no way to divide")
    return {"seed": float(config.seed)}
'''


def add_task(project: Project, name: str) -> None:
    """A task of the user's own, in the package and in conf/task/."""
    project.write("src/flight_delays/tasks.py", OWN_TASKS)
    project.write(
        f"conf/task/{name}.yaml", f"# the team's\n_target_: flight_delays.tasks.{name}\nuses: []\n"
    )


def test_eight_first_runs_at_once_are_eight_complete_runs(fresh: Project) -> None:
    started = [fresh.start(*BASELINE) for _ in range(8)]
    ended = [(process, *process.communicate(timeout=400)) for process in started]
    for process, _, errors in ended:
        assert process.returncode == 0, errors
        assert "pending" not in errors
        assert "database" not in errors
    assert len(fresh.folders()) == len({folder.name for folder in fresh.folders()}) == 8
    assert sum("received flights" in output for _, output, _ in ended) == 1
    assert_complete(fresh.root)
    runs = fresh.runs("baseline")
    assert [run.info.status for run in runs] == ["FINISHED"] * 8
    assert all(judged(run) == judged(runs[0]) != {} for run in runs)
    assert all(fresh.artifacts(run) == fresh.artifacts(runs[0]) for run in runs)


@pytest.mark.parametrize("times", [pytest.param(5, id="5"), pytest.param(30, id="30", marks=LONG)])
def test_killed_run_is_in_mlflow_once_with_all_it_had(project: Project, times: int) -> None:
    begin = time.monotonic()
    project.run(*BASELINE)
    usual = time.monotonic() - begin
    draw = random.Random(times)
    victims = ("training", "sync", "both")
    for number in range(times):
        process = project.start(*BASELINE)
        time.sleep(draw.uniform(0, 1.2 * usual))
        if victims[number % 3] != "training":
            for each in sync_workers(project.root):
                each.kill()
        if victims[number % 3] != "sync":
            process.kill()
        process.communicate(timeout=120)
    project.run("sync")
    assert_complete(project.root)
    statuses = {status for _, status in StoreFile(project.root).runs()}
    assert "FINISHED" in statuses
    assert statuses <= {"FINISHED", "KILLED"}
    assert not list(project.root.glob("outputs/.pending/*/*.run"))


@pytest.mark.parametrize("moment", ["before_it_begins", "while_it_works"])
def test_interrupt_gives_the_prompt_back(project: Project, moment: str) -> None:
    add_task(project, "slow")
    process = project.start("task=slow", start_new_session=True)
    if moment == "while_it_works":
        wait_until(lambda: any(b'"loss"' in (f / "journal.jsonl").read_bytes()
                               for f in project.folders()))  # fmt: skip
    else:
        wait_until(lambda: sync_workers(project.root))
    os.killpg(process.pid, signal.SIGINT)  # As the terminal does: to all in the foreground.
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in errors
    if moment == "while_it_works":
        project.run("sync")
        (run,) = project.runs()
        assert run.info.status == "KILLED"
        assert run.data.metrics["loss"] > 0
        assert_complete(project.root)


@LONG
def test_server_that_goes_away_gets_the_same_content_later(project: Project) -> None:
    from mlflow import MlflowClient

    # What the server keeps beside its database is no change of the user's.
    project.write(".git/info/exclude", "server-artifacts\n")
    server = Server(project.root)
    project.mlflow = MlflowClient(server.uri)
    words = (*BASELINE, "tracking=server")
    environment = {"MLFLOW_TRACKING_URI": server.uri}
    try:
        project.run(*words, environment=environment)
        process = project.start(*words, environment=environment)
        wait_until(lambda: len(StoreFile(project.root).runs()) == 2)
        server.stop()
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        assert "roc_auc" in output
        (line,) = errors.splitlines()
        assert line.startswith("pending")
        assert "python run.py sync" in line
        assert project.run("sync", environment=environment, code=1).stdout
        server.start()
        project.run("sync", environment=environment)
        undisturbed, disturbed = project.runs("baseline")
        assert content(project, disturbed) == content(project, undisturbed)
        assert_complete(project.root)
    finally:
        server.stop()


def test_run_stopped_at_its_start_leaves_no_empty_folder(project: Project) -> None:
    process = project.start(*BASELINE)
    wait_until(lambda: any(project.root.glob("outputs/baseline/*/*")))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped" in errors
    assert all(any(folder.iterdir()) for folder in project.root.glob("outputs/baseline/*/*"))


STREAMS = (">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>/dev/full")


@pytest.mark.parametrize("streams", STREAMS)
def test_closed_or_full_streams_change_no_exit_code(project: Project, streams: str) -> None:
    add_task(project, "fails_for_two")

    def code(*words: str) -> int:
        line = shlex.join([project.python, "run.py", *words])
        done = subprocess.run(["sh", "-c", f"{line} {streams}"], cwd=project.root, timeout=240)
        return done.returncode

    assert code("holds") == 0
    assert code("modle=x") == 2
    assert code("task=fails_for_two") == 0
    (run,) = project.runs("fails_for_two")
    assert run.info.status == "FINISHED"
    journal = project.folders()[-1] / "journal.jsonl"
    assert all(json.loads(line) for line in journal.read_text().splitlines())


def can_mount() -> bool:
    try:
        within = [*OWN_MOUNTS, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return not subprocess.run(within, capture_output=True).returncode
    except FileNotFoundError:
        return False


OWN_MOUNTS = ("unshare", "--mount", *(("--map-root-user",) if os.getuid() else ()))
FULL = """
set -u
mount -t tmpfs -o size=3m tmpfs outputs
python=$1; shift
for free in $*; do
    rm -f outputs/ballast
    cat /dev/zero > outputs/ballast 2>/dev/null
    truncate --size="-${free}k" outputs/ballast
    echo "free $free"
    "$python" run.py +experiment=baseline debug=smoke evaluation.bootstrap=20 2>&1
    echo "code $?"
done
rm outputs/ballast
"$python" run.py sync
"$python" run.py +experiment=baseline debug=smoke evaluation.bootstrap=20
echo "code $?"
find outputs -name '*.part'
for run in outputs/baseline/*/*/; do tail -n 1 "$run/journal.jsonl" | cut -c 1-60; done
"""


@pytest.mark.skipif(not can_mount(), reason="no mounts of one's own here")
@pytest.mark.parametrize(
    "free", [(8, 200, 400), pytest.param((0, 4, 60, 100, 200, 300, 400, 500), marks=LONG)]
)
def test_disk_that_fills_is_told_in_a_line(project: Project, free: tuple[int, ...]) -> None:
    shutil.rmtree(project.root / "outputs", ignore_errors=True)
    (project.root / "outputs").mkdir()
    words = [*OWN_MOUNTS, "sh", "-c", FULL, "sh", project.python, *map(str, free)]
    done = subprocess.run(words, cwd=project.root, capture_output=True, text=True, timeout=240)
    output = done.stdout + done.stderr
    for each in ("Traceback", "lost sys.stderr", "Exception in", ".part"):
        assert each not in output, output
    codes = [line for line in output.splitlines() if line.startswith("code ")]
    assert codes == ["code 1"] * len(free) + ["code 0"], output
    assert output.count("no space left on the disk") == len(free), output
    statuses = [status for _, status in StoreFile(project.root).runs()]
    assert statuses.count("FINISHED") == 1
    assert "RUNNING" not in statuses


def test_sweep_has_a_run_for_each_value_and_one_sync_worker(project: Project) -> None:
    process = project.start("-m", *BASELINE, "seed=1,2,3")
    served = set()
    while process.poll() is None:
        locked = project.root.glob("outputs/.pending/*/lock")
        if any(locked):
            served |= {each.pid for each in sync_workers(project.root)}
        time.sleep(0.05)
    assert process.returncode == 0, process.communicate()
    assert len(served) == 1
    parent, *runs = project.runs("baseline")
    assert [run.data.params["seed"] for run in runs] == ["1", "2", "3"]
    assert len({run.data.tags["record.id"] for run in runs}) == 3
    folder = Path(parent.data.tags["record.folder"])
    assert {each.parent for each in project.folders() if each != folder} == {folder}
    assert len({each.name for each in project.folders()}) == 4
    assert_complete(project.root)


def test_job_that_fails_does_not_take_the_sweep_with_it(project: Project) -> None:
    add_task(project, "fails_for_two")
    done = project.run("-m", "task=fails_for_two", "seed=1,2,3", code=1)
    assert "no way to divide" in done.stderr
    runs = {run.data.params["seed"]: run for run in project.runs()}
    statuses = {seed: run.info.status for seed, run in runs.items()}
    assert statuses == {"1": "FINISHED", "2": "FAILED", "3": "FINISHED"}
    traceback = project.artifact(runs["2"], "traceback.txt").read_text(encoding="utf-8")
    assert "ZeroDivisionError: no way to divide" in traceback
    assert "tasks.py" in traceback
    assert_complete(project.root)


def test_inline_tracking_puts_calls_of_mlflow_into_the_same_run(project: Project) -> None:
    add_task(project, "metric_by_mlflow")
    project.run("task=metric_by_mlflow", "tracking.inline=true")
    (run,) = project.runs()
    assert run.info.status == "FINISHED"
    assert run.data.metrics["by_hand"] == 0.25
    assert run.data.metrics["by_runner"] == 0.5


def test_secret_from_the_environment_is_nowhere_in_the_record(project: Project) -> None:
    secret = "s3cr3t-value-of-a-key"
    add_task(project, "fails_for_two")
    done = project.run(
        *("task=fails_for_two", "+model.api_key=${oc.env:TEAM_KEY}", "seed=2", "--"),
        environment={"TEAM_KEY": secret},
        code=None,
    )
    assert done.returncode in (1, 2)
    project.run(
        *("+experiment=baseline", *QUICK, "experiment.question=${oc.env:TEAM_KEY}"),
        environment={"TEAM_KEY": secret},
    )
    run = project.runs("baseline")[-1]
    assert run.data.params["experiment.question"] == "***"
    for place in ("outputs", "mlartifacts", "mlflow.db"):
        path = project.root / place
        for file in path.rglob("*") if path.is_dir() else [path]:
            assert not file.is_file() or secret.encode() not in file.read_bytes(), file
