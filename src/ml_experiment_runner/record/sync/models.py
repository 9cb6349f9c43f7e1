"""Logs a run's model in MLflow so that it loads in a fresh process without the project."""

import importlib
import importlib.metadata
import json
import logging
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import mlflow.sklearn
import numpy
import pandas
import pyarrow.parquet
import skops.io
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from mlflow.models import Model, ModelSignature, infer_signature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import AnyType

from ml_experiment_runner.project.moved_names import Unpickler, new_name
from ml_experiment_runner.record.sync.fault_points import fault

_DISTRIBUTIONS = {"sklearn": "scikit-learn"}
_ALWAYS = ("cloudpickle", "numpy", "pandas", "sklearn", "skops")
_IF_LOADED = ("polars", "scipy")


class ModelError(Exception):
    """The model cannot be read or saved; another attempt would fail too."""


def log_model(
    client: MlflowClient, experiment_id: str, run_id: str, folder: Path, package: str
) -> None:
    """Log the model once, however often this is called; complete what an earlier call began.

    Args:
        client: The store.
        experiment_id: MLflow's id of the experiment.
        run_id: MLflow's id of the run.
        folder: Holds model.pkl, input_example.parquet and output_example.npy.
        package: The user's package, whose code goes with the model if it is needed.

    Raises:
        ModelError: The model cannot be read or saved.
    """
    # user code may log models of its own into this run: ours has a tag
    ours = f"source_run_id = '{run_id}' AND tags.`record.model` = 'true'"
    existing = client.search_logged_models([experiment_id], ours)
    logged = existing[0] if existing else client.create_logged_model(
        experiment_id, "model", run_id, tags={"record.model": "true"}
    )  # fmt: skip
    fault("after_create_model")
    if logged.status == LoggedModelStatus.READY:
        return
    outputs = client.get_run(run_id).outputs
    linked = (outputs and outputs.model_outputs) or []
    if logged.model_id not in [output.model_id for output in linked]:
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])
    with tempfile.TemporaryDirectory(prefix="runner-") as temporary:
        target = Path(temporary) / "model"
        description = Model(
            artifact_path=logged.artifact_location,
            model_uuid=logged.model_id,
            model_id=logged.model_id,
            run_id=run_id,
        )
        try:
            _save(target, description, folder, package)
        except Exception as error:
            client.finalize_logged_model(logged.model_id, LoggedModelStatus.FAILED)
            raise ModelError("the model cannot be saved") from error
        client.log_model_artifacts(logged.model_id, str(target))
    client.finalize_logged_model(logged.model_id, LoggedModelStatus.READY)


def _save(target: Path, description: Model, folder: Path, package: str) -> None:
    """Write the model in MLflow's format: with skops, or with cloudpickle what skops cannot."""
    estimator, modules = _read(folder / "model.pkl")
    example = pandas.read_parquet(folder / "input_example.parquet")
    output = numpy.load(folder / "output_example.npy", allow_pickle=False)
    arguments: dict[str, Any] = {
        "mlflow_model": description,
        "signature": _signature(folder / "input_example.parquet", example, output),
        "input_example": example,
        "pip_requirements": _requirements(modules),
        "code_paths": _code(modules, package) or None,
        "metadata": _metadata(folder),
        # the served model answers like the output example
        "pyfunc_predict_fn": "predict_proba" if output.ndim == 2 else "predict",
    }
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    try:
        # The types are those of the very object that was read here: trusting them adds nothing.
        trusted = skops.io.get_untrusted_types(data=skops.io.dumps(estimator))
        mlflow.sklearn.save_model(
            estimator,
            target,
            serialization_format="skops",
            skops_trusted_types=trusted,
            **arguments,
        )
    except Exception:
        shutil.rmtree(target, ignore_errors=True)
        mlflow.sklearn.save_model(
            estimator, target, serialization_format="cloudpickle", **arguments
        )


def _signature(path: Path, example: pandas.DataFrame, output: Any) -> ModelSignature:
    """The model's inputs and outputs; a column with nulls in the example may be missing.

    Integers that may be missing are doubles, as in pandas, and booleans that may be missing are of
    any type, because MLflow would turn a null into False. Types are those of the file: pandas does
    not know that of a column without any value.
    """
    types = pyarrow.parquet.read_schema(path)
    columns = []
    for name in example.columns:
        is_missing = bool(example[name].isna().any())
        kind = _mlflow_type(types.field(name).type, is_missing)
        if kind is None:
            (column,) = infer_signature(example[[name]]).inputs
        else:
            column = ColSpec(kind, name, required=not is_missing)
        columns.append(column)
    return ModelSignature(Schema(columns), infer_signature(model_output=output).outputs)


def _mlflow_type(kind: pyarrow.DataType, is_missing: bool) -> DataType | AnyType | None:
    """MLflow's type for numbers, strings and booleans; None for any other."""
    is_type = pyarrow.types
    if is_type.is_boolean(kind):
        return AnyType() if is_missing else DataType.boolean
    if is_type.is_integer(kind):
        return DataType.double if is_missing else DataType.long
    if is_type.is_floating(kind):
        return DataType.double
    if is_type.is_string(kind) or is_type.is_large_string(kind) or is_type.is_string_view(kind):
        return DataType.string
    return None


def _metadata(folder: Path) -> dict[str, Any] | None:
    metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    return metadata or None


class _Recording(Unpickler):
    """Notes which modules a pickle takes its classes and functions from."""

    def __init__(self, file: Any) -> None:
        super().__init__(file)
        self.modules: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        self.modules.add(new_name(module) or module)
        return super().find_class(module, name)


def _read(path: Path) -> tuple[Any, set[str]]:
    with path.open("rb") as file:
        unpickler = _Recording(file)
        return unpickler.load(), unpickler.modules


def _code(modules: set[str], package: str) -> list[str]:
    """Folders of the user's package and of the runner, if the model has a class of theirs."""
    tops = {module.partition(".")[0] for module in modules} & {package, "ml_experiment_runner"}
    return [str(Path(str(importlib.import_module(top).__file__)).parent) for top in sorted(tops)]


def _requirements(modules: set[str]) -> list[str]:
    """The installed versions of the packages that the model needs."""
    tops = {module.partition(".")[0] for module in modules} | set(_ALWAYS)
    tops |= {name for name in _IF_LOADED if name in sys.modules}
    pinned: list[str] = []
    for distribution in sorted({_DISTRIBUTIONS.get(top, top) for top in tops}):
        if distribution in sys.stdlib_module_names:
            continue
        try:
            pinned.append(f"{distribution}=={importlib.metadata.version(distribution)}")
        except importlib.metadata.PackageNotFoundError:  # another import name, or the project's own
            for name in importlib.metadata.packages_distributions().get(distribution, []):
                pinned.append(f"{name}=={importlib.metadata.version(name)}")
    return pinned
