"""The commands `new`, `experiments`, `doctor` and `signals`, and the tests a project comes with."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ml_experiment_runner.cli import app, doctor, hydra_task, signals
from ml_experiment_runner.cli import experiments as experiments_command
from ml_experiment_runner.cli.experiments import experiments
from ml_experiment_runner.cli.new import new, quoted
from ml_experiment_runner.config import composition
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record.process_identity import identity
from ml_experiment_runner.record.run_reader import Point, RecordedRun
from ml_experiment_runner.signals.snapshots.snapshot import Snapshot
from support import python_path
from support.baking import IDENTITY, copy_template, run_cookiecutter

CONF = {
    "config.yaml": """\
defaults: [_self_, {task: train}]
project: p
package: own
outputs: ${root:}/outputs
objective: validation/roc_auc
tracking: {uri: "sqlite:///x.db"}
experiment: {owner: "", question: "", budget_days: null, until: null, status: active}
""",
    "task/train.yaml": "_target_: ml_experiment_runner.training.train.train\nuses: []\n",
}
DEVICES = json.loads((Path(__file__).parents[3] / "cookiecutter.json").read_text())[
    "_devices"
].split()
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in CONF.items():
        path = tmp_path / "conf" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(tmp_path))
    return tmp_path


@given(st.text(st.sampled_from("$\\{}a:'\"# "), min_size=1))
@example("Is ${HOME} good?")
@example("\\${a} and \\\\${oc.env:HOME} \\")
def test_configuration_holds_a_question_as_it_was_typed(text: str) -> None:
    written = OmegaConf.create(f"question: {quoted(text)}\nhere: ${{question}}")
    assert OmegaConf.to_container(written, resolve=True) == {"question": text, "here": text}


@pytest.mark.usefixtures("project")
def test_new_experiment_composes_with_any_question_and_owner() -> None:
    new(["experiment", "odd", "--question", "Is ${HOME} good?", "--owner", "${me}"])
    experiment = composition.compose("experiment=odd").experiment
    assert (experiment.question, experiment.owner) == ("Is ${HOME} good?", "${me}")


@pytest.mark.parametrize("name", ["null", "none", "default", "true", "false", "on", "off", "yes",
                                  "no", "nan", "inf", *DEVICES])  # fmt: skip
def test_new_refuses_reserved_names(project: Path, name: str) -> None:
    with pytest.raises(UserError, match=f"^{name} is a reserved name"):
        new(["experiment", name, "--question", "?"])
    assert not (project / "conf" / "experiment").exists()


def test_new_experiment_is_not_called_like_a_task(project: Path) -> None:
    (project / "conf" / "task" / "own_task.yaml").write_text("uses: []\n")
    for name in ("train", "own_task"):
        with pytest.raises(UserError, match=f"^{name} is the name of a task"):
            new(["experiment", name, "--question", "?"])
    assert not (project / "conf" / "experiment").exists()


@pytest.mark.parametrize("days", ["nan", "inf", "0", "-1", "20000"])
def test_new_refuses_an_invalid_budget(project: Path, days: str) -> None:
    with pytest.raises(UserError, match=r"^--budget-days .*such as 0\.5"):
        new(["experiment", "good", "--question", "?", f"--budget-days={days}"])
    assert not (project / "conf" / "experiment").exists()


@pytest.mark.usefixtures("project")
def test_new_does_without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert new(["experiment", "good", "--question", "?"]) == 0
    assert composition.compose("experiment=good").experiment.owner == ""


def a_run(number: int, value: float, data: str, **params: str) -> RecordedRun:
    return RecordedRun(
        Path(),
        f"run{number}",
        status="FINISHED",
        started=NOON + timedelta(hours=number),
        params={"debug.rows": "None", "debug.overfit": "False", **params},
        provenance={"dataset.judged": data},
        points={"validation/roc_auc": [Point(0, 0, value)], "test/rows": [Point(0, 0, 9)]},
    )


@pytest.mark.usefixtures("project")
def test_best_run_is_a_full_run_on_the_latest_data(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    new(["experiment", "good", "--question", "?"])
    runs = [
        a_run(1, 0.99, "old"),
        a_run(2, 0.8, "new"),
        a_run(3, 0.7, "new"),
        a_run(4, 0.9, "new-2000rows", **{"debug.rows": "2000"}),
        a_run(5, 0.95, "new", **{"debug.overfit": "True"}),
    ]
    monkeypatch.setattr(experiments_command, "runs_of", lambda _: runs)
    assert experiments([]) == 0
    output = capsys.readouterr().out
    assert "best         validation/roc_auc 0.8000  run2\n" in output
    assert "data         new" in output


@pytest.mark.usefixtures("project")
def test_experiments_without_a_full_run_have_no_best(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    new(["experiment", "good", "--question", "?"])
    debug = a_run(1, 0.9, "new", **{"debug.rows": "2000"})
    monkeypatch.setattr(experiments_command, "runs_of", lambda _: [debug])
    assert experiments([]) == 0
    assert "best" not in capsys.readouterr().out


def closed(project: Path, name: str, lines: str) -> None:
    path = project / "conf" / "experiment" / f"{name}.yaml"
    path.write_text(path.read_text().replace("  status: active\n", lines))


@pytest.mark.usefixtures("project")
def test_overdue_experiment_is_marked_and_found(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--question", "?", "--budget-days", "2"]
    new(["experiment", "late", *words, "--until", "2026-01-31"])
    new(["experiment", "early", *words, "--until", "2999-01-31"])
    assert experiments([]) == 0
    output = capsys.readouterr().out
    assert output.count("overdue by") == 1
    assert "overdue: experiment late was due on 2026-01-31" in output
    assert "budget 2 working days" in output
    (finding,) = experiments_command.overdue("late", composition.compose("experiment=late"))
    assert (finding.kind, finding.subject) == ("overdue_experiment", "late")
    assert finding.evidence["days"] > 100
    assert experiments_command.overdue("early", composition.compose("experiment=early")) == []


@pytest.mark.parametrize("status", ["stopped", "graduated"])
def test_experiment_is_closed_with_a_conclusion(
    project: Path, capsys: pytest.CaptureFixture[str], status: str
) -> None:
    new(["experiment", "done", "--question", "?", "--until", "2026-01-31"])
    closed(project, "done", f"  status: {status}\n")
    with pytest.raises(UserError, match=r"experiment\.conclusion is required .* what was learned"):
        composition.compose("experiment=done")
    closed_too = "  conclusion: It rains on everybody\n"
    path = project / "conf" / "experiment" / "done.yaml"
    path.write_text(path.read_text() + closed_too)
    assert experiments([]) == 0
    output = capsys.readouterr().out
    assert "It rains on everybody" in output
    assert "overdue" not in output
    assert experiments(["--active"]) == 0
    assert "done" not in capsys.readouterr().out


@pytest.mark.usefixtures("project")
def test_new_experiment_names_its_origin(project: Path) -> None:
    new(["experiment", "first", "--question", "?"])
    path = project / "conf" / "experiment" / "first.yaml"
    path.write_text(path.read_text().replace("# your overrides", "seed: 7\n# your overrides"))
    new(["experiment", "second", "--question", "And now?", "--from", "first"])
    new(["experiment", "third", "--question", "And now?", "--from", "second"])
    text = (project / "conf" / "experiment" / "third.yaml").read_text()
    assert "# started from second\n" in text
    assert "first" not in text
    assert composition.compose("experiment=third").seed == 7


@pytest.mark.parametrize("mistake", ["modle: {C: 1}", "model: {C: [", "seed: ${nowhere}"])
def test_experiments_lists_the_others_beside_a_broken_one(
    project: Path, capsys: pytest.CaptureFixture[str], mistake: str
) -> None:
    for name in ("first", "second"):
        new(["experiment", name, "--question", f"The {name}?"])
    broken = project / "conf" / "experiment" / "broken.yaml"
    broken.write_text(f"# @package _global_\n{mistake}\n")
    capsys.readouterr()
    assert experiments([]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert "The first?" in "".join(lines)
    assert "The second?" in "".join(lines)
    assert lines[-1].startswith("conf/experiment/broken.yaml: ")


def test_doctor_counts_only_runs_that_have_ended_as_waiting(project: Path) -> None:
    pending = project / "outputs" / ".pending" / "store"
    pending.mkdir(parents=True)

    def register(name: str, **other: object) -> None:
        marker = {"folder": "none", "writer": {**identity(), **other}}
        (pending / f"{name}.run").write_text(json.dumps(marker))

    register("working")
    assert doctor.check_records() == ("records", True, "all in MLflow")
    register("ended", started="long ago")
    name, good, detail = doctor.check_records()
    assert (name, good) == ("records", False)
    assert detail.startswith("1 ")


@pytest.mark.parametrize(
    ("zone", "day"), [("America/New_York", "2013-12-31"), ("UTC", "2014-01-01")]
)
def test_last_event_is_a_day_of_the_contracts_time_zone(zone: str, day: str) -> None:
    last = datetime(2014, 1, 1, 4, tzinfo=UTC)
    snapshot = Snapshot("flights", "1.0.0", "", "", 1, Path(), last, {}, "")
    assert signals.last_event(snapshot, zone).startswith(f"{day} (")
    assert signals.last_event(None, zone) == "-"


SHOPS = {
    "signals/shops.yaml": """\
apiVersion: v3.1.0
kind: DataContract
id: shops
version: 1.0.0
status: active
team: {name: Sales}
support: [{channel: mail, url: "mailto:sales@example.com"}]
servers: [{server: source, type: local, path: data/raw/shops.csv, format: csv}]
schema:
  - name: shops
    properties:
      - {name: shop, logicalType: integer, primaryKey: true}
      - {name: size, logicalType: integer}
      - {name: closed, logicalType: integer}
""",
    "conf/dataset/shops.yaml": """\
spine: shops
label: closed
features: [size]
split: {by: random, validation: 0.3, test: 0.3}
""",
    "data/raw/shops.csv": "shop,size,closed\n"
    + "".join(f"{shop},{shop % 7},{shop % 2}\n" for shop in range(200)),
}


def test_projects_tests_compute_features_where_reached(tmp_path: Path) -> None:
    made = run_cookiecutter(copy_template(tmp_path / "template"), tmp_path / "out")
    assert made.code == 0, made.output
    for name, text in SHOPS.items():
        path = made.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    features = made.project / "src" / "flight_delays" / "features.py"
    text = features.read_text(encoding="utf-8")
    text += (
        'FEATURES["size"] = pl.col("shops.size")\nLABELS["closed"] = pl.col("shops.closed") == 1\n'
    )
    features.write_text(text, encoding="utf-8")

    def tried() -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "tests/standard/test_signals.py"],
            cwd=made.project,
            env={**os.environ, **IDENTITY, "PYTHONPATH": python_path()},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    done = tried()
    assert done.returncode == 0, done.stdout
    text += 'FEATURES["broken"] = pl.col("flights.carrier") * 2\n'  # no experiment uses it
    features.write_text(text, encoding="utf-8")
    done = tried()
    assert done.returncode == 1
    assert "test_features_compute[flights]" in done.stdout
    assert "1 failed" in done.stdout
    # what a library is about to take away is an error where the project uses it
    text = text.replace('FEATURES["broken"] = pl.col("flights.carrier") * 2\n', "")
    text += "pl.Series([1.5]).cut([1.0])\n"
    features.write_text(text, encoding="utf-8")
    done = tried()
    assert done.returncode != 0
    assert "DeprecationWarning" in done.stdout


@pytest.mark.usefixtures("in_a_project")
def test_interrupt_swallowed_by_an_import_ends_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def imports(_: object) -> int:
        try:
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt as error:  # as extensions do
                raise ImportError("initialization failed") from error
        except ImportError:
            raise UserError("model._target_: cannot import it") from None

    monkeypatch.setattr(sys, "stdout", sys.stdout)
    monkeypatch.setattr(app.gc, "disable", lambda: None)
    monkeypatch.setattr(hydra_task, "run_task", imports)
    assert app.main(["seed=1"]) == 130
    assert capsys.readouterr().err == "stopped\n"
