"""The standard tests of a generated project say what is wrong, in which file, and what to do."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from support.flowers import write_flowers
from support.pages import blocks, put

CHEAP = [f"tests/standard/test_{name}.py" for name in
         ("configuration", "literal_thresholds", "signals")]  # fmt: skip


class Mistake(NamedTuple):
    """Somebody's mistake: what is written into which file, and what is told about it."""

    file: str
    text: str
    told: str


TEAM = "team: {name: Ada}\nsupport: [{channel: mail, url: 'mailto:ada@example.com'}]\n"


def experiment(name: str, told: str, without: str = "", more: str = "") -> Mistake:
    """An experiment written by hand, without some of its lines and with others."""
    lines = [
        "# @package _global_",
        f"# python run.py +experiment={name}",
        "experiment:",
        "  owner: Ada",
        "  question: Why?",
        "  budget_days: 1",
        more,
    ]
    kept = [line for line in lines if not (without and re.search(without, line))]
    return Mistake(f"conf/experiment/{name}.yaml", "\n".join(kept) + "\n", told)


def contract(name: str, told: str, old: str, new: str) -> Mistake:
    """A contract with something else in the place of `old`."""
    text = (
        "apiVersion: v3.1.0\nkind: DataContract\nid: a\nversion: 1.0.0\nstatus: active\n"
        f"{TEAM}"
        "servers: [{server: source, type: local, path: data/raw/a.csv, format: csv}]\n"
        "schema:\n  - name: a\n"
        "    properties: [{name: n, logicalType: integer, primaryKey: true}]\n"
    )
    assert old in text
    return Mistake(f"signals/{name}.yaml", text.replace(old, new), told)


def code(name: str, text: str, told: str) -> Mistake:
    """A module of the project's package."""
    return Mistake(f"src/flight_delays/{name}.py", f'"""Ours."""\n\n{text}\n', told)


MISTAKES = {
    "no owner": experiment("e01", "owner: Ada", without="owner"),
    "no question": experiment("e02", "question: ", without="question"),
    "blank owner": experiment("e03", "owner: Ada", without="owner", more="  owner: ' '"),
    "neither": experiment("e04", "owner: Ada", without="^ |experiment:"),
    "empty file": Mistake("conf/experiment/e05.yaml", "", "first line must be '# @package"),
    "no package line": experiment("e06", "first line must be '# @package", without="package"),
    "no command": experiment("e07", "second line must be the command", without="run.py"),
    "wrong key": experiment("e08", "Did you mean 'seed'", more="sed: 1"),
    "wrong key of the model": experiment("e09", "Did you mean", more="model: {CC: 1}"),
    "wrong key of the experiment": experiment(
        "e10", "Did you mean 'experiment.owner'", more="  ownr: Ada"
    ),
    "wrong type": experiment("e11", "seed", more="seed: one"),
    "wrong choice": experiment("e12", "active, graduated", more="  status: done"),
    "no conclusion": experiment("e13", "what was learned", more="  status: stopped"),
    "no day": experiment("e14", "a date such as 2027-01-31", more="  until: soon"),
    "no such model": experiment("e15", "unknown option", more="defaults: [override /model: x]"),
    "invalid YAML": experiment("e16", "e16.yaml:8: ", more="  until: {"),
    "two owners": experiment("e17", "duplicate", more="  owner: Bob"),
    "parameter out of range": experiment("e18", "must be a float", more="model: {C: -1}"),
    "contract is no YAML": contract("c1", "c1.yaml:4: invalid YAML", "DataContract", "{"),
    "wrong key of a contract": contract("c2", "Did you mean 'status'", "status", "statsu"),
    "contract without version": contract("c3", "version", "version: 1.0.0\n", ""),
    "contract without team": contract("c4", "team: {name", TEAM, ""),
    "contract with a wrong type": contract("c5", "integer", "integer", "whole"),
    "threshold in the code": code("t1", "flagged = [1 for score in [] if score > 0.3]",
                                  "threshold=precision"),
    "code that cannot be read": code("t2", "def broken(:", "t2.py:3: invalid Python"),
    "threshold in conf": Mistake("conf/model/m1.yaml", "_target_: sklearn.dummy.DummyClassifier\n"
                                 "cutoff: 0.4\n", "threshold=precision"),
    "model without such a class": Mistake("conf/model/m2.yaml", "_target_: sklearn.nothing.Real\n",
                                          "sklearn.nothing"),
    "model without such a parameter": Mistake(
        "conf/model/m3.yaml", "_target_: sklearn.dummy.DummyClassifier\nstratgy: prior\n",
        "Did you mean 'strategy'"),
}  # fmt: skip
FEATURES = {
    "no_signal": ('pl.col("wether.temp")', "Did you mean 'weather'"),
    "no_field": ('pl.col("weather.tmp")', "Did you mean 'temp'"),
    "too_late": ('pl.col("flights.arr_delay")', "known at prediction time"),
    "other_rows": ('pl.col("weather.temp").shift(1)', "row's own fields"),
    "python": ('pl.col("weather.temp").map_elements(float)', "polars' own expressions"),
    "nothing": ("pl.lit(1)", "write it with pl.col"),
}


def run_tests(project: Path, *words: str) -> str:
    """What pytest shows of a project that has mistakes in it."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words],
        cwd=project,
        env={**os.environ, "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode in (1, 2), done.stdout
    return done.stdout


def sections(output: str) -> list[str]:
    """What is shown of each failure."""
    found = re.split(r"^_{2,} .+ _{2,}$", output.partition("= short test summary")[0],
                     flags=re.MULTILINE)[1:]  # fmt: skip
    return [re.sub(r"\n=+ (ERRORS|FAILURES) =+\n", "\n", section).strip() for section in found]


@pytest.fixture(scope="module")
def broken(bake, tmp_path_factory) -> Path:
    """A project with all mistakes in it, none of which hides another."""
    project = tmp_path_factory.mktemp("broken") / "flight-delays"
    shutil.copytree(bake(), project)
    for mistake in MISTAKES.values():
        (project / mistake.file).parent.mkdir(exist_ok=True)
        (project / mistake.file).write_text(mistake.text, encoding="utf-8")
    features = project / "src" / "flight_delays" / "features.py"
    lines = [f'FEATURES["{name}"] = {text}\n' for name, (text, _) in FEATURES.items()]
    with features.open("a", encoding="utf-8") as file:
        file.writelines(lines)
    return project


@pytest.fixture(scope="module")
def shown(broken: Path) -> list[str]:
    output = run_tests(broken, *CHEAP, "-k", "not features_compute")
    assert len(sections(output)) == len(re.findall("^FAILED", output, re.MULTILINE))
    return sections(output)


def test_every_failure_opens_with_the_file_to_look_at(broken: Path, shown: list[str]) -> None:
    for section in shown:
        file = re.match(r"([\w./-]+\.(yaml|py))(:\d+)?: ", section)
        assert file, section
        assert (broken / file.group(1)).is_file(), section
        assert not re.search(r"^E |Traceback|^\s*assert |AssertionError", section, re.MULTILINE)


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_mistake_is_shown_with_advice(shown: list[str], mistake: Mistake) -> None:
    assert any(section.startswith(mistake.file) and mistake.told in section for section in shown), (
        "\n\n".join(section for section in shown if mistake.file in section) or "nothing is shown"
    )


@pytest.mark.parametrize("name", FEATURES)
def test_mistake_in_a_feature_is_shown_with_advice(shown: list[str], name: str) -> None:
    opening = f"src/flight_delays/features.py: feature '{name}'"
    assert any(section.startswith(opening) and FEATURES[name][1] in section for section in shown)


def test_only_files_with_mistakes_fail(shown: list[str]) -> None:
    files = {mistake.file for mistake in MISTAKES.values()} | {"src/flight_delays/features.py"}
    assert {section.partition(":")[0] for section in shown} == files


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("src/flight_delays/features.py", "FEATURES = {\n"),
        ("src/flight_delays/features.py", "import polras\n"),
        ("conf/config.yaml", "defaults: [\n"),
    ],
)
def test_broken_shared_file_is_named(bake, tmp_path: Path, file: str, text: str) -> None:
    project = tmp_path / "flight-delays"
    shutil.copytree(bake(), project)
    (project / file).write_text(text, encoding="utf-8")
    output = run_tests(project, "tests/standard/test_signals.py", "-k", "loaded")
    (section,) = sections(output)
    assert section.startswith(file)
    assert "Traceback" not in section


PLAIN = '''\
"""Estimators that are wrong in one way each."""

import itertools
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

COUNT = itertools.count(1)


class Constant(ClassifierMixin, BaseEstimator):
    def fit(self, features: Any, label: Any) -> Self:
        self.classes_ = np.array([0, 1])
        return self

    def predict_proba(self, features: Any) -> NDArray[np.float64]:
        return np.tile([0.5, 0.5], (features.shape[0], 1))

    def predict(self, features: Any) -> NDArray[np.int64]:
        return self.predict_proba(features).argmax(axis=1)


class Unsteady(Constant):
    def predict_proba(self, features: Any) -> NDArray[np.float64]:
        share = np.random.default_rng(next(COUNT)).random(features.shape[0])
        return np.column_stack([1 - share, share])


class Failing(Constant):
    def fit(self, features: Any, label: Any) -> Self:
        raise ValueError("of the estimator")
'''
RUNS = {
    "constant": "dataset.features are empty or the same",
    "unsteady": "give your estimator a parameter random_state",
    "failing": "python run.py +experiment=failing debug=smoke",
    "unknown": "Did you mean 'petal_length'?",
    "empty": "has no value",
}
COUNTED = """\
# @package _global_
# python run.py +experiment=counted
defaults: [override /dataset: flowers, override /task: count]
experiment: {owner: Ada, question: 'How many?', budget_days: 1}
"""
COUNT = '''\
"""Counts."""

from omegaconf import DictConfig

from ml_experiment_runner.record.run import Run


def count(config: DictConfig, run: Run) -> dict[str, float]:
    """One."""
    return {"count/rows": 1.0}
'''

OWN = """\
def test_rows_are_counted(run_experiment) -> None:
    assert run_experiment("+experiment=counted").metrics["count/rows"] == 1
"""


@pytest.mark.long
def test_failing_experiment_is_named(bake, tmp_path: Path) -> None:
    project = tmp_path / "flight-delays"
    shutil.copytree(bake(example="none", project_name="Flight Delays"), project)
    for block in blocks((project / "README.md").read_text(encoding="utf-8")):
        if block.path:
            put(project, block)
    write_flowers(project / "data" / "raw" / "flowers.csv")
    package = project / "src" / "flight_delays"
    (package / "wrong.py").write_text(PLAIN, encoding="utf-8")
    with (package / "features.py").open("a", encoding="utf-8") as file:
        file.write('FEATURES["empty"] = pl.lit(None) + pl.col("flowers.petal_length")\n')
    (project / "conf" / "experiment").mkdir()
    for name in RUNS:
        target = f"_target_: flight_delays.wrong.{name.title()}\n"
        model = {"unknown": "dummy", "empty": "dummy"}.get(name, name)
        if model == name:
            (project / "conf" / "model").mkdir(exist_ok=True)
            (project / "conf" / "model" / f"{name}.yaml").write_text(target, encoding="utf-8")
        written = experiment(
            name, "", more=f"defaults: [override /dataset: flowers, override /model: {model}]\n"
            + ("dataset: {features: [petal_lenght]}" if name == "unknown" else ""),
        )  # fmt: skip
        (project / written.file).write_text(written.text, encoding="utf-8")
    # a task of one's own fits no model, and nothing is wrong with that
    (project / "conf/experiment/counted.yaml").write_text(COUNTED, encoding="utf-8")
    (project / "conf" / "task").mkdir()
    (project / "conf/task/count.yaml").write_text(
        "# counts\n_target_: flight_delays.count.count\n", encoding="utf-8"
    )
    (package / "count.py").write_text(COUNT, encoding="utf-8")
    (project / "tests").mkdir()
    (project / "tests" / "test_own.py").write_text(OWN, encoding="utf-8")
    output = run_tests(project, "-rA")
    shown = sections(output)
    assert "PASSED tests/test_own.py::test_rows_are_counted" in output
    # nothing that is not tested is said to have passed
    passed = re.findall(r"^PASSED tests/standard/(.+)$", output, re.MULTILINE)
    assert "test_experiments.py::test_experiment_runs_on_a_slice[counted]" in passed
    assert not any("same_seed" in each and "counted" in each for each in passed)
    assert not any("broken_signal" in each for each in passed)
    assert re.search(r"^SKIPPED \[3\] .*: its task is not train$", output, re.MULTILINE)
    assert not any("counted.yaml" in section for section in shown), shown
    for name, told in RUNS.items():
        file = (
            "src/flight_delays/features.py" if name == "empty" else f"conf/experiment/{name}.yaml"
        )
        assert any(file in section and told in section for section in shown), (name, shown)
    for section in shown:
        assert not re.search(r"^E\s+assert |AssertionError", section, re.MULTILINE), section
