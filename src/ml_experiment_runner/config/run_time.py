"""The time at which a run takes place: now, unless `now` or a rerun sets another."""

import datetime
import os

from omegaconf import DictConfig

from ml_experiment_runner.project.errors import UserError


def read_now(config: DictConfig) -> datetime.datetime | None:
    """The time that `now` sets, with its offset; None where it is not set.

    Raises:
        UserError: It is not an ISO 8601 time, or in the future.
    """
    if config.get("now") is None:
        return None
    try:
        now = datetime.datetime.fromisoformat(str(config.now))
    except ValueError:
        raise UserError(
            f"now must be an ISO 8601 time such as 2013-11-30T00:00:00+00:00, got '{config.now}'"
        ) from None
    if now.tzinfo is None:
        now = now.replace(tzinfo=datetime.UTC)
    latest = datetime.datetime.now(datetime.UTC)
    if now > latest:
        raise UserError(f"now must not be in the future (after {latest:%Y-%m-%dT%H:%MZ}), "
                        f"got '{config.now}'")  # fmt: skip
    return now


def read_run_time(config: DictConfig) -> datetime.datetime:
    """The time of `now`; else of the run that is repeated; else the present."""
    repeated = os.environ.get("RUNNER_RERUN_AT")
    return (
        read_now(config)
        or (datetime.datetime.fromisoformat(repeated) if repeated else None)
        or datetime.datetime.now(datetime.UTC)
    )
