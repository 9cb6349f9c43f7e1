"""Breaks the features of a signal in every way that comes to mind, and sees what that moves."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl


def corrupted(features: pl.DataFrame, names: list[str], draw: np.random.Generator) -> pl.DataFrame:
    """One group's columns broken in some way, in all rows or in some of them."""
    broken = features.select(names)
    ways = ("nan", "infinite", "huge", "swapped", "shuffled", "constant", "missing", "texts")
    way = draw.choice(ways)
    rows = len(broken)
    for name in draw.permutation(names)[: draw.integers(1, len(names) + 1)].tolist():
        values = broken[name]
        some = pl.Series(draw.random(rows) < draw.choice([0.1, 1.0]))
        if way == "swapped":
            new = broken[str(draw.choice(names))]
        elif way == "shuffled":
            new = values[draw.permutation(rows).tolist()]
        elif way == "constant":
            new = pl.Series([values[int(draw.integers(rows))]] * rows, dtype=values.dtype)
        elif way == "texts":
            new = pl.Series(["no such thing"] * rows)
        elif way == "missing":
            new = pl.Series([None] * rows)
        else:
            sign = draw.choice([-1.0, 1.0])
            new = pl.Series([sign * {"nan": np.nan, "infinite": np.inf, "huge": 1e12}[way]] * rows)
        if new.dtype != values.dtype:
            new, values = new.cast(pl.String), values.cast(pl.String)
            mixed = pl.select(pl.when(some).then(new).otherwise(values)).to_series()
            if way in ("nan", "infinite", "huge") and broken.schema[name] != pl.String:
                mixed = mixed.cast(pl.Float64)
        else:
            mixed = pl.select(pl.when(some).then(new).otherwise(values)).to_series()
        broken = broken.with_columns(mixed.alias(name))
    return features.with_columns(broken)


def most_moved(before: np.ndarray, after: np.ndarray) -> float:
    """The most that a logit, the logit between two classes, or a number has moved."""
    moved = after - before
    return float((moved.max(axis=1) - moved.min(axis=1)).max() if moved.shape[1] > 1
                 else np.abs(moved).max())  # fmt: skip


def moves(
    ensemble: Any, features: pl.DataFrame, groups: Mapping[str, list[str]], count: int, seed: int
) -> list[float]:
    """How far corruptions of one group each move the answers; all at once, as rows are alone."""
    draw = np.random.default_rng(seed)
    frames: dict[str, list[pl.DataFrame]] = {}
    for number in range(count):
        names = list(groups.values())[number % len(groups)]
        broken = corrupted(features, names, draw)
        frames.setdefault(str(broken.schema), []).append(broken)
    before = ensemble.scores(features)
    moved = []
    for same in frames.values():
        after = ensemble.scores(pl.concat(same)).reshape(len(same), *before.shape)
        moved += [most_moved(before, each) for each in after]
    assert len(moved) == count
    return moved
