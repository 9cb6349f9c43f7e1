"""What can be typed: words, listing, commands; read in a copy of the project as it is generated."""

import datetime
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ml_experiment_runner.cli.app import COMMANDS
from ml_experiment_runner.config.overrides import as_typed, normalise
from ml_experiment_runner.project.suggestions import nearest
from support import SOURCE, python_path
from support.baking import IDENTITY, copy_template, run_cookiecutter

QUESTION = """Why, then? It's [odd]: "50 %" = {half} #1"""


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    template = copy_template(tmp_path_factory.mktemp("template") / "template")
    answers = {"project_name": "Flight Delays"}
    made = run_cookiecutter(template, tmp_path_factory.mktemp("project"), answers)
    assert made.code == 0, made.output
    return made.project


def type_in(project: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "run.py", *words],
        cwd=project,
        env={**os.environ, **IDENTITY, "COLUMNS": "200", "PYTHONPATH": python_path()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.usefixtures("in_a_project")
@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["experiment=x"], ["+experiment=x"]),
        (["+experiment=x"], ["+experiment=x"]),
        (["-m", "experiment=a,b"], ["-m", "+experiment=a,b"]),
        (["seed=1", "experiment=x"], ["++seed=1", "+experiment=x"]),
        (["experiment.owner=Ada"], ["++experiment.owner=Ada"]),
        (["model.tol=1", "+model.tol=1"], ["++model.tol=1", "++model.tol=1"]),
        (["+seeds=1", "++seeds=1"], ["++seeds=1", "++seeds=1"]),
        (["model.C=1,2", "~model.C"], ["++model.C=1,2", "~model.C"]),
        (["task.parameters.x=1"], ["task.parameters.x=1"]),
        (["hydra.run.dir=a.b"], ["hydra.run.dir=a.b"]),
        (["model=null"], ["model='null'"]),
        (["-m", "dataset=2026,flights"], ["-m", "dataset='2026',flights"]),
        (["model@model.member=1"], ["model@model.member='1'"]),
        (["experiments"], ["experiments"]),
        (["experiment/deep=x"], ["experiment/deep=x"]),
        (["~experiment"], ["~experiment"]),
        (["--cfg", "job", "model=dummy"], ["--cfg", "job", "model=dummy"]),
        ([], []),
    ],
)
def test_normalise_lets_an_experiment_do_without_a_plus(typed, meant) -> None:
    assert normalise(typed) == meant


WORDS = st.one_of(
    st.text(),
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["", "+", "++", "~", "-"]),
        st.sampled_from(
            ["model", "model.C", "hydra/launcher", "seed", "experiment", "dataset.pin.x"]
        ),
        st.sampled_from(["", "=1", "=null", "=a,1", "='1'", "=[1]", "=${x}", "=glob(*)"]),
    ),
)


@pytest.mark.usefixtures("in_a_project")
@settings(deadline=None)
@given(st.lists(WORDS))
def test_normalise_changes_nothing_else_and_nothing_twice(words) -> None:
    once = normalise(words)
    assert normalise(once) == once
    for word, given_to_hydra in zip(words, once, strict=True):
        key, _, value = word.partition("=")
        new_key, _, new_value = given_to_hydra.partition("=")
        assert new_key.lstrip("+") == key.lstrip("+")
        assert new_value.replace("'", "") == value.replace("'", "")


@pytest.mark.usefixtures("in_a_project")
@settings(deadline=None)
@given(WORDS)
def test_record_holds_what_was_typed_without_added_signs(word) -> None:
    (given_to_hydra,) = normalise([word])
    assert normalise([as_typed(given_to_hydra)]) == [given_to_hydra]
    if not word.startswith(("+", "experiment=")) and "." in word.partition("=")[0]:
        assert as_typed(given_to_hydra) == word


def test_nearest_names_the_nearest_or_all() -> None:
    assert nearest("trian", ["train", "ingest"]) == "Did you mean 'train'?"
    assert nearest("zzz", ["train", "ingest"]) == "Available: ingest, train."
    assert nearest("zzz", []) == "Available: none."


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_listing_shows_every_task_command_and_experiment(generated: Path, words) -> None:
    done = type_in(generated, *words)
    assert done.returncode == 0
    for path in (SOURCE / "ml_experiment_runner" / "conf" / "task").glob("*.yaml"):
        about = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
        assert any(f"task={path.stem} " in line and about in line
                   for line in done.stdout.splitlines())  # fmt: skip
    for name in COMMANDS:
        (line,) = [line for line in done.stdout.splitlines() if line.startswith(f"  {name} ")]
        assert len(line.split()) > 3, f"{name} has no description"
    for path in (generated / "conf" / "experiment").glob("*.yaml"):
        question = yaml.safe_load(path.read_text(encoding="utf-8"))["experiment"]["question"]
        assert f"+experiment={path.stem}" in done.stdout
        assert question in done.stdout
    options = (SOURCE / "ml_experiment_runner" / "conf" / "model").glob("*.yaml")
    for name in [*(path.stem for path in options), "flights*"]:  # the dataset is its own
        assert re.search(rf"[ ,]{re.escape(name)}(,|$)", done.stdout, re.MULTILINE), name


@pytest.mark.parametrize("word", COMMANDS)
def test_command_has_help(generated: Path, word: str) -> None:
    done = type_in(generated, word, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: python run.py {word}")


def test_new_experiment_takes_any_question(generated: Path) -> None:
    done = type_in(generated, "new", "experiment", "odd_one", "--question", QUESTION)
    assert done.returncode == 0, done.stderr
    path = generated / "conf" / "experiment" / "odd_one.yaml"
    written = yaml.safe_load(path.read_text(encoding="utf-8"))["experiment"]
    assert written["question"] == QUESTION
    assert written["status"] == "active"
    composed = type_in(generated, "experiment=odd_one", "--cfg", "job")
    assert yaml.safe_load(composed.stdout)["experiment"]["question"] == QUESTION
    assert QUESTION in type_in(generated).stdout
    again = type_in(generated, "new", "experiment", "odd_one", "--question", "Other?")
    assert again.returncode == 2
    assert "odd_one.yaml already exists" in again.stderr
    assert yaml.safe_load(path.read_text(encoding="utf-8"))["experiment"]["question"] == QUESTION


def test_new_experiment_starts_from_another(generated: Path) -> None:
    words = ("--question", "More leaves?", "--from", "boosted_trees", "--budget-days", "0.5")
    assert type_in(generated, "new", "experiment", "leaves", *words).returncode == 0
    composed = yaml.safe_load(type_in(generated, "experiment=leaves", "--cfg", "job").stdout)
    assert composed["model"]["_target_"].endswith("HistGradientBoostingClassifier")
    assert composed["experiment"]["question"] == "More leaves?"
    assert composed["experiment"]["budget_days"] == 0.5


@pytest.mark.parametrize(
    ("words", "place"),
    [
        (["Bad-Name", "--question", "?"], "Bad-Name"),
        (["good", "--question", "?", "--from", "boosted_tree"], "'boosted_trees'"),
    ],
)
def test_new_experiment_refuses_what_could_not_run(generated: Path, words, place: str) -> None:
    done = type_in(generated, "new", "experiment", *words)
    assert done.returncode == 2
    assert place in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert not (generated / "conf" / "experiment" / f"{words[0]}.yaml").exists()


def test_experiments_shows_questions_and_days_left(generated: Path) -> None:
    day = datetime.date.today() + datetime.timedelta(days=7)
    words = ("--question", "A week?", "--until", day.isoformat(), "--owner", "Ada")
    type_in(generated, "new", "experiment", "week", *words)
    done = type_in(generated, "experiments")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    facts = [line.split(None, 1) for line in lines[lines.index("week") + 1 :][:4]]
    assert ["question", "A week?"] in facts
    assert ["owner", "Ada"] in facts
    assert ["days", "left    7"] in facts or ["days", "left     7"] in facts


def test_doctor_checks_everything_and_gives_advice(generated: Path) -> None:
    done = type_in(generated, "doctor")
    assert done.returncode in (0, 1), done.stderr
    for name in ("python", "packages", "git", "dvc", "conf", "signals", "records", "disk"):
        assert any(name in line.split()[:2] for line in done.stdout.splitlines()), name
    assert "flights: not ingested yet; the first run does it" in done.stdout
    (generated / ".dvc" / "config").rename(generated / "config.away")
    try:
        done = type_in(generated, "doctor")
    finally:
        (generated / "config.away").rename(generated / ".dvc" / "config")
    assert done.returncode == 1
    assert "PROBLEM  dvc" in done.stdout
    assert "restore it from git" in done.stdout


def test_composed_configuration_is_printed_and_nothing_runs(generated: Path) -> None:
    done = type_in(generated, "experiment=weather", "--cfg", "job")
    assert done.returncode == 0
    assert "temperature" in yaml.safe_load(done.stdout)["dataset"]["features"]
    assert not (generated / "outputs").exists()


def test_composed_configuration_has_defaults_of_the_schema(generated: Path) -> None:
    path = generated / "conf" / "config.yaml"
    text = path.read_text(encoding="utf-8")
    code = (
        "from ml_experiment_runner import compose\n"
        "config = compose('task=ingest')\n"
        "print(config.ablation.minutes, config.seeds, compose('seeds=3').seeds)"
    )
    try:
        path.write_text(text.replace("seeds: 1", "").replace("  minutes: 60", ""), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=generated,
            env={**os.environ, "PYTHONPATH": python_path(generated)},
            capture_output=True,
            text=True,
        )
    finally:
        path.write_text(text, encoding="utf-8")
    assert done.stdout == "60.0 1 3\n", done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# a\n# @package _global_\ndefaults:\n  - override /model: dummy\n", "very first line"),
        ("# @package _global_\nseed: [1\nthreads: 2\n", "conf/experiment/odd_file.yaml:3: "),
    ],
)
def test_experiment_file_that_cannot_be_read_is_named(generated: Path, text, said) -> None:
    path = generated / "conf" / "experiment" / "odd_file.yaml"
    path.write_text(text, encoding="utf-8")
    try:
        done = type_in(generated, "experiment=odd_file")
    finally:
        path.unlink()
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


PLACES = """
import json, sys
sys.path.insert(0, "src")
import hydra
from ml_experiment_runner.config.composition import normalise, register_resolvers
from ml_experiment_runner.config.options import folder
register_resolvers()
hydra.initialize_config_dir(str(folder()), version_base="1.3")
for words in json.loads(sys.argv[1]):
    config = hydra.compose("config", overrides=normalise(words), return_hydra_config=True)
    print(config.hydra.run.dir, config.hydra.sweep.dir)
"""


def test_run_without_an_experiment_belongs_to_its_task(generated: Path) -> None:
    """`train` stays with `default`: what counts as a try of an experiment is a model."""
    words = {
        "": "default",
        "task=ingest": "ingest",
        "task=ablate": "ablate",
        "task=blast_radius seed=1": "blast_radius",
        "task=ablate +experiment=weather": "weather",
        "experiment=weather": "weather",
    }
    typed = json.dumps([each.split() for each in words])
    done = subprocess.run(
        [sys.executable, "-c", PLACES, typed], cwd=generated, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for line, belongs_to in zip(done.stdout.splitlines(), words.values(), strict=True):
        for folder in line.split():
            assert Path(folder).relative_to(generated).parts[:2] == ("outputs", belongs_to)
