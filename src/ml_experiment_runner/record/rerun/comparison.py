"""A rerun beside its original: where they differ, and whether every metric is equal."""

import math

from ml_experiment_runner.config.metrics import number
from ml_experiment_runner.record.run_reader import RecordedRun

NOT_COMPARED = ("seconds/", "system/")
OURS = ("outputs", "tracking.uri", "threads")
"""Keys of the config that a rerun sets itself."""


def print_comparison(recorded: RecordedRun, again: RecordedRun) -> bool:
    """Print both runs' metrics side by side, equal bounds left out.

    Args:
        recorded: The original.
        again: The rerun.

    Returns:
        Whether all metrics are equal to the last digit, and both ended alike.
    """
    print(f"\nrecorded {recorded.id} ({recorded.status}), rerun {again.id} ({again.status})")
    _print_inputs(recorded, again)
    names = [
        name for name in {**recorded.metrics, **again.metrics}
        if not name.startswith(NOT_COMPARED)
    ]  # fmt: skip
    width = max(map(len, names), default=0)
    print(f"{'metric':<{width}}  {'recorded':>18}  {'rerun':>18}  difference")
    different = 0
    for name in names:
        was, now = recorded.metrics.get(name), again.metrics.get(name)
        equal = _equal(was, now)
        different += not equal
        if equal and name.endswith(("/low", "/high")):
            continue
        gap = "0" if equal else "-" if was is None or now is None else f"{now - was:+.3g}"
        print(f"{name:<{width}}  {_shown(was):>18}  {_shown(now):>18}  {gap}")
    if different or not names:
        print(f"{different} of {len(names)} metrics differ")
        return False
    print(f"equal to the last digit: {len(names)} metrics")
    return recorded.status == again.status


def _print_inputs(recorded: RecordedRun, again: RecordedRun) -> None:
    """Print which data and parameters differ."""
    data = [{one["signal"]: one["md5"] for one in run.datasets} for run in (recorded, again)]
    for signal in sorted(data[0].keys() | data[1].keys()):
        was, now = data[0].get(signal, "not read"), data[1].get(signal, "not read")
        if was != now:
            print(f"data differ: {signal} was {was} and is {now}")
    for name in {**recorded.params, **again.params}:
        old, new = recorded.params.get(name), again.params.get(name)
        if old != new and name not in OURS:
            print(f"params differ: {name} was {old} and is {new}")


def _equal(was: float | None, now: float | None) -> bool:
    """Whether two values of a metric are one; NaN equals NaN."""
    if was is None or now is None:
        return was is now
    return was == now or (math.isnan(was) and math.isnan(now))


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return number(value) if value.is_integer() else f"{value:,.12g}"
