"""Metrics as people read them."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml_experiment_runner.config import metrics
from ml_experiment_runner.record import summary


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1469310.0, "1,469,310"),
        (0.0, "0"),
        (-2500.0, "-2,500"),
        (0.8123456, "0.8123"),
        (0.00001234, "1.234e-05"),
        (1469310.5, "1,469,310.5"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_number_is_shown_whole_or_with_four_digits(value: float, shown: str) -> None:
    assert metrics.number(value) == shown


@given(st.integers(-(10**14), 10**14))
def test_count_is_shown_with_all_its_digits(count: int) -> None:
    assert metrics.number(float(count)) == f"{count:,}"


@pytest.mark.usefixtures("in_a_project")
def test_counts_of_a_task_are_printed_whole(tmp_path: Any, capsys: Any) -> None:
    class Run:
        folder = tmp_path
        config = type("Config", (), {"tracking": type("Tracking", (), {"uri": "none"})})

        def mlflow_page(self) -> None:
            return None

    summary.closing(Run(), {"rows/transactions": 1469310.0, "held/transactions": 0.0})  # type: ignore[arg-type]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["rows/transactions", "1,469,310"]
    assert lines[1].split() == ["held/transactions", "0"]
