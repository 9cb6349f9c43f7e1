"""A generated project as a user sees it: files, commands typed in it, and its MLflow store."""

import os
import shutil
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

from support import SOURCE
from support.baking import git

os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")

QUICK = ("debug=smoke", "evaluation.bootstrap=20", "evaluation.importance_repeats=1")
"""Makes a run short where its figures do not matter."""


class Project:
    """A generated project in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.python = sys.executable

    def start(self, *words: str, **options: Any) -> "subprocess.Popen[str]":
        """Types `python run.py <words>` and does not wait."""
        environment = {**os.environ, "COLUMNS": "200", **options.pop("environment", {})}
        environment.pop("PYTHONPATH", None)
        if self.python == sys.executable:  # the runner of this tree, whatever is installed
            environment["PYTHONPATH"] = str(SOURCE)
        return subprocess.Popen(
            [self.python, "run.py", *words],
            cwd=self.root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )

    def run(
        self, *words: str, code: int | None = 0, seconds: int = 240, **options: Any
    ) -> "subprocess.CompletedProcess[str]":
        """Types `python run.py <words>`, waits for the prompt, sees that it ends with `code`."""
        process = self.start(*words, **options)
        try:
            output, errors = process.communicate(timeout=seconds)
        finally:
            process.kill()
        done = subprocess.CompletedProcess(words, process.returncode, output, errors)
        assert code is None or done.returncode == code, f"{words}: {output}\n{errors}"
        return done

    def write(self, name: str, text: str) -> Path:
        """Writes a file as a user would."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def change(self, name: str, old: str, new: str) -> None:
        """Replaces a text that stands in a file."""
        path = self.root / name
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{name} does not hold {old!r}"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def folders(self) -> list[Path]:
        """Folders of runs, the oldest first, those of jobs in a sweep included."""
        found = (self.root / "outputs").rglob("journal.jsonl")
        return sorted((path.parent for path in found), key=lambda path: path.stat().st_ctime)

    @property
    def uri(self) -> str:
        """The store's address."""
        return f"sqlite:///{self.root}/mlflow.db"

    @cached_property
    def mlflow(self) -> Any:
        """A client of the store."""
        from mlflow import MlflowClient

        return MlflowClient(self.uri)

    def runs(self, experiment: str | None = None) -> list[Any]:
        """Runs in MLflow, the oldest first."""
        experiments = [
            each.experiment_id
            for each in self.mlflow.search_experiments()
            if experiment is None or each.name == f"flight-delays/{experiment}"
        ]
        if not experiments:
            return []
        return list(self.mlflow.search_runs(experiments, order_by=["start_time ASC"]))

    def artifacts(self, run: Any, folder: str | None = None) -> set[str]:
        """Paths of the artifacts of a run."""
        found = set()
        for each in self.mlflow.list_artifacts(run.info.run_id, folder):
            found |= self.artifacts(run, each.path) if each.is_dir else {each.path}
        return found

    def artifact(self, run: Any, name: str) -> Path:
        """An artifact of a run as MLflow gives it."""
        return Path(self.mlflow.download_artifacts(run.info.run_id, name))


def judged(run: Any) -> dict[str, float]:
    """The metrics of a run in MLflow that say how good its model is."""
    names = ("validation/", "test/", "threshold")
    return {name: value for name, value in run.data.metrics.items() if name.startswith(names)}


def content(project: Project, run: Any) -> dict[str, Any]:
    """What must be equal in two runs of the same thing; names for what takes its own time."""
    timed = ("system/", "seconds/")
    own = ("record.", "mlflow.runName", "provenance.command", "provenance.overrides")
    return {
        "status": run.info.status,
        "metrics": {k: repr(v) for k, v in run.data.metrics.items() if not k.startswith(timed)},
        "timed": {k for k in run.data.metrics if k.startswith("seconds/")},
        "params": run.data.params,
        "tags": {k for k in run.data.tags if not k.startswith(own)},
        "datasets": sorted((d.dataset.name, d.dataset.digest) for d in run.inputs.dataset_inputs),
        "artifacts": project.artifacts(run),
        "models": len(run.outputs.model_outputs),
    }


def copy(source: Path, place: Path) -> Path:
    """Copies with times, by which the runner knows files that it has seen before."""
    ignored = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(source, place / source.name, symlinks=True, ignore=ignored))


def clone(bare: Path, place: Path) -> Project:
    """A colleague's project."""
    git(place.parent, "clone", "--quiet", str(bare), str(place))
    return Project(place)


def dvc(project: Project, *words: str) -> None:
    """Types `python -m dvc <words>`."""
    command = [sys.executable, "-m", "dvc", *words]
    subprocess.run(command, cwd=project.root, check=True, capture_output=True, timeout=120)


def versions(project: Project) -> dict[str, tuple[str, str]]:
    """DVC's md5 and the content hash of every signal."""
    import yaml

    records = {
        name: yaml.safe_load((project.root / f"data/signals/{name}.dvc").read_text())
        for name in ("flights", "planes", "weather")
    }
    return {name: (each["outs"][0]["md5"], each["meta"]["content"])
            for name, each in records.items()}  # fmt: skip


LOADS = """
import sys, mlflow, numpy
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
example = model.input_example
print("columns", model.metadata.signature.inputs.input_names())
folder = mlflow.artifacts.download_artifacts(sys.argv[2])
print("requirements", open(folder + "/requirements.txt").read())
expected = numpy.load(sys.argv[3])
numpy.testing.assert_allclose(model.predict(example), expected, rtol=1e-12)
print("predicts", len(expected))
"""


def load_elsewhere(project: Project, run: Any, tmp_path: Path) -> str:
    """Loads a run's model in a process that knows nothing of the project; gives what it prints."""
    (output,) = run.outputs.model_outputs
    folder = Path(run.data.tags["record.folder"])
    place = tmp_path / "elsewhere"
    place.mkdir()
    example = folder / "model" / "output_example.npy"
    done = subprocess.run(
        [sys.executable, "-c", LOADS, project.uri, f"models:/{output.model_id}", str(example)],
        cwd=place,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
