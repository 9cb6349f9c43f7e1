"""What texts look like."""

# ruff: noqa: D102  Figures documents learn and compute

from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import polars as pl

from ml_experiment_runner.signals.drift.figures.clusters import clusters_of_means
from ml_experiment_runner.signals.drift.figures.parts import Parts
from ml_experiment_runner.signals.drift.figures.scaling import error_of_mean, moments
from ml_experiment_runner.signals.drift.figures.table import (
    FEWEST,
    Figures,
    Table,
    daily_shares,
)


class TextForms(Figures):
    """What texts look like: their length, and which characters they have.

    When nothing changed, shares of texts with such characters have a binomial error around what is
    expected (`shares`), and the mean length that of a mean.
    """

    kind = "form of texts"
    PATTERNS: ClassVar = {
        "other than ASCII characters": r"[^\x00-\x7F]",
        "lower case": r"[a-z]",
        "upper case": r"[A-Z]",
        "a digit": r"\d",
        "a space at an end": r"^\s|\s$",
        "a space": r"\S\s+\S",
        "a hyphen, dot or slash": r"[-./_]",
    }

    def learn(self, parts: Parts) -> list[str]:
        # numbers that are given one after the other get longer by themselves
        return [name for name, texts in parts.rows.texts.items()
                if parts.rows.frame[name].dtype == texts.dtype]  # fmt: skip

    def compute(self, model: list[str], parts: Parts) -> Iterator[Table]:
        for name in model:
            texts = parts.rows.texts[name]
            there = texts.is_not_null().to_numpy()
            label = parts.label[there]
            distinct = texts.filter(pl.Series(there)).to_frame("text").with_columns(
                pl.col("text").rank("dense").cast(pl.Int64).alias("number") - 1
            )  # fmt: skip
            codes = distinct["number"].to_numpy()
            each = distinct.unique("number").sort("number")["text"]
            flags = [each.str.contains(pattern).to_numpy() for pattern in self.PATTERNS.values()]
            lengths = each.str.len_chars().to_numpy().astype(np.float64)
            numbers = np.full(len(there), -1)
            numbers[there] = codes
            daily = parts.daily_flags([*(np.append(flag, False)[numbers] for flag in flags), there])
            labels = list(self.PATTERNS)

            def message(
                number: int, now: float, usual: float, labels: Sequence[str] = labels
            ) -> str:
                return f"{now:.1%} of the texts have {labels[number]}, expected {usual:.1%}"

            yield daily_shares(
                [((name,), label) for label in labels], parts, daily[:-1], daily[-1], message
            )
            count, mean, deviation = moments(lengths[codes], label, parts.count)
            long = np.append(lengths, np.nan)[numbers]

            def in_length(_: int, now: float, expected: float) -> str:
                return f"its texts have {now:.1f} characters on average, expected {expected:.1f}"

            yield Table([((name,), "length")], np.where(count >= FEWEST, mean, np.nan)[None],
                        error_of_mean(count, deviation)[None], np.array([0.1]),
                        in_length, clusters_of_means(parts, long))  # fmt: skip
