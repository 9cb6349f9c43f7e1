"""Looks at what arrived: journals on one side, the store's file on the other."""

import math
import sqlite3
from pathlib import Path
from typing import Any


def sync_workers(place: Path) -> list[Any]:
    """The sync workers at work for a place; each was started by a test."""
    import psutil

    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "ml_experiment_runner.record.sync.worker" in words and any(
            str(place) in word for word in words
        ):
            found.append(process)
    # a program that one of them starts has its words for a moment
    served = {process.pid for process in found}
    return [process for process in found if _parent(process) not in served]


def _parent(process: Any) -> int | None:
    import psutil

    try:
        return int(process.ppid())
    except psutil.NoSuchProcess:
        return None


def journals(place: Path) -> dict[str, list[dict[str, Any]]]:
    """Events of every run that began, by its id."""
    from ml_experiment_runner.record.journal import all_events

    found = {}
    for path in place.glob("outputs/**/journal.jsonl"):
        if events := list(all_events(path)):
            found[events[0]["id"]] = events
    return found


Points = set[tuple[str, int, float]]


def points(events: list[dict[str, Any]]) -> Points:
    """The finite metric points of a journal: name, step, value."""
    return {
        (event["name"], event["step"], float(event["value"]))
        for event in events
        if event["kind"] == "metric" and math.isfinite(float(event["value"]))
    }


class StoreFile:
    """Reads an embedded store directly, the way no bug of ours or of MLflow's can colour."""

    def __init__(self, place: Path) -> None:
        self._file = place / "mlflow.db"

    def _rows(self, query: str) -> list[Any]:
        connection = sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=20)
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def runs(self) -> list[tuple[str, str]]:
        """Record id and status of each run; twice there if it is twice in the store."""
        return self._rows(
            "select t.value, r.status from runs r join tags t on t.run_uuid = r.run_uuid "
            "where t.key = 'record.id'"
        )

    def unnamed(self) -> int:
        """Runs without a record's id."""
        return int(self._rows("select count(*) from runs")[0][0]) - len(self.runs())

    def points(self) -> list[tuple[str, str, int, float]]:
        """Record id, name, step and value of each metric point."""
        return self._rows(
            "select t.value, m.key, m.step, m.value from metrics m join tags t "
            "on t.run_uuid = m.run_uuid where t.key = 'record.id' and not m.is_nan"
        )

    def models(self) -> list[tuple[str, int]]:
        """Record id and status (2 is READY) of each logged model."""
        return self._rows(
            "select t.value, l.status from logged_models l join tags t "
            "on t.run_uuid = l.source_run_id where t.key = 'record.id'"
        )


def assert_complete(place: Path) -> None:
    """Every run that began is in the store once, ended, with each point of its journal once."""
    store, recorded = StoreFile(place), journals(place)
    runs = store.runs()
    assert sorted(record for record, _ in runs) == sorted(recorded)
    assert store.unnamed() == 0
    stored: dict[str, list[tuple[str, int, float]]] = {record: [] for record in recorded}
    for record, *point in store.points():
        stored[record].append(tuple(point))
    for record, status in runs:
        events = recorded[record]
        ended = events[-1]["status"] if events[-1]["kind"] == "end" else "KILLED"
        assert status == ended
        assert len(stored[record]) == len(set(stored[record]))
        assert set(stored[record]) == points(events)
    models = [record for record, status in store.models()]
    with_model = [record for record, events in recorded.items() if _has_model(events)]
    assert sorted(models) == sorted(with_model)
    assert all(status == 2 for _, status in store.models())


def _has_model(events: list[dict[str, Any]]) -> bool:
    return any(event["kind"] == "model" for event in events)
