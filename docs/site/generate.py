"""The pages of the reference that are read off the code: configuration, tasks, commands.

Nothing here knows the tool that builds the site: `pages()` gives Markdown by path.
"""

import ast
import contextlib
import dataclasses
import importlib
import io
import os
import re
import sys
import typing
from pathlib import Path
from types import ModuleType, UnionType

import jinja2
import tables

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ROOT / "{{cookiecutter.project_slug}}"
CONF = GENERATED / "conf"
SOURCE = ROOT / "src"
PACKAGED = SOURCE / "ml_experiment_runner" / "conf"
ANSWERS = {
    "project_slug": "flight-delays",
    "package_name": "flight_delays",
    "example": "flights",
    "author_name": "Ada",
}


def pages() -> dict[str, str]:
    """Every generated page by its path in the site."""
    return {
        "reference/configuration.md": configuration(),
        "reference/tasks.md": tasks(),
        "reference/commands.md": commands(),
        "reference/tables.md": tables.page(),
    }


def runner(name: str) -> ModuleType:
    """A module of the runner as it stands in this tree; leaves no bytecode in it."""
    sys.dont_write_bytecode = True
    if str(SOURCE) not in sys.path:
        sys.path.insert(0, str(SOURCE))
    os.environ["ML_EXPERIMENT_ROOT"] = str(GENERATED)
    return importlib.import_module(name)


def configuration() -> str:
    """Every key of the schema, and every group with its choices."""
    schema = runner("ml_experiment_runner.config.schema")
    lines = [
        "# Configuration",
        "",
        (
            "Every key that a run understands. Any of them can be changed where you type the "
            "command, `python run.py seed=1 model.C=0.1`, or in an experiment's file. A key that "
            "is not here stops the run before it begins, with the nearest one that exists."
        ),
        "",
        (
            "A `_target_` names a class or function that is called with the keys beside it, and so "
            "does the command line. Review a pull request that changes `conf/` as code, and take "
            "no configuration from somebody whose code you would not run."
        ),
        "",
        "`python run.py +experiment=baseline --cfg job` prints what a run would see.",
        "",
        "## Keys",
        "",
        *_keys(schema.Config, schema),
    ]
    for key, kind in typing.get_type_hints(schema.Config).items():
        nested = _dataclass(kind)
        if nested is not None:
            lines += _section(key, nested, schema)
    lines += [
        "## Groups",
        "",
        (
            "A group is a folder of options, of which one is taken with `group=option`. Those of "
            "the runner come from its package; a file that you add in `conf/<group>/` is an option "
            "at once, and wins over one of the same name. `python run.py new model mine --from "
            "lightgbm` copies one to edit."
        ),
        "",
    ]
    of_project = [path for path in CONF.iterdir() if path.is_dir()]
    of_runner = [path.parent for path in PACKAGED.rglob("*.yaml") if path.parent != PACKAGED]
    for folder in sorted({*of_project, *of_runner}, key=_name_of_group):
        lines += _group(folder)
    lines += [
        "## The index",
        "",
        "`conf/config.yaml` of the flights project: the defaults behind all of this.",
        "",
        '```yaml title="conf/config.yaml"',
        _rendered(CONF / "config.yaml").rstrip(),
        "```",
    ]
    return "\n".join(lines) + "\n"


def tasks() -> str:
    """Each task with what its function says about itself."""
    lines = [
        "# Tasks",
        "",
        (
            "A task computes something and records it. `python run.py task=NAME` runs it; with no "
            "`task=` it is `train`. Any key of the [configuration](configuration.md) can stand "
            "beside it. You can [add your own](../how-to/add-a-task.md)."
        ),
        "",
    ]
    for path in sorted((PACKAGED / "task").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        (target,) = re.findall(r"^_target_: (\S+)", text, re.MULTILINE)
        function = _function(target)
        lines += [
            f"## `task={path.stem}`",
            "",
            _prose(ast.get_docstring(function) or ""),
            "",
            f'```yaml title="task/{path.name}"',
            text.rstrip(),
            "```",
            "",
        ]
    return "\n".join(lines)


def commands() -> str:
    """Each command with its own help."""
    app = runner("ml_experiment_runner.cli.app")
    lines = [
        "# Commands",
        "",
        "What can be typed:",
        "",
        "```text",
        runner("ml_experiment_runner.cli.listing").USAGE.rstrip(),
        "```",
        "",
        (
            "A first word without `=`, `+` or `-` is a command. Commands show things or edit "
            "files; what computes is a [task](tasks.md)."
        ),
        "",
    ]
    for name in app.COMMANDS:
        module = runner(f"ml_experiment_runner.cli.{name}")
        about = (module.__doc__ or "").partition("\n")[0]
        lines += [f"## `python run.py {name}`", "", about, ""]
        more = {"new": ["experiment"], "holds": ["release"]}
        for words in ([], more[name]) if name in more else ([],):
            lines += ["```text", _help(getattr(module, name), [*words, "--help"]), "```", ""]
    return "\n".join(lines)


def _help(command: typing.Callable[[list[str]], int], arguments: list[str]) -> str:
    text = io.StringIO()
    os.environ["COLUMNS"] = "88"
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
        command(arguments)
    return text.getvalue().rstrip()


def _section(path: str, kind: type, schema: ModuleType) -> list[str]:
    about = (kind.__doc__ or "").partition("\n")[0]
    lines = [f"### `{path}`", "", about, "", *_keys(kind, schema, f"{path}.")]
    for key, hint in typing.get_type_hints(kind).items():
        nested = _dataclass(hint)
        if nested is not None:
            lines += _section(f"{path}.{key}", nested, schema)
    return lines


def _keys(kind: type, schema: ModuleType, prefix: str = "") -> list[str]:
    about = _attributes(kind.__doc__ or "")
    kinds = typing.get_type_hints(kind)
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for field in dataclasses.fields(kind):
        name = f"{prefix}{field.name}"
        words = schema.CHOICES.get(name)
        shown = " or ".join(f"`{word}`" for word in words) if words else _type(kinds[field.name])
        if interval := schema.RANGES.get(name):
            number, _, null = shown.partition(" or ")
            shown = f"{number} in `{interval}`" + (f" or {null}" if null else "")
        if _dataclass(kinds[field.name]):
            shown = f"[section](#{name.replace('.', '')})"
        lines.append(f"| `{name}` | {shown} | {_default(field)} | {about[field.name]} |")
    return [*lines, ""]


def _type(kind: object) -> str:
    if typing.get_origin(kind) in (UnionType, typing.Union):
        return " or ".join(_type(one) for one in typing.get_args(kind))
    if kind is type(None):
        return "null"
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    if isinstance(kind, type) and kind in names:
        return names[kind]
    if typing.get_origin(kind) is list:
        return f"list of {_type(typing.get_args(kind)[0])}s"
    return "keys and values"


def _default(field: "dataclasses.Field[object]") -> str:
    if field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
        return "" if dataclasses.is_dataclass(value) or not value else f"`{value}`"
    if field.default is dataclasses.MISSING:
        return "required"
    if field.default is None:
        return "`null`"
    if isinstance(field.default, bool):
        return f"`{str(field.default).lower()}`"
    return f"`{field.default}`" if field.default != "" else ""


def _dataclass(kind: object) -> type | None:
    for one in (kind, *typing.get_args(kind)):
        if isinstance(one, type) and dataclasses.is_dataclass(one):
            return one
    return None


def _attributes(docstring: str) -> dict[str, str]:
    """The `Attributes:` of a docstring, each on one line."""
    found: dict[str, str] = {}
    name = ""
    for line in docstring.partition("Attributes:")[2].splitlines():
        start = re.match(r" {8}(\w+): (.*)", line)
        if start:
            name = start.group(1)
            found[name] = start.group(2)
        elif name and line.strip():
            found[name] += " " + line.strip()
    return {key: text.replace("|", "\\|") for key, text in found.items()}


def _group(folder: Path) -> list[str]:
    group = _name_of_group(folder)
    lines = [f"### `{group}`", "", "| option | what it is |", "|---|---|"]
    for path in sorted(folder.glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        question = re.search(r"^  question: (.+)$", text, re.MULTILINE)
        about = question.group(1) if question else _first_comment(text)
        lines.append(f"| `{group}={path.stem}` | {_sentence(about)} |")
    return [*lines, ""]


def _name_of_group(folder: Path) -> str:
    place = PACKAGED if folder.is_relative_to(PACKAGED) else CONF
    return folder.relative_to(place).as_posix()


def _first_comment(text: str) -> str:
    comments = [line for line in text.splitlines() if line.startswith("# ")]
    return next((line[2:] for line in comments if not line.startswith("# @")), "")


def _sentence(text: str) -> str:
    text = text.strip().strip('"')
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def _rendered(path: Path) -> str:
    template = jinja2.Environment(autoescape=False, keep_trailing_newline=True)  # noqa: S701
    return template.from_string(path.read_text(encoding="utf-8")).render(cookiecutter=ANSWERS)


def _function(target: str) -> ast.FunctionDef:
    """A function's source, found without importing what it imports."""
    module, _, name = target.rpartition(".")
    path = (SOURCE / module.replace(".", "/")).with_suffix(".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return next(one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == name)


def _prose(docstring: str) -> str:
    """A docstring's sections as a list of definitions."""
    text = re.sub(r"^(Returns|Raises):\n", r"**\1.** ", docstring, flags=re.MULTILINE)
    return re.sub(r"\n +", " ", re.sub(r"\*\* +", "** ", text)).replace("UserError: ", "")
