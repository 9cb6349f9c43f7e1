"""Recorded runs that can be compared."""

from pathlib import Path
from typing import Any

import numpy as np

from ml_experiment_runner.dataset.dataset import Dataset
from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.training.evaluation.evaluate import evaluate
from ml_experiment_runner.training.evaluation.predictions import write_predictions
from support.folders import write_run

ROWS = 3000
DRAW = np.random.default_rng(0)
TRUTH = DRAW.normal(size=ROWS)
LABEL = (TRUTH > 0).astype(np.int8)


class Into:
    """Takes the place of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def log_artifact(self, *_: Any) -> None:
        pass


def predicted(folder: Path, label: np.ndarray, prediction: np.ndarray, **more: Any) -> None:
    import polars as pl

    frame = pl.DataFrame({"y": label, "split": ["test"] * len(label)})
    run: Any = Into(folder)
    dataset = Dataset(frame, "f", [], "y", {}, 0, **more)
    write_predictions(run, dataset, label, prediction)


def a_run(
    outputs: Path,
    name: str,
    noise: float,
    data: str = "rows",
    experiment: str = "baseline",
    day: int = 1,
    **params: str,
) -> Path:
    """A recorded run whose score is the truth with so much noise."""
    ours = np.random.default_rng(int(name[-1])).normal(size=ROWS)
    score = 1 / (1 + np.exp(-(TRUTH + noise * ours)))
    metrics = evaluate(TaskType.BINARY, LABEL, score, None, 50, 0)
    folder = write_run(
        outputs, f"{experiment}/2026-11-0{day}/10-00-00-{name}",
        metrics={f"{split}/{key}": value for key, value in metrics.items()
                 for split in ("validation", "test")} | {"seconds/fit": 200.0},
        params=params, **{"dataset.judged": data},
    )  # fmt: skip
    predicted(folder, LABEL, score)
    return folder
