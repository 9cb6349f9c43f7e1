"""Generated projects to look at: each combination of answers is generated once per session."""

import json
from pathlib import Path

import pytest

from support.baking import Generation, commit_all, copy_template, git, run_cookiecutter


@pytest.fixture(scope="session")
def origin(tmp_path_factory) -> Path:
    """The template as a repository with one commit."""
    folder = copy_template(tmp_path_factory.mktemp("origin") / "template")
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit_all(folder, "The template")
    return folder


@pytest.fixture(scope="session")
def template(origin, tmp_path_factory) -> Path:
    """A clean clone of the template."""
    folder = tmp_path_factory.mktemp("clone") / "template"
    git(folder.parent, "clone", "--quiet", str(origin), str(folder))
    return folder


@pytest.fixture(scope="session")
def bake(template, tmp_path_factory):
    """Generate with these answers, or give the project that has them already."""
    made: dict[str, Generation] = {}

    def generate(**answers: str) -> Path:
        key = json.dumps(answers, sort_keys=True)
        if key not in made:
            folder = tmp_path_factory.mktemp("bake")
            made[key] = run_cookiecutter(template, folder, answers)
            assert made[key].code == 0, made[key].output
        return made[key].project

    return generate
