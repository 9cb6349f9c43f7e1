"""What is measured: each function fills the samples of one group, in alternation."""

import json
import math
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import projects
from clock import Call, Clock, Sample
from store import Store
from table import make_table

FIT = r"fit begins at ([\d.]+)"
LOOP = r"loop took ([\d.]+) s"
SINGLE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), "1")
CHECKS = r"checks took ([\d.]+) s"


@dataclass(frozen=True)
class Size:
    """How much is done; `repeats` times each."""

    repeats: int
    iterations: int
    replicates: int
    importance_rows: int
    points: int
    slow_points: int
    jobs: int
    rows: int


FULL = Size(5, 300, 500, 2000, 10_000, 10_000, 16, 1_000_000)
QUICK = Size(1, 5, 20, 200, 1_000, 20, 2, 10_000)


@dataclass
class Bench:
    """The folder of a benchmark: projects, scripts, store and what was measured in it."""

    folder: Path
    size: Size
    samples: defaultdict[str, Sample] = field(default_factory=lambda: defaultdict(Sample))

    def __post_init__(self) -> None:
        self.clock = Clock(self.folder)
        self.scripts = shutil.copytree(projects.SCRIPTS, self.folder / "scripts")
        self.work = self.folder / "work"
        self.work.mkdir()
        self.outputs = 0

    def alternate(self, contenders: Sequence[Callable[[], dict[str, float]]]) -> None:
        """Run all of them once to warm up, then `repeats` times in turn, the first one changing."""
        if self.size.repeats > 1:
            for contender in contenders:
                contender()
        for repeat in range(self.size.repeats):
            start = repeat % len(contenders)
            for contender in [*contenders[start:], *contenders[:start]]:
                for name, value in contender().items():
                    self.samples[name].values.append(value)
                    print(f"{repeat + 1}/{self.size.repeats}  {name}  {value:.3f} s", flush=True)

    def output(self) -> Path:
        """A new folder for what a script writes."""
        self.outputs += 1
        return self.work / f"output-{self.outputs}"


def flights(bench: Bench) -> None:
    """The baseline experiment on flights, three ways."""
    project = projects.make_flights(bench.folder / "flights")
    data = projects.cached_dataset(project)
    ours_store = Store(project / "mlflow.db", project)
    their_store = Store(project / "mlflow.db", bench.work)
    size = bench.size
    seen: dict[str, dict[str, float]] = {}

    def ours() -> dict[str, float]:
        call = bench.clock.run(
            project,
            "run.py",
            "+experiment=baseline",
            "dataset.slices=[]",
            f"model.max_iter={size.iterations}",
            f"evaluation.bootstrap={size.replicates}",
            f"evaluation.importance_rows={size.importance_rows}",
        )
        metrics, fit = check_ours(project, ours_store, call, 1)
        same(seen, metrics)
        return {"flights ours": call.seconds, "fit ours": fit - call.begin}

    def bare() -> dict[str, float]:
        output = bench.output()
        call = bench.clock.run(
            bench.work,
            str(bench.scripts / "bare_flights.py"),
            str(data),
            str(output),
            f"--max-iter={size.iterations}",
            f"--replicates={size.replicates}",
            f"--importance-rows={size.importance_rows}",
        )
        same(seen, written(output))
        return {"flights bare": call.seconds, "fit bare": call.number(FIT) - call.begin}

    def hydra_mlflow() -> dict[str, float]:
        call = bench.clock.run(
            bench.work,
            str(bench.scripts / "hydra_mlflow_flights.py"),
            f"tracking_uri={their_store.uri}",
            f"data={data}",
            f"model.max_iter={size.iterations}",
            f"replicates={size.replicates}",
            f"importance_rows={size.importance_rows}",
        )
        (run,) = their_store.arrived(call.begin, 1)
        if (run.figures, run.models) != (6, 1):
            sys.exit(f"Hydra and MLflow left {run.figures} figures and {run.models} models")
        same(seen, run.metrics)
        return {"flights hydra_mlflow": call.seconds}

    bench.alternate([ours, bare, hydra_mlflow])
    commands(bench, project)
    points(bench, project, ours_store)


def commands(bench: Bench, project: Path) -> None:
    """What answers without running anything."""
    asked = {"help": (["--help"], 0, 0), "cfg": (["--cfg", "job"], 0, 0), "typo": (["sed=1"], 2, 1)}
    minimal = str(bench.scripts / "minimal_hydra.py")

    def contender(kind: str, ours: bool) -> Callable[[], dict[str, float]]:
        words, our_code, their_code = asked[kind]

        def run() -> dict[str, float]:
            if ours:
                call = bench.clock.run(project, "run.py", *words, code=our_code)
            else:
                call = bench.clock.run(bench.work, minimal, *words, code=their_code)
            return {f"{kind} {'ours' if ours else 'hydra'}": call.seconds}

        return run

    bench.alternate([contender(kind, ours) for kind in asked for ours in (True, False)])


def points(bench: Bench, project: Path, store: Store) -> None:
    """A metric recorded in a loop."""

    def ours() -> dict[str, float]:
        count = str(bench.size.points)
        call = bench.clock.run(project, "run.py", "task=points", POINTS=count)
        expect_synced(project, call)
        expect_points(store, call, bench.size.points)
        end = call.begin + call.seconds
        begin = call.number(r"loop begins at ([\d.]+)")
        return {"loop ours": call.number(LOOP), "stored ours": end - begin}

    def mlflow() -> dict[str, float]:
        count = str(bench.size.slow_points)
        call = bench.clock.run(
            bench.work, str(bench.scripts / "log_metric_loop.py"), store.uri, count
        )
        expect_points(store, call, bench.size.slow_points)
        return {"loop mlflow": call.number(LOOP)}

    bench.alternate([ours, mlflow])


def iris(bench: Bench) -> None:
    """A fit that takes no time: one run, and a sweep."""
    project = projects.make_iris(bench.folder / "iris")
    data = projects.cached_dataset(project)
    store = Store(project / "mlflow.db", project)
    strengths = [round(0.1 * (job + 1), 1) for job in range(bench.size.jobs)]
    replicates = bench.size.replicates
    seen: dict[float, dict[str, dict[str, float]]] = defaultdict(dict)
    mine = ("dataset=flowers", f"evaluation.bootstrap={replicates}")

    def bare_job(strength: float) -> float:
        output = bench.output()
        call = bench.clock.run(
            bench.work,
            str(bench.scripts / "bare_iris.py"),
            str(data),
            str(output),
            f"--strength={strength}",
            f"--replicates={replicates}",
        )
        same(seen[strength], written(output))
        return call.seconds

    def one() -> dict[str, float]:
        call = bench.clock.run(project, "run.py", *mine, "model.C=1.0")
        metrics, _ = check_ours(project, store, call, 1)
        same(seen[1.0], metrics)
        return {"iris ours": call.seconds}

    def one_bare() -> dict[str, float]:
        return {"iris bare": bare_job(1.0)}

    def sweep() -> dict[str, float]:
        values = ",".join(map(str, strengths))
        call = bench.clock.run(project, "run.py", "-m", *mine, f"model.C={values}")
        expect_synced(project, call)
        _, *runs = store.arrived(call.begin, 1 + len(strengths))  # the sweep's own, and its jobs'
        for strength, run in zip(strengths, runs, strict=True):
            complete(run.figures, run.models)
            same(seen[strength], run.metrics)
        return {"job ours": call.seconds / len(strengths)}

    def jobs() -> dict[str, float]:
        return {"job bare": sum(map(bare_job, strengths)) / len(strengths)}

    bench.alternate([one, one_bare])
    bench.alternate([sweep, jobs])


TWO = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "threads=1")


def flights_side_by_side(bench: Bench) -> None:
    """A sweep on flights in two processes, beside a loop over the same fits."""
    project = projects.make_flights(bench.folder / "side-by-side")
    data = projects.cached_dataset(project)
    store = Store(project / "mlflow.db", project)
    size = bench.size
    strengths = [round(0.1 * (job + 1), 1) for job in range(min(size.jobs, 8))]
    seen: dict[float, dict[str, dict[str, float]]] = defaultdict(dict)

    def ours() -> dict[str, float]:
        call = bench.clock.run(
            project,
            *("run.py", "-m", "+experiment=baseline", "dataset.slices=[]", *TWO),
            f"model.C={','.join(map(str, strengths))}",
            f"model.max_iter={size.iterations}",
            f"evaluation.bootstrap={size.replicates}",
            f"evaluation.importance_rows={size.importance_rows}",
        )
        check_jobs(project, store, call, seen)
        return {"parallel ours": call.seconds / len(strengths)}

    def loop() -> dict[str, float]:
        outputs = bench.output()
        call = bench.clock.run(
            bench.work,
            *(str(bench.scripts / "joblib_flights.py"), str(data), str(outputs)),
            *map(str, strengths),
            f"--max-iter={size.iterations}",
            f"--replicates={size.replicates}",
            f"--importance-rows={size.importance_rows}",
            **SINGLE,
        )
        for strength in strengths:
            same(seen[strength], written(outputs / str(strength)))
        return {"parallel loop": call.seconds / len(strengths)}

    bench.alternate([ours, loop])


def iris_side_by_side(bench: Bench) -> None:
    """A sweep on iris in two processes, beside a process for each job, two at a time."""
    project = projects.make_iris(bench.folder / "iris-side-by-side")
    data = projects.cached_dataset(project)
    store = Store(project / "mlflow.db", project)
    their_store = Store(project / "mlflow.db", bench.work)
    strengths = [round(0.1 * (job + 1), 1) for job in range(bench.size.jobs)]
    replicates = bench.size.replicates
    seen: dict[float, dict[str, dict[str, float]]] = defaultdict(dict)

    def ours() -> dict[str, float]:
        values = ",".join(map(str, strengths))
        mine = ("dataset=flowers", f"evaluation.bootstrap={replicates}", f"model.C={values}")
        call = bench.clock.run(project, "run.py", "-m", *mine, *TWO)
        check_jobs(project, store, call, seen)
        return {"idle ours": call.seconds / len(strengths)}

    def processes() -> dict[str, float]:
        iris = ("label=is_virginica", "categories=[]",
                "numbers=[sepal_length,sepal_width,petal_length,petal_width]")  # fmt: skip
        script = str(bench.scripts / "hydra_mlflow_flights.py")
        commands = [
            (script, f"tracking_uri={their_store.uri}", f"data={data}", *iris,
             f"replicates={replicates}", f"model.C={strength}")
            for strength in strengths
        ]  # fmt: skip
        begin = time.time()
        seconds = bench.clock.run_two_at_a_time(bench.work, commands, **SINGLE)
        for run in their_store.arrived(begin, len(strengths)):
            complete(run.figures, run.models)
            same(seen[float(run.params["model.C"])], run.metrics)
        return {"idle processes": seconds / len(strengths)}

    bench.alternate([ours, processes])


def check_jobs(
    project: Path, store: Store, call: Call, seen: dict[float, dict[str, dict[str, float]]]
) -> None:
    """The jobs of our sweep as the store has them."""
    expect_synced(project, call)
    _, *runs = store.arrived(call.begin, 1 + call.output.count(" run "))
    for run in runs:
        complete(run.figures, run.models)
        same(seen[float(run.params["model.C"])], run.metrics)


def checks(bench: Bench) -> None:
    """What a contract says of values, on a table in memory."""
    folder = bench.folder / "table"
    data = str(make_table(folder, bench.size.rows))
    found = 'broken: ["range number_3", "values code_1"]'

    def contender(name: str, script: str) -> Callable[[], dict[str, float]]:
        source = str(projects.ROOT / "src")

        def run() -> dict[str, float]:
            call = bench.clock.run(folder, str(bench.scripts / script), data, PYTHONPATH=source)
            if found not in call.output:
                sys.exit(f"{script} found something else than {found}:\n{call.output}")
            return {f"checks {name}": call.number(CHECKS)}

        return run

    bench.alternate([contender("ours", "checks.py"), contender("hand", "checks_by_hand.py")])


def check_ours(
    project: Path, store: Store, call: Call, count: int
) -> tuple[dict[str, float], float]:
    """The metrics of our run as the store has them, and when its first fit began."""
    expect_synced(project, call)
    (run,) = store.arrived(call.begin, count)
    complete(run.figures, run.models)
    journal = max(
        project.glob("outputs/*/*/*/journal.jsonl"), key=lambda path: path.stat().st_mtime
    )
    events = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    (begin,) = [event["time"] for event in events if event.get("name") == "seconds/data"]
    return run.metrics, begin / 1000


def expect_synced(project: Path, call: Call) -> None:
    """`run.py` must not have returned before its record had arrived."""
    if "pending" in call.output or list(project.glob("outputs/.pending/*/*.run")):
        sys.exit(f"the record was still pending:\n{call.output}")


def complete(figures: int, models: int) -> None:
    if (figures, models) != (6, 1):
        sys.exit(f"{figures} figures and {models} models are in the store, not 6 and 1")


def expect_points(store: Store, call: Call, count: int) -> None:
    found = store.points("loss", call.begin)
    if found != count:
        sys.exit(f"{found} points are in the store, not {count}")


def written(output: Path) -> dict[str, float]:
    """The metrics of a bare script; its other files must be there too."""
    figures = len(list(output.glob("*.png")))
    rest = [output / name for name in ("model.pkl", "requirements.txt", "input_example.parquet")]
    if figures != 6 or not all(path.is_file() for path in rest):
        sys.exit(f"the bare script left only {sorted(path.name for path in output.iterdir())}")
    return json.loads((output / "metrics.json").read_text(encoding="utf-8"))


def same(seen: dict[str, dict[str, float]], metrics: dict[str, float]) -> None:
    """All that run the same must get the same, or they are not comparable."""
    values = judged(metrics)
    first = seen.setdefault("first", values)
    different = [
        f"{name}: {first.get(name)} and {values.get(name)}"
        for name in sorted(first.keys() | values.keys())
        if not math.isclose(first.get(name, math.inf), values.get(name, -math.inf), rel_tol=1e-6)
    ]
    if different:
        sys.exit("the contenders got different results:\n" + "\n".join(different))


def judged(metrics: dict[str, float]) -> dict[str, float]:
    """What all measure; the baseline is judged by ours alone."""
    return {
        name: value
        for name, value in metrics.items()
        if (name.startswith(("validation/", "test/")) and not name.endswith("/baseline"))
        or name == "threshold"
    }
