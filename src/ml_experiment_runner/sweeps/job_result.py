"""The results of a sweep's jobs: the best one, means over seeds, and the table of all."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ml_experiment_runner.config.metrics import greater_is_better, objective
from ml_experiment_runner.project.text import show_table
from ml_experiment_runner.record.run_reader import RecordedRun

SEED = "seed"


@dataclass(frozen=True)
class JobResult:
    """The recorded result of a job.

    Attributes:
        run: The job's run.
        values: Its values of the keys that the sweep varies.
        value: Its objective; None where it has none, as after a failure.
    """

    run: RecordedRun
    values: dict[str, str]
    value: float | None

    @property
    def status(self) -> str:
        """The run's; PRUNED where a search has ended it early."""
        return "PRUNED" if "sweep.pruned" in self.run.tags else self.run.status


def best_of(results: Sequence[JobResult], chosen: str | None) -> JobResult | None:
    """The job with the best objective; None where none has one.

    Args:
        results: The jobs.
        chosen: `objective` of the configuration.
    """
    scored = [
        result for result in results if result.value is not None and result.run.status == "FINISHED"
    ]
    if not scored:
        return None
    sign = 1 if greater_is_better(objective(chosen, scored[0].run.metrics)) else -1
    return max(scored, key=lambda result: sign * (result.value or 0.0))


def over_seeds(results: Sequence[JobResult], metric: str) -> list[dict[str, Any]]:
    """Means and sample standard deviations of jobs that differ in the seed only, the best first."""
    groups: dict[tuple[tuple[str, str], ...], list[float]] = {}
    for result in results:
        if SEED in result.values and result.value is not None:
            others = tuple((key, value) for key, value in result.values.items() if key != SEED)
            groups.setdefault(others, []).append(result.value)
    if all(len(values) == 1 for values in groups.values()):  # as where seeds are paired
        return []
    means = []
    for others, values in groups.items():
        mean = sum(values) / len(values)
        variance = sum((value - mean) ** 2 for value in values) / max(len(values) - 1, 1)
        means.append(
            {**dict(others), "mean": mean, "sd": math.sqrt(variance), "seeds": len(values)}
        )
    sign = 1 if greater_is_better(metric) else -1
    return sorted(means, key=lambda group: -sign * float(group["mean"]))


def ranked(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The jobs in the content of `sweep.json`, the best first."""
    sign = 1 if greater_is_better(summary["objective"]) else -1
    return sorted(
        summary["jobs"], key=lambda job: (job["value"] is None, -sign * (job["value"] or 0.0))
    )


def varied_keys(summary: Mapping[str, Any]) -> list[str]:
    """The keys that a sweep varies, in the content of `sweep.json`."""
    own = ("run", "status", "value", "seconds")
    return [key for key in (summary["jobs"] or [{}])[0] if key not in own]


def show_results(summary: Mapping[str, Any]) -> None:
    """Prints the jobs of a sweep, the best first, and the means over seeds.

    Args:
        summary: The content of `sweep.json`.
    """
    keys = varied_keys(summary)
    rows = []
    for job in ranked(summary):
        value = "-" if job["value"] is None else f"{job['value']:,.4f}"
        note = "best" if job["run"] == summary["best"] else ""
        note = note if job["status"] == "FINISHED" else job["status"]
        rows.append((job["run"], *(short(job[key]) for key in keys), value, note))
    show_table(("run", *keys, summary["objective"] or "objective", ""), rows)
    for group in summary["over_seeds"]:
        others = " ".join(f"{key}={value}" for key, value in group.items()
                          if key not in ("mean", "sd", "seeds"))  # fmt: skip
        mean = f"{group['mean']:.4f} ± {group['sd']:.4f}"
        print(f"{others or 'all'}: {mean} over {group['seeds']} seeds")


def short(value: str) -> str:
    """A value for people: four digits of a long fraction."""
    try:
        return f"{float(value):.4g}" if "." in value and len(value) > 8 else value
    except ValueError:
        return value
