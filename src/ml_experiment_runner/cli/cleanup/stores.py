"""Asks MLflow whether it has all of a run."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ml_experiment_runner.cli.cleanup.candidate import INCOMPLETE, ONLY_COPY
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.record.sync.embedded_store import address, correct, store_file
from ml_experiment_runner.record.sync.markers import read_json
from ml_experiment_runner.record.sync.store_address import real_address

if TYPE_CHECKING:
    from mlflow import MlflowClient


class Stores:
    """The stores of an outputs folder.

    MLflow takes seconds to import, so it is imported only when the first run is asked for.
    """

    def __init__(self, outputs: Path) -> None:
        self._outputs = outputs
        self._clients: dict[str, MlflowClient | None] = {}

    def reason_to_keep(self, uri: str, folder: Path) -> tuple[str | None, str]:
        """Why a run's folder must stay, with an example; None if the store has all of the run."""
        run_id = read_json(folder / "delivery.json").get("mlflow_run_id")
        if uri not in self._clients:
            self._clients[uri] = self._client(uri)
        client = self._clients[uri]
        if client is None or run_id is None:
            return ONLY_COPY, ""
        from mlflow.exceptions import MlflowException

        from ml_experiment_runner.record.sync.completeness import missing

        try:
            lacks = missing(client, run_id, folder)
        except FileNotFoundError:
            raise
        except MlflowException as error:
            is_deleted = error.error_code == "RESOURCE_DOES_NOT_EXIST"
            reply = f" (MLflow: {str(error).splitlines()[0][:200]})"
            return ONLY_COPY, "" if is_deleted else reply
        except Exception:  # a store that fails does not confirm that it has the run
            return ONLY_COPY, ""
        if lacks is None:
            return None, ""
        return INCOMPLETE, f" (for example, {os.path.relpath(folder, root())} lacks {lacks})"

    def _client(self, uri: str) -> "MlflowClient | None":
        stores = self._outputs / ".pending"
        real = real_address(uri, lambda key: (stores / key).is_dir(), self._outputs)
        if not real:
            return None
        file = store_file(real)
        if file and not file.is_file():
            return None  # MLflow would create it
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
        from mlflow import MlflowClient

        try:
            if file:
                correct(file)
            return MlflowClient(address(real))
        except Exception:
            return None
