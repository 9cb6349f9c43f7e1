"""The command `new <group>`: an option of the project or the runner, copied to be edited."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ml_experiment_runner.cli.new import new
from ml_experiment_runner.config.composition import compose
from ml_experiment_runner.config.options import PACKAGED, groups, option_file, options
from ml_experiment_runner.project.errors import UserError
from support import python_path
from support.configured import TEMPLATE, write_project

GROUPS = sorted({
    path.parent.relative_to(place).as_posix()
    for place in (PACKAGED, TEMPLATE / "conf")
    for path in place.rglob("*/*.yaml")
} - {"experiment"})  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ML_EXPERIMENT_ROOT", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    return write_project(tmp_path)


@pytest.mark.parametrize("group", GROUPS)
def test_copied_option_composes_as_its_origin_does(
    project: Path, group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert group in groups()
    for number, origin in enumerate(options(group)):
        name = f"mine_{number}"
        assert new([group, name, "--from", origin]) == 0
        copy, packaged = project / "conf" / group / f"{name}.yaml", option_file(group, origin)
        assert packaged is not None
        assert copy.read_text(encoding="utf-8") == packaged.read_text(encoding="utf-8")
        message = capsys.readouterr().out
        assert f"conf/{group}/{name}.yaml" in message
        (command,) = (line for line in message.splitlines() if line.startswith("python run.py "))
        # as typed, but for what makes a sweep of it
        words = [word for word in command.split()[2:] if word not in ("-m", "seed=1,2,3")]
        assert f"{group}={name}" in words
        as_before = [word.replace(f"={name}", f"={origin}") for word in words]
        assert compose(*words) == compose(*as_before)


def test_copied_sweeper_searches_as_its_origin_does(project: Path) -> None:
    new(["hydra/sweeper", "mine", "--from", "optuna"])
    words = ["-m", "hydra/sweeper=mine", "model.C=interval(2,1)"]
    done = subprocess.run(
        [sys.executable, "run.py", *words], cwd=project, capture_output=True, encoding="utf-8",
        env={**os.environ, "PYTHONPATH": python_path(project)}, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "from the lower number to the higher one" in done.stderr


def test_copy_of_a_copy_keeps_what_was_edited(project: Path) -> None:
    new(["model", "mine", "--from", "dummy"])
    path = project / "conf" / "model" / "mine.yaml"
    path.write_text("# of ours\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    new(["model", "next", "--from", "mine"])
    assert path.with_name("next.yaml").read_text(encoding="utf-8").startswith("# of ours\n")


def test_existing_option_is_never_written_over(project: Path) -> None:
    new(["model", "mine", "--from", "dummy"])
    path = project / "conf" / "model" / "mine.yaml"
    path.write_text("# of ours\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"^conf/model/mine\.yaml already exists"):
        new(["model", "mine", "--from", "ridge"])
    assert path.read_text(encoding="utf-8") == "# of ours\n"


@pytest.mark.usefixtures("project")
def test_copy_that_replaces_the_runners_option_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    new(["model", "dummy", "--from", "dummy"])
    assert "which replaces the runner's dummy" in capsys.readouterr().out
    new(["model", "mine", "--from", "dummy"])
    assert "replaces" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("modle mine --from dummy", "unknown group 'modle'. Did you mean 'model'"),
        ("model mine --from dumy", "--from: unknown option model=dumy. Did you mean 'dummy'"),
        ("model mine --from ../dataset/flights", "unknown option model=../dataset/flights"),
        (
            "model My-Model --from dummy",
            "model name must have at most 100 lower case letters, digits and _",
        ),
        ("model none --from dummy", "none is a reserved name"),
        ("task baseline --from train", "baseline is the name of an experiment"),
    ],
)
def test_invalid_name_or_option_writes_nothing(project: Path, words: str, message: str) -> None:
    before = sorted(project.rglob("*"))
    with pytest.raises(UserError) as error:
        new(words.split())
    assert message in str(error.value)
    assert sorted(project.rglob("*")) == before


@pytest.mark.usefixtures("project")
def test_help_names_all_groups(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        new(["--help"])
    output = capsys.readouterr().out
    assert all(group in output for group in [*GROUPS, "experiment", "signal"])
