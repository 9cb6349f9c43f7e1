"""Every contract is valid, and every feature names existing fields and computes."""

from contextlib import suppress

import pytest
from mistakes import mistakes_in

from ml_experiment_runner.config.composition import choices, compose
from ml_experiment_runner.dataset import expressions
from ml_experiment_runner.dataset.dataset import load_dataset
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.signals.contract.contract_file import contract_files, read_contracts, signal_name

CONTRACTS = {signal_name(path): f"signals/{path.name}" for path in contract_files(root())}
PACKAGE = str(compose("task=ingest").package)
FEATURES_FILE = f"src/{PACKAGE}/features.py"
FEATURES: list[str] = []
with suppress(UserError):  # the first test of features says what is wrong
    FEATURES += sorted(expressions.load(PACKAGE).features) if CONTRACTS else []


@pytest.mark.parametrize("name", CONTRACTS)
def test_contract_is_valid(name: str) -> None:
    with mistakes_in(CONTRACTS[name]):
        contract = read_contracts(root())[name]
    # of a draft, a person has still to say it
    if contract.status != "draft" and "team.name" in contract.unfilled:
        raise UserError(
            f"{CONTRACTS[name]}: no team is named as its owner. Add whom to ask when a delivery "
            "is wrong:\nteam: {name: Warehouse}"
        )


def test_features_can_be_loaded() -> None:
    if not CONTRACTS:
        pytest.skip("no signal yet")
    with mistakes_in(FEATURES_FILE):
        expressions.load(PACKAGE)


@pytest.mark.parametrize("name", FEATURES)
def test_feature_uses_what_is_known(name: str) -> None:
    with mistakes_in(FEATURES_FILE):
        feature = expressions.load(PACKAGE).features[name]
        expressions.check(f"feature '{name}'", feature, read_contracts(root()), False)


@pytest.mark.parametrize("name", choices("dataset"))
def test_features_compute(name: str) -> None:
    with mistakes_in(f"conf/dataset/{name}.yaml"):
        config = compose(f"dataset={name}", "debug=smoke")
        chosen = config.dataset
        within_reach = {chosen.spine, *(chosen.get("joins") or {})}
        # also those that no experiment uses yet; other datasets' are computed there
        chosen.features = [
            feature
            for feature, expression in expressions.load(PACKAGE).features.items()
            if set(expressions.needs(expression)) <= within_reach and feature != chosen.label
        ]
    with mistakes_in(FEATURES_FILE, f"features of dataset={name} cannot be computed"):
        frame = load_dataset(config).frame
    empty = [feature for feature in chosen.features if frame[feature].is_null().all()]
    if empty:
        raise UserError(
            f"{FEATURES_FILE}: {', '.join(empty)} has no value in any row of dataset={name}. "
            "Correct the expression, take it out, or look whether its signal is joined by the "
            f"right keys in conf/dataset/{name}.yaml"
        )
