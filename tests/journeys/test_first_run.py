"""From a fresh project to a complete record of the first run."""

import html
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.browser import CHROMIUM
from support.journey import QUICK, Project, copy, judged, load_elsewhere

FIGURES = ("roc", "precision_recall", "calibration", "threshold", "confusion", "importance")


@pytest.fixture(scope="module")
def first(generated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, ...]]:
    """A project after its very first run, and what the terminal said."""
    project = Project(copy(generated, tmp_path_factory.mktemp("first")))
    done = project.run("experiment=baseline", "seed=3")
    return project, done


@pytest.fixture(scope="module")
def only_run(first: tuple[Any, ...]) -> Any:
    (run,) = first[0].runs()
    return run


def test_first_run_says_that_it_receives_the_signals(first) -> None:
    _, done = first
    assert "receiving flights (never received)" in done.stdout
    assert "received flights: 336,776 rows" in done.stdout
    assert "git add data/signals/flights.dvc" in done.stdout


def test_first_run_tells_question_metrics_threshold_and_folder(first) -> None:
    project, done = first
    assert "How far does the timetable alone get" in done.stdout
    assert re.search(r"roc_auc +0\.\d{4}  \[0\.\d{4}, 0\.\d{4}\]", done.stdout)
    assert re.search(r"^threshold +0\.\d{4}$", done.stdout, re.MULTILINE)
    (folder,) = project.folders()
    assert done.stdout.rstrip().endswith(folder.relative_to(project.root).as_posix())
    assert not done.stderr


def test_run_has_every_value_of_its_config_as_param(first, only_run) -> None:
    from omegaconf import OmegaConf

    project, _ = first
    config = OmegaConf.load(project.artifact(only_run, "config.yaml"))
    flat = {"seed", "dataset.split.test", "model.C", "threshold.policy", "experiment.question"}
    assert flat <= set(only_run.data.params)
    assert only_run.data.params["seed"] == "3"
    for name, value in only_run.data.params.items():
        if not name.startswith("rows."):
            assert str(OmegaConf.select(config, name)) == value
    top = {name.partition(".")[0] for name in only_run.data.params}
    assert {str(key) for key in config} <= top


def test_run_has_intervals_and_the_learned_threshold(only_run) -> None:
    metrics = only_run.data.metrics
    for part in ("validation", "test"):
        for name in ("roc_auc", "average_precision", "log_loss", "brier", "precision", "recall"):
            low, value, high = (metrics[f"{part}/{name}{end}"] for end in ("/low", "", "/high"))
            assert low < value < high
    assert 0 < metrics["threshold"] < 1
    assert 0.6 < metrics["test/roc_auc"] < 0.7
    assert metrics["test/rows"] == int(only_run.data.params["rows.test"]) > 20_000


def test_run_has_stage_seconds_and_system_metrics(only_run) -> None:
    for stage in ("receive", "data", "fit", "evaluate", "plots"):
        assert only_run.data.metrics[f"seconds/{stage}"] > 0
    assert only_run.data.metrics["system/memory_percent"] > 0
    assert "system/cpu_percent" in only_run.data.metrics


def test_run_has_figures_card_log_and_lock(first, only_run) -> None:
    project, _ = first
    names = project.artifacts(only_run)
    assert {f"figures/{figure}.png" for figure in FIGURES} <= names
    expected = {"card.html", "console.log", "config.yaml", "overrides.yaml", "requirements.lock"}
    assert expected <= names
    assert project.artifact(only_run, "figures/roc.png").read_bytes().startswith(b"\x89PNG")
    log = project.artifact(only_run, "console.log").read_text(encoding="utf-8")
    assert "received flights" in log
    assert "roc_auc" in log


def test_run_knows_where_it_comes_from(first, only_run) -> None:
    project, _ = first
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=project.root, capture_output=True, text=True, check=True
    ).stdout.strip()
    tags = only_run.data.tags
    assert tags["mlflow.source.git.commit"] == tags["provenance.git_commit"] == head
    assert tags["provenance.command"] == "run.py +experiment=baseline seed=3"
    assert tags["provenance.python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"provenance.platform", "provenance.lock_sha256"} <= set(tags)
    assert re.fullmatch(r"[0-9a-f]{16}", tags["provenance.dataset.fingerprint"])


def test_run_names_its_data_by_the_md5_of_dvc(first, only_run) -> None:
    import yaml

    project, _ = first
    record = yaml.safe_load((project.root / "data/signals/flights.dvc").read_text())
    datasets = {each.dataset.name: each.dataset.digest for each in only_run.inputs.dataset_inputs}
    assert datasets == {"flights": record["outs"][0]["md5"]}
    assert record["meta"]["rows"] == 336_776


def test_run_says_how_many_rows_it_left_out(only_run) -> None:
    assert only_run.data.params["rows.without_label"] == "9430"


def test_card_shows_the_run(first, only_run) -> None:
    project, _ = first
    card = project.artifact(only_run, "card.html").read_text(encoding="utf-8")
    text = html.unescape(re.sub(r"<[^>]+>", " ", card))
    assert "How far does the timetable alone get, with a linear model?" in text
    assert f"{only_run.data.metrics['test/roc_auc']:.3f}" in text
    assert only_run.data.tags["record.id"] in text
    assert card.count("data:image/png;base64,") >= len(FIGURES)
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", card), "needs the network"


def test_card_opens_in_a_browser(first, only_run, tmp_path: Path) -> None:
    if CHROMIUM is None:
        pytest.skip("no Chromium here")
    project, _ = first
    card = project.artifact(only_run, "card.html")
    picture = tmp_path / "card.png"
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
            *("--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}"),
            *(f"--screenshot={picture}", "--window-size=1200,1600", card.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert picture.exists(), done.stderr
    assert "CONSOLE" not in done.stderr
    from matplotlib.image import imread

    pixels = imread(picture)
    assert pixels.shape[:2] == (1600, 1200)
    assert pixels[..., :3].std() > 0.05, "the page is blank"


def test_saved_model_predicts_the_same_without_the_project(first, only_run, tmp_path) -> None:
    project, _ = first
    output = load_elsewhere(project, only_run, tmp_path)
    assert "columns ['departure_hour', " in output
    assert "scikit-learn==" in output
    assert "predicts 5" in output


def test_second_run_is_all_from_the_cache_and_equal(first, only_run) -> None:
    project, _ = first
    done = project.run("+experiment=baseline", "seed=3")
    assert "receiv" not in done.stdout
    second = project.runs()[-1]
    assert judged(second) == judged(only_run)
    fingerprint = "provenance.dataset.fingerprint"
    assert second.data.tags[fingerprint] == only_run.data.tags[fingerprint]
    assert len(list((project.root / "data/cache").glob("*.parquet"))) == 1


def test_other_features_or_rows_have_another_fingerprint(project) -> None:
    project.run("experiment=boosted_trees", *QUICK, "dataset.features=[carrier,distance]")
    project.run("experiment=boosted_trees", *QUICK, "dataset.features=[carrier]")
    project.run(
        "experiment=boosted_trees", *QUICK, "dataset.features=[carrier]", "now='2013-11-20'"
    )
    tags = [run.data.tags["provenance.dataset.fingerprint"] for run in project.runs()]
    assert len(set(tags)) == 3


def test_model_of_an_own_class_loads_without_the_project(project, tmp_path) -> None:
    project.write(
        "src/flight_delays/estimators.py",
        "import numpy as np\n"
        "from sklearn.base import BaseEstimator, ClassifierMixin\n\n\n"
        "class Cautious(ClassifierMixin, BaseEstimator):\n"
        "    def __init__(self, pull=0.5):\n"
        "        self.pull = pull\n\n"
        "    def fit(self, X, y):\n"
        "        self.classes_ = np.unique(y)\n"
        "        self.rate_ = float(np.mean(y))\n"
        "        return self\n\n"
        "    def predict_proba(self, X):\n"
        "        late = np.clip(self.rate_ + self.pull * np.asarray(X)[:, -1] / 100, 0, 1)\n"
        "        return np.column_stack([1 - late, late])\n\n"
        "    def predict(self, X):\n"
        "        return (self.predict_proba(X)[:, 1] > 0.5).astype(int)\n",
    )
    project.write(
        "conf/model/cautious.yaml",
        "# the team's own\n_target_: flight_delays.estimators.Cautious\npull: 0.25\n",
    )
    project.run("model=cautious", "dataset.features=[origin,distance]", *QUICK)
    (run,) = project.runs()
    assert run.data.params["model.pull"] == "0.25"
    shutil.move(project.root / "src", project.root / "gone")
    try:
        assert "predicts 5" in load_elsewhere(project, run, tmp_path)
    finally:
        shutil.move(project.root / "gone", project.root / "src")


def test_moved_project_in_another_zone_gives_same_figures(project) -> None:
    project.run("experiment=baseline", *QUICK)
    moved = Project(project.root.rename(project.root.with_name("moved away")))
    moved.run("experiment=baseline", *QUICK, environment={"TZ": "Asia/Tokyo"})
    assert judged(moved.runs()[-1]) == judged(moved.runs()[0])


def test_profile_of_a_run_is_a_page_that_its_card_names(project: Project) -> None:
    project.run("experiment=baseline", "debug=profile", "debug.rows=2000")
    (run,) = project.runs()
    assert "profile.html" in project.artifacts(run)
    assert "profile.html" in project.artifact(run, "card.html").read_text(encoding="utf-8")
