"""A sweep: one run with its jobs within it; it can be resumed."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ml_experiment_runner.config.metrics import objective
from ml_experiment_runner.project.errors import RefusedError
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.record.run_reader import RecordedRun, folders, read_run
from ml_experiment_runner.record.sync.client import SyncClient
from ml_experiment_runner.sweeps.job_result import JobResult, best_of, over_seeds, show_results
from ml_experiment_runner.training.pruning import STUDY

FILE = "sweep.json"
OVERRIDES = "sweep.words"
"""Key of the sweep's overrides in the provenance of its run."""
BEST = "sweep.best"


class Sweep:
    """A sweep that is at work.

    Attributes:
        parent: The run that the jobs belong to.
        done: Jobs that have finished before the sweep was interrupted, by their overrides.
        expected: Number of jobs.
    """

    def __init__(self, parent: Run, chosen: str | None) -> None:
        self.parent = parent
        self._chosen = chosen
        self.done = {
            _key(run.provenance.get("overrides", [])): run
            for run in _children(parent.folder, parent.id)
            if run.status == "FINISHED"
        }
        self.expected = 0
        self._ended = len(self.done)

    @classmethod
    def start(
        cls, config: DictConfig, folder: Path, command: list[str], sync_client: SyncClient
    ) -> "Sweep":
        """Opens the sweep's run; one that is in the folder already is resumed.

        Args:
            config: The configuration of its first job.
            folder: `hydra.sweep.dir`.
            command: What was typed.
            sync_client: Sends the records of all of its jobs to MLflow.
        """
        if (folder / "journal.jsonl").exists():
            return cls(Run.resume(config, folder, sync_client), config.objective)
        overrides = [word for word in command[1:] if word not in ("-m", "--multirun")]
        parent = Run.start(config, folder, command, overrides, sync_client)
        parent.log_provenance(OVERRIDES, overrides)
        return cls(parent, config.objective)

    def is_done(self, overrides: Sequence[str]) -> bool:
        """Whether a job with these overrides has finished before."""
        return _key(overrides) in self.done

    def result(self, overrides: Sequence[str]) -> float:
        """The objective of a job that has finished before; NaN where there is none."""
        run = self.done[_key(overrides)]
        return run.metrics.get(objective(self._chosen, run.metrics), math.nan)

    def expect(self, jobs: int) -> None:
        """Takes a number of jobs that the sweep has at least."""
        self.expected = max(self.expected, jobs)

    def count(self) -> str:
        """Counts a job that has ended, such as `2 of 6`."""
        self._ended += 1
        return f"{self._ended} of {self.expected}"

    def close(self, status: str | None) -> None:
        """Records the results, tags the best job, and ends the run.

        Args:
            status: FAILED or KILLED where the sweep was stopped early; else None.

        Raises:
            RefusedError: No job has a value of the chosen objective.
        """
        results = self.results()
        best = best_of(results, self._chosen)
        try:
            self._record(results, best)
            if best is not None:
                self._tag(results, best)
        finally:
            is_done = any(result.run.status == "FINISHED" for result in results)
            self.parent.finish(status or ("FINISHED" if is_done else "FAILED"))
        if is_done and best is None and status is None and self._chosen is not None:
            raise RefusedError(f"objective: no job has a value of '{self._chosen}', so there is no "
                                "best job")  # fmt: skip

    def results(self) -> list[JobResult]:
        """The results of all jobs, in their order; of a job that was run twice, the last."""
        runs = _children(self.parent.folder, self.parent.id)
        # a run that was killed as it began has recorded no overrides
        by_overrides = {
            _key(run.provenance["overrides"]): run for run in runs if "overrides" in run.provenance
        }
        values = [dict(map(_split, overrides)) for overrides in by_overrides]
        varied = [
            key
            for key in dict.fromkeys(key for of_job in values for key in of_job)
            if len({of_job.get(key) for of_job in values}) > 1
        ]
        return [
            JobResult(run, {key: of_job.get(key, "") for key in varied}, _value(run, self._chosen))
            for run, of_job in zip(by_overrides.values(), values, strict=True)
        ]

    def _record(self, results: Sequence[JobResult], best: JobResult | None) -> None:
        from ml_experiment_runner.record.card.page import write_card
        from ml_experiment_runner.sweeps.card_section import CARD_SECTIONS

        scored = [result for result in results if result.value is not None]
        metric = objective(self._chosen, scored[0].run.metrics) if scored else ""
        summary = self._summary(results, metric, best)
        text = json.dumps(summary, indent=2, ensure_ascii=False)
        self.parent.log_text(text + "\n", FILE)
        for status in ("FINISHED", "FAILED", "KILLED", "PRUNED"):
            count = sum(result.status == status for result in results)
            self.parent.log_metric(f"jobs/{status.lower()}", count)
        if best is not None and best.value is not None:
            self.parent.log_metric(f"best/{metric}", best.value)
            self.parent.log_tag(BEST, best.run.id)
        if len(scored) > 1 and scored[0].values:
            from ml_experiment_runner.sweeps.plot import parallel_coordinates

            self.parent.log_figure(parallel_coordinates(scored, metric), "sweep")
        if (study := self.parent.folder / STUDY).exists():
            self.parent.log_artifact(study, STUDY)
        self.parent.settle()
        self.parent.log_artifact(write_card(self.parent.folder, CARD_SECTIONS), "card.html")
        if results:
            show_results(summary)

    @staticmethod
    def _summary(
        results: Sequence[JobResult], metric: str, best: JobResult | None
    ) -> dict[str, Any]:
        """The content of `sweep.json`."""
        return {
            "objective": metric,
            "best": best and best.run.id,
            "jobs": [
                {
                    "run": result.run.id,
                    "status": result.status,
                    **result.values,
                    "value": result.value,
                    "seconds": round(result.run.seconds, 1),
                }
                for result in results
            ],
            "over_seeds": over_seeds(results, metric),
        }

    def _tag(self, results: Sequence[JobResult], best: JobResult) -> None:
        """Tags the best job, and takes the tag from one that was the best before."""
        for result in results:
            is_best = result.run.id == best.run.id
            if is_best or result.run.tags.get(BEST) == "true":
                child = Run.resume(self.parent.config, result.run.folder, self.parent.sync_client)
                child.log_tag(BEST, "true" if is_best else "false")
                child.finish(result.run.status)
                self.parent.children.append(child)


def _children(folder: Path, parent: str) -> list[RecordedRun]:
    """The runs of a sweep in the order in which they began."""
    children = [child for child in folders(folder.parents[2]) if child.parent == folder]
    runs = [run for run in map(read_run, children) if run.parent == parent]
    return sorted(runs, key=lambda run: run.started)


def _value(run: RecordedRun, chosen: str | None) -> float | None:
    if run.status != "FINISHED":
        return None
    value = run.metrics.get(objective(chosen, run.metrics), math.nan)
    return value if math.isfinite(value) else None


def _key(overrides: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(override.lstrip("+") for override in overrides))


def _split(override: str) -> tuple[str, str]:
    key, _, value = override.lstrip("+~").partition("=")
    return key, value
