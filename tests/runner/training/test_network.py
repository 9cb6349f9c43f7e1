"""The network, in an environment of its own: PyTorch is 5 GB."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SMALL = ("debug=smoke", "evaluation.bootstrap=20", "model=tabular_network", "threads=2")


@pytest.fixture(scope="module")
def network_project(tmp_path_factory) -> Path:
    """A generated project whose environment has the extra."""
    root = Path(__file__).resolve().parents[3]
    folder = tmp_path_factory.mktemp("network")
    subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(root), "--no-input", "-o", str(folder)],
        check=True, capture_output=True,
    )  # fmt: skip
    (project,) = folder.iterdir()
    done = subprocess.run(
        [sys.executable, "tools/setup.py", "deep"], cwd=project, capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"the extra deep cannot be installed here: {done.stdout[-300:]}")
    return project


def run(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    python = project / ".venv" / "bin" / "python"
    return subprocess.run(
        [str(python), *words], cwd=project, capture_output=True, text=True, check=False
    )


def metrics(project: Path) -> dict[str, float]:
    code = (
        "import json; from ml_experiment_runner import load_run\n"
        "print(json.dumps({k: v for k, v in "
        "load_run('last').metrics.items() if k.startswith(('validation/', 'test/'))}))"
    )
    done = run(project, "-c", f"import sys; sys.path.insert(0, 'src'); {code}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.long
@pytest.mark.parametrize("experiment", ["weather", "punctuality", "arrival_delay"])
def test_network_trains_for_every_task_type_and_is_the_same(network_project, experiment) -> None:
    found = []
    for _ in range(2):
        done = run(network_project, "run.py", f"+experiment={experiment}", *SMALL)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "leaked" not in done.stderr
        found.append(metrics(network_project))
    assert found[0] == found[1]


@pytest.mark.long
def test_interrupted_network_ends_as_an_undisturbed_one(
    network_project,
) -> None:
    words = ("run.py", "+experiment=weather", *SMALL[1:], "debug.rows=20000", "model.epochs=12")
    done = run(network_project, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    whole = metrics(network_project)
    process = subprocess.Popen(
        [str(network_project / ".venv" / "bin" / "python"), *words],
        cwd=network_project, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    checkpoints = network_project / "data" / "cache" / "checkpoints"
    limit = time.monotonic() + 300
    while not list(checkpoints.glob("*/last.ckpt")) and time.monotonic() < limit:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    (kept,) = checkpoints.glob("*/last.ckpt")
    done = run(network_project, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "goes on from epoch" in done.stdout
    assert metrics(network_project) == whole
    assert not kept.exists()


@pytest.mark.long
def test_saved_network_loads_without_the_repository(network_project, tmp_path) -> None:
    done = run(network_project, "run.py", "+experiment=weather", *SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    code = (
        "import mlflow, sys; mlflow.set_tracking_uri(sys.argv[1]); "
        "client = mlflow.MlflowClient(); "
        "places = [each.experiment_id for each in client.search_experiments()]; "
        "(model, *_) = client.search_logged_models(places); "
        "loaded = mlflow.pyfunc.load_model(f'models:/{model.model_id}'); "
        "print(loaded.predict(loaded.input_example).shape)"
    )
    python = network_project / ".venv" / "bin" / "python"
    done = subprocess.run(
        [str(python), "-P", "-c", code, f"sqlite:///{network_project}/mlflow.db"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip().endswith("(6, 2)")


@pytest.mark.long
def test_network_tells_a_search_and_is_ended_early(network_project) -> None:
    words = ("+experiment=weather", *SMALL, "model.epochs=3", "objective=validation/roc_auc")
    search = ("hydra/sweeper=optuna", "hydra.sweeper.n_trials=4", "hydra/sweeper/pruner=median",
              "hydra.sweeper.pruner.n_startup_trials=1",
              "model.learning_rate=tag(log,interval(1e-9,0.01))")  # fmt: skip
    done = run(network_project, "run.py", "-m", *words, *search)
    assert done.returncode == 0, done.stdout + done.stderr
    (told,) = network_project.glob("outputs/weather/*/*/artifacts/sweep.json")
    jobs = json.loads(told.read_text())["jobs"]
    assert {job["status"] for job in jobs} == {"FINISHED", "PRUNED"}
    for job in jobs:
        code = (
            "from ml_experiment_runner import load_run; run = load_run(sys.argv[1]); "
            "told = run.series('objective/so_far'); "
            "assert [p.value for p in told] == [p.value for p in run.series('epoch/roc_auc')]; "
            "print(len(told), run.status, told[-1].value == run.metrics.get('validation/roc_auc'))"
        )
        said = run(network_project, "-c", f"import sys; sys.path.insert(0, 'src'); {code}",
                   job["run"])  # fmt: skip
        assert said.returncode == 0, said.stderr
        if job["status"] == "FINISHED":
            assert said.stdout.split() == ["3", "FINISHED", "True"]
        else:
            assert said.stdout.split()[1:] == ["KILLED", "False"]


@pytest.mark.long
def test_network_is_a_member_of_an_ensemble(network_project) -> None:
    words = ("run.py", "+experiment=ensemble", *SMALL[:2], "threads=2", "model.max_quality_gap=1",
             "model.folds=2", "+model@model.members.weather=tabular_network",
             "model.members.weather.epochs=2")  # fmt: skip
    found = []
    for _ in range(2):
        done = run(network_project, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        found.append(metrics(network_project))
    assert found[0] == found[1]
    assert found[0]["test/roc_auc"] > 0.5
