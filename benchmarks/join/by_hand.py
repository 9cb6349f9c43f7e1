"""The same dataset as one would write it with polars; the argument is the snapshots' folder."""

import sys
from pathlib import Path

import polars as pl
from measured import measure

data = Path(sys.argv[1])


def join() -> pl.DataFrame:
    # sorted by time once, joined with each signal, and put back into its order
    frame = (
        pl.scan_parquet(data / "orders" / "*.parquet")
        .select("at", "store", "amount", "returned")
        .with_row_index("place")
        .filter(pl.col("returned").is_not_null())
        .sort("at")
    )
    for number in range(1, 6):
        signal = (
            pl.scan_parquet(data / f"signal_{number}" / "*.parquet")
            .select(
                (pl.col("at") + pl.duration(hours=number)).alias("known"),
                "store",
                pl.col("value").alias(f"value_{number}"),
            )
            .sort("known")
        )
        frame = frame.join_asof(
            signal,
            left_on="at",
            right_on="known",
            by="store",
            tolerance="30d",
            check_sortedness=False,
        ).drop("known")
    test = pl.col("at").max().dt.truncate("1mo")
    part = (
        pl.when(pl.col("at") >= test)
        .then(pl.lit("test"))
        .when(pl.col("at") >= test.dt.offset_by("-1mo"))
        .then(pl.lit("validation"))
        .otherwise(pl.lit("train"))
    )
    return (
        frame.sort("place")
        .select(
            "amount",
            *(f"value_{number}" for number in range(1, 6)),
            pl.col("at").alias("prediction_time"),
            pl.col("returned").cast(pl.Int8),
            part.cast(pl.Enum(["train", "validation", "test"])).alias("split"),
        )
        .collect()
    )


measure(join)
