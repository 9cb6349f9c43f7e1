"""What is generated for which answers."""

import ast
import configparser
import importlib
import json
import keyword
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from cookiecutter.generate import generate_context
from cookiecutter.main import cookiecutter
from cookiecutter.prompt import prompt_for_config
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jinja2 import Environment, FileSystemLoader
from markdown_it import MarkdownIt
from omegaconf import OmegaConf

from support.baking import git, run_cookiecutter

ROOT = Path(__file__).resolve().parents[2]
OPTIONS = [
    {},
    {"example": "none", "ci": "gitlab", "license": "Apache-2.0"},
    {"example": "none", "ci": "none", "license": "none"},
    {"ci": "gitlab", "license": "BSD-3-Clause"},
    {"ci": "none", "license": "none"},
    {"example": "none", "ci": "github", "license": "MIT"},
]
ALL_OPTIONS = [
    {"example": example, "ci": ci, "license": license_name}
    for example in ("flights", "none")
    for ci in ("github", "gitlab", "none")
    for license_name in ("MIT", "Apache-2.0", "BSD-3-Clause", "none")
]
# What belongs to one choice, by path from the project's folder.
ONLY_FOR = {
    ("example", "flights"): re.compile(
        r"conf/(dataset|experiment)/|signals/|requirements-example\.|src/\w+/features\.py"
    ),
    ("ci", "github"): re.compile(r"\.github/workflows/"),
    ("ci", "gitlab"): re.compile(r"\.gitlab-ci\.yml"),
}
TEXT = {
    "project_name": "O'Brien's \"Große\" 飛行機 ✈ \\d ${x} <b>*a*</b> `c` [l](u) # |",
    "description": "First line\nsecond: 'line' \"\"\" ''' ${oc.env:HOME} \\ \t 🛫 - 1. #{} %d %",
    "author_name": 'Zoë "Z" ${x} O\'Neil\\n \U0001f600',
    "author_email": "zoë@example.com",
}


def generated_files(project: Path) -> set[str]:
    return set(git(project, "ls-files", "-z").split("\0")) - {""}


def expected_files(answers: dict[str, str]) -> set[str]:
    chosen = {"example": "flights", "ci": "github", "license": "MIT", **answers}
    names = set(git(ROOT, "ls-files", "-z", "-co", "--exclude-standard").split("\0"))
    prefix = "{{cookiecutter.project_slug}}/"
    files = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
    files = {name.replace("{{cookiecutter.package_name}}", "flight_delays") for name in files}
    for (question, choice), pattern in ONLY_FOR.items():
        if chosen[question] != choice:
            files = {name for name in files if not pattern.match(name)}
    if chosen["license"] == "none":
        files.discard("LICENSE")
    return files | {".cruft.json"}


def options_id(answers: dict[str, str]) -> str:
    return "-".join(answers.values()) or "default"


@pytest.mark.parametrize("answers", OPTIONS, ids=options_id)
def test_generation_makes_exactly_the_files_of_the_choices(bake, answers):
    assert generated_files(bake(**answers)) == expected_files(answers)


@pytest.mark.long
@pytest.mark.parametrize("answers", ALL_OPTIONS, ids=options_id)
def test_generation_makes_exactly_the_files_of_any_choices(bake, answers):
    assert generated_files(bake(**answers)) == expected_files(answers)


@pytest.mark.parametrize("answers", OPTIONS, ids=options_id)
def test_generated_files_hold_nothing_of_the_template(bake, answers):
    project = bake(**answers)
    for name in sorted(generated_files(project) - {".cruft.json"}):
        text = (project / name).read_text(encoding="utf-8")
        assert text.strip(), f"{name} is empty"
        without_expressions = re.sub(r"\$\{\{.*?\}\}", "", text)
        assert "{{" not in without_expressions, name
        assert "{%" not in text, name
        assert "cookiecutter" not in text.lower(), name
        assert not re.search(r"\bTODO\b|\bFIXME\b", text), name
        assert "\r" not in text, name
    assert len((project / "README.md").read_text(encoding="utf-8").splitlines()) <= 66


# What no program runs or evaluates.
TEXTS = re.compile(
    r"README.md|LICENSE|\.env\.example|\.(git|docker|dvc)ignore|(\.dvc|data/signals)/\.gitignore"
)


@pytest.mark.parametrize("answers", OPTIONS, ids=options_id)
def test_codeowners_covers_every_file_that_runs_code(bake, answers):
    project = bake(**answers)
    lines = (project / "CODEOWNERS").read_text(encoding="utf-8").splitlines()
    rules = [line.split() for line in lines if line and not line.startswith("#")]
    assert all(len(rule) == 2 and rule[1] == "you@example.com" for rule in rules)
    files = generated_files(project) | {"consumers.yaml", "conf/model/own.yaml", "signals/own.yaml"}
    uncovered = [
        name for name in files
        if not TEXTS.fullmatch(name) and not any(owns(pattern, name) for pattern, _ in rules)
    ]  # fmt: skip
    assert not uncovered


def owns(pattern: str, name: str) -> bool:
    """Whether a pattern of CODEOWNERS matches: a folder with all in it, or the root's own files."""
    if pattern == "/*":
        return "/" not in name
    return pattern.startswith("/") and pattern.endswith("/") and f"/{name}".startswith(pattern)


@pytest.mark.parametrize(
    ("email", "owner"),
    [
        ("ada+ml@mail.example.com", "ada+ml@mail.example.com"),
        (" ada@example.com\n", "ada@example.com"),
        ("", "@your-organisation/your-team"),
        ("ada", "@your-organisation/your-team"),
        ("@ada", "@your-organisation/your-team"),
        ("ada@example.com # or bob", "@your-organisation/your-team"),
        ("a b@example.com", "@your-organisation/your-team"),
        ("zoë@example.com", "@your-organisation/your-team"),
        ("a@b@c", "@your-organisation/your-team"),
        ("ada@example.com\n/src/ @eve", "@your-organisation/your-team"),
    ],
)
def test_codeowners_names_the_author_or_a_team(email, owner):
    environment = Environment(loader=FileSystemLoader(ROOT / "templates"), autoescape=False)
    template = '{%- from "text.jinja" import reviewer -%}{{ reviewer(email) }}'
    assert environment.from_string(template).render(email=email) == owner


@pytest.mark.parametrize("name", ["MIT", "Apache-2.0", "BSD-3-Clause"])
def test_licence_is_complete(bake, name):
    text = (bake(license=name) / "LICENSE").read_text(encoding="utf-8")
    first, last = {
        "MIT": ("MIT License", "SOFTWARE."),
        "Apache-2.0": ("Apache License", "limitations under the License."),
        "BSD-3-Clause": ("BSD 3-Clause License", "POSSIBILITY OF SUCH DAMAGE."),
    }[name]
    assert text.strip().startswith(first)
    assert text.strip().endswith(last)
    if name != "Apache-2.0":
        assert re.search(r"Copyright \(c\) 20\d\d Your Name", text)


def shown_text(markdown: str, tag: str) -> str:
    tokens = MarkdownIt().parse(markdown)
    opening = next(i for i, token in enumerate(tokens) if token.type == f"{tag}_open")
    children = tokens[opening + 1].children or []
    return "".join(token.content for token in children)


def check_free_text(project: Path, answers: dict[str, str]) -> None:
    """Every answer comes out as itself, in every format."""
    one_line = {key: " ".join(value.split()) for key, value in answers.items()}
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert metadata["description"] == one_line["description"]
    assert metadata["authors"] == [
        {"name": one_line["author_name"], "email": one_line["author_email"]}
    ]
    readme = (project / "README.md").read_text(encoding="utf-8")
    assert shown_text(readme, "heading") == one_line["project_name"]
    assert shown_text(readme, "paragraph") == one_line["description"]
    baseline = OmegaConf.load(project / "conf" / "experiment" / "baseline.yaml")
    assert baseline.experiment.owner == answers["author_name"]
    licence = (project / "LICENSE").read_text(encoding="utf-8")
    assert one_line["author_name"] in licence
    state = json.loads((project / ".cruft.json").read_text(encoding="utf-8"))
    assert {**state["context"]["cookiecutter"], **answers} == state["context"]["cookiecutter"]


def check_syntax(project: Path) -> None:
    """Every file can be read by what reads its format."""
    for path in project.rglob("*"):
        if not path.is_file() or ".git" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        if path.suffix in (".yaml", ".yml"):
            yaml.safe_load(text)
        elif path.suffix == ".toml":
            tomllib.loads(text)
        elif path.suffix == ".py":
            ast.parse(text)
        elif path.suffix == ".json":
            json.loads(text)
        elif path.suffix == ".ini" or path.name == ".importlinter":
            configparser.ConfigParser(interpolation=None).read_string(text)


def test_free_text_comes_out_as_itself(bake):
    project = bake(**TEXT)
    check_free_text(project, TEXT)
    check_syntax(project)


@pytest.mark.parametrize("answers", OPTIONS, ids=options_id)
def test_every_file_is_valid_in_its_format(bake, answers):
    check_syntax(bake(**answers))


PLAIN = st.characters(
    exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\u0085\ufffe\uffff"
)
FREE_TEXT = st.text(PLAIN | st.sampled_from("\n\t\\\"'`${}<>*_[]#|&~!"), max_size=60).filter(
    lambda text: not re.search(r"\{[{%#]", text)
)


def render(macro: str, text: str) -> str:
    environment = Environment(loader=FileSystemLoader(ROOT / "templates"))
    source = f"{{%- from 'text.jinja' import {macro} -%}}{{{{ {macro}(text) }}}}"
    return environment.from_string(source).render(text=text)


@given(FREE_TEXT)
def test_quoted_text_is_the_same_in_every_format(text):
    quoted = render("quoted", text)
    assert tomllib.loads(f"x = {quoted}")["x"] == text
    assert yaml.safe_load(f"x: {quoted}")["x"] == text
    assert ast.literal_eval(quoted) == text
    assert json.loads(quoted) == text


@given(FREE_TEXT | st.text(st.sampled_from("\\\\${}ab:")))
@example("a\\\\${b}\\${oc.env:HOME}\\")
def test_text_in_the_configuration_is_the_same(text):
    document = f"x: {render('configured', text)}"
    assert OmegaConf.create(yaml.safe_load(document)).x == text


@given(FREE_TEXT)
def test_markdown_text_shows_as_it_is(text):
    one_line = " ".join(text.split())
    if one_line:
        assert shown_text(f"# {render('markdown', text)}", "heading") == one_line


def default_answers(project_name: str) -> dict[str, str]:
    context = generate_context(
        str(ROOT / "cookiecutter.json"), extra_context={"project_name": project_name}
    )
    return prompt_for_config(context, no_input=True)


def check_names(project_name: str) -> None:
    answers = default_answers(project_name)
    slug, package = answers["project_slug"], answers["package_name"]
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,60}", slug), slug
    assert package.isidentifier(), package
    assert package.isascii(), package
    assert not keyword.iskeyword(package)
    assert package not in sys.stdlib_module_names
    assert package not in answers["_taken"].split()
    assert slug not in answers["_devices"].split()


@given(st.text(max_size=80).filter(lambda text: not re.search(r"[{}]", text)))
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@example("")
@example("🛫")
@example("飛行機の遅れ")
@example("test")
@example("Class")
@example("mlflow")
@example("scikit learn")
@example("7 seas")
@example("con")
@example("--help")
@example("../../etc")
@example("a" * 300)
def test_names_are_valid_whatever_the_project_is_called(project_name):
    check_names(project_name)


def generate_with_name(template: Path, folder: Path, project_name: str) -> None:
    answers = {"project_name": project_name, "example": "none"}
    project = cookiecutter(
        str(template), no_input=True, output_dir=str(folder), extra_context=answers
    )
    check_syntax(Path(project))
    assert generated_files(Path(project))


NAMES = st.text(PLAIN, max_size=60).filter(lambda text: not re.search(r"\{[{%#]|[{%#]\}", text))


@given(name=NAMES)
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
def test_generation_works_whatever_the_project_is_called(template, tmp_path_factory, name):
    generate_with_name(template, tmp_path_factory.mktemp("named"), name)


@pytest.mark.long
@given(name=NAMES)
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_generation_works_whatever_the_project_is_called_long(template, tmp_path_factory, name):
    generate_with_name(template, tmp_path_factory.mktemp("named"), name)


def test_taken_names_are_what_make_lock_would_write(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    questions = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    assert questions["_taken"].split() == importlib.import_module("taken").taken()


@pytest.mark.parametrize(
    "name", ["tomllib", "test", "class", "pandas", "yaml", "torch", "ml_experiment_runner", "setup"]
)
def test_taken_names_hold_what_a_package_would_hide(name):
    questions = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    assert name in questions["_taken"].split()


def test_flights_project_is_thin(bake):
    project = bake()
    names = [name for name in generated_files(project) if not name.endswith(".lock")]
    lines = [len((project / name).read_text(encoding="utf-8").splitlines()) for name in names]
    assert len(generated_files(project)) <= 75
    assert sum(lines) <= 2200


def test_generation_works_in_a_path_with_space_and_umlaut(template, tmp_path):
    generation = run_cookiecutter(template, tmp_path / "my wörk")
    assert generation.code == 0, generation.output
    assert git(generation.project, "status", "--porcelain") == ""
