"""A model evaluated on groups of rows: where it is worse than on the whole."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from omegaconf import DictConfig, open_dict

from ml_experiment_runner.config.metrics import METRICS, greater_is_better
from ml_experiment_runner.dataset.dataset import Dataset, load_dataset
from ml_experiment_runner.dataset.join import PREDICTION_TIME
from ml_experiment_runner.dataset.plan import SPLIT
from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record.findings import Finding
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.training.arrays import Floats
from ml_experiment_runner.training.evaluation.evaluate import (
    bootstrap_counts,
    measure,
    percentile_interval,
)

FILE = "slices.json"
METRIC = {TaskType.BINARY: "roc_auc", TaskType.MULTICLASS: "roc_auc", TaskType.REGRESSION: "mae"}
TIMES = {"month": "%Y-%m", "weekday": "%u %a", "hour": "%H"}
FEW = 12  # more different numbers than this are put into four groups of equally many rows


@dataclass(frozen=True)
class Slice:
    """The rows of one group, and how well they are predicted.

    Attributes:
        name: The field and its value, such as `carrier=HA`.
        rows: How many there are.
        value: The metric on them; None where it has none, such as ROC AUC of one class.
        low: Lower end of its bootstrap 95 % interval; None likewise.
        high: Upper end.
        is_worse: Whether it is worse than on all rows, by more than chance explains: at 5 % over
            all slices together (Bonferroni).
    """

    name: str
    rows: int
    value: float | None
    low: float | None
    high: float | None
    is_worse: bool


def columns(config: DictConfig, dataset: Dataset) -> pl.DataFrame:
    """The test split's values of `dataset.slices`: names in FEATURES, or month, weekday or hour.

    Raises:
        UserError: A name is no feature and no time, or the field is classified.
    """
    names = list(config.dataset.slices)
    frame = dataset.frame
    others = [name for name in names if name not in dataset.features and name not in TIMES]
    if others:  # features that the model does not use: the same rows, in the same order
        asked = config.copy()
        with open_dict(asked):
            asked.dataset.features = others
        more = load_dataset(asked)
        if hidden := more.classified & set(others):
            raise UserError(f"dataset.slices: '{min(hidden)}' reads a classified field, and slices "
                            "are named in the record; leave it out")  # fmt: skip
        frame = frame.with_columns(more.frame[name] for name in others)
    if hidden := dataset.classified & set(names):
        raise UserError(f"dataset.slices: '{min(hidden)}' reads a classified field, and slices "
                        "are named in the record; leave it out")  # fmt: skip
    for name in names:
        if name in TIMES and name not in frame.columns:
            if PREDICTION_TIME not in frame.columns:
                raise UserError(
                    f"dataset.slices: '{name}' needs a prediction time, and this dataset has none; "
                    "name some of FEATURES in features.py"
                )
            local = pl.col(PREDICTION_TIME).dt.convert_time_zone(dataset.time_zone)
            frame = frame.with_columns(local.dt.strftime(TIMES[name]).alias(name))
    return frame.filter(pl.col(SPLIT) == "test").select(names)


def evaluate_slices(
    task_type: TaskType,
    groups: pl.DataFrame,
    label: NDArray[Any],
    prediction: Floats,
    evaluation: DictConfig,
    seed: int,
    classes: Sequence[str] = (),
) -> list[Slice]:
    """Every group of `evaluation.slice_rows` rows or more, the worst first.

    Args:
        task_type: The question, which follows from the label.
        groups: A column for each field, of the rows that were predicted.
        label: The truth, shape (rows,).
        prediction: As `evaluate` takes it.
        evaluation: Its `bootstrap` and `slice_rows` are used.
        seed: Seed of the bootstrap samples.
        classes: The classes, of a label that names several.
    """
    metric = METRIC[task_type]
    sign = 1 if greater_is_better(metric) else -1

    def measured(rows: NDArray[Any], counts: NDArray[np.int64]) -> Floats:
        measurement = measure(task_type, label[rows], prediction[rows], None, classes)
        return measurement.metrics(counts)[metric]

    def once(rows: NDArray[Any]) -> float:
        return float(measured(rows, np.ones((1, len(rows)), dtype=np.int64))[0])

    whole = once(np.arange(len(label)))
    groups_of_rows = [
        (f"{name}={value}", rows)
        for name in groups.columns
        for value, rows in _rows_by_value(groups[name]).items()
        if evaluation.slice_rows <= len(rows) < len(label)
    ]
    bound = NormalDist().inv_cdf(1 - 0.05 / max(len(groups_of_rows), 1))
    slices = []
    for name, rows in groups_of_rows:
        value = once(rows)
        replicates = np.concatenate(
            [
                measured(rows, counts)
                for counts in bootstrap_counts(len(rows), evaluation.bootstrap, seed)
            ]
        )
        interval = percentile_interval(replicates)
        if np.isnan(value) or interval is None:
            slices.append(Slice(name, len(rows), None, None, None, is_worse=False))
            continue
        is_worse = bool(sign * (whole - value) > bound * np.nanstd(replicates))
        slices.append(Slice(name, len(rows), value, *interval, is_worse))
    return sorted(slices, key=lambda group: (group.value is None, sign * (group.value or 0)))


def record_slices(
    run: Run, task_type: TaskType, whole: float, slices: Sequence[Slice]
) -> list[Finding]:
    """Keeps the slices as `slices.json` and names the worst ones.

    Args:
        run: Whose test split it is.
        task_type: The question, which follows from the label.
        whole: The metric on all rows.
        slices: The worst first.

    Returns:
        A finding for each slice that is worse than the whole.
    """
    metric = METRIC[task_type]
    table = {"metric": metric, "whole": whole, "slices": [asdict(group) for group in slices]}
    run.log_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n", FILE)
    worse = [group for group in slices if group.is_worse]
    if worse:
        named = ", ".join(f"{group.name} ({group.value:.4g})" for group in worse[:3])
        run.log_tag("worst_slices", named)
    return [
        Finding(
            "weak_slice",
            group.name,
            f"{METRICS[metric].label} {group.value:.4g} [{group.low:.4g}, {group.high:.4g}] on "
            f"{group.rows:,} rows; {whole:.4g} on all",
            asdict(group) | {"metric": metric, "whole": whole},
        )
        for group in worse
    ]


def _rows_by_value(values: pl.Series) -> dict[str, NDArray[np.int64]]:
    """Positions of the rows by their value; many different numbers are put into four groups."""
    if values.dtype.is_numeric() and values.n_unique() > FEW:
        edges = sorted({values.quantile(share) or 0.0 for share in (0.25, 0.5, 0.75)})
        ends = [f"{edge:.6g}" for edge in edges]
        between = [f"{low} to {high}" for low, high in pairwise(ends)]
        names = [f"up to {ends[0]}", *between, f"above {ends[-1]}"]
        bins = np.searchsorted(edges, values.fill_null(0).to_numpy(), side="left")
        named = pl.Series([names[number] for number in bins])
        values = named.set(values.is_null(), None)
    frame = pl.DataFrame({"value": values.cast(pl.String).fill_null("missing")}).with_row_index()
    return {
        str(group["value"][0]): group["index"].to_numpy().astype(np.int64)
        for group in frame.partition_by("value", maintain_order=True)
    }
