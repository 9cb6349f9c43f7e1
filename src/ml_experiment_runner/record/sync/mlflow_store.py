"""An MLflow tracking store, which is created and migrated where that is needed."""

import gc
import importlib
import threading

from filelock import FileLock

import ml_experiment_runner.record.sync.mlflow_environment  # noqa: F401 - before MLflow
from ml_experiment_runner.record.sync import embedded_store

# isort: split
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException


class Store:
    """A tracking store; an embedded one is created and migrated under a lock beside its file.

    The paths in one that was moved with its project are corrected first: see `embedded_store.py`.

    Args:
        uri: Its real address, password and all.
    """

    def __init__(self, uri: str) -> None:
        self._experiments: dict[str, str] = {}
        self._prepared = False
        self._file = embedded_store.store_file(uri)
        uri = embedded_store.address(uri)
        self.client = MlflowClient(uri)
        if self._file:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self._file}.lock"):
                self._migrate(uri)
            embedded_store.correct(self._file)
        self.check()

    def check(self) -> None:
        """Raises whatever is wrong, if the store does not answer."""
        self.client.search_experiments(max_results=1)

    def experiment(self, name: str) -> str:
        """The experiment's id; it is created when it is new."""
        if name not in self._experiments:
            known = self.client.get_experiment_by_name(name)
            if known and known.lifecycle_stage == "deleted":  # such a one takes no runs
                self.client.restore_experiment(known.experiment_id)
            try:
                self._experiments[name] = known.experiment_id if known else self._create(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                return self.experiment(name)  # Another repo's sync was faster.
        return self._experiments[name]

    def find(self, experiment: str, record: str) -> str | None:
        """MLflow's id of the run with this record, if it is there."""
        runs = self.client.search_runs([experiment], f"tags.`record.id` = '{record}'")
        return runs[0].info.run_id if runs else None

    def prepare(self) -> None:
        """Begin to import what a model needs, beside the work, while the run still trains."""
        if not self._prepared:
            self._prepared = True
            threading.Thread(target=_import_model_packages, daemon=True).start()

    def _create(self, name: str) -> str:
        location = (
            (self._file.parent / embedded_store.ARTIFACTS / name).as_uri() if self._file else None
        )
        identity: str = self.client.create_experiment(name, artifact_location=location)
        return identity

    def _migrate(self, uri: str) -> None:
        try:
            self.check()
        except MlflowException as error:
            if "out-of-date database schema" not in str(error):
                raise
            from mlflow.store.db.utils import _upgrade_db, create_sqlalchemy_engine

            _upgrade_db(create_sqlalchemy_engine(uri))


def _import_model_packages() -> None:
    gc.disable()
    importlib.import_module("skops.io")  # It brings scikit-learn: 1.7 s together.
    gc.freeze()
    gc.enable()
