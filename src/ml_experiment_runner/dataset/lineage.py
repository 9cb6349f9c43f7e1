"""Who uses what: read off the expressions and the experiments, declared by nobody."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
from ml_experiment_runner.signals.contract.contract_file import read_contracts

if TYPE_CHECKING:
    from ml_experiment_runner.record.run_reader import RecordedRun
    from ml_experiment_runner.signals.contract.contract import Contract


@dataclass
class Uses:
    """What uses a signal.

    Attributes:
        features: Names of features by the experiments that choose them; nobody, if empty.
        fields: Fields that some dataset reads, for a feature, a label, a prediction time, a key or
            a join.
        experiments: Status of each experiment whose dataset reads the signal; `default` is none of
            them chosen.
        pins: Versions that experiments read instead of the current one.
        models: The latest model of each experiment that has learned from it, by its run.
    """

    features: dict[str, set[str]] = field(default_factory=dict)
    fields: set[str] = field(default_factory=set)
    experiments: dict[str, str] = field(default_factory=dict)
    pins: dict[str, str] = field(default_factory=dict)
    models: list["RecordedRun"] = field(default_factory=list)


def who_uses(contracts: Mapping[str, "Contract"]) -> tuple[dict[str, Uses], list[str]]:
    """Uses by signal, and what could not be read: an experiment that does not compose."""
    used = {name: Uses() for name in contracts}
    problems = []
    for experiment in (None, *options("experiment")):
        name = experiment or "default"
        try:
            # receiving needs no dataset, and so none has to be the default
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


def unused(config: DictConfig) -> list[Finding]:
    """What is received or written down and no experiment uses: signals, fields, features.

    Args:
        config: Its `package` names where features are written down.
    """
    contracts = read_contracts(repository.root())
    state = Singleton.get_state()  # composing forgets the configuration that runs
    try:
        used, problems = who_uses(contracts)
    finally:
        Singleton.set_state(state)
    if problems:  # what the others use is not known
        return []
    chosen = {feature for uses in used.values() for feature in uses.features}
    found: list[Finding] = []
    for name, uses in used.items():
        idle = [field for field in contracts[name].names if field not in uses.fields]
        if not uses.experiments:
            found.append(Finding("unused_signal", name, "no experiment uses it"))
        elif idle:
            message = f"no experiment reads {len(idle)} of its fields: {', '.join(idle)}"
            found.append(Finding("unused_fields", name, message, {"fields": idle}))
    for name in expressions.load(config.package).features:
        if name not in chosen:
            found.append(Finding("unused_feature", name, "no experiment chooses it"))
    return found
