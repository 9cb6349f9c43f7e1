"""The task `ablate`: which signals, features or groups a model needs, and which it does not."""

import dataclasses
import json
import logging
import time
from dataclasses import asdict
from typing import Any

import numpy as np
from omegaconf import DictConfig, open_dict

from ml_experiment_runner.config.metrics import METRICS, main_metric
from ml_experiment_runner.config.parameters import is_ensemble
from ml_experiment_runner.dataset.dataset import Dataset, load_dataset
from ml_experiment_runner.dataset.lineage import unused
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record import findings
from ml_experiment_runner.record.findings import Finding
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.training.analysis.backward_elimination import (
    EliminationResult,
    Quality,
    Verdict,
    Worth,
    backward_elimination,
    loss,
    most_fits,
    quality,
)
from ml_experiment_runner.training.evaluation.baseline import constant
from ml_experiment_runner.training.models.fit import fit
from ml_experiment_runner.training.models.groups import configured_groups, groups_of
from ml_experiment_runner.training.models.pipeline import predict

log = logging.getLogger(__name__)

FILE = "ablation.json"
EVALUATED_SPLITS = ("validation", "test")


def ablate(config: DictConfig, run: Run) -> dict[str, float]:
    """Leaves out one thing after another, evaluated on the validation split.

    A model is fitted again for each; of an ensemble only the members whose features have changed,
    and how they are put together.

    Returns:
        How many are `needed`, `doubtful`, `worthless` and `redundant`, the number of `fits`, and
        `test/loss` of the model without what is not needed, with its interval.

    Raises:
        UserError: There are less than two things to leave out, or no time for one round.
    """
    with run.stage("data"):
        dataset = load_dataset(config, run)
        things = _things(config, dataset)
    with run.stage("ablate"):
        quality_without = _QualityWithout(config, run, dataset, things)
        begin = time.monotonic()
        quality_without(frozenset())
        seconds = time.monotonic() - begin
        fits, minutes = most_fits(len(things)) - 1, config.ablation.minutes
        log.info("%d %s: at most %d more fits of about %.0f s, so up to %.0f min; none begins "
                 "after %g min", len(things), config.ablation.leave_out, fits, seconds,
                 fits * seconds / 60 + 0.5, minutes)  # fmt: skip
        result = backward_elimination(
            things, quality_without, config.ablation.tolerance, begin + 60 * minutes, log.info
        )
    if not result.verdicts:
        raise UserError(f"ablation.minutes: {minutes:g} is too short to fit {len(things)} models; "
                        "raise it, or set debug.rows")  # fmt: skip
    with run.stage("findings"):
        findings.record(run, [*_findings(config, quality_without.metric, result), *unused(config)])
    rest = loss(quality_without.test[frozenset()], quality_without.test[result.out])
    _record(config, run, quality_without.metric, result)
    counts = {str(worth): float(sum(verdict.worth == worth for verdict in result.verdicts))
              for worth in Worth}  # fmt: skip
    return counts | {
        "fits": float(result.fits),
        "test/loss": rest.value,
        "test/loss/low": rest.low,
        "test/loss/high": rest.high,
    }


def _things(config: DictConfig, dataset: Dataset) -> dict[str, frozenset[str]]:
    """What can be left out, and the features that go with each."""
    what = config.ablation.leave_out
    if what == "groups":
        if not is_ensemble(config.model):
            raise UserError("ablation.leave_out=groups needs model=ensemble; choose that, or "
                            "ablation.leave_out=signals")  # fmt: skip
        groups = groups_of(configured_groups(config.model), dataset.reads)
        things = {group: frozenset(names) for group, names in groups.items()}
    elif what == "features":
        things = {name: frozenset([name]) for name in dataset.features}
    else:
        signals = dict.fromkeys(name for needs in dataset.reads.values() for name in needs)
        things = {
            signal: frozenset(name for name, needs in dataset.reads.items() if signal in needs)
            for signal in signals
        }
    if len(things) < 2:
        raise UserError(f"ablation.leave_out={what} needs at least two {what}, got only "
                        f"'{next(iter(things))}'; set ablation.leave_out=features")  # fmt: skip
    return things


class _QualityWithout:
    """Fits a model without some things in a nested run, and measures how good it is.

    Attributes:
        metric: What quality is measured by.
        test: The quality on the test split, which decides nothing, by what was left out.
    """

    def __init__(
        self, config: DictConfig, run: Run, dataset: Dataset, things: dict[str, frozenset[str]]
    ) -> None:
        self.config, self.run, self.dataset, self.things = config, run, dataset, things
        self.metric = main_metric(dataset.task_type)
        self.test: dict[frozenset[str], Quality] = {}
        self.known: dict[frozenset[str], Quality] = {}

    def __call__(self, out: frozenset[str]) -> Quality:
        if out in self.known:
            return self.known[out]
        gone = frozenset().union(*(self.things[name] for name in out))
        features = [name for name in self.dataset.features if name not in gone]
        config = self.config.copy()
        with open_dict(config):
            config.dataset.features = features
        name = f"without {', '.join(sorted(out))}" if out else "with all"
        with self.run.nested(name, config) as child:
            qualities = self._qualities(config, features)
            for split in EVALUATED_SPLITS:
                child.log_metric(f"{split}/{self.metric}", float(qualities[split][0]))
        self.known[out], self.test[out] = qualities["validation"], qualities["test"]
        return self.known[out]

    def _qualities(self, config: DictConfig, features: list[str]) -> dict[str, Quality]:
        dataset = dataclasses.replace(self.dataset, features=features)
        learned = dataset.split("train")
        model = (
            fit(config, dataset, learned, dataset.prediction_times("train")) if features else None
        )
        qualities = {}
        for split in EVALUATED_SPLITS:
            rows, label = dataset.split(split)
            if model is None:
                prediction = constant(dataset.task_type, learned[1], len(label), dataset.classes)
            else:
                prediction = predict(model, dataset.task_type, rows, dataset.classes)
            qualities[split] = quality(
                dataset.task_type, label, prediction, self.metric, config.evaluation.bootstrap,
                config.seed, dataset.classes,
            )  # fmt: skip
        return qualities


def describe(verdict: Verdict) -> str:
    """A verdict in words."""
    if verdict.worth == Worth.REDUNDANT:
        return f"redundant with {', '.join(verdict.instead)}"
    return str(verdict.worth)


def _findings(config: DictConfig, metric: str, result: EliminationResult) -> list[Finding]:
    """What can go: worthless, or redundant with something that stays."""
    what = str(config.ablation.leave_out).removesuffix("s")
    label = METRICS[metric].label
    return [
        Finding(
            f"{verdict.worth}_{what}",
            verdict.name,
            f"{describe(verdict)}: without it {label} loses {verdict.loss} on the validation split"
            + (f"; {config.ablation.tolerance:g} is nothing" if not verdict.instead else ""),
            asdict(verdict) | {"metric": metric},
        )
        for verdict in result.verdicts
        if verdict.worth in (Worth.WORTHLESS, Worth.REDUNDANT)
    ]


def _record(config: DictConfig, run: Run, metric: str, result: EliminationResult) -> None:
    """The verdicts as lines, numbers, a table and a picture."""
    from ml_experiment_runner.training.analysis.plots import ablation

    width = max(len(verdict.name) for verdict in result.verdicts)
    for verdict in result.verdicts:
        log.info("%-*s  loss %s  %s", width, verdict.name, verdict.loss, describe(verdict))
        for end, value in (("", verdict.loss.value), ("/low", verdict.loss.low),
                           ("/high", verdict.loss.high)):  # fmt: skip
            if np.isfinite(value):
                run.log_metric(f"loss/{verdict.name}{end}", value)
    if not result.is_complete:
        log.warning("ablation.minutes is over: verdicts on what is left are those of the last "
                    "complete round")  # fmt: skip
    record: dict[str, Any] = {
        "metric": METRICS[metric].label,
        "left_out": config.ablation.leave_out,
        "tolerance": config.ablation.tolerance,
        "is_complete": result.is_complete,
        "verdicts": [asdict(verdict) | {"told": describe(verdict)} for verdict in result.verdicts],
    }
    run.log_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", FILE)
    run.log_figure(ablation(result, METRICS[metric].label, config.ablation.tolerance), "ablation")
