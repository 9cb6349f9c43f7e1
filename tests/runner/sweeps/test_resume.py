"""A run that has failed, or was killed, goes on in its record, wherever it stopped."""

import json
import math
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.config.checks import check
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.record import recorder
from ml_experiment_runner.record.card import page
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.record.run_reader import RecordedRun, read_run
from ml_experiment_runner.sweeps import resume, sweep
from ml_experiment_runner.sweeps.execution import execute
from ml_experiment_runner.training import train
from ml_experiment_runner.training.evaluation import cross_validation, slices
from ml_experiment_runner.training.plots import run_plots
from support.data_project import DataProject

PLACE = "baseline/2026-11-01/10-00-00-aaaa1111"
STAGES = {
    "data": (train, "load_dataset"),
    "fit": (train, "fit"),
    "predict": (train, "predict"),
    "threshold": (train, "active_threshold"),
    "model": (train, "_log_model"),
    "evaluate": (train, "_evaluate"),
    "predictions": (train, "write_predictions"),
    "slices": (slices, "record_slices"),
    "importance": (train, "importance"),
    "first seed": (cross_validation, "point_metrics"),
    "second seed": (cross_validation, "fit"),
    "folds": (cross_validation, "folds"),
    "means": (cross_validation, "_summary"),
    "plots": (run_plots, "log_plots"),
    "card": (page, "write_card"),
}
AFTER_THE_MODEL = list(STAGES)[list(STAGES).index("evaluate") :]


class NoSync:
    """Takes the place of the sync client."""

    def register(self, *_: Any) -> None:
        """Nothing is sent."""

    def is_registered(self, _run_id: str) -> bool:
        """Nothing was given up."""
        return True


def plain_plots(run: Run, *_: Any) -> None:
    """Takes the place of the plots, which take a second."""
    run.log_text("drawn", "figures.txt")


@pytest.fixture
def config(project: DataProject, monkeypatch: pytest.MonkeyPatch) -> DictConfig:
    monkeypatch.setattr("ml_experiment_runner.record.config_diff.changed_defaults", lambda *_: [])
    monkeypatch.setattr(run_plots, "log_plots", plain_plots)
    config = OmegaConf.merge(
        project.config(slices=["shop"]),
        {
            "task": {"_target_": "ml_experiment_runner.training.train.train",
                     "uses": ["dataset", "model", "threshold"]},
            "tracking": {"uri": "sqlite:///nowhere.db"},
            "project": "shops",
            "outputs": str(project.root / "outputs"),
            "model": {"_target_": "sklearn.linear_model.LogisticRegression"},
            "threshold": {"policy": "f_beta"},
            "evaluation": {"bootstrap": 5, "importance_rows": 50, "importance_repeats": 1,
                           "slice_rows": 10, "folds": 2},
            "seeds": 2,
            "threads": 1,
        },
    )  # fmt: skip
    assert isinstance(config, DictConfig)
    check(config)
    return config


def begin(config: DictConfig, place: str = PLACE) -> Run:
    return Run.start(config, Path(config.outputs) / place, ["run.py"], [], NoSync())


def go_on(config: DictConfig) -> Run:
    return Run.reopen(config, Path(config.outputs) / PLACE, [], NoSync())


def fail_once(error: BaseException, function: Callable[..., Any]) -> Callable[..., Any]:
    failed = []

    def failing(*values: Any, **named: Any) -> Any:
        if not failed:
            failed.append(True)
            raise error
        return function(*values, **named)

    return failing


def kill(folder: Path) -> None:
    """Leaves journals as a process that was killed does: without their end, and torn."""
    for path in (folder / "journal.jsonl", *folder.glob("*/journal.jsonl")):
        lines = path.read_text().splitlines(keepends=True)
        if '"status": "FINISHED"' not in lines[-1]:
            path.write_text("".join(lines[:-1]) + '{"kind":"metric","na')


def content(run: RecordedRun) -> dict[str, Any]:
    """What must be the same in a run that was never disturbed."""
    timed = ("seconds/", "system/")
    return {
        "status": run.status,
        "error": run.error,
        "name": run.name if run.parent else "",
        "metrics": {k: repr(v) for k, v in run.metrics.items() if not k.startswith(timed)},
        "stages": {k for k in run.metrics if k.startswith("seconds/")},
        "params": {k: v for k, v in run.params.items() if k != "outputs"},
        "datasets": [(dataset["signal"], dataset["md5"]) for dataset in run.datasets],
        "artifacts": sorted(path for path in run.artifacts if not path.endswith("traceback.txt")),
        "model": run.has_model,
    }


def family(folder: Path) -> list[dict[str, Any]]:
    """A run and those within it, by name."""
    children = [read_run(path.parent) for path in folder.glob("*/journal.jsonl")]
    return [content(run) for run in (read_run(folder), *sorted(children, key=lambda c: c.name))]


def twice(folder: Path) -> list[Any]:
    """What a journal holds more than once although it happens once."""
    counts: Counter[Any] = Counter()
    for line in (folder / "journal.jsonl").read_text().splitlines():
        try:
            event = json.loads(line)
        except ValueError:  # torn
            continue
        if event["kind"] == "metric":
            counts[event["name"], event["step"]] += 1
        elif event["kind"] == "params":
            counts.update(("param", name) for name in event["values"])
        elif event["kind"] == "dataset":
            counts["dataset", event["signal"]] += 1
        elif event["kind"] in ("start", "model"):
            counts[event["kind"]] += 1
    return [what for what, count in counts.items() if count > 1]


@pytest.mark.parametrize(
    ("stage", "way"),
    [
        *((stage, "fails") for stage in STAGES),
        *((stage, "is killed") for stage in ("model", "second seed")),
        *(
            pytest.param(stage, "is killed", marks=pytest.mark.long)
            for stage in STAGES
            if stage not in ("model", "second seed")
        ),
    ],
)
def test_resumed_run_ends_as_one_that_was_never_disturbed(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch, stage: str, way: str
) -> None:
    execute(begin(config, PLACE.replace("aaaa", "bbbb")))
    module, name = STAGES[stage]
    error = RuntimeError("no luck") if way == "fails" else KeyboardInterrupt()
    monkeypatch.setattr(module, name, fail_once(error, getattr(module, name)))
    with pytest.raises(type(error)):
        execute(begin(config))
    folder = Path(config.outputs) / PLACE
    if way == "is killed":
        kill(folder)
    before = read_run(folder)
    fits: list[object] = []
    monkeypatch.setattr(train, "fit", counted(fits, train.fit))
    execute(go_on(config))
    undisturbed = family(Path(config.outputs) / PLACE.replace("aaaa", "bbbb"))
    assert family(folder) == undisturbed
    assert len(fits) == (stage not in AFTER_THE_MODEL)
    for path in (folder, *(journal.parent for journal in folder.glob("*/journal.jsonl"))):
        assert twice(path) == []
    after = read_run(folder)
    assert before.points.items() <= {
        name: points[: len(before.points.get(name, points))]
        for name, points in after.points.items()
    }.items()  # fmt: skip
    page = (folder / "artifacts" / "card.html").read_text()
    assert "FINISHED" in page
    assert "no luck" not in page


def counted(calls: list[object], function: Callable[..., Any]) -> Callable[..., Any]:
    def counting(*values: Any, **named: Any) -> Any:
        calls.append(function)
        return function(*values, **named)

    return counting


def failed_after_its_model(config: DictConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "_evaluate", fail_once(RuntimeError(), train._evaluate))
    with pytest.raises(RuntimeError):
        execute(begin(config))


def test_resumed_run_keeps_its_configuration(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed_after_its_model(config, monkeypatch)
    journal = (Path(config.outputs) / PLACE / "journal.jsonl").read_bytes()
    config.seed = 5
    with pytest.raises(UserError, match=r"^resume=aaaa1111: seed was 0 in this run and is 5 now\."):
        go_on(config)
    assert (Path(config.outputs) / PLACE / "journal.jsonl").read_bytes() == journal


def test_resumed_run_keeps_its_data(
    config: DictConfig, project: DataProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed_after_its_model(config, monkeypatch)
    features = project.root / "src" / project.package / "features.py"
    features.write_text(features.read_text().replace("> 10", "> 9"))
    monkeypatch.delitem(sys.modules, f"{project.package}.features")
    with pytest.raises(UserError, match=r"(?s)dataset\.fingerprint was .* start a new one"):
        execute(go_on(config))
    assert read_run(Path(config.outputs) / PLACE).status == "FAILED"


def test_resumed_run_was_not_at_work_in_between(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed_after_its_model(config, monkeypatch)
    folder = Path(config.outputs) / PLACE
    before = read_run(folder)
    lines = (folder / "journal.jsonl").read_text().splitlines()
    hour = 3_600_000
    earlier = [json.loads(line) for line in lines]
    text = "".join(json.dumps(event | {"time": event["time"] - hour}) + "\n" for event in earlier)
    (folder / "journal.jsonl").write_text(text)
    execute(go_on(config))
    after = read_run(folder)
    assert math.isclose(before.seconds, (before.ended - before.started).total_seconds())
    assert (after.ended - after.started).total_seconds() > 3600
    assert before.seconds < after.seconds < before.seconds + 600


def test_resumed_task_that_logs_its_model_again_keeps_the_first(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed_after_its_model(config, monkeypatch)
    monkeypatch.setattr(recorder.Recorder, "recorded_model", lambda _: None)
    execute(go_on(config))
    assert twice(Path(config.outputs) / PLACE) == []


@pytest.mark.usefixtures("in_a_project")
@pytest.mark.parametrize("mode", ["run", "sweep"])
@pytest.mark.parametrize("name", ["plain", "two words", "o'brien", "a,b", "a=b", "{a}", "[a]"])
def test_run_is_resumed_in_its_folder_whatever_that_is_called(
    monkeypatch: pytest.MonkeyPatch, name: str, mode: str
) -> None:
    folder = Path("/home") / name / "10-00-00-aaaa1111"
    typed = ["seed=1", "experiment.question='Why, then?'"]
    recorded = {"overrides": typed} if mode == "run" else {"overrides": [], sweep.OVERRIDES: typed}
    run = RecordedRun(folder, "aaaa1111", status="FAILED", provenance=recorded)
    monkeypatch.setattr(resume, "find_run", lambda *_: folder)
    monkeypatch.setattr(resume, "read_run", lambda _: run)
    given = resume.resumed(str(folder))
    assert (given[0] == "-m") == (mode == "sweep")
    overrides = OverridesParser.create().parse_overrides([word for word in given if word != "-m"])
    assert [override.input_line for override in overrides[:-1]] == typed
    assert (overrides[-1].get_key_element(), overrides[-1].value()) == (
        f"hydra.{mode}.dir",
        str(folder),
    )


@pytest.mark.usefixtures("in_a_project")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, "this run has finished; python run.py rerun aaaa1111"),
        ({"parent": "bbbb2222"}, "belongs to another; type resume=bbbb2222"),
        ({"status": "RUNNING"}, "this run is still at work"),
        ({"status": "RUNNING", "provenance": {sweep.OVERRIDES: []}}, "this sweep is still at work"),
        (
            {"status": "KILLED", "provenance": {sweep.OVERRIDES: ["tracking.uri=http://a:***@b"]}},
            "override tracking.uri=http://a:[*]{3}@b was masked",
        ),
        ({"status": "KILLED"}, "stopped before its overrides were recorded"),
        (
            {"status": "FAILED", "provenance": {"overrides": ["tracking.uri=***"]}},
            "override tracking.uri=[*]{3} was masked",
        ),
    ],
)
def test_run_that_cannot_be_resumed_says_why(
    monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], says: str
) -> None:
    run = RecordedRun(Path("x"), "aaaa1111", **({"status": "FINISHED"} | change))
    monkeypatch.setattr(resume, "find_run", lambda *_: Path("x"))
    monkeypatch.setattr(resume, "read_run", lambda _: run)
    with pytest.raises(UserError, match=says):
        resume.resumed("last")
