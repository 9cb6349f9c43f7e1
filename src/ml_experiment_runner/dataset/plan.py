"""What a dataset is made of: the configuration, the expressions and the contracts, put together."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl
from omegaconf import DictConfig

from ml_experiment_runner.config.run_time import read_now, read_run_time
from ml_experiment_runner.dataset import expressions, join
from ml_experiment_runner.dataset.join import PREDICTION_TIME
from ml_experiment_runner.dataset.splits import check_split
from ml_experiment_runner.project import repository
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.suggestions import nearest
from ml_experiment_runner.signals.contract.contract import Contract, known
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.snapshots import versions
from ml_experiment_runner.signals.snapshots.availability import Availability, availability
from ml_experiment_runner.signals.snapshots.snapshot import Snapshot

SPLIT = "split"
RECIPE = 2  # raise it when the same inputs would give other rows: caches of before are left alone


@dataclass(frozen=True)
class Plan:
    """Everything that decides what a dataset's rows are, except the data itself.

    Attributes:
        contracts: All signals by name; of the versions that are read.
        spine: The signal whose rows are the examples.
        features: Expressions by name.
        label_name: The label's name.
        label: Its expression.
        prediction_time: When the prediction is made; None where nothing says it.
        joins: For each other signal, its key fields and the spine's fields they equal.
        split: `by`, and the sizes of `validation` and `test`.
        now: The time that the run pretends to live in.
        pins: Versions that are read instead of the current ones, by signal.
        notices: Messages about signals that are held or late, by `held/<signal>` or
            `late/<signal>`.
    """

    contracts: dict[str, Contract]
    spine: Contract
    features: dict[str, pl.Expr]
    label_name: str
    label: pl.Expr
    prediction_time: pl.Expr | None
    joins: dict[str, dict[str, str]]
    split: dict[str, str]
    now: datetime | None
    pins: dict[str, str] = field(default_factory=dict)
    notices: dict[str, str] = field(default_factory=dict)

    @property
    def needs(self) -> expressions.Needs:
        """Fields by signal."""
        used = [*self.features.values(), self.label]
        used += [] if self.prediction_time is None else [self.prediction_time]
        needs = expressions.together(map(expressions.needs, used))
        own = needs.setdefault(self.spine.name, set())
        own.update(self.spine.key)
        for signal, on in self.joins.items():
            contract = self.contracts[signal]
            own.update(on.values())
            needs[signal].update(on, [contract.event_time] if contract.event_time else [])
        return needs

    def is_classified(self, expression: pl.Expr) -> bool:
        """Whether an expression reads a classified field."""
        return any(
            self.contracts[signal].field(name).classification
            for signal, names in expressions.needs(expression).items()
            for name in names
        )

    def fingerprint(self, snapshots: Mapping[str, Snapshot]) -> str:
        """The same for the same data and the same recipe, in every process."""
        # keys as they were first called, so that fingerprints of before stay the same
        recipe = {
            "recipe": RECIPE,
            "signals": {name: self._identity(snapshots, name) for name in snapshots},
            "spine": self.spine.name,
            "features": [
                [name, expressions.text(feature)] for name, feature in self.features.items()
            ],
            "label": [self.label_name, expressions.text(self.label)],
            "moment": self._prediction_time_text,
            "joins": self.joins,
            "split": self.split,
            "now": self.now.isoformat() if self.now else None,
        }
        return _hash(recipe)

    def columns(self, snapshots: Mapping[str, Snapshot]) -> dict[str, str]:
        """What each feature, and the split, depends on: equal in two datasets if the column is."""
        rows = {  # keys as in `fingerprint`
            "recipe": RECIPE,
            "spine": [self.spine.name, self._identity(snapshots, self.spine.name)],
            "label": expressions.text(self.label),
            "moment": self._prediction_time_text,
            "now": self.now.isoformat() if self.now else None,
        }
        fingerprints = {SPLIT: _hash([rows, self.split, self.spine.key])}  # random: by the key
        for name, expression in self.features.items():
            joined = {
                signal: [self.joins[signal], self._identity(snapshots, signal)]
                for signal in expressions.needs(expression)
                if signal != self.spine.name
            }
            fingerprints[name] = _hash([rows, expressions.text(expression), joined])
        return fingerprints

    @property
    def _prediction_time_text(self) -> str | None:
        return None if self.prediction_time is None else expressions.text(self.prediction_time)

    def _identity(self, snapshots: Mapping[str, Snapshot], signal: str) -> list[str]:
        """A signal's rows, and what decides which of them are joined."""
        contract, snapshot = self.contracts[signal], snapshots[signal]
        # a draft may change its key or event time under the same version
        return [snapshot.version, snapshot.content, *contract.key, str(contract.event_time),
                str(contract.delay), str(contract.freshness), contract.time_zone]  # fmt: skip


def _hash(recipe: object) -> str:
    text = json.dumps(recipe, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def make_plan(config: DictConfig, follow_holds: bool = False) -> Plan:
    """Reads contracts, expressions and configuration, and checks that they fit together.

    Args:
        config: The composed configuration.
        follow_holds: Do what contracts say about signals that are held or late now; otherwise the
            plan is as declared.

    Raises:
        UserError: Names the key or the feature that does not fit, or the signal that stops the
            run.
    """
    dataset = config.dataset
    written = expressions.load(config.package)
    inputs = _read_inputs(dataset, written)
    if follow_holds:
        _follow_availability(inputs, read_run_time(config))
    else:
        _pin_versions(inputs)
    for name, expression in inputs.features.items():
        expressions.check(f"feature '{name}'", expression, inputs.contracts, may_know_after=False)
    label = _choose_label(dataset, written, inputs)
    prediction_time = _choose_prediction_time(dataset, written, inputs)
    now = read_now(config)
    _check_time(dataset, inputs.spine, prediction_time, now)
    check_split(dataset.split)
    return Plan(
        contracts=inputs.contracts,
        spine=inputs.spine,
        features=inputs.features,
        label_name=dataset.label,
        label=label,
        prediction_time=prediction_time,
        joins=_joins(dataset, inputs),
        split={str(key): str(value) for key, value in dataset.split.items()},
        now=now,
        pins=inputs.pins,
        notices=inputs.notices,
    )


@dataclass
class _Inputs:
    """What a plan is made from; pins and holds change which version of a signal is read.

    Attributes:
        contracts: All signals by name.
        spine_name: The spine.
        features: Expressions by name.
        pins: Versions that are read instead of the current ones, by signal.
        notices: As of `Plan`.
    """

    contracts: dict[str, Contract]
    spine_name: str
    features: dict[str, pl.Expr]
    pins: dict[str, str]
    notices: dict[str, str] = field(default_factory=dict)

    @property
    def spine(self) -> Contract:
        """The contract of the signal whose rows are the examples."""
        return self.contracts[self.spine_name]

    @property
    def signals(self) -> set[str]:
        """Signals that features read."""
        return set(expressions.together(map(expressions.needs, self.features.values())))

    @property
    def read(self) -> list[str]:
        """Names of the declared signals that are read, the spine among them."""
        return sorted({self.spine_name, *self.signals} & self.contracts.keys())


def _read_inputs(dataset: DictConfig, written: expressions.Expressions) -> _Inputs:
    contracts = read_contracts(repository.root())
    known(contracts, dataset.spine, "dataset.spine")
    features = _choose_features(dataset, written)
    return _Inputs(contracts, dataset.spine, features, _read_pins(dataset, contracts))


def _pin_versions(inputs: _Inputs) -> None:
    for name in inputs.read:
        if name in inputs.pins:
            contract = inputs.contracts[name]
            inputs.contracts[name] = versions.pinned(contract, inputs.pins[name])[0]


def _follow_availability(inputs: _Inputs, run_time: datetime) -> None:
    """Pins, leaves out or refuses signals that are held or late, as their contracts say."""
    for name in inputs.read:
        state = availability(inputs.contracts[name], inputs.pins.get(name), run_time)
        left = _features_left(inputs, state)
        if state.trouble:
            dropped = [feature for feature in inputs.features if feature not in left]
            suffix = f"; left out: {', '.join(dropped)}" if dropped else ""
            inputs.notices[f"{state.trouble}/{name}"] = state.notice + suffix
        inputs.features = left
        if state.pin:
            inputs.pins[name] = state.pin
        inputs.contracts[name] = state.contract


def _features_left(inputs: _Inputs, state: Availability) -> dict[str, pl.Expr]:
    """The features that do not read a signal that is left out."""
    if not state.left_out:
        return inputs.features
    contract = state.contract
    name = contract.name
    if name == inputs.spine_name:
        raise contract.mistake(
            f"{state.notice}, but its rows are the examples of this dataset",
            f"Write `whenHeld: last_good` or `stop` in signals/{name}.yaml",
        )
    left = {
        feature: expression
        for feature, expression in inputs.features.items()
        if name not in expressions.needs(expression)
    }
    if not left:
        raise contract.mistake(
            f"{state.notice}, and no feature is left", "See `python run.py holds`"
        )
    return left


def _read_pins(dataset: DictConfig, contracts: Mapping[str, Contract]) -> dict[str, str]:
    pins = {str(name): str(version) for name, version in (dataset.get("pin") or {}).items()}
    for name in pins:
        if name not in contracts:
            raise UserError(
                f"dataset.pin.{name}: there is no signal '{name}'. {nearest(name, contracts)}"
            )
    return pins


def _choose_features(dataset: DictConfig, written: expressions.Expressions) -> dict[str, pl.Expr]:
    features: dict[str, pl.Expr] = {}
    if dataset.label in (SPLIT, PREDICTION_TIME):
        raise UserError(f"dataset.label: '{dataset.label}' is a reserved name; rename the label")
    for name in dataset.features:
        if name in features:
            raise UserError(f"dataset.features: duplicate feature '{name}'; remove one")
        if name == dataset.label:
            raise UserError(f"dataset.features: '{name}' is the label; remove it from the features")
        if name in (SPLIT, PREDICTION_TIME):
            raise UserError(f"dataset.features: '{name}' is a reserved name; rename the feature")
        features[name] = expressions.choose(written.features, name, "dataset.features")
    if not features:
        raise UserError("dataset.features is empty; name some of FEATURES in features.py")
    return features


def _choose_label(
    dataset: DictConfig, written: expressions.Expressions, inputs: _Inputs
) -> pl.Expr:
    place = f"label '{dataset.label}'"
    label = expressions.choose(written.labels, dataset.label, "dataset.label")
    expressions.check(place, label, inputs.contracts, may_know_after=True)
    _check_reads_spine_only(place, label, inputs.spine)
    return label


def _choose_prediction_time(
    dataset: DictConfig, written: expressions.Expressions, inputs: _Inputs
) -> pl.Expr | None:
    """The named one, or the spine's event time if none is named; None if it has none either."""
    spine, name = inputs.spine, dataset.get("prediction_time")
    if name is None:
        return pl.col(f"{spine.name}.{spine.event_time}") if spine.event_time else None
    place = f"prediction time '{name}'"
    expression = expressions.choose(written.prediction_times, name, "dataset.prediction_time")
    expressions.check(place, expression, inputs.contracts, may_know_after=False)
    _check_reads_spine_only(place, expression, spine)
    return expression


def _check_reads_spine_only(place: str, expression: pl.Expr, spine: Contract) -> None:
    if other := set(expressions.needs(expression)) - {spine.name}:
        raise UserError(
            f"{place} uses the signal '{min(other)}'; it may only use the fields of the spine, "
            f"{spine.name}"
        )


def _check_time(
    dataset: DictConfig, spine: Contract, prediction_time: pl.Expr | None, now: datetime | None
) -> None:
    """Splitting by time and a pretended `now` need to know when predictions are made."""
    if prediction_time is None and (now is not None or dataset.split.by == "time"):
        key = "dataset.split.by: time" if now is None else "now"
        raise UserError(
            f"{key} needs a prediction time, and {spine.name} has no event time; "
            "set dataset.prediction_time to one of PREDICTION_TIMES, or dataset.split.by=random"
        )


def _joins(dataset: DictConfig, inputs: _Inputs) -> dict[str, dict[str, str]]:
    """How the rows of the other signals that features use are found."""
    joins: dict[str, dict[str, str]] = {}
    spine, contracts = inputs.spine, inputs.contracts
    for signal in sorted(inputs.signals - {spine.name}):
        if signal not in dataset.joins:
            raise UserError(
                f"dataset.joins.{signal} is missing, and features use '{signal}'; "
                f"write dataset.joins.{signal}: {_join_example(contracts[signal], spine)}"
            )
        joins[signal] = {str(key): str(value) for key, value in dataset.joins[signal].items()}
        join.check(spine, contracts[signal], joins[signal])
    return joins


def _join_example(contract: Contract, spine: Contract) -> str:
    """What a join names, as it is written: every key field but the event time."""
    fields = [name for name in contract.key if name != contract.event_time]
    return "{" + ", ".join(f"{name}: <field of {spine.name}>" for name in fields) + "}"
