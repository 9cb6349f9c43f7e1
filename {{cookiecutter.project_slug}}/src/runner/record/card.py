"""The run card: one page that tells a run to somebody who was not there.

It is built from the run's folder alone, so that it can be built again for any recorded run; fonts,
pictures and style are inside, and nothing is fetched.
"""

import base64
import string
from datetime import datetime
from pathlib import Path

from runner.record.card_result import PARTS, metrics, verdict, words
from runner.record.markup import Child, Html, facts, image, join, table, tag
from runner.record.recorded import RecordedRun, read_run

DASH = "\N{EN DASH}"
FIGURES = ("roc", "precision_recall", "calibration", "threshold", "confusion", "importance")


def write_card(folder: Path) -> Path:
    """Write `artifacts/card.html` from what a run's folder holds.

    To write the card is a run's last step: a run that still works is shown as finished.
    """
    run = read_run(folder)
    sections = [
        _header(run),
        verdict(run),
        metrics(run),
        _figures(run),
        _data(run),
        _changes(run),
        _time(run),
        _provenance(run),
        _again(run),
    ]
    template = string.Template(Path(__file__).with_name("card.html").read_text(encoding="utf-8"))
    title = join(f"{run.project} · {run.experiment} · {run.id}")
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
                words(name),
            ),
        )
        for name in order
    ]
    return tag("section", tag("h2", "Figures"), tag("div", pictures, class_="figures"))


def _data(run: RecordedRun) -> Html | None:
    params = run.params
    rows: list[list[Child]] = [
        [one["signal"], one["version"], f"{one['rows']:,}", one["context"], tag("code", one["md5"])]
        for one in run.datasets
    ]
    if not rows:
        return None
    parts = {
        name: int(params[f"rows.{name}"]) for name in ("train", *PARTS) if f"rows.{name}" in params
    }
    dropped = int(params.get("rows.without_label", 0))
    return tag(
        "section",
        tag("h2", "Data"),
        _split(run, parts) if parts else None,
        table(["signal", "contract", "rows", "read as", "DVC md5"], rows, (2,)),
        tag("h3", "How the rows came about") if parts else None,
        facts(
            {
                "one row for each": params.get("dataset.spine"),
                "label": params.get("dataset.label"),
                "predicted at": _known(params.get("dataset.moment")),
                "features": _list(params.get("dataset.features", "")),
                "left out": f"{dropped:,} rows without a label" if dropped else None,
                "split": _split_words(params),
                "fingerprint": tag("code", run.provenance["dataset.fingerprint"])
                if "dataset.fingerprint" in run.provenance
                else None,
            }
        )
        if parts
        else None,
    )


def _split(run: RecordedRun, parts: dict[str, int]) -> Html:
    """The parts as bars as long as their shares of the rows."""
    periods = run.provenance.get("dataset.periods", {})
    largest = max(max(parts.values()), 1)
    bars = []
    for name, count in parts.items():
        days = [datetime.fromisoformat(moment) for moment in periods.get(name, [])]
        share = f"{max(100 * count / largest, 1):.1f}%"
        bars.append(
            tag(
                "div",
                tag("i"),
                tag("b", name),
                tag("small", f"{count:,} rows"),
                tag("small", f"{_short(days[0])} {DASH} {_short(days[1])}") if days else None,
                style=f"flex:{max(count, 1)} 1 0;--share:{share}",
            )
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
            [tag("code", key), tag("del", _known(old) or DASH), tag("ins", _known(new) or DASH)]
            for key, old, new in recorded
        ]
        body = table(["key", "default", "this run"], rows, class_="changes")
    return tag("section", tag("h2", "What differs from the defaults"), body)


def _time(run: RecordedRun) -> Html | None:
    stages = {
        name.removeprefix("seconds/"): value
        for name, value in run.metrics.items()
        if name.startswith("seconds/")
    }
    system = _system(run)
    if not stages and not system:
        return None
    longest = max(stages.values(), default=0) or 1
    bars = [
        join(
            tag("span", words(name)),
            tag("i", style=f"width:{100 * seconds / longest:.1f}%"),
            tag("span", _duration(seconds), class_="number"),
        )
        for name, seconds in stages.items()
    ]
    return tag(
        "section",
        tag(
            "div",
            tag("div", tag("h2", "Where the time went"), tag("div", bars, class_="bars")),
            tag("div", tag("h2", "What it used"), facts(system)) if system else None,
            class_="pair",
        ),
    )


def _system(run: RecordedRun) -> dict[str, Child]:
    found: dict[str, Child] = {}
    for name, points in run.points.items():
        if name.startswith("system/"):
            values = [point.value for point in points]
            key = name.removeprefix("system/")
            unit = "%" if key.endswith("_percent") else "MiB" if key.endswith("_mib") else ""
            found[
                words(key.removesuffix("_percent").removesuffix("_mib"))
                + (", share" if unit == "%" and "memory" in key else "")
            ] = f"{max(values):,.0f} {unit} at most" + (
                f", {sum(values) / len(values):,.0f} {unit} on average" if len(values) > 1 else ""
            )
    return found


def _provenance(run: RecordedRun) -> Html:
    found = run.provenance
    commit = str(found.get("git_commit", "not known"))
    dirty = found.get("git_dirty")
    changed: dict[bool | None, str] = {
        True: " and uncommitted changes (uncommitted.patch)",
        False: ", nothing uncommitted",
    }
    lock = found.get("lock_sha256")
    return tag(
        "section",
        tag("h2", "Made from"),
        facts(
            {
                "commit": [tag("code", commit), changed.get(dirty)],
                "branch": found.get("git_branch"),
                "not in the patch": ", ".join(found.get("git_left_out", [])),
                "Python": found.get("python"),
                "platform": f"{found.get('platform', '')}, {found.get('cpu_count', '?')} cores",
                "requirements": tag("code", f"sha256 {lock}") if lock else "no requirements.lock",
                "seed": found.get("seed"),
                "threads": found.get("threads") or "all cores",
            }
        ),
    )


def _again(run: RecordedRun) -> Html:
    return tag(
        "section",
        tag("h2", "Run it again"),
        tag(
            "p",
            "As it was, with its code, configuration and data, beside today's work; "
            "prints both results side by side:",
        ),
        tag("pre", f"python run.py rerun {run.id}"),
        tag("p", "As it was typed, with whatever is here today:"),
        tag("pre", f"python {run.provenance.get('command', 'run.py')}"),
        tag("footer", tag("span", f"record: {run.folder}", class_="soft")),
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


def _day(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"


def _short(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %Y}".replace(" ", "\N{NO-BREAK SPACE}")


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
