"""`make demo`: whose experiments they are."""

import importlib
import os
import subprocess

import pytest

from support.baking import ROOT


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


def test_demo_belongs_to_whom_git_knows(author) -> None:
    assert author(name="Ada", email="ada@example.org") == [
        "author_name=Ada",
        "author_email=ada@example.org",
    ]


@pytest.mark.parametrize("known", [{}, {"name": "{{ 7 * 7 }}", "email": "{% x %}"}])
def test_demo_of_nobody_pretends_no_name(author, known) -> None:
    assert author(**known) == [
        "author_name=Whoever runs the demo",
        "author_email=demo@example.com",
    ]
