"""Every contract is valid, and every feature names existing fields and computes."""

import pytest

from runner.composition import choices, compose
from runner.dataset import expressions
from runner.dataset.dataset import load_dataset
from runner.project import root
from runner.signals.contract_file import contract_files, read_contracts, signal_name

CONTRACTS = sorted(map(signal_name, contract_files(root())))
PACKAGE = str(compose("task=ingest").package)
FEATURES = sorted(expressions.load(PACKAGE).features) if CONTRACTS else []


@pytest.mark.parametrize("name", CONTRACTS)
def test_contract_is_valid(name: str) -> None:
    contract = read_contracts(root())[name]
    assert contract.owner, f"signals/{name}.yaml: say which team owns it"
    assert contract.key


@pytest.mark.parametrize("name", FEATURES)
def test_feature_uses_what_is_known(name: str) -> None:
    feature = expressions.load(PACKAGE).features[name]
    expressions.check(f"feature '{name}'", feature, read_contracts(root()), False)


@pytest.mark.parametrize("name", choices("dataset"))
def test_features_compute(name: str) -> None:
    config = compose(f"dataset={name}", "debug=smoke")
    chosen = config.dataset
    within_reach = {chosen.spine, *(chosen.get("joins") or {})}
    # also those that no experiment uses yet; other datasets' are computed there
    chosen.features = [
        feature
        for feature, expression in expressions.load(PACKAGE).features.items()
        if set(expressions.needs(expression)) <= within_reach and feature != chosen.label
    ]
    frame = load_dataset(config).frame
    empty = [feature for feature in chosen.features if frame[feature].is_null().all()]
    assert not empty, f"nothing but gaps in {', '.join(empty)}"
