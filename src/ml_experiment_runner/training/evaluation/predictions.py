"""A model's predictions of the test split, kept so that runs can be compared row by row."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from numpy.typing import NDArray

from ml_experiment_runner.dataset.dataset import Dataset
from ml_experiment_runner.dataset.task_type import TaskType, task_type_of
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.training.arrays import Floats

FILE = "predictions.parquet"
LABEL, PREDICTION = "label", "prediction"


@dataclass(frozen=True)
class Predictions:
    """Truth and predictions of one split, in the order of the dataset's rows.

    Attributes:
        task_type: The question, which follows from the label.
        label: The truth, shape (rows,).
        prediction: As `evaluate` takes it.
        classes: The classes, of a label that names several.
    """

    task_type: TaskType
    label: NDArray[Any]
    prediction: Floats
    classes: tuple[str, ...]


def write_predictions(run: Run, dataset: Dataset, label: NDArray[Any], prediction: Floats) -> None:
    """Records them as `predictions.parquet`; not where the label reads a classified field.

    Args:
        run: Whose test split it is.
        dataset: What was learned.
        label: The truth, shape (rows,).
        prediction: As `evaluate` takes it.
    """
    if dataset.label in dataset.classified:
        return
    columns = [pl.Series(LABEL, label)]
    if dataset.classes:
        columns += [
            pl.Series(f"{PREDICTION}/{name}", prediction[:, number])
            for number, name in enumerate(dataset.classes)
        ]
    else:
        columns.append(pl.Series(PREDICTION, prediction))
    path = run.folder / "artifacts" / FILE
    pl.DataFrame(columns).write_parquet(path)
    run.log_artifact(path, FILE)


def read_predictions(folder: Path) -> Predictions | None:
    """Those in a run's folder; None where there are none."""
    path = folder / "artifacts" / FILE
    if not path.is_file():
        return None
    frame = pl.read_parquet(path, glob=False)
    label = frame[LABEL]
    prefix = f"{PREDICTION}/"
    classes = tuple(name.removeprefix(prefix) for name in frame.columns if name.startswith(prefix))
    if classes:
        chances = frame.select(pl.selectors.starts_with(prefix)).to_numpy()
        return Predictions(TaskType.MULTICLASS, label.to_numpy().astype(str), chances, classes)
    return Predictions(task_type_of(label), label.to_numpy(), frame[PREDICTION].to_numpy(), ())
