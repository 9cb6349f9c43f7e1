"""What a person reads on the terminal when a run starts and when it ends."""

import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ml_experiment_runner.config.metrics import number
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
    """Prints the experiment, its question, the data, the model and what was changed."""
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
        rows["model"] = ", of a number ".join(name.rpartition(".")[2] for name in names)
        if "member" in config.model:
            rows["model"] += f" of {config.model.member._target_.rpartition('.')[2]}"
    changed = [word for word in run.overrides if not word.startswith("+experiment=")]
    if changed:
        rows["changed"] = " ".join(changed)
    _print_table(rows)


def closing(run: "Run", metrics: Mapping[str, float]) -> None:
    """Prints the metrics with their intervals, the threshold and where the record lies."""
    parts = [part for part in ("validation", "test") if f"{part}/rows" in metrics]
    if parts:
        rows_of_metrics = []
        for name in HEADLINES:
            if any(f"{part}/{name}" in metrics for part in parts):
                baseline = metrics.get(f"{parts[-1]}/{name}/baseline")
                told = [_with_interval(metrics, f"{part}/{name}") for part in parts]
                told.append("" if baseline is None else f"{baseline:,.4f}")
                rows_of_metrics.append((name, *told))
        show_table(("", *parts, "baseline"), rows_of_metrics)
    elif metrics:
        _print_table({name: number(value) for name, value in metrics.items()})
    rows = _repeated(metrics)
    if any(f"{part}/base_rate" in metrics for part in parts):
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
    """Prints a user's mistake in a line or two, anything else with its traceback."""
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
    place = Path(str(path))
    return (place.relative_to(root()) if place.is_relative_to(root()) else place).as_posix()


def _repeated(metrics: Mapping[str, float]) -> dict[str, str]:
    """The main metric over folds and over seeds."""
    rows = {}
    for judged, word in (("cv", "folds"), ("seeds/test", "seeds")):
        for name in ("roc_auc", "r2"):
            key = f"{judged}/{name}"
            if f"{key}/sd" in metrics:
                told = f"{name} {metrics[key]:.4f} ± {metrics[f'{key}/sd']:.4f}"
                rows[word] = f"{told} over {metrics[f'{key}/count']:.0f} fits"
    return rows


def _with_interval(metrics: Mapping[str, float], name: str) -> str:
    if name not in metrics:
        return "-"
    text = f"{metrics[name]:,.4f}"
    if f"{name}/low" in metrics:
        text += f"  [{metrics[f'{name}/low']:,.4f}, {metrics[f'{name}/high']:,.4f}]"
    return text


def _print_table(rows: Mapping[str, str]) -> None:
    width = max(len(name) for name in rows)
    for name, value in rows.items():
        print(f"{name:<{width}}  {value}")
