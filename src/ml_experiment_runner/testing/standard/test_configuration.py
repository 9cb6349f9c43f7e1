"""Every file in conf/ composes to a valid configuration."""

import warnings

import pytest

from ml_experiment_runner.config.composition import compose
from ml_experiment_runner.config.options import folder, options
from ml_experiment_runner.config.parameters import MissingExtraError, check_model
from ml_experiment_runner.config.structure import UnsetVariableError
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record.experiment_time import overdue
from ml_experiment_runner.testing.mistakes import mistakes_in
from ml_experiment_runner.testing.parameters import pytest_generate_tests as pytest_generate_tests


def base(choice: str) -> list[str]:
    """The overrides that a choice needs, such as a dataset if there is no default."""
    if choice.startswith("hydra/sweeper/"):  # samplers and pruners
        return ["hydra/sweeper=optuna", *base("hydra/sweeper=optuna")]
    datasets = options("dataset")
    if not datasets:
        return ["task=ingest"]
    has_default = compose("task=ingest").dataset is not None
    return [] if has_default or choice.startswith("dataset=") else [f"dataset={datasets[0]}"]


def test_choice_composes(choice: str) -> None:
    if not options("dataset") and choice.startswith("task="):
        pytest.skip("no dataset yet")
    try:
        with mistakes_in(f"conf/{choice.replace('=', '/')}.yaml"):
            check_model(compose(*base(choice), choice))
    except (MissingExtraError, UnsetVariableError) as missing:
        pytest.skip(str(missing))


def test_experiment_composes_and_says_what_it_asks(experiment: str) -> None:
    file = f"conf/experiment/{experiment}.yaml"
    with mistakes_in(file):
        config = compose(f"+experiment={experiment}")
        check_model(config)
    missing = [
        f"  {key}: {example}"
        for key, example in (("owner", "Ada"), ("question", "Are evenings worse?"))
        if not str(config.experiment[key]).strip()
    ]
    if missing:
        raise UserError("\n".join([
            f"{file}: question and owner are required. Add, in your words:",
            "experiment:", *missing,
        ]))  # fmt: skip
    # only a warning: otherwise a change elsewhere would have to close the experiment
    for finding in overdue(experiment, config):
        warnings.warn(f"{file}: {finding.message}", stacklevel=1)


def test_experiment_opens_with_its_command(experiment: str) -> None:
    file = folder() / "experiment" / f"{experiment}.yaml"
    opening = [*file.read_text(encoding="utf-8").splitlines(), "", ""][:2]
    package, command = "# @package _global_", f"# python run.py +experiment={experiment}"
    if opening[0] != package:
        raise UserError(
            f"conf/experiment/{experiment}.yaml:1: the first line must be '{package}', got "
            f"'{opening[0]}'. Without it, all keys land under 'experiment'"
        )
    if not (opening[1].startswith("# python run.py") and f"experiment={experiment}" in opening[1]):
        raise UserError(
            f"conf/experiment/{experiment}.yaml:2: the second line must be the command that runs "
            f"it, '{command}', got '{opening[1]}'"
        )
