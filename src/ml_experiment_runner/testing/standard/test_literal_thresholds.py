"""No score is compared with a literal number: thresholds are learned."""

from pathlib import Path

import yaml

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.testing.literal_thresholds import ADVICE, keys, literals
from ml_experiment_runner.testing.mistakes import mistakes_in
from ml_experiment_runner.testing.parameters import pytest_generate_tests as pytest_generate_tests


def refuse(file: Path, literal_thresholds: list[str]) -> None:
    """Raises an error that lists them, each with the file, and what to do instead."""
    if literal_thresholds:
        name = file.relative_to(root()).as_posix()
        raise UserError("\n".join([*(f"{name}{line}" for line in literal_thresholds), ADVICE]))


def test_no_score_is_compared_with_a_literal(source: Path) -> None:
    try:
        code = source.read_text(encoding="utf-8")
        comparisons = [f":{line}: {text}" for line, text in literals(code)]
    except SyntaxError as error:
        name = source.relative_to(root()).as_posix()
        raise UserError(f"{name}:{error.lineno}: invalid Python: {error.msg}") from None
    refuse(source, comparisons)


def test_no_threshold_is_written_into_the_configuration(configuration: Path) -> None:
    with mistakes_in(configuration.relative_to(root()).as_posix()):
        content = yaml.safe_load(configuration.read_bytes())
    refuse(configuration, [f": {key}: {value}" for key, value in keys(content)])
