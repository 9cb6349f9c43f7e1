"""The runner's own options: each composes, and none holds a literal threshold."""

from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from ml_experiment_runner.config.composition import compose
from ml_experiment_runner.config.options import PACKAGED, option_file, own_options
from ml_experiment_runner.config.parameters import MissingExtraError, check_model
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.testing.literal_thresholds import keys, literals
from support.configured import write_project

FILES = sorted(PACKAGED.rglob("*/*.yaml"))
CHOICES = [f"{path.parent.relative_to(PACKAGED).as_posix()}={path.stem}" for path in FILES]


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("flights"))


@pytest.fixture
def project(flights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(flights))
    monkeypatch.syspath_prepend(str(flights / "src"))
    return flights


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("choice", CHOICES)
def test_packaged_option_composes(choice: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    is_of_optuna = choice.startswith(("hydra/sweeper/sampler", "hydra/sweeper/pruner"))
    config = compose(*(["hydra/sweeper=optuna"] if is_of_optuna else []), choice)
    with suppress(MissingExtraError):
        check_model(config)


@pytest.mark.parametrize("path", FILES, ids=CHOICES)
def test_packaged_option_holds_no_threshold(path: Path) -> None:
    assert not list(keys(yaml.safe_load(path.read_bytes())))


def test_runner_compares_no_score_with_a_number() -> None:
    thresholds = {
        f"{path}:{line}: {text}"
        for path in PACKAGED.parent.rglob("*.py")
        for line, text in literals(path.read_text(encoding="utf-8"))
    }
    assert not thresholds


@pytest.mark.parametrize(("typed", "meant"), [("lightgmb", "lightgbm"), ("mien", "mine")])
def test_mistyped_option_is_answered_from_both_places(
    project: Path, typed: str, meant: str
) -> None:
    path = project / "conf" / "model" / "mine.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text("_target_: sklearn.dummy.DummyClassifier\n", encoding="utf-8")
    with pytest.raises(UserError, match=f"model={typed}. Did you mean '{meant}'"):
        compose(f"model={typed}")


def test_own_option_takes_the_place_of_the_runners(project: Path) -> None:
    path = project / "conf" / "debug" / "smoke.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text("rows: 7\noverfit: false\nprofile: false\n", encoding="utf-8")
    assert own_options("debug") == ["smoke"]
    assert option_file("debug", "smoke") == path
    assert compose("debug=smoke").debug.rows == 7
