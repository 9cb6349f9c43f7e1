"""Reads what a run left behind in its folder."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from runner.errors import UserError
from runner.project import root
from runner.record.journal import Event, read_events
from runner.record.liveness import is_at_work
from runner.record.ranking import best_run

if TYPE_CHECKING:
    from omegaconf import DictConfig, ListConfig

NAMES_OF_RUNS = (
    "a run's id or the beginning of it, its folder, `last`, `best`, the name of an experiment for "
    "its best run, or `last:<experiment>`"
)
_EPOCH = datetime.fromtimestamp(0, UTC)


class Point(NamedTuple):
    """One value of a metric; `time` in milliseconds since 1970."""

    step: int
    time: int
    value: float


@dataclass
class RecordedRun:
    """A run as its journal tells it.

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
        ended: The same; the last sign of life where it did not end by itself.
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
        """The last value of each metric: the one of the highest step, as in MLflow."""
        return {name: self.series(name)[-1].value for name in self.points}

    @cached_property
    def config(self) -> "DictConfig | ListConfig":
        """The composed config, secrets masked."""
        from omegaconf import OmegaConf

        return OmegaConf.load(self.folder / "config.yaml")

    @property
    def seconds(self) -> float:
        """How long it was at work; the time before it was resumed does not count."""
        return (self.ended - self.started).total_seconds() - self.idle

    @property
    def has_begun(self) -> bool:
        """Whether anything stands in its journal; it was killed before where nothing does."""
        return self.ended > _EPOCH

    @property
    def is_ingest(self) -> bool:
        """Whether it only receives signals."""
        return "'signals'" in self.params.get("task.uses", "")

    def series(self, name: str) -> list[Point]:
        """Every value of a metric by step; values of one step in the order of logging."""
        return sorted(self.points.get(name, []), key=lambda point: point[:2])

    def has_point(self, name: str, value: float, step: int) -> bool:
        """Whether a metric had just this value at this step."""
        return (name, int(step), repr(float(value))) in self._known

    @cached_property
    def _known(self) -> set[tuple[str, int, str]]:
        """All points, to look one up at once; values as text: what is no number is not itself."""
        return {
            (name, point.step, repr(point.value))
            for name, points in self.points.items()
            for point in points
        }

    def model(self) -> Any:
        """The fitted model."""
        import pickle

        path = self.folder / "model" / "model.pkl"
        if not path.exists():
            best = self.tags.get("sweep.best")  # of a sweep's own run, its best job
            hint = f"; the best job of this sweep is {best}" if best not in (None, "true") else ""
            raise UserError(
                f"run {self.id} ({self.status}) has no model: {path} is not there{hint}"
            )
        with path.open("rb") as file:
            return pickle.load(file)  # noqa: S301 - the run's own folder, written by this project

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
                self._turn(event)
        self.ended = _moment(event)

    def _begin(self, event: Event) -> None:
        self.id = event["id"]
        self.project, _, self.experiment = event["experiment"].rpartition("/")
        self.name, self.parent = event["name"], event.get("parent")
        above = list(self.folder.parents)  # A copied folder may lie less deep.
        depth = event.get("depth", len(self.name.split(" ")))
        self.outputs = above[min(depth, len(above) - 1)]
        self.started = _moment(event)

    def _turn(self, event: Event) -> None:
        """Takes the end of the run, or that it goes on after one."""
        self.status, self.error = event.get("status", "RUNNING"), event.get("error")
        if event["kind"] == "resume":
            self.idle += (_moment(event) - self.ended).total_seconds()


def _moment(event: Event) -> datetime:
    return datetime.fromtimestamp(event["time"] / 1000, UTC).astimezone()


def load_run(run: str | Path) -> RecordedRun:
    """Read a recorded run.

    Args:
        run: What `find_run` takes: an id, the beginning of one, a folder, `last`, `best`, an
            experiment's name, `last:<experiment>`.

    Raises:
        UserError: There is no such run, or more than one.
    """
    return read_run(find_run(root() / "outputs", run))


def read_run(folder: Path) -> RecordedRun:
    """Read the run in a folder."""
    folder = folder.resolve()
    run = RecordedRun(folder, folder.name.rpartition("-")[2])
    journal = folder / "journal.jsonl"
    offset, writer = 0, None
    while True:
        events, end = read_events(journal, offset)
        if end == offset:
            break
        offset = end
        for event in events:
            writer = event.get("writer", writer)
            run._take(event)
    run.artifacts = list(dict.fromkeys(run.artifacts))  # one may have been written again
    if run.status == "RUNNING" and not (writer and is_at_work(writer, journal)):
        run.status = "KILLED"
    return run


def folders(outputs: Path) -> list[Path]:
    """Every run's folder, the oldest first; runs within a run lie in its folder."""

    def found() -> Iterator[Path]:
        level = [path for path in subfolders(outputs) if not path.name.startswith(".")]
        for depth in range(2, 6):
            level = [path for folder in level for path in subfolders(folder)]
            if depth > 2:
                yield from (path for path in level if (path / "journal.jsonl").exists())

    # the tenth job of a sweep comes after the ninth
    return sorted(
        found(),
        key=lambda folder: [part.zfill(32) for part in folder.relative_to(outputs).parts[1:]],
    )


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder; none if another process has just removed it, as `clean` does."""
    try:  # a glob of Python 3.11 would raise
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def find_run(outputs: Path, run: str | Path) -> Path:
    """The folder of a run.

    Args:
        outputs: The folder for runs.
        run: One of
            its id, or the beginning of it;
            its folder;
            `last`: the last run, whatever became of it, runs that only receive signals and runs
            within others left out;
            `best`: the best finished run on the rows that the latest was judged on, debug runs left
            out;
            an experiment's name, or `best:<experiment>`: the experiment's best run. Of a task that
            judges no model the name is that of its last finished run;
            `last:<experiment>`: the experiment's last run.

    Raises:
        UserError: There is no such run, or more than one.
    """
    if (Path(run) / "journal.jsonl").is_file():
        return Path(run)
    text = str(run)
    all_folders = folders(outputs)
    if (named := _named(text, all_folders, outputs)) is not None:
        return named
    known = {folder.name.rpartition("-")[2]: folder for folder in all_folders}
    if not known:
        raise UserError(f"{run}: no such run; there is none in {outputs} yet")
    found = [folder for name, folder in known.items() if text and name.startswith(text)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(_shown(folder, outputs) for folder in found[-5:])
        raise UserError(f"{run}: {len(found)} runs begin so ({names}); type more of it")
    import difflib

    experiments = (folder.relative_to(outputs).parts[0] for folder in all_folders)
    shown = {name: name for name in experiments} | {
        name: _shown(folder, outputs) for name, folder in known.items()
    }
    near = difflib.get_close_matches(text, shown, n=3, cutoff=0.6)
    if near:
        hint = "the nearest: " + ", ".join(shown[name] for name in near)
    else:
        hint = "the latest: " + ", ".join(_shown(one, outputs) for one in list(known.values())[-3:])
    raise UserError(f"{run}: no such run in {outputs}; {hint}")


def _named(text: str, all_folders: list[Path], outputs: Path) -> Path | None:
    """The run that `last`, `best` or the name of an experiment means; None for another text."""
    by_experiment: dict[str, list[Path]] = {}
    for folder in all_folders:
        by_experiment.setdefault(folder.relative_to(outputs).parts[0], []).append(folder)
    which, _, experiment = text.rpartition(":")
    if text in ("last", "best"):
        which, chosen = text, all_folders
    elif which not in ("", "last", "best"):
        return None
    elif experiment in by_experiment:
        chosen = by_experiment[experiment]
    elif (root() / "conf" / "experiment" / f"{experiment}.yaml").is_file():
        raise UserError(f"{text}: the experiment has no run yet; "
                        f"python run.py +experiment={experiment}")  # fmt: skip
    else:
        return None
    if not chosen:
        return None
    if which == "last":
        return _last(chosen, outputs)
    runs = [read_run(folder) for folder in chosen]
    best = best_run(runs)
    if best is None and not which and not any("test/rows" in run.metrics for run in runs):
        finished = [run for run in runs if run.status == "FINISHED" and run.parent is None]
        best = max(finished, key=lambda run: run.started, default=None)
    if best is None:
        last = "last" if text == "best" else f"last:{experiment}"
        raise UserError(f"{text}: no finished run was judged on a whole test part; `{last}` names "
                        "the last run as it is")  # fmt: skip
    return best.folder


def _last(chosen: list[Path], outputs: Path) -> Path | None:
    """The last run that was typed and began, if possible one that does not only receive signals."""
    typed = [each for each in chosen if len(each.relative_to(outputs).parts) == 3] or chosen
    last = None
    for folder in reversed(typed):
        run = read_run(folder)
        if run.has_begun and not run.is_ingest:
            return folder
        if run.has_begun and last is None:
            last = folder
    return last


def _shown(folder: Path, outputs: Path) -> str:
    parts = folder.relative_to(outputs).parts
    return f"{folder.name.rpartition('-')[2]} ({parts[0]}, {parts[1]} {parts[2][:8]})"
