"""The benchmark runs, everybody gets the same results, and no line is missing from its table."""

import fnmatch
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.baking import ROOT

MEASURES = (
    "`run.py +experiment=baseline`, everything recorded | * | bare script | * | ≤ 1.15 |",
    "the same | * | the same script with Hydra and inline MLflow | * | ≤ 0.8 |",
    "`run.py --help` | * | minimal Hydra app | * | ≤ 1.5 |",
    "`run.py --cfg job` | * | minimal Hydra app | * | ≤ 1.5 |",
    "a typo, `run.py sed=1` | * | minimal Hydra app | * | ≤ 1.5 |",
    "10,000 metric points: time taken from the loop | * | `mlflow.log_metric` | * | ≤ 0.01 |",
    "10,000 metric points: until all are in the store | * | `mlflow.log_metric` | * | ≤ 0.1 |",
    "a sweep of 16 on iris, per job, everything recorded | * | one bare script per * | ≤ 0.4 |",
    "a sweep of 8 on flights in two processes, per job, everything recorded | * | ≤ 1.3 |",
    "a sweep of 16 on iris in two processes, per job, * | a process with Hydra and * | ≤ 0.4 |",
    "second run: from start to first fit | * | bare script | * | ≤ 1.5 |",
    "one run on iris, everything recorded | * | bare script | * |  |",
    "a signal's checks, a million rows of 20 fields | * | the same in polars by hand | * | ≤ 3 |",
)


@pytest.mark.long
def test_page_holds_every_measure_with_its_bar_and_all_scripts(tmp_path):
    target = tmp_path / "benchmarks.md"
    command = [sys.executable, "benchmarks/bench.py", "--quick", "--output", str(target)]
    result = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8"
    )
    assert result.returncode == 0, result.stdout + result.stderr
    page = target.read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    for measure in MEASURES:
        assert len(fnmatch.filter(lines, f"| {measure} *")) == 1, measure
    for script in (ROOT / "benchmarks" / "scripts").rglob("*.py"):
        if script.parent.name != "__pycache__":
            assert script.read_text(encoding="utf-8").strip() in page
    assert str(ROOT) not in page
    assert "/tmp/" not in page


@pytest.mark.parametrize(
    "name", ["bare_flights", "bare_iris", "hydra_mlflow_flights", "evaluation", "checks_by_hand"]
)
def test_compared_script_imports_nothing_of_the_runner(name):
    text = (ROOT / "benchmarks" / "scripts" / f"{name}.py").read_text(encoding="utf-8")
    assert "runner" not in text


def test_join_page_compares_and_names_what_does_not_install(tmp_path):
    target = tmp_path / "join.md"
    command = [sys.executable, "benchmarks/bench.py", "join", "--quick", "--output", str(target)]
    result = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8",
        env={**os.environ, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    page = target.read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    for size in ("20,000", "100,000"):
        (line,) = fnmatch.filter(lines, f"| {size} | * | polars by hand | * | ≤ 1.3 | *")
        assert line.endswith("| 100.0%, 100.0% |")
    for against in ("Feast, DuckDB store", "Feast, default file store"):
        assert fnmatch.filter(lines, f"| 20,000 | * | {against} | *") or (
            "skipped: Feast, which does not install here" in result.stdout
        )
    for script in (ROOT / "benchmarks" / "join").glob("*.py"):
        assert script.read_text(encoding="utf-8").strip() in page
    assert str(ROOT) not in page
    assert "/tmp/" not in page


def test_detection_page_shows_ours_beside_others(tmp_path):
    target = tmp_path / "detection.md"
    detection_pages("signals", target)
    page = target.read_text(encoding="utf-8")
    assert "(detection-tables.md)" in page
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    ks = "KS and chi-square, p < 0.05"
    for method in ("this template", ks, "KS and chi-square, Bonferroni", "PSI > 0.2"):
        assert fnmatch.filter(lines, f"| {method} | * | 0 of 12 | */29 (*%) | *")
    # all see a missing field; no distribution tells whose row a value stands in
    methods = f"this template | {ks} | KS and chi-square, Bonferroni | PSI > 0.2"
    assert f"| fault | of | {methods} |" in lines
    assert "| renamed | 1 | 1 · 1 | 1 · 1 | 1 · 1 | 1 · 1 |" in lines
    assert fnmatch.filter(lines, "| misjoined | 6 | [1-6] · [1-6] | 0 · 0 | 0 · 0 | 0 · 0 |")
    assert str(ROOT) not in page
    assert "/tmp/" not in page


def test_page_of_tables_tells_the_rule_then_failures(tmp_path):
    detection_pages("tables", tmp_path / "detection.md", PIP_NO_INDEX="1")
    page = (tmp_path / "detection-tables.md").read_text(encoding="utf-8")
    lines = page.splitlines()
    titles = [line for line in lines if line.startswith("## ")]
    assert titles == [
        "## The rule of the split",
        "## The tables",
        "## When a fault counts as visible",
        "## Failures",
        "## Tuning",
        "## How much can be found at all",
        "## Other tools on the same tables",
    ]
    contracts = (ROOT / "benchmarks" / "detection" / "tables" / "contracts").glob("*.yaml")
    for name in [path.stem for path in contracts]:
        assert len(fnmatch.filter(lines, f"| {name} | [rt]* | ?* | ?* |")) == 1, name
    assert fnmatch.filter(lines, "| … of which held | */3 (*%) |")
    assert fnmatch.filter(lines, "| constant | 2/2 (100.0%) | * |")
    # with all deliveries known, what is the same in all rows is found
    assert fnmatch.filter(lines, "| all | 3 | [23]/3 (*%) | [23]/3 (*%) |")
    ks = ("KS and chi-square, p < 0.05", "KS and chi-square, Bonferroni")
    for method in ("this template", *ks, "PSI > 0.2"):
        assert len(fnmatch.filter(lines, f"| {method} | * | - | [01]/1 * | [0-3]/3 (*%) | *")) == 1
    assert str(ROOT) not in page
    assert "/tmp/" not in page


def test_peer_that_does_not_install_is_skipped_by_name(tmp_path):
    target = tmp_path / "peers.md"
    source = ROOT / "src"
    command = [sys.executable, "benchmarks/detection/peers.py", "--quick", "--seed", "7"]
    result = subprocess.run(
        [*command, "--peers", "psi", "whylogs", "--output", str(target)],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(source), "PIP_NO_INDEX": "1",
             "PIP_CONFIG_FILE": os.devnull},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    page = target.read_text(encoding="utf-8")
    assert "| PSI > 0.2 | " in page
    installed = "| whylogs, drift | 1.6.4 | " in page
    assert installed or ("skipped: whylogs: " in result.stdout and "- Skipped: whylogs: " in page)


@pytest.mark.long
def test_models_page_ranks_the_models_with_their_costs(tmp_path):
    target = tmp_path / "models.md"
    page = quick_page("models", target)
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    measured = "* | * [[]*, *[]] | * | * [[]*, *[]] | * s | * s | * GiB |"
    for model in (
        "`logistic_regression`",
        "`lightgbm`",
        "`ensemble`",
        "one model like the ensemble's members",
    ):
        assert len(fnmatch.filter(lines, f"| {model} | {measured}")) == 1, model
    assert sum("| best |" in line for line in lines) == 1
    assert (tmp_path / "images" / "models.png").stat().st_size > 10_000


@pytest.mark.long
def test_templates_page_compares_one_experiment(tmp_path):
    target = tmp_path / "templates.md"
    page = quick_page("templates", target, PIP_NO_INDEX="1", PIP_CONFIG_FILE=os.devnull)
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    assert fnmatch.filter(lines, "| this template | * s |  | * s |  |")
    measured = ["lightning-hydra-template's way"]
    if "Skipped: kedro, which does not install here." not in page:
        measured.append("kedro's way")
    for way in measured:
        for more in ("", ", as much recorded as here"):
            assert len(fnmatch.filter(lines, f"| {way}{more} | * s | *.* | * s | *.* |")) == 1
    for script in (ROOT / "benchmarks" / "templates").rglob("*.py"):
        assert script.read_text(encoding="utf-8").strip() in page


def test_project_of_another_template_imports_no_runner():
    scripts = list((ROOT / "benchmarks" / "templates").rglob("*.py"))
    assert len(scripts) > 8
    for script in scripts:
        text = script.read_text(encoding="utf-8")
        assert not re.search(r"(import|from) (ml_experiment_)?runner", text)


def detection_pages(only: str, target: Path, **variables: str) -> None:
    """Writes one of the detection benchmark's pages, small; the second one beside the first."""
    command = [sys.executable, "benchmarks/detection/page.py", "--quick", "--seed", "7"]
    result = subprocess.run(
        [*command, "--only", only, "--output", str(target)], cwd=ROOT, stdin=subprocess.DEVNULL,
        capture_output=True, encoding="utf-8", env={**os.environ, **variables},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr


def quick_page(what: str, target: Path, **variables: str) -> str:
    """What a benchmark writes when it is done once and small."""
    result = subprocess.run(
        [sys.executable, "benchmarks/bench.py", what, "--quick", "--output", str(target)],
        cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8",
        env={**os.environ, **variables},
    )  # fmt: skip
    assert result.returncode == 0, result.stdout + result.stderr
    page = target.read_text(encoding="utf-8")
    assert str(ROOT) not in page
    assert "/tmp/" not in page
    return page
