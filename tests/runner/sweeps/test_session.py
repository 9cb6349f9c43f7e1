"""What a command ends with: exit codes, objectives that no run has, jobs that are paired."""

from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ml_experiment_runner.cli import app, listing
from ml_experiment_runner.config.checks import check_objective
from ml_experiment_runner.config.metrics import METRICS, greater_is_better
from ml_experiment_runner.config.sweep_overrides import paired
from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.project.errors import (
    ExitCode,
    ObjectiveError,
    RefusedError,
    UserError,
    exit_code,
)
from ml_experiment_runner.sweeps.execution import score
from ml_experiment_runner.sweeps.session import Session, SweepStopped

TRAIN = "ml_experiment_runner.training.train.train"
GRAVEST_FIRST = (
    (KeyboardInterrupt(), 130),
    (RuntimeError(), 1),
    (SystemExit(0), 1),  # a task that leaves by itself has failed
    (UserError("what was typed"), 2),
    (ObjectiveError("what was typed"), 2),
    (RefusedError("a limit"), 3),
)


@pytest.mark.parametrize("place", range(len(GRAVEST_FIRST)))
def test_exit_code_is_that_of_the_gravest_error(place: int) -> None:
    error, code = GRAVEST_FIRST[place]
    rest = [each for each, _ in GRAVEST_FIRST[place:]]
    assert exit_code([error]) == exit_code(rest) == exit_code(rest[::-1], held=True) == code


def test_exit_code_is_0_unless_something_is_held() -> None:
    assert exit_code([]) == 0
    assert exit_code([], held=True) == 3


@pytest.mark.usefixtures("in_a_project")
def test_every_exit_code_is_explained_where_people_look() -> None:
    explained = {line.split()[0] for line in listing.EXIT_CODES.splitlines() if line[0] != " "}
    assert explained == {str(int(code)) for code in ExitCode}
    assert listing.EXIT_CODES in listing.listing(app.COMMANDS).replace("\n  ", "\n")


def configured(objective: str | None, **more: Any) -> Any:
    return OmegaConf.create(
        {
            "objective": objective,
            "task": {"_target_": TRAIN},
            "evaluation": {"folds": None},
            "seeds": 1,
            **more,
        }
    )


NEITHER = ("bias", "flagged", "base_rate", "label_mean")


@pytest.mark.parametrize(
    "name",
    [None, "validation/roc_auc", "test/log_loss", "test/quality_gap", "validation/r2/low"]
    + [f"validation/{name}" for name in METRICS if name not in NEITHER],
)
def test_objective_that_train_returns_is_taken(name: str | None) -> None:
    check_objective(configured(name))


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("test/nonsense", "Did you mean 'test/"),
        ("validation/rocauc", "'validation/roc_auc'"),
        ("roc_auc", "'test/roc_auc'"),
        ("cv/roc_auc", "roc_auc'"),  # without folds
        ("seeds/test/r2", "r2'"),  # with one seed
        ("test/roc_auc/count", "'test/roc_auc'"),
        ("test/roc_auc/baseline", "'test/roc_auc'"),
        *((f"test/{name}", "neither more nor less is better") for name in NEITHER),
    ],
)
def test_objective_that_train_never_returns_is_refused(name: str, nearest: str) -> None:
    with pytest.raises(UserError, match=f"^objective must be a metric .*'{name}'") as error:
        check_objective(configured(name))
    assert nearest in str(error.value)
    check_objective(configured(name, task={"_target_": "own.task"}))  # whose names are its own
    check_objective(configured("cv/roc_auc", evaluation={"folds": 3}))
    check_objective(configured("seeds/test/r2", seeds=2))


def test_metrics_are_those_that_models_are_evaluated_by() -> None:
    import numpy as np

    from ml_experiment_runner.training.evaluation.evaluate import evaluate

    halves = np.array([0.2, 0.8, 0.7])
    returned: set[str] = set()
    for task_type, label, prediction in (
        (TaskType.BINARY, np.array([0, 1, 1], np.int8), halves),
        (TaskType.MULTICLASS, np.array(["a", "b", "a"]), np.stack([halves, 1 - halves], 1)),
        (TaskType.REGRESSION, halves + 1, halves),
    ):
        returned |= set(evaluate(task_type, label, prediction, 0.5, 2, 0, ("a", "b")))
    names = {name for name in returned if not name.endswith(("/low", "/high"))} - {"rows"}
    assert names | {"quality_gap"} == set(METRICS)


def a_run(
    objective: str | None, *overrides: str, parent: str | None = None, task: str = "own.task"
) -> Any:
    config = OmegaConf.create({"objective": objective, "task": {"_target_": task}})
    return SimpleNamespace(id="aaaa1111", config=config, overrides=list(overrides), parent=parent)


def test_objective_that_a_job_does_not_have_names_the_nearest() -> None:
    measured = {"height/log_loss": 1.0, "height/log_loss/low": 0.5}
    with pytest.raises(ObjectiveError, match=r"run aaaa1111 has no .* 'height/logloss'") as error:
        score(a_run("height/logloss", parent="bbbb2222"), measured)
    assert "'height/log_loss'" in str(error.value)


@pytest.mark.parametrize("word", ["objective=x", "+objective=x"])
def test_objective_of_a_single_run_matters_where_it_was_typed(word: str) -> None:
    with pytest.raises(ObjectiveError):
        score(a_run("x", "seed=1", word), {"y": 1.0})
    assert score(a_run("x", "seed=1"), {"y": 1.0}) != 1.0  # an experiment's, of another task
    assert score(a_run("x", word), {"x": 2.0}) == 2.0
    with pytest.raises(ObjectiveError):  # of a label that is no number
        score(a_run("validation/r2", task=TRAIN), {"validation/base_rate": 0.2})


def test_metric_without_a_valid_threshold_is_no_mistake() -> None:
    run = a_run("test/precision", parent="bbbb2222")
    assert score(run, {"test/base_rate": 0.2}) != 0
    with pytest.raises(ObjectiveError):
        score(run, {"test/r2": 0.2})  # a number has no precision


def session(fail_fast: bool) -> Session:
    made = Session()
    made.sweep = SimpleNamespace(parent=SimpleNamespace(id="aaaa1111"))  # type: ignore[assignment]
    made.fail_fast = fail_fast
    return made


def test_failure_ends_a_sweep_that_fails_fast(capsys: pytest.CaptureFixture[str]) -> None:
    fast = session(fail_fast=True)
    with pytest.raises(SweepStopped):
        fast.fail(RuntimeError())
    assert "resume=aaaa1111" in capsys.readouterr().err
    patient = session(fail_fast=False)
    patient.fail(RuntimeError())
    with pytest.raises(SweepStopped):
        patient.fail(ObjectiveError())
    assert len(patient.errors) == 2
    Session().fail(RuntimeError())  # no sweep


def test_values_beside_a_metric_are_ordered_as_the_metric() -> None:
    for end in ("", "/low", "/high", "/baseline"):
        assert greater_is_better(f"cv/roc_auc{end}")
        assert not greater_is_better(f"test/log_loss{end}")
    assert not greater_is_better("cv/roc_auc/sd")
    assert greater_is_better("own/metric")


WORDS = st.text("abcxyz", min_size=1, max_size=4)


@given(
    lists=st.dictionaries(WORDS, st.lists(st.integers(0, 99), min_size=2, max_size=5), min_size=1),
    fixed=st.dictionaries(st.text("0123", min_size=1).map("k".__add__), st.integers(), max_size=3),
)
def test_lists_of_a_sweep_are_paired_as_zip_does(
    lists: dict[str, list[int]], fixed: dict[str, int]
) -> None:
    typed = [f"{key}={','.join(map(str, values))}" for key, values in lists.items()]
    overrides = OverridesParser.create().parse_overrides(
        [*typed, *(f"{key}={value}" for key, value in fixed.items())]
    )
    if len({len(values) for values in lists.values()}) > 1:
        with pytest.raises(UserError) as error:
            paired(overrides)
        assert all(f"{key} has {len(each)}" in str(error.value) for key, each in lists.items())
        return
    expected = [
        (*(f"{key}={value}" for key, value in zip(lists, row, strict=True)),
         *(f"{key}={value}" for key, value in fixed.items()))
        for row in zip(*lists.values(), strict=True)
    ]  # fmt: skip
    assert paired(overrides) == expected


def test_sweep_that_pairs_nothing_says_so() -> None:
    with pytest.raises(UserError, match="no key has a list, such as seed=1,2,3"):
        paired(OverridesParser.create().parse_overrides(["seed=1"]))
