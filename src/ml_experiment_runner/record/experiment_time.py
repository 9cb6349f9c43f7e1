"""The days that are left of an experiment's time."""

import datetime

from omegaconf import DictConfig

from ml_experiment_runner.record.findings import Finding


def overdue(name: str, config: DictConfig) -> list[Finding]:
    """A finding if the last day of an active experiment is over.

    Args:
        name: The experiment's.
        config: Its composed configuration.
    """
    experiment = config.experiment
    if experiment.status != "active" or not experiment.until:
        return []
    days = (datetime.date.today() - datetime.date.fromisoformat(experiment.until)).days
    if days <= 0:
        return []
    message = (
        f"experiment {name} was due on {experiment.until}, {days} days ago; set a status and a "
        f"conclusion in conf/experiment/{name}.yaml, or a later experiment.until"
    )
    evidence = {"until": experiment.until, "days": days, "owner": experiment.owner}
    return [Finding("overdue_experiment", name, message, evidence)]


def days_left(until: str | None) -> str:
    """Days until an experiment's last day; `overdue by` after it."""
    if until is None:
        return "-"
    days = (datetime.date.fromisoformat(until) - datetime.date.today()).days
    return str(days) if days >= 0 else f"overdue by {-days}"
