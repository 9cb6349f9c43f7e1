"""What a dataset is made of: the configuration, the expressions and the contracts, put together."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import polars as pl
from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.config.checks import nearest, read_moment, read_now
from ml_experiment_runner.dataset import expressions, join
from ml_experiment_runner.dataset.join import MOMENT
from ml_experiment_runner.dataset.split import check_split
from ml_experiment_runner.project import repository
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.contract.contract import Contract, known
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.snapshots import versions
from ml_experiment_runner.signals.snapshots.availability import Availability, availability
from ml_experiment_runner.signals.snapshots.snapshot import Snapshot

PART = "part"
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
        moment: When the prediction is made; None where nothing says it.
        joins: For each other signal, its key fields and the spine's fields they equal.
        split: How rows fall into parts.
        now: The moment that the run pretends to live in.
        pins: Versions that are read instead of the current ones, by signal.
        notices: What is to be said of signals that are held or late, by `held/<signal>` or
            `late/<signal>`.
    """

    contracts: dict[str, Contract]
    spine: Contract
    features: dict[str, pl.Expr]
    label_name: str
    label: pl.Expr
    moment: pl.Expr | None
    joins: dict[str, dict[str, str]]
    split: dict[str, str]
    now: datetime | None
    pins: dict[str, str] = field(default_factory=dict)
    notices: dict[str, str] = field(default_factory=dict)

    @property
    def needs(self) -> expressions.Needs:
        """Fields by signal."""
        used = [*self.features.values(), self.label]
        used += [] if self.moment is None else [self.moment]
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
        recipe = {
            "recipe": RECIPE,
            "signals": {name: self._identity(snapshots, name) for name in snapshots},
            "spine": self.spine.name,
            "features": [[name, expressions.text(each)] for name, each in self.features.items()],
            "label": [self.label_name, expressions.text(self.label)],
            "moment": None if self.moment is None else expressions.text(self.moment),
            "joins": self.joins,
            "split": self.split,
            "now": self.now.isoformat() if self.now else None,
        }
        return _hash(recipe)

    def columns(self, snapshots: Mapping[str, Snapshot]) -> dict[str, str]:
        """What each feature, and the part, depends on: equal in two datasets if the column is."""
        rows = {
            "recipe": RECIPE,
            "spine": [self.spine.name, self._identity(snapshots, self.spine.name)],
            "label": expressions.text(self.label),
            "moment": None if self.moment is None else expressions.text(self.moment),
            "now": self.now.isoformat() if self.now else None,
        }
        found = {PART: _hash([rows, self.split, self.spine.key])}  # at random, it is by the key
        for name, each in self.features.items():
            joined = {
                signal: [self.joins[signal], self._identity(snapshots, signal)]
                for signal in expressions.needs(each)
                if signal != self.spine.name
            }
            found[name] = _hash([rows, expressions.text(each), joined])
        return found

    def _identity(self, snapshots: Mapping[str, Snapshot], signal: str) -> list[str]:
        """A signal's rows, and what decides which of them are joined."""
        contract, each = self.contracts[signal], snapshots[signal]
        # a draft may change its key or event time under the same version
        return [each.version, each.content, *contract.key, str(contract.event_time),
                str(contract.delay), str(contract.freshness), contract.time_zone]  # fmt: skip


def _hash(recipe: object) -> str:
    text = json.dumps(recipe, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def make_plan(config: DictConfig, as_it_stands: bool = False) -> Plan:
    """Reads contracts, expressions and configuration, and checks that they fit together.

    Args:
        config: The composed configuration.
        as_it_stands: Follow what contracts say about signals that are held or late now; otherwise
            the plan is as declared.

    Raises:
        UserError: Names the key or the feature that does not fit, or the signal that has the run
            stop.
    """
    contracts = read_contracts(repository.root())
    chosen = config.dataset
    written = expressions.load(config.package)
    known(contracts, chosen.spine, "dataset.spine")
    features = _choose(chosen, written)
    pins = _pins(chosen, contracts)
    notices: dict[str, str] = {}
    used = expressions.together(map(expressions.needs, features.values()))
    for name in sorted({chosen.spine, *used} & contracts.keys()):
        if as_it_stands:
            stands = availability(contracts[name], pins.get(name), read_moment(config))
            left = _without(features, stands, chosen.spine)
            if stands.trouble:
                gone = [each for each in features if each not in left]
                more = f"; left out: {', '.join(gone)}" if gone else ""
                notices[f"{stands.trouble}/{name}"] = stands.notice + more
            features = left
            if stands.pin:
                pins[name] = stands.pin
            contracts[name] = stands.contract
        elif name in pins:
            contracts[name] = versions.pinned(contracts[name], pins[name])[0]
    spine = contracts[chosen.spine]
    for name, expression in features.items():
        expressions.check(f"feature '{name}'", expression, contracts, may_know_after=False)
    label = expressions.choose(written.labels, chosen.label, "dataset.label")
    expressions.check(f"label '{chosen.label}'", label, contracts, may_know_after=True)
    _check_own(f"label '{chosen.label}'", label, spine)
    moment = _moment(chosen, written, contracts, spine)
    now = read_now(config)
    if moment is None and (now is not None or chosen.split.by == "time"):
        key = "dataset.split.by: time" if now is None else "now"
        raise UserError(
            f"{key} needs a moment, and {spine.name} has no event time; "
            "name one of MOMENTS as dataset.moment, or split by random"
        )
    check_split(chosen.split)
    parts = OmegaConf.to_container(chosen.split)
    assert isinstance(parts, dict)
    return Plan(
        contracts=contracts,
        spine=spine,
        features=features,
        label_name=chosen.label,
        label=label,
        moment=moment,
        joins=_joins(chosen, features, contracts, spine),
        split={str(key): str(value) for key, value in parts.items()},
        now=now,
        pins=pins,
        notices=notices,
    )


def _pins(chosen: DictConfig, contracts: Mapping[str, Contract]) -> dict[str, str]:
    pins = {str(name): str(version) for name, version in (chosen.get("pin") or {}).items()}
    for name in pins:
        if name not in contracts:
            raise UserError(
                f"dataset.pin.{name}: there is no signal '{name}'. {nearest(name, contracts)}"
            )
    return pins


def _without(features: dict[str, pl.Expr], stands: Availability, spine: str) -> dict[str, pl.Expr]:
    """The features that are left where a signal is left out."""
    if not stands.left_out:
        return features
    name = stands.contract.name
    if name == spine:
        raise stands.contract.mistake(
            f"{stands.notice}, but its rows are the examples of this dataset",
            f"Write `whenHeld: last_good` or `stop` in signals/{name}.yaml",
        )
    left = {key: each for key, each in features.items() if name not in expressions.needs(each)}
    if not left:
        raise stands.contract.mistake(
            f"{stands.notice}, and no feature is left", "See `python run.py holds`"
        )
    return left


def _choose(chosen: DictConfig, written: expressions.Expressions) -> dict[str, pl.Expr]:
    features: dict[str, pl.Expr] = {}
    if chosen.label in (PART, MOMENT):
        raise UserError(f"dataset.label: '{chosen.label}' is taken; call the label otherwise")
    for name in chosen.features:
        if name in features:
            raise UserError(f"dataset.features: '{name}' stands twice; remove one")
        if name in (chosen.label, PART, MOMENT):
            raise UserError(f"dataset.features: '{name}' is taken; call the feature otherwise")
        features[name] = expressions.choose(written.features, name, "dataset.features")
    if not features:
        raise UserError("dataset.features: there is none; name some of FEATURES in features.py")
    return features


def _moment(
    chosen: DictConfig,
    written: expressions.Expressions,
    contracts: Mapping[str, Contract],
    spine: Contract,
) -> pl.Expr | None:
    """The named moment, or the event time if none is named; None if there is none either."""
    if chosen.get("moment") is None:
        return pl.col(f"{spine.name}.{spine.event_time}") if spine.event_time else None
    place = f"moment '{chosen.moment}'"
    moment = expressions.choose(written.moments, chosen.moment, "dataset.moment")
    expressions.check(place, moment, contracts, may_know_after=False)
    _check_own(place, moment, spine)
    return moment


def _check_own(place: str, expression: pl.Expr, spine: Contract) -> None:
    if other := set(expressions.needs(expression)) - {spine.name}:
        raise UserError(
            f"{place} uses the signal '{min(other)}'; it may only use the fields of the spine, "
            f"{spine.name}"
        )


def _on(contract: Contract, spine: Contract) -> str:
    """What a join names, as it is written: every key field but the event time."""
    fields = [name for name in contract.key if name != contract.event_time]
    return "{" + ", ".join(f"{name}: <field of {spine.name}>" for name in fields) + "}"


def _joins(
    chosen: DictConfig,
    features: Mapping[str, pl.Expr],
    contracts: Mapping[str, Contract],
    spine: Contract,
) -> dict[str, dict[str, str]]:
    """How the rows of the other signals that features use are found."""
    joins: dict[str, dict[str, str]] = {}
    used = expressions.together(map(expressions.needs, features.values()))
    for signal in sorted(set(used) - {spine.name}):
        if signal not in chosen.joins:
            raise UserError(
                f"dataset.joins: features use '{signal}' and nothing says how its row is found; "
                f"write dataset.joins.{signal}: {_on(contracts[signal], spine)}"
            )
        joins[signal] = {str(key): str(value) for key, value in chosen.joins[signal].items()}
        join.check(spine, contracts[signal], joins[signal])
    return joins
