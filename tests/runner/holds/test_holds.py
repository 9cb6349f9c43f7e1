"""What is held: found again, released, rejected, superseded; and what a run does meanwhile."""

import logging
import re
import shutil
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
import yaml
from omegaconf import OmegaConf

from ml_experiment_runner.cli.holds import holds as holds_command
from ml_experiment_runner.cli.hydra_task import run_task
from ml_experiment_runner.dataset.dataset import load_dataset
from ml_experiment_runner.holds import holds
from ml_experiment_runner.holds.holds import Violation
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.signals.drift import detection
from ml_experiment_runner.signals.ingest import ingest
from ml_experiment_runner.signals.ingestion.loading import DeliveryHeldError, load_snapshots
from ml_experiment_runner.signals.snapshots import quarantine, snapshot
from ml_experiment_runner.sweeps import session
from support.data_project import DataProject, Recorder, git, replace

ROW = "2024-05-02T12:00:00Z,a,1,{minute},true,5\n"
WHO = ["--by", "Ada", "--why", "The clock was moved, says the desk."]


@pytest.fixture(autouse=True)
def past_that_explains_all(monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    """Only rules are broken here; what change finds in these little data is its own matter."""
    changes = MagicMock(return_value=[])
    monkeypatch.setattr(detection, "changes", changes)
    return changes


def _deliver(project: DataProject, minute: int = 600) -> dict[str, float]:
    """Visits come with one more row; minute 600 is none."""
    with project.source("visits").open("a") as file:
        file.write(ROW.format(minute=minute))
    return _ingest(project)


def _take_back(project: DataProject) -> None:
    lines = project.source("visits").read_text().splitlines(keepends=True)
    project.source("visits").write_text("".join(lines[:-1]))


def _ingest(project: DataProject, **config: Any) -> dict[str, float]:
    composed = project.config()
    composed.merge_with(config)
    return ingest(composed, Recorder())  # type: ignore[arg-type]


def _rows(project: DataProject, name: str = "visits") -> int:
    found = snapshot.current(read_contracts(project.root)[name])
    assert found is not None
    return found.rows


def _lose(project: DataProject) -> None:
    """As in a clone without a remote."""
    shutil.rmtree(project.root / "data/signals/visits")
    shutil.rmtree(project.root / ".dvc/cache")


def _open(project: DataProject) -> holds.Hold:
    (hold,) = [each for each in holds.read_holds(project.root) if each.status == holds.OPEN]
    return hold


def _say(project: DataProject, name: str, *properties: str) -> None:
    text = project.contract(name).read_text()
    lines = "".join(f"  - {each}\n" for each in properties)
    for kind in ("customProperties", "slaProperties"):
        mine = "".join(line for line in lines.splitlines(True) if ("frequency" in line) ==
                       (kind == "slaProperties"))  # fmt: skip
        if mine and f"{kind}:\n" in text:
            text = text.replace(f"{kind}:\n", f"{kind}:\n{mine}")
        elif mine:
            text += f"{kind}:\n{mine}"
    project.contract(name).write_text(text)


# ---------------------------------------------------------------- holding


def test_breach_holds_the_delivery_and_says_all_about_it(
    project: DataProject, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = (project.root / "data/signals/visits.dvc").read_bytes()
    recorder = Recorder()
    config = project.config()
    with project.source("visits").open("a") as file:
        file.write(ROW.format(minute=600))
    metrics = ingest(config, recorder)  # type: ignore[arg-type]
    assert (metrics["held/visits"], metrics["held/shops"]) == (1, 0)
    assert (project.root / "data/signals/visits.dvc").read_bytes() == before
    assert _rows(project) == 2400
    hold = _open(project)
    assert recorder.tags["held/visits"] == f"{hold.id} open"
    assert "  2024-05: 1 of 1 values of minute" in caplog.text
    for said in ("minute", "600", "Team visits (visits@example.com)", hold.id, "the last good",
                 f'holds release {hold.id} --by NAME --why "TEXT"', f"holds reject {hold.id}",
                 f"git add holds/{hold.id}.yaml"):  # fmt: skip
        assert said in caplog.text
    report = f"data/held/{hold.id}/report.html"
    assert report in caplog.text
    assert hold.violations[0].message in (project.root / report).read_text(encoding="utf-8")
    assert git(project.root, "status", "--porcelain", "holds", "data") == "?? holds/\n"
    said = yaml.safe_load((project.root / "holds" / f"{hold.id}.yaml").read_text())
    assert (said["subject"], said["version"], said["status"]) == ("visits", "1.0.0", "open")
    assert said["partition"] == "2024-05"
    assert said["violations"][0]["field"] == "minute"


def test_same_delivery_is_the_same_hold_in_a_fresh_checkout(
    project: DataProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _deliver(project)
    hold = _open(project)
    path = project.root / "holds" / f"{hold.id}.yaml"
    before = path.read_bytes(), path.stat().st_mtime_ns
    _ingest(project)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    process = project.python("from dvc.cli import main; main(['push'])")
    process.communicate(timeout=120)
    assert process.returncode == 0
    git(project.root, "add", "src")
    git(project.root, "commit", "-qm", "package")
    git(tmp_path, "clone", "-q", str(project.root), "clone")
    shutil.copytree(project.root / "data/raw", tmp_path / "clone/data/raw", dirs_exist_ok=True)
    clone = DataProject(tmp_path / "clone").enter(monkeypatch)
    clone.rename_package()
    _ingest(clone)
    assert _open(clone).id == hold.id
    assert _open(clone).delivery == hold.delivery


def test_other_breaching_deliveries_do_not_pile_up(project: DataProject) -> None:
    _deliver(project)
    first = _open(project)
    _take_back(project)
    _deliver(project, 601)
    second = _open(project)
    assert (second.id, second.opened) == (first.id, first.opened)
    assert second.delivery[:1] == first.delivery
    assert len(second.delivery) == 2
    assert "601" in second.violations[0].message
    assert [path.name for path in (project.root / "data/held").iterdir()] == [first.id]


def test_good_delivery_supersedes_what_is_held(project: DataProject) -> None:
    _deliver(project)
    hold = _open(project)
    _take_back(project)
    assert _deliver(project, 6)["held/visits"] == 0
    assert _rows(project) == 2401
    assert [each.status for each in holds.read_holds(project.root)] == ["superseded"]
    assert not (project.root / "data/held" / hold.id).exists()
    with pytest.raises(UserError, match="superseded"):
        holds_command(["release", hold.id, *WHO])


def test_hold_in_anothers_place_names_it_for_git(
    project: DataProject, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    _deliver(project)
    former = _open(project)
    replace(project.contract("visits"), "version: 1.0.0", "version: 1.1.0")
    assert _ingest(project)["held/visits"] == 1
    hold = _open(project)
    assert (hold.version, hold.replaces) == ("1.1.0", former.id)
    both = f"git add holds/{hold.id}.yaml holds/{former.id}.yaml && git commit"
    assert both in caplog.text
    holds_command(["--all"])
    shown = capsys.readouterr().out
    assert re.search(rf"replaces +{former.id}", shown)
    assert re.search(r"decided +20\S+ by a later delivery", shown)
    assert _ingest(project)["held/visits"] == 1
    assert _open(project) == hold


def test_broken_schema_is_held_and_cannot_be_released(
    project: DataProject, caplog: pytest.LogCaptureFixture
) -> None:
    replace(project.source("visits"), "shop,visitor", "store,visitor")
    assert _ingest(project)["held/visits"] == 1
    hold = _open(project)
    assert "'shop' is missing" in hold.violations[0].message
    assert str(project.root) not in (project.root / "holds" / f"{hold.id}.yaml").read_text()
    assert "cannot be released" in caplog.text
    assert _rows(project) == 2400
    with pytest.raises(UserError, match=r"cannot be released: .*\nChange signals/visits.yaml"):
        holds_command(["release", hold.id, *WHO])
    assert holds_command(["reject", hold.id, *WHO]) == 0
    assert _ingest(project)["held/visits"] == 0


def test_source_that_suddenly_is_empty_is_held(project: DataProject) -> None:
    header = project.source("visits").read_text().splitlines()[0]
    project.source("visits").write_text(header + "\n")
    assert _ingest(project)["held/visits"] == 1
    assert "2,400" in _open(project).violations[0].message
    with pytest.raises(UserError, match="cannot be released: the delivery has no rows"):
        holds_command(["release", _open(project).id, *WHO])


# ---------------------------------------------------------------- deciding


def test_released_rows_are_published_without_their_source(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    _deliver(project)
    hold = _open(project)
    source = project.source("visits")
    source.rename(source.with_suffix(".away"))
    assert holds_command(["release", hold.id, *WHO]) == 0
    assert f"git add holds/{hold.id}.yaml data/signals/visits.dvc" in capsys.readouterr().out
    assert load_snapshots(["visits"])["visits"].rows == 2401
    assert not (project.root / "data/held" / hold.id).exists()
    said = yaml.safe_load((project.root / "holds" / f"{hold.id}.yaml").read_text())
    assert (said["status"], said["by"], said["why"]) == ("released", WHO[1], WHO[3])
    source.with_suffix(".away").rename(source)
    assert _ingest(project)["held/visits"] == 0
    assert _ingest(project)["new_partitions/visits"] == 0


def test_decision_on_a_signal_that_is_gone_is_written_down(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    _deliver(project)
    hold = _open(project)
    (project.root / "signals" / "visits.yaml").unlink()
    assert holds_command(["release", hold.id, *WHO]) == 0
    assert "nothing to publish: signals/visits.yaml does not exist" in capsys.readouterr().out
    assert not holds.find(project.root, "visits")
    assert not (project.root / "data/held" / hold.id).exists()


def test_decision_waits_for_who_receives(project: DataProject) -> None:
    _deliver(project)
    hold = _open(project)
    code = """
        import sys
        from ml_experiment_runner.project import repository
        from ml_experiment_runner.project.lock import data_lock
        with data_lock(repository.root()):
            print("RECEIVING", flush=True)
            sys.stdin.readline()
    """
    receiving = project.python(code, stdin=subprocess.PIPE)
    assert receiving.stdout is not None
    assert receiving.stdout.readline() == "RECEIVING\n"
    decision = threading.Thread(target=holds_command, args=[["reject", hold.id, *WHO]])
    decision.start()
    decision.join(timeout=1)
    assert decision.is_alive()
    assert _open(project).id == hold.id
    receiving.communicate("\n", timeout=60)
    decision.join(timeout=60)
    assert not holds.find(project.root, "visits")


def test_release_is_of_the_rows_that_the_hold_describes(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    _deliver(project)
    path = project.root / "holds" / f"{_open(project).id}.yaml"
    said = yaml.safe_load(path.read_text())
    _take_back(project)
    _deliver(project, minute=700)
    path.write_text(yaml.safe_dump(said))  # as git brings it from who holds the other delivery
    holds_command(["release", said["id"], *WHO])
    assert "its rows are not on this machine" in capsys.readouterr().out
    assert _rows(project) == 2400


def test_release_accepts_only_the_delivery_that_was_last_seen(project: DataProject) -> None:
    _deliver(project)
    _take_back(project)
    _deliver(project, minute=700)
    holds_command(["release", _open(project).id, *WHO])
    assert _rows(project) == 2401
    _take_back(project)
    assert _deliver(project)["held/visits"] == 1


def test_rejected_schema_ends_with_the_next_good_delivery(
    project: DataProject,
) -> None:
    replace(project.source("visits"), "shop,visitor", "store,visitor")
    _ingest(project)
    holds_command(["reject", _open(project).id, *WHO])
    assert _ingest(project)["held/visits"] == 0
    with project.source("visits").open("a") as file:  # another delivery with the same fault
        file.write(ROW.format(minute=4))
    assert _ingest(project)["held/visits"] == 1
    holds_command(["reject", _open(project).id, *WHO])
    replace(project.source("visits"), "store,visitor", "shop,visitor")
    with project.source("visits").open("a") as file:
        file.write(ROW.format(minute=5).replace("T12:", "T13:"))
    assert _ingest(project)["rows/visits"] == 2402
    replace(project.source("visits"), "shop,visitor", "store,visitor")
    assert _ingest(project)["held/visits"] == 1


def test_new_unit_whose_earlier_rows_are_as_before_is_held(project: DataProject) -> None:
    path = project.contract("visits")
    replace(path, "version: 1.0.0", "version: 1.1.0")
    line = next(line for line in path.read_text().splitlines() if "name: spent" in line)
    unit = "customProperties: [{property: unit, value: EUR}, "
    replace(path, line, line.replace("customProperties: [", unit))
    assert _ingest(project)["held/visits"] == 0
    replace(path, "version: 1.1.0", "version: 2.0.0")
    replace(path, "value: EUR", "value: USD")
    with project.source("visits").open("a") as file:
        file.write(ROW.format(minute=5))
    assert _ingest(project)["held/visits"] == 1
    violation, *others = _open(project).violations
    assert (violation.kind, violation.field, others) == ("unit", "spent", [])
    assert "the same as in EUR" in violation.message
    _take_back(project)  # a contract that was wrong, and nothing new
    assert _ingest(project)["held/visits"] == 0


def test_decision_that_cannot_be_followed_is_not_made(project: DataProject) -> None:
    _deliver(project)
    hold = _open(project)
    replace(project.contract("visits"), "status: active", "statuss: active")
    with pytest.raises(UserError, match="statuss"):
        holds_command(["release", hold.id, *WHO])
    assert _open(project) == hold
    replace(project.contract("visits"), "statuss: active", "status: active")
    holds_command(["release", hold.id, *WHO])
    assert _rows(project) == 2401


def test_what_cannot_be_held_costs_the_other_signals_nothing(
    project: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(quarantine, "keep", full)
    with project.source("prices").open("a") as file:
        file.write("a,2024-05-02T12:00:00Z,0.5\n")
    with pytest.raises(OSError, match="no space left"):
        _deliver(project)
    assert _rows(project, "prices") == 1201


def test_clone_without_data_takes_what_comes_on_top(
    project: DataProject,
) -> None:
    _lose(project)
    with project.source("visits").open("a") as file:
        file.write(ROW.format(minute=5))
    assert _ingest(project)["rows/visits"] == 2401


def test_clone_without_data_holds_what_it_cannot_compare(project: DataProject) -> None:
    _lose(project)
    text = project.source("visits").read_text()
    project.source("visits").write_text(re.sub(r"\d+\n", "7\n", text))
    assert _ingest(project)["held/visits"] == 1
    violations = {violation.kind: violation for violation in _open(project).violations}
    assert "nothing to compare with" in violations["past"].message
    holds_command(["release", _open(project).id, *WHO])
    assert _ingest(project)["held/visits"] == 0


def test_release_in_another_checkout_lets_the_content_in(
    project: DataProject,
) -> None:
    _deliver(project)
    shutil.rmtree(project.root / "data/held")
    holds_command(["release", _open(project).id, *WHO])
    assert _rows(project) == 2400
    assert _ingest(project)["held/visits"] == 0
    assert _rows(project) == 2401


def test_release_tells_from_where_on_a_field_is_as_accepted(
    project: DataProject, past_that_explains_all: MagicMock
) -> None:
    past_that_explains_all.return_value = [
        Violation("distribution", "spent", "spent was 10 and is 5", "2024-05")
    ]
    _deliver(project, 6)
    holds_command(["release", _open(project).id, *WHO])
    past_that_explains_all.reset_mock(return_value=True)
    past_that_explains_all.return_value = []
    with project.source("visits").open("a") as file:
        file.write(ROW.format(minute=6).replace("05-02", "06-02"))
    _ingest(project)
    _, past, delivery, accepted = past_that_explains_all.call_args.args
    assert accepted == {"spent": "2024-05"}
    assert list(delivery) == ["2024-06"]
    assert max(past) == "2024-05"
    assert past["2024-05"].collect().height == 1


def test_past_of_a_changed_partition_is_as_it_was(
    project: DataProject, past_that_explains_all: MagicMock
) -> None:
    _deliver(project, 6)
    heights = {}

    def look(_: Any, past: Any, delivery: Any, *__: Any, **___: Any) -> list[Violation]:
        heights.update({name: (past[name].collect().height, delivery[name].height)
                        for name in delivery})  # fmt: skip
        return []

    past_that_explains_all.side_effect = look
    with project.source("visits").open("a") as file:
        file.write(ROW.format(minute=7).replace("a,1", "b,1"))
    _ingest(project)
    assert heights == {"2024-05": (1, 2)}


def test_rejected_delivery_is_ignored_and_another_is_held(project: DataProject) -> None:
    _deliver(project)
    hold = _open(project)
    assert holds_command(["reject", hold.id, *WHO]) == 0
    assert not (project.root / "data/held" / hold.id).exists()
    assert _ingest(project)["held/visits"] == 0
    assert _rows(project) == 2400
    _take_back(project)
    assert _deliver(project, 601)["held/visits"] == 1
    assert _open(project).id == f"{hold.id}-2"
    # the one that was rejected stays rejected
    _take_back(project)
    assert _deliver(project)["held/visits"] == 0
    assert not any(each.status == holds.OPEN for each in holds.read_holds(project.root))


def test_run_that_needs_what_was_rejected_says_so(project: DataProject) -> None:
    replace(project.contract("visits"), "version: 1.0.0", "version: 1.0.1")
    replace(project.contract("visits"), "nullValues, value: [NA]", "nullValues, value: [NA, x]")
    _deliver(project)
    holds_command(["reject", _open(project).id, *WHO])
    with pytest.raises(
        UserError, match=r"Ada has rejected the delivery of version 1.0.1.*\n.*pin.visits=1.0.0"
    ):
        load_dataset(project.config())
    assert load_dataset(project.config(pin={"visits": "1.0.0"})).snapshots["visits"].rows == 2400


def test_decision_needs_an_open_hold_a_name_and_a_reason(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    _deliver(project)
    hold = _open(project)
    with pytest.raises(UserError, match=f"does not exist. Did you mean '{hold.id}'"):
        holds_command(["release", hold.id[:-1], *WHO])
    with pytest.raises(UserError, match="does not exist"):
        holds_command(["release", f"../holds/{hold.id}", *WHO])
    with pytest.raises(UserError, match="--why"):
        holds_command(["release", hold.id, "--by", "Ada", "--why", " "])
    with pytest.raises(SystemExit):
        holds_command(["release", hold.id, "--by", "Ada"])
    holds_command(["reject", hold.id, *WHO])
    with pytest.raises(UserError, match="was already rejected by Ada"):
        holds_command(["release", hold.id, *WHO])
    capsys.readouterr()


def test_list_shows_what_is_open_and_with_all_what_was_decided(
    project: DataProject, capsys: pytest.CaptureFixture[str]
) -> None:
    assert holds_command([]) == 0
    assert capsys.readouterr().out == "nothing is held\n"
    _deliver(project)
    hold = _open(project)
    holds_command([])
    shown = capsys.readouterr().out
    assert all(word in shown for word in (hold.id, "minute", "visits@example.com", "release"))
    holds_command(["reject", hold.id, *WHO])
    capsys.readouterr()
    holds_command([])
    assert hold.id not in capsys.readouterr().out
    holds_command(["--all"])
    assert "by Ada: The clock was moved" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("field", "message", "said"),
    [
        ("day", "from three days to the next three its median moves", "2024-05: day: from"),
        ("median", "from three days to the next three its median moves", "2024-05: median: from"),
        ("day", "9 of 9 values of day (100 %) are not within 1 to 7", "2024-05: 9 of"),
    ],
)
def test_field_is_named_once_whatever_its_name(field: str, message: str, said: str) -> None:
    violation = holds.Violation("level", field, message, "2024-05")
    hold = holds.Hold("a-1", "a", "1.0.0", "none", "Ada", "now", "2024-05", (violation,), ("x",))
    assert f"\n  {said}" in holds.describe(hold)


def test_file_that_is_no_hold_is_named(project: DataProject) -> None:
    (project.root / "holds").mkdir()
    (project.root / "holds" / "visits-123456.yaml").write_text("id: [\n")
    with pytest.raises(UserError, match=r"holds/visits-123456\.yaml is not a valid hold file"):
        holds_command([])


@pytest.mark.parametrize(
    ("was", "now"),
    [("status: open", "status: opne"), ("id: ", "id: x"), ("opened: '", "opened: 2024-01-01 #")],
)
def test_hold_that_was_changed_by_hand_is_not_overlooked(
    project: DataProject, was: str, now: str
) -> None:
    _deliver(project)
    path = project.root / holds.file_name(_open(project).id)
    replace(path, was, now)
    with pytest.raises(UserError, match=rf"{path.name} is not a valid hold file \(edited by hand"):
        holds.find(project.root, "visits")


@pytest.mark.parametrize(("unfit", "releasable"), [("false", True), ("true", False)])
def test_hold_file_of_the_vendored_runner_is_read(
    tmp_path: Path, unfit: str, releasable: bool
) -> None:
    (tmp_path / "holds").mkdir()
    (tmp_path / "holds" / "visits-123456.yaml").write_text(
        "{id: visits-123456, subject: visits, version: 1.0.0, last_good: none, owner: Ada, "
        "opened: '2024-05-01T00:00:00+00:00', partition: 2024-05, delivery: [x], status: open, "
        "breaches: [{kind: range, field: temp, message: too hot, partition: 2024-05}], "
        f"unfit: {unfit}}}"
    )
    hold = holds.find(tmp_path, "visits")
    assert hold is not None
    assert hold.violations == (holds.Violation("range", "temp", "too hot", "2024-05"),)
    assert hold.releasable == releasable


@pytest.mark.parametrize(("minute", "code"), [(600, 3), (6, 0)])
def test_held_signal_gives_exit_code_three(
    project: DataProject, monkeypatch: pytest.MonkeyPatch, minute: int, code: int
) -> None:
    metrics = _deliver(project, minute)
    config = OmegaConf.create({"objective": None, "task": {"_target_": "own.task"}})
    run = SimpleNamespace(config=config, overrides=[], parent=None)

    def main(**_: Any) -> Any:
        return lambda job: lambda: job.session.execute(run)

    monkeypatch.setattr("hydra.main", main)
    monkeypatch.setattr(session, "execute", lambda _: metrics)
    monkeypatch.setattr("sys.argv", ["run.py"])
    assert run_task(["task=ingest"]) == code


# ---------------------------------------------------------------- meanwhile


def test_first_delivery_that_breaks_a_rule_leaves_nothing(
    project: DataProject,
) -> None:
    for path in ("data/signals/visits", "data/signals/.index"):
        shutil.rmtree(project.root / path)
    (project.root / "data/signals/visits.dvc").unlink()
    with project.source("visits").open("a") as file:
        file.write(ROW.format(minute=600))
    with pytest.raises(DeliveryHeldError, match=r"visits-[0-9a-f]{6}"):
        load_snapshots(["visits"])
    with pytest.raises(UserError, match=r"held since .*visits-[0-9a-f]{6}.*no last good snapshot"):
        load_dataset(project.config())
    holds_command(["release", _open(project).id, *WHO])
    assert load_snapshots(["visits"])["visits"].rows == 2401


def test_run_goes_on_with_the_last_good_snapshot_and_says_so(
    project: DataProject, caplog: pytest.LogCaptureFixture
) -> None:
    before = load_dataset(project.config())
    _deliver(project)
    run = MagicMock()
    after = load_dataset(project.config(), run)
    assert after.fingerprint == before.fingerprint
    hold = _open(project)
    assert f"visits is held since {hold.opened[:10]} ({hold.id}); the run goes on" in caplog.text
    (tag,) = [call.args for call in run.log_tag.call_args_list]
    assert tag[0] == "held/visits"
    assert hold.id in tag[1]


def test_run_stops_where_the_contract_says_so(project: DataProject) -> None:
    _say(project, "visits", "{property: whenHeld, value: stop}")
    load_dataset(project.config())
    _deliver(project)
    with pytest.raises(UserError, match=r"held since .*whenHeld: stop") as error:
        load_dataset(project.config())
    assert len(str(error.value).splitlines()) == 2


def test_last_good_snapshot_may_be_too_old(project: DataProject) -> None:
    _say(project, "visits", '{property: maxAge, value: "30 d"}')
    _deliver(project)
    with pytest.raises(UserError, match=r"days old; its contract says `maxAge` 30 days"):
        load_dataset(project.config())
    config = project.config()
    config.now = "2024-04-20T00:00:00+00:00"
    assert load_dataset(config).snapshots["visits"].rows == 2400
    replace(project.contract("visits"), "30 d", "36 h")
    with pytest.raises(UserError, match=r"`maxAge` 36 hours"):
        load_dataset(config)


def test_features_of_a_signal_that_may_be_missing_are_left_out(
    project: DataProject, caplog: pytest.LogCaptureFixture
) -> None:
    _say(project, "shops", "{property: whenHeld, value: without}")
    whole = load_dataset(project.config())
    replace(project.source("shops"), "a,2020-05-01,12", "a,2020-05-01,twelve")
    _ingest(project)
    run = MagicMock()
    data = load_dataset(project.config(), run)
    assert data.features == [name for name in whole.features if name != "size"]
    assert "shops" not in data.snapshots
    assert "left out: size" in caplog.text
    assert "left out: size" in dict(call.args for call in run.log_tag.call_args_list)["held/shops"]
    with pytest.raises(UserError, match="no feature is left"):
        load_dataset(project.config(features=["size"]))
    # who does not use it does not hear of it
    caplog.clear()
    load_dataset(project.config(features=["hour"]))
    assert "shops" not in caplog.text


def test_examples_cannot_be_left_out(project: DataProject) -> None:
    _say(project, "visits", "{property: whenHeld, value: without}")
    _deliver(project)
    with pytest.raises(UserError, match="its rows are the examples"):
        load_dataset(project.config())


def test_late_signal_is_one_whose_rows_are_overdue(
    project: DataProject, caplog: pytest.LogCaptureFixture
) -> None:
    _say(project, "prices", "{property: frequency, value: 1, unit: d}",
         "{property: whenHeld, value: stop}")  # fmt: skip
    with pytest.raises(UserError, match="signal prices: it is late"):
        load_dataset(project.config())
    last = snapshot.current(read_contracts(project.root)["prices"])
    assert last is not None
    assert last.last_event is not None
    config = project.config()
    due = last.last_event + timedelta(days=1, hours=1)  # frequency and latency
    config.now = due.isoformat()
    load_dataset(config)
    config.now = (due + timedelta(seconds=1)).isoformat()
    with pytest.raises(UserError, match="late"):
        load_dataset(config)
    recorder = Recorder()
    ingest(config, recorder)  # type: ignore[arg-type]
    assert "prices is late" in caplog.text
    assert re.search("ago", recorder.tags["late/prices"])


def test_rerun_judges_lateness_as_of_the_run_that_it_repeats(
    project: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    _say(project, "prices", "{property: frequency, value: 1, unit: d}",
         "{property: whenHeld, value: stop}")  # fmt: skip
    with pytest.raises(UserError, match="signal prices: it is late"):
        load_dataset(project.config())
    monkeypatch.setenv("RUNNER_RERUN_AT", datetime(2024, 4, 9, tzinfo=UTC).isoformat())
    load_dataset(project.config())
