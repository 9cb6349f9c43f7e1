"""The active threshold: what it was learned for, and how it moved over the runs before."""

from typing import Any

from ml_experiment_runner.record.card.page import words
from ml_experiment_runner.record.card.section import read_json
from ml_experiment_runner.record.run_reader import RecordedRun

AIMS = {
    "f_beta": "the best F-score (beta {beta})",
    "precision": "a precision of {target} or more ({confidence} confidence), with the most recall",
    "recall": "a recall of {target} or more ({confidence} confidence), with the most precision",
    "cost": "the least cost ({costs})",
    "top_k": "no more than a share of {capacity} of the rows flagged",
}


def threshold(run: RecordedRun) -> dict[str, Any] | None:
    """The threshold's value and aim, or why none is valid; None if none was to be learned."""
    value, refused = run.metrics.get("threshold"), run.tags.get("threshold")
    recorded = read_json(run, "threshold.json") or {"policy": _configured_policy(run.params)}
    if "policy" not in recorded["policy"] or (value is None and refused is None):
        return None
    if carried := recorded.get("carried_over"):
        carried["aim"] = _aim(carried["policy"]) if "policy" in carried else None
    aim = _aim(recorded["policy"])
    return {"threshold": {**recorded, "value": value, "refused": refused, "aim": aim}}


def _configured_policy(params: dict[str, str]) -> dict[str, Any]:
    """The policy of a run that recorded no threshold, such as a run with debug=overfit."""
    values = {
        key.removeprefix("threshold."): value
        for key, value in params.items()
        if key.startswith("threshold.") and value != "None"
    }
    costs = {key: value for key, value in values.items() if key.startswith("costs.")}
    policy: dict[str, Any] = {key: value for key, value in values.items() if key not in costs}
    return policy | {"costs": {key.removeprefix("costs."): cost for key, cost in costs.items()}}


def _aim(policy: dict[str, Any]) -> str:
    """What a threshold is learned for, in words."""
    numbers = {name: f"{float(value):g}" for name, value in policy.items()
               if name not in ("policy", "costs")}  # fmt: skip
    costs = (f"{words(name)} {float(cost):g}" for name, cost in policy.get("costs", {}).items())
    name = str(policy["policy"])
    return AIMS.get(name, name).format(**numbers, costs=", ".join(costs))
