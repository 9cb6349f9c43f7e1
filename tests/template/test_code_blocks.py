"""What the pages tell to write and to type is put into projects and passes their checks."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from support.baking import CHECKS
from support.pages import ROOT, Block, blocks, commands, put, put_part

GENERATED = "{{cookiecutter.project_slug}}/README.md"
PAGES = [
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")),
    *("README.md", "CONTRIBUTING.md", GENERATED),
]
MAKES = ("python -c ", "python data/", "python run.py new ")
"""How commands begin whose files later blocks build on."""
STANDARD = [f"tests/standard/test_{name}.py" for name in
            ("configuration", "literal_thresholds", "signals")]  # fmt: skip


class Home(NamedTuple):
    """A project that code of some pages is put into."""

    answers: dict[str, str]
    pages: list[str]


EMPTY = ["docs/how-to/own-data.md", "docs/how-to/two-tables.md"]
HOMES = {
    "flights": Home({}, [page for page in PAGES if page not in EMPTY]),
    "own-data": Home({"example": "none"}, EMPTY[:1]),
    "two-tables": Home({"example": "none"}, EMPTY[1:]),
    "readme": Home({"example": "none", "project_name": "Flight Delays"}, [GENERATED]),
}


def text_of(page: str, project: Path) -> str:
    """A page's source; of the generated README what a project has."""
    path = project / "README.md" if page == GENERATED else ROOT / page
    return path.read_text(encoding="utf-8")


@cache
def benchmarks() -> set[str]:
    """The files that the pages of `make bench` quote; they are run to write those pages."""
    suffixes = (".py", ".toml", ".yaml", ".yml")
    paths = [path for path in (ROOT / "benchmarks").rglob("*.*") if path.suffix in suffixes]
    return {path.read_text(encoding="utf-8").strip() for path in paths}


def has_home(block: Block) -> bool:
    """Whether it is known where a block belongs."""
    if block.kind in ("", "bash", "console", "text"):
        return True
    is_placed = block.kind in ("python", "yaml") and bool(block.path or block.is_part)
    return is_placed or block.text.strip() in benchmarks()


@pytest.mark.parametrize("page", PAGES)
def test_code_block_says_where_it_belongs(bake, page: str) -> None:
    for answers in ({}, {"example": "none"}):
        text = text_of(page, bake(**answers))
        assert len(re.findall(r"^ *```", text, re.MULTILINE)) == 2 * len(blocks(text))
        homeless = [block for block in blocks(text) if not has_home(block)]
        assert not homeless, f"{page}: say in the title where it belongs, see pages.py: {homeless}"


@pytest.mark.parametrize(
    ("fence", "homely"),
    [
        ('```yaml title="conf/x/y.yaml"', True),
        ('```python title="src/x/y.py, inside FEATURES"', True),
        ('```yaml title="servers: anywhere"', True),
        ("```python", False),
        ('```yaml title="somewhere"', False),
        ('```toml title="conf/x.toml"', False),
        ("```console", True),
    ],
)
def test_new_block_without_a_home_is_noticed(fence: str, homely: bool) -> None:
    (block,) = blocks(f"{fence}\na: 1\n```\n")
    assert has_home(block) is homely


ADA = {
    "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "Ada",
}  # fmt: skip
"""Who works in the project: her experiments have an owner."""


@pytest.fixture(scope="module", params=HOMES)
def laid(request, bake, tmp_path_factory) -> tuple[Path, list[str]]:
    """A project with the code of its pages in it, and the pages."""
    home = HOMES[request.param]
    project = tmp_path_factory.mktemp(request.param) / "flight-delays"
    shutil.copytree(bake(**home.answers), project)
    for page in home.pages:
        parts: list[list[Block]] = []
        for block in blocks(text_of(page, project)):
            if block.kind in ("", "bash", "console"):
                for command, _ in commands(block):
                    if command.startswith(MAKES) and "~" not in command:
                        run(project, "bash", "-c", command, **ADA)
            elif block.is_part:
                # further parts go with the servers before them
                if not block.is_servers and parts and parts[-1][0].is_servers:
                    parts[-1].append(block)
                else:
                    parts.append([block])
            elif block.path and block.kind in ("python", "yaml"):
                put(project, block)
        for number, part in enumerate(parts):
            put_part(project, f"{Path(page).stem.replace('-', '_')}_{number}", part)
    return project, home.pages


def run(project: Path, *words: str, **variables: str) -> str:
    """Run a command that must succeed in a project."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        words,
        cwd=project,
        env={**os.environ, "PATH": path, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}"
    return done.stdout


def test_code_of_the_pages_passes_make_lint(laid: tuple[Path, list[str]]) -> None:
    project, _ = laid
    for check in CHECKS.values():
        run(project, sys.executable, *check, PYTHONPATH=str(project / "src"), PYTHONUTF8="1")


def test_code_of_the_pages_passes_the_standard_tests(laid: tuple[Path, list[str]]) -> None:
    project, pages = laid
    # whether features compute is seen where the pages are followed
    left_out = "features_compute" if len(pages) > 1 else "features_compute and not choice_composes"
    words = ("-q", "-p", "no:cacheprovider", "-k", f"not {left_out}")
    run(project, sys.executable, "-m", "pytest", *words, *STANDARD)


UNDERSTAND = """
import json, sys
from hydra.core.override_parser.overrides_parser import OverridesParser
from ml_experiment_runner.cli.app import COMMANDS
from ml_experiment_runner.config.composition import compose
from ml_experiment_runner.dataset.plan import make_plan
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.training.models.groups import check_ensemble
from ml_experiment_runner.config.parameters import check_model

def first(word, is_sweep):
    "An override with the first of the values that a sweep takes."
    override = OverridesParser.create().parse_override(word)
    if not override.is_sweep_override():
        return word
    if not is_sweep:
        raise UserError("several values are a sweep: add -m")
    value = override.value()
    value = (next(iter(override.sweep_string_iterator())) if override.is_discrete_sweep()
             else int(value.start) if value.start >= 1 else value.start)
    return f"{override.get_key_element()}={value}"

def check(words):
    is_sweep = "-m" in words
    words = [word for word in words if word != "-m"]
    if not words or words[0].startswith("resume="):  # its overrides are in the record
        return
    if "=" not in words[0] and words[0][0] not in "+-~":
        if words[0] not in COMMANDS:
            raise UserError("unknown command")
        return
    config = compose(*(first(word, is_sweep) for word in words))
    check_model(config)
    if "dataset" in config.task.get("uses", []):
        config.dataset.pin = {}  # no version has been received
        plan = make_plan(config)
        check_ensemble(config, plan)

for words in json.load(sys.stdin):
    try:
        answer = check(words)
    except UserError as error:
        answer = str(error)
    print(json.dumps(answer))
"""


def typed(pages: list[str], project: Path) -> Iterator[tuple[str, list[str], bool]]:
    """What follows `python run.py` in the pages, and whether it is to be refused."""
    for page in pages:
        text = text_of(page, project)
        for block in blocks(text):
            if block.kind not in ("", "bash", "console"):
                continue
            for command, _ in commands(block):
                if not command.startswith("python run.py"):
                    continue
                words = shlex.split(re.sub(r"<[^>]*>", "…", command))[2:]
                words = [word for word in words if "…" not in word]
                yield f"{page}: {command}", words, "exit code 2" in block.title


def test_commands_of_the_pages_are_understood(laid: tuple[Path, list[str]]) -> None:
    project, pages = laid
    known = list(typed(pages, project))
    done = subprocess.run(
        [sys.executable, "-c", UNDERSTAND],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project / "src"), "MLFLOW_TRACKING_URI": "http://a"},
        input=json.dumps([words for _, words, _ in known]),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    wrong = [f"{command}: {answer}" for (command, _, refused), answer
             in zip(known, answers, strict=True) if bool(answer) is not refused]  # fmt: skip
    assert not wrong, "\n".join(wrong)
