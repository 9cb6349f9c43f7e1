"""Runs a task, records it, and returns its objective."""

import gc
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ml_experiment_runner.config.metrics import ENDS, needs_threshold, objective
from ml_experiment_runner.project.errors import ObjectiveError, is_interrupt

if TYPE_CHECKING:
    from ml_experiment_runner.record.run import Run


def resume_collector() -> None:
    """Enables Python's garbage collector, once imports are done: it is most of their cost."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def score(run: "Run", metrics: Mapping[str, float]) -> float:
    """The objective of a run that has finished; NaN where it has no value.

    Raises:
        ObjectiveError: The run has no such metric, and it trains, is a job of a sweep, or its
            objective was typed. The objective of an experiment's file is for training only.
    """
    from ml_experiment_runner.config.checks import trains
    from ml_experiment_runner.project.suggestions import nearest

    name = objective(run.config.objective, metrics)
    if name in metrics:
        return metrics[name]
    is_typed = any(override.lstrip("+").startswith("objective=") for override in run.overrides)
    is_meant = is_typed or run.parent is not None or trains(run.config)
    is_asked = run.config.objective is not None and is_meant
    is_binary = f"{name.rpartition('/')[0]}/base_rate" in metrics
    if not is_asked or (is_binary and needs_threshold(name)):
        return math.nan
    known = [metric for metric in metrics if not metric.endswith(ENDS)]
    raise ObjectiveError(f"objective: run {run.id} has no metric '{name}'. {nearest(name, known)}")


def execute(run: "Run") -> dict[str, float]:
    """Runs the task of an opened run, closes its record, and prints a summary.

    Returns:
        The task's metrics.
    """
    from hydra.utils import get_method
    from threadpoolctl import threadpool_limits

    from ml_experiment_runner.record import summary
    from ml_experiment_runner.record.config_diff import changed_defaults
    from ml_experiment_runner.record.inline import mlflow_inline
    from ml_experiment_runner.record.profiling import profiled
    from ml_experiment_runner.training.pruning import Pruned

    try:
        run.log_provenance("changes", changed_defaults(run.config))
        summary.opening(run)
        with threadpool_limits(run.config.threads), mlflow_inline(run), profiled(run):
            metrics: dict[str, float] = get_method(run.config.task._target_)(run.config, run)
        run.log_metrics(metrics)
        run.settle()
        from ml_experiment_runner.record.card.page import write_card
        from ml_experiment_runner.sweeps.card_section import CARD_SECTIONS

        run.log_artifact(write_card(run.folder, CARD_SECTIONS), "card.html")
        summary.closing(run, metrics)  # before the end, so that console.log holds it
        run.finish("FINISHED")
    except Pruned as pruned:
        print(pruned)
        run.log_tag("sweep.pruned", str(pruned))
        run.finish("KILLED")
        raise
    except BaseException as error:
        summary.failed(run, error)  # before the end, which may fail too
        run.finish("KILLED" if is_interrupt(error) else "FAILED", error)
        if is_interrupt(error):
            raise KeyboardInterrupt from error
        raise
    return metrics
