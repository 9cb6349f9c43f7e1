"""Whatever is typed is taken as it was meant, or refused in a line or two that names it."""

import dataclasses
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_type_hints

import pytest

from ml_experiment_runner.config.schema import CHOICES, PLUGIN_RANGES, RANGES, Config
from support import python_path
from support.baking import IDENTITY, copy_template, run_cookiecutter

WORKER = Path(__file__).resolve().parents[2] / "support" / "typed_words.py"
VALUES = (
    *("null", "true", "-1", "0", "1.5", "-0.5", "99999999999999999999", "1e400"),
    *("nan", "inf", "-inf", "''", "text", "'two words'", "'a\\nb'", "2026-01-01", "éß猫"),
    *("[1,a]", "[]", "{a: 1}", "{}", "[{a: [1]}]"),
    *("'${x'", "${x}", "${nowhere.y}", "'${oc.env:NOWHERE}'", "???"),
)
NESTED = (
    *("threshold.costs.false_positive", "dataset.joins.weather", "dataset.joins.weather.origin"),
    *("dataset.pin.weather", "task.parameters.x", "model._target_", "model._regressor_", "model.C"),
    *("model.tol", "model.class_weight"),
)
"""Keys of mappings, whose names the schema does not hold."""
SEARCH = ("-m", "hydra/sweeper=optuna", "model.C=1,2")
PAIRS = ("-m", "hydra/sweeper=zip", "seed=1,2")
PLUGINS = {
    "hydra.sweeper": PAIRS,
    "hydra.launcher": PAIRS,
    "hydra.sweeper.params": PAIRS,
    "hydra.sweeper.max_batch_size": PAIRS,
    "hydra.sweeper.n_trials": SEARCH,
    "hydra.sweeper.n_jobs": SEARCH,
    "hydra.sweeper.sampler": SEARCH,
    "hydra.sweeper.pruner": SEARCH,
    "hydra.launcher.n_jobs": ("hydra/launcher=joblib",),
    "hydra.launcher.num_cpus": ("hydra/launcher=ray",),
    "hydra.launcher.num_gpus": ("hydra/launcher=ray",),
    **dict.fromkeys(
        (key for key in PLUGIN_RANGES if re.search("min|_per_|_gb|slurm", key)),
        ("hydra/launcher=slurm",),
    ),
}
"""Keys of launchers and sweepers, with the words that choose one which has them."""


class Typed(NamedTuple):
    """What came of a command."""

    words: Sequence[str]
    code: int | str
    errors: str
    checked: list[dict[str, Any]]

    @property
    def is_refused(self) -> bool:
        """In a line or two, without a traceback."""
        return self.code == 2 and 1 <= len(self.errors.strip().splitlines()) <= 2

    def __str__(self) -> str:
        return f"{' '.join(self.words)}: {self.code} {self.errors}"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    template = copy_template(tmp_path_factory.mktemp("template") / "template")
    made = run_cookiecutter(template, tmp_path_factory.mktemp("project"))
    assert made.code == 0, made.output
    return made.project


def type_in(project: Path, commands: Sequence[Sequence[str]]) -> list[Typed]:
    """Types the commands one after the other, in one process."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(WORKER)],
        cwd=project,
        env={**os.environ, **IDENTITY, "PYTHONPATH": python_path()},
        input="".join(json.dumps(words) + "\n" for words in commands),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    answers = map(json.loads, done.stdout.splitlines())
    return [Typed(words, **each) for words, each in zip(commands, answers, strict=True)]


def leaves(schema: type = Config, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of the schema that holds a value, with its type."""
    for name, kind in get_type_hints(schema).items():
        inner = [one for one in (kind, *get_args(kind)) if dataclasses.is_dataclass(one)]
        if inner:
            yield from leaves(inner[0], f"{path}{name}.")
        else:
            yield f"{path}{name}", kind


def fuzzed() -> list[tuple[str, str]]:
    return [*itertools.product([*dict(leaves()), *NESTED, *PLUGINS], VALUES)]


def value_of(typed: Typed, key: str) -> Any:
    node: Any = typed.checked[-1]
    for part in key.split("."):
        node = node[part] if isinstance(node, dict) else None
    return node


def assert_taken_or_refused(project: Path, cases: Sequence[tuple[str, str]]) -> None:
    kinds = dict(leaves())
    commands = [[*PLUGINS.get(key, ()), f"{key}={value}"] for key, value in cases]
    for typed in type_in(project, commands):
        key, _, value = typed.words[-1].partition("=")
        if typed.code != 0:
            assert typed.is_refused, str(typed)
            above = key.rpartition(".")[0] or key  # a mapping is checked as a whole
            assert above in typed.errors or value.strip("'") in typed.errors, str(typed)
        elif key in RANGES and (taken := value_of(typed, key)) is not None and value != "???":
            low, high = map(float, RANGES[key][1:-1].split(","))
            assert isinstance(taken, dict) or low <= taken <= high, str(typed)
            assert isinstance(taken, dict) or taken == float(value), str(typed)
        elif (
            value not in ("???", "1e400")
            and kinds.get(key) in (str, str | None)
            and value_of(typed, key)
        ):
            assert str(value_of(typed, key)).lower()[:2] == value.strip("'").lower()[:2], str(typed)


def test_every_number_of_the_schema_has_a_range() -> None:
    def is_number(kind: Any) -> bool:
        return kind in (int, float) or any(map(is_number, get_args(kind)))

    assert {key for key, kind in leaves() if is_number(kind)} == set(RANGES)
    assert set(PLUGIN_RANGES) <= set(PLUGINS)
    assert set(CHOICES) <= set(dict(leaves()))


def test_any_value_of_any_key_is_taken_or_refused(generated: Path) -> None:
    """A part of all, in which each key and each value occurs; the whole is below."""
    cases = fuzzed()
    assert_taken_or_refused(generated, cases[::25])


@pytest.mark.long
@pytest.mark.parametrize("part", range(9))
def test_every_value_of_every_key_is_taken_or_refused(generated: Path, part: int) -> None:
    assert_taken_or_refused(generated, fuzzed()[part::9])


TREES = "model=hist_gradient_boosting"
TAKEN = (
    (["model.tol=0.01"], "model.tol", 0.01),
    (["model.C=2"], "model.C", 2),
    (["+model.C=2"], "model.C", 2),
    (["+model.class_weight=balanced"], "model.class_weight", "balanced"),
    ([TREES, "model.min_samples_leaf=20"], "model.min_samples_leaf", 20),
    ([TREES, "model.class_weight=balanced"], "model.class_weight", "balanced"),
    ([TREES, "model.loss=poisson"], "model.loss", "poisson"),
    (["+experiment=ensemble", "model.member.max_depth=9"], "model.member.max_depth", 9),
    (["-m", "seed=1", "model.tol=0.1,0.2"], "model.tol", 0.2),
    (["threshold=cost", "threshold.costs.true_positive=1"], "threshold.costs.true_positive", 1),
    (["threshold.confidence=0.8"], "threshold.confidence", 0.8),
    (["-m", "seed=range(1,4)"], "seed", 3),
    (["-m", "+experiment=glob(b*)"], "experiment.status", "active"),
    (["-m", "hydra/sweeper=zip", "seed=1,2", "model.tol=0.1,0.2"], "model.tol", 0.2),
    (["threads=1024"], "threads", 1024),
    (["seed=1", "-m", "model.tol=0.1,0.2"], "model.tol", 0.2),
    (["+experiment=ensemble", "model.max_quality_gap=null"], "model.max_quality_gap", None),
    (["objective=test/log_loss/high"], "objective", "test/log_loss/high"),
    (["hydra/launcher=joblib", "hydra.launcher.n_jobs=null"], "seed", 0),
)  # fmt: skip


def test_valid_key_that_no_file_lists_is_taken(generated: Path) -> None:
    for typed, (words, key, value) in zip(
        type_in(generated, [words for words, _, _ in TAKEN]), TAKEN, strict=True
    ):
        assert typed.code == 0, str(typed)
        assert value_of(typed, key) == value, words


REFUSED = (
    (["model=random_forest", "model.n_estimator=9"], "RandomForestClassifier", "'n_estimators'"),
    (["model=random_forest", "+model.n_estimator=9"], "model.n_estimator", "'n_estimators'"),
    (["-m", "model=random_forest,dummy", "model.n_estimator=9"], "n_estimator:", "'n_estimators'"),
    (["-m", "model=random_forest", "model.n_estimator=1,2"], "n_estimator:", "'n_estimators'"),
    (["+experiment=ensemble", "model.member.max_itr=9"], "model.member.max_itr", "'max_iter'"),
    (
        ["threshold=cost", "threshold.costs.false_postive=1"],
        "threshold.costs",
        "costs.false_positive'",
    ),
    (["-m", "+experiment=swept"], "model.tool", "'tol'"),
    (["-m", "hydra/sweeper=zip", "seed=1,2", "model.tool=1,2"], "model.tool", "'tol'"),
    (["threshold.costs=[1]"], "threshold.costs", "threshold.costs.NAME=VALUE"),
    (["dataset.pin.weather=[1]"], "dataset.pin.weather", "single value"),
    (["model.max_iter=99999999999999999999"], "model.max_iter", "2**63"),
    (["task.parameters.x=1"], "task.parameters.x", "unknown key"),
    (["seed=1,2"], "seed", "add -m"),
    (["seed=range(1,3)"], "seed", "add -m"),
    (["-m", "seed=range(0,1e9)"], "seed=range(0,1e9)", "at most"),
    (["--cfg", "job", "-m"], "--cfg", "Only one"),
    (["model=[dummy,b]"], "model=b", "unknown option"),
    (["evaluation.folds=3", "evaluation.block=origins"], "evaluation.block", "'origin'"),
    (
        ["task._target_=ml_experiment_runner.training.trian.train"],
        "task._target_",
        "ml_experiment_runner.training.train.train",
    ),
    (["model=sub/ridge"], "model=sub/ridge", "'ridge'"),
    (["+experiment=../../baseline"], "experiment=../../baseline", "'baseline'"),
    ([*SEARCH, "hydra/sweeper/sampler=a/b"], "hydra/sweeper/sampler=a/b", "random, tpe"),
    (["-m", "model.C=interval(1,2)"], "model.C=interval(1,2): ", "hydra/sweeper=optuna"),
    (["-m", "hydra/sweeper=optuna", "model.C=interval(2,1)"], "model.C=interval(2,1)", "lower"),
    (["+experiment=ensemble", "model.max_quality_gap=abc"], "model.max_quality_gap", "or None"),
    (["+experiment=ensemble", "model.folds=1"], "model.folds", "[2, 100]"),
    (["objective=test/bias"], "test/bias", "neither more nor less"),
    (["objective=test/roc_auc/count"], "test/roc_auc/count", "'test/roc_auc'"),
    (["hydra/launcher=joblib", "hydra.launcher.n_jobs=-1"], "hydra.launcher.n_jobs", "or null"),
    *(
        ([f"{group}={value}"], f"{group}={value}", "Available: ")
        for group in ("model", "task", "dataset", "threshold", "tracking", "evaluation", "debug")
        for value in ("null", "2026", "true", "1.5", "nan")
    ),
)


def test_mistake_is_named_with_what_the_choice_takes(generated: Path) -> None:
    swept = generated / "conf" / "experiment" / "swept.yaml"
    swept.write_text("# @package _global_\nhydra: {sweeper: {params: {model.tool: '1,2'}}}\n")
    try:
        answers = type_in(generated, [words for words, _, _ in REFUSED])
    finally:
        swept.unlink()
    for typed, (_, place, advice) in zip(answers, REFUSED, strict=True):
        assert typed.is_refused, str(typed)
        assert place in typed.errors, str(typed)
        assert advice in typed.errors, str(typed)
        assert "++" not in typed.errors, str(typed)


def test_params_of_a_sweeper_are_taken_as_if_typed(generated: Path) -> None:
    swept = generated / "conf" / "experiment" / "swept.yaml"
    swept.write_text("# @package _global_\nhydra: {sweeper: {params: {model.tol: '0.1,0.2'}}}\n")
    try:
        plain, changed = type_in(
            generated, [["-m", "+experiment=swept"], ["-m", "+experiment=swept", "model.tol=0.3"]]
        )
    finally:
        swept.unlink()
    assert [config["model"]["tol"] for config in plain.checked] == [0.1, 0.2], str(plain)
    assert [config["model"]["tol"] for config in changed.checked] == [0.3], str(changed)
