"""The summary of a run on the terminal, at its start and at its end."""

import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ml_experiment_runner.config.metrics import number, with_interval
from ml_experiment_runner.project.errors import UserError, full_disk, is_interrupt
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.project.text import show_table

if TYPE_CHECKING:
    from ml_experiment_runner.record.run import Run

HEADLINES = (
    *("roc_auc", "average_precision", "r2", "mae", "rmse", "accuracy", "balanced_accuracy"),
    *("log_loss", "precision", "recall", "base_rate", "label_mean", "quality_gap"),
)


def opening(run: "Run") -> None:
    """Prints the experiment, its question, the data, the model and the overrides."""
    config = run.config
    rows = {"experiment": run.experiment}
    if config.experiment.question:
        rows["question"] = config.experiment.question
    rows["task"] = config.task._target_.rpartition(".")[2]
    uses = config.task.get("uses", [])
    if "dataset" in uses:
        data = config.dataset
        rows["data"] = f"{data.spine}: {data.label} from {len(data.features)} features"
    if "model" in uses:
        names = [config.model[key] for key in ("_target_", "_regressor_") if key in config.model]
        rows["model"] = ", for regression ".join(name.rpartition(".")[2] for name in names)
        if "member" in config.model:
            rows["model"] += f" of {config.model.member._target_.rpartition('.')[2]}"
    overrides = [override for override in run.overrides if not override.startswith("+experiment=")]
    if overrides:
        rows["changed"] = " ".join(overrides)
    _print_table(rows)


def closing(run: "Run", metrics: Mapping[str, float]) -> None:
    """Prints the metrics with their intervals, the threshold and the paths of the record."""
    splits = [split for split in ("validation", "test") if f"{split}/rows" in metrics]
    if splits:
        table = []
        for name in HEADLINES:
            if any(f"{split}/{name}" in metrics for split in splits):
                baseline = metrics.get(f"{splits[-1]}/{name}/baseline")
                values = [_with_interval(metrics, f"{split}/{name}") for split in splits]
                table.append((name, *values, "" if baseline is None else f"{baseline:,.4f}"))
        show_table(("", *splits, "baseline"), table)
    elif metrics:
        _print_table({name: number(value) for name, value in metrics.items()})
    rows = _means(metrics)
    if any(f"{split}/base_rate" in metrics for split in splits):
        rows["threshold"] = (
            f"{metrics['threshold']:.4f}" if "threshold" in metrics else "no valid threshold"
        )
    card = run.folder / "artifacts" / "card.html"
    if card.exists():
        rows["card"] = shown(card)
    if page := run.mlflow_page():
        rows["mlflow"] = page
    elif (uri := str(run.config.tracking.uri)).startswith("sqlite:///"):
        store = shown(uri.removeprefix("sqlite:///"))
        rows["mlflow"] = f"python -m mlflow ui --backend-store-uri sqlite:///{store}"
        rows["mlflow"] += "  (make ui)" if store == "mlflow.db" else ""
    rows["run"] = shown(run.folder)
    _print_table(rows)


def failed(run: "Run", error: BaseException) -> None:
    """Prints a user's mistake in a line or two, any other error with its traceback."""
    if full := full_disk(error):
        print(full, file=sys.stderr)
    elif isinstance(error, UserError):
        print(error, file=sys.stderr)
    elif is_interrupt(error):
        print("stopped; the record is kept", file=sys.stderr)
    else:
        traceback.print_exception(error)
    print(f"run  {shown(run.folder)}", file=sys.stderr)


def shown(path: object) -> str:
    """A path as a person would type it from the project's root."""
    absolute = Path(str(path))
    is_within = absolute.is_relative_to(root())
    return (absolute.relative_to(root()) if is_within else absolute).as_posix()


def _means(metrics: Mapping[str, float]) -> dict[str, str]:
    """The main metric over folds and over seeds."""
    rows = {}
    for prefix, repeated in (("cv", "folds"), ("seeds/test", "seeds")):
        for name in ("roc_auc", "r2"):
            key = f"{prefix}/{name}"
            if f"{key}/sd" in metrics:
                mean = f"{name} {metrics[key]:.4f} ± {metrics[f'{key}/sd']:.4f}"
                rows[repeated] = f"{mean} over {metrics[f'{key}/count']:.0f} fits"
    return rows


def _with_interval(metrics: Mapping[str, float], name: str) -> str:
    if name not in metrics:
        return "-"
    return with_interval(metrics[name], *(metrics.get(f"{name}/{end}") for end in ("low", "high")))


def _print_table(rows: Mapping[str, str]) -> None:
    width = max(len(name) for name in rows)
    for name, value in rows.items():
        print(f"{name:<{width}}  {value}")
