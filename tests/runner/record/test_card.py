"""The run card, as somebody reads it who was not there."""

import json
import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from ml_experiment_runner.config.schema import Config
from ml_experiment_runner.record.card.page import write_card
from ml_experiment_runner.record.config_diff import changes
from support.folders import METRICS, write_run
from support.html_page import Page

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


def card(folder: Path) -> Page:
    return Page(write_card(folder).read_text(encoding="utf-8"))


def test_card_tells_question_owner_status_verdict_and_threshold(tmp_path: Path) -> None:
    page = card(write_run(tmp_path, git_commit="f00d", lock_sha256="beef", command="run.py a=b"))
    for said in (
        "Will it be late?", "asked by Ada", "FINISHED", "0.700", "Clearly better than the baseline",
        "between 0.650 and 0.750; the baseline, which says the same of every row, reaches 0.500",
         "20.0 % of the rows are positive",
        "right in 40.0 % of what it flags, 2.0 times the base rate", "Threshold 0.3100",
        "[0.6500, 0.7500]", "1,007", "0123.dir", "800 rows", "7 rows without a label",
        "hour, carrier", "f00d", "beef", "python run.py rerun aaaa1111",
        "python run.py a=b", "2.5 s",
    ):  # fmt: skip
        assert said in page.text, said


def test_card_verdict_depends_on_the_interval(tmp_path: Path) -> None:
    wide = METRICS | {"test/roc_auc/low": 0.45}
    worse = METRICS | {"test/roc_auc": 0.4, "test/roc_auc/low": 0.3, "test/roc_auc/high": 0.45}
    assert (
        "No significant difference from the baseline"
        in card(write_run(tmp_path / "1", metrics=wide)).text
    )
    assert "Worse than the baseline" in card(write_run(tmp_path / "2", metrics=worse)).text
    unknown = METRICS | {"test/roc_auc/low": float("nan")}
    assert "the baseline:" not in card(write_run(tmp_path / "3", metrics=unknown)).text
    ends = {"": 20.0, "/low": 18.0, "/high": 22.0, "/baseline": 30.0}
    lower = METRICS | {f"test/mae{end}": value for end, value in ends.items()}
    params = {"objective": "test/mae"}
    page = card(write_run(tmp_path / "4", metrics=lower, params=params))
    assert "Clearly better than the baseline" in page.text
    assert "reaches 30.000" in page.text


def test_card_tells_means_over_folds_and_seeds(tmp_path: Path) -> None:
    more = {
        "cv/roc_auc": 0.71, "cv/roc_auc/sd": 0.02, "cv/roc_auc/count": 5,
        "seeds/test/log_loss": 0.41, "seeds/test/log_loss/sd": 0.01, "seeds/test/log_loss/count": 3,
    }  # fmt: skip
    text = card(write_run(tmp_path, metrics=METRICS | more)).text
    assert "ROC AUC5 fits, cross-validated0.7100 ± 0.0200" in text
    assert "Log loss3 seeds, test split0.4100 ± 0.0100" in text


def test_card_names_the_weakest_slices(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    slices = [
        {"name": "carrier=HA", "rows": 1120, "value": 0.55, "low": 0.51, "high": 0.59,
         "is_worse": True},
        {"name": "carrier=AA", "rows": 2300, "value": 0.69, "low": 0.66, "high": 0.72,
         "is_worse": False},
    ]  # fmt: skip
    told = {"metric": "roc_auc", "whole": 0.7, "slices": slices}
    (folder / "artifacts" / "slices.json").write_text(json.dumps(told))
    text = card(folder).text
    assert "carrier=HA1,1200.5500[0.5100, 0.5900]worse" in text
    assert "carrier=AA2,3000.6900[0.6600, 0.7200]" in text
    assert text.count("]worse") == 1


@pytest.mark.parametrize(("count", "says"), [
    (12, "the weakest first"), (14, "the 12 weakest of 14 (all are in slices.json)"),
])  # fmt: skip
def test_card_counts_slices_as_it_lists_them(tmp_path: Path, count: int, says: str) -> None:
    folder = write_run(tmp_path)
    one = {"rows": 10, "value": 0.5, "low": 0.4, "high": 0.6, "is_worse": False}
    slices = [one | {"name": f"hour={number:02}"} for number in range(count)]
    told = {"metric": "roc_auc", "whole": 0.7, "slices": slices}
    (folder / "artifacts" / "slices.json").write_text(json.dumps(told))
    text = card(folder).text
    assert f"on groups of test rows, {says}; 0.7000 on all" in text
    assert text.count("hour=") == 12


def test_card_says_that_no_threshold_is_valid(tmp_path: Path) -> None:
    metrics = {name: value for name, value in METRICS.items() if name != "threshold"}
    folder = write_run(tmp_path, metrics=metrics, status=None)
    with (folder / "journal.jsonl").open("a") as file:
        file.write('{"kind":"tag","time":1,"name":"threshold","value":"none reaches recall 0.9"}\n')
    page = card(folder)
    assert "No valid threshold: none reaches recall 0.9" in page.text
    assert "At the learned threshold" not in page.text


def test_card_tells_where_a_carried_threshold_was_learned(
    tmp_path: Path,
) -> None:
    folder = write_run(tmp_path, status=None)
    with (folder / "journal.jsonl").open("a") as file:
        file.write('{"kind":"tag","time":1,"name":"threshold","value":"none reaches it"}\n')
    before = {"policy": "recall", "target": 0.7, "confidence": 0.9}
    kept = {"value": 0.31, "run": "bbbb2222", "learned": "2026-10-01", "labels": 5000,
            "positives": 90, "policy": before}  # fmt: skip
    told = {"value": 0.31, "labels": 4000, "positives": 80, "carried_over": kept, "earlier": [],
            "policy": {"policy": "precision", "target": 0.95, "confidence": 0.9}}  # fmt: skip
    (folder / "artifacts" / "threshold.json").write_text(json.dumps(told))
    page = card(folder)
    assert "No valid threshold for a precision of 0.95 or more" in page.text
    assert "bbbb2222 learned it on 2026-10-01 from 5,000 labels, for a recall of 0.7" in page.text


def test_card_takes_all_text_as_text(tmp_path: Path) -> None:
    evil = "<script>alert('1')</script> & \"quotes\" $body ${title}"
    page = card(
        write_run(
            tmp_path,
            params={"experiment.question": evil, "experiment.owner": evil},
            git_commit=evil,
            command=evil,
            changes=[[evil, evil, evil]],
        )
    )
    assert "script" not in {name for name, _ in page.tags}
    assert page.text.count(evil) >= 6


def test_card_needs_nothing_from_anywhere(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    figures = folder / "artifacts" / "figures"
    figures.mkdir()
    for name in ("own_figure", "calibration", "roc"):
        (figures / f"{name}.png").write_bytes(PIXEL)
    text = write_card(folder).read_text(encoding="utf-8")
    assert not re.search(r"https?:|url\(|@import|<script|<link|javascript:", text)
    images = [found for name, found in Page(text).tags if name == "img"]
    assert [image["alt"] for image in images] == ["roc", "calibration", "own figure"]
    assert all(str(image["src"]).startswith("data:image/png;base64,") for image in images)


def test_card_of_a_task_that_judges_nothing(tmp_path: Path) -> None:
    page = card(write_run(tmp_path, metrics={"rows/flights": 1007, "seconds/receive": 1.5}))
    assert "rows/flights1,007" in page.text
    assert "ROC AUC" not in page.text


def test_card_is_the_same_when_it_is_built_again(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    first = write_card(folder).read_bytes()
    assert write_card(folder).read_bytes() == first


def test_card_shows_what_differs_from_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(tmp_path))
    conf = tmp_path / "conf"
    for name, text in {
        "config.yaml": "defaults: [_self_, {model: tree}, {dataset: null}]\nseed: 0\nnow: null\n"
        "experiment: {owner: ''}\noutputs: ${root:}/outputs\n",
        "model/base.yaml": "depth: 3\n",
        "model/tree.yaml": "defaults: [base, _self_]\n_target_: Tree\nwidth: 2\nnames: [a, 1]\n",
    }.items():
        (conf / name).parent.mkdir(parents=True, exist_ok=True)
        (conf / name).write_text(text)
    config = OmegaConf.merge(
        OmegaConf.structured(Config),
        {
            "seed": 1,
            "now": None,
            "experiment": {"owner": "Ada"},
            "outputs": "${root:}/outputs",
            "model": {"_target_": "Tree", "depth": 3, "names": ["a", 1], "leaves": True},
        },
    )
    found = changes(config)
    assert found == [["model.leaves", None, "true"], ["seed", "0", "1"], ["model.width", "2", None]]
    assert (
        "model.leaves\N{EN DASH}true" in card(write_run(tmp_path / "outputs", changes=found)).text
    )


def test_card_tells_what_each_member_of_an_ensemble_is_worth(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    member = {"features": ["hour", "carrier"], "weight": 0.9, "reach": 1.25, "reused": True}
    ensemble = {"fusion": "bounded", "members": {"flights": member}}
    loss = {"value": 0.0123, "low": 0.011, "high": 0.0145}
    verdict = {"name": "planes", "alone": loss, "loss": loss, "round": 2}
    ablation = {
        "metric": "ROC AUC",
        "tolerance": 0.002,
        "is_complete": False,
        "verdicts": [verdict | {"told": "redundant with flights"}],
    }
    for name, told in (("ensemble", ensemble), ("ablation", ablation)):
        (folder / "artifacts" / f"{name}.json").write_text(json.dumps(told))
    text = card(folder).text
    for said in (
        *("flightshour, carrier0.90001.25", "reused: its inputs are unchanged"),
        *("planes0.0123[0.0110, 0.0145]", "redundant with flights", "There was no time"),
    ):
        assert said in text, said
