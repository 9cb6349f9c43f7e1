"""What the hooks refuse, what they finish, and what they leave alone."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.baking import IDENTITY, ROOT, commit_all, copy_template, git, run_cookiecutter

REFUSED = {
    "slug with a space": ({"project_slug": "a b"}, "letters a-z, digits"),
    "slug with a separator": ({"project_slug": "a/b"}, "letters a-z, digits"),
    "slug with a backslash": ({"project_slug": "a\\b"}, "letters a-z, digits"),
    "slug outside": ({"project_slug": "../outside"}, "letters a-z, digits"),
    "slug with two separators": ({"project_slug": "a/b//c"}, "letters a-z, digits"),
    "slug with a step back": ({"project_slug": "a/../b"}, "letters a-z, digits"),
    "slug with a line break": ({"project_slug": "a\nb"}, "letters a-z, digits"),
    "slug of dots": ({"project_slug": "..."}, "letters a-z, digits"),
    "slug of a device": ({"project_slug": "NUL"}, "device on Windows"),
    "package with a dash": ({"package_name": "a-b"}, "lower case letters"),
    "package with a digit first": ({"package_name": "7seas"}, "lower case letters"),
    "package in capitals": ({"package_name": "Flights"}, "lower case letters"),
    "keyword": ({"package_name": "class"}, "choose another name"),
    "standard library": ({"package_name": "test"}, "choose another name"),
    "dependency": ({"package_name": "mlflow"}, "choose another name"),
    "the runner": ({"package_name": "ml_experiment_runner"}, "choose another name"),
    "control character": ({"description": "a\x07b"}, "text, line breaks and tabs"),
}


def wait_until_removed(folder: Path) -> None:
    """The outer folders of a slug with separators are removed after cookiecutter has ended."""
    end = time.monotonic() + 20
    while list(folder.iterdir()) and time.monotonic() < end:
        time.sleep(0.02)


@pytest.mark.parametrize("case", REFUSED)
def test_refusal_is_one_clear_line_and_leaves_nothing(template, tmp_path, case):
    answers, expected = REFUSED[case]
    generation = run_cookiecutter(template, tmp_path / "inner", answers)
    lines = [line for line in generation.output.splitlines() if line.startswith("Refused: ")]
    assert generation.code != 0
    assert len(lines) == 1
    assert generation.output.startswith("Refused: ")
    assert expected in lines[0]
    assert next(iter(answers)) in lines[0]
    # cookiecutter's report of a hook that fails, which a hook cannot keep it from
    assert generation.output.count("Traceback") == 1
    assert generation.output.splitlines()[-1] == "Hook script failed (exit status: 1)"
    wait_until_removed(tmp_path / "inner")
    assert list((tmp_path / "inner").iterdir()) == []
    assert list(tmp_path.iterdir()) == [tmp_path / "inner"]


@pytest.fixture(scope="module")
def hook(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the hook defines, without answers."""
    path = tmp_path_factory.mktemp("hook") / "pre_gen_project.py"
    text = (ROOT / "hooks" / path.name).read_text(encoding="utf-8")
    path.write_text(text.replace("{{ cookiecutter|tojson }}", "{}"), encoding="utf-8")
    return runpy.run_path(str(path), run_name="hook")


PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@given(
    st.text(st.sampled_from("aZ0-_./\\ :~'\"é猫\n\t*?|;$&"), min_size=1, max_size=12).filter(
        lambda slug: not PLAIN.fullmatch(slug)
    )
)
def test_any_slug_that_is_no_folder_name_is_refused(hook: dict[str, Any], slug: str) -> None:
    refusal = hook["refusal"]
    answers = {
        "project_slug": slug, "package_name": "own", "_devices": "con", "_taken": "mlflow",
        **dict.fromkeys(("project_name", "description", "author_name", "author_email"), "any"),
    }  # fmt: skip
    assert "project_slug" in refusal(answers)
    assert "project_slug" not in (refusal(answers | {"project_slug": "own"}) or "")


@pytest.mark.parametrize(
    "answers",
    [
        {"project_slug": ""},
        {"project_slug": ".."},
        {"project_name": "{{ cookiecutter.nothing }}"},
        {"project_name": "{% if"},
        {"license": "GPL"},
    ],
    ids=str,
)
def test_what_fails_before_the_hooks_leaves_nothing(template, tmp_path, answers):
    generation = run_cookiecutter(template, tmp_path / "inner", answers)
    assert generation.code != 0
    assert list((tmp_path / "inner").iterdir()) == []
    assert list(tmp_path.iterdir()) == [tmp_path / "inner"]


def test_template_syntax_in_a_typed_answer_is_refused(template, tmp_path):
    # Typed answers are not rendered, so they arrive at the hook as they are.
    words = ["Name", "name", "name", "Is it {{ late }}?", "Ada", "ada@example.com", "1", "2", "3"]
    result = subprocess.run(
        [sys.executable, "-m", "cookiecutter", str(template), "-o", str(tmp_path)],
        input="\n".join(words) + "\n",
        env={**os.environ, **IDENTITY},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode != 0
    assert "Refused: description must be plain text" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_generation_makes_a_repository_with_one_commit(bake):
    project = bake()
    assert git(project, "rev-list", "--count", "HEAD").strip() == "1"
    assert git(project, "branch", "--show-current").strip() == "main"
    assert git(project, "status", "--porcelain") == ""


def test_generation_prints_the_next_two_commands(template, tmp_path):
    lines = run_cookiecutter(template, tmp_path).output.splitlines()
    assert lines == [
        "Next:",
        '  cd "flight-delays" && make setup',
        "  .venv/bin/python run.py +experiment=baseline",
    ]


def test_first_commit_needs_no_configured_identity(template, tmp_path):
    nobody = {**dict.fromkeys(IDENTITY, ""), "HOME": str(tmp_path), "GIT_CONFIG_GLOBAL": os.devnull}
    environment = {key: value for key, value in os.environ.items() if key not in IDENTITY}
    command = [sys.executable, "-m", "cookiecutter", str(template), "--no-input"]
    subprocess.run(
        [*command, "author_name=Zoë", "--output-dir", str(tmp_path / "out")],
        env={**environment, "HOME": nobody["HOME"], "GIT_CONFIG_GLOBAL": os.devnull},
        stdin=subprocess.DEVNULL,
        check=True,
    )
    assert git(tmp_path / "out" / "flight-delays", "log", "--format=%an").strip() == "Zoë"


def test_without_git_one_line_warns(template, tmp_path):
    (tmp_path / "bin").mkdir()
    generation = run_cookiecutter(
        template, tmp_path / "o", environment={"PATH": str(tmp_path / "bin")}
    )
    assert generation.code == 0, generation.output
    lines = generation.output.splitlines()
    assert [line for line in lines if "git is not installed" in line and "git init" in line]
    assert len(lines) == 6
    assert not (generation.project / ".git").exists()


def test_generation_inside_a_repository_leaves_that_alone(template, tmp_path):
    git(tmp_path, "init", "--quiet")
    (tmp_path / "own.txt").write_text("own\n", encoding="utf-8")
    commit = commit_all(tmp_path, "Own")
    generation = run_cookiecutter(template, tmp_path / "inner")
    assert generation.code == 0, generation.output
    assert "commit it there" in generation.output
    assert not (generation.project / ".git").exists()
    assert git(tmp_path, "rev-parse", "HEAD").strip() == commit
    assert git(tmp_path, "diff", "--cached", "--name-only") == ""


def test_ignored_folder_gets_a_repository_of_its_own(template, tmp_path):
    git(tmp_path, "init", "--quiet")
    (tmp_path / ".gitignore").write_text("build/\n", encoding="utf-8")
    generation = run_cookiecutter(template, tmp_path / "build")
    assert (generation.project / ".git").is_dir()


def test_existing_repository_is_not_touched(template, tmp_path):
    project = tmp_path / "flight-delays"
    project.mkdir()
    git(project, "init", "--quiet")
    (project / "own.txt").write_text("own\n", encoding="utf-8")
    commit = commit_all(project, "Own")
    command = [sys.executable, "-m", "cookiecutter", str(template), "--no-input"]
    result = subprocess.run(
        [*command, "--overwrite-if-exists", "--output-dir", str(tmp_path)],
        env={**os.environ, **IDENTITY},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert "nothing is committed" in result.stdout
    assert "cruft link" in result.stdout
    assert git(project, "rev-parse", "HEAD").strip() == commit
    assert git(project, "diff", "--cached", "--name-only") == ""
    assert not (project / ".cruft.json").exists()


def test_git_hook_that_generates_does_not_commit_elsewhere(template, tmp_path):
    git(tmp_path, "init", "--quiet", "other")
    environment = {"GIT_DIR": str(tmp_path / "other" / ".git"), "GIT_WORK_TREE": str(tmp_path)}
    generation = run_cookiecutter(template, tmp_path / "out", environment=environment)
    assert git(generation.project, "rev-list", "--count", "HEAD").strip() == "1"
    assert git(tmp_path / "other", "branch", "--all") == ""


def test_cruft_file_is_what_cruft_would_write(template, origin, bake):
    state = json.loads((bake() / ".cruft.json").read_text(encoding="utf-8"))
    answers = state["context"]["cookiecutter"]
    assert state["template"] == str(origin)
    assert state["commit"] == git(template, "rev-parse", "HEAD").strip()
    assert (state["checkout"], state["directory"]) == (None, None)
    assert answers["_template"] == state["template"]
    assert answers["_commit"] == state["commit"]
    assert answers["package_name"] == "flight_delays"


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("https://ada:secret@example.com/t.git", "https://example.com/t.git"),
        ("https://token@example.com/t.git", "https://example.com/t.git"),
        ("ssh://git:secret@example.com:22/t.git", "ssh://git@example.com:22/t.git"),
        ("git@example.com:team/t.git", "git@example.com:team/t.git"),
    ],
)
def test_cruft_file_holds_no_secret_of_the_url(origin, tmp_path, url, written):
    git(tmp_path, "clone", "--quiet", str(origin), "clone")
    git(tmp_path / "clone", "remote", "set-url", "origin", url)
    generation = run_cookiecutter(tmp_path / "clone", tmp_path / "out")
    text = (generation.project / ".cruft.json").read_text(encoding="utf-8")
    assert json.loads(text)["template"] == written
    assert "secret" not in text + generation.output


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "https://ada:secret@example.com/t.git",
            "of [the template](https://example.com/t.git) that",
        ),
        ("http://example.com:8080/a/t", "of [the template](http://example.com:8080/a/t) that"),
        ("ssh://git@example.com/t.git", "of the template (`ssh://git@example.com/t.git`) that"),
        ("git@example.com:team/t.git", "of the template (`git@example.com:team/t.git`) that"),
        ("https://example.com/a b(c)", "of the template that"),
        ("file:///srv/templates/t.git", "of the template that"),
        ("C:\\templates\\t", "of the template that"),
        (None, "of the template that"),
    ],
)
@pytest.mark.parametrize("under_cruft", [False, True])
def test_readme_says_where_the_docs_are(tmp_path, monkeypatch, url, shown, under_cruft):
    source = (ROOT / "hooks" / "post_gen_project.py").read_text(encoding="utf-8")
    hook: dict = {"__name__": "hook"}
    exec(source.replace("{{ cookiecutter|tojson }}", "{}"), hook)
    for name in ("README.md", "requirements-runner.txt"):
        shutil.copy(ROOT / "{{cookiecutter.project_slug}}" / name, tmp_path / name)
    folder = tmp_path / "clone"
    answers = {"_template": url or "../t", "_commit": "1" * 40, "_repo_dir": str(folder)}
    answers |= {"example": "flights"}
    if not under_cruft:
        del answers["_commit"]
        git(tmp_path, "init", "--quiet", str(folder))
        if url:
            git(folder, "remote", "add", "origin", url)
    hook |= {"ANSWERS": answers, "prune": lambda *_: None, "first_commit": lambda *_: None}
    monkeypatch.chdir(tmp_path)
    hook["main"]()
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert f"`docs/` {shown} this project comes from" in readme
    assert "secret" not in readme


@pytest.mark.parametrize("kind", ["no repository", "no origin", "changed"])
def test_template_not_found_again_gets_the_line_to_type(origin, tmp_path, kind):
    folder = tmp_path / "template"
    if kind == "no repository":
        copy_template(folder)
    else:
        git(tmp_path, "clone", "--quiet", str(origin), str(folder))
    if kind == "no origin":
        git(folder, "remote", "remove", "origin")
    if kind == "changed":
        (folder / "README.md").write_text("changed\n", encoding="utf-8")
    generation = run_cookiecutter(folder, tmp_path / "out")
    assert generation.code == 0, generation.output
    assert not (generation.project / ".cruft.json").exists()
    url = str(origin) if kind == "changed" else "<its URL>"
    assert f"cruft link {url}" in generation.output


def test_under_cruft_nothing_is_done_but_pruning_and_pinning(origin, tmp_path):
    command = [sys.executable, "-m", "cruft", "create", str(origin), "--no-input"]
    extra = ["--extra-context", '{"ci": "none"}', "--output-dir", str(tmp_path)]
    result = subprocess.run(
        [*command, *extra], capture_output=True, encoding="utf-8", check=True, env=os.environ
    )
    project = Path(tmp_path / "flight-delays")
    assert not (project / ".git").exists()
    assert not (project / ".github" / "workflows").exists()
    assert "Next:" not in result.stdout
    assert (project / ".cruft.json").exists()
    shutil.rmtree(project)
