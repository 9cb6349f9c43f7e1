"""Write the file of a new experiment or signal, or copy an option of a group to edit."""

import argparse
import datetime
import json
import re
from collections.abc import Iterable

from ml_experiment_runner.config.options import folder, groups, option_file, options
from ml_experiment_runner.config.schema import RANGES, is_within
from ml_experiment_runner.project.atomic import write_atomically
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import git, root

NOT_NAMES = (
    *("default", "comparisons"),
    *(
        "con",
        "prn",
        "aux",
        "nul",
        *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(10)),
    ),
    *("false", "inf", "nan", "no", "none", "null", "off", "on", "true", "yes"),
)
"""Folders of `outputs` already; devices on Windows; words with a meaning for Hydra or YAML."""


def new(arguments: list[str]) -> int:
    """Writes `signals/<name>.yaml` or `conf/<group>/<name>.yaml`; never over an existing one.

    Raises:
        UserError: There is no such group or option, the name is not possible or is taken.
    """
    copied = sorted({"dataset", *groups()} - {"experiment"})
    parser = argparse.ArgumentParser(prog="python run.py new", description=__doc__,
                                     epilog=f"groups: {', '.join(copied)}")  # fmt: skip
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="experiment|signal|GROUP")
    signal = kinds.add_parser("signal", description="Draft a signal's contract from its data, or "
                              "import the one that its producer wrote.")  # fmt: skip
    signal.add_argument("name", help="lower case, digits and _")
    signal.add_argument("--from", dest="source", required=True, metavar="PATH_OR_URL",
                        help="a CSV (also zipped), Parquet or JSON lines file, or the contract "
                        "(.yaml) that the producer wrote")  # fmt: skip
    signal.add_argument("--source", dest="data", metavar="PATH_OR_URL",
                        help="where the data of the producer's contract are")  # fmt: skip
    experiment = kinds.add_parser("experiment", description="Write the file of an experiment.")
    experiment.add_argument("name", help="lower case, digits and _")
    experiment.add_argument("--question", required=True, help="what the runs shall answer")
    experiment.add_argument("--owner", help="who answers for it (your git user name)")
    experiment.add_argument("--budget-days", type=float, default=1, help="days set aside (1)")
    experiment.add_argument("--until", type=_day, help="last day, YYYY-MM-DD")
    experiment.add_argument("--from", dest="source", help="experiment to start from")
    for group in copied:
        option = kinds.add_parser(group, description=f"Copy an option of {group} into "
                                  f"conf/{group}/, to edit it.")  # fmt: skip
        option.add_argument("name", help="lower case, digits and _")
        option.add_argument("--from", dest="source", required=True, metavar="OPTION",
                            help=f"of {', '.join(options(group))}")  # fmt: skip
    if arguments and not arguments[0].startswith("-") and arguments[0] not in kinds.choices:
        raise UserError(f"{arguments[0]}: no such group. {_nearest(arguments[0], kinds.choices)}")
    given = parser.parse_args(arguments)
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", given.name):
        raise UserError(
            f"{given.name}: a name has up to 100 lower case letters, digits and _, such as my_idea"
        )
    if given.name in NOT_NAMES:
        raise UserError(f"{given.name}: this word has a meaning of its own; take another name")
    if given.kind == "experiment" and given.name in options("task"):
        raise UserError(
            f"{given.name}: this is a task, whose runs without an experiment are called so; take "
            "another name"
        )
    if given.kind == "signal":
        return _signal(given)
    return _experiment(given) if given.kind == "experiment" else _copy(given)


def _copy(given: argparse.Namespace) -> int:
    """Copies an option's file, from the project or the runner, with its comments."""
    group, name = given.kind, given.name
    place = f"conf/{group}/{name}.yaml"
    path = folder() / group / f"{name}.yaml"
    origin = option_file(group, given.source) if given.source in options(group) else None
    if origin is None:
        raise UserError(f"--from {given.source}: no such option of {group}. "
                        f"{_nearest(given.source, options(group))}")  # fmt: skip
    if path.exists():
        raise UserError(f"{place} is there already: edit it or take another name")
    if group == "task" and name in options("experiment"):
        raise UserError(f"{name}: this is an experiment, and runs of a task are called like it; "
                        "take another name")  # fmt: skip
    replaces = option_file(group, name) is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, origin.read_text(encoding="utf-8"))
    print(f"{place} is a copy of {given.source}"
          f"{', and takes the place of the one that the runner has' if replaces else ''}; "
          f"edit it, then\n{_command(group, name)}")  # fmt: skip
    return 0


def _command(group: str, name: str) -> str:
    """How an option is chosen: launchers and sweepers are of a sweep."""
    if not group.startswith("hydra/"):
        return f"python run.py {group}={name}"
    sweeper = "hydra/sweeper=optuna " if group.startswith("hydra/sweeper/") else ""
    return f"python run.py -m {sweeper}{group}={name} seed=1,2,3"


def _nearest(word: str, known: Iterable[str]) -> str:
    from ml_experiment_runner.config.checks import nearest

    return nearest(word, known)


def _signal(given: argparse.Namespace) -> int:
    from ml_experiment_runner.signals.drafts.contract_import import is_contract
    from ml_experiment_runner.signals.drafts.draft import draft

    if is_contract(given.source):
        return _imported(given)
    if given.data:
        raise UserError(
            f"--source {given.data} goes with a contract (.yaml); a draft takes its data by --from"
        )
    contract = draft(root(), given.name, given.source)
    print(f"signals/{contract.path.name} is drafted: fill in {', '.join(contract.unfilled)}, read"
          f" it over, then\npython run.py task=ingest 'signals=[{given.name}]'")  # fmt: skip
    return 0


def _imported(given: argparse.Namespace) -> int:
    from ml_experiment_runner.signals.drafts.contract_import import import_contract

    contract = import_contract(root(), given.name, given.source, given.data)
    print(f"signals/{contract.path.name} is imported from {given.source}")
    if contract.unchecked:
        print(f"not checked here: {'; '.join(contract.unchecked)}")
    if contract.missing:
        print("to be filled in before it can be received:", *contract.missing, sep="\n")
    if contract.unfilled:
        print(f"nobody is named under {' and '.join(contract.unfilled)}")
    print(f"Read it over, then\npython run.py task=ingest 'signals=[{given.name}]'")
    return 0


def _experiment(given: argparse.Namespace) -> int:
    interval = RANGES["experiment.budget_days"]
    if not is_within(interval, given.budget_days):
        raise UserError(f"--budget-days must be in {interval}, such as 0.5, "
                        f"got {given.budget_days}")  # fmt: skip
    path = folder() / "experiment" / f"{given.name}.yaml"
    if path.exists():
        raise UserError(f"conf/experiment/{given.name}.yaml is there already: edit it or take "
                        "another name")  # fmt: skip
    origin = f"# started from {given.source}\n" if given.source else ""
    body = _body_of(given.source) if given.source else "# your overrides, such as model.C: 0.1\n"
    days = (
        int(given.budget_days) if given.budget_days == int(given.budget_days) else given.budget_days
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(
        path,
        "# @package _global_\n"
        f"# python run.py +experiment={given.name}\n{origin}"
        f"{body.rstrip()}\n\n"
        "experiment:\n"
        f"  owner: {_quoted(given.owner or _git_user())}\n"
        f"  question: {_quoted(given.question)}\n"
        f"  budget_days: {days}\n"
        f"  until: {given.until or 'null'}\n"
        "  status: active\n",
    )
    print(f"conf/experiment/{given.name}.yaml is written; run it:\n"
          f"python run.py +experiment={given.name}")  # fmt: skip
    return 0


def _body_of(name: str) -> str:
    """The overrides of another experiment, without its header and its `experiment:` section."""
    path = folder() / "experiment" / f"{name}.yaml"
    if not path.exists():
        raise UserError(
            f"--from {name}: no such experiment. {_nearest(name, options('experiment'))}"
        )
    lines = path.read_text(encoding="utf-8").splitlines()[2:]
    lines = [line for line in lines if not line.startswith("# started from ")]
    kept, inside = [], False
    for line in lines:
        if line[:1].strip():
            inside = line.startswith("experiment:")
        if not inside:
            kept.append(line)
    return "\n".join(kept).strip("\n") + "\n"


def _quoted(text: str) -> str:
    """A text that the configuration holds as it is, also where it looks like a reference."""
    # of backslashes before `${`, OmegaConf reads two as one
    plain = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    # JSON strings are YAML strings: quotes and colons need no thought
    return json.dumps(plain, ensure_ascii=False)


def _day(text: str) -> str:
    return datetime.date.fromisoformat(text).isoformat()


def _git_user() -> str:
    # no git is no reason to write no experiment
    return git(root(), "config", "user.name") or ""
