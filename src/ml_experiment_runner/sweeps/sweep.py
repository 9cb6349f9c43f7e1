"""A sweep: one run with its jobs within it, their results side by side; it can be resumed."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from omegaconf import DictConfig

from ml_experiment_runner.config.metrics import greater_is_better, objective
from ml_experiment_runner.project.errors import RefusedError
from ml_experiment_runner.project.text import show_table
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.record.run_reader import RecordedRun, folders, read_run
from ml_experiment_runner.record.sync.client import Delivery
from ml_experiment_runner.training.pruning import STUDY

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILE = "sweep.json"
WORDS = "sweep.words"
BEST = "sweep.best"
SEED = "seed"
LINES = 60  # of the best jobs are drawn
DECADES = 100.0
BEHIND = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}


@dataclass(frozen=True)
class Job:
    """One job of a sweep.

    Attributes:
        run: Its run.
        values: What was chosen for it, by key.
        value: Its objective; None where it has none, as after a failure.
    """

    run: RecordedRun
    values: dict[str, str]
    value: float | None

    @property
    def status(self) -> str:
        """The run's; PRUNED where a search has ended it early."""
        return "PRUNED" if "sweep.pruned" in self.run.tags else self.run.status


class Sweep:
    """The run that the jobs belong to.

    Attributes:
        parent: The run.
        done: Finished jobs of before it was interrupted, by their overrides.
        expected: How many jobs it will have.
    """

    def __init__(self, parent: Run, chosen: str | None) -> None:
        self.parent = parent
        self._chosen = chosen
        self.done = {
            _key(each.provenance.get("overrides", [])): each
            for each in _children(parent.folder, parent.id)
            if each.status == "FINISHED"
        }
        self.expected = 0
        self._told = len(self.done)

    @classmethod
    def start(
        cls, config: DictConfig, folder: Path, command: list[str], delivery: Delivery
    ) -> "Sweep":
        """Opens the sweep's run, or the one that is resumed: the folder tells.

        Args:
            config: The configuration of its first job.
            folder: `hydra.sweep.dir`.
            command: What was typed.
            delivery: Serves all of its jobs.
        """
        if (folder / "journal.jsonl").exists():
            return cls(Run.resume(config, folder, delivery), config.objective)
        words = [word for word in command[1:] if word not in ("-m", "--multirun")]
        parent = Run.start(config, folder, command, words, delivery)
        parent.log_provenance(WORDS, words)
        return cls(parent, config.objective)

    def is_done(self, overrides: Sequence[str]) -> bool:
        """Whether a job with these has finished before."""
        return _key(overrides) in self.done

    def result(self, overrides: Sequence[str]) -> float:
        """The objective of a job that has finished before; NaN where it has none."""
        run = self.done[_key(overrides)]
        return run.metrics.get(objective(self._chosen, run.metrics), math.nan)

    def expect(self, jobs: int) -> None:
        """Takes how many jobs there are at least."""
        self.expected = max(self.expected, jobs)

    def place(self) -> str:
        """Counts a job that has ended: which one of how many."""
        self._told += 1
        return f"{self._told} of {self.expected}"

    def close(self, status: str | None) -> None:
        """Records the results, names the best job, and ends the run.

        Args:
            status: FAILED or KILLED where the sweep ends before its time; None where it does not.

        Raises:
            RefusedError: No job has a value of the objective that was asked for.
        """
        jobs = self.jobs()
        best = best_of(jobs, self._chosen)
        try:
            self._record(jobs, best)
            if best is not None:
                self._tag(jobs, best)
        finally:
            is_done = any(job.run.status == "FINISHED" for job in jobs)
            self.parent.finish(status or ("FINISHED" if is_done else "FAILED"))
        if is_done and best is None and status is None and self._chosen is not None:
            raise RefusedError(f"objective: no job has a value of '{self._chosen}', so that none "
                                "is the best")  # fmt: skip

    def jobs(self) -> list[Job]:
        """All of its jobs, in their order; of one that was done again, the last."""
        runs = _children(self.parent.folder, self.parent.id)
        # of one that was killed as it began, nothing is known
        known = [run for run in runs if "overrides" in run.provenance]
        by_words = {_key(run.provenance["overrides"]): run for run in known}
        said = [dict(_split(word) for word in words) for words in by_words]
        varied = [
            key
            for key in dict.fromkeys(key for values in said for key in values)
            if len({values.get(key) for values in said}) > 1
        ]
        return [
            Job(run, {key: values.get(key, "") for key in varied}, _value(run, self._chosen))
            for run, values in zip(by_words.values(), said, strict=True)
        ]

    def _record(self, jobs: Sequence[Job], best: Job | None) -> None:
        from ml_experiment_runner.record.card.page import write_card
        from ml_experiment_runner.sweeps.card_section import CARD_SECTIONS

        name = next(
            (objective(self._chosen, job.run.metrics) for job in jobs if job.value is not None), ""
        )
        groups = over_seeds(jobs, name)
        told = {
            "objective": name,
            "best": best and best.run.id,
            "jobs": [
                {
                    "run": job.run.id, "status": job.status, **job.values, "value": job.value,
                    "seconds": round(job.run.seconds, 1),
                }
                for job in jobs
            ],
            "over_seeds": groups,
        }  # fmt: skip
        self.parent.log_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", FILE)
        counts = {status: sum(job.status == status for job in jobs)
                  for status in ("FINISHED", "FAILED", "KILLED", "PRUNED")}  # fmt: skip
        self.parent.log_metrics({f"jobs/{key.lower()}": count for key, count in counts.items()})
        if best is not None and best.value is not None:
            self.parent.log_metric(f"best/{name}", best.value)
            self.parent.log_tag(BEST, best.run.id)
        scored = [job for job in jobs if job.value is not None]
        if len(scored) > 1 and scored[0].values:
            self.parent.log_figure(parallel_coordinates(scored, name), "sweep")
        if (study := self.parent.folder / STUDY).exists():
            self.parent.log_artifact(study, STUDY)
        self.parent.settle()
        self.parent.log_artifact(write_card(self.parent.folder, CARD_SECTIONS), "card.html")
        if jobs:
            show(told)

    def _tag(self, jobs: Sequence[Job], best: Job) -> None:
        """Tags the best job, and takes the tag from one that was the best before."""
        for job in jobs:
            is_best = job.run.id == best.run.id
            if is_best or job.run.tags.get(BEST) == "true":
                child = Run.resume(self.parent.config, job.run.folder, self.parent.delivery)
                child.log_tag(BEST, "true" if is_best else "false")
                child.finish(job.run.status)
                self.parent.children.append(child)


def best_of(jobs: Sequence[Job], chosen: str | None) -> Job | None:
    """The job with the best objective; None where none has one."""
    scored = [job for job in jobs if job.value is not None and job.run.status == "FINISHED"]
    if not scored:
        return None
    name = objective(chosen, scored[0].run.metrics)
    sign = 1 if greater_is_better(name) else -1
    return max(scored, key=lambda job: sign * (job.value or 0.0))


def over_seeds(jobs: Sequence[Job], name: str) -> list[dict[str, Any]]:
    """Means and sample standard deviations of jobs that differ in the seed only, the best first."""
    groups: dict[tuple[tuple[str, str], ...], list[float]] = {}
    for job in jobs:
        if SEED in job.values and job.value is not None:
            key = tuple((name, value) for name, value in job.values.items() if name != SEED)
            groups.setdefault(key, []).append(job.value)
    if all(len(values) == 1 for values in groups.values()):  # as where seeds are paired
        return []
    found = []
    for key, values in groups.items():
        mean = sum(values) / len(values)
        spread = sum((value - mean) ** 2 for value in values) / max(len(values) - 1, 1)
        found.append({**dict(key), "mean": mean, "sd": math.sqrt(spread), "seeds": len(values)})
    sign = 1 if greater_is_better(name) else -1
    return sorted(found, key=lambda each: -sign * float(each["mean"]))


def show(told: dict[str, Any]) -> None:
    """Prints the jobs of a sweep, the best first, and the means over seeds."""
    name = told["objective"]
    sign = 1 if greater_is_better(name) else -1
    jobs = sorted(
        told["jobs"],
        key=lambda job: (job["value"] is None, -sign * (job["value"] or 0.0)),
    )
    own = ("run", "status", "value", "seconds")
    keys = [key for key in (jobs[0] if jobs else {}) if key not in own]
    rows = []
    for job in jobs:
        value = "-" if job["value"] is None else f"{job['value']:,.4f}"
        word = "best" if job["run"] == told["best"] else ""
        word = word if job["status"] == "FINISHED" else job["status"]
        rows.append((job["run"], *(shown(job[key]) for key in keys), value, word))
    show_table(("run", *keys, name or "objective", ""), rows)
    for group in told["over_seeds"]:
        said = " ".join(f"{key}={value}" for key, value in group.items()
                        if key not in ("mean", "sd", "seeds"))  # fmt: skip
        spread = f"{group['mean']:.4f} ± {group['sd']:.4f}"
        print(f"{said or 'all'}: {spread} over {group['seeds']} seeds")


def shown(value: str) -> str:
    """A value for people: of a long fraction, four digits."""
    try:
        return f"{float(value):.4g}" if "." in value and len(value) > 8 else value
    except ValueError:
        return value


def parallel_coordinates(jobs: Sequence[Job], name: str) -> "Figure":
    """A line for each job through what was chosen for it, to its objective (Inselberg 1985).

    Args:
        jobs: Jobs with an objective and the same keys.
        name: The objective.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from ml_experiment_runner.training.plots.model_plots import counted

    sign = 1 if greater_is_better(name) else -1
    drawn = sorted(jobs, key=lambda job: sign * (job.value or 0.0))[-LINES:]
    keys = list(drawn[0].values)
    figure = Figure(figsize=(max(5.0, 1.9 * (len(keys) + 1)), 4.2))
    axes = figure.add_subplot()
    values = [job.value or 0.0 for job in drawn]
    heights = [_heights([job.values[key] for job in drawn]) for key in keys]
    low, high = min(values), max(values)
    last = [(value - low) / ((high - low) or 1.0) for value in values]
    colours = mpl.colormaps["viridis"]
    for number in range(len(drawn)):
        line = [*(column[0][number] for column in heights), last[number]]
        good = last[number] if sign > 0 else 1 - last[number]
        axes.plot(range(len(line)), line, color=colours(good), linewidth=1.6, alpha=0.85)
    for place, (_, ticks) in enumerate(heights):
        axes.axvline(place, color="#8a8f98", linewidth=0.8)
        for height, text in ticks:
            axes.text(place + 0.02, height, text, fontsize=8, va="center", bbox=BEHIND)
    axes.axvline(len(keys), color="#8a8f98", linewidth=0.8)
    for height, value in ((0, low), (1, high)):
        axes.text(len(keys) + 0.02, height, f"{value:.4g}", fontsize=8, va="center", bbox=BEHIND)
    axes.set_xticks(range(len(keys) + 1), [*keys, name], fontsize=8)
    title = counted("What was chosen, and what came of it", len(drawn), len(jobs))
    axes.set(yticks=[], title=title, ylim=(-0.06, 1.06))
    axes.set_xlim(-0.1, len(keys) + 0.35)
    axes.spines[:].set_visible(False)
    figure.subplots_adjust(left=0.06, right=0.96, top=0.9, bottom=0.1)
    return figure


def _heights(texts: Sequence[str]) -> tuple[list[float], list[tuple[float, str]]]:
    """Where texts stand on an axis from 0 to 1: numbers by size, words in their order.

    Numbers that span two decades stand on a logarithmic scale.
    """
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        words = sorted(set(texts))
        numbers = [float(words.index(text)) for text in texts]
        named = {float(place): word for place, word in enumerate(words)}
    else:
        named = dict(zip(numbers, map(shown, texts), strict=True))
        if len(named) > 6:
            named = {each: named[each] for each in (min(named), max(named))}
    scale = np.log if min(numbers) > 0 and max(numbers) >= DECADES * min(numbers) else np.asarray
    low, high = scale(min(numbers)), scale(max(numbers))

    def height(number: float) -> float:
        return float((scale(number) - low) / ((high - low) or 1.0))

    return [height(each) for each in numbers], [
        (height(each), text) for each, text in named.items()
    ]


def _children(folder: Path, parent: str) -> list[RecordedRun]:
    """The runs of a sweep in the order in which they began."""
    found = [each for each in folders(folder.parents[2]) if each.parent == folder]
    runs = [run for run in map(read_run, found) if run.parent == parent]
    return sorted(runs, key=lambda run: run.started)


def _value(run: RecordedRun, chosen: str | None) -> float | None:
    if run.status != "FINISHED":
        return None
    value = run.metrics.get(objective(chosen, run.metrics), math.nan)
    return value if math.isfinite(value) else None


def _key(overrides: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(word.lstrip("+") for word in overrides))


def _split(word: str) -> tuple[str, str]:
    key, _, value = word.lstrip("+~").partition("=")
    return key, value
