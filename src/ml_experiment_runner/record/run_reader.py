"""Reads a recorded run from its folder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ml_experiment_runner.config.metrics import RENAMED
from ml_experiment_runner.config.schema import RENAMED_KEYS
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record.journal import Event, all_events
from ml_experiment_runner.record.process_identity import is_at_work

if TYPE_CHECKING:
    from omegaconf import DictConfig, ListConfig

_EPOCH = datetime.fromtimestamp(0, UTC)


class Point(NamedTuple):
    """One value of a metric; `time` in milliseconds since 1970."""

    step: int
    time: int
    value: float


@dataclass
class RecordedRun:
    """A run as its journal has it.

    Attributes:
        folder: Where its record lies.
        id: Eight characters.
        project: First half of the MLflow experiment's name.
        experiment: Second half; without one `default`, or the task's name.
        name: What MLflow shows it as.
        parent: Id of the run that it belongs to, such as a sweep's.
        outputs: The folder for runs that `folder` lies in.
        status: FINISHED, FAILED, KILLED or RUNNING.
        error: What ended it, if anything did.
        started: In the time zone of this machine.
        ended: The same; the time of the last event where it was killed.
        params: Flat config and what tasks logged.
        tags: Texts by name.
        provenance: What the run was made from.
        points: Every value of each metric, in the order of logging.
        datasets: Signals that were read: signal, version, md5, source, rows, context, schema.
        artifacts: Paths relative to `folder`.
        has_model: Whether a fitted model was recorded.
        idle: Seconds between an end and a resumption.
    """

    folder: Path
    id: str
    project: str = ""
    experiment: str = "default"
    name: str = ""
    parent: str | None = None
    outputs: Path = Path()
    status: str = "RUNNING"
    error: str | None = None
    started: datetime = _EPOCH
    ended: datetime = _EPOCH
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    points: dict[str, list[Point]] = field(default_factory=dict)
    datasets: list[Event] = field(default_factory=list)
    artifacts: list[str] = field(default_factory=list)
    has_model: bool = False
    idle: float = 0.0

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric: the one of the highest step, as in MLflow.

        A renamed metric has its present name.
        """
        return {RENAMED.get(name, name): self.series(name)[-1].value for name in self.points}

    @cached_property
    def settings(self) -> dict[str, str]:
        """The parameters, under the present names of the configuration's keys."""
        return {RENAMED_KEYS.get(key, key): value for key, value in self.params.items()}

    @cached_property
    def config(self) -> "DictConfig | ListConfig":
        """The composed config, secrets masked."""
        from omegaconf import OmegaConf

        return OmegaConf.load(self.folder / "config.yaml")

    @property
    def seconds(self) -> float:
        """How long it ran; the time between an end and a resumption does not count."""
        return (self.ended - self.started).total_seconds() - self.idle

    @property
    def has_begun(self) -> bool:
        """Whether its journal has an event; a run that was killed at once has none."""
        return self.ended > _EPOCH

    @property
    def is_ingest(self) -> bool:
        """Whether it only ingests signals."""
        return "'signals'" in self.params.get("task.uses", "")

    def series(self, name: str) -> list[Point]:
        """Every value of a metric by step; values of one step in the order of logging."""
        return sorted(self.points.get(name, []), key=lambda point: point[:2])

    def has_point(self, name: str, value: float, step: int) -> bool:
        """Whether a metric had just this value at this step."""
        return (name, int(step), repr(float(value))) in self._known

    @cached_property
    def _known(self) -> set[tuple[str, int, str]]:
        """All points, for a fast lookup; values as text, because NaN is not equal to itself."""
        return {
            (name, point.step, repr(point.value))
            for name, points in self.points.items()
            for point in points
        }

    def model(self) -> Any:
        """The fitted model."""
        from ml_experiment_runner.project.moved_names import Unpickler

        path = self.folder / "model" / "model.pkl"
        if not path.exists():
            best = self.tags.get("sweep.best")  # of a sweep's own run, its best job
            hint = f"; the best job of this sweep is {best}" if best not in (None, "true") else ""
            raise UserError(
                f"run {self.id} ({self.status}) has no model: {path} does not exist{hint}"
            )
        with path.open("rb") as file:
            return Unpickler(file).load()  # the run's own folder, written by this project

    def _take(self, event: Event) -> None:
        match event["kind"]:
            case "start":
                self._begin(event)
            case "params":
                self.params |= event["values"]
            case "tag":
                self.tags[event["name"]] = event["value"]
            case "provenance":
                self.provenance[event["name"]] = event["value"]
            case "metric":
                point = Point(event["step"], event["time"], float(event["value"]))
                self.points.setdefault(event["name"], []).append(point)
            case "dataset":
                self.datasets.append(event)
            case "artifact":
                self.artifacts.append(event["path"])
            case "model":
                self.has_model = True
            case "end" | "resume":
                self._end_or_resume(event)
        self.ended = _time_of(event)

    def _begin(self, event: Event) -> None:
        self.id = event["id"]
        self.project, _, self.experiment = event["experiment"].rpartition("/")
        self.name, self.parent = event["name"], event["parent"]
        parents = list(self.folder.parents)  # A copied folder may lie less deep.
        self.outputs = parents[min(event["depth"], len(parents) - 1)]
        self.started = _time_of(event)

    def _end_or_resume(self, event: Event) -> None:
        """Takes the end of the run, or its resumption."""
        self.status, self.error = event.get("status", "RUNNING"), event.get("error")
        if event["kind"] == "resume":
            self.idle += (_time_of(event) - self.ended).total_seconds()


def _time_of(event: Event) -> datetime:
    return datetime.fromtimestamp(event["time"] / 1000, UTC).astimezone()


def read_run(folder: Path) -> RecordedRun:
    """Read the run in a folder."""
    folder = folder.resolve()
    run = RecordedRun(folder, folder.name.rpartition("-")[2])
    journal = folder / "journal.jsonl"
    writer = None
    for event in all_events(journal):
        writer = event.get("writer", writer)
        run._take(event)
    run.artifacts = list(dict.fromkeys(run.artifacts))  # a file may be written twice
    if run.status == "RUNNING" and not (writer and is_at_work(writer, journal)):
        run.status = "KILLED"
    return run


def folders(outputs: Path) -> list[Path]:
    """Every run's folder, the oldest first; runs within a run lie in its folder."""

    def run_folders() -> Iterator[Path]:
        level = [path for path in subfolders(outputs) if not path.name.startswith(".")]
        for depth in range(2, 6):
            level = [path for folder in level for path in subfolders(folder)]
            if depth > 2:
                yield from (path for path in level if (path / "journal.jsonl").exists())

    # natural order: the tenth job of a sweep after the ninth
    return sorted(
        run_folders(),
        key=lambda folder: [part.zfill(32) for part in folder.relative_to(outputs).parts[1:]],
    )


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder; none if another process has just removed it, as `clean` does."""
    try:  # a glob of Python 3.11 would raise
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def runs_of(folder: Path) -> list[RecordedRun]:
    """An experiment's runs, also those within others.

    Args:
        folder: `outputs/<experiment>`.
    """
    return [read_run(path) for path in folders(folder.parent) if path.is_relative_to(folder)]
