"""Every contract is valid, and every feature names existing fields and can be computed."""

import pytest

from ml_experiment_runner.config.composition import compose
from ml_experiment_runner.dataset import expressions
from ml_experiment_runner.dataset.dataset import load_dataset
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.testing.mistakes import mistakes_in
from ml_experiment_runner.testing.parameters import contracts, package
from ml_experiment_runner.testing.parameters import pytest_generate_tests as pytest_generate_tests


@pytest.fixture
def features_file() -> str:
    """The file of features, from the project's root."""
    return f"src/{package()}/features.py"


def test_contract_is_valid(signal: str) -> None:
    file = contracts()[signal]
    with mistakes_in(file):
        contract = read_contracts(root())[signal]
    # the owner of a draft is not known yet
    if contract.status != "draft" and "team.name" in contract.unfilled:
        raise UserError(
            f"{file}: team.name is required: whom to ask about a wrong delivery. Add:\n"
            "team: {name: Warehouse}"
        )


def test_features_can_be_loaded(features_file: str) -> None:
    if not contracts():
        pytest.skip("signals/ contains no contract")
    with mistakes_in(features_file):
        expressions.load(package())


def test_feature_uses_what_is_known(feature: str, features_file: str) -> None:
    with mistakes_in(features_file):
        expression = expressions.load(package()).features[feature]
        expressions.check(f"feature '{feature}'", expression, read_contracts(root()), False)


def test_features_compute(dataset: str, features_file: str) -> None:
    with mistakes_in(f"conf/dataset/{dataset}.yaml"):
        config = compose(f"dataset={dataset}", "debug=smoke")
        chosen = config.dataset
        within_reach = {chosen.spine, *(chosen.get("joins") or {})}
        # also features that no experiment uses yet; other datasets compute the others
        chosen.features = [
            feature
            for feature, expression in expressions.load(package()).features.items()
            if set(expressions.needs(expression)) <= within_reach and feature != chosen.label
        ]
    with mistakes_in(features_file, f"features of dataset={dataset} cannot be computed"):
        frame = load_dataset(config).frame
    empty = [feature for feature in chosen.features if frame[feature].is_null().all()]
    if empty:
        raise UserError(
            f"{features_file}: {', '.join(empty)} has no value in any row of dataset={dataset}. "
            "Correct or remove the expression, or check the keys that its signal is joined by in "
            f"conf/dataset/{dataset}.yaml"
        )
