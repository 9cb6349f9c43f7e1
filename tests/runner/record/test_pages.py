"""Every page that is written, laid out in a browser: can it be read, on any screen?"""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ml_experiment_runner.cli.compare import compare
from ml_experiment_runner.config.metrics import METRICS as LABELLED
from ml_experiment_runner.record.card.page import write_card
from ml_experiment_runner.sweeps.card_section import CARD_SECTIONS
from support.browser import stumbles
from support.compared import a_run
from support.folders import METRICS, write_run
from support.hold_report import CELSIUS, SAID, Report, month, reporter

WIDE = {"short": ("seed", "hour"), "long": ("model.l2_regularization", "departure_minute_of_day")}
CLASS = "sklearn.ensemble.HistGradientBoostingClassifier"


def intervals(split: str, value: float) -> dict[str, float]:
    """Every metric that is known, with an interval, on one split."""
    ends = {"": value, "/low": value - 0.0123, "/high": value + 0.0123, "/baseline": value / 2}
    return {f"{split}/{name}{end}": number for name in LABELLED for end, number in ends.items()}


def draw_figures(folder: Path, count: int) -> None:
    from matplotlib.figure import Figure

    (folder / "artifacts" / "figures").mkdir()
    for number in range(count):
        figure = Figure(figsize=(4.8, 3.6))
        figure.savefig(folder / "artifacts" / "figures" / f"figure_{number}.png", dpi=20)


def cards(folder: Path) -> list[Path]:
    """Cards with all that one may hold, in short and in long words, and with 1 to 8 figures."""
    found = []
    for kind, (key, feature) in WIDE.items():
        features = [f"{feature}_{number}" for number in range(14)]
        every = METRICS | intervals("validation", 0.5) | intervals("test", -12345.6)
        every |= {f"cv/roc_auc{end}": 0.5 for end in ("", "/sd", "/count")}
        run = write_run(
            folder / kind,
            metrics=every,
            params={"dataset.features": str(features), "experiment.question": feature * 4},
            changes=[[key, CLASS, str(features)], [f"model.member.{key}", None, CLASS]],
            git_commit="f00d" * 10, lock_sha256="beef" * 16, command=f"run.py {key}={features}",
            read={"md5": "0123456789abcdef" * 2 + ".dir", "signal": feature},
        )  # fmt: skip
        group = {"rows": 1120, "low": -0.1234, "high": 0.1234, "is_worse": True}
        loss = {"value": 0.0123, "low": -0.0111, "high": 0.0145}
        member = {"features": features, "weight": 0.9, "reach": 1.25, "reused": True}
        verdict = {"name": feature, "alone": loss, "loss": loss, "round": 2, "told": "doubtful"}
        job = {"run": "bbbb2222", "status": "FINISHED", "value": 0.7123, "seconds": 3723.0}
        artifacts: dict[str, Any] = {
            "slices": {
                "metric": "roc_auc",
                "whole": 0.7,
                "slices": [group | {"name": f"{name}=x", "value": 0.5} for name in features],
            },
            "ensemble": {"fusion": "bounded", "members": {feature: member}},
            "ablation": {"metric": "ROC AUC", "tolerance": 0.002, "is_complete": True,
                         "verdicts": [verdict]},
            "sweep": {"objective": "validation/roc_auc", "best": "bbbb2222",
                      "jobs": [job | {key: CLASS.rpartition(".")[2], "seed": "1"}] * 3,
                      "over_seeds": [{key: "0.1", "mean": 0.7, "sd": 0.01, "seeds": 3}]},
        }  # fmt: skip
        for name, content in artifacts.items():
            (run / "artifacts" / f"{name}.json").write_text(json.dumps(content))
        found.append(write_card(run, CARD_SECTIONS).rename(folder / f"card_{kind}.html"))
    for count in range(1, 9):
        run = write_run(folder / str(count))
        draw_figures(run, count)
        found.append(write_card(run, CARD_SECTIONS).rename(folder / f"card_of_{count}.html"))
    return found


def comparison(folder: Path) -> Path:
    a_run(folder, "aaaa1111", 1.0, **{"model._target_": CLASS, "dataset.features": "['a']"})
    a_run(folder, "bbbb2222", 1.01, **{"model._target_": CLASS, "model.l2_regularization": "0.1"})
    more = {"model._target_": CLASS.replace("Classifier", "Regressor")}
    a_run(folder, "cccc3333", 3.0, experiment="a_long_name_of_an_experiment", **more)
    a_run(folder, "dddd4444", 3.0, **{"debug.rows": "2000"})
    a_run(folder, "eeee5555", 3.0, data="others", **{"dataset.label": "later"})
    page = folder / "comparison.html"
    assert compare(["aaaa", "bbbb", "cccc", "dddd", "eeee", "--output", str(page)]) == 0
    return page


def reports(report: Report, folder: Path) -> list[Path]:
    told = [
        ("distribution", "temp", f"temp is 40 lower than its past explains, {'as seen ' * 20}"),
        ("values", "station", "station has new values"),
        ("nulls", "dew", "dew has no value"),
    ]
    names = pl.Series([f"a station with a long name {number}" for number in range(700)])
    delivery = CELSIUS.with_columns(names.alias("station"), pl.lit(None, pl.Float64).alias("dew"))
    shuffled = month(9).with_columns(pl.col("dew").shuffle(seed=1), pl.col("okta") * 2)
    other = [
        ("relation", "dew", "dew goes no more with temp"),
        ("association", "station", "they tell nothing of each other"),
        ("level of a group", "temp", "it is lower at one station"),
        ("time of day", "hour", "more rows are at noon"),
    ]
    found = []
    deliveries = [(delivery, *told), (shuffled, SAID, *other), (None, SAID)]
    for number, came in enumerate(deliveries):
        report(*came)
        written = folder / "data/held/air-3f9a1c/report.html"
        found.append(written.rename(folder / f"report_{number}.html"))
    return found


def test_pages_can_be_read_on_every_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(tmp_path))
    pages = [
        *cards(tmp_path), comparison(tmp_path / "outputs"), *reports(reporter(tmp_path), tmp_path)
    ]  # fmt: skip
    light = stumbles(pages, tmp_path)
    dark = [f"dark {fault}" for fault in stumbles(pages, tmp_path, dark=True)]
    assert not light + dark, "\n".join(light + dark)
