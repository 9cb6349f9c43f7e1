"""The same experiment done in other templates' ways: `make bench ARGS=templates`.

The three fit the same model to the same Parquet file and must get the same metrics. Theirs are
measured twice: as they come, and with as much added as ours records.
"""

import math
import shutil
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import measures
import projects
from clock import Call, Clock, Sample
from store import Arrived, Store

SCRIPTS = Path(__file__).with_name("templates")
LOCK = SCRIPTS / "kedro.txt"
JOBS = 8
SIMPLE = tuple(
    f"{part}/{name}"
    for part in ("validation", "test")
    for name in ("roc_auc", "average_precision", "log_loss", "brier")
)


@dataclass(frozen=True)
class Way:
    """One way of doing it; `figures` and `models` are what has to be in the store."""

    name: str
    figures: int
    models: int


OURS = Way("this template", 6, 1)
HYDRA = Way("lightning-hydra-template's way", 0, 0)
HYDRA_MORE = Way("lightning-hydra-template's way, as much recorded as here", 6, 1)
LIGHTNING = Way("lightning-hydra-template's way, in Lightning", 0, 0)
LIGHTNING_MORE = Way("in Lightning, as much recorded as here", 6, 1)
KEDRO = Way("kedro's way", 0, 1)
KEDRO_MORE = Way("kedro's way, as much recorded as here", 6, 1)


@dataclass(frozen=True)
class Subject:
    """A data set, where ours lies, and how each names it."""

    project: Path
    data: Path
    ours: tuple[str, ...]
    theirs: str


@dataclass
class TemplatesBench:
    """The ways that are there, and what was measured of them."""

    folder: Path
    quick: bool
    deep: bool
    repeats: int
    kedro: str | None
    runs: dict[Way, Sample] = field(default_factory=lambda: defaultdict(Sample))
    jobs: dict[Way, Sample] = field(default_factory=lambda: defaultdict(Sample))

    def __post_init__(self) -> None:
        self.clock = Clock(self.folder)
        flights = projects.make_flights(self.folder / "flights")
        iris = projects.make_iris(self.folder / "iris")
        quickly = ("evaluation.bootstrap=20",) if self.quick else ()
        self.flights = Subject(
            flights, projects.cached_dataset(flights), ("+experiment=baseline", *quickly), "flights"
        )
        self.iris = Subject(
            iris, projects.cached_dataset(iris), ("dataset=flowers", *quickly), "flowers"
        )
        self.python = projects.deep_environment(flights) if self.deep else sys.executable
        self.hydra_folder = self._copy("hydra", Path())
        self.kedro_folder = self._copy("kedro", Path("src"))
        (self.kedro_folder / "conf" / "local").mkdir()
        self.ways = [OURS, HYDRA, HYDRA_MORE]
        self.ways += [LIGHTNING, LIGHTNING_MORE] if self.deep else []
        self.ways += [KEDRO, KEDRO_MORE] if self.kedro else []

    def measure(self) -> None:
        """One run each on flights, then a sweep each on iris, in turn."""
        strengths = [round(0.1 * (job + 1), 1) for job in range(2 if self.quick else JOBS)]
        for subject, values, samples in (
            (self.flights, [1.0], self.runs),
            (self.iris, strengths, self.jobs),
        ):
            seen: dict[float, dict[str, float]] = {}
            for repeat in range(-(self.repeats > 1), self.repeats):
                start = repeat % len(self.ways)
                for way in [*self.ways[start:], *self.ways[:start]]:
                    seconds = self.run(way, subject, values, seen) / len(values)
                    if repeat >= 0:
                        samples[way].values.append(seconds)
                        print(f"{repeat + 1}/{self.repeats}  {subject.theirs}  {way.name}  "
                              f"{seconds:.2f} s", flush=True)  # fmt: skip

    def run(
        self, way: Way, subject: Subject, values: list[float], seen: dict[float, dict[str, float]]
    ) -> float:
        """Do it in one way for all values, see that it is recorded, and give the seconds."""
        if way is OURS:
            calls = [self.ours(subject, values)]
            folder = subject.project
        elif way in (KEDRO, KEDRO_MORE):
            calls = [self.kedro_run(way, subject, value) for value in values]
            folder = self.kedro_folder
        else:
            calls = [self.hydra_run(way, subject, values)]
            folder = self.hydra_folder
        of_sweep = way is OURS and len(values) > 1
        store = Store(subject.project / "mlflow.db", folder)
        arrived = store.arrived(calls[0].begin, len(values) + of_sweep)[of_sweep:]
        for value, run in zip(values, arrived, strict=True):
            check(way, run, seen.setdefault(value, {}))
        return sum(call.seconds for call in calls)

    def ours(self, subject: Subject, values: list[float]) -> Call:
        several = ("-m",) if len(values) > 1 else ()
        words = (*subject.ours, f"model.C={','.join(map(str, values))}")
        call = self.clock.run(subject.project, "run.py", *several, *words)
        measures.expect_synced(subject.project, call)
        return call

    def hydra_run(self, way: Way, subject: Subject, values: list[float]) -> Call:
        several = ("-m",) if len(values) > 1 else ()
        words = [
            f"data={subject.theirs}", f"data.path={subject.data}",
            f"model.estimator.C={','.join(map(str, values))}",
        ]  # fmt: skip
        if way.figures:
            words += ["callbacks=evaluation"]
            words += ["callbacks.evaluation.replicates=20"] if self.quick else []
        lightning = way in (LIGHTNING, LIGHTNING_MORE)
        words += ["trainer=lightning"] if lightning else []
        python = self.python if lightning else sys.executable
        return self.clock.run(
            self.hydra_folder, "train.py", *several, *words, python=python, **recording(subject)
        )

    def kedro_run(self, way: Way, subject: Subject, value: float) -> Call:
        assert self.kedro is not None
        said = {"data": subject.data, "C": value} | ({"replicates": 20} if self.quick else {})
        words = ["--pipeline", "evaluated"] if way.figures else []
        words += ["--params", ",".join(f"{name}={one}" for name, one in said.items())]
        return self.clock.run(
            self.kedro_folder, "-m", "kedro", "run", "--env", subject.theirs, *words,
            python=self.kedro, **recording(subject),
        )  # fmt: skip

    def _copy(self, name: str, place: Path) -> Path:
        """One of the two projects, with the evaluation that it borrows."""
        folder = shutil.copytree(SCRIPTS / name, self.folder / name)
        shutil.copy(projects.SCRIPTS / "evaluation.py", folder / place)
        return folder


def recording(subject: Subject) -> dict[str, str]:
    return {"MLFLOW_TRACKING_URI": f"sqlite:///{subject.project / 'mlflow.db'}"}


def check(way: Way, run: Arrived, seen: dict[str, float]) -> None:
    """All must have recorded what the page says, and the same values of it."""
    if run.figures < way.figures or run.models != way.models:
        sys.exit(f"{way.name}: {run.figures} figures and {run.models} models are in the store")
    # kedro-mlflow puts the name of the catalog's entry in front
    found = {
        name.removeprefix("metrics.").removeprefix("intervals."): value
        for name, value in run.metrics.items()
    }
    for name in measures.judged(found) if way.figures else SIMPLE:
        value = found.get(name, math.nan)
        if not math.isclose(seen.setdefault(name, value), value, rel_tol=1e-6):
            sys.exit(f"{way.name}: {name} is {value} and not {seen[name]}")
    if way.figures and len(missing := seen.keys() - found.keys()):
        sys.exit(f"{way.name} has not recorded {sorted(missing)}")
