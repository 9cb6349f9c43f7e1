"""How much of an experiment's time is left."""

import datetime

from omegaconf import DictConfig

from ml_experiment_runner.record.findings import Finding


def overdue(name: str, config: DictConfig) -> list[Finding]:
    """A finding if the time set aside for an active experiment is over.

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
        f"{name} was to end on {experiment.until}, {days} days ago; close it with a status and a "
        f"conclusion in conf/experiment/{name}.yaml, or give it more time"
    )
    evidence = {"until": experiment.until, "days": days, "owner": experiment.owner}
    return [Finding("overdue_experiment", name, message, evidence)]


def days_left(until: str | None) -> str:
    """Days up to the last day set for an experiment; `overdue` behind it."""
    if until is None:
        return "-"
    days = (datetime.date.fromisoformat(until) - datetime.date.today()).days
    return str(days) if days >= 0 else f"overdue by {-days}"
