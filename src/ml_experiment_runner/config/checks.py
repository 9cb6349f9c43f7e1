"""Checks the values of a composed configuration."""

import datetime
import keyword
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

from ml_experiment_runner.config.metrics import COMPARED_ENDS, METRICS, RENAMED, train_objectives
from ml_experiment_runner.config.run_time import read_now
from ml_experiment_runner.config.schema import CHOICES, RANGES, TOP_LEVEL, is_within
from ml_experiment_runner.config.structure import shown, unknown_key, with_schema
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.path_names import checked_path
from ml_experiment_runner.project.suggestions import nearest

COSTS = ("false_positive", "false_negative", "true_positive", "true_negative")
REQUIRED_COSTS = {"false_positive": "a false alarm", "false_negative": "a miss"}


def check(config: DictConfig) -> None:
    """Checks keys, types and values without loading data or an estimator; fills in defaults.

    Raises:
        UserError: Names the first wrong key, with the nearest valid name.
    """
    typed = with_schema(config)
    for key, choices in CHOICES.items():
        value = OmegaConf.select(config, key)
        if value is not None and value not in choices:
            raise UserError(f"{key} must be one of {', '.join(choices)}, got {shown(value)}")
    with open_dict(config):  # from here on values have their types, and defaults are there
        config.merge_with(OmegaConf.to_container(typed, resolve=False))
    _check_ranges(config)
    _check_names(config)
    _check_experiment(config.experiment)
    _check_task(config)
    check_objective(config)
    if config.get("threshold"):
        _check_threshold(config.threshold)


def check_run_folder(outputs: Path, folder: Path, key: str = "hydra.run.dir") -> None:
    """Checks that a run's folder lies where runs are looked for.

    Args:
        outputs: The folder of all runs.
        folder: That of the run, or of the sweep.
        key: Where the folder was typed.

    Raises:
        UserError: The folder is elsewhere, or not three levels below.
    """
    outputs, folder = outputs.resolve(), folder.resolve()
    if not folder.is_relative_to(outputs) or len(folder.relative_to(outputs).parts) < 3:
        raise UserError(
            f"{key} must be {outputs}/<experiment>/<date>/<time>-<id>, got {folder}; "
            f"remove the override of {key}"
        )


def trains(config: DictConfig) -> bool:
    """Whether the task is `train`, whose metrics are known before it runs."""
    return str(config.task._target_).endswith(".training.train.train")


def check_objective(config: DictConfig) -> None:
    """Checks `objective` where the task is `train`; the metrics of other tasks are not known yet.

    Raises:
        UserError: The task does not return such a metric, or it does not rank runs.
    """
    name = config.objective
    if name is None or not trains(config):
        return
    known = train_objectives(config.evaluation.folds, config.seeds)
    end = next((end for end in COMPARED_ENDS if name.endswith(end)), "")
    if name.removesuffix(end) in known:
        return
    if name in RENAMED:
        raise UserError(f"objective: {name} was renamed to {RENAMED[name]}")
    metric = METRICS.get(name.rpartition("/")[2])
    if metric is not None and metric.greater_is_better is None:
        raise UserError(f"objective must be a metric that ranks models, got '{name}', of which "
                        f"neither more nor less is better. {nearest(name, known)}")  # fmt: skip
    raise UserError(f"objective must be a metric of task=train, got '{name}'. "
                    f"{nearest(name, known)}")  # fmt: skip


def _check_ranges(config: DictConfig) -> None:
    for key, interval in RANGES.items():
        node = OmegaConf.select(config, key)
        numbers = {key: node}
        if isinstance(node, DictConfig):
            numbers = {f"{key}.{name!s}": node[name] for name in node}
        for name, value in numbers.items():
            if value is not None and not is_within(interval, value):
                raise UserError(f"{name} must be in {interval}, got {value}")


def _check_names(config: DictConfig) -> None:
    read_now(config)
    checked_path(config.project, "project:")  # the store's artifacts lie in a folder of this name
    names = config.package.split(".")
    if not all(name.isidentifier() and not keyword.iskeyword(name) for name in names):
        raise UserError(f"package must be the name of a Python package, got '{config.package}'")


def _check_experiment(experiment: DictConfig) -> None:
    try:
        datetime.date.fromisoformat(experiment.until or "2027-01-31")
    except ValueError:
        raise UserError(
            f"experiment.until must be a date such as 2027-01-31, got '{experiment.until}'"
        ) from None
    if experiment.status != "active" and not experiment.conclusion:
        raise UserError(f"experiment.conclusion is required where experiment.status is "
                        f"{experiment.status}: a sentence on what was learned")  # fmt: skip


def _check_task(config: DictConfig) -> None:
    for group in config.task.uses:
        if group not in TOP_LEVEL:
            raise UserError(f"task.uses: unknown group '{group}'. {nearest(group, TOP_LEVEL)}")
        if config.get(group) is None:
            raise UserError(f"{group} is required by this task: write conf/{group}/<name>.yaml "
                            f"and type {group}=<name> (README.md shows how)")  # fmt: skip


def _check_threshold(threshold: DictConfig) -> None:
    policy = threshold.policy
    if policy in ("precision", "recall") and threshold.target is None:
        raise UserError(f"threshold.target is required by threshold.policy={policy}: the least "
                        f"{policy}, such as 0.8")  # fmt: skip
    if policy == "top_k" and threshold.capacity is None:
        raise UserError("threshold.capacity is required by threshold.policy=top_k: the share of "
                        "rows that can be acted upon, such as 0.1")  # fmt: skip
    for name in threshold.costs:
        if name not in COSTS:
            known = [f"threshold.costs.{cost}" for cost in COSTS]
            raise unknown_key(f"threshold.costs.{name}", known)
    for name, event in REQUIRED_COSTS.items():
        if policy == "cost" and name not in threshold.costs:
            raise UserError(f"threshold.costs.{name} is required by threshold.policy=cost: the "
                            f"cost of {event}")  # fmt: skip
