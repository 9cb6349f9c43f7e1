"""The kind of question, which follows from the label."""

from enum import StrEnum

import polars as pl


class Kind(StrEnum):
    """What a label asks for: a yes or no, one of several classes, or a number."""

    BINARY = "binary"
    MULTICLASS = "multiclass"
    REGRESSION = "regression"


def kind_of(label: pl.Series) -> Kind:
    """The kind of a label: texts are classes, true and false or 0 and 1 binary, others numbers."""
    if label.dtype == pl.Boolean:
        return Kind.BINARY
    if label.dtype.is_numeric():
        return Kind.BINARY if ((label == 0) | (label == 1)).all() else Kind.REGRESSION
    return Kind.MULTICLASS
