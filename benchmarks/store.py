"""Looks into an MLflow store without MLflow: what of a measurement has arrived?"""

import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

READY = 2  # MLflow's number for a model that is complete


@dataclass(frozen=True)
class Arrived:
    """One run in the store."""

    metrics: dict[str, float]
    params: dict[str, str]
    figures: int
    models: int


class Store:
    """An SQLite store of MLflow; relative artifact paths start at `folder`."""

    def __init__(self, file: Path, folder: Path) -> None:
        self._file = file
        self._folder = folder

    @property
    def uri(self) -> str:
        return f"sqlite:///{self._file}"

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._file)) as connection:
            return connection.execute(query, values).fetchall()

    def points(self, metric: str, begin: float) -> int:
        """How many values of a metric belong to runs that began since then."""
        query = (
            "select count(*) from metrics join runs using (run_uuid) "
            "where key = ? and start_time >= ?"
        )
        return int(self._rows(query, metric, int(begin * 1000))[0][0])

    def arrived(self, begin: float, count: int) -> list[Arrived]:
        """The runs that began since then: exactly so many, each finished."""
        query = (
            "select run_uuid, status, artifact_uri from runs where start_time >= ? "
            "order by start_time"
        )
        runs = self._rows(query, int(begin * 1000))
        if [status for _, status, _ in runs] != ["FINISHED"] * count:
            sys.exit(f"{count} finished runs were expected in the store, not {runs}")
        return [self._arrived(run, uri) for run, _, uri in runs]

    def _arrived(self, run: str, uri: str) -> Arrived:
        metrics = self._rows("select key, value from latest_metrics where run_uuid = ?", run)
        params = self._rows("select key, value from params where run_uuid = ?", run)
        query = "select count(*) from logged_models where source_run_id = ? and status = ?"
        artifacts = self._folder / unquote(urlparse(uri).path if uri.startswith("file:") else uri)
        figures = len(list(artifacts.glob("figures/*.png")))
        return Arrived(
            dict(metrics), dict(params), figures, int(self._rows(query, run, READY)[0][0])
        )
