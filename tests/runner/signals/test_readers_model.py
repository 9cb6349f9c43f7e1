"""A registered model's output as a signal: a signal made of another."""

import shutil
from pathlib import Path

import polars as pl
import pytest

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.contract.contract import Contract
from ml_experiment_runner.signals.ingestion.loading import load_snapshots
from ml_experiment_runner.signals.sources import fetch
from support.data_project import DataProject, build, replace
from support.reading import contract, rows

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: demand
version: 1.0.0
status: active
team: {name: Team demand}
support:
  - {channel: desk, url: mailto:demand@example.com}
servers:
  - server: source
    type: custom
    customProperties:
      - {property: reader, value: model}
      - {property: input, value: visits}
schema:
  - name: demand
    properties:
      - {name: at, logicalType: timestamp, required: true, primaryKey: true}
      - {name: shop, logicalType: string, primaryKey: true}
      - {name: visitor, logicalType: integer, primaryKey: true}
      - {name: expected, logicalType: number}
customProperties:
  - {property: eventTime, value: at}
  - {property: model, value: demand@champion}
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> DataProject:
    """Has received visits, and a model of them is registered in its store."""
    import mlflow
    from sklearn.linear_model import LinearRegression

    project = build(tmp_path_factory.mktemp("model") / "project")
    (project.root / "signals" / "demand.yaml").write_text(CONTRACT)
    shutil.copyfile(empty_store, project.root / "mlflow.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ML_EXPERIMENT_ROOT", str(project.root))
        patch.chdir(project.root)
        load_snapshots(["visits"])
        frame = rows(project, "visits").to_pandas()[["visitor", "minute"]]
        model = LinearRegression().fit(frame, 2.0 * frame["minute"] + 1)
        store = f"sqlite:///{project.root / 'mlflow.db'}"
        mlflow.set_tracking_uri(store)
        experiment = mlflow.create_experiment(
            "demand", artifact_location=(project.root / "artifacts").as_uri()
        )
        with mlflow.start_run(experiment_id=experiment):
            mlflow.sklearn.log_model(
                model, name="model", registered_model_name="demand", pip_requirements=[],
                signature=mlflow.models.infer_signature(frame, model.predict(frame)),
            )  # fmt: skip
        client = mlflow.MlflowClient(store)
        client.set_registered_model_alias("demand", "champion", "1")
        mlflow.set_tracking_uri(None)
    return project


@pytest.fixture
def project(tmp_path: Path, original: DataProject) -> DataProject:
    shutil.copytree(original.root, tmp_path / "project")
    return DataProject(tmp_path / "project")


def demand(project: DataProject) -> Contract:
    return contract(project, "demand")


def test_output_of_a_model_is_a_signal(project: DataProject) -> None:
    found = demand(project)
    frame = fetch.fetch_rows(found)
    visits = fetch.fetch_rows(contract(project, "visits"))
    assert frame.columns == ["at", "shop", "visitor", "expected"]
    assert frame.select("at", "shop", "visitor").equals(visits.select("at", "shop", "visitor"))
    error = (frame["expected"] - (2.0 * visits["minute"] + 1)).abs().max()
    assert isinstance(error, float)
    assert error < 1e-9
    assert found.model == "demand@champion"


def test_what_the_input_has_not_received_is_not_applied(project: DataProject) -> None:
    shutil.rmtree(project.root / "data" / "signals" / "visits")
    with pytest.raises(UserError, match=r"'visits' has not been ingested(?s:.*)task=ingest"):
        fetch.fetch_rows(demand(project))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "value: visits",
            "value: vists",
            "its input must be another signal, got 'vists'. Did you mean",
        ),
        ("value: visits", "value: demand", "its input must be another signal, got 'demand'"),
        ("  - {property: model, value: demand@champion}\n", "", "the property 'model' is missing"),
        ("demand@champion", "demand@chmpion", r"could not be applied to visits \(.*chmpion"),
        ("demand@champion", "dmand@champion", r"could not be applied to visits \(.*dmand"),
        ("value: visits", "value: shops", "has not been ingested"),
    ],
)
def test_model_that_cannot_be_applied_says_why(
    project: DataProject, old: str, new: str, says: str
) -> None:
    replace(project.contract("demand"), old, new)
    with pytest.raises(UserError, match=f"(?s)signal demand: .*{says}") as error:
        fetch.fetch_rows(demand(project))
    assert len(str(error.value).splitlines()) <= 2


def test_model_that_needs_what_the_input_lacks_is_said(
    project: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(project.root))
    load_snapshots(["shops"])
    replace(project.contract("demand"), "value: visits", "value: shops")
    with pytest.raises(UserError, match="it needs visitor, minute, which the input does not have"):
        fetch.fetch_rows(demand(project))


def test_prediction_is_written_over_no_field_of_the_input(project: DataProject) -> None:
    """A field of the input with the prediction's name is not taken for it."""
    text = project.contract("demand").read_text()
    text = text.replace("name: expected,", "name: minute,")
    text = text.replace(
        "      - {property: input, value: visits}\n",
        "      - {property: input, value: visits}\n      - {property: prediction, value: minute}\n",
    )
    project.contract("demand").write_text(text)
    frame = fetch.fetch_rows(demand(project))
    visits = fetch.fetch_rows(contract(project, "visits"))
    assert (frame["minute"] - 2.0 * visits["minute"]).mean() == pytest.approx(1)
    assert frame.schema["minute"] == pl.Float64
