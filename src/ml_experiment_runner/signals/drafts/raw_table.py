"""The rows that a contract is drafted from, as their source has them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from ml_experiment_runner.signals.contract.dialect import DEFAULT, Dialect


@dataclass(frozen=True)
class Raw:
    """Rows as their source has them.

    Attributes:
        frame: Under the names of the source; numbers of a CSV are written with a point.
        written: Columns whose source writes every type as a text.
        nulls: Texts in them that stand for nothing, and are null here.
        dialect: How the files are written.
        kinds: Types of columns that are texts here and objects or lists in the source.
    """

    frame: pl.DataFrame
    written: Collection[str]
    nulls: Sequence[str] = ()
    dialect: Dialect = DEFAULT
    kinds: Mapping[str, str] = field(default_factory=dict)
