"""The same sweep on a Slurm cluster and on Ray: same numbers, whole records, nothing lost."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.bowl import BOWL, X, write_bowl
from support.journey import QUICK, Project, judged
from support.one_node_slurm import CannotStartError, OneNodeSlurm

pytestmark = pytest.mark.long
SWEEP = ("-m", "experiment=boosted_trees", *QUICK, "threads=1", "model.max_iter=5,10", "seed=0,1")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneNodeSlurm]:
    try:
        cluster = OneNodeSlurm(tmp_path_factory.mktemp("slurm"))
    except CannotStartError as reason:
        pytest.skip(f"no Slurm here: {reason}")
    yield cluster
    cluster.stop()


@pytest.fixture
def on_slurm(project: Project, slurm: OneNodeSlurm, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name, value in slurm.environment.items():
        monkeypatch.setenv(name, value)
    return project


@pytest.fixture(scope="module")
def ray_python(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an environment that has the extra."""
    folder = shutil.copytree(generated, tmp_path_factory.mktemp("ray") / "project")
    command = [sys.executable, "tools/setup.py", "ray"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the extra ray cannot be installed here: {done.stdout[-300:]}")
    return str(folder / ".venv" / "bin" / "python")


@pytest.fixture
def on_ray(project: Project, ray_python: str) -> Project:
    project.python = ray_python
    return project


def see_the_same_numbers_and_whole_records(project: Project, *launcher: str) -> None:
    done = project.run(*SWEEP, *launcher)
    assert "4 of 4" in done.stdout
    project.run(*SWEEP)
    runs = [run for run in project.runs("boosted_trees") if run.data.metrics.get("test/rows")]

    def numbers(chosen):
        return {(run.data.params["model.max_iter"], run.data.params["seed"]): judged(run)
                for run in chosen}  # fmt: skip

    assert [run.info.status for run in runs] == ["FINISHED"] * 8
    assert numbers(runs[:4]) == numbers(runs[4:])
    assert len(numbers(runs[:4])) == 4
    for run in runs[:4]:
        assert {"card.html", "console.log", "predictions.parquet"} <= project.artifacts(run)
        assert run.outputs.model_outputs


def see_failures_told(project: Project, *launcher: str) -> None:
    write_bowl(project)
    words = ("-m", *BOWL, f"{X}=1,3", "task.parameters.way=round,broken")
    done = project.run(*words, *launcher, code=1)
    assert done.stderr.count("the bowl is broken") == 2
    states = [run.info.status for run in project.runs("bowl")]
    assert sorted(states) == ["FAILED", "FAILED", "FINISHED", "FINISHED", "FINISHED"]


def see_a_search(project: Project, *launcher: str) -> None:
    write_bowl(project)
    search = ("hydra/sweeper=optuna", "hydra.sweeper.n_jobs=2", "hydra.sweeper.n_trials=4")
    early = ("hydra/sweeper/pruner=median", "task.parameters.steps=2")
    done = project.run("-m", *BOWL, f"{X}=interval(-5,5)", *search, *early, *launcher)
    assert "4 of 4" in done.stdout
    assert len(project.runs("bowl")) == 5


def see_it_stopped_and_resumed(project: Project, *launcher: str) -> None:
    write_bowl(project)
    words = ("-m", *BOWL, "task.parameters.seconds=0.1,60", f"{X}=1,2")
    process = project.start(*words, *launcher)
    limit = time.monotonic() + 300
    ended = '"status": "FINISHED"'
    while True:
        found = [path.read_text() for path in project.root.glob("outputs/*/*/*/*/journal.jsonl")]
        if len(found) == 4 and sum(ended in text for text in found) == 2:
            break
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=30)  # nobody waits for what takes a minute
    assert process.returncode == 130
    (folder,) = project.root.glob("outputs/bowl/*/*")
    project.change("src/flight_delays/bowl.py", "time.sleep(asked.seconds)", "")
    done = project.run("-m", f"resume={folder.name[-8:]}")
    assert done.stdout.count("finished before: ") == 2
    states = [run.info.status for run in project.runs("bowl")]
    assert states.count("FINISHED") == 5
    assert set(states) <= {"FINISHED", "KILLED"}


SLURM = ("hydra/launcher=slurm",)
RAY = ("hydra/launcher=ray",)


def test_slurm_gives_the_same_numbers_and_whole_records(on_slurm: Project) -> None:
    see_the_same_numbers_and_whole_records(on_slurm, *SLURM)


def test_slurm_tells_failures(on_slurm: Project) -> None:
    see_failures_told(on_slurm, *SLURM)


def test_slurm_runs_a_search(on_slurm: Project) -> None:
    see_a_search(on_slurm, *SLURM)


def test_slurm_is_left_empty_when_the_sweep_is_stopped(
    on_slurm: Project, slurm: OneNodeSlurm
) -> None:
    see_it_stopped_and_resumed(on_slurm, *SLURM)
    assert not slurm.ask("squeue", "--noheader").strip()


def test_slurm_refuses_what_it_does_not_have_and_says_so(on_slurm: Project) -> None:
    write_bowl(on_slurm)
    words = ("-m", *BOWL, f"{X}=1,2", *SLURM, "hydra.launcher.slurm_partition=nowhere")
    done = on_slurm.run(*words, code=2)
    assert "hydra/launcher=slurm" in done.stderr
    assert "invalid partition" in done.stderr
    assert "Traceback" not in done.stderr


def test_ray_gives_the_same_numbers_and_whole_records(on_ray: Project) -> None:
    see_the_same_numbers_and_whole_records(on_ray, *RAY)


def test_ray_tells_failures(on_ray: Project) -> None:
    see_failures_told(on_ray, *RAY)


def test_ray_runs_a_search(on_ray: Project) -> None:
    see_a_search(on_ray, *RAY)


def test_ray_is_left_when_the_sweep_is_stopped(on_ray: Project) -> None:
    see_it_stopped_and_resumed(on_ray, *RAY)
