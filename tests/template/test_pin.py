"""Which runner a new project is pinned to, and how it gets into the environment."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from support.baking import (
    IDENTITY,
    Generation,
    commit_all,
    copy_template,
    git,
    run_cookiecutter,
)

VERSION = "0.2.0"
FOUND = (
    "import importlib.metadata as m, importlib.util as u; "
    "print(m.version('ml-experiment-runner'), u.find_spec('ml_experiment_runner').origin)"
)


class Places(NamedTuple):
    """The template's repository, a clone of it, and where a project is to come."""

    origin: Path
    clone: Path
    out: Path


def pin_of(project: Path) -> str:
    lines = (project / "requirements-runner.txt").read_text(encoding="utf-8").splitlines()
    (pin,) = [line for line in lines if not line.startswith("#")]
    return pin


def remembered(project: Path) -> str:
    command = ["git", "config", "--local", "--get", "ml-experiment.runner"]
    done = subprocess.run(command, cwd=project, capture_output=True, encoding="utf-8", check=False)
    return done.stdout.strip()


def head(folder: Path) -> str:
    return git(folder, "rev-parse", "HEAD").strip()


@pytest.fixture
def clone(origin: Path, tmp_path: Path) -> Path:
    git(tmp_path, "clone", "--quiet", str(origin), "a clone")
    return tmp_path / "a clone"


# ---------------------------------------------------------------- each way to come to a project


def from_an_address(places: Places) -> Generation:
    config = places.out.with_suffix(".yaml")
    config.write_text(f"cookiecutters_dir: {places.out}-clones\n", encoding="utf-8")
    return run_cookiecutter(
        f"git+file://{places.origin}", places.out, environment={"COOKIECUTTER_CONFIG": str(config)}
    )


def from_a_clone(places: Places) -> Generation:
    return run_cookiecutter(places.clone, places.out)


def from_a_changed_clone(places: Places) -> Generation:
    (places.clone / "README.md").write_text("changed\n", encoding="utf-8")
    return run_cookiecutter(places.clone, places.out)


def from_a_clone_ahead_of_its_origin(places: Places) -> Generation:
    (places.clone / "README.md").write_text("changed\n", encoding="utf-8")
    commit_all(places.clone, "Not pushed")
    return run_cookiecutter(places.clone, places.out)


def from_a_repository_without_origin(places: Places) -> Generation:
    git(places.clone, "remote", "remove", "origin")
    return run_cookiecutter(places.clone, places.out)


def from_a_plain_folder(places: Places) -> Generation:
    shutil.rmtree(places.clone / ".git")
    return run_cookiecutter(places.clone, places.out)


def by_cruft(places: Places) -> Generation:
    places.out.mkdir()
    command = [sys.executable, "-m", "cruft", "create", str(places.origin), "--no-input"]
    done = subprocess.run(
        [*command, "--output-dir", str(places.out)], env={**os.environ, **IDENTITY},
        capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    project = places.out / "flight-delays"
    git(project, "init", "--quiet", "--initial-branch=main")
    commit_all(project, "Start")
    return Generation(places.out, done.stdout, 0)


WAYS = [
    from_an_address, from_a_clone, from_a_changed_clone, from_a_clone_ahead_of_its_origin,
    from_a_repository_without_origin, from_a_plain_folder, by_cruft,
]  # fmt: skip
AS_PUBLISHED = (from_an_address, from_a_clone, by_cruft)
HERE_ONLY = (from_a_changed_clone, from_a_clone_ahead_of_its_origin)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_pin_is_what_others_can_reach_and_folder_what_is_here(origin, clone, tmp_path, way):
    generation = way(Places(origin, clone, tmp_path / "out"))
    assert generation.code == 0, generation.output
    project = generation.project
    if way in (from_a_repository_without_origin, from_a_plain_folder):
        assert pin_of(project) == f"ml-experiment-runner=={VERSION}"
        assert "write one to requirements-runner.txt" in generation.output
    else:
        commit = head(clone) if way in HERE_ONLY else head(origin)
        assert pin_of(project) == f"ml-experiment-runner @ git+{origin.as_uri()}@{commit}"
    if way in AS_PUBLISHED:
        assert remembered(project) == ""
        assert "uses the runner" not in generation.output
    else:
        assert remembered(project) == str(clone)
        line = f"This machine uses the runner in {clone}"
        assert sum(line in written for written in generation.output.splitlines()) == 1
    if way in HERE_ONLY:
        assert "push it for your colleagues" in generation.output
    assert git(project, "status", "--porcelain") == ""


def test_pin_under_cruft_is_what_its_file_holds(origin, clone, tmp_path):
    project = by_cruft(Places(origin, clone, tmp_path / "out")).project
    state = json.loads((project / ".cruft.json").read_text(encoding="utf-8"))
    assert state["template"] == str(origin)
    address = Path(state["template"]).as_uri()
    assert pin_of(project) == f"ml-experiment-runner @ git+{address}@{state['commit']}"


def test_pin_of_an_archive_is_the_version(origin, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(f"cookiecutters_dir: {tmp_path}/clones\n", encoding="utf-8")
    git(origin, "archive", "--prefix=template/", f"--output={tmp_path}/template.zip", "HEAD")
    generation = run_cookiecutter(
        tmp_path / "template.zip",
        tmp_path / "out",
        environment={"COOKIECUTTER_CONFIG": str(config)},
    )
    assert generation.code == 0, generation.output
    assert pin_of(generation.project) == f"ml-experiment-runner=={VERSION}"
    assert remembered(generation.project) == ""
    assert "The template is an archive" in generation.output


@pytest.mark.parametrize(
    ("url", "pinned"),
    [
        ("https://ada:secret@example.com/t.git", "https://example.com/t.git"),
        ("ssh://git:secret@example.com:22/t.git", "ssh://git@example.com:22/t.git"),
        ("git@example.com:team/t.git", "ssh://git@example.com/team/t.git"),
        ("example.com:/srv/t.git", "ssh://example.com/srv/t.git"),
    ],
)
def test_pin_is_an_address_without_secrets(clone, tmp_path, url, pinned):
    git(clone, "remote", "set-url", "origin", url)
    generation = run_cookiecutter(clone, tmp_path / "out")
    assert pin_of(generation.project) == f"ml-experiment-runner @ git+{pinned}@{head(clone)}"
    assert "secret" not in generation.output


def test_pin_of_a_folder_typed_from_where_one_stands(clone, tmp_path):
    command = [sys.executable, "-m", "cookiecutter", "../a clone", "--no-input"]
    (tmp_path / "work").mkdir()
    environment = {**os.environ, **IDENTITY, "PWD": str(tmp_path / "work")}
    subprocess.run(
        [*command, "--output-dir", str(tmp_path / "out")],
        cwd=tmp_path / "work", env=environment, check=True,
    )  # fmt: skip
    assert pin_of(tmp_path / "out" / "flight-delays").endswith(f"@{head(clone)}")


@pytest.mark.parametrize("where", ["in a repository", "in an own repository", "without git"])
def test_folder_that_cannot_be_remembered_gets_the_line_to_type(clone, tmp_path, where):
    git(clone, "remote", "remove", "origin")
    out, environment = tmp_path / "out", {}
    out.mkdir()
    command = ["git", "init", "--quiet", str(out)]
    if where == "in an own repository":
        command[-1] = str(out / "flight-delays")
    if where == "without git":
        (tmp_path / "bin").mkdir()
        environment = {"PATH": str(tmp_path / "bin")}
    else:
        subprocess.run(command, check=True)
    words = ["--overwrite-if-exists"]
    done = subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(clone), "--no-input", *words],
        cwd=out, env={**os.environ, **IDENTITY, **environment, "PWD": str(out)},
        capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    assert f'make setup ARGS="--runner {clone}"' in done.stdout
    assert pin_of(out / "flight-delays") == f"ml-experiment-runner=={VERSION}"
    if where != "without git":
        assert remembered(out / "flight-delays") == ""


# -------------------------------------------------------------------------------- the environment


def set_up(project: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    uv_there = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    surroundings = {key: os.environ[key] for key in os.environ if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "tools/setup.py", *words], cwd=project, stdin=subprocess.DEVNULL,
        env={**surroundings, "PATH": uv_there, **environment},
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip


def in_environment(project: Path, code: str) -> str:
    surroundings = {key: os.environ[key] for key in os.environ if key != "PYTHONPATH"}
    done = subprocess.run(
        [project / ".venv" / "bin" / "python", "-c", code], cwd=project.parent, env=surroundings,
        capture_output=True, encoding="utf-8", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def lighten(project: Path) -> Path:
    """A lock of the few packages that a set-up itself needs, and one of an extra."""
    lock = project / "requirements.lock"
    entries = re.findall(r"^[a-z][^\n]*\n(?:    [^\n]*\n)*", lock.read_text("utf-8"), re.MULTILINE)
    chosen = [one for one in entries if re.match(r"(setuptools|uv|graphviz|msgpack)==", one)]
    assert len(chosen) == 4
    lock.write_text("".join(chosen), encoding="utf-8")
    (project / "requirements-example.lock").unlink(missing_ok=True)
    return project


@pytest.fixture
def light(clone: Path, tmp_path: Path) -> Path:
    """A project from a clone of the template, with a lock that installs fast."""
    return lighten(run_cookiecutter(clone, tmp_path / "out").project)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_set_up_installs_the_runner_from_where_it_is(origin, clone, tmp_path, way):
    project = lighten(way(Places(origin, clone, tmp_path / "out")).project)
    done = set_up(project)
    assert done.returncode == 0, done.stdout + done.stderr
    version, place = in_environment(project, FOUND).split(" ", 1)
    assert version == VERSION
    if way in AS_PUBLISHED:
        assert project / ".venv" in Path(place).parents
        assert f"the runner is {pin_of(project)}" in done.stdout
    else:
        assert clone / "src" in Path(place).parents
        assert f"the runner is the checkout {clone}" in done.stdout


@pytest.mark.long
@pytest.mark.parametrize(
    "way", [from_an_address, from_a_changed_clone], ids=lambda way: way.__name__
)
def test_set_up_with_all_of_the_lock_imports_the_runner(origin, clone, tmp_path, way):
    project = way(Places(origin, clone, tmp_path / "out")).project
    done = set_up(project)
    assert done.returncode == 0, done.stdout + done.stderr
    in_environment(project, "import ml_experiment_runner; ml_experiment_runner.compose")
    listed = subprocess.run(
        [project / ".venv" / "bin" / "python", "run.py"], cwd=project, capture_output=True,
        encoding="utf-8", check=True,
    )  # fmt: skip
    assert "+experiment=baseline" in listed.stdout


def test_set_up_twice_does_nothing_the_second_time(light):
    assert set_up(light).returncode == 0
    again = set_up(light, PATH="")
    assert again.stdout == f"The environment is up to date; the runner is {pin_of(light)}.\n"
    assert again.stderr == ""


def test_set_up_works_offline_with_what_the_cache_holds(light, origin):
    assert set_up(light).returncode == 0
    shutil.rmtree(light / ".venv")
    away = origin.rename(origin.with_name("away"))
    try:
        done = set_up(light, UV_OFFLINE="1")
    finally:
        away.rename(origin)
    assert done.returncode == 0, done.stdout + done.stderr
    assert in_environment(light, FOUND).startswith(VERSION)


def test_checkout_is_editable_until_the_pin_is_asked_for(light, clone):
    folder = copy_template(clone.with_name("checkout"))
    done = set_up(light, "--runner", "../../checkout")
    assert f"the runner is the checkout {folder}" in done.stdout, done.stderr
    assert Path(in_environment(light, FOUND).split(" ", 1)[1]).is_relative_to(folder)
    assert set_up(light).stdout.startswith("The environment is up to date")
    assert git(light, "status", "--porcelain", "--", "requirements-runner.txt") == ""
    assert set_up(light, "--runner", "pin").returncode == 0
    assert remembered(light) == ""
    assert (light / ".venv") in Path(in_environment(light, FOUND).split(" ", 1)[1]).parents


def test_newer_pin_is_installed_by_the_next_set_up(light, origin, tmp_path):
    assert set_up(light).returncode == 0
    newer = tmp_path / "newer"
    git(tmp_path, "clone", "--quiet", str(origin), str(newer))
    about = newer / "pyproject.toml"
    text = about.read_text(encoding="utf-8").replace(f'version = "{VERSION}"', 'version = "0.9.0"')
    about.write_text(text, encoding="utf-8")
    pin = f"ml-experiment-runner @ git+{newer.as_uri()}@{commit_all(newer, 'Newer')}"
    (light / "requirements-runner.txt").write_text(f"# ours\n{pin}\n", encoding="utf-8")
    assert set_up(light).returncode == 0
    assert in_environment(light, FOUND).startswith("0.9.0 ")


def test_wheel_can_be_the_runner_of_a_set_up_and_of_a_pin(light, clone, tmp_path):
    assert set_up(light).returncode == 0
    command = "from setuptools import build_meta; print(build_meta.build_wheel('../wheels'))"
    built = subprocess.run(
        [light / ".venv" / "bin" / "python", "-c", command], cwd=clone, capture_output=True,
        encoding="utf-8", check=True,
    )  # fmt: skip
    wheel = tmp_path / "wheels" / built.stdout.splitlines()[-1]
    done = set_up(light, "--runner", str(wheel))
    assert f"the runner is the wheel {wheel}" in done.stdout, done.stderr
    set_up(light, "--runner", "pin")
    pin = f"ml-experiment-runner @ {wheel.as_uri()}"
    (light / "requirements-runner.txt").write_text(f"{pin}\n", encoding="utf-8")
    done = set_up(light)
    assert f"the runner is {pin}" in done.stdout, done.stderr


UNREACHABLE = {
    "commit that is not there": "ml-experiment-runner @ git+{origin}@" + "1" * 40,
    "repository that is not there": "ml-experiment-runner @ git+file:///nowhere/t@" + "1" * 40,
    "version that no index has": "ml-experiment-runner==99.0",
    "wheel that is not there": "ml-experiment-runner @ file:///nowhere/ml_experiment_runner-1-py3"
    "-none-any.whl",
}


@pytest.mark.parametrize("case", UNREACHABLE)
def test_unreachable_pin_is_one_line_with_advice(light, origin, case):
    pin = UNREACHABLE[case].format(origin=origin.as_uri())
    (light / "requirements-runner.txt").write_text(f"{pin}\n", encoding="utf-8")
    done = set_up(light)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"Cannot install the runner from {pin} (")
    assert 'make setup ARGS="--runner <folder or wheel>"' in line
    assert not (light / ".venv" / "installed.txt").exists()


@pytest.mark.parametrize("text", ["", "# nothing\n", "ml-experiment-runner==1\nhydra-core==1\n"])
def test_pin_file_without_exactly_one_line_is_refused(light, text):
    (light / "requirements-runner.txt").write_text(text, encoding="utf-8")
    done = set_up(light)
    assert done.returncode == 1
    assert done.stderr.startswith("requirements-runner.txt must name the runner in one line")
    assert len(done.stderr.splitlines()) == 1


def test_folder_without_runner_is_refused(light, tmp_path):
    done = set_up(light, "--runner", str(tmp_path))
    assert done.returncode == 1
    assert "must be a checkout of the template or a wheel" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert remembered(light) == ""


def test_extra_is_installed_when_chosen_and_stays(light):
    installed = (
        "import importlib.metadata as m; "
        "print(*sorted(d.name for d in m.distributions() if d.name in ('graphviz', 'msgpack')))"
    )
    assert set_up(light).returncode == 0
    assert in_environment(light, installed) == ""
    assert set_up(light, "boosting").returncode == 0
    assert in_environment(light, installed) == "graphviz"
    assert set_up(light, "ray").returncode == 0
    assert in_environment(light, installed) == "graphviz msgpack"
    assert set_up(light).stdout.startswith("The environment is up to date")
    refused = set_up(light, "rays")
    assert (refused.returncode, refused.stderr) == (
        1,
        "unknown extra 'rays'; choose from boosting, ray.\n",
    )


def test_environment_runs_its_python_from_any_shell(light):
    assert set_up(light).returncode == 0
    done = set_up(light, "--python", "-c", "import sys; print(sys.prefix); sys.exit(7)")
    assert (done.stdout.strip(), done.returncode) == (str(light / ".venv"), 7)
