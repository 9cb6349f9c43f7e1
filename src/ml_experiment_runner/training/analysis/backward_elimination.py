"""Leaving out one thing after another, evaluated again after each: what is needed, what is not.

Leaving out one at a time from the whole calls the best thing worthless where there is a copy of
it. Backward elimination (Marill and Green 1963) takes out the least missed only, evaluates
the rest again, and so finds what stands in for what.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_experiment_runner.config.metrics import greater_is_better
from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.training.arrays import Floats
from ml_experiment_runner.training.evaluation.evaluate import (
    bootstrap_counts,
    measure,
    percentile_interval,
)

Quality = Floats
"""A metric, turned so that more is better: on the rows as they are, then on each bootstrap sample.

The samples are the same for all, so a difference of two is a paired one.
"""


class Worth(StrEnum):
    """The verdict on something that was left out."""

    NEEDED = "needed"
    DOUBTFUL = "doubtful"
    WORTHLESS = "worthless"
    REDUNDANT = "redundant"


@dataclass(frozen=True)
class Loss:
    """How much worse a model is without something, with the ends of the 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


@dataclass
class Verdict:
    """Whether one thing is needed.

    Attributes:
        name: The thing.
        worth: Needed: the model is worse without it. Worthless: it is not, by more than the
            tolerance. Redundant: it is not as long as others are there, which can stand in for
            it. Doubtful: there are too few rows to tell, or no time to evaluate it again.
        loss: Without it, beside those that were there when it was evaluated last.
        alone: Without it alone, all others there.
        instead: What stands in for it.
        round: When it was left out; None if it was not.
    """

    name: str
    worth: Worth
    loss: Loss
    alone: Loss
    instead: list[str] = field(default_factory=list)
    round: int | None = None


@dataclass
class EliminationResult:
    """The verdicts, those that are missed most first, and what it took.

    Attributes:
        verdicts: One for each thing.
        out: What was left out in the end.
        fits: How many models were evaluated.
        is_complete: Whether there was time to evaluate all again.
    """

    verdicts: list[Verdict]
    out: frozenset[str]
    fits: int
    is_complete: bool


def quality(
    task_type: TaskType,
    label: NDArray[Any],
    prediction: Floats,
    metric: str,
    replicates: int,
    seed: int,
    classes: Sequence[str] = (),
) -> Quality:
    """A prediction's metric on the rows and on the bootstrap samples, shape (1 + replicates,)."""
    measured = measure(task_type, label, prediction, None, classes)
    blocks = [
        np.ones((1, len(label)), dtype=np.int64),
        *bootstrap_counts(len(label), replicates, seed),
    ]
    values = np.concatenate([measured.metrics(counts)[metric] for counts in blocks])
    return values if greater_is_better(metric) else -values


def loss(before: Quality, after: Quality) -> Loss:
    """How much worse the second is."""
    less = before - after
    low, high = percentile_interval(less[1:]) or (np.nan, np.nan)
    return Loss(float(less[0]), low, high)


def most_fits(things: int) -> int:
    """How many models are evaluated at most, the whole one among them."""
    return 1 + things * (things + 1) // 2


def backward_elimination(
    things: Iterable[str],
    quality_without: Callable[[frozenset[str]], Quality],
    tolerance: float,
    deadline: float = float("inf"),
    report: Callable[[str], None] = lambda _: None,
) -> EliminationResult:
    """Leaves out what is missed least, as long as no loss shows, and evaluates the rest again.

    Args:
        things: What can be left out.
        quality_without: The quality of a model without these; called once for each set.
        tolerance: A loss of this much is nothing.
        deadline: No model is evaluated after it, on `time.monotonic`.
        report: Called with a line about each round.
    """
    return _Search(list(things), quality_without, tolerance, deadline, report).run()


class _Search:
    def __init__(
        self,
        things: list[str],
        quality_without: Callable[[frozenset[str]], Quality],
        tolerance: float,
        deadline: float,
        report: Callable[[str], None],
    ) -> None:
        self.things, self.tolerance, self.report = things, tolerance, report
        self.quality_without, self.deadline, self.fits = quality_without, deadline, 0
        self.verdicts: dict[str, Verdict] = {}

    def run(self) -> EliminationResult:
        out: frozenset[str] = frozenset()
        whole = current = self._evaluated(out)
        before: dict[str, Quality] = {}
        last: str | None = None
        is_complete = True
        for number in range(1, len(self.things) + 1):
            qualities = self._round(out)
            if qualities is None:
                is_complete = False
                break
            self._note(current, qualities)
            losses = {name: current - after for name, after in qualities.items()}
            if last is not None:
                self._name_substitutes(last, before, losses)
            left = [
                name
                for name, after in qualities.items()
                if self.verdicts[name].worth != Worth.NEEDED and not self._shows(loss(whole, after))
            ]
            if not left or len(qualities) == 1:
                break
            last = min(left, key=lambda name: self.verdicts[name].loss.value)
            verdict = self.verdicts[last]
            verdict.round = number
            self.report(f"round {number}: {last} is missed least, {verdict.loss}, and left out")
            before = losses
            current, out = qualities[last], out | {last}
        if not is_complete:
            for verdict in self.verdicts.values():
                if verdict.round is None or verdict.name == last:  # others were not evaluated since
                    verdict.worth = (
                        Worth.NEEDED if verdict.worth == Worth.NEEDED else Worth.DOUBTFUL
                    )

        def missed(verdict: Verdict) -> tuple[float, float]:
            return verdict.round or np.inf, verdict.loss.value

        ordered = sorted(self.verdicts.values(), key=missed, reverse=True)
        return EliminationResult(ordered, out, self.fits, is_complete)

    def _evaluated(self, out: frozenset[str]) -> Quality:
        self.fits += 1
        return self.quality_without(out)

    def _round(self, out: frozenset[str]) -> dict[str, Quality] | None:
        """The quality without each that is left; None if there is no time for all of them."""
        qualities = {}
        for name in self.things:
            if name not in out:
                if time.monotonic() > self.deadline:
                    return None
                qualities[name] = self._evaluated(out | {name})
        return qualities

    def _shows(self, less: Loss) -> bool:
        return less.low > 0 and less.value > self.tolerance

    def _note(self, current: Quality, qualities: dict[str, Quality]) -> None:
        for name, after in qualities.items():
            less = loss(current, after)
            worth = Worth.DOUBTFUL
            if self._shows(less):
                worth = Worth.NEEDED
            elif less.high <= self.tolerance:
                worth = Worth.WORTHLESS
            alone = self.verdicts[name].alone if name in self.verdicts else less
            self.verdicts[name] = Verdict(name, worth, less, alone)

    def _name_substitutes(
        self, last: str, before: dict[str, Quality], after: dict[str, Quality]
    ) -> None:
        """What became needed more when the last one went can stand in for it."""
        for name, now in after.items():
            # how much more it is missed: the interaction of the two
            more = loss(now, before[name])
            if self._shows(more) and self.verdicts[name].worth == Worth.NEEDED:
                self.verdicts[last].instead.append(name)
                self.verdicts[last].worth = Worth.REDUNDANT
