"""Every file in conf/ composes to a valid configuration."""

import warnings

import pytest
from mistakes import mistakes_in

from ml_experiment_runner.config.composition import CONF, choices, compose
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.config.parameters import MissingExtraError, check_model
from ml_experiment_runner.record.experiment_time import overdue

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
    if not choices("dataset") and choice.startswith("task="):
        pytest.skip("no dataset yet")
    try:
        with mistakes_in(f"conf/{choice.replace('=', '/')}.yaml"):
            check_model(compose(*base(choice), choice))
    except MissingExtraError as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("name", choices("experiment"))
def test_experiment_composes_and_says_what_it_asks(name: str) -> None:
    file = f"conf/experiment/{name}.yaml"
    with mistakes_in(file):
        config = compose(f"+experiment={name}")
        check_model(config)
    missing = [
        f"  {key}: {example}"
        for key, example in (("owner", "Ada"), ("question", "Are evenings worse?"))
        if not str(config.experiment[key]).strip()
    ]
    if missing:
        raise UserError("\n".join([
            f"{file}: nobody can tell what it asks, or whom to ask. Add to it, in your words:",
            "experiment:", *missing,
        ]))  # fmt: skip
    # one that is late fails nothing: a change elsewhere should not have to close it
    for finding in overdue(name, config):
        warnings.warn(f"{file}: {finding.message}", stacklevel=1)


@pytest.mark.parametrize("name", choices("experiment"))
def test_experiment_opens_with_its_command(name: str) -> None:
    file = CONF / "experiment" / f"{name}.yaml"
    opening = [*file.read_text(encoding="utf-8").splitlines(), "", ""][:2]
    package, command = "# @package _global_", f"# python run.py +experiment={name}"
    if opening[0] != package:
        raise UserError(
            f"conf/experiment/{name}.yaml:1: the first line must be '{package}', got "
            f"'{opening[0]}'. Without it, all keys land under 'experiment'"
        )
    if not (opening[1].startswith("# python run.py") and f"experiment={name}" in opening[1]):
        raise UserError(
            f"conf/experiment/{name}.yaml:2: the second line must be the command that runs it, "
            f"'{command}', got '{opening[1]}'"
        )
