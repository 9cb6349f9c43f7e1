"""What `make bench ARGS=models` writes: a table for each question, and one picture of them."""

from pathlib import Path

import projects
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from models_bench import MEMBER, Fitted, ModelsBench, Question
from report import machine

BLUE, GREY, ORANGE = "#2563a8", "#8a8f98", "#c8601a"
LABELS = {"roc_auc": "ROC AUC", "log_loss": "log loss", "r2": "R²", "mae": "mean absolute error"}
EXTRAS = ("lightgbm", "xgboost", "xgboost-cpu", "catboost", "torch", "lightning")

PICTURE = """\
![A dot for each model with its interval, in a panel for each question](images/models.png)

Orange: worse than the best, flight for flight.
"""
HOW = """\
Flights out of New York in 2013: all models learn from January to October and are evaluated on
December; thresholds, of which nothing is seen here, are learned from November. All get the same 20
features, those of `experiment=ensemble`: timetable, weather and aircraft. Each is fitted with the
parameters that the template has; none was tuned for this page, so tuning may well change the
order.

- Brackets behind a metric: its 95 % bootstrap interval over the flights of the month, as the run
  has recorded it. It shows the chance in which flights were drawn, not that of which month it was.
- "Minus the best" is what `python run.py compare` says of the runs: the difference on the same
  flights, with its own interval; *worse* where that leaves out 0. Two models may differ for sure
  while their intervals overlap, because what is hard for both does not blur the difference. Many
  comparisons are made, and none is corrected for that.
- Seconds are from the command to the return of `run.py`, when everything has arrived in MLflow:
  {repeats}, one model after the other, with {threads} threads for all; where there are several, the
  median, the fastest and the slowest in brackets. Signals were received and features computed
  before. Fitting is what the record calls `seconds/fit`; it includes loading the library and
  predicting validation and test part. Of the rest, measuring importance takes the longer the more
  slowly a model predicts.
- Memory is the most that the process and its children, such as the one that syncs the record,
  have held at once, looked at ten times a second; what two of them share counts twice. `dummy`
  shows what is there before any fit.
- Where there are repetitions, their metrics were equal to the last digit, or this page would not
  have been written.
- The ensemble is put together from models that see one signal each, and its time includes cross
  fits, from which its weights are learned, and the one model that a run compares it with. That one
  has a line of its own: "{member}", the same trees on all features.
  No kept member was used.
{skipped}
One of these runs, in a generated project:

```bash
python {command}
```

with `dataset.features` as above.
"""


def table(bench: ModelsBench) -> str:
    """The tables in Markdown."""
    parts = []
    for question in bench.questions:
        main, second = question.metrics
        columns = (
            "model", "verdict", LABELS[main], "minus the best", LABELS[second],
            "from command to record", "fitting", "memory",
        )  # fmt: skip
        lines = [
            f"## {question.title}: `{question.name}`\n",
            f"| {' | '.join(columns)} |",
            f"|{'---|' * len(columns)}",
        ]
        for model, fitted in bench.ranked(question):
            cells = (
                name(model), fitted.verdict, shown(fitted, main), fitted.difference,
                shown(fitted, second), fitted.seconds, fitted.fit, fitted.memory,
            )  # fmt: skip
            lines.append(f"| {' | '.join(map(str, cells))} |")
        parts.append("\n".join(lines))
        if "ensemble" in bench.found[question.name]:
            parts.append(price(bench.found[question.name]["ensemble"]))
    return "\n\n".join(parts)


def price(ensemble: Fitted) -> str:
    """What the run of the ensemble has recorded of what it costs."""
    value, low, high = ensemble.interval("quality_gap")
    return (
        "What the ensemble costs beside the one model, flight for flight, as its run has recorded "
        f"it: {value:.4f} [{low:.4f}, {high:.4f}] ROC AUC. What that buys is told under "
        "[Entanglement, contained](explanation/entanglement.md)."
    )


def name(model: str) -> str:
    return model if model == MEMBER else f"`{model}`"


def shown(fitted: Fitted, metric: str) -> str:
    """A metric with its interval."""
    digits = 2 if metric == "mae" else 4
    value, low, high = fitted.interval(metric)
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def page(bench: ModelsBench, command: str, load: float | None) -> str:
    """The page of the docs."""
    question = bench.questions[0]
    words = [word for word in bench.words(question, "lightgbm") if "features" not in word]
    skipped = "" if bench.network else (
        "- Skipped: `tabular_network`, which needs PyTorch; `--deep` installs it for the "
        "measurement.\n"
    )  # fmt: skip
    parts = [
        "# The models, beside each other",
        f"Written by `{command}`; run it to see your machine's figures.",
        PICTURE,
        table(bench),
        "## How it was measured",
        HOW.format(
            repeats="once each" if bench.repeats == 1 else f"{bench.repeats} repetitions in turn",
            threads=bench.threads, member=MEMBER, skipped=skipped,
            command=" ".join([*words, "dataset.features=[…]"]),
        ),
        machine(load, projects.versions(bench.python, EXTRAS)),
    ]  # fmt: skip
    return "\n\n".join(part.strip() for part in parts) + "\n"


def draw(bench: ModelsBench, path: Path) -> None:
    """The picture: the best on top, orange what is worse than it."""
    most = max(len(found) for found in bench.found.values())
    figure = Figure(figsize=(12.5, 1.3 + 0.32 * most), layout="constrained")
    panels = figure.subplots(1, len(bench.questions), squeeze=False)[0]
    for axes, question in zip(panels, bench.questions, strict=True):
        _panel(axes, question, bench)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _panel(axes, question: Question, bench: ModelsBench) -> None:
    ranked = bench.ranked(question)[::-1]
    main = question.metrics[0]
    real = [fitted.interval(main) for model, fitted in ranked if model != "dummy"]
    low, high = min(each[1] for each in real), max(each[2] for each in real)
    margin = 0.06 * (high - low)
    for place, (model, fitted) in enumerate(ranked):
        value, *ends = fitted.interval(main)
        if model == "dummy" and value < low - margin:  # far away: the others shall be seen
            axes.text(
                low - margin, place, f" \u2190 {value:.3f}", color=GREY, fontsize=8, va="center"
            )
            continue
        colour = ORANGE if fitted.verdict == "worse" else BLUE
        axes.plot(ends, [place, place], color=colour, linewidth=1.5)
        axes.plot([value], [place], "o", color=colour, markersize=5)
    axes.axvline(ranked[-1][1].interval(main)[0], color=GREY, linewidth=1, linestyle="--")
    names = [model.replace("like the", "like\nthe") for model, _ in ranked]
    axes.set_yticks(range(len(ranked)), names, fontsize=8)
    axes.set_ylim(-0.6, len(ranked) - 0.4)
    axes.set_xlim(low - margin, high + margin)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_title(question.title, fontsize=10)
    axes.set_xlabel(f"{LABELS[main]} of December", fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
