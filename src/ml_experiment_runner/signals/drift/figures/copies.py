"""Rows that come again."""

# ruff: noqa: D102  Figures documents learn and compute

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_experiment_runner.signals.drift.figures.parts import Parts
from ml_experiment_runner.signals.drift.figures.table import (
    Figures,
    Table,
    shares,
)
from ml_experiment_runner.signals.drift.rows import Rows

MOST = 0.7  # of the rows may be copies


class Copies(Figures):
    """Rows that are like another of the delivery but for what identifies them.

    When nothing changed, their share has a binomial error around what is expected (`shares`).

    Args:
        with_time: They have to be of one time as well, as rows are that were sent twice.
    """

    kind = "copies"
    is_seasonal = False
    is_of_all = True

    def __init__(self, *, with_time: bool) -> None:
        self.with_time = with_time

    def learn(self, parts: Parts) -> list[str]:
        rows = parts.rows
        fields = [*rows.contents, rows.event or ""] if self.with_time else rows.contents
        return fields if _tells(rows, fields) else []

    def compute(self, model: list[str], parts: Parts) -> Iterator[Table]:
        if not model:
            return
        hashes = _hashes(model, parts.rows)
        by_part = [hashes[parts.label == number] for number in range(parts.count)]
        copies = [float(len(each) - len(np.unique(each))) for each in by_part]
        what = "what identifies them" if self.with_time else "their time and what identifies them"
        yield shares(
            [((), "copies")], np.array([copies]), parts.sizes,
            lambda _, now, usual: f"{now:.1%} of the rows are as another but for {what}, expected "
            f"{usual:.1%}",
        )  # fmt: skip


class Again(Figures):
    """Rows that are like one of the delivery before but for their time and what identifies them.

    When nothing changed, their share has a binomial error around what is expected (`shares`).
    """

    kind = "copies"
    is_seasonal = False
    is_of_all = True

    def learn(self, parts: Parts) -> dict[str, Any]:
        fields = parts.rows.contents
        if not _tells(parts.rows, fields):
            return {}
        hashes = _hashes(fields, parts.rows)
        return {"fields": fields, "last": hashes[parts.label == parts.count - 1]}

    def compute(self, model: dict[str, Any], parts: Parts) -> Iterator[Table]:
        if not model:
            return
        hashes = _hashes(model["fields"], parts.rows)
        by_part = [hashes[parts.label == number] for number in range(parts.count)]
        # what comes before the first of several parts is not known
        before = [model["last"] if parts.count == 1 else None, *by_part[:-1]]
        again = [
            np.nan if other is None else float(np.isin(each, other).sum())
            for other, each in zip(before, by_part, strict=True)
        ]
        yield shares(
            [((), "again")], np.array([again]), parts.sizes,
            lambda _, now, usual: f"{now:.1%} of the rows are as one of the delivery before but "
            f"for their time and what identifies them, expected {usual:.1%}",
        )  # fmt: skip


def _tells(rows: Rows, fields: Sequence[str]) -> bool:
    """Whether copies say anything, as in a table of more than a few different rows."""
    if len(fields) < 2:
        return False
    return bool(rows.frame.select(fields).is_duplicated().sum() <= MOST * len(rows))


def _hashes(fields: Sequence[str], rows: Rows) -> NDArray[np.uint64]:
    hashes: NDArray[np.uint64] = rows.frame.select(fields).hash_rows(seed=7).to_numpy()
    return hashes
