"""What a sweep shows on its run card."""

from pathlib import Path

import pytest

from support.cards import card, write_artifact
from support.folders import write_run

DEPTHS = {"aaaa1111": 0.6, "bbbb2222": 0.7, "cccc3333": None}


def job(run: str, value: float | None) -> dict[str, object]:
    status = "FAILED" if value is None else "FINISHED"
    return {"run": run, "status": status, "depth": run[-1], "seed": "1", "value": value,
            "seconds": 63.0}  # fmt: skip


@pytest.mark.parametrize(("objective", "best", "order"), [
    ("validation/roc_auc", "bbbb2222", ["bbbb2222", "aaaa1111", "cccc3333"]),
    ("validation/mae", "aaaa1111", ["aaaa1111", "bbbb2222", "cccc3333"]),
])  # fmt: skip
def test_card_shows_jobs_the_best_first(
    tmp_path: Path, objective: str, best: str, order: list[str]
) -> None:
    folder = write_run(tmp_path, "a/2026-11-01/10-00-00-ffff9999", metrics={"jobs/failed": 1})
    jobs = [job(run, value) for run, value in DEPTHS.items()]
    over_seeds = [{"depth": "2", "mean": 0.7, "sd": 0.01, "seeds": 3}]
    sweep = {"objective": objective, "best": best, "jobs": jobs, "over_seeds": over_seeds}
    write_artifact(folder, "sweep.json", sweep)
    text = card(folder).text
    assert "jobs/failed1" in text
    places = [text.index(run) for run in order]
    assert places == sorted(places)
    assert f"{best}best{DEPTHS[best]:.4f}{best[-1]}163.0 s" in text
    assert "cccc3333FAILED\N{EN DASH}" in text
    assert "20.7000 ± 0.01003" in text
