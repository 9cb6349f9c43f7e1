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


class Copies(Figures):
    """Rows that are like another but for what identifies them, in the same delivery or the last.

    Once with the event time, as rows are that were sent twice, and once without it.
    """

    kind = "copies"
    is_rough = False
    is_of_all = True
    MOST = 0.7  # of a table with few different rows, copies tell nothing

    def learn(self, parts: Parts) -> dict[str, Any]:
        rows = parts.rows
        names = rows.contents
        possible = [[*names, rows.event or ""], names] if len(names) > 1 else []
        sets = [
            fields for fields in possible
            if rows.frame.select(fields).is_duplicated().sum() <= self.MOST * len(rows)
        ]  # fmt: skip
        last = parts.label == parts.count - 1
        return {"fields": sets, "last": [self._hashes(fields, rows)[last] for fields in sets]}

    def compute(self, model: dict[str, Any], parts: Parts) -> Iterator[Table]:
        for fields, last in zip(model["fields"], model["last"], strict=True):
            hashes = self._hashes(fields, parts.rows)
            by_part = [hashes[parts.label == number] for number in range(parts.count)]
            within = [float(len(each) - len(np.unique(each))) for each in by_part]
            # what comes before the first of several parts is not known
            before = [last if parts.count == 1 else None, *by_part[:-1]]
            again = [
                np.nan if other is None else float(np.isin(each, other).sum())
                for other, each in zip(before, by_part, strict=True)
            ]
            words = ("another", "one of the delivery before")

            def message(
                number: int, now: float, usual: float, words: tuple[str, str] = words
            ) -> str:
                return (f"{now:.1%} of the rows are as {words[number]} but for what identifies "
                        f"them, expected {usual:.1%}")  # fmt: skip

            yield shares([((), "copies"), ((), "again")], np.array([within, again]), parts.sizes,
                         message)  # fmt: skip

    @staticmethod
    def _hashes(fields: Sequence[str], rows: Rows) -> NDArray[np.uint64]:
        hashes: NDArray[np.uint64] = rows.frame.select(fields).hash_rows(seed=7).to_numpy()
        return hashes
