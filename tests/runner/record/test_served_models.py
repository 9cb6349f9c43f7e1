"""A run's model as it is served: by MLflow's own loader and as a signal, with values missing."""

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.dataset.dataset import Dataset
from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record.journal import Journal
from ml_experiment_runner.record.recorder import Recorder
from ml_experiment_runner.signals.ingestion.loading import load_snapshots
from ml_experiment_runner.signals.sources import fetch
from ml_experiment_runner.training import train
from ml_experiment_runner.training.models.fit import fit
from ml_experiment_runner.training.models.pipeline import predict
from support.data_project import DataProject, build
from support.models import CLASSES, PAIRS, model
from support.reading import contract

FEATURES = ("seats", "distance", "carrier", "night")
RIDES = """\
apiVersion: v3.1.0
kind: DataContract
id: {name}
version: 1.0.0
status: active
team: {{name: Team rides}}
support:
  - {{channel: desk, url: mailto:rides@example.com}}
servers:
  - {{server: source, type: local, path: data/raw/{name}.parquet, format: parquet}}
schema:
  - name: {name}
    properties:
      - {{name: ride, logicalType: integer, primaryKey: true}}
      - {{name: seats, logicalType: integer{required}}}
      - {{name: distance, logicalType: number{required}}}
      - {{name: carrier, logicalType: string{required}}}
      - {{name: night, logicalType: boolean{required}}}
"""
ANSWERS = """\
apiVersion: v3.1.0
kind: DataContract
id: answers
version: 1.0.0
status: active
team: {{name: Team answers}}
support:
  - {{channel: desk, url: mailto:answers@example.com}}
servers:
  - server: source
    type: custom
    customProperties:
      - {{property: reader, value: model}}
      - {{property: input, value: {given}}}
schema:
  - name: answers
    properties:
      - {{name: ride, logicalType: integer, primaryKey: true}}
{fields}
customProperties:
  - {{property: model, value: {model}@champion}}
"""
SCORE = ("      - {name: score, logicalType: number}",)
BY_CLASS = tuple(
    f"      - {{name: {name.replace(' ', '_')}, physicalName: {name}, logicalType: number}}"
    for name in CLASSES
)
SERVED = [*PAIRS, *(("ensemble", task_type) for task_type in TaskType)]
QUICK = [
    ("logistic_regression", TaskType.BINARY),
    ("catboost", TaskType.BINARY),
    ("xgboost", TaskType.MULTICLASS),
    ("ridge", TaskType.REGRESSION),
]


def table(count: int = 600) -> tuple[pl.DataFrame, np.ndarray]:
    """Rows in which every feature is missing here and there, and what decides the label."""
    draw = np.random.default_rng(0)
    seats, carrier = draw.integers(1, 200, count), draw.integers(0, 5, count)
    distance, night = draw.normal(size=count), draw.integers(0, 2, count).astype(bool)
    truth = distance + np.array([1.0, -1, 0.5, -0.5, 0])[carrier] + 0.5 * night + seats / 200
    frame = pl.DataFrame(
        {
            "ride": np.arange(count),
            "seats": seats,
            "distance": distance,
            "carrier": [f"c{one}" for one in carrier],
            "night": night,
        }
    )
    gaps = {name: draw.random(count) < 0.17 for name in FEATURES}
    return (
        frame.with_columns(
            pl.when(~pl.Series(gaps[name])).then(pl.col(name)).alias(name) for name in FEATURES
        ),
        truth - truth.mean(),
    )


def label_of(task_type: TaskType, truth: np.ndarray) -> pl.Series:
    if task_type == TaskType.BINARY:
        return pl.Series("label", truth > 0).cast(pl.Int8)
    if task_type == TaskType.MULTICLASS:
        return pl.Series("label", np.array(CLASSES)[np.digitize(truth, [-0.8, 0.8])].tolist())
    return pl.Series("label", truth)


def dataset_of(frame: pl.DataFrame, task_type: TaskType, truth: np.ndarray, signal: str) -> Dataset:
    frame = frame.select(FEATURES).with_columns(label_of(task_type, truth), split=pl.lit("train"))
    reads = {name: {signal: {name}} for name in FEATURES}
    return Dataset(frame, "f", list(FEATURES), "label", {}, 0, reads=reads)  # type: ignore[arg-type]


def configuration(name: str) -> DictConfig:
    chosen = model("hist_gradient_boosting" if name == "ensemble" else name)
    if name == "ensemble":
        chosen = OmegaConf.create(
            {
                "_target_": "ml_experiment_runner.training.models.ensemble.Ensemble",
                "groups": {"ride": ["seats", "distance"], "line": ["carrier", "night"]},
                "member": chosen,
                "members": {},
                "fusion": "bounded",
                "blast_radius": 2.0,
                "max_quality_gap": 0.01,
                "folds": 2,
            }
        )
    return OmegaConf.create(
        {
            "model": chosen,
            "seed": 0,
            "threads": 2,
            "package": "own",
            "dataset": {"spine": "gaps"},
            "evaluation": {"bootstrap": 5},
            "debug": {"rows": None, "overfit": False},
            "tracking": {"uri": "none"},
        }
    )


def record(folder: Path, config: DictConfig, dataset: Dataset, estimator: Any) -> Path:
    """The model as a run records it; returns its folder."""
    folder.mkdir()
    recorder = Recorder(folder, Journal(folder / "journal.jsonl"))
    features = dataset.split("train")[0]
    train._log_model(config, recorder, dataset, estimator, features, {})  # type: ignore[arg-type]
    return folder / "model"


def save(folder: Path) -> Any:
    """As the sync worker saves it."""
    from mlflow.models import Model

    from ml_experiment_runner.record.sync.models import _save

    description = Model()
    _save(folder / "saved", description, folder, "nobody")
    return description


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> DataProject:
    """Has received rides, with and without gaps."""
    project = build(tmp_path_factory.mktemp("served") / "project")
    frame, _ = table()
    full = frame.drop_nulls()
    for name, rows, required in (("gaps", frame, ""), ("full", full, ", required: true")):
        rows.write_parquet(project.root / "data" / "raw" / f"{name}.parquet")
        (project.root / "signals" / f"{name}.yaml").write_text(
            RIDES.format(name=name, required=required)
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ML_EXPERIMENT_ROOT", str(project.root))
        patch.chdir(project.root)
        load_snapshots(["gaps", "full"])
    return project


@pytest.fixture(scope="module")
def served(original: DataProject, empty_store: Path) -> dict[str, dict[str, Any]]:
    """Every model for every kind of label: saved, registered, and what the run itself predicts."""
    import shutil

    import mlflow

    shutil.copyfile(empty_store, original.root / "mlflow.db")
    client = mlflow.MlflowClient(f"sqlite:///{original.root / 'mlflow.db'}")
    frame, truth = table()
    predictions = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ML_EXPERIMENT_ROOT", str(original.root))
        for name, task_type in SERVED:
            config, dataset = configuration(name), dataset_of(frame, task_type, truth, "gaps")
            estimator = fit(config, dataset, dataset.split("train"))
            key = f"{name}_{task_type}"
            folder = record(original.root / key, config, dataset, estimator)
            save(folder)
            client.create_registered_model(key)
            client.create_model_version(key, str(folder / "saved"))
            client.set_registered_model_alias(key, "champion", "1")
            predictions[key] = {
                given: predict(estimator, task_type, rows.select(FEATURES), dataset.classes)
                for given, rows in (("gaps", frame), ("full", frame.drop_nulls()))
            }
    return predictions


def receive(project: DataProject, name: str, given: str, fields: tuple[str, ...]) -> pl.DataFrame:
    text = ANSWERS.format(model=name, given=given, fields="\n".join(fields))
    (project.root / "signals" / "answers.yaml").write_text(text)
    return fetch.fetch_rows(contract(project, "answers"))


def in_order(task_type: TaskType, answers: pl.DataFrame) -> np.ndarray:
    columns = answers.sort("ride").drop("ride")
    return (
        columns.to_numpy() if task_type == TaskType.MULTICLASS else columns.to_series().to_numpy()
    )


@pytest.mark.parametrize("given", ["gaps", "full"])
@pytest.mark.parametrize(("name", "task_type"), QUICK)
def test_served_model_is_a_signal_of_what_the_run_predicts(
    original: DataProject, served: dict[str, Any], name: str, task_type: TaskType, given: str
) -> None:
    fields = BY_CLASS if task_type == TaskType.MULTICLASS else SCORE
    answers = receive(original, f"{name}_{task_type}", given, fields)
    expected = served[f"{name}_{task_type}"][given]
    np.testing.assert_allclose(in_order(task_type, answers), expected, rtol=0, atol=1e-12)


@pytest.mark.long
@pytest.mark.parametrize(("name", "task_type"), [pair for pair in SERVED if pair not in QUICK])
def test_any_served_model_is_a_signal_of_what_the_run_predicts(
    original: DataProject, served: dict[str, Any], name: str, task_type: TaskType
) -> None:
    test_served_model_is_a_signal_of_what_the_run_predicts(
        original, served, name, task_type, "gaps"
    )


def test_served_classifier_answers_its_likeliest_class(
    original: DataProject, served: dict[str, Any]
) -> None:
    field = "      - {name: arrives, logicalType: string}"
    answers = receive(original, "xgboost_multiclass", "gaps", (field,))
    likeliest = served["xgboost_multiclass"]["gaps"].argmax(axis=1)
    assert answers.sort("ride")["arrives"].to_list() == [CLASSES[each] for each in likeliest]


@pytest.mark.usefixtures("served")
def test_number_asked_of_several_classes_names_them(original: DataProject) -> None:
    with pytest.raises(UserError, match=r"gives no 'lat'.*Did you mean 'late'"):
        receive(original, "xgboost_multiclass", "gaps", (SCORE[0].replace("score", "lat"),))


@pytest.mark.usefixtures("served")
def test_model_that_cannot_do_without_a_value_names_the_column(original: DataProject) -> None:
    """One that somebody else has registered, with the signature that MLflow infers."""
    import mlflow
    from sklearn.dummy import DummyRegressor

    rows = pd.DataFrame({"seats": [1, 2]})
    path = original.root / "strict"
    signature = mlflow.models.infer_signature(rows)
    estimator = DummyRegressor().fit(rows, [1.0, 2.0])
    mlflow.sklearn.save_model(estimator, path, signature=signature, pip_requirements=[])
    client = mlflow.MlflowClient(f"sqlite:///{original.root / 'mlflow.db'}")
    client.create_registered_model("strict")
    client.create_model_version("strict", str(path))
    client.set_registered_model_alias("strict", "champion", "1")
    gaps = table()[0]["seats"].null_count()
    with pytest.raises(UserError, match=f"a value of seats in every row, and {gaps} rows") as error:
        receive(original, "strict", "gaps", SCORE)
    assert len(str(error.value).splitlines()) == 2
    assert receive(original, "strict", "full", SCORE)["score"].unique().to_list() == [1.5]


ASKS = """
    import json, sys
    import mlflow, numpy, pandas
    names = json.loads(sys.argv[1])
    rows = pandas.read_parquet("data/raw/gaps.parquet")
    assert rows.isna().any().sum() == 4
    for name in names:
        loaded = mlflow.pyfunc.load_model(f"{name}/model/saved")
        answers = numpy.asarray(loaded.predict(rows))
        numpy.save(f"{name}/answers.npy", answers)
        example = numpy.asarray(loaded.predict(loaded.input_example))
        expected = numpy.load(f"{name}/model/output_example.npy")
        numpy.testing.assert_allclose(example, expected, rtol=0, atol=1e-12)
"""


def test_mlflow_answers_as_the_run_with_values_missing(
    original: DataProject, served: dict[str, Any]
) -> None:
    names = json.dumps(sorted(served))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(ASKS), names],
        cwd=original.root, capture_output=True, text=True, env={"PATH": "", "PYTHONPATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name, predictions in served.items():
        answers = np.load(original.root / name / "answers.npy")
        if name.endswith("binary"):
            answers = answers[:, 1]
        np.testing.assert_allclose(answers, predictions["gaps"], rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    ("signal", "has_gaps", "expected"),
    [
        ("gaps", True, ["double optional", "double optional", "string optional", "any optional"]),
        ("gaps", False, ["double optional", "double optional", "string optional", "any optional"]),
        ("full", False, ["long required", "double required", "string required",
                         "boolean required"]),
    ],
)  # fmt: skip
def test_signature_allows_the_nulls_of_data_and_contract(
    original: DataProject, monkeypatch, tmp_path: Path, signal: str, has_gaps: bool, expected: Any
) -> None:
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(original.root))
    frame, truth = table()
    if not has_gaps:
        complete = frame.select(pl.all_horizontal(pl.all().is_not_null())).to_series()
        frame, truth = frame.filter(complete), truth[complete.to_numpy()]
    config = configuration("dummy")
    config.dataset.spine = signal
    dataset = dataset_of(frame, TaskType.BINARY, truth, signal)
    estimator = fit(config, dataset, dataset.split("train"))
    description = save(record(tmp_path / "run", config, dataset, estimator))
    found = [
        f"{column.to_dict()['type']} {'required' if column.required else 'optional'}"
        for column in description.signature.inputs
    ]
    assert found == expected


def test_feature_of_a_joined_signal_may_be_missing(original, monkeypatch) -> None:
    """A row of the spine may find none that it is joined to, whatever that contract requires."""
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(original.root))
    frame, truth = table()
    dataset = dataset_of(frame.fill_null(strategy="forward").fill_null(strategy="backward"),
                         TaskType.BINARY, truth, "full")  # fmt: skip
    assert train._optional(configuration("dummy"), dataset) == set(FEATURES)


def pandas_frames(rows: pl.DataFrame) -> dict[str, pd.DataFrame]:
    """The same rows with each thing that pandas may have where a value is missing."""
    values = {name: rows[name].to_list() for name in FEATURES}

    def filled(missing: Any) -> pd.DataFrame:
        return pd.DataFrame(
            {name: pd.Series([missing if one is None else one for one in column], dtype=object)
             for name, column in values.items()}
        )  # fmt: skip

    nullable = {"seats": "Int64", "distance": "Float64", "carrier": "string", "night": "boolean"}
    arrow = {"seats": "int64[pyarrow]", "distance": "double[pyarrow]",
             "carrier": "string[pyarrow]", "night": "bool[pyarrow]"}  # fmt: skip
    return {
        "None": filled(None),
        "NaN": filled(np.nan),
        "NA": filled(pd.NA),
        "default": pd.DataFrame(values),
        "nullable": filled(None).astype(nullable),
        "arrow": filled(None).astype(arrow),
        "category": pd.DataFrame(values).astype({"carrier": "category"}),
        "polars'": rows.to_pandas(),
        "other index": filled(None).set_index(np.repeat(7, rows.height)),
    }


@pytest.mark.parametrize(("name", "task_type"), SERVED)
def test_model_takes_whatever_pandas_has_for_a_missing_value(
    original: DataProject, monkeypatch: pytest.MonkeyPatch, name: str, task_type: TaskType
) -> None:
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(original.root))
    frame, truth = table(200)
    config, dataset = configuration(name), dataset_of(frame, task_type, truth, "gaps")
    estimator = fit(config, dataset, dataset.split("train"))
    expected = predict(estimator, task_type, frame.select(FEATURES), dataset.classes)
    for said, rows in pandas_frames(frame.select(FEATURES)).items():
        answers = predict(estimator, task_type, rows, dataset.classes)  # type: ignore[arg-type]
        np.testing.assert_allclose(answers, expected, rtol=0, atol=1e-12, err_msg=said)
