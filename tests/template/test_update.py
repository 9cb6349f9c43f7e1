"""An update brings the template's news and keeps what users have changed."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from ml_experiment_runner.cli import update
from support.baking import ROOT, commit_all, copy_template, git, run_cookiecutter

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
    append(project / "tools" / "setup.py", "\n# newer\n")
    (project / "conf" / "newer.yaml").write_text("# newer\n", encoding="utf-8")
    edit(origin / "cookiecutter.json", '"_version": "0.2.0"', '"_version": "0.3.0"')
    edit(origin / "pyproject.toml", 'version = "0.2.0"', 'version = "0.3.0"')
    edit(origin / "CHANGELOG.md", "## Unreleased\n", "## Unreleased\n\n- Newer things.\n")
    append(project / "README.md", "\nNewer.\n")
    append(project / "signals" / "planes.yaml", "# newer\n")
    append(project / "requirements.lock", "# newer\n")


def update_by_cruft(project: Path) -> str:
    command = [sys.executable, "-m", "cruft", "update", "--skip-apply-ask"]
    result = subprocess.run(
        command, cwd=project, env={**os.environ, "PWD": str(project)},  # as a shell has it
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
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
    update_by_cruft(project)
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
    assert text("tools/setup.py").endswith("# newer\n")
    assert (project / "conf" / "newer.yaml").exists()
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


def run_update(project: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "run.py", "update", *words], cwd=project,
        env={**os.environ, **environment}, capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip


@pytest.mark.parametrize("code", ["{{ 7 * 7 }}", "{% set x = 1 %}", "{# x #}", "\\u007b{ 7 }}"])
def test_answer_that_would_run_as_code_stops_the_update(bake, tmp_path, code):
    project = tmp_path / "project"
    shutil.copytree(bake(), project)
    state = project / ".cruft.json"
    text = state.read_text(encoding="utf-8")
    state.write_text(text.replace('"Will a flight', f'"{code} Will a flight'), encoding="utf-8")
    before = git(project, "status", "--porcelain")
    result = run_update(project)
    assert result.returncode == 2
    assert "an answer contains template syntax" in result.stderr
    assert "git log -p .cruft.json" in result.stderr
    assert git(project, "status", "--porcelain") == before


def test_plain_answers_are_taken_by_the_update(bake):
    update.refuse_code(update.state(bake()))


def test_project_without_template_says_how_to_link_it(bake, tmp_path):
    project = shutil.copytree(bake(), tmp_path / "project")
    (project / ".cruft.json").unlink()
    result = run_update(project)
    assert result.returncode == 2
    assert result.stderr.startswith(".cruft.json is missing")
    assert "uvx cruft link <URL of the template>" in result.stderr
    (project / ".cruft.json").write_text("<<<<<<< ours\n", encoding="utf-8")
    result = run_update(project)
    assert result.returncode == 2
    assert result.stderr.startswith(".cruft.json cannot be read (")
    assert len(result.stderr.splitlines()) == 1


OLDER, NEWER = "1" * 40, "2" * 40
PINS = {
    "untouched": (
        f"# The runner\nml-experiment-runner @ git+https://example.com/t.git@{OLDER}\n",
        f"# The runner\nml-experiment-runner @ git+https://example.com/t.git@{NEWER}\n",
    ),
    "own address": (
        f"ml-experiment-runner @ git+ssh://git@mirror.example.com:22/ml/t@{'3' * 40}  # ours\n",
        f"ml-experiment-runner @ git+ssh://git@mirror.example.com:22/ml/t@{NEWER}  # ours\n",
    ),
    "own wheels": (
        "--find-links ../wheels\nml-experiment-runner==0.2.0\n",
        "--find-links ../wheels\nml-experiment-runner==0.3.0\n",
    ),
    "with hashes": (
        "ml-experiment-runner==0.2.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n",
        "ml-experiment-runner==0.3.0\n",
    ),
}


@pytest.mark.parametrize("kind", PINS)
def test_pin_moves_with_the_template_and_keeps_its_address(kind):
    before, after = PINS[kind]
    assert update.moved_pin(before, NEWER, "0.3.0") == after


def test_pin_to_a_wheel_must_be_moved_by_hand(tmp_path):
    pin = "ml-experiment-runner @ https://example.com/ml_experiment_runner-0.2.0-py3-none-any.whl\n"
    (tmp_path / "requirements-runner.txt").write_text(pin, encoding="utf-8")
    after = {"commit": NEWER, "context": {"cookiecutter": {"_version": "0.3.0"}}}
    note = update.move_pin(tmp_path, after)
    assert note is not None
    assert "check that it is runner 0.3.0" in note
    assert (tmp_path / "requirements-runner.txt").read_text(encoding="utf-8") == pin


def test_changelog_shows_what_was_not_there_before():
    before = "\n## Unreleased\n\n- One.\n- Two,\n  in two lines.\n\n## 0.1.0\n\n- Old.\n"
    after = "\n## Unreleased\n\n- Five.\n\n## 0.2.0\n\n- Three,\n  too.\n" + before.replace(
        "## Unreleased\n\n", ""
    )
    assert update.new_entries(before, after) == [
        "Unreleased", "- Five.", "0.2.0", "- Three,\n  too."
    ]  # fmt: skip
    assert update.new_entries(after, after) == []


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
    update_by_cruft(project)
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
    assert set(update.conflicts(project)) == {f"{name}.rej" for name in left}


# ---------------------------------------------------------------------- the command, as it is typed


def set_up(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Types a command where uv is, and no other runner than that of the environment."""
    environment = {key: os.environ[key] for key in os.environ if key != "PYTHONPATH"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment["PWD"] = str(project)  # as a shell has it
    return subprocess.run(
        [sys.executable, *words], cwd=project, env=environment, capture_output=True,
        encoding="utf-8", check=False,
    )  # fmt: skip


def runner_of(project: Path) -> str:
    code = "import importlib.metadata as m; print(m.version('ml-experiment-runner'))"
    command = [project / ".venv" / "bin" / "python", "-c", code]
    environment = {key: os.environ[key] for key in os.environ if key != "PYTHONPATH"}
    return subprocess.run(
        command, env=environment, capture_output=True, encoding="utf-8", check=True
    ).stdout.strip()


@pytest.mark.long
def test_update_moves_pin_and_environment_and_lists_news(template, tmp_path):
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    shutil.copytree(template, origin, symlinks=True)
    git(tmp_path, "clone", "--quiet", str(origin), str(clone))
    project = run_cookiecutter(clone, tmp_path / "out").project
    done = set_up(project, "tools/setup.py")
    assert done.returncode == 0, done.stdout + done.stderr
    work_as_users_do(project)
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message", "Ours")
    change_the_template(origin)
    commit = commit_all(origin, "Newer")
    done = set_up(project, "tools/update.py")
    assert done.returncode == 0, done.stdout + done.stderr
    check_no_conflict(project)
    pin = (project / "requirements-runner.txt").read_text(encoding="utf-8")
    assert pin.endswith(f"ml-experiment-runner @ git+{origin.as_uri()}@{commit}\n")
    assert runner_of(project) == "0.3.0"
    assert "\ntabulate==" in (project / "requirements.lock").read_text(encoding="utf-8")
    assert "New in the runner:\nUnreleased\n- Newer things.\n\n" in done.stdout


# ------------------------------------------------- from the last version with the runner vendored

VENDORED = "38242710c119225d3e1d392787970e2235ad4227"


def edit_every_file_that_users_edit(project: Path) -> None:
    """What a team writes over the months, below what is there and in its middle."""
    work_as_users_do(project)
    edit(project / "pyproject.toml", "dev = [\n", 'dev = [\n  "ipykernel",\n')
    own = '  "src/flight_delays",\n'
    edit(project / "pyproject.toml", own, f'{own}  "docs",\n')
    append(project / "pyproject.toml", "\n[tool.ours]\nours = true\n")
    append(project / "Makefile", "ours:    ## of our own\n\t$(PYTHON) ours.py\n")
    edit(project / "Dockerfile", "recommends git \\\n", "recommends git libgomp1 \\\n")
    append(project / "mypy.ini", "\n[mypy-ours.*]\nignore_missing_imports = True\n")
    append(project / "pytest.ini", "markers = ours: of our own\n")
    hook = "      - id: ours\n        name: ours\n        entry: ours\n        language: system\n"
    append(project / ".pre-commit-config.yaml", hook)
    for name in OURS_BELOW:
        append(project / name, "# ours\n")
    edit(project / "conf" / "model" / "lightgbm.yaml", "num_leaves: 31", "num_leaves: 63")
    edit(project / "conf" / "threshold" / "recall.yaml", "target: 0.8", "target: 0.85")
    append(project / "conf" / "tracking" / "server.yaml", "# ours\n")
    (project / "conf" / "model" / "own.yaml").write_text(
        "_target_: flight_delays.own.Own\n", encoding="utf-8"
    )
    (project / "tests" / "test_own.py").write_text(
        'def test_own():\n    """Ours."""\n', encoding="utf-8"
    )
    (project / "src" / "runner" / "__pycache__").mkdir(exist_ok=True)
    (project / "src" / "runner" / "__pycache__" / "left.cpython-311.pyc").touch()


OURS_BELOW = (
    ".dockerignore", ".dvcignore", ".env.example", ".github/workflows/ci.yml", "ruff.toml",
    "LICENSE", "requirements-example.in", "requirements.lock", "requirements-boosting.lock",
    "conf/dataset/flights.yaml", "conf/experiment/baseline.yaml",
)  # fmt: skip


@pytest.fixture(scope="module")
def vendored(tmp_path_factory) -> tuple[Path, Path, str]:
    """A project of then, edited, the template's history with this tree on top, and its commit."""
    folder = tmp_path_factory.mktemp("vendored")
    history = folder / "history"
    git(folder, "clone", "--quiet", "--no-checkout", str(ROOT), str(history))
    git(history, "checkout", "--quiet", "-B", "main", VENDORED)
    command = [sys.executable, "-m", "cruft", "create", str(history), "--no-input"]
    subprocess.run([*command, "--output-dir", str(folder / "out")], check=True)
    project = folder / "out" / "flight-delays"
    git(project, "init", "--quiet", "--initial-branch=main")
    commit_all(project, "Start")
    edit_every_file_that_users_edit(project)
    git(project, "add", ".")
    git(project, "commit", "--quiet", "--message", "Ours")
    git(history, "rm", "--quiet", "-r", ".")
    copy_template(history)
    return project, history, commit_all(history, "Now")


def check_that_the_runner_is_a_package_now(project: Path, history: Path, commit: str) -> None:
    check_no_conflict(project)
    pin = (project / "requirements-runner.txt").read_text(encoding="utf-8")
    assert pin.endswith(f"ml-experiment-runner @ git+{history.as_uri()}@{commit}\n")
    for name in ("src/runner", "src/hydra_plugins", "tests/standard", "tools/environment.py"):
        assert not git(project, "ls-files", name), name
    for name in ("Makefile", "CODEOWNERS", "pytest.ini", "Dockerfile", ".pre-commit-config.yaml"):
        text = (project / name).read_text(encoding="utf-8")
        assert "ours" in text or "libgomp1" in text, name
    for name, own in (("model/lightgbm", "num_leaves: 63"), ("threshold/recall", "0.85")):
        assert own in (project / "conf" / f"{name}.yaml").read_text(encoding="utf-8"), name
    options = {path.stem for path in (project / "conf" / "model").glob("*.yaml")}
    assert options == {"lightgbm", "own"}, "what was not changed comes with the runner now"
    project_file = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    assert project_file["project"]["dependencies"] == ["tabulate"]
    assert project_file["dependency-groups"]["dev"] == ["ipykernel"]
    assert "setuptools" in project_file["dependency-groups"]["tools"]
    assert {"docs", "requirements-runner.txt"} <= set(project_file["tool"]["cruft"]["skip"])


def test_update_from_the_vendored_runner_merges_what_is_ours(vendored, tmp_path):
    before, history, commit = vendored
    project = shutil.copytree(before, tmp_path / "project")
    update_by_cruft(project)
    git(project, "add", "--all")
    check_that_the_runner_is_a_package_now(project, history, commit)


@pytest.mark.long
def test_old_updater_goes_from_vendored_runner_to_package(vendored, tmp_path):
    before, history, commit = vendored
    project = shutil.copytree(before, tmp_path / "project")
    done = set_up(project, "tools/update.py")
    assert done.returncode == 0, done.stdout + done.stderr
    git(project, "add", "--all")
    check_that_the_runner_is_a_package_now(project, history, commit)
    for name in ("src/runner", "src/hydra_plugins", "requirements-boosting.lock"):
        assert not (project / name).exists(), name
    lock = (project / "requirements.lock").read_text(encoding="utf-8")
    assert "\ntabulate==" in lock
    assert "\nipykernel==" in lock
    assert "extra == 'boosting'" in lock
    assert runner_of(project) == "0.2.0"
    listed = subprocess.run(
        [project / ".venv" / "bin" / "python", "run.py"], cwd=project, capture_output=True,
        encoding="utf-8", check=True,
    )  # fmt: skip
    assert "+experiment=evenings" in listed.stdout
