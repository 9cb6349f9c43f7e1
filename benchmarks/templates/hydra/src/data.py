"""The data module: one Parquet file, whose column `part` says what a row is for."""

from collections.abc import Sequence

import numpy as np
import polars as pl


class TableDataModule:
    def __init__(
        self, path: str, label: str, categories: Sequence[str], numbers: Sequence[str]
    ) -> None:
        self.path = path
        self.label = label
        self.features = [*categories, *numbers]
        self.frame: pl.DataFrame | None = None

    def setup(self) -> None:
        if self.frame is None:
            self.frame = pl.read_parquet(self.path)

    def part(self, name: str) -> tuple[pl.DataFrame, np.ndarray]:
        rows = self.frame.filter(pl.col("split") == name)
        return rows.select(self.features), rows[self.label].to_numpy()
