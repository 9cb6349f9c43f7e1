"""A rerun beside its original: where they differ, and whether every metric is equal."""

import math

from ml_experiment_runner.config.metrics import number
from ml_experiment_runner.project.text import show_table
from ml_experiment_runner.record.config_diff import changed_keys
from ml_experiment_runner.record.run_diff import changed_signals
from ml_experiment_runner.record.run_reader import RecordedRun

NOT_COMPARED = ("seconds/", "system/")
SET_BY_RERUN = ("outputs", "tracking.uri", "threads")
"""Keys of the config that a rerun sets itself."""


def print_comparison(recorded: RecordedRun, rerun: RecordedRun) -> bool:
    """Print both runs' metrics side by side, equal bounds left out.

    Args:
        recorded: The original.
        rerun: The rerun.

    Returns:
        Whether all metrics are equal to the last digit, and both ended alike.
    """
    print(f"\nrecorded {recorded.id} ({recorded.status}), rerun {rerun.id} ({rerun.status})")
    settings = changed_keys(recorded.settings, rerun.settings)
    for change in changed_signals(recorded, rerun) + settings:
        if change.key not in SET_BY_RERUN:
            print(f"differs: {change}")
    names = [name for name in recorded.metrics | rerun.metrics
             if not name.startswith(NOT_COMPARED)]  # fmt: skip
    rows, different = [], 0
    for name in names:
        before, after = recorded.metrics.get(name), rerun.metrics.get(name)
        equal = _equal(before, after)
        different += not equal
        if not (equal and name.endswith(("/low", "/high"))):
            rows.append((name, _shown(before), _shown(after), _gap(before, after)))
    show_table(("metric", "recorded", "rerun", "difference"), rows)
    if different or not names:
        print(f"{different} of {len(names)} metrics differ")
        return False
    print(f"equal to the last digit: {len(names)} metrics")
    return recorded.status == rerun.status


def _equal(before: float | None, after: float | None) -> bool:
    """Whether two values of a metric are equal; NaN equals NaN."""
    if before is None or after is None:
        return before is after
    return before == after or (math.isnan(before) and math.isnan(after))


def _gap(before: float | None, after: float | None) -> str:
    if _equal(before, after):
        return "0"
    return "-" if before is None or after is None else f"{after - before:+.3g}"


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return number(value) if value.is_integer() else f"{value:,.12g}"
