"""The run card: one page that tells a run to somebody who was not there.

It is built from the run's folder alone, so that it can be built again for any recorded run; fonts,
pictures and style are inside, and nothing is fetched.
"""

import base64
import json
import math
import string
from datetime import datetime
from pathlib import Path

from runner.record.markup import Child, Html, facts, image, join, table, tag
from runner.record.recorded import RecordedRun, read_run

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
FIGURES = ("roc", "precision_recall", "calibration", "threshold", "confusion", "importance")
POLICIES = {
    "f_beta": "the best F-score (beta {beta:g})",
    "precision": "the most recall at a precision of {target:g} or more",
    "recall": "the most precision at a recall of {target:g} or more",
}


def write_card(folder: Path) -> Path:
    """Write `artifacts/card.html` from what a run's folder holds.

    To write the card is a run's last step: a run that still works is shown as finished.
    """
    run = read_run(folder)
    sections = [
        _header(run),
        _verdict(run),
        _metrics(run),
        _figures(run),
        _data(run),
        _changes(run),
        _time(run),
        _provenance(run),
        _again(run),
    ]
    template = string.Template(Path(__file__).with_name("card.html").read_text(encoding="utf-8"))
    title = _escaped(f"{run.project} · {run.experiment} · {run.id}")
    path = folder / "artifacts" / "card.html"
    path.parent.mkdir(exist_ok=True)
    path.write_text(template.substitute(title=title, body=join(*sections)), encoding="utf-8")
    return path


def _header(run: RecordedRun) -> Html:
    status = "FINISHED" if run.status == "RUNNING" else run.status
    question = run.params.get("experiment.question", "")
    owner = run.params.get("experiment.owner", "")
    seconds = (run.ended - run.started).total_seconds()
    return tag(
        "header",
        tag(
            "div",
            tag("span", f"{run.project} / ", tag("b", run.experiment)),
            tag("span", status, class_=f"status {status.lower()}"),
            class_="over",
        ),
        tag("h1", question or f"A run of “{run.experiment}”"),
        tag(
            "div",
            [
                tag("span", fact)
                for fact in (
                    f"asked by {owner}" if owner else "",
                    _day(run.started) + f", {run.started:%H:%M}",
                    f"took {_duration(seconds)}",
                    f"run {run.id}",
                )
                if fact
            ],
            class_="facts",
        ),
        tag("p", run.error, class_="soft") if run.error else None,
    )


def _verdict(run: RecordedRun) -> Html | None:
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
    label = NAMES.get(objective, (_words(objective), ""))[0]
    said: list[Child] = []
    if low is not None and high is not None and chance is not None:
        told = (
            "clearly better than chance" if low > chance
            else "worse than chance" if high < chance
            else "not to be told from chance"
        )  # fmt: skip
        said.append(
            tag(
                "p",
                tag("b", told.capitalize()),
                f": with 95 % confidence {label} lies between "
                f"{low:.3f} and {high:.3f}; a guess would reach {chance:.3f}.",
            )  # fmt: skip
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
    base = "" if rate is None else f"{rate:.1%} of the rows are positive. "
    if refused := run.tags.get("threshold"):
        return [base, tag("b", "No valid threshold"), f": {refused} on the validation part."]
    names = [f"{part}/{name}" for name in ("flagged", "precision", "recall")]
    if "threshold" not in metrics or any(name not in metrics for name in names):
        return base
    flagged, precision, recall = (metrics[name] for name in names)
    lift = f", {precision / rate:.1f} times the base rate" if rate else ""
    return (
        f"{base}At the learned threshold of {metrics['threshold']:.3f} the model flags "
        f"{flagged:.1%}, finds {recall:.1%} of the positives, and is right in {precision:.1%} "
        f"of what it flags{lift}."
    )


def _scale(value: float, low: float | None, high: float | None, chance: float) -> Html:
    """From chance to perfect, where the metric lies; the interval as a thick line."""
    start = 0.0 if value < chance else chance

    def at(number: float) -> float:
        return round(1000 * (number - start) / (1 - start), 1)

    marks: list[Child] = [tag("line", x1=0, x2=1000, y1=10, y2=10, class_="axis")]
    if low is not None and high is not None:
        marks.append(tag("line", x1=at(low), x2=at(high), y1=10, y2=10, class_="strong"))
    marks.append(tag("circle", cx=at(value), cy=10, r=7, class_="dot"))
    marks.append(tag("line", x1=at(chance), x2=at(chance), y1=4, y2=16, class_="faint"))
    drawn = tag("svg", marks, viewBox="0 0 1000 20", role="img",
                aria_label=f"{value:.3f} between chance, {chance:.3f}, and perfect, 1")  # fmt: skip
    ends = tag("span", f"{start:.3g} chance" if start == chance else "0"), tag("span", "1 perfect")
    return join(drawn, tag("div", *ends, class_="over"))


def _metrics(run: RecordedRun) -> Html | None:
    parts = [part for part in PARTS if any(name.startswith(f"{part}/") for name in run.metrics)]
    own = _own_metrics(run)
    if not parts and not own:
        return None
    names = list(dict.fromkeys([*NAMES, *(name.partition("/")[2] for name in own)]))
    rows: list[list[Child]] = []
    for name in names:
        if any(f"{part}/{name}" in run.metrics for part in parts):
            label, hint = NAMES.get(name, (_words(name), ""))
            cells = [_with_interval(run, f"{part}/{name}") for part in parts]
            rows.append([[label, " ", tag("small", hint)], *cells, _strip(run, name)])
    heads: list[Child] = ["", *(_part_head(run, part) for part in parts),
                          [tag("span", "0", style="float:left"), tag("span", "1", style="float:right")]]  # fmt: skip  # noqa: E501
    others = [[_words(name), _number(run.metrics[name])]
              for name in own if name.partition("/")[0] not in parts]  # fmt: skip
    return tag(
        "section",
        tag("h2", "Result"),
        _marked(table(heads, rows, tuple(range(1, len(parts) + 1)))) if rows else None,
        tag("p", "Brackets and lines: bootstrap 95 % intervals. "
            "○ validation  ● test", class_="soft") if rows else None,  # fmt: skip
        _threshold(run),
        table([], others, (1,)) if others else None,
    )  # fmt: skip


def _threshold(run: RecordedRun) -> Html | None:
    """What the threshold was learned for, or that there is none."""
    policy = run.params.get("threshold.policy")
    if policy is None or ("threshold" not in run.metrics and "threshold" not in run.tags):
        return None
    beta, target = (run.params.get(f"threshold.{name}", "None") for name in ("beta", "target"))
    aim = POLICIES.get(policy, policy).format(beta=_float(beta), target=_float(target))
    value: Child = tag("b", f"{run.metrics['threshold']:.4f}") if "threshold" in run.metrics else [
        tag("b", "no valid threshold"), f" ({run.tags['threshold']})"
    ]  # fmt: skip
    labels = ""
    if (path := run.folder / "artifacts" / "threshold.json").is_file():
        learned = json.loads(path.read_text(encoding="utf-8"))
        labels = f", on {learned['labels']:,} labels of which {learned['positives']:,} are positive"
    return tag("p", "Threshold ", value, f": learned on the validation part for {aim}{labels}.")


def _figures(run: RecordedRun) -> Html | None:
    found = {path.stem: path for path in sorted((run.folder / "artifacts/figures").glob("*.png"))}
    order = [name for name in FIGURES if name in found] + sorted(set(found) - set(FIGURES))
    if not order:
        return None
    pictures = [
        tag(
            "figure",
            image(
                "data:image/png;base64," + base64.b64encode(found[name].read_bytes()).decode(),
                _words(name),
            ),
        )  # fmt: skip
        for name in order
    ]
    return tag("section", tag("h2", "Figures"), tag("div", pictures, class_="figures"))


def _data(run: RecordedRun) -> Html | None:
    params = run.params
    rows: list[list[Child]] = [
        [one["signal"], one["version"], f"{one['rows']:,}", one["context"],
         tag("code", one["md5"])] for one in run.datasets
    ]  # fmt: skip
    if not rows:
        return None
    parts = {name: int(params[f"rows.{name}"]) for name in ("train", *PARTS)
             if f"rows.{name}" in params}  # fmt: skip
    dropped = int(params.get("rows.without_label", 0))
    return tag(
        "section",
        tag("h2", "Data"),
        _split(run, parts) if parts else None,
        table(["signal", "contract", "rows", "read as", "DVC md5"], rows, (2,)),
        tag("h3", "How the rows came about") if parts else None,
        facts({
            "one row for each": params.get("dataset.spine"),
            "label": params.get("dataset.label"),
            "predicted at": _known(params.get("dataset.moment")),
            "features": _list(params.get("dataset.features", "")),
            "left out": f"{dropped:,} rows without a label" if dropped else None,
            "split": _split_words(params),
            "fingerprint": tag("code", run.provenance["dataset.fingerprint"])
            if "dataset.fingerprint" in run.provenance else None,
        }) if parts else None,
    )  # fmt: skip


def _split(run: RecordedRun, parts: dict[str, int]) -> Html:
    """The parts as bars as long as their shares of the rows."""
    periods = run.provenance.get("dataset.periods", {})
    largest = max(max(parts.values()), 1)
    bars = []
    for name, count in parts.items():
        days = [_day(datetime.fromisoformat(moment)) for moment in periods.get(name, [])]
        share = f"{max(100 * count / largest, 1):.1f}%"
        bars.append(
            tag(
                "div",
                tag("i"),
                tag("b", name),
                tag("small", f"{count:,} rows"),
                tag("small", " – ".join(days)) if days else None,
                style=f"flex:{max(count, 1)} 1 0;--share:{share}",
            )  # fmt: skip
        )
    return tag("div", bars, class_="split")


def _changes(run: RecordedRun) -> Html:
    recorded = run.provenance.get("changes")
    if recorded is None:  # Recorded without the defaults to compare with.
        words = run.provenance.get("overrides", [])
        body = tag("pre", "\n".join(words)) if words else tag("p", "Nothing.")
    elif not recorded:
        body = tag("p", "Nothing: it ran with the defaults.")
    else:
        rows: list[list[Child]] = [
            [tag("code", key), tag("del", _known(old) or "–"), tag("ins", _known(new) or "–")]
            for key, old, new in recorded
        ]
        body = table(["key", "default", "this run"], rows)
    return tag("section", tag("h2", "What differs from the defaults"), body)


def _time(run: RecordedRun) -> Html | None:
    stages = {name.removeprefix("seconds/"): value for name, value in run.metrics.items()
              if name.startswith("seconds/")}  # fmt: skip
    system = _system(run)
    if not stages and not system:
        return None
    longest = max(stages.values(), default=0) or 1
    bars = [
        join(tag("span", _words(name)),
             tag("i", style=f"width:{100 * seconds / longest:.1f}%"),
             tag("span", _duration(seconds), class_="number")) for name, seconds in stages.items()
    ]  # fmt: skip
    return tag(
        "section",
        tag("div",
            tag("div", tag("h2", "Where the time went"), tag("div", bars, class_="bars")),
            tag("div", tag("h2", "What it used"), facts(system)) if system else None,
            class_="pair"),
    )  # fmt: skip


def _system(run: RecordedRun) -> dict[str, Child]:
    found: dict[str, Child] = {}
    for name, points in run.points.items():
        if name.startswith("system/"):
            values = [point.value for point in points]
            key = name.removeprefix("system/")
            unit = "%" if key.endswith("_percent") else "MiB" if key.endswith("_mib") else ""
            found[_words(key.removesuffix("_percent").removesuffix("_mib"))
                  + (", share" if unit == "%" and "memory" in key else "")] = (
                f"{max(values):,.0f} {unit} at most"
                + (f", {sum(values) / len(values):,.0f} {unit} on average"
                   if len(values) > 1 else "")
            )  # fmt: skip
    return found


def _provenance(run: RecordedRun) -> Html:
    found = run.provenance
    commit = str(found.get("git_commit", "not known"))
    dirty = found.get("git_dirty")
    changed = {True: " and uncommitted changes (uncommitted.patch)", False: ", nothing uncommitted"}
    lock = found.get("lock_sha256")
    return tag(
        "section",
        tag("h2", "Made from"),
        facts({
            "commit": [tag("code", commit), changed.get(dirty, "")],
            "branch": found.get("git_branch"),
            "not in the patch": ", ".join(found.get("git_left_out", [])),
            "Python": found.get("python"),
            "platform": f"{found.get('platform', '')}, {found.get('cpu_count', '?')} cores",
            "requirements": tag("code", f"sha256 {lock}") if lock else "no requirements.lock",
            "seed": found.get("seed"),
            "threads": found.get("threads") or "all cores",
        }),
    )  # fmt: skip


def _again(run: RecordedRun) -> Html:
    return tag(
        "section",
        tag("h2", "Run it again"),
        tag("p", "As it was, with its code, configuration and data, beside today's work; "
            "prints both results side by side:"),
        tag("pre", f"python run.py rerun {run.id}"),
        tag("p", "As it was typed, with whatever is here today:"),
        tag("pre", f"python {run.provenance.get('command', 'run.py')}"),
        tag("footer", tag("span", f"record: {run.folder}", class_="soft")),
    )  # fmt: skip


def _own_metrics(run: RecordedRun) -> list[str]:
    """Metrics except bounds, times and what other sections tell."""
    return [
        name for name in run.metrics
        if not name.startswith(("seconds/", "system/"))
        and not name.endswith(("/low", "/high"))
        and name != "threshold" and name.partition("/")[2] != "rows"
    ]  # fmt: skip


def _interval(run: RecordedRun, name: str) -> tuple[float | None, float | None]:
    return run.metrics.get(f"{name}/low"), run.metrics.get(f"{name}/high")


def _with_interval(run: RecordedRun, name: str) -> Child:
    if name not in run.metrics:
        return "–"
    low, high = _interval(run, name)
    if low is None or high is None:
        return _number(run.metrics[name])
    bounds = tag("small", f"[{low:.4f}, {high:.4f}]", class_="interval")
    return [_number(run.metrics[name]), bounds]


def _part_head(run: RecordedRun, part: str) -> Child:
    rows = run.metrics.get(f"{part}/rows")
    return [part, f" ({rows:,.0f} rows)"] if rows is not None else part


def _strip(run: RecordedRun, name: str) -> Html:
    """Both parts' values and intervals on a line from 0 to 1; empty where one lies outside."""
    marks: list[Child] = [tag("line", x1=0, x2=300, y1=9, y2=9, class_="axis")]
    for part, kind in zip(PARTS, ("ring", "dot"), strict=True):
        value = run.metrics.get(f"{part}/{name}")
        if value is None:
            continue
        if not 0 <= value <= 1:
            return Html("")
        low, high = _interval(run, f"{part}/{name}")
        if low is not None and high is not None:
            marks.append(tag("line", x1=round(300 * low, 1), x2=round(300 * high, 1), y1=9, y2=9,
                             class_="strong" if part == "test" else "faint"))  # fmt: skip
        marks.append(tag("circle", cx=round(300 * value, 1), cy=9, r=5, class_=kind))
    return tag("svg", marks, viewBox="0 0 300 18", aria_hidden="true")


def _marked(rows: Html) -> Html:
    """Gives the column of strips its width, and lets it go where there is no room."""
    return Html(
        rows.replace("<td><svg", '<td class="mark"><svg')
        .replace("<td></td></tr>", '<td class="mark"></td></tr>')
        .replace('<th><span style="float:left"', '<th class="mark"><span style="float:left"')
    )


def _split_words(params: dict[str, str]) -> str:
    by, validation, test = (params.get(f"dataset.split.{name}") for name in ("by", *PARTS))
    if by == "time":
        return f"by time: the last {test} for the test, {validation} before it for validation"
    return f"at random by key: {test} for the test, {validation} for validation" if by else ""


def _list(text: str) -> str:
    return text.strip("[]").replace("'", "")


def _known(value: str | None) -> str | None:
    return None if value in (None, "None") else value


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e15 if math.isfinite(value) else False:
        return f"{value:,.0f}"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 else f"{value:.4g}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _escaped(text: str) -> str:
    return join(text)
