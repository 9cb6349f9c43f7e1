"""whylogs' drift scores between profiles, and its constraints.

whylogs.readthedocs.io, "Drift Algorithm Configuration": Kolmogorov-Smirnov or chi-square by
default, drift where p is below 0.05. "Constraints Suite": what the contract promises, on the
delivery's profile.
"""

from typing import Any

import pandas as pd
import whylogs as why
from jobs import Facts, Said, run
from whylogs.core.constraints import ConstraintsBuilder
from whylogs.core.constraints.factories import (
    column_is_nullable_fractional,
    column_is_nullable_string,
    column_is_probably_unique,
    count_below_number,
    is_in_range,
    n_most_common_items_in_set,
    null_percentage_below_number,
)
from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores

METHODS = ("whylogs, drift", "whylogs, constraints")


def learn(past: list[pd.DataFrame], facts: Facts) -> Any:
    """The profile of the past."""
    frame = pd.concat(past, ignore_index=True)
    return why.log(frame[facts.watched]).view()


def look(reference: Any, rows: pd.DataFrame, facts: Facts) -> Said:
    """The fields that drift, the least p-value first, and those that fail a constraint."""
    target = why.log(rows).view()
    # of the columns that both have, and the reference has those that are watched
    scores = calculate_drift_scores(target, reference, with_thresholds=True)
    drifted = [
        (score["pvalue"], -score["statistic"], name)
        for name, score in scores.items()
        if score and score["drift_category"] == "DRIFT"
    ]
    failed = [(check, name) for name in facts.types for check in _failed(target, name, facts)]
    return {METHODS[0]: [("drift", name) for *_, name in sorted(drifted)], METHODS[1]: failed}


def _failed(view: Any, name: str, facts: Facts) -> list[str]:
    if view.get_column(name) is None:
        return ["missing"]
    builder = ConstraintsBuilder(view)
    if facts.types[name] in ("integer", "number"):
        builder.add_constraint(column_is_nullable_fractional(name))
    elif facts.types[name] == "string":
        builder.add_constraint(column_is_nullable_string(name))
    if name in facts.nulls:
        # the share must be below
        builder.add_constraint(null_percentage_below_number(name, facts.nulls[name] + 1e-9))
    if name in facts.ranges:
        low, high = facts.ranges[name]
        builder.add_constraint(
            is_in_range(
                name,
                lower=float("-inf") if low is None else low,
                upper=float("inf") if high is None else high,
            )
        )
    if name in facts.allowed:
        allowed = set(facts.allowed[name])
        builder.add_constraint(n_most_common_items_in_set(name, len(allowed) + 1, allowed))
    if facts.key == [name]:
        builder.add_constraint(column_is_probably_unique(name))
    if facts.rows:
        builder.add_constraint(count_below_number(name, facts.rows[1] + 1))
    report = builder.build().generate_constraints_report()
    return [each.name for each in report if each.failed]


if __name__ == "__main__":
    run("whylogs", METHODS, learn, look)
