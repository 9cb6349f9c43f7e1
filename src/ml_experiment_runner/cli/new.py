"""Create an experiment or a signal, or copy an option of a group to edit."""

import argparse
import datetime
import json
import re

from ml_experiment_runner.config.options import folder, groups, option_file, options
from ml_experiment_runner.config.schema import RANGES, is_within
from ml_experiment_runner.project.atomic import write_atomically
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import git, root
from ml_experiment_runner.project.secrets import mask_addresses
from ml_experiment_runner.project.suggestions import nearest

_DEVICES = (
    *("con", "prn", "aux", "nul"),
    *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(10)),
)
RESERVED = (
    *("default", "comparisons"),  # folders of outputs/
    *_DEVICES,  # on Windows
    *("false", "inf", "nan", "no", "none", "null", "off", "on", "true", "yes"),  # Hydra and YAML
)
_NAME_HELP = "lower case letters, digits and _"


def new(arguments: list[str]) -> int:
    """Writes `signals/<name>.yaml` or `conf/<group>/<name>.yaml`; never over an existing file.

    Raises:
        UserError: The group or option does not exist, or the name is invalid or taken.
    """
    copied = sorted({"dataset", *groups()} - {"experiment"})
    given = _parse(arguments, copied)
    _check_name(given.kind, given.name)
    if given.kind == "signal":
        return _signal(given)
    return _experiment(given) if given.kind == "experiment" else _copy(given)


def _parse(arguments: list[str], copied: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python run.py new", description=__doc__,
                                     epilog=f"groups: {', '.join(copied)}")  # fmt: skip
    kinds = parser.add_subparsers(dest="kind", required=True, metavar="experiment|signal|GROUP",
                                  help="what to create; each has its own --help")  # fmt: skip
    signal = kinds.add_parser("signal", description="Draft a signal's contract from its data, or "
                              "import the contract that its producer wrote.")  # fmt: skip
    signal.add_argument("name", help=_NAME_HELP)
    signal.add_argument("--from", dest="source", required=True, metavar="PATH_OR_URL",
                        help="a CSV (also zipped), Parquet or JSON lines file, or the producer's "
                        "contract (.yaml)")  # fmt: skip
    signal.add_argument("--source", dest="data", metavar="PATH_OR_URL",
                        help="the data of the producer's contract")  # fmt: skip
    experiment = kinds.add_parser("experiment", description="Write the file of an experiment.")
    experiment.add_argument("name", help=_NAME_HELP)
    experiment.add_argument("--question", required=True, help="the question that its runs answer")
    experiment.add_argument("--owner", help="who is responsible (default: your git user name)")
    experiment.add_argument("--budget-days", type=float, default=1,
                            help="working days to spend (default: 1)")  # fmt: skip
    experiment.add_argument("--until", type=_day, metavar="YYYY-MM-DD", help="last day")
    experiment.add_argument("--from", dest="source", metavar="EXPERIMENT",
                            help="copy the overrides of another experiment")  # fmt: skip
    for group in copied:
        option = kinds.add_parser(group, description=f"Copy an option of {group} into "
                                  f"conf/{group}/ to edit it.")  # fmt: skip
        option.add_argument("name", help=_NAME_HELP)
        option.add_argument("--from", dest="source", required=True, metavar="OPTION",
                            help=", ".join(options(group)))  # fmt: skip
    if arguments and not arguments[0].startswith("-") and arguments[0] not in kinds.choices:
        raise UserError(f"unknown group '{arguments[0]}'. {nearest(arguments[0], kinds.choices)}")
    return parser.parse_args(arguments)


def _check_name(kind: str, name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", name):
        raise UserError(f"{kind} name must have at most 100 {_NAME_HELP}, and start with a letter, "
                        f"got {name}")  # fmt: skip
    if name in RESERVED:
        raise UserError(f"{name} is a reserved name; choose another name")
    # the runs of both would be in outputs/<name>/
    if kind == "experiment" and name in options("task"):
        raise UserError(f"{name} is the name of a task; choose another name")
    if kind == "task" and name in options("experiment"):
        raise UserError(f"{name} is the name of an experiment; choose another name")


def _copy(given: argparse.Namespace) -> int:
    """Copies an option's file, from the project or the runner, with its comments."""
    group, name = given.kind, given.name
    path = folder() / group / f"{name}.yaml"
    origin = option_file(group, given.source) if given.source in options(group) else None
    if origin is None:
        raise UserError(f"--from: unknown option {group}={given.source}. "
                        f"{nearest(given.source, options(group))}")  # fmt: skip
    if path.exists():
        raise UserError(f"conf/{group}/{name}.yaml already exists: edit it or choose another name")
    replaces = option_file(group, name) is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, origin.read_text(encoding="utf-8"))
    note = f", which replaces the runner's {name}" if replaces else ""
    print(f"wrote conf/{group}/{name}.yaml, a copy of {given.source}{note}; edit it, then run")
    print(_command(group, name))
    return 0


def _command(group: str, name: str) -> str:
    """The command that chooses an option; launchers and sweepers belong to a sweep."""
    if not group.startswith("hydra/"):
        return f"python run.py {group}={name}"
    sweeper = "hydra/sweeper=optuna " if group.startswith("hydra/sweeper/") else ""
    return f"python run.py -m {sweeper}{group}={name} seed=1,2,3"


def _signal(given: argparse.Namespace) -> int:
    from ml_experiment_runner.signals.drafts.contract_import import is_contract
    from ml_experiment_runner.signals.drafts.draft import draft

    if is_contract(given.source):
        return _import(given)
    if given.data:
        raise UserError(f"--source {given.data} needs a contract (.yaml) in --from; to draft a "
                        f"contract from data, type --from {given.data}")  # fmt: skip
    contract = draft(root(), given.name, given.source)
    print(f"wrote signals/{contract.path.name}, drafted from {mask_addresses(given.source)}")
    print(f"fill in {', '.join(contract.unfilled)}, review it, then run")
    print(f"python run.py task=ingest 'signals=[{given.name}]'")
    return 0


def _import(given: argparse.Namespace) -> int:
    from ml_experiment_runner.signals.drafts.contract_import import import_contract

    contract = import_contract(root(), given.name, given.source, given.data)
    print(f"wrote signals/{contract.path.name}, imported from {mask_addresses(given.source)}")
    if contract.unchecked:
        print(f"not checked here: {'; '.join(contract.unchecked)}")
    if contract.missing:
        print("missing before it can be ingested:", *contract.missing, sep="\n")
    if contract.unfilled:
        print(f"nobody is named under {' and '.join(contract.unfilled)}")
    print(f"review it, then run\npython run.py task=ingest 'signals=[{given.name}]'")
    return 0


def _experiment(given: argparse.Namespace) -> int:
    interval = RANGES["experiment.budget_days"]
    if not is_within(interval, given.budget_days):
        raise UserError(f"--budget-days must be in {interval}, such as 0.5, "
                        f"got {given.budget_days}")  # fmt: skip
    path = folder() / "experiment" / f"{given.name}.yaml"
    if path.exists():
        raise UserError(f"conf/experiment/{given.name}.yaml already exists: edit it or choose "
                        "another name")  # fmt: skip
    origin = f"# started from {given.source}\n" if given.source else ""
    body = _body_of(given.source) if given.source else "# your overrides, such as model.C: 0.1\n"
    days = given.budget_days
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(
        path,
        "# @package _global_\n"
        f"# python run.py +experiment={given.name}\n{origin}"
        f"{body.rstrip()}\n\n"
        "experiment:\n"
        f"  owner: {quoted(given.owner or _git_user())}\n"
        f"  question: {quoted(given.question)}\n"
        f"  budget_days: {int(days) if days == int(days) else days}\n"
        f"  until: {given.until or 'null'}\n"
        "  status: active\n",
    )
    print(f"wrote conf/experiment/{given.name}.yaml; run it:\n"
          f"python run.py +experiment={given.name}")  # fmt: skip
    return 0


def _body_of(name: str) -> str:
    """The overrides of another experiment, without its header and its `experiment:` section."""
    path = folder() / "experiment" / f"{name}.yaml"
    if not path.exists():
        raise UserError(
            f"--from: unknown experiment '{name}'. {nearest(name, options('experiment'))}"
        )
    lines = path.read_text(encoding="utf-8").splitlines()[2:]
    lines = [line for line in lines if not line.startswith("# started from ")]
    body, in_section = [], False
    for line in lines:
        if line[:1].strip():
            in_section = line.startswith("experiment:")
        if not in_section:
            body.append(line)
    return "\n".join(body).strip("\n") + "\n"


def quoted(text: str) -> str:
    """A text as a YAML value that OmegaConf reads literally, even if it contains `${`."""
    # OmegaConf reads two backslashes before `${` as one
    plain = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    # a JSON string is a YAML string
    return json.dumps(plain, ensure_ascii=False)


def _day(text: str) -> str:
    return datetime.date.fromisoformat(text).isoformat()


def _git_user() -> str:
    return git(root(), "config", "user.name") or ""
