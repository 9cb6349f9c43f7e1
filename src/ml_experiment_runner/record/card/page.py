"""The run card: one page that tells a run to somebody who was not there.

It is built from the run's folder alone, so that it can be built again for any recorded run; fonts,
pictures and style are inside, and nothing is fetched.
"""

import base64
import json
import math
import re
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader

from ml_experiment_runner.config.metrics import METRICS, Metric, greater_is_better, number
from ml_experiment_runner.config.metrics import objective as metric_of
from ml_experiment_runner.record.run_reader import RecordedRun, read_run

PARTS = ("validation", "test")
FIGURES = (
    *("roc", "precision_recall", "calibration", "errors", "threshold", "confusion"),
    *("slices", "importance"),
)
SLICES = 12  # of the weakest slices are told; all are in slices.json
POLICIES = {
    "f_beta": "the best F-score (beta {beta})",
    "precision": "a precision of {target} or more ({confidence} confidence), with the most recall",
    "recall": "a recall of {target} or more ({confidence} confidence), with the most precision",
    "cost": "the least cost ({costs})",
    "top_k": "no more than a share of {capacity} of the rows flagged",
}


class Mark(NamedTuple):
    """A metric's value in one part, with its interval and the baseline's value if it has them."""

    part: str
    value: float
    low: float | None
    high: float | None
    baseline: float | None = None


def write_card(folder: Path, refusal: str | None = None) -> Path:
    """Write `artifacts/card.html` from what a run's folder holds.

    To write the card is a run's last step: a run that still works is shown as finished.

    Args:
        folder: The run's.
        refusal: Why the run is about to fail, although all of it has been measured.
    """
    run = read_run(folder)
    if refusal is not None:
        run.status, run.error = "FAILED", refusal
    measured = {one.partition("/")[0] for one in run.metrics}
    parts = [part for part in PARTS if part in measured]
    told = [name for name in run.metrics if _is_told(name)]
    page = environment(Path(__file__).parent).get_template("card.html").render(
        run=run,
        params=run.params,
        made_from=run.provenance,
        status="FINISHED" if run.status == "RUNNING" else run.status,
        verdict=_verdict(run),
        parts=parts,
        metrics=_metrics(run, parts, told),
        others=[name for name in told if name.partition("/")[0] not in parts],
        threshold=_threshold(run),
        repeated=_repeated(run),
        slices=_slices(run),
        sweep=_sweep(run),
        ensemble=_told(run, "ensemble.json"),
        ablation=_told(run, "ablation.json"),
        figures=_figures(run),
        split=_split(run),
        split_words=_split_words(run.params),
        features=run.params.get("dataset.features", "").strip("[]").replace("'", ""),
        dropped=int(run.params.get("rows.without_label", 0)),
        stages={
            name.removeprefix("seconds/"): value
            for name, value in run.metrics.items()
            if name.startswith("seconds/")
        },
        system=_system(run),
    )  # fmt: skip
    path = folder / "artifacts" / "card.html"
    path.parent.mkdir(exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


def environment(templates: Path) -> Environment:
    """Jinja with marks that CSS does not use; whatever is put in is text, and is escaped.

    Args:
        templates: The folder of a page's template; `page.css` beside the card is there for all.
    """
    environment = Environment(
        loader=FileSystemLoader([templates, Path(__file__).parent], encoding="utf-8"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        variable_start_string="${",
        variable_end_string="}",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
    )
    environment.filters |= {
        "day": lambda moment: f"{moment.day} {moment:%B %Y}",
        "duration": _duration,
        "known": lambda value: "\N{EN DASH}" if value in (None, "None") else value,
        "number": number,
        "share": lambda value: f"{100 * value:.1f}\N{NO-BREAK SPACE}%",
        "short": lambda moment: f"{moment.day} {moment:%b %Y}".replace(" ", "\N{NO-BREAK SPACE}"),
        "words": words,
    }
    environment.filters["pieces"] = _pieces
    return environment


def _verdict(run: RecordedRun) -> dict[str, Any] | None:
    """The headline metric, its interval and what the baseline reaches."""
    metrics = run.metrics
    chosen = run.params.get("objective", "None")
    objective = metric_of(None if chosen == "None" else chosen, metrics).rpartition("/")[2]
    part = next((one for one in reversed(PARTS) if f"{one}/{objective}" in metrics), None)
    if part is None:
        return None
    mark = _mark(run, part, objective)
    assert mark is not None
    rate = metrics.get(f"{part}/base_rate")
    chance = metrics.get(f"{part}/{objective}/baseline")
    told = scale = None
    start = 0.0
    if chance is not None:
        if mark.low is not None and mark.high is not None:
            above, below = mark.low > chance, mark.high < chance
            if not greater_is_better(objective):
                above, below = below, above
            told = (
                "Clearly better than the baseline"
                if above
                else "Worse than the baseline"
                if below
                else "No significant difference from the baseline"
            )
        if 0 <= mark.value <= 1 and greater_is_better(objective):  # from the baseline to perfect
            chance = max(chance, 0.0)
            start = 0.0 if mark.value < chance else chance
            ends = [None if end is None else (max(end, start) - start) / (1 - start)
                    for end in mark[1:4]]  # fmt: skip
            scale = Mark("test", *ends)  # type: ignore[arg-type]
    at_threshold = {name: metrics.get(f"{part}/{name}") for name in
                    ("flagged", "precision", "recall")}  # fmt: skip
    if "threshold" not in metrics or None in at_threshold.values():
        at_threshold = dict.fromkeys(at_threshold)
    return {
        **mark._asdict(), **at_threshold, "label": _named(objective).label,
        "rate": rate, "chance": chance, "told": told, "start": start, "scale": scale,
    }  # fmt: skip


def _metrics(run: RecordedRun, parts: list[str], told: list[str]) -> list[dict[str, Any]]:
    """Every metric of the judged parts; drawn on a line where all lie between 0 and 1."""
    rows = []
    for name in dict.fromkeys([*METRICS, *(one.partition("/")[2] for one in told)]):
        found = {part: mark for part in parts if (mark := _mark(run, part, name))}
        if found:
            metric = _named(name)
            drawn = all(0 <= mark.value <= 1 for mark in found.values())
            rows.append(
                {"label": metric.label, "hint": metric.hint, "marks": found, "drawn": drawn}
            )
    return rows


def _named(name: str) -> Metric:
    return METRICS.get(name, Metric(words(name), ""))


def _mark(run: RecordedRun, part: str, name: str) -> Mark | None:
    value = run.metrics.get(f"{part}/{name}")
    if value is None:
        return None
    low, high = (run.metrics.get(f"{part}/{name}/{end}", math.nan) for end in ("low", "high"))
    baseline = run.metrics.get(f"{part}/{name}/baseline")
    if math.isnan(low + high):
        return Mark(part, value, None, None, baseline)
    return Mark(part, value, low, high, baseline)


def _is_told(name: str) -> bool:
    """Whether a metric stands among the results: no bound, no time, nothing told elsewhere."""
    return not (
        name.startswith(("seconds/", "system/", "cv/", "seeds/"))
        or name.endswith(("/low", "/high", "/baseline"))
        or name == "threshold"
        or name.partition("/")[2] == "rows"
    )


def _repeated(run: RecordedRun) -> list[dict[str, Any]]:
    """Means and standard deviations over seeds and folds."""
    rows = []
    for name, value in run.metrics.items():
        judged, _, metric = name.partition("/")
        if judged in ("cv", "seeds") and f"{name}/sd" in run.metrics:
            part, _, bare = metric.rpartition("/")
            rows.append(
                {
                    "over": f"{run.metrics[f'{name}/count']:.0f} "
                    + ("fits, cross-validated" if judged == "cv" else f"seeds, {part} split"),
                    "label": _named(bare).label,
                    "mean": value,
                    "sd": run.metrics[f"{name}/sd"],
                }
            )
    return rows


def _told(run: RecordedRun, name: str) -> dict[str, Any] | None:
    """What a task has written down as JSON; None if it has not."""
    path = run.folder / "artifacts" / name
    if not path.is_file():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _sweep(run: RecordedRun) -> dict[str, Any] | None:
    """The jobs of a sweep, the best first."""
    path = run.folder / "artifacts" / "sweep.json"
    if not path.is_file():
        return None
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    sign = 1 if greater_is_better(told["objective"]) else -1
    told["jobs"].sort(key=lambda job: (job["value"] is None, -sign * (job["value"] or 0.0)))
    own = ("run", "status", "value", "seconds", "mean", "sd", "seeds")
    told["keys"] = [key for key in (told["jobs"] or [{}])[0] if key not in own]
    return told


def _slices(run: RecordedRun) -> dict[str, Any] | None:
    """The weakest groups of test rows, and how many were judged."""
    told = _told(run, "slices.json")
    if told is None:
        return None
    return {
        "metric": _named(told["metric"]).label,
        "whole": told["whole"],
        "count": len(told["slices"]),
        "weakest": told["slices"][:SLICES],
    }


def _threshold(run: RecordedRun) -> dict[str, Any] | None:
    """What the threshold was learned for, or that there is none."""
    value, refused = run.metrics.get("threshold"), run.tags.get("threshold")
    told = _told(run, "threshold.json") or {"policy": _policy(run.params)}
    if "policy" not in told["policy"] or (value is None and refused is None):
        return None
    if kept := told.get("carried_over"):
        kept["aim"] = _aim(kept["policy"]) if "policy" in kept else None
    return {**told, "value": value, "refused": refused, "aim": _aim(told["policy"])}


def _policy(params: dict[str, str]) -> dict[str, Any]:
    """The policy of a run that kept no threshold, such as one of debug=overfit."""
    policy = {key.removeprefix("threshold."): value for key, value in params.items()
              if key.startswith("threshold.") and value != "None"}  # fmt: skip
    costs = {key: value for key, value in policy.items() if key.startswith("costs.")}
    named = {key.removeprefix("costs."): value for key, value in costs.items()}
    return {key: value for key, value in policy.items() if key not in costs} | {"costs": named}


def _aim(policy: dict[str, Any]) -> str:
    """What a threshold is learned for, in words."""
    given = {name: f"{float(value):g}" for name, value in policy.items()
             if name not in ("policy", "costs")}  # fmt: skip
    costs = (f"{words(name)} {float(cost):g}" for name, cost in policy.get("costs", {}).items())
    name = str(policy["policy"])
    return POLICIES.get(name, name).format(**given, costs=", ".join(costs))


def _figures(run: RecordedRun) -> list[tuple[str, str]]:
    """Names and contents, the known ones first and in their order."""
    found = {path.stem: path for path in sorted((run.folder / "artifacts/figures").glob("*.png"))}
    order = [name for name in FIGURES if name in found] + sorted(set(found) - set(FIGURES))
    return [(name, base64.b64encode(found[name].read_bytes()).decode()) for name in order]


def _split(run: RecordedRun) -> list[dict[str, Any]]:
    """The parts, their rows, their share of the largest one in percent, first and last day."""
    names = [name for name in ("train", *PARTS) if f"rows.{name}" in run.params]
    rows = {name: int(run.params[f"rows.{name}"]) for name in names}
    periods = run.provenance.get("dataset.periods", {})
    return [
        {
            "name": name,
            "rows": rows[name],
            "share": max(100 * rows[name] / max(*rows.values(), 1), 1),
            "days": [datetime.fromisoformat(moment) for moment in periods.get(name, [])],
        }
        for name in names
    ]


def _split_words(params: dict[str, str]) -> str:
    by, validation, test = (params.get(f"dataset.split.{name}") for name in ("by", *PARTS))
    if by == "time":
        return f"by time: the last {test} for the test, {validation} before it for validation"
    return f"at random by key: {test} for the test, {validation} for validation" if by else ""


def _system(run: RecordedRun) -> dict[str, str]:
    found = {}
    for name, points in run.points.items():
        if name.startswith("system/"):
            values = [point.value for point in points]
            key = name.removeprefix("system/")
            unit = "%" if key.endswith("_percent") else "MiB" if key.endswith("_mib") else ""
            label = words(key.removesuffix("_percent").removesuffix("_mib"))
            label += ", share" if unit == "%" and "memory" in key else ""
            mean = f", {sum(values) / len(values):,.0f} {unit} on average"
            found[label] = f"{max(values):,.0f} {unit} at most" + (mean if len(values) > 1 else "")
    return found


def words(name: str) -> str:
    """A name as it is spoken."""
    return name.replace("_", " ")


def _pieces(text: object) -> list[str]:
    """A text, apart where a line may end within it: after a dot, a comma, a slash or =."""
    return re.findall(r"[^.,/=]*[.,/=]+|[^.,/=]+", str(text))


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
