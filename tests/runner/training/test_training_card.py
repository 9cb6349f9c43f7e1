"""What training shows on the run card."""

from pathlib import Path

import pytest

from support.cards import append_tag, card, write_artifact
from support.folders import METRICS, write_run

SLICE = {"rows": 10, "value": 0.5, "low": 0.4, "high": 0.6, "is_worse": False}


def test_card_shows_headline_metrics_and_threshold(tmp_path: Path) -> None:
    text = card(write_run(tmp_path)).text
    for sentence in (
        "0.700ROC AUC, test split",
        "Clearly better than the baseline: with 95 % confidence ROC AUC lies between 0.650",
        "0.750; the constant baseline reaches 0.500.",
        "20.0 % of the rows are positive",
        "right in 40.0 % of what it flags, 2.0 times the base rate",
        "0.7000[0.6500, 0.7500]",
        "Threshold 0.3100: learned on the validation split for the best F-score (beta 1)",
    ):
        assert sentence in text, sentence


@pytest.mark.parametrize(("low", "high", "conclusion"), [
    (0.45, 0.75, "No significant difference from the baseline"),
    (0.3, 0.45, "Worse than the baseline"),
    (0.55, 0.75, "Clearly better than the baseline"),
])  # fmt: skip
def test_headline_compares_the_interval_with_the_baseline(
    tmp_path: Path, low: float, high: float, conclusion: str
) -> None:
    metrics = METRICS | {
        "test/roc_auc": (low + high) / 2,
        "test/roc_auc/low": low,
        "test/roc_auc/high": high,
    }
    assert conclusion in card(write_run(tmp_path, metrics=metrics)).text


def test_headline_without_interval_draws_no_conclusion(tmp_path: Path) -> None:
    metrics = METRICS | {"test/roc_auc/low": float("nan")}
    text = card(write_run(tmp_path, metrics=metrics)).text
    assert "0.700ROC AUC, test split" in text
    assert "the constant baseline" not in text


def test_headline_of_an_error_is_better_where_it_is_lower(tmp_path: Path) -> None:
    ends = {"": 20.0, "/low": 18.0, "/high": 22.0, "/baseline": 30.0}
    metrics = METRICS | {f"test/mae{end}": value for end, value in ends.items()}
    text = card(write_run(tmp_path, metrics=metrics, params={"objective": "test/mae"})).text
    assert "Clearly better than the baseline" in text
    assert "reaches 30.000" in text


def test_headline_tells_a_negative_baseline(tmp_path: Path) -> None:
    ends = {"": 0.1, "/low": -0.05, "/high": 0.2, "/baseline": -0.016}
    metrics = {f"test/r2{end}": value for end, value in ends.items()}
    text = card(write_run(tmp_path, metrics=metrics, params={"objective": "test/r2"})).text
    assert "No significant difference from the baseline" in text
    assert "reaches -0.016" in text


def test_card_tells_means_over_folds_and_seeds(tmp_path: Path) -> None:
    more = {
        "cv/roc_auc": 0.71, "cv/roc_auc/sd": 0.02, "cv/roc_auc/count": 5,
        "seeds/test/log_loss": 0.41, "seeds/test/log_loss/sd": 0.01, "seeds/test/log_loss/count": 3,
    }  # fmt: skip
    text = card(write_run(tmp_path, metrics=METRICS | more)).text
    assert "ROC AUC5 fits, cross-validated0.7100 ± 0.0200" in text
    assert "Log loss3 seeds, test split0.4100 ± 0.0100" in text
    assert "cv/roc" not in text


def test_card_names_the_weakest_slices(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    slices = [
        {"name": "carrier=HA", "rows": 1120, "value": 0.55, "low": 0.51, "high": 0.59,
         "is_worse": True},
        {"name": "carrier=AA", "rows": 2300, "value": 0.69, "low": 0.66, "high": 0.72,
         "is_worse": False},
    ]  # fmt: skip
    write_artifact(folder, "slices.json", {"metric": "roc_auc", "whole": 0.7, "slices": slices})
    text = card(folder).text
    assert "carrier=HA1,1200.5500[0.5100, 0.5900]worse" in text
    assert "carrier=AA2,3000.6900[0.6600, 0.7200]" in text
    assert text.count("]worse") == 1


@pytest.mark.parametrize(("count", "sentence"), [
    (12, "the weakest first"), (14, "the 12 weakest of 14 (all are in slices.json)"),
])  # fmt: skip
def test_card_counts_slices_as_it_lists_them(tmp_path: Path, count: int, sentence: str) -> None:
    folder = write_run(tmp_path)
    slices = [SLICE | {"name": f"hour={number:02}"} for number in range(count)]
    write_artifact(folder, "slices.json", {"metric": "roc_auc", "whole": 0.7, "slices": slices})
    text = card(folder).text
    assert f"on groups of test rows, {sentence}; 0.7000 on all" in text
    assert text.count("hour=") == 12


def test_card_says_that_no_threshold_is_valid(tmp_path: Path) -> None:
    metrics = {name: value for name, value in METRICS.items() if name != "threshold"}
    folder = write_run(tmp_path, metrics=metrics, status=None)
    append_tag(folder, "threshold", "none reaches recall 0.9")
    text = card(folder).text
    assert "No valid threshold: none reaches recall 0.9" in text
    assert "No valid threshold for the best F-score (beta 1): none reaches recall 0.9." in text
    assert "At the learned threshold" not in text


def test_card_tells_where_a_carried_threshold_was_learned(tmp_path: Path) -> None:
    folder = write_run(tmp_path, status=None)
    append_tag(folder, "threshold", "none reaches it")
    before = {"policy": "recall", "target": 0.7, "confidence": 0.9}
    carried = {"value": 0.31, "run": "bbbb2222", "learned": "2026-10-01", "labels": 5000,
               "positives": 90, "policy": before}  # fmt: skip
    policy = {"policy": "precision", "target": 0.95, "confidence": 0.9}
    threshold = {"value": 0.31, "labels": 4000, "positives": 80, "carried_over": carried,
                 "earlier": [], "policy": policy}  # fmt: skip
    write_artifact(folder, "threshold.json", threshold)
    text = card(folder).text
    assert "No valid threshold for a precision of 0.95 or more" in text
    assert "on 4,000 labels of which 80 are positive: none reaches it" in text
    assert "bbbb2222 learned it on 2026-10-01 from 5,000 labels, for a recall of 0.7" in text


def test_card_tells_costs_where_no_threshold_was_recorded(tmp_path: Path) -> None:
    params = {"threshold.policy": "cost", "threshold.costs.false_positive": "1",
              "threshold.costs.false_negative": "20"}  # fmt: skip
    text = card(write_run(tmp_path, params=params)).text
    assert "for the least cost (false positive 1, false negative 20)" in text
    text = card(write_run(tmp_path / "none", params={"threshold.costs": "{}"})).text
    assert "for the best F-score (beta 1)" in text


def test_card_shows_the_members_of_an_ensemble(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    member = {"features": ["hour", "carrier"], "weight": 0.9, "reach": 1.25, "reused": True}
    ensemble = {"fusion": "bounded", "members": {"flights": member}}
    write_artifact(folder, "ensemble.json", ensemble)
    text = card(folder).text
    assert "flightshour, carrier0.90001.2500reused: its inputs are unchanged" in text
    assert "moves the logit" in text


def test_card_shows_what_an_ablation_found(tmp_path: Path) -> None:
    folder = write_run(tmp_path)
    loss = {"value": 0.0123, "low": 0.011, "high": 0.0145}
    verdict = {"name": "planes", "alone": loss, "loss": loss, "round": 2,
               "told": "redundant with flights"}  # fmt: skip
    ablation = {"metric": "ROC AUC", "tolerance": 0.002, "is_complete": False,
                "verdicts": [verdict]}  # fmt: skip
    write_artifact(folder, "ablation.json", ablation)
    text = card(folder).text
    assert "planes0.0123[0.0110, 0.0145]0.0123[0.0110, 0.0145]2redundant with flights" in text
    assert "The time limit ended the last round early." in text
