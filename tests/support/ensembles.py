"""Rows of three groups, and the configuration of an ensemble of them."""

from typing import Any

import numpy as np
import polars as pl
from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.dataset.dataset import Dataset
from ml_experiment_runner.dataset.task_type import TaskType

GROUPS = {"clock": ["hour", "shop"], "sky": ["rain", "wind", "cloud"], "plane": ["seats", "maker"]}
LINEAR = {"_target_": "sklearn.linear_model.LogisticRegression", "C": 1.0}
RIDGE = {"_target_": "sklearn.linear_model.Ridge", "alpha": 1.0}


def rows(count: int, seed: int) -> pl.DataFrame:
    """Three groups that each tell something, with gaps; the third often says nothing."""
    draw = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "hour": draw.integers(0, 24, count),
            "shop": draw.choice(["a", "b", "c"], count),
            "rain": np.where(draw.random(count) < 0.1, np.nan, draw.exponential(1, count)),
            "wind": draw.normal(10, 3, count),
            "cloud": draw.random(count),
            "seats": draw.integers(50, 300, count),
            "maker": draw.choice(["x", "y"], count),
        }
    ).with_columns(pl.col("rain").fill_nan(None))
    gone = pl.Series(draw.random(count) < 0.2)
    frame = frame.with_columns(
        pl.when(~gone).then(pl.col(name)).alias(name) for name in GROUPS["plane"]
    )
    signal = (
        0.1 * (frame["hour"] - 12)
        + 0.5 * frame["rain"].fill_null(1.0)
        + 0.004 * (frame["seats"].fill_null(175) - 175)
        + (frame["shop"] == "a").cast(pl.Float64)
        - 1.0
    )
    noise = pl.Series(draw.logistic(size=count))
    return frame.with_columns((signal + noise).alias("delay"))


def make(task_type: TaskType, count: int = 3000, seed: int = 0) -> Dataset:
    frame = rows(count, seed)
    label = {
        TaskType.BINARY: (pl.col("delay") > 0).cast(pl.Int8),
        TaskType.MULTICLASS: pl.when(pl.col("delay") > 1)
        .then(pl.lit("late"))
        .when(pl.col("delay") < -1)
        .then(pl.lit("early"))
        .otherwise(pl.lit("on time")),
        TaskType.REGRESSION: pl.col("delay") * 30,
    }[task_type]
    share = np.arange(count) / count
    split = np.where(share < 0.6, "train", np.where(share < 0.8, "validation", "test"))
    frame = frame.with_columns(label.alias("label"), pl.Series("split", split)).drop("delay")
    reads = {name: {signal: {name}} for signal, names in GROUPS.items() for name in names}
    return Dataset(frame, "f", list(reads), "label", {}, 0, reads=reads)


def configured(task_type: TaskType = TaskType.BINARY, **model: Any) -> DictConfig:
    model_config = {
        "_target_": "ml_experiment_runner.training.models.ensemble.Ensemble",
        "groups": None,
        "member": RIDGE if task_type == TaskType.REGRESSION else LINEAR,
        "members": {},
        "fusion": "bounded",
        "blast_radius": 2.0,
        "max_quality_gap": 0.01,
        "folds": 3,
    }
    return OmegaConf.create(
        {
            "model": model_config | model,
            "seed": 0,
            "threads": None,
            "package": "own",
            "evaluation": {"bootstrap": 50},
            "debug": {"rows": None, "overfit": False},
        }
    )
