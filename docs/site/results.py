"""Writes docs/results.md: the last run of each flights experiment in a generated project.

Type `python docs/site/results.py build/demo/flight-delays`.
"""

import sys
from pathlib import Path

ROWS = {
    "ROC AUC": "test/roc_auc",
    "average precision": "test/average_precision",
    "log loss": "test/log_loss",
    "precision at the threshold": "test/precision",
    "recall at the threshold": "test/recall",
    "ROC AUC, November": "validation/roc_auc",
}
EXPERIMENTS = ("baseline", "boosted_trees", "weather")


def main(project: Path) -> None:
    """Read the records and write the table."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
    from ml_experiment_runner.record.run_reader import folders, read_run

    runs = {}
    for folder in folders(project / "outputs"):
        run = read_run(folder)
        if run.status == "FINISHED" and run.params["debug.rows"] == "None":
            runs[run.experiment] = run
    metrics = [runs[name].metrics for name in EXPERIMENTS]
    lines = [f"| | {' | '.join(f'`{name}`' for name in EXPERIMENTS)} |", "|---|---|---|---|"]
    for label, name in ROWS.items():
        cells = " | ".join(_with_interval(one, name) for one in metrics)
        lines.append(f"| {label} | {cells} |")
    flights = f"{metrics[0]['test/rows']:,.0f} flights, {metrics[0]['test/base_rate']:.1%} late"
    lines += ["", f"The test month: {flights}."]
    target = Path(__file__).resolve().parents[1] / "results.md"
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _with_interval(metrics: dict[str, float], name: str) -> str:
    low, high = metrics[f"{name}/low"], metrics[f"{name}/high"]
    return f"{metrics[name]:.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
