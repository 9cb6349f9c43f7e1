"""The locks pin everything, name no address, and are what `make lock` would write."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.baking import ROOT, git

GENERATED = ROOT / "{{cookiecutter.project_slug}}"
LOCKS = [
    GENERATED / "requirements.lock",
    GENERATED / "requirements-example.lock",
    GENERATED / "requirements-boosting.lock",
    GENERATED / "requirements-deep.lock",
    GENERATED / "src" / "runner" / "requirements-build.lock",
    ROOT / "requirements-dev.lock",
    ROOT / "requirements-odcs.lock",
]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_lock_pins_everything_and_names_no_address(lock):
    text = lock.read_text(encoding="utf-8")
    requirements = re.split(r"\n(?=[a-z0-9])", text)
    assert len(requirements) > 1
    for requirement in requirements[1:]:
        assert re.match(r"[a-z0-9._-]+==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement
    assert not re.search(r"https?:|file:|--index|--find-links| @ ", text)


def test_lock_holds_all_that_the_runner_names(bake):
    project = bake()
    locked = (project / "requirements.lock").read_text(encoding="utf-8")
    for name in ("requirements.txt", "requirements-tools.txt"):
        for line in (project / "src" / "runner" / name).read_text(encoding="utf-8").splitlines():
            if not line.startswith("#"):
                package = re.split(r"[<>=]", line)[0].replace(".", "-")
                assert f"\n{package}==" in locked, package


@pytest.mark.long
def test_locking_again_in_a_project_changes_nothing(bake):
    project = bake()
    subprocess.run([sys.executable, "tools/lock.py"], cwd=project, check=True)
    try:
        assert git(project, "diff", "--stat") == ""
    finally:
        git(project, "checkout", "--", ".")


def interpreter(version: str) -> str:
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    installed = [str(folder / "bin") for folder in sorted(pyenv.glob(f"{version}.*"))]
    for folder in [*os.environ["PATH"].split(os.pathsep), *installed]:
        candidate = Path(folder) / f"python{version}"
        command = [str(candidate), "-c", "import sys; print(*sys.version_info[:2], sep='.')"]
        if candidate.exists():
            result = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
            if result.stdout.strip() == version:
                return str(candidate)
    pytest.skip("this Python is not installed here")


@pytest.mark.long
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_set_up_works_and_tests_pass_without_a_network(template, tmp_path, version):
    from support.baking import run_cookiecutter

    python = interpreter(version)
    project = run_cookiecutter(template, tmp_path).project
    uv_there = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": uv_there}
    subprocess.run([python, "tools/setup.py"], cwd=project, env=environment, check=True)
    (project / ".venv").rename(tmp_path / "filled")
    result = subprocess.run(
        [python, "tools/setup.py"],
        cwd=project,
        env={**environment, "UV_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    code = (
        "import hydra, mlflow, polars, sklearn; from pathlib import Path; print(mlflow.__cached__)"
    )
    shown = subprocess.run(
        [project / ".venv" / "bin" / "python", "-c", code],
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert Path(shown.stdout.strip()).exists()
    again = subprocess.run(
        [python, "tools/setup.py"], cwd=project, capture_output=True, encoding="utf-8", check=True
    )
    assert again.stdout == "The environment is up to date.\n"
    tests = subprocess.run(
        [project / ".venv" / "bin" / "python", "-m", "pytest", "-q"],
        cwd=project,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert tests.returncode == 0, tests.stdout + tests.stderr
