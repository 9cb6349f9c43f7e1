"""The locks pin everything, name no address, and are what `make lock` would write."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from support.baking import ROOT, git, run_cookiecutter

GENERATED = ROOT / "{{cookiecutter.project_slug}}"
LOCKS = [
    GENERATED / "requirements.lock",
    GENERATED / "requirements-example.lock",
    ROOT / "requirements-dev.lock",
    ROOT / "requirements-odcs.lock",
]
LOCK = LOCKS[0].read_text(encoding="utf-8")
OPTIONAL = {
    "boosting": ("catboost", "lightgbm", "xgboost", "xgboost-cpu"),
    "deep": ("lightning", "torch"),
    "ray": ("ray",),
}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_lock_pins_everything_and_names_no_address(lock):
    text = lock.read_text(encoding="utf-8")
    requirements = re.split(r"\n(?=[a-z0-9])", text)
    assert len(requirements) > 1
    for requirement in requirements[1:]:
        assert re.match(r"[a-z0-9._-]+==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement
    assert not re.search(r"https?:|file:|--index|--find-links| @ |/tmp/", text)


def plain(requirement: str) -> str:
    return re.sub(r"[._]", "-", re.split(r"[<>=;\[ ]", requirement)[0]).lower()


def test_project_has_one_lock_and_one_for_its_example(bake):
    assert sorted(path.name for path in bake().rglob("*.lock")) == [
        "requirements-example.lock",
        "requirements.lock",
    ]


def test_lock_holds_all_that_the_runner_and_the_tools_need(bake):
    runner = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    project = tomllib.loads((bake() / "pyproject.toml").read_text(encoding="utf-8"))
    for requirement in (*runner["dependencies"], *project["dependency-groups"]["tools"]):
        assert re.search(rf"^{re.escape(plain(requirement))}==", LOCK, re.MULTILINE), requirement
    assert "\nml-experiment-runner" not in LOCK


@pytest.mark.parametrize("extra", OPTIONAL)
def test_what_an_extra_brings_stands_under_its_marker(extra):
    for name in OPTIONAL[extra]:
        lines = re.findall(rf"^{name}==.*", LOCK, re.MULTILINE)
        assert lines, name
        assert all(line.endswith(f"extra == '{extra}' \\") for line in lines), lines


def test_no_package_has_two_versions_for_one_machine():
    """What an extra brings has the versions of everything else."""
    base, versions = re.compile(r"^([a-z0-9._-]+)==(\S+)(?: ; (.*?))? \\$", re.MULTILINE), {}
    for name, version, marker in base.findall(LOCK):
        conditions = re.sub(r"(?: and )?\(?extra == '\w+'\)?", "", marker)
        assert versions.setdefault((name, conditions), version) == version, name


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_plain_installers_pass_over_what_extras_bring(tmp_path, installer):
    entries = re.findall(r"^[a-z][^\n]*\n(?:    [^\n]*\n)*", LOCK, re.MULTILINE)
    few = [one for one in entries if re.match(r"(threadpoolctl|graphviz|torch|ray)==", one)]
    lock = tmp_path / "requirements.lock"
    lock.write_text("".join(few), encoding="utf-8")
    command = {
        "uv": ["-m", "uv", "pip", "install", "--dry-run", "--target", str(tmp_path / "there")],
        "pip": ["-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps"],
    }[installer]
    done = subprocess.run(
        [sys.executable, *command, "--require-hashes", "--requirement", str(lock)],
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "threadpoolctl" in said
    assert not re.search(r"(\+|Would install.*) (graphviz|torch|ray)\b", said), said


def lock_again(project: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "tools/lock.py", *words], cwd=project, capture_output=True,
        encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return (project / "requirements.lock").read_text(encoding="utf-8")


def add_dependency(project: Path, requirement: str) -> None:
    path = project / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    assert "\ndependencies = [\n" in text
    path.write_text(
        text.replace("\ndependencies = [\n", f'\ndependencies = [\n  "{requirement}",\n', 1),
        encoding="utf-8",
    )


@pytest.mark.long
def test_locking_again_in_a_project_changes_nothing(bake):
    project = bake()
    lock_again(project)
    try:
        assert git(project, "diff", "--stat") == ""
    finally:
        git(project, "checkout", "--", ".")


@pytest.mark.long
def test_dependency_of_ones_own_is_locked_beside_the_rest(template, tmp_path):
    project = run_cookiecutter(template, tmp_path).project
    add_dependency(project, "more-itertools")
    text = lock_again(project)
    names = [set(re.findall(r"^([a-z0-9._-]+==\S+)", lock, re.MULTILINE)) for lock in (text, LOCK)]
    (added,) = names[0] - names[1]
    assert added.startswith("more-itertools==")
    assert not names[1] - names[0]


@pytest.mark.long
def test_extra_in_the_project_file_is_a_condition_no_more(template, tmp_path):
    project = run_cookiecutter(template, tmp_path).project
    add_dependency(project, "ml-experiment-runner[boosting]")
    text = lock_again(project)
    (line,) = re.findall(r"^lightgbm==.*", text, re.MULTILINE)
    assert "extra" not in line
    assert "extra == 'boosting'" not in text
    assert "extra == 'deep'" in text


def test_lock_that_cannot_reach_the_runner_is_one_line(template, tmp_path):
    project = run_cookiecutter(template, tmp_path).project
    pin = "ml-experiment-runner @ git+file:///nowhere/t@" + "1" * 40
    (project / "requirements-runner.txt").write_text(f"{pin}\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "tools/lock.py"], cwd=project, capture_output=True, encoding="utf-8",
        check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"Cannot install the runner from {pin} (")
    assert len(done.stderr.splitlines()) == 1
    assert (project / "requirements.lock").read_text(encoding="utf-8") == LOCK


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
    python = interpreter(version)
    project = run_cookiecutter(template, tmp_path).project
    uv_there = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": uv_there}
    del environment["PYTHONPATH"]  # with which tests give each process the runner of this tree
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
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert Path(shown.stdout.strip()).exists()
    again = subprocess.run(
        [python, "tools/setup.py"], cwd=project, capture_output=True, encoding="utf-8", check=True
    )
    assert again.stdout.startswith("The environment is up to date")
    tests = subprocess.run(
        [project / ".venv" / "bin" / "python", "-m", "pytest", "-q"],
        cwd=project,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert tests.returncode == 0, tests.stdout + tests.stderr
