"""The task type, which follows from the label."""

from enum import StrEnum

import polars as pl


class TaskType(StrEnum):
    """Binary or multiclass classification, or regression."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


def task_type_of(label: pl.Series) -> TaskType:
    """The task type of a label.

    Text is multiclass, true/false or 0/1 is binary, any other number is regression.
    """
    if label.dtype == pl.Boolean:
        return TaskType.BINARY
    if label.dtype.is_numeric():
        return TaskType.BINARY if ((label == 0) | (label == 1)).all() else TaskType.REGRESSION
    return TaskType.MULTICLASS
