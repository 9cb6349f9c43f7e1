"""`make demo`: whose experiments they are, and when its project is made anew."""

import importlib
import os
import subprocess
import sys

import pytest

from support.baking import ROOT, copy_template


@pytest.fixture
def author(monkeypatch, tmp_path):
    """What the demo answers about the author, with this in git's configuration."""
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    demo = importlib.import_module("demo")

    def answers(**known: str) -> list[str]:
        for key, value in known.items():
            command = ["git", "config", "--file", str(tmp_path / "gitconfig"), f"user.{key}", value]
            subprocess.run(command, check=True)
        return demo.author()

    return answers


def test_demo_has_the_author_of_git(author) -> None:
    assert author(name="Ada", email="ada@example.org") == [
        "author_name=Ada",
        "author_email=ada@example.org",
    ]


@pytest.mark.parametrize("known", [{}, {"name": "{{ 7 * 7 }}", "email": "{% x %}"}])
def test_demo_without_git_user_has_a_placeholder(author, known) -> None:
    assert author(**known) == [
        "author_name=Demo",
        "author_email=demo@example.com",
    ]


def digest_in(template) -> str:
    code = "import sys; sys.path.insert(0, 'tools'); import demo; print(demo.template_digest())"
    command = [sys.executable, "-B", "-c", code]
    return subprocess.run(
        command, cwd=template, capture_output=True, encoding="utf-8", check=True
    ).stdout


def test_demo_is_made_anew_for_the_template_only(tmp_path) -> None:
    template = copy_template(tmp_path / "template")
    before = digest_in(template)
    runner = template / "src" / "ml_experiment_runner" / "__init__.py"
    runner.write_text(runner.read_text(encoding="utf-8") + "\nNEWER = True\n", encoding="utf-8")
    assert digest_in(template) == before
    (template / "{{cookiecutter.project_slug}}" / "Makefile").write_text("", encoding="utf-8")
    assert digest_in(template) != before


@pytest.mark.long
def test_demo_uses_the_runner_of_the_working_tree(tmp_path) -> None:
    template = copy_template(tmp_path / "template")
    environment = {key: os.environ[key] for key in os.environ if key != "PYTHONPATH"}
    command = [sys.executable, "tools/demo.py"]
    subprocess.run(command, cwd=template, env=environment, check=True)
    project = template / "build" / "demo" / "flight-delays"
    code = "import ml_experiment_runner as runner; print(runner.__file__)"
    shown = subprocess.run(
        [project / ".venv" / "bin" / "python", "-c", code], cwd=tmp_path, env=environment,
        capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    assert shown.stdout.startswith(str(template / "src"))
    (template / "src" / "ml_experiment_runner" / "newer.py").write_text('"""Newer."""\n')
    again = subprocess.run(
        command, cwd=template, env=environment, capture_output=True, encoding="utf-8", check=True
    )
    assert f"{project} is up to date." in again.stdout
    assert again.stdout.count("The environment is up to date") == 2
    assert "Installing" not in again.stdout
