"""Which rows are for training, validation and test."""

import hashlib
import re
from collections.abc import Mapping, Sequence

import polars as pl

from ml_experiment_runner.project.errors import UserError

SPLITS = ("train", "validation", "test")
SPLIT_TYPE = pl.Enum(SPLITS)


def check_split(split: Mapping[str, str]) -> None:
    """Checks the sizes of the validation and the test split.

    Args:
        split: `by`, `validation` and `test` of `dataset.split`.

    Raises:
        UserError: One is neither a duration, by time, nor a share, at random.
    """
    sizes = {key: str(split[key]) for key in ("validation", "test")}
    for key, size in sizes.items():
        if split["by"] == "time" and not re.fullmatch(r"[1-9]\d{0,3}(h|d|w|mo|q|y)", size):
            raise UserError(
                f"dataset.split.{key} must be a duration such as 1mo, 2w or 10d, got {size!r}"
            )
        if split["by"] == "random" and not (re.fullmatch(r"0?\.\d+", size) and float(size) > 0):
            raise UserError(
                f"dataset.split.{key} must be a share of the rows such as 0.2, got {size!r}"
            )
    if split["by"] == "random" and sum(map(float, sizes.values())) >= 1:
        raise UserError(
            "dataset.split: validation and test must sum to less than 1, got "
            f"{sum(map(float, sizes.values())):g}"
        )


def split_by_time(prediction_times: pl.Series, validation: str, test: str, zone: str) -> pl.Series:
    """The last calendar period is for the test, the one before it for validation.

    Args:
        prediction_times: Of each row, without nulls.
        validation: A duration of one unit, such as `1mo`, `2w` or `10d`.
        test: The same; the test period begins with a calendar period of this length.
        zone: The time zone of the calendar.
    """
    local = pl.lit(prediction_times.max()).dt.convert_time_zone(zone)
    start = local.dt.truncate(test)
    before = start.dt.offset_by(f"-{validation}")
    split = (
        pl.when(pl.col("prediction_time") >= start)
        .then(pl.lit("test"))
        .when(pl.col("prediction_time") >= before)
        .then(pl.lit("validation"))
        .otherwise(pl.lit("train"))
    )
    frame = pl.DataFrame({"prediction_time": prediction_times.dt.convert_time_zone(zone)})
    return frame.select(split.cast(SPLIT_TYPE).alias("split"))["split"]


def split_at_random(keys: Sequence[pl.Series], validation: str, test: str) -> pl.Series:
    """By a hash of each row's key: a row stays in its split, whatever other rows come or go.

    Args:
        keys: The columns of the key.
        validation: A share such as 0.2.
        test: The same.
    """
    shares = (float(validation), float(test))
    texts = pl.select(
        pl.concat_str([key.cast(pl.String) for key in keys], separator="\0")
    ).to_series()
    limit_test, limit_validation = shares[1] * 2**64, sum(shares) * 2**64

    def split_of(text: str) -> str:
        number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
        return "test" if number < limit_test else (
            "validation" if number < limit_validation else "train"
        )  # fmt: skip

    return pl.Series("split", [split_of(text) for text in texts], dtype=SPLIT_TYPE)
