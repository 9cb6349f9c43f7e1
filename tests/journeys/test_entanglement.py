"""Entanglement, contained: the ensemble, ablation and the blast radius on real flights."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.corruption import moves
from support.journey import QUICK, Project, load_elsewhere

ENSEMBLE = "experiment=ensemble"


def told(project: Project, run: Any, name: str = "ensemble.json") -> Any:
    return json.loads(project.artifact(run, name).read_text(encoding="utf-8"))


WITHOUT_PLANES = """
import sys, mlflow
model = mlflow.pyfunc.load_model(sys.argv[1])
rows = model.input_example.head(2)
planes = [name for name in rows.columns if name.startswith("plane_")]
empty = model.predict(rows.assign(**dict.fromkeys(planes)))
gone = model.predict(rows.drop(columns=planes))
assert planes and (empty == gone).all()
print("answers", len(gone))
"""


def answers_without_planes(project: Project, run: Any, place: Path) -> str:
    """Asks the model that MLflow has, elsewhere, when a whole signal is missing."""
    (output,) = run.outputs.model_outputs
    model = project.mlflow.get_logged_model(output.model_id).artifact_location
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run([sys.executable, "-c", WITHOUT_PLANES, model], cwd=place,
                          env=environment, capture_output=True, text=True, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_ensemble_loads_elsewhere_and_refits_one_member(project, tmp_path: Path) -> None:
    done = project.run(ENSEMBLE, *QUICK)
    assert "quality_gap" in done.stdout
    first = project.runs()[-1]
    members = told(project, first)["members"]
    assert list(members) == ["flights", "weather", "planes"]
    assert all(member["max_influence"] <= 2.0 for member in members.values())
    assert "predicts 6" in load_elsewhere(project, first, tmp_path)
    assert "answers 2" in answers_without_planes(project, first, tmp_path)
    project.change(
        "src/flight_delays/features.py",
        '"temperature": pl.col("weather.temp")',
        '"temperature": (pl.col("weather.temp") - 32) / 1.8',
    )
    done = project.run(ENSEMBLE, *QUICK)
    assert done.stdout.count("nothing that it depends on has changed") == 2
    members = told(project, project.runs()[-1])["members"]
    reused = {group: member["reused"] for group, member in members.items()}
    assert reused == {"flights": True, "weather": False, "planes": True}


def test_feature_of_two_signals_stops_an_ensemble(project) -> None:
    done = project.run("experiment=weather", "model=ensemble", code=2)
    for words in ("'plane_age'", "'flights' and 'planes'", "flights_planes: [flights, planes]"):
        assert words in done.stderr
    assert project.folders() == []
    groups = "model.groups={aircraft: [flights, planes], sky: [weather]}"
    project.run("experiment=weather", "model=ensemble", groups, *QUICK)
    assert list(told(project, project.runs()[-1])["members"]) == ["aircraft", "sky"]


def test_ensemble_that_costs_too_much_has_no_model(project) -> None:
    rows = ("debug.rows=null", "model.member.max_iter=2", "model.blast_radius=0.01")
    few = ("dataset.features=[carrier,visibility]", "dataset.slices=[]")
    done = project.run(ENSEMBLE, *QUICK[1:], *rows, *few, "model.max_quality_gap=0", code=3)
    assert "model.max_quality_gap: the ensemble is 0.0" in done.stderr
    (run,) = project.runs()
    assert run.info.status == "FAILED"
    assert run.data.metrics["validation/quality_gap"] > 0
    assert not (project.folders()[-1] / "model").exists()
    card = project.artifact(run, "card.html").read_text(encoding="utf-8")
    assert "FAILED" in card
    assert "model.max_quality_gap: the ensemble is 0.0" in card


def test_ablation_and_blast_radius_leave_picture_and_runs(project) -> None:
    done = project.run(ENSEMBLE, "task=ablate", *QUICK)
    assert "at most 6 more fits" in done.stdout
    parent = project.runs("ensemble")[0]
    inner = [each for each in project.runs("ensemble") if each.info.run_id != parent.info.run_id]
    assert len(inner) == parent.data.metrics["fits"]
    assert {each.data.tags["mlflow.parentRunId"] for each in inner} == {parent.info.run_id}
    assert "figures/ablation.png" in project.artifacts(parent)
    kinds = {found["kind"] for found in told(project, parent, "findings.json")}
    assert "unused_fields" in kinds
    done = project.run(ENSEMBLE, "task=blast_radius", *QUICK)
    run = project.runs("ensemble")[-1]
    assert run.data.metrics["ensemble/score"] <= 2.0 + 1e-9
    assert "figures/blast_radius.png" in project.artifacts(run)


@pytest.mark.long
def test_no_corruption_of_all_flights_exceeds_the_budget(project) -> None:
    project.run(ENSEMBLE)
    run = project.runs()[-1]
    members = told(project, run)["members"]
    assert all(member["weight"] > 0 for member in members.values())
    assert run.data.metrics["validation/quality_gap"] <= float(
        run.data.params["model.max_quality_gap"]
    )
    assert run.data.metrics["test/quality_gap"] <= float(run.data.params["model.max_quality_gap"])
    groups = {group: member["features"] for group, member in members.items()}
    from ml_experiment_runner.record.find_run import load_run

    ensemble = load_run(project.folders()[-1]).model()
    import polars as pl

    cached = next((project.root / "data" / "cache").glob("*.parquet"))
    test = pl.read_parquet(cached).filter(pl.col("split") == "test")
    rows = test.select(name for names in groups.values() for name in names).sample(200, seed=0)
    moved = moves(ensemble, rows, groups, 1000, 0)
    assert max(moved) <= 2.0 + 1e-9
