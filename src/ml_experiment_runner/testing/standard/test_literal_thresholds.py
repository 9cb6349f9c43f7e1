"""No score is compared with a number that somebody wrote down: thresholds are learned."""

from pathlib import Path

import yaml

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.testing.literal_thresholds import ADVICE, keys, literals
from ml_experiment_runner.testing.mistakes import mistakes_in
from ml_experiment_runner.testing.parameters import pytest_generate_tests as pytest_generate_tests


def refuse(file: Path, found: list[str]) -> None:
    """Raises what was found, each with the file, and what to do instead."""
    if found:
        name = file.relative_to(root()).as_posix()
        raise UserError("\n".join([*(f"{name}{each}" for each in found), ADVICE]))


def test_no_score_is_compared_with_a_literal(source: Path) -> None:
    try:
        found = [f":{line}: {text}" for line, text in literals(source.read_text(encoding="utf-8"))]
    except SyntaxError as error:
        name = source.relative_to(root()).as_posix()
        raise UserError(f"{name}:{error.lineno}: invalid Python: {error.msg}") from None
    refuse(source, found)


def test_no_threshold_is_written_into_the_configuration(configuration: Path) -> None:
    with mistakes_in(configuration.relative_to(root()).as_posix()):
        content = yaml.safe_load(configuration.read_bytes())
    refuse(configuration, [f": {key}: {value}" for key, value in keys(content)])
