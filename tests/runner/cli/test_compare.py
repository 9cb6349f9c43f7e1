"""`compare`: what is ranked together, whether a difference is real, what differs."""

import re
from pathlib import Path

import numpy as np
import pytest

from ml_experiment_runner.cli.compare import compare
from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.training.evaluation.predictions import read_predictions
from support.compared import DRAW, LABEL, ROWS, TRUTH, a_run, predicted
from support.folders import write_run
from support.html_page import Page


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "weather.yaml").touch()
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(tmp_path))
    return tmp_path / "outputs"


def told(capsys: pytest.CaptureFixture[str], outputs: Path, *words: str) -> tuple[str, str]:
    """What is printed, and what the page says."""
    page = outputs / "page.html"
    assert compare([*words, "--output", str(page)]) == 0
    return capsys.readouterr().out, Page(page.read_text(encoding="utf-8")).text


def test_compare_ranks_runs_and_says_what_differs_for_real(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_run(outputs, "aaaa1111", 1.0)
    a_run(outputs, "bbbb2222", 1.01, seed="1")
    a_run(outputs, "cccc3333", 3.0, **{"model.C": "9"})
    output, page = told(capsys, outputs, "cccc3333", "aaaa1111", "bbbb2222")
    lines = [line.split() for line in output.splitlines()]
    order = [line[0] for line in lines if line and line[0][:4] in ("aaaa", "bbbb", "cccc")][:3]
    assert order == ["aaaa1111", "bbbb2222", "cccc3333"]
    by_run = {line.split()[0]: line for line in output.splitlines() if "3 min" in line}
    assert "best" in by_run["aaaa1111"]
    assert "no significant difference" in by_run["bbbb2222"]
    assert "  worse  " in by_run["cccc3333"]
    assert "seed - → 1" in output
    assert "model.C" in output
    for said in ("no significant difference", "worse", "ROC AUC", "aaaa1111"):
        assert said in page


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_compare_cuts_no_verdict_on_a_terminal(
    outputs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    experiment = "a_long_name_of_an_experiment"
    model = {"model._target_": "sklearn.ensemble.HistGradientBoostingClassifier"}
    a_run(outputs, "aaaa1111", 1.0, **model)
    a_run(outputs, "bbbb2222", 1.01, experiment=experiment, **model)
    a_run(outputs, "cccc3333", 1.5, **model, **{"debug.rows": "2000"})
    for name, value in {"FORCE_COLOR": "1", "TERM": "xterm", "COLUMNS": str(width)}.items():
        monkeypatch.setenv(name, value)
    output, _ = told(capsys, outputs, "aaaa", "bbbb", "cccc")
    table = re.sub(r"\x1b\[[\d;]*m", "", output).partition("bbbb2222: ")[0]
    assert max(map(len, table.splitlines())) <= width
    for word in ("no significant difference", "debug run, not comparable", experiment):
        assert word in table


def test_compare_never_ranks_runs_on_other_rows_together(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_run(outputs, "aaaa1111", 1.0)
    a_run(outputs, "bbbb2222", 0.1, data="others", **{"dataset.label": "later"})
    output, page = told(capsys, outputs, "aaaa1111", "bbbb2222")
    assert output.count("evaluated on ") == 3
    assert "worse" not in output.replace("worse than the best", "")
    assert "dataset.label late → later" in output
    assert "Runs that were evaluated on different rows are not ranked together." in output
    assert "not ranked together" in page


def test_compare_takes_an_experiments_best_run_by_validation(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_run(outputs, "aaaa1111", 2.0)
    a_run(outputs, "bbbb2222", 1.0, day=2)
    a_run(outputs, "cccc3333", 0.1, day=3, **{"debug.rows": "2000"})
    a_run(outputs, "dddd4444", 3.0, experiment="weather")
    for words in ((), ("baseline", "weather")):
        output, _ = told(capsys, outputs, *words)
        assert "bbbb2222" in output
        assert "dddd4444" in output
        assert "aaaa1111" not in output
        assert "cccc3333" not in output


def test_compare_says_where_nothing_can_be_paired(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_run(outputs, "aaaa1111", 1.0)
    gone = a_run(outputs, "bbbb2222", 2.0)
    (gone / "artifacts" / "predictions.parquet").unlink()
    a_run(outputs, "cccc3333", 3.0, **{"debug.rows": "2000"})
    output, _ = told(capsys, outputs, "aaaa", "bbbb", "cccc")
    assert "no predictions to pair" in output
    assert "debug run, not comparable" in output


def test_compare_by_a_metric_of_which_less_is_better(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_run(outputs, "aaaa1111", 3.0)
    a_run(outputs, "bbbb2222", 1.0)
    output, _ = told(capsys, outputs, "aaaa", "bbbb", "--metric", "log_loss")
    assert output.index("bbbb2222") < output.index("aaaa1111")
    with pytest.raises(UserError, match=r"--metric lgo_loss: run \w+ has none; it has .*log_loss"):
        compare(["aaaa", "--metric", "lgo_loss"])


@pytest.mark.parametrize(
    ("words", "says"),
    [((), "no finished run was evaluated"), (("zzzz",), "unknown run 'zzzz'"),
     (("weather",), "weather: the experiment has no run yet")],
)  # fmt: skip
def test_compare_without_runs_says_what_to_do(outputs: Path, words, says) -> None:
    (outputs / "weather").mkdir(parents=True)
    write_run(outputs, metrics={"rows": 3.0}) if words else None
    with pytest.raises(UserError, match=says):
        compare(list(words))


def test_predictions_come_back_as_they_went_in(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    predicted(tmp_path, LABEL, TRUTH)
    found = read_predictions(tmp_path)
    assert (found.task_type, found.classes) == (TaskType.BINARY, ())
    assert np.array_equal(found.label, LABEL)
    assert np.array_equal(found.prediction, TRUTH)
    names = np.array(["late", "early", "on time"])[np.arange(ROWS) % 3]
    chances = DRAW.random((ROWS, 3))
    predicted(tmp_path, names, chances)
    found = read_predictions(tmp_path)
    assert (found.task_type, found.classes) == (TaskType.MULTICLASS, ("early", "late", "on time"))
    assert np.array_equal(found.label, names)
    assert np.array_equal(found.prediction, chances)
    predicted(tmp_path, TRUTH, TRUTH / 2)
    assert read_predictions(tmp_path).task_type == TaskType.REGRESSION


def test_label_from_a_classified_field_is_not_kept(tmp_path: Path) -> None:
    (tmp_path / "artifacts").mkdir()
    predicted(tmp_path, LABEL, TRUTH, classified=frozenset({"y"}))
    assert read_predictions(tmp_path) is None
