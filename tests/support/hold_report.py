"""The page about a hold of made-up weather, written and read."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import polars as pl

from ml_experiment_runner.holds.holds import Hold, Violation
from ml_experiment_runner.signals.contract.contract import Contract, Field
from ml_experiment_runner.signals.contract.source_configuration import SourceConfiguration
from ml_experiment_runner.signals.ingestion.hold_report import write_report

FIELDS = (
    Field("hour", "timestamp", required=True, key=True),
    Field("station", "string"),
    Field("temp", "number", unit="°F"),
    Field("dew", "number"),
    Field("okta", "integer"),
    Field("dry", "boolean"),
)


def month(number: int) -> pl.DataFrame:
    rng = np.random.default_rng(number)
    temp = rng.normal(40 + 3 * number, 8, 700)
    start = pl.datetime(2024, number, 1, time_zone="UTC")
    return pl.DataFrame(
        {
            "station": rng.choice(["north", "south"], 700),
            "temp": temp,
            "dew": temp - rng.uniform(2, 9, 700),
            "okta": rng.integers(0, 9, 700),
            "dry": rng.random(700) < 0.8,
        }
    ).select(
        (start + pl.duration(hours=pl.int_range(700))).dt.cast_time_unit("us").alias("hour"),
        pl.all(),
    )


PAST = {f"2024-{number:02}": month(number).lazy() for number in range(1, 9)}


MARKS = {"past": "p", "delivery": "c"}


class Page(HTMLParser):
    """A page's text, its drawings and what it would load."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.words: list[str] = []
        self.drawn: list[str] = []
        self.groups: list[str] = []
        self.shapes: dict[str, str] = {}  # of the marks
        self.loaded: list[str] = []
        self.feed(self.source.partition("</style>")[2])
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        if tag == "svg":
            self.drawn.append("")
        if tag == "g":
            self.groups.append(values.get("class", ""))
        if tag == "path" and "id" in values:
            self.shapes |= {group: values["d"] for group in self.groups if group in MARKS}
        if tag == "use":  # a mark
            self.drawn[-1] += "".join(MARKS.get(group, "") for group in self.groups)
        self.loaded += [values[name] for name in ("src", "href") if name in values]
        assert "nan" not in str(attributes), tag

    def handle_endtag(self, tag: str) -> None:
        if tag == "g":
            self.groups.pop()

    def handle_data(self, data: str) -> None:
        self.words.append(data)


Report = Callable[..., Page]


def reporter(tmp_path: Path) -> Report:
    """Gives what writes the report on a delivery of September and reads it."""

    def report(
        delivery: pl.DataFrame | None,
        *violations: tuple[str, str | None, str],
        past: dict[str, pl.LazyFrame] = PAST,
        fields: tuple[Field, ...] = FIELDS,
        releasable: bool = True,
    ) -> Page:
        contract = Contract(
            name="air", version="1.0.0", owner="Weather <desk>", contact="desk@example.com",
            source_configuration=SourceConfiguration("files", {"path": "air.csv", "format": "csv"}),
            fields=fields, key=("hour",), event_time="hour", time_zone="UTC", freshness=None,
            null_values=(), delay=None,  # type: ignore[arg-type]
            path=tmp_path / "signals/air.yaml",
        )  # fmt: skip
        hold = Hold(
            id="air-3f9a1c", subject="air", version="1.0.0", last_good="blake2b:00",
            owner="Weather desk", opened="2024-10-01T06:12:00+00:00", partition="2024-09",
            violations=tuple(Violation(*each, "2024-09") for each in violations), delivery=("x",),
            releasable=releasable,
        )  # fmt: skip
        came = {} if delivery is None else {"2024-09": delivery}
        path = write_report(contract, hold, past, came)
        assert path == tmp_path / "data/held/air-3f9a1c/report.html"
        return Page(path)

    return report


CELSIUS = month(9).with_columns((pl.col("temp") - 32) / 1.8)
SAID = ("distribution", "temp", "temp is 40 lower than its past explains")
