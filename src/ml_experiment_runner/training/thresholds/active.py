"""The active threshold: the one just learned, or the one before where none is valid."""

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.config.run_time import read_run_time
from ml_experiment_runner.dataset.dataset import Dataset
from ml_experiment_runner.holds import holds
from ml_experiment_runner.holds.holds import Hold, Violation
from ml_experiment_runner.project import repository
from ml_experiment_runner.record.find_run import find_run
from ml_experiment_runner.record.ranking import is_debug
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.record.run_reader import read_run
from ml_experiment_runner.training.arrays import BinaryLabels
from ml_experiment_runner.training.thresholds.policies import Learned

FILE = "threshold.json"
EARLIER = 5  # earlier thresholds that are recorded
CARRIED = ("value", "learned", "run", "labels", "positives", "policy")
HELD = "held/threshold"
RERUN_OF = "RUNNER_RERUN_OF"


def active_threshold(
    config: DictConfig, run: Run, dataset: Dataset, learned: Learned, label: BinaryLabels
) -> dict[str, Any]:
    """What is kept with the model as `threshold.json`; opens a hold where no threshold is valid.

    Then the threshold of the experiment's last run stays active. A debug run keeps none. It, a
    job of a sweep and a rerun hold nothing.

    Args:
        config: The composed configuration.
        run: The run that learned.
        dataset: What it learned from.
        learned: What `learn` found.
        label: The validation labels, 0 or 1, shape (rows,).
    """
    configured = OmegaConf.to_container(config.threshold, resolve=True)
    assert isinstance(configured, dict)
    policy = {str(key): value for key, value in configured.items() if value not in (None, {})}
    carried, earlier = _before(config, run)
    threshold: dict[str, Any] = {
        "value": learned.value,
        "policy": policy,
        "guaranteed": learned.guaranteed,
        "labels": len(label),
        "positives": int(label.sum()),
        "learned": datetime.now(UTC).isoformat(timespec="seconds"),
        "run": run.id,
        "data": dataset.fingerprint,
        "period": [time.isoformat() for time in dataset.periods.get("validation", ())],
    }
    if learned.value is not None:
        if _decides(config, run):  # a valid threshold ends the hold for the lack of one
            holds.close(repository.root(), f"threshold-{run.experiment}")
    else:
        threshold |= {"reason": _reason(policy, learned), "missing": learned.missing}
        if carried is not None:
            threshold |= {"value": carried["value"], "carried_over": carried, "guaranteed": False}
        if _decides(config, run):
            threshold["hold"] = _hold(run, config, dataset, threshold)
    threshold["earlier"] = earlier
    run.log_text(json.dumps(threshold, indent=2, ensure_ascii=False) + "\n", FILE)
    if "reason" in threshold:
        run.log_tag("threshold", threshold["reason"])
    return threshold


def decided(_: Hold) -> list[str]:
    """What follows from a decision on a hold: nothing has to be moved."""
    return []


def _reason(policy: dict[str, Any], learned: Learned) -> str:
    aim = f"a {policy['policy']} of {policy['target']:g} or more"
    sure = f"{policy['confidence']:.0%} confidence"
    reason = f"no threshold reaches {aim} with {sure}; the best reaches {learned.reached:.3f}"
    if learned.missing is None:
        return f"{reason}, and more labels will not help: lower the target, or improve the model"
    return f"{reason}; about {learned.missing:,} more labels are needed"


def _hold(run: Run, config: DictConfig, dataset: Dataset, threshold: dict[str, Any]) -> str | None:
    """Opens the hold, unless a person has released just this one; its id."""
    root = repository.root()
    subject = f"threshold-{run.experiment}"
    carried = threshold.get("carried_over")
    cause = json.dumps([threshold["policy"], dataset.rows_fingerprint], sort_keys=True)
    delivery = hashlib.blake2b(cause.encode(), digest_size=8).hexdigest()
    last_good = carried["run"] if carried else "none"
    before = holds.decision(root, subject, delivery, last_good)
    if before is not None and before.status == holds.RELEASED:
        return None
    stays = (
        f"{carried['value']:.4f} of run {carried['run']} stays active"
        if carried
        else "no threshold is active"
    )
    violation = Violation("threshold", None, f"{threshold['reason']}; {stays}", "all")
    hold = holds.open_hold(
        root,
        Hold(
            id="", subject=subject, version=str(threshold["policy"]["policy"]), last_good=last_good,
            owner=config.experiment.owner or "whoever runs it",
            opened=read_run_time(config).astimezone(UTC).isoformat(timespec="seconds"),
            partition="all", violations=(violation,), delivery=(delivery,), kind="threshold",
        ),
    )  # fmt: skip
    print(holds.describe(hold))
    return hold.id


def _before(config: DictConfig, run: Run) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """The threshold that would be carried over, and how those before this run moved.

    A rerun takes both from the record of the run that it repeats: others may have come or gone.
    """
    if _is_debug(config):
        return None, []
    if origin := os.environ.get(RERUN_OF):
        path = find_run(Path(config.outputs), origin) / "artifacts" / FILE
        origin_threshold = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return origin_threshold.get("carried_over"), origin_threshold.get("earlier", [])
    thresholds = _learned(config, run)
    earlier = [
        {key: threshold[key] for key in ("run", "learned", "value")} for threshold in thresholds
    ]
    return {key: thresholds[-1][key] for key in CARRIED} if thresholds else None, earlier


def _learned(config: DictConfig, run: Run) -> list[dict[str, Any]]:
    """The last thresholds that were learned in the experiment's finished runs, the oldest first.

    Jobs of sweeps, which only try values, lie deeper and are not among them.
    """
    thresholds: list[dict[str, Any]] = []
    paths = (Path(config.outputs) / run.experiment).glob(f"*/*/artifacts/{FILE}")
    for path in sorted(paths, reverse=True):
        threshold = json.loads(path.read_text(encoding="utf-8"))
        if threshold.get("value") is None or "carried_over" in threshold or "run" not in threshold:
            continue
        recorded = read_run(path.parents[1])
        is_whole = recorded.status == "FINISHED" and not is_debug(recorded)
        if is_whole and "rerun.of" not in recorded.tags:
            thresholds.append(threshold)
        if len(thresholds) == EARLIER:
            break
    return thresholds[::-1]


def _decides(config: DictConfig, run: Run) -> bool:
    """Whether a run decides what is active; jobs of sweeps, reruns and debug runs try things."""
    return run.parent is None and RERUN_OF not in os.environ and not _is_debug(config)


def _is_debug(config: DictConfig) -> bool:
    return bool(config.debug.rows or config.debug.overfit)
