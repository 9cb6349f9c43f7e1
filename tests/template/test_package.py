"""The runner as a package: what is built, what is in it, and that it installs."""

import email
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from support.baking import ROOT, commit_all, copy_template, git

BUILD = """
import sys, warnings
warnings.simplefilter("error")
from setuptools import build_meta
print(getattr(build_meta, sys.argv[1])(sys.argv[2]))
"""
METADATA = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> dict[str, tuple[Path, str]]:
    """Wheel and source distribution, each with what its build has said."""
    folder = tmp_path_factory.mktemp("build")
    template = copy_template(folder / "template")
    made = {}
    for kind in ("sdist", "wheel"):
        done = subprocess.run(
            [sys.executable, "-c", BUILD, f"build_{kind}", str(folder / "dist")], cwd=template,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": ""},
            capture_output=True, encoding="utf-8", check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        said = done.stdout + done.stderr
        made[kind] = (folder / "dist" / done.stdout.splitlines()[-1], said)
    return made


def names_in(built: dict[str, tuple[Path, str]], kind: str) -> set[str]:
    path, _ = built[kind]
    if kind == "wheel":
        with zipfile.ZipFile(path) as archive:
            return set(archive.namelist())
    with tarfile.open(path) as archive:
        return {member.name.partition("/")[2] for member in archive.getmembers()}


@pytest.mark.parametrize("kind", ["sdist", "wheel"])
def test_build_says_no_warning(built, kind):
    path, said = built[kind]
    assert path.name.startswith(f"ml_experiment_runner-{METADATA['version']}")
    assert not re.search(r"warning|deprecat|!!", said, re.IGNORECASE), said


@pytest.mark.parametrize("kind", ["sdist", "wheel"])
def test_package_holds_all_of_the_runner_and_no_template(built, kind):
    names = names_in(built, kind)
    prefix = "" if kind == "wheel" else "src/"
    source = {
        name.removeprefix("src/")
        for name in git(ROOT, "ls-files", "-co", "--exclude-standard", "src").splitlines()
        if (ROOT / name).is_file()
    }
    assert {f"{prefix}{name}" for name in source} <= names
    assert not [
        name for name in names if re.search(r"cookiecutter|hooks/|\.lock$|__pycache__", name)
    ]
    rooms = {name.split("/")[0] for name in names if kind == "wheel"}
    about = f"ml_experiment_runner-{METADATA['version']}.dist-info"
    assert kind == "sdist" or rooms == {"ml_experiment_runner", "hydra_plugins", about}


def test_package_has_types_configuration_pages_and_changelog(built):
    names = names_in(built, "wheel")
    assert "ml_experiment_runner/py.typed" in names
    assert "ml_experiment_runner/conf/task/train.yaml" in names
    assert any(name.endswith("card.html") for name in names)
    assert any(name.startswith("hydra_plugins/ml_experiment_runner/") for name in names)
    with zipfile.ZipFile(built["wheel"][0]) as archive:
        (about,) = [name for name in names if name.endswith("/METADATA")]
        metadata = email.message_from_string(archive.read(about).decode("utf-8"))
    assert metadata["License-Expression"] == "MIT"
    assert metadata.get_all("Provides-Extra") == ["boosting", "deep", "ray"]
    assert "\n# Changelog\n" in metadata.get_payload()


def test_template_and_runner_have_one_version():
    questions = (ROOT / "cookiecutter.json").read_text(encoding="utf-8")
    assert f'"_version": "{METADATA["version"]}"' in questions


# The machine's index or cache gives the packages; nothing is resolved.
@pytest.mark.long
def test_package_installs_into_an_empty_environment_and_imports(tmp_path):
    template = copy_template(tmp_path / "template")
    git(template, "init", "--quiet")
    commit_all(template, "The template")
    lock = template / "{{cookiecutter.project_slug}}" / "requirements.lock"
    uv = [sys.executable, "-m", "uv"]
    environment = {key: os.environ[key] for key in os.environ if key != "PYTHONPATH"}
    python = str(tmp_path / "empty" / "bin" / "python")
    for command in (
        [*uv, "venv", "--quiet", str(tmp_path / "empty")],
        [*uv, "pip", "install", "--quiet", "--python", python, "--require-hashes",
         "--requirement", str(lock)],
        [*uv, "pip", "install", "--quiet", "--python", python, "--no-deps", str(template)],
        [*uv, "pip", "check", "--quiet", "--python", python],
        [python, "-c", "import ml_experiment_runner as m; m.compose, m.load_dataset, m.load_run"],
    ):  # fmt: skip
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)
