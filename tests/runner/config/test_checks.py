"""A wrong configuration is answered with the key, what it must be, and what was got."""

from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.config.checks import check
from ml_experiment_runner.config.structure import UnsetVariableError
from ml_experiment_runner.project.errors import UserError

VALID = {
    "task": {"_target_": "ml_experiment_runner.training.train.train"},
    "tracking": {"uri": "sqlite:///mlflow.db"},
    "project": "flights",
    "package": "flights",
    "outputs": "outputs",
    "dataset": {"spine": "flights", "label": "late", "features": ["hour"], "joins": {"sky": {}}},
    "threshold": {"policy": "f_beta"},
}
WRONG = (
    ("sed", 1, "unknown key 'sed'. Did you mean 'seed'?"),
    ("dataset.split.tst", "1mo", "unknown key 'dataset.split.tst'. Did you mean"),
    ("dataset.moment", "x", "dataset.moment was renamed to dataset.prediction_time"),
    ("project", "???", "project is required"),
    ("dataset.features", ["???"], "dataset.features[0] is required"),
    ("seed", "one", "seed must be a whole number, got 'one'"),
    ("seed", None, "seed must be a whole number, got null"),
    ("threads", 1.5, "threads must be a whole number or null, got 1.5"),
    ("seed", "${project}", "seed must be a whole number, got 'flights'"),
    ("debug", {"overfit": "maybe"}, "debug.overfit must be true or false, got 'maybe'"),
    ("seed", [1], "seed must be a single value, got [1]"),
    ("dataset.features", [{"a": 1}], "dataset.features.0 must be a single value, got {'a': 1}"),
    ("dataset.features", "hour", "dataset.features must be a list, such as dataset.features=[a,b]"),
    ("dataset.split", 3, "dataset.split is a mapping, got 3; override single keys, such as"),
    ("dataset.joins.sky", ["a"], "dataset.joins.sky is a mapping, got ['a']"),
    ("model", [1], "model is a mapping, got [1]"),
    ("tracking", None, "tracking must be a mapping, got null"),
    ("threshold.costs", {"false_positive": "much"}, "threshold.costs.false_positive must be a nu"),
    ("threshold.policy", "fbeta", "must be one of cost, f_beta, precision, recall, top_k, got"),
    ("threads", 0, "threads must be in [1, 1024], got 0"),
    ("now", "yesterday", "now must be an ISO 8601 time such as 2013-11-30T00:00:00+00:00, got"),
    ("now", "2999-01-01", "now must not be in the future"),
    ("package", "my package", "package must be the name of a Python package, got 'my package'"),
    ("experiment", {"until": "May"}, "experiment.until must be a date such as 2027-01-31, got"),
    ("task.uses", ["modl"], "task.uses: unknown group 'modl'. Did you mean 'model'?"),
    ("task.uses", ["model"], "model is required by this task: write conf/model/<name>.yaml"),
    ("project", "${nowhere}", "project: Interpolation key 'nowhere' not found"),
)


def configured(key: str, value: Any) -> DictConfig:
    config = OmegaConf.create(VALID)
    OmegaConf.update(config, key, value, merge=False, force_add=True)
    return config


@pytest.mark.parametrize(("key", "value", "message"), WRONG)
def test_wrong_value_is_answered_with_what_it_must_be(key: str, value: Any, message: str) -> None:
    with pytest.raises(UserError) as error:
        check(configured(key, value))
    assert message in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("key", ["project", "dataset.spine", "tracking.uri", "task"])
def test_missing_key_is_required(key: str) -> None:
    config = OmegaConf.create(VALID)
    section, _, name = key.rpartition(".")
    del (OmegaConf.select(config, section) if section else config)[name]
    with pytest.raises(UserError, match=f"^{key} is required$"):
        check(config)


def test_unset_variable_is_named() -> None:
    with pytest.raises(UnsetVariableError, match=r"^project: the environment variable NOWHERE is"):
        check(configured("project", "${oc.env:NOWHERE}"))


def test_check_fills_in_types_and_defaults() -> None:
    config = configured("threads", "4")
    check(config)
    assert config.threads == 4
    assert config.dataset.split.by == "time"
    assert config.evaluation.bootstrap == 500
