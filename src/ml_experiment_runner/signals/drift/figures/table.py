"""Figures of a delivery, and how shares are made one."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ml_experiment_runner.signals.drift.figures.clusters import (
    Clusters,
    clusters_of_shares,
    in_parts,
)
from ml_experiment_runner.signals.drift.figures.parts import Parts
from ml_experiment_runner.signals.drift.rows import Numbers

FEWEST = 10  # rows that a share or a mean needs
MATERIAL = 0.004  # of the rows: what is less is too little to hold a delivery for


@dataclass(frozen=True)
class Table:
    """Some figures of one kind.

    Attributes:
        names: By figure, the fields that it is about and what tells it from others of these.
        values: By figure and part, on a scale on which differences count.
        noise: Their standard errors by chance alone.
        floor: By figure, what is too small a difference to matter.
        message: Says in words what a figure is now and was expected to be.
        clusters: How far the rows of a day are alike; None where that is no matter.
    """

    names: Sequence[tuple[tuple[str, ...], str]]
    values: Numbers
    noise: Numbers
    floor: Numbers
    message: Callable[[int, float, float], str]
    clusters: Clusters | None = None


class Figures(ABC):
    """A kind of figures.

    Attributes:
        kind: How messages call it.
        is_seasonal: A season moves it.
        is_apart: Its figures of a field hardly depend on each other, as the shares of many codes.
        of_codes: Its figures are of a number by code.
        is_of_all: It counts rows, so that some of them do not tell it.
    """

    kind: ClassVar[str]
    is_seasonal: ClassVar[bool] = True
    is_apart: ClassVar[bool] = False
    of_codes: ClassVar[bool] = False
    is_of_all: ClassVar[bool] = False

    def learn(self, parts: Parts) -> Any:  # noqa: ARG002
        """What has to be known of the past before its parts are counted; mostly nothing."""
        return None

    @abstractmethod
    def compute(self, model: Any, parts: Parts) -> Iterator[Table]:
        """The figures of each part."""


def shares(
    names: Sequence[tuple[tuple[str, ...], str]],
    counts: Numbers,
    totals: Numbers,
    message: Callable[[int, float, float], str],
    clusters: Clusters | None = None,
) -> Table:
    """Shares as angles, which chance moves alike whether they are small or large.

    The arcsine transformation (Anscombe, The Transformation of Poisson, Binomial and
    Negative-Binomial Data, Biometrika 1948).

    Args:
        names: Of the figures.
        counts: Rows by figure and part.
        totals: Of how many, in the same shape or by part.
        message: Gets the figure's number and both shares.
        clusters: How far the rows of a day are alike.
    """
    totals = np.broadcast_to(totals, counts.shape)
    with np.errstate(all="ignore"):
        values = np.where(totals >= FEWEST, angle(counts / totals), np.nan)
        usual = np.nansum(counts, axis=1) / np.maximum(totals.sum(axis=1), 1)
    noise = 1 / np.sqrt(np.maximum(totals, 1))
    lower, upper = np.maximum(usual - MATERIAL, 0), np.minimum(usual + MATERIAL, 1)
    floor = (angle(upper) - angle(lower)) / 2

    def in_words(number: int, now: float, expected: float) -> str:
        return message(number, share_of(now), share_of(expected))

    return Table(names, values, noise, floor, in_words, clusters)


def daily_shares(
    names: Sequence[tuple[tuple[str, ...], str]],
    parts: Parts,
    daily: Numbers,
    totals: Numbers,
    message: Callable[[int, float, float], str],
) -> Table:
    """Shares of rows that are known by day.

    Args:
        names: Of the figures.
        parts: The parts.
        daily: Rows by figure and day.
        totals: Of how many, by day.
        message: Gets the figure's number and both shares.
    """
    clusters = clusters_of_shares(parts, daily, totals)
    counts, whole = in_parts(parts, daily), in_parts(parts, totals[None])[0]
    return shares(names, counts, whole, message, clusters)


def angle(share: Numbers) -> Numbers:
    """Shares as angles, in radians from 0 to pi."""
    angles: Numbers = 2 * np.arcsin(np.sqrt(share))
    return angles


def share_of(angle: float) -> float:
    """The share that an angle stands for."""
    return float(np.sin(min(max(angle, 0.0), np.pi) / 2) ** 2)
