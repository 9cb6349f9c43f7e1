"""An update brings the template's news and keeps what users have changed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from support.baking import ROOT, commit_all, git, run_cookiecutter

PROJECT = "{{cookiecutter.project_slug}}"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path}: {old}"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def work_as_users_do(project: Path) -> None:
    """A dependency, an experiment, a contract, features, README, a default, shared files."""
    edit(project / "pyproject.toml", "dependencies = [\n", 'dependencies = [\n  "tabulate",\n')
    experiment = (project / "conf" / "experiment" / "baseline.yaml").read_text(encoding="utf-8")
    (project / "conf" / "experiment" / "evenings.yaml").write_text(
        experiment.replace("baseline", "evenings"), encoding="utf-8"
    )
    edit(project / "signals" / "planes.yaml", "version: 1.0.0", "version: 1.1.0")
    append(project / "src" / "flight_delays" / "features.py", "\n# ours\n")
    append(project / "README.md", "\nOurs.\n")
    edit(project / "conf" / "config.yaml", "seed: 0", "seed: 7")
    append(project / ".gitignore", "/ours/\n")
    append(project / "CODEOWNERS", "/signals/planes.yaml @ours\n")
    edit(project / ".dvc" / "config", "../../flight-delays-data", "s3://ours/data")


def change_the_template(origin: Path) -> None:
    """What a newer version may bring, in the very files that users edit too."""
    project = origin / PROJECT
    edit(project / "conf" / "config.yaml", "minutes: 60", "minutes: 61")
    edit(project / "pyproject.toml", "[tool.cruft]", "# newer\n[tool.cruft]")
    edit(project / ".gitignore", "/outputs/\n", "/outputs/\n/newer/\n")
    edit(project / "CODEOWNERS", "# Who reviews what", "# Newer: who reviews what")
    newer = "analytics = false\n    autostage = false"
    edit(project / ".dvc" / "config", "analytics = false", newer)
    append(project / "src" / "runner" / "errors.py", "\n\nNEWER = True\n")
    (project / "src" / "runner" / "newer.py").write_text('"""Newer."""\n', encoding="utf-8")
    append(project / "README.md", "\nNewer.\n")
    append(project / "signals" / "planes.yaml", "# newer\n")
    append(project / "requirements.lock", "# newer\n")


def update(project: Path) -> str:
    command = [sys.executable, "-m", "cruft", "update", "--skip-apply-ask"]
    result = subprocess.run(
        command, cwd=project, capture_output=True, encoding="utf-8", check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.fixture
def updated(template, tmp_path):
    """A project with a user's changes, updated to a newer template."""
    origin = tmp_path / "origin"
    shutil.copytree(template, origin, symlinks=True)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(origin), str(clone))
    project = run_cookiecutter(clone, tmp_path / "out").project
    work_as_users_do(project)
    commit_all(project, "Ours")
    change_the_template(origin)
    commit = commit_all(origin, "Newer")
    update(project)
    return project, commit


def check_no_conflict(project: Path) -> None:
    assert not list(project.rglob("*.rej"))
    assert git(project, "diff", "--name-only", "--diff-filter=U") == ""
    for name in git(project, "ls-files").splitlines():
        assert "<<<<<<<" not in (project / name).read_text(encoding="utf-8"), name


def test_update_keeps_what_is_ours_and_brings_what_is_newer(updated):
    project, commit = updated
    check_no_conflict(project)

    def text(name: str) -> str:
        return (project / name).read_text(encoding="utf-8")

    assert '"tabulate"' in text("pyproject.toml")
    assert "# newer" in text("pyproject.toml")
    config = yaml.safe_load(text("conf/config.yaml"))
    assert (config["seed"], config["ablation"]["minutes"]) == (7, 61)
    assert {"/ours/", "/newer/"} <= set(text(".gitignore").splitlines())
    assert "@ours" in text("CODEOWNERS")
    assert "# Newer:" in text("CODEOWNERS")
    assert "s3://ours/data" in text(".dvc/config")
    assert "autostage = false" in text(".dvc/config")
    assert "NEWER = True" in text("src/runner/errors.py")
    assert (project / "src" / "runner" / "newer.py").exists()
    assert commit in text(".cruft.json")


def test_update_leaves_alone_what_is_ours(updated):
    project, _ = updated

    def text(name: str) -> str:
        return (project / name).read_text(encoding="utf-8")

    assert (project / "conf" / "experiment" / "evenings.yaml").exists()
    assert text("signals/planes.yaml").count("1.1.0") == 1
    assert "# newer" not in text("signals/planes.yaml")
    assert text("src/flight_delays/features.py").endswith("# ours\n")
    assert text("README.md").endswith("\nOurs.\n")
    assert "# newer" not in text("requirements.lock")


@pytest.mark.parametrize("code", ["{{ 7 * 7 }}", "{% set x = 1 %}", "{# x #}", "\\u007b{ 7 }}"])
def test_answer_that_would_run_as_code_stops_the_update(bake, tmp_path, code):
    project = tmp_path / "project"
    shutil.copytree(bake(), project)
    state = project / ".cruft.json"
    text = state.read_text(encoding="utf-8")
    state.write_text(text.replace('"Will a flight', f'"{code} Will a flight'), encoding="utf-8")
    before = git(project, "status", "--porcelain")
    result = subprocess.run(
        [sys.executable, "tools/update.py"],
        cwd=project,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 1
    assert "an answer holds template syntax" in result.stderr
    assert "git log -p .cruft.json" in result.stderr
    assert git(project, "status", "--porcelain") == before


def test_plain_answers_stop_no_update(bake):
    tools = bake() / "tools"
    code = "import update; print(update.answers_hold_code())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tools, capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout.strip() == "False"


def run_its_tests(project: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    result = subprocess.run(
        command, cwd=project, capture_output=True, encoding="utf-8", check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_updated_project_passes_its_tests(updated):
    project, _ = updated
    run_its_tests(project, "--deselect", "tests/standard/test_experiments.py")


@pytest.mark.long
def test_updated_project_passes_all_its_tests(updated):
    project, _ = updated
    run_its_tests(project)


def test_second_update_works_too(updated, tmp_path):
    project, _ = updated
    commit_all(project, "Updated")
    config = tmp_path / "origin" / PROJECT / "conf" / "config.yaml"
    edit(config, "minutes: 61", "minutes: 62")
    commit_all(tmp_path / "origin", "Newest")
    update(project)
    check_no_conflict(project)
    merged = yaml.safe_load((project / "conf" / "config.yaml").read_text(encoding="utf-8"))
    assert (merged["seed"], merged["ablation"]["minutes"]) == (7, 62)


def test_conflicts_are_found_in_hidden_folders_too(template, tmp_path):
    project = run_cookiecutter(template, tmp_path).project
    left = ["conf/config.yaml", "Makefile", ".github/workflows/ci.yml", ".dvc/config"]
    for name in [*left, ".git/config", ".venv/lib/theirs"]:
        path = project / f"{name}.rej"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    done = subprocess.run(
        [sys.executable, "-c", "import update; print(*update.conflicts(), sep='\\n')"],
        cwd=project / "tools",
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    found = {Path(line).as_posix() for line in done.stdout.splitlines()}
    assert found == {f"{name}.rej" for name in left}


def first_release() -> str | None:
    """The oldest commit of this repository that a project can be generated from."""
    commits = git(ROOT, "log", "--format=%H", "--reverse", "--", "hooks/post_gen_project.py")
    return next(iter(commits.split()), None)


@pytest.mark.long
def test_update_from_the_version_before_to_this_one(tmp_path):
    tags = git(ROOT, "tag", "--list", "v*", "--sort=-version:refname").split()
    old = tags[0] if tags else first_release()
    assert old is not None
    history = tmp_path / "history"
    git(tmp_path, "clone", "--quiet", str(ROOT), str(history))
    command = [sys.executable, "-m", "cruft", "create", str(history), "--no-input"]
    subprocess.run([*command, "--checkout", old, "--output-dir", str(tmp_path / "out")], check=True)
    project = tmp_path / "out" / "flight-delays"
    git(project, "init", "--quiet", "--initial-branch=main")
    commit_all(project, "Old")
    update(project)
    check_no_conflict(project)
