"""From words on the command line to a finished, recorded run; the index of commands."""

import ast
import gc
import importlib
import logging
import os
import re
import signal
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from ml_experiment_runner.project.errors import (
    ExitCode,
    UserError,
    exit_code,
    full_disk,
    is_interrupt,
)
from ml_experiment_runner.project.repository import enter, read_environment, root
from ml_experiment_runner.record.console import open_standard_streams

if TYPE_CHECKING:
    from omegaconf import DictConfig

COMMANDS = (
    *("clean", "compare", "doctor", "experiments", "holds", "lint", "new", "rerun", "signals"),
    *("sync", "update"),
)
"""Each is the function of its name in the module of its name beside this one."""
RENAMED = {"deliver": "sync"}
"""Commands of before, and what they are called now."""

USAGE = """\
python run.py                           list tasks, commands and experiments
python run.py +experiment=NAME          train it and record the run
python run.py KEY=VALUE …               change any key of conf/, such as model=dummy seed=1
python run.py -m seed=1,2,3             sweep: one run for each value
python run.py resume=ID                 go on with a run or a sweep that has not finished
python run.py task=NAME …               another task
python run.py COMMAND --help            what a command takes
python run.py … --cfg job               print the composed configuration and stop"""


EXIT_CODES = """\
0    it went well
1    a task failed, or a command says no: doctor found something, a record is still on its way
     (sync), a rerun differs
2    nothing can be made of what was typed, configured or delivered; the message says what to do
3    the work is done and a person has to decide: something is held, or a result is refused
130  stopped by Ctrl+C or SIGTERM"""

OPTIONS = (
    *("--cfg", "-c", "--resolve", "--package", "-p", "--multirun", "-m", "--run", "-r"),
    *("--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd", "--info", "-i"),
    *("--hydra-help", "--version", "--shell-completion", "-sc", "--experimental-rerun"),
)


class CheckFirst:
    """Hydra callback: a wrong configuration stops before any run folder is made."""

    def on_run_start(self, config: "DictConfig", **_: Any) -> None:
        """Checks a single run."""
        _refuse_wrong(config)

    def on_multirun_start(self, config: "DictConfig", **_: Any) -> None:
        """Checks every value of a sweep, before its jobs are launched."""
        from ml_experiment_runner.config.checks import check_plugins
        from ml_experiment_runner.config.composition import explain
        from ml_experiment_runner.config.sweep_overrides import (
            normalise_params,
            remember_compositions,
            swept,
        )

        try:
            check_plugins(config)
            normalise_params(config)
            remember_compositions()
            for job in swept(config):
                _refuse_wrong(job)
        except Exception as error:
            told = explain(error, config.hydra.overrides.task)
            if isinstance(told, UserError):
                print(told, file=sys.stderr)
                sys.exit(2)
            raise

    def __getattr__(self, name: str) -> Any:
        """Hydra's other events are of no interest."""
        if name.startswith("on_"):
            return lambda **_: None
        raise AttributeError(name)


def main(arguments: Sequence[str], project: Path | None = None) -> int:
    """Runs what was typed.

    Args:
        arguments: The words behind `run.py`.
        project: The folder that holds `run.py`; None where a process is in a project already.

    Returns:
        One of `ml_experiment_runner.project.errors.ExitCode`, which says what each means.
    """
    # most of an import's cost is the garbage collector
    gc.disable()
    open_standard_streams()
    try:
        if project is not None:
            enter(project)
        read_environment()
        word = arguments[0] if arguments else "--help"
        if "=" not in word and not word.startswith(("+", "-", "~")):
            return _command(word, list(arguments[1:]))
        if "-h" in arguments or "--help" in arguments:
            word = "--help"
        if word in ("-h", "--help"):
            print(listing())
            return 0
        _check_options(arguments)
        return _run(arguments)
    except (UserError, KeyboardInterrupt) as error:
        if is_interrupt(error):
            print("stopped", file=sys.stderr)
            return ExitCode.INTERRUPTED
        print(full_disk(error) or error, file=sys.stderr)
        return exit_code([error])
    except Exception as error:
        if (full := full_disk(error)) is None:
            raise
        print(full, file=sys.stderr)
        return ExitCode.FAILED


def _run(arguments: Sequence[str]) -> int:
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions come to us instead of to Hydra's printer
    import hydra

    from ml_experiment_runner.config.checks import check_overrides
    from ml_experiment_runner.config.composition import explain, register_resolvers
    from ml_experiment_runner.config.overrides import normalise, shown_as_typed
    from ml_experiment_runner.sweeps.session import Session, SweepStopped

    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    logging.getLogger("hydra._internal.core_plugins.basic_launcher").addFilter(shown_as_typed)
    resumes = any(word.startswith("resume=") for word in arguments)
    arguments = _resumed(arguments)
    check_overrides([word for word in arguments if not word.startswith("-")])
    register_resolvers()
    signal.signal(signal.SIGTERM, _stop)
    words = normalise(arguments)
    sys.argv = [sys.argv[0], *words]
    session = Session(resumes)

    def job(config: "DictConfig") -> float | None:
        return session.job(config)

    job.session = session  # type: ignore[attr-defined]  # for launchers of other processes

    try:
        hydra.main(version_base="1.3", config_path=str(root() / "conf"), config_name="config")(
            job
        )()
    except SweepStopped:
        pass  # what has ended it is among the session's errors
    except KeyboardInterrupt as error:
        if not session.runs and session.launcher is None:
            print("stopped before the run began", file=sys.stderr)
        session.errors.append(error)
    except Exception as error:
        told = explain(error, words)
        if told is error:
            raise
        raise told from error
    finally:
        session.close_sweep()
        session.close()
    return exit_code(session.errors, session.held)


def _resumed(arguments: Sequence[str]) -> Sequence[str]:
    """The words of the run or sweep that `resume=<id>` names; any others as they are."""
    asked = [word.partition("=")[2] for word in arguments if word.startswith("resume=")]
    if not asked:
        return arguments
    others = [word for word in arguments if not word.startswith(("resume=", "-m", "--multirun"))]
    more = [word for word in others if word.startswith("hydra.sweeper.n_trials=")]
    refused = [word for word in others if word not in more]
    if refused:
        raise UserError(f"resume={asked[0]} goes on with the overrides it began with; "
                        f"leave out {refused[0]}")  # fmt: skip
    from ml_experiment_runner.sweeps.resume import resumed

    return [*resumed(asked[0]), *more]


def _check_options(arguments: Sequence[str]) -> None:
    """Refuses words that Hydra would overlook, or take for others."""
    from ml_experiment_runner.config.checks import nearest

    sweeper = next((word for word in arguments if word.startswith("hydra/sweeper=")), None)
    if sweeper and not {"-m", "--multirun", "--cfg", "-c", "--info", "-i"} & set(arguments):
        raise UserError(f"{sweeper} chooses the jobs of a sweep; add -m")

    for word in arguments:
        option = word.partition("=")[0]
        if option.startswith("-") and option not in OPTIONS and not re.match(r"-\d", option):
            key = option.lstrip("-")
            raise UserError(f"{option}: no such option. {nearest(option, OPTIONS)} "
                            f"A key of conf/ is typed without dashes: {key}=<value>")  # fmt: skip


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _refuse_wrong(config: "DictConfig") -> None:
    """Hydra turns a callback's exception into a warning; leaving the process it cannot stop."""
    from ml_experiment_runner.config.composition import check_composed

    try:
        check_composed(config)
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def _command(word: str, arguments: list[str]) -> int:
    if word in RENAMED:
        raise UserError(f"{word} is called {RENAMED[word]} now: python run.py {RENAMED[word]}")
    if word not in COMMANDS:
        from ml_experiment_runner.config.checks import nearest

        raise UserError(f"{word}: no such command. {nearest(word, COMMANDS)} "
                        "Tasks are typed task=<name>.")  # fmt: skip
    module = importlib.import_module(f"ml_experiment_runner.cli.{word}")
    command = getattr(module, word)
    return int(command(arguments))


def listing() -> str:
    """What can be typed: tasks, commands, experiments, and the options of every group."""
    from ml_experiment_runner.config import options

    lines = [USAGE, "", "Tasks"]
    for name in options.options("task"):
        lines.append(f"  task={name:<17} {_about(options.option_file('task', name))}")
    lines += ["", "Commands"]
    for word in COMMANDS:
        source = Path(__file__).with_name(f"{word}.py").read_text(encoding="utf-8")
        about = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
        lines.append(f"  {word:<22} {about}")
    lines += ["", "Experiments"]
    paths = sorted((options.folder() / "experiment").glob("*.yaml"))
    width = max((len(path.stem) for path in paths), default=0)
    for path in paths:
        lines.append(f"  +experiment={path.stem:<{width}} {_question(path)}")
    if not paths:
        lines.append("  none yet: python run.py new experiment NAME --question '…'")
    lines += ["", "Options"]
    for group in options.groups():
        if group not in ("experiment", "task"):
            lines += _options_of(group)
    lines.append("  those with * are yours, files in conf/; the others are the runner's")
    lines += ["", "Exit codes", *(f"  {line}" for line in EXIT_CODES.splitlines())]
    return "\n".join(lines)


def _options_of(group: str) -> list[str]:
    """A group's options in as many lines as they need."""
    from ml_experiment_runner.config import options

    own = options.own_options(group)
    names = [f"{name}*" if name in own else name for name in options.options(group)]
    first = f"  {group + '=':<22} "
    return textwrap.wrap(
        ", ".join(names), 100, initial_indent=first, subsequent_indent=" " * len(first)
    )


def _about(path: Path | None) -> str:
    """The first line of an option's file, which says what it is."""
    return path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ") if path else ""


def _question(path: Path) -> str:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        return str(content.get("experiment", {}).get("question", ""))
    except (yaml.YAMLError, AttributeError):
        return "(not readable as YAML)"
