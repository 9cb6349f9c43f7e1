"""The run card: a page that explains a run to somebody who was not there.

The page holds what every run has; rooms hand sections to it. It is built from the run's folder
alone, so it can be built again for any recorded run. Pictures and style are inside, and nothing is
fetched.
"""

import base64
import functools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, FunctionLoader

from ml_experiment_runner.config.metrics import number
from ml_experiment_runner.project.text import duration
from ml_experiment_runner.record.card.section import Place, Section
from ml_experiment_runner.record.run_reader import RecordedRun, read_run

FOLDER = Path(__file__).parent
OWN_METRICS = ("seconds", "system")  # shown by the page itself
BESIDE_A_VALUE = ("/low", "/high", "/baseline")


class Mark(NamedTuple):
    """A value on a line, with its interval if it has one.

    Attributes:
        style: CSS class that it is drawn with: `validation`, `test` or `worse`.
        value: The value.
        low: Lower end of the interval.
        high: Upper end of the interval.
        baseline: The baseline's value.
    """

    style: str
    value: float
    low: float | None
    high: float | None
    baseline: float | None = None


def write_card(folder: Path, sections: Sequence[Section], refusal: str | None = None) -> Path:
    """Writes `artifacts/card.html` from a run's folder.

    Writing the card is a run's last step: a run that still works is shown as finished.

    Args:
        folder: The run's folder.
        sections: What rooms show on the card, in their order.
        refusal: Why the run is about to fail, although everything has been measured.
    """
    run = read_run(folder)
    if refusal is not None:
        run.status, run.error = "FAILED", refusal
    contexts = [(section, section.context(run)) for section in sections]
    filled = [(section, context) for section, context in contexts if context is not None]
    html: dict[str, list[str]] = {place.name: [] for place in Place}
    for section, context in filled:
        template = environment(FOLDER).get_template(str(section.template))
        html[section.place.name].append(template.render({"run": run} | context))
    page = environment(FOLDER).get_template("card.html").render(
        run=run,
        settings=run.settings,
        provenance=run.provenance,
        status="FINISHED" if run.status == "RUNNING" else run.status,
        sections=html,
        other_metrics=_other_metrics(run, [section for section, _ in filled]),
        figures=_figures(run),
        stages=_stages(run),
        system=_system(run),
    )  # fmt: skip
    path = folder / "artifacts" / "card.html"
    path.parent.mkdir(exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path


@functools.cache
def environment(templates: Path) -> Environment:
    """Jinja with delimiters that CSS does not use; inserted values are text and are escaped.

    Args:
        templates: The folder of a page's template; `page.css` and `macros.html` of the card can be
            included from everywhere.
    """
    environment = Environment(
        loader=ChoiceLoader([FileSystemLoader([templates, FOLDER]), FunctionLoader(_section)]),
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
        "day": lambda time: f"{time.day} {time:%B %Y}",
        "duration": duration,
        "known": lambda value: "\N{EN DASH}" if value in (None, "None") else value,
        "number": number,
        "share": lambda value: f"{100 * value:.1f}\N{NO-BREAK SPACE}%",
        "short": lambda time: f"{time.day} {time:%b %Y}".replace(" ", "\N{NO-BREAK SPACE}"),
        "words": words,
    }
    environment.filters["pieces"] = _pieces
    return environment


def _section(path: str) -> str | None:
    """The source of a section's template, which is named by its whole path."""
    return Path(path).read_text(encoding="utf-8") if Path(path).is_absolute() else None


def words(name: str) -> str:
    """A name with spaces instead of underscores."""
    return name.replace("_", " ")


def _other_metrics(run: RecordedRun, sections: Iterable[Section]) -> dict[str, float]:
    """The metrics that neither the page nor a section shows."""
    shown = {name for section in sections for name in section.metrics} | set(OWN_METRICS)
    return {
        name: value
        for name, value in run.metrics.items()
        if name not in shown
        and name.partition("/")[0] not in shown
        and not name.endswith(BESIDE_A_VALUE)
    }


def _figures(run: RecordedRun) -> list[tuple[str, str]]:
    """Names and contents in base64, in the order in which they were recorded."""
    recorded = {path: number for number, path in enumerate(run.artifacts)}
    paths = sorted(
        (run.folder / "artifacts" / "figures").glob("*.png"),
        key=lambda path: (recorded.get(f"artifacts/figures/{path.name}", len(recorded)), path.name),
    )
    return [(path.stem, base64.b64encode(path.read_bytes()).decode()) for path in paths]


def _stages(run: RecordedRun) -> dict[str, float]:
    """The seconds of each stage."""
    return {
        name.removeprefix("seconds/"): value
        for name, value in run.metrics.items()
        if name.startswith("seconds/")
    }


def _system(run: RecordedRun) -> dict[str, str]:
    """The maximum and the mean of each system metric, in words."""
    rows = {}
    for name, points in run.points.items():
        if name.startswith("system/"):
            values = [point.value for point in points]
            key = name.removeprefix("system/")
            unit = "%" if key.endswith("_percent") else "MiB" if key.endswith("_mib") else ""
            label = words(key.removesuffix("_percent").removesuffix("_mib"))
            label += ", share" if unit == "%" and "memory" in key else ""
            mean = f", {sum(values) / len(values):,.0f} {unit} on average"
            rows[label] = f"{max(values):,.0f} {unit} at most" + (mean if len(values) > 1 else "")
    return rows


def _pieces(text: object) -> list[str]:
    """Cuts a text where a line may be broken: after a dot, a comma, a slash or =."""
    return re.findall(r"[^.,/=]*[.,/=]+|[^.,/=]+", str(text))
