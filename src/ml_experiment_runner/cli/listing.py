"""What `python run.py` prints: usage, tasks, commands, experiments, options and exit codes."""

import ast
import textwrap
from collections.abc import Sequence
from pathlib import Path

import yaml

from ml_experiment_runner.config import options

USAGE = """\
python run.py                           list tasks, commands and experiments
python run.py +experiment=NAME          train an experiment and record the run
python run.py KEY=VALUE …               override any key of conf/, such as model=dummy seed=1
python run.py -m seed=1,2,3             sweep: one run for each value
python run.py resume=ID                 resume an unfinished run or sweep
python run.py task=NAME …               run another task
python run.py COMMAND --help            show the arguments of a command
python run.py … --cfg job               print the composed configuration and exit"""

EXIT_CODES = """\
0    success
1    a task failed, or a command's result is negative: doctor found a problem, records are still
     pending after sync, a rerun differs
2    invalid command line, configuration or data; the message says what to do
3    the work is done and a person must decide: something is held, or a limit refuses the result
130  stopped by Ctrl+C or SIGTERM"""


def listing(commands: Sequence[str]) -> str:
    """Everything that can be typed."""
    sections = {
        "Tasks": _tasks(),
        "Commands": [f"{name:<22} {_summary_of_command(name)}" for name in commands],
        "Experiments": _experiments(),
        "Options": _options(),
        "Exit codes": EXIT_CODES.splitlines(),
    }
    lines = [USAGE]
    for title, entries in sections.items():
        lines += ["", title, *(f"  {entry}" for entry in entries)]
    return "\n".join(lines)


def _tasks() -> list[str]:
    lines = []
    for name in options.options("task"):
        file = options.option_file("task", name)
        summary = file.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ") if file else ""
        lines.append(f"task={name:<17} {summary}")
    return lines


def _summary_of_command(name: str) -> str:
    """The first line of the module's docstring, without importing the module."""
    source = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def _experiments() -> list[str]:
    names = options.own_options("experiment")
    if not names:
        return ["none yet: python run.py new experiment NAME --question '…'"]
    width = max(map(len, names))
    return [f"+experiment={name:<{width}} {_question(name)}" for name in names]


def _question(experiment: str) -> str:
    path = options.folder() / "experiment" / f"{experiment}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return str(content.get("experiment", {}).get("question", ""))
    except (yaml.YAMLError, AttributeError):
        return "(invalid YAML)"


def _options() -> list[str]:
    lines = []
    for group in options.groups():
        if group not in ("experiment", "task"):
            own = options.own_options(group)
            names = [f"{name}*" if name in own else name for name in options.options(group)]
            title = f"{group + '=':<22} "
            lines += textwrap.wrap(", ".join(names), 98, initial_indent=title,
                                   subsequent_indent=" " * len(title))  # fmt: skip
    return [*lines, "options marked * are your files in conf/, all others come with the runner"]
