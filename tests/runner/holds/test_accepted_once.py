"""What is accepted only once is set aside; what is accepted for good is the norm from then on."""

import math
import random
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from ml_experiment_runner.cli.holds import holds as holds_command
from ml_experiment_runner.holds import acceptance, holds
from ml_experiment_runner.holds.holds import Violation
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.ingest import ingest
from support.data_project import DataProject, Recorder, build

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: air
version: 1.0.0
status: active
team: {name: Desk}
support: [{channel: desk}]
servers: [{server: source, type: local, path: data/raw/air.csv, format: csv}]
schema:
  - name: air
    properties:
      - {name: at, logicalType: timestamp, primaryKey: true}
      - {name: temp, logicalType: number}
      - {name: load, logicalType: number}
customProperties: [{property: eventTime, value: at}]
"""
WHO = ["--by", "Ada", "--why", "The desk says so."]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> DataProject:
    """Air of four months has been received."""
    project = build(tmp_path_factory.mktemp("once") / "project")
    (project.root / "signals" / "air.yaml").write_text(CONTRACT)
    project.source("air").write_text("at,temp,load\n")
    with pytest.MonkeyPatch.context() as patch:
        project.enter(patch)
        for month in range(1, 5):
            come(project, month)
        assert receive(project) is None
    return project


@pytest.fixture
def project(original: DataProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataProject:
    shutil.copytree(original.root, tmp_path / "project")
    return DataProject(tmp_path / "project").enter(monkeypatch)


def come(project: DataProject, month: int, *, to_day: int = 31, in_celsius: bool = True) -> None:
    """A month's hours, up to a day: the days of before have come already."""
    chance = random.Random(month)
    at = datetime(2024, month, 1, tzinfo=UTC)
    lines = []
    while at.month == month and at.day <= to_day:
        temp = 12 + 6 * math.sin(at.hour / 24 * 2 * math.pi) + chance.gauss(0, 1)
        load = 50 - temp + chance.gauss(0, 0.5)
        shown = temp if in_celsius else 1.8 * temp + 32
        lines.append(f"{at:%Y-%m-%dT%H:%M:%SZ},{shown:.1f},{load:.1f}\n")
        at += timedelta(hours=1)
    before = project.source("air").read_text().splitlines(keepends=True)
    there = [line for line in lines if line[:20] not in {each[:20] for each in before}]
    project.source("air").write_text("".join([*before, *there]))


def receive(project: DataProject) -> holds.Hold | None:
    """The hold that what came is in; None if it came in."""
    config = project.config()
    config.signals = ["air"]
    ingest(config, Recorder())  # type: ignore[arg-type]
    return holds.find(project.root, "air")


def test_month_that_was_accepted_once_is_no_norm(project: DataProject) -> None:
    come(project, 5, in_celsius=False)
    hold = receive(project)
    assert hold is not None
    assert "temp" in {violation.field for violation in hold.violations}
    assert f"only once:   python run.py holds release {hold.id} --once" in holds.describe(hold)
    assert holds_command(["release", hold.id, "--once", *WHO]) == 0
    written = yaml.safe_load((project.root / holds.file_name(hold.id)).read_text())
    assert (written["status"], written["once"]) == ("released", True)
    assert receive(project) is None
    # June is as it ever was, and the other unit is none that was accepted
    come(project, 6)
    assert receive(project) is None
    come(project, 7, in_celsius=False)
    assert receive(project) is not None


def test_month_that_was_accepted_for_good_is_the_norm(project: DataProject) -> None:
    come(project, 5, in_celsius=False)
    hold = receive(project)
    assert hold is not None
    assert holds_command(["release", hold.id, *WHO]) == 0
    assert "once" not in (project.root / holds.file_name(hold.id)).read_text()
    come(project, 6, in_celsius=False)
    assert receive(project) is None
    come(project, 7)
    assert receive(project) is not None


def test_rest_of_a_month_is_looked_at_and_the_month_may_be_corrected(project: DataProject) -> None:
    clean = project.source("air").read_text()
    come(project, 5, to_day=14, in_celsius=False)
    hold = receive(project)
    assert hold is not None
    holds_command(["release", hold.id, "--once", *WHO])
    come(project, 5, to_day=21)
    assert receive(project) is None
    come(project, 5, in_celsius=False)
    assert receive(project) is not None
    project.source("air").write_text(clean)
    come(project, 5)
    assert receive(project) is None


def test_list_and_command_say_that_it_was_once(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    come(project, 5, in_celsius=False)
    hold = receive(project)
    assert hold is not None
    holds_command([])
    assert f"only once  python run.py holds release {hold.id} --once --by" in " ".join(
        capsys.readouterr().out.split()
    ).replace("only once python", "only once  python")
    holds_command(["release", hold.id, "--once", *WHO])
    assert f"{hold.id} is released, only this once" in capsys.readouterr().out
    holds_command(["--all"])
    assert "released, only this once" in capsys.readouterr().out


def hold_of(partition: str, *violations: Violation, kind: str = "signal") -> holds.Hold:
    return holds.Hold(
        "x-1", "x", "1.0.0", "none", "Desk", "2024-01-01", partition, violations, ("a",), kind=kind
    )


def test_all_months_of_a_violation_are_set_aside(tmp_path: Path) -> None:
    range_ = Violation("range", "temp", "temp is 99", "2024-02", ("2024-03", "2024-05"))
    volume = Violation("volume", None, "no rows", "2024-06")
    holds.write_hold(tmp_path, hold_of("2024-02", range_, volume))
    assert holds.read_holds(tmp_path)[0].violations == (range_, volume)
    holds.decide(tmp_path, "x-1", holds.RELEASED, "Ada", "so", once=True)
    assert acceptance.set_aside(tmp_path, "x") == {"2024-02", "2024-03", "2024-05", "2024-06"}
    assert acceptance.accepted(tmp_path, "x") == {}
    holds.reopen(tmp_path, holds.read_holds(tmp_path)[0])
    holds.decide(tmp_path, "x-1", holds.RELEASED, "Ada", "so")
    assert acceptance.set_aside(tmp_path, "x") == set()
    assert acceptance.accepted(tmp_path, "x") == {"temp": "2024-02", "": "2024-06"}


@pytest.mark.parametrize(("partition", "kind"), [("all", "signal"), ("2024-01", "threshold")])
def test_what_has_no_months_cannot_be_accepted_once(
    tmp_path: Path, partition: str, kind: str
) -> None:
    holds.write_hold(
        tmp_path, hold_of(partition, Violation("range", "size", "9", partition), kind=kind)
    )
    with pytest.raises(UserError, match="--once: x-1 has no months"):
        holds.decide(tmp_path, "x-1", holds.RELEASED, "Ada", "so", once=True)
