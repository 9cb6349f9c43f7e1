"""Every file in conf/ composes to a valid configuration."""

import pytest

from runner.composition import CONF, choices, compose
from runner.training.parameters import MissingExtraError, check_model

GROUPS = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name != "experiment")
CHOICES = [
    f"{group}={name}"
    for group in GROUPS
    for name in choices(group)
    if (group, name) != ("tracking", "server")  # needs an address from the environment
]


def base(choice: str) -> list[str]:
    """A dataset where none is the default, and a task that needs none where there is none yet."""
    if not choices("dataset"):
        return ["task=ingest"]
    has_default = compose("task=ingest").dataset is not None
    return (
        [] if has_default or choice.startswith("dataset=") else [f"dataset={choices('dataset')[0]}"]
    )


@pytest.mark.parametrize("choice", CHOICES)
def test_choice_composes(choice: str) -> None:
    overrides = [*base(choice), choice]
    if not choices("dataset") and choice.startswith("task="):
        pytest.skip("no dataset yet")
    try:
        check_model(compose(*overrides))
    except MissingExtraError as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("name", choices("experiment"))
def test_experiment_composes_and_says_what_it_asks(name: str) -> None:
    config = compose(f"+experiment={name}")
    check_model(config)
    assert config.experiment.question, f"conf/experiment/{name}.yaml: write down its question"
    assert config.experiment.owner, f"conf/experiment/{name}.yaml: say who owns it"


@pytest.mark.parametrize("name", choices("experiment"))
def test_experiment_opens_with_its_command(name: str) -> None:
    lines = (CONF / "experiment" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# @package _global_", "Hydra reads this in the first line only"
    assert lines[1].startswith("# python run.py")
    assert f"experiment={name}" in lines[1]
