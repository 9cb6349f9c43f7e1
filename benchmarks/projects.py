"""The two generated projects that are measured: flights, and iris from its CSV."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = Path(__file__).with_name("scripts")
IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
    "GIT_CONFIG_GLOBAL": os.devnull,
}

CONTRACT = """\
kind: DataContract
apiVersion: v3.1.0
id: flowers
name: flowers
version: 1.0.0
status: active
team: {name: Botany}
support: [{channel: mail, url: "mailto:botany@example.com"}]
servers: [{server: source, type: local, path: data/raw/flowers.csv, format: csv}]
schema:
  - name: flowers
    properties:
      - {name: flower, logicalType: integer, required: true, primaryKey: true}
      - {name: sepal_length, logicalType: number}
      - {name: sepal_width, logicalType: number}
      - {name: petal_length, logicalType: number}
      - {name: petal_width, logicalType: number}
      - {name: species, logicalType: string}
"""
FEATURES = '''\
"""Features and labels: named expressions over the fields of signals."""

import polars as pl

NAMES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
FEATURES = {name: pl.col(f"flowers.{name}") for name in NAMES}
LABELS = {"is_virginica": pl.col("flowers.species") == "virginica"}
PREDICTION_TIMES: dict[str, pl.Expr] = {}
'''
DATASET = """\
# Is it virginica?
spine: flowers
label: is_virginica
features: [sepal_length, sepal_width, petal_length, petal_width]
split: {by: random, validation: 0.2, test: 0.2}
"""
POINTS_TASK = """\
# records a metric in a loop
_target_: flight_delays.points.points
uses: []
"""


def environment() -> dict[str, str]:
    """A child's environment: bytecode is kept, and nobody phones home."""
    unwanted = ("PYTHON", "MLFLOW_", "HYDRA_", "RUNNER_", "GIT_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(unwanted)}
    silent = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    return {**kept, **silent, **IDENTITY, "PYTHONUTF8": "1"}


def call(folder: Path, *command: str) -> str:
    """What a command prints; anything but success is an error."""
    result = subprocess.run(
        command,
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    if result.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{result.stdout}")
    return result.stdout


def generate(folder: Path, name: str, example: str) -> Path:
    """Generate a project from the template as it stands."""
    answers = (f"project_name={name}", f"example={example}")
    generator = (sys.executable, "-m", "cookiecutter", str(ROOT), "--no-input")
    folder.mkdir()
    call(folder, *generator, "--output-dir", str(folder), *answers)
    (project,) = folder.iterdir()
    return project


def make_flights(folder: Path) -> Path:
    """The flights example, with a task that records a metric in a loop."""
    project = generate(folder, "Flight Delays", "flights")
    shutil.copy(SCRIPTS / "points.py", project / "src" / "flight_delays")
    (project / "conf" / "task").mkdir()
    (project / "conf" / "task" / "points.yaml").write_text(POINTS_TASK)
    call(project, sys.executable, "run.py", "+experiment=baseline")
    return commit(project)


def make_iris(folder: Path) -> Path:
    """A project without example, and the four steps of its README with scikit-learn's iris."""
    from sklearn.datasets import load_iris

    project = generate(folder, "Flowers", "none")
    iris = load_iris()
    lines = ["flower,sepal_length,sepal_width,petal_length,petal_width,species"]
    for number, (values, kind) in enumerate(zip(iris.data, iris.target, strict=True)):
        lines.append(f"{number},{','.join(map(str, values))},{iris.target_names[kind]}")
    files = {
        "data/raw/flowers.csv": "\n".join(lines) + "\n",
        "signals/flowers.yaml": CONTRACT,
        "src/flowers/features.py": FEATURES,
        "conf/dataset/flowers.yaml": DATASET,
    }
    for name, text in files.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    call(project, sys.executable, "run.py", "dataset=flowers")
    return commit(project)


def commit(project: Path) -> Path:
    """Commit everything: a clean tree, as for a run that somebody wants to show."""
    call(project, "git", "add", "--all")
    call(project, "git", "commit", "--quiet", "--message", "Ready")
    return project


def cached_dataset(project: Path) -> Path:
    """The Parquet file that our second run reads, and every alternative too."""
    (path,) = (project / "data" / "cache").glob("*.parquet")
    return path


def deep_environment(project: Path) -> str:
    """The Python of the project's own environment with both extras, as its README has it made."""
    call(project, sys.executable, "tools/setup.py", "boosting", "deep")
    places = (project / ".venv" / each for each in ("bin/python", "Scripts/python.exe"))
    return next(str(each) for each in places if each.exists())


def versions(python: str, names: Sequence[str]) -> list[str]:
    """Which of these packages an environment has, and in what version."""
    script = (
        "import importlib.metadata as known, sys\n"
        "for name in sys.argv[1:]:\n"
        "    try: print(name, known.version(name))\n"
        "    except known.PackageNotFoundError: pass\n"
    )
    return call(ROOT, python, "-c", script, *names).splitlines()
