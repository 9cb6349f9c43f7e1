"""Runs a task and records it, after a check of all that can be checked before."""

import gc
import math
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ml_experiment_runner.config.metrics import ENDS, needs_threshold, objective
from ml_experiment_runner.config.overrides import as_typed
from ml_experiment_runner.project.errors import ObjectiveError, UserError, is_interrupt
from ml_experiment_runner.project.moved_names import refuse_old_name

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from ml_experiment_runner.record.run import Run


def resume_collector() -> None:
    """Has Python's garbage collector at work, once imports are done: it is most of their cost."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def words_of(hydra: Any) -> list[str]:
    """A job's overrides as they were typed: what comes from the environment is still named only."""
    from omegaconf import OmegaConf

    words = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    assert isinstance(words, list)
    return [as_typed(str(word)) for word in words]


def score(run: "Run", metrics: Mapping[str, float]) -> float:
    """The objective of a run that has finished; not a number where it has no value.

    Raises:
        ObjectiveError: There is no such metric, and the run trains, is a job of a sweep, or its
            objective was typed. An experiment's own says nothing about the metrics of other tasks.
    """
    from ml_experiment_runner.config.checks import nearest, trains

    name = objective(run.config.objective, metrics)
    if name in metrics:
        return metrics[name]
    is_typed = any(word.lstrip("+").startswith("objective=") for word in run.overrides)
    is_meant = is_typed or run.parent is not None or trains(run.config)
    is_asked = run.config.objective is not None and is_meant
    is_binary = f"{name.rpartition('/')[0]}/base_rate" in metrics
    if not is_asked or (is_binary and needs_threshold(name)):
        return math.nan
    known = [each for each in metrics if not each.endswith(ENDS)]
    raise ObjectiveError(f"objective: run {run.id} has no metric '{name}'. {nearest(name, known)}")


def execute(run: "Run") -> dict[str, float]:
    """Runs the task of an opened run, closes its record, and says both on the terminal.

    Returns:
        The task's metrics.
    """
    from hydra.utils import get_method
    from threadpoolctl import threadpool_limits

    from ml_experiment_runner.record import summary
    from ml_experiment_runner.record.config_diff import changes
    from ml_experiment_runner.record.inline import mlflow_inline
    from ml_experiment_runner.record.profiling import profiled
    from ml_experiment_runner.training.pruning import Pruned

    try:
        run.log_provenance("changes", changes(run.config))
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
    except Pruned as ended:
        print(ended)
        run.log_tag("sweep.pruned", str(ended))
        run.finish("KILLED")
        raise
    except BaseException as error:
        summary.failed(run, error)  # before the end, which may fail too
        run.finish("KILLED" if is_interrupt(error) else "FAILED", error)
        if is_interrupt(error):
            raise KeyboardInterrupt from error
        raise
    return metrics


def check_job(config: "DictConfig") -> None:
    """Checks all that can be checked before a run begins, and limits the threads.

    Raises:
        UserError: Says what is wrong.
    """
    from ml_experiment_runner.config.checks import check

    check(config)
    limit_threads(config.threads)
    _check_task(config.task._target_)
    _check_model(config)
    _check_data(config)


def _check_task(target: str) -> None:
    """Checks that there is such a function; what fails within its module fails in the run."""
    import importlib.util

    refuse_old_name(target)
    module, _, function = target.rpartition(".")
    try:
        is_there = bool(function) and importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        is_there = False
    if not is_there:
        raise UserError(
            f"task._target_: no module '{module}'; name a function by its dotted path, such as "
            "ml_experiment_runner.training.train.train"
        )


def _check_model(config: "DictConfig") -> None:
    """Checks the model's parameters; a task without a model loads no estimator."""
    if "model" in config.task.get("uses", []):
        from ml_experiment_runner.config.parameters import check_model

        check_model(config)


def _check_data(config: "DictConfig") -> None:
    """Checks what is said about signals, features and label before a run begins."""
    uses = config.task.get("uses", [])
    if "signals" in uses:
        from ml_experiment_runner.signals.ingest import chosen

        chosen(config)
    if "dataset" in uses:
        from ml_experiment_runner.dataset.plan import make_plan

        plan = make_plan(config, follow_holds=True)
        if "model" in uses:
            from ml_experiment_runner.training.evaluation.cross_validation import check_block
            from ml_experiment_runner.training.models.groups import check_ensemble

            check_block(config.evaluation.block, config.dataset.features)
            check_ensemble(config, plan)


def limit_threads(threads: int | None) -> None:
    """Sets the number of threads for libraries that are not loaded yet; None leaves all cores."""
    if threads is not None:
        for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
                         "POLARS_MAX_THREADS"):  # fmt: skip
            os.environ[variable] = str(threads)
