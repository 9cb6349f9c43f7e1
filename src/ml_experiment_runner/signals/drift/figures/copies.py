"""Rows that come again."""

# ruff: noqa: D102  Figures documents learn and compute

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml_experiment_runner.signals.drift.figures.parts import Parts
from ml_experiment_runner.signals.drift.figures.table import (
    Figures,
    Table,
    shares,
)
from ml_experiment_runner.signals.drift.rows import Rows

MOST = 0.7  # of the rows may be copies
WINDOWS = (1, 3, 8)  # rows in a row that are compared, where fewer tell nothing


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

    def learn(self, parts: Parts) -> tuple[list[str], int | None]:
        rows = parts.rows
        if self.with_time:
            fields = [*rows.contents, rows.event or ""]
            return fields, 1 if tells_copies(rows, fields, 1) else None
        return rows.contents, _window(rows, rows.contents)

    def compute(self, model: tuple[list[str], int | None], parts: Parts) -> Iterator[Table]:
        fields, window = model
        if window is None:
            return
        hashes = row_hashes(fields, parts.rows, window)
        by_part = [hashes[parts.label == number] for number in range(parts.count)]
        copies = [float(len(each) - len(np.unique(each))) for each in by_part]
        what = "what identifies them" if self.with_time else "their time and what identifies them"
        yield shares(
            [((), "copies")], np.array([copies]), parts.sizes,
            lambda _, now, usual: f"{now:.1%} of {_counted(window)} as another but for {what}, "
            f"expected {usual:.1%}",
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
        window = _window(parts.rows, fields)
        if window is None:
            return {}
        hashes = row_hashes(fields, parts.rows, window)
        return {
            "fields": fields, "window": window, "last": hashes[parts.label == parts.count - 1]
        }  # fmt: skip

    def compute(self, model: dict[str, Any], parts: Parts) -> Iterator[Table]:
        if not model:
            return
        hashes = row_hashes(model["fields"], parts.rows, model["window"])
        by_part = [hashes[parts.label == number] for number in range(parts.count)]
        # what comes before the first of several parts is not known
        before = [model["last"] if parts.count == 1 else None, *by_part[:-1]]
        again = [
            np.nan if other is None else float(np.isin(each, other).sum())
            for other, each in zip(before, by_part, strict=True)
        ]
        yield shares(
            [((), "again")], np.array([again]), parts.sizes,
            lambda _, now, usual: f"{now:.1%} of {_counted(model['window'])} as one of the "
            f"delivery before but for their time and what identifies them, expected {usual:.1%}",
        )  # fmt: skip


def _window(rows: Rows, fields: Sequence[str]) -> int | None:
    """How many rows in a row have to be the same for copies to say something; None for never.

    A table of a single number, or of few codes, tells it by what follows what.
    """
    windows = WINDOWS if rows.event is not None else WINDOWS[:1]
    return next((window for window in windows if tells_copies(rows, fields, window)), None)


def _counted(window: int) -> str:
    return "the rows are" if window == 1 else f"runs of {window} rows of a place are"


def tells_copies(rows: Rows, fields: Sequence[str], window: int) -> bool:
    """Whether copies say anything, as in a table of more than a few different rows."""
    if not fields or (len(fields) < 2 and window == 1):
        return False
    hashes = pl.Series(row_hashes(fields, rows, window))
    return bool(hashes.is_duplicated().sum() <= MOST * len(rows))


def row_hashes(fields: Sequence[str], rows: Rows, window: int) -> NDArray[np.uint64]:
    """By row, what stands for its fields and those of the rows that follow it at its place."""
    frame = rows.frame.select(fields)
    if window > 1:
        assert rows.event is not None
        order = rows.frame.select(pl.arg_sort_by([*rows.places, rows.event])).to_series()
        ordered = frame[order]
        following = [ordered.select(pl.all().shift(-place).name.suffix(f"\0{place}"))
                     for place in range(1, window)]  # fmt: skip
        frame = pl.concat([ordered, *following], how="horizontal")[order.arg_sort()]
    hashes: NDArray[np.uint64] = frame.hash_rows(seed=7).to_numpy()
    return hashes
