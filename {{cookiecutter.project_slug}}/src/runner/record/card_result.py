"""The part of the run card that says how well the model did."""

import json
import math

from runner.record.markup import Child, Html, join, table, tag
from runner.record.recorded import RecordedRun

NAMES = {
    "roc_auc": ("ROC AUC", "a positive scores higher than a negative; 0.5 is chance"),
    "average_precision": ("Average precision", "chance is the share of positives"),
    "log_loss": ("Log loss", "lower is better"),
    "brier": ("Brier score", "lower is better"),
    "precision": ("Precision", "of the flagged, truly positive"),
    "recall": ("Recall", "of the positives, flagged"),
    "f1": ("F1", "precision and recall in one"),
    "flagged": ("Flagged", "share above the threshold"),
    "base_rate": ("Base rate", "share of positives"),
}
PARTS = ("validation", "test")
POLICIES = {
    "f_beta": "the best F-score (beta {beta:g})",
    "precision": "the most recall at a precision of {target:g} or more",
    "recall": "the most precision at a recall of {target:g} or more",
}


def verdict(run: RecordedRun) -> Html | None:
    """The headline metric, its interval and what chance would give, as number, line and words."""
    objective = run.params.get("objective", "").rpartition("/")[2]
    part = next((one for one in reversed(PARTS) if f"{one}/{objective}" in run.metrics), None)
    if part is None:
        return None
    metrics = run.metrics
    value = metrics[f"{part}/{objective}"]
    low, high = _interval(run, f"{part}/{objective}")
    rate = metrics.get(f"{part}/base_rate")
    chance = {"roc_auc": 0.5, "average_precision": rate}.get(objective)
    label = NAMES.get(objective, (words(objective), ""))[0]
    said: list[Child] = []
    if low is not None and high is not None and chance is not None:
        told = (
            "clearly better than chance"
            if low > chance
            else "worse than chance"
            if high < chance
            else "not to be told from chance"
        )
        said.append(
            tag(
                "p",
                tag("b", told.capitalize()),
                f": with 95 % confidence {label} lies between "
                f"{low:.3f} and {high:.3f}; a guess would reach {chance:.3f}.",
            )
        )
    return tag(
        "div",
        tag("div", f"{value:.3f}", tag("small", f"{label}, {part} part"), class_="figure"),
        tag("div", said, tag("p", _at_threshold(run, part, rate))),
        tag("div", _scale(value, low, high, chance), class_="scale")
        if chance is not None and 0 <= value <= 1
        else None,
        class_="verdict",
    )


def _at_threshold(run: RecordedRun, part: str, rate: float | None) -> Child:
    metrics = run.metrics
    base = "" if rate is None else f"{_share(rate)} of the rows are positive. "
    if refused := run.tags.get("threshold"):
        return [base, tag("b", "No valid threshold"), f": {refused} on the validation part."]
    names = [f"{part}/{name}" for name in ("flagged", "precision", "recall")]
    if "threshold" not in metrics or any(name not in metrics for name in names):
        return base
    flagged, precision, recall = (metrics[name] for name in names)
    lift = f", {precision / rate:.1f} times the base rate" if rate else ""
    return (
        f"{base}At the learned threshold of {metrics['threshold']:.3f} the model flags "
        f"{_share(flagged)}, finds {_share(recall)} of the positives, and is right in "
        f"{_share(precision)} of what it flags{lift}."
    )


def _scale(value: float, low: float | None, high: float | None, chance: float) -> Html:
    """From chance to perfect, where the metric lies; the interval as a thick line."""
    start = 0.0 if value < chance else chance

    def at(number: float) -> float:
        return (number - start) / (1 - start)

    marks = [_mark(at(value), "test")]
    if low is not None and high is not None:
        marks.insert(0, _bar(at(max(low, start)), at(high), "test"))
    ends = tag("span", "0" if start == 0 else f"{start:.3g} chance"), tag("span", "1 perfect")
    return join(tag("div", marks, class_="line"), tag("div", *ends, class_="over"))


def metrics(run: RecordedRun) -> Html | None:
    """Every metric of the judged parts, and what else the task measured."""
    parts = [part for part in PARTS if any(name.startswith(f"{part}/") for name in run.metrics)]
    own = _own_metrics(run)
    if not parts and not own:
        return None
    rows: list[list[Child]] = []
    for name in dict.fromkeys([*NAMES, *(name.partition("/")[2] for name in own)]):
        if any(f"{part}/{name}" in run.metrics for part in parts):
            label, hint = NAMES.get(name, (words(name), ""))
            cells = [_with_interval(run, f"{part}/{name}") for part in parts]
            rows.append([[label, " ", tag("small", hint)], *cells, _strip(run, name)])
    others: list[list[Child]] = [
        [words(name), number(run.metrics[name])]
        for name in own
        if name.partition("/")[0] not in parts
    ]
    section: list[Child] = [tag("h2", "Result")]
    if rows:
        ends = tag("div", tag("span", "0"), tag("span", "1"), class_="over")
        heads: list[Child] = ["", *(_part_head(run, part) for part in parts), ends]
        section.append(table(heads, rows, tuple(range(1, len(parts) + 1)), "metrics"))
        told = "In brackets and as lines: bootstrap 95 % intervals. ○ validation, ● test"
        section.append(tag("p", told, class_="soft"))
    section.append(_threshold(run))
    if others:
        section.append(table([], others, (1,)))
    return tag("section", section)


def _threshold(run: RecordedRun) -> Html | None:
    """What the threshold was learned for, or that there is none."""
    policy = run.params.get("threshold.policy")
    if policy is None or ("threshold" not in run.metrics and "threshold" not in run.tags):
        return None
    beta, target = (run.params.get(f"threshold.{name}", "None") for name in ("beta", "target"))
    aim = POLICIES.get(policy, policy).format(beta=_float(beta), target=_float(target))
    value: Child = (
        tag("b", f"{run.metrics['threshold']:.4f}")
        if "threshold" in run.metrics
        else [tag("b", "no valid threshold"), f" ({run.tags['threshold']})"]
    )
    labels = ""
    if (path := run.folder / "artifacts" / "threshold.json").is_file():
        learned = json.loads(path.read_text(encoding="utf-8"))
        labels = f", on {learned['labels']:,} labels of which {learned['positives']:,} are positive"
    return tag("p", "Threshold ", value, f": learned on the validation part for {aim}{labels}.")


def _own_metrics(run: RecordedRun) -> list[str]:
    """Metrics except bounds, times and what other sections tell."""
    return [
        name
        for name in run.metrics
        if not name.startswith(("seconds/", "system/"))
        and not name.endswith(("/low", "/high"))
        and name != "threshold"
        and name.partition("/")[2] != "rows"
    ]


def _interval(run: RecordedRun, name: str) -> tuple[float | None, float | None]:
    low, high = (run.metrics.get(f"{name}/{end}", math.nan) for end in ("low", "high"))
    return (None, None) if math.isnan(low) or math.isnan(high) else (low, high)


def _with_interval(run: RecordedRun, name: str) -> Child:
    if name not in run.metrics:
        return "\N{EN DASH}"
    low, high = _interval(run, name)
    if low is None or high is None:
        return number(run.metrics[name])
    bounds = tag("small", f"[{low:.4f}, {high:.4f}]", class_="interval")
    return [number(run.metrics[name]), bounds]


def _part_head(run: RecordedRun, part: str) -> Child:
    rows = run.metrics.get(f"{part}/rows")
    return [part, " ", tag("small", f"{rows:,.0f} rows")] if rows is not None else part


def _strip(run: RecordedRun, name: str) -> Html | None:
    """Both parts' values and intervals on a line from 0 to 1; nothing where one lies outside."""
    marks = []
    for part in PARTS:
        value = run.metrics.get(f"{part}/{name}")
        if value is None:
            continue
        if not 0 <= value <= 1:
            return None
        low, high = _interval(run, f"{part}/{name}")
        if low is not None and high is not None:
            marks.append(_bar(low, high, part))
        marks.append(_mark(value, part))
    return tag("div", marks, class_="line")


def _mark(at: float, kind: str) -> Html:
    return tag("b", class_=kind, style=f"left:{100 * at:.2f}%")


def _bar(low: float, high: float, kind: str) -> Html:
    return tag("i", class_=kind, style=f"left:{100 * low:.2f}%;width:{100 * (high - low):.2f}%")


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def number(value: float) -> str:
    """Four digits, or a whole number as it is."""
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return f"{value:,.0f}"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 else f"{value:.4g}"


def _share(value: float) -> str:
    return f"{100 * value:.1f}\N{NO-BREAK SPACE}%"


def words(name: str) -> str:
    """A name as it is spoken."""
    return name.replace("_", " ")
