"""Who uses which signal: read from expressions, experiments and recorded runs, never declared."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.singleton import Singleton
from omegaconf import DictConfig

from ml_experiment_runner.config.composition import compose
from ml_experiment_runner.config.options import options
from ml_experiment_runner.dataset import expressions
from ml_experiment_runner.dataset.plan import make_plan
from ml_experiment_runner.project import repository
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record.findings import Finding
from ml_experiment_runner.record.run_reader import RecordedRun, folders, read_run
from ml_experiment_runner.signals.contract.contract_file import read_contracts

if TYPE_CHECKING:
    from ml_experiment_runner.signals.contract.contract import Contract


@dataclass
class Uses:
    """What uses a signal.

    Attributes:
        features: Features that are computed from it, each with the experiments that choose it.
        fields: Fields that a dataset reads, for a feature, a label, a prediction time, a key or a
            join.
        experiments: Experiments whose dataset reads it, each with its status; `default` stands for
            a run without an experiment.
        pins: Versions that experiments read instead of the current one.
        models: The latest run of each experiment that trained a model on it.
    """

    features: dict[str, set[str]] = field(default_factory=dict)
    fields: set[str] = field(default_factory=set)
    experiments: dict[str, str] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)
    models: list[RecordedRun] = field(default_factory=list)

    @property
    def idle_reason(self) -> str:
        """Why the signal is idle; empty if a feature and an active experiment use it."""
        if not self.experiments:
            return "no feature and no experiment uses it"
        reasons = [] if self.features else ["no feature uses it"]
        if "active" not in self.experiments.values():
            reasons.append("no active experiment uses it")
        return "; ".join(reasons)


def who_uses(contracts: Mapping[str, "Contract"]) -> tuple[dict[str, Uses], list[str]]:
    """The uses of each signal, and the errors of experiments that cannot be composed."""
    used = {name: Uses() for name in contracts}
    problems = []
    for experiment in (None, *options("experiment")):
        name = experiment or "default"
        try:
            # the task ingest needs no dataset, so this composes without a default dataset
            config = compose(f"experiment={experiment}" if experiment else "task=ingest")
            if config.dataset is None:
                continue
            plan = make_plan(config)
        except UserError as error:
            problems.append(f"{name}: {error}")
            continue
        for signal, fields in plan.needs.items():
            used[signal].experiments[name] = config.experiment.status
            used[signal].fields |= fields
            if signal in plan.pins:
                used[signal].pins[name] = plan.pins[signal]
        for feature, expression in plan.features.items():
            for signal in expressions.needs(expression):
                used[signal].features.setdefault(feature, set()).add(name)
    return used, problems


def add_models(uses: Mapping[str, Uses], outputs: Path) -> None:
    """Adds the latest model of each experiment to the signals that it was trained on."""
    for run in _latest_models(outputs):
        for signal in {dataset["signal"] for dataset in training_data(run)} & set(uses):
            uses[signal].models.append(run)


def training_data(run: RecordedRun) -> list[dict[str, str]]:
    """The signals that a run read, without those that it ingested."""
    return [dataset for dataset in run.datasets if dataset["context"] != "ingest"]


def _latest_models(outputs: Path) -> list[RecordedRun]:
    """The latest finished run with a model of each experiment, by the experiment's name."""
    latest: dict[str, RecordedRun] = {}
    for folder in reversed(folders(outputs)):
        experiment = folder.relative_to(outputs).parts[0]
        if experiment not in latest and (folder / "model" / "model.pkl").exists():
            run = read_run(folder)
            if run.status == "FINISHED":
                latest[experiment] = run
    return [latest[experiment] for experiment in sorted(latest)]


def unused(config: DictConfig) -> list[Finding]:
    """Findings for signals, fields and features that no experiment uses.

    Args:
        config: Its `package` contains the features.
    """
    contracts = read_contracts(repository.root())
    state = Singleton.get_state()  # composing replaces the configuration of the current run
    try:
        used, problems = who_uses(contracts)
    finally:
        Singleton.set_state(state)
    if problems:  # a broken experiment may use anything
        return []
    chosen = {feature for uses in used.values() for feature in uses.features}
    findings: list[Finding] = []
    for name, uses in used.items():
        idle = [field for field in contracts[name].names if field not in uses.fields]
        if not uses.experiments:
            findings.append(Finding("unused_signal", name, "no experiment uses it"))
        elif idle:
            message = f"no experiment reads {len(idle)} of its fields: {', '.join(idle)}"
            findings.append(Finding("unused_fields", name, message, {"fields": idle}))
    for name in expressions.load(config.package).features:
        if name not in chosen:
            findings.append(Finding("unused_feature", name, "no experiment chooses it"))
    return findings
