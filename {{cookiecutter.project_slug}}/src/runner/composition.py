"""From words on the command line to a composed configuration, with Hydra's errors in our words."""

import copy
import re
import secrets
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import yaml
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf

from runner.config import check, nearest
from runner.errors import UserError
from runner.project import read_environment, root
from runner.schema import TOP_LEVEL
from runner.secrets import watch_resolver

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

CONF = root() / "conf"
REMEMBERED = 256  # compositions of a sweep's jobs


def normalise(arguments: Sequence[str]) -> list[str]:
    """Lets `experiment=x` stand for `+experiment=x`, also in a sweep; the rest stays as it is.

    `dataset.pin.<signal>` is a key that nobody has written down before.
    """
    added = {"experiment=": "+", "dataset.pin.": "++"}
    return [
        next((sign for key, sign in added.items() if word.startswith(key)), "") + word
        for word in arguments
    ]


def register_resolvers() -> None:
    """Makes `${root:}`, `${run_id:}` and `${experiment_name:}` known; call it before Hydra."""
    watch_resolver()
    OmegaConf.register_new_resolver("root", lambda: root().as_posix(), replace=True)
    OmegaConf.register_new_resolver("experiment_name", experiment_name, replace=True)
    # cached: a job has one id, however often it is read; its number gives each job its own
    OmegaConf.register_new_resolver(
        "run_id", lambda *_job: secrets.token_hex(4), replace=True, use_cache=True
    )


def experiment_name(experiment: str | None, task: str) -> str:
    """The experiment that a run belongs to: without one, of a task that is not `train`, the task.

    Args:
        experiment: The chosen file of conf/experiment/.
        task: The chosen file of conf/task/.
    """
    return experiment or ("default" if task == "train" else task)


def compose(*overrides: str) -> DictConfig:
    """The configuration that `python run.py <overrides>` would run with, checked.

    Raises:
        UserError: An override names no key, group or choice, or has a wrong type.
    """
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    read_environment()
    register_resolvers()
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            config = hydra.compose("config", overrides=normalise(overrides))
    except Exception as error:
        raise explain(error) from error
    check(config)
    return config


def remember_compositions() -> None:
    """Hydra composes each job of a sweep twice, beside our check; all but the first is a copy."""
    from hydra.core.global_hydra import GlobalHydra

    loader: Any = GlobalHydra.instance().config_loader()
    compose_job = loader.load_sweep_config
    known: dict[tuple[str, ...], DictConfig] = {}

    def load(master_config: DictConfig, sweep_overrides: Sequence[str]) -> DictConfig:
        words = tuple(sweep_overrides)
        if words not in known:
            if len(known) >= REMEMBERED:  # a search composes each job once
                known.clear()
            known[words] = compose_job(master_config, list(words))
        copied = copy.deepcopy(known[words])
        # what was resolved meanwhile, such as the id of the sweep's run
        OmegaConf.copy_cache(from_config=master_config, to_config=copied)
        return copied

    loader.load_sweep_config = load


def swept(config: DictConfig) -> Iterator[DictConfig]:
    """The configurations of a sweep: each value of each key once, the other keys at their first.

    Of an interval, these are its ends. Where lists are paired, these are all jobs.

    Args:
        config: What Hydra composed for the sweep as a whole.

    Raises:
        UserError: An interval is given to a sweeper that does not search, or lists to pair differ
            in length.
        Exception: Hydra's own, for a value that cannot be composed.
    """
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    loader = GlobalHydra.instance().config_loader()
    typed = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    assert isinstance(typed, list)
    words = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
    values: dict[str, list[str]] = {}
    intervals = []
    sweeper = config.hydra.runtime.choices["hydra/sweeper"]
    overrides = OverridesParser.create().parse_overrides([*words, *map(str, typed)])
    for override in overrides:
        key = override.get_key_element()
        if not override.is_sweep_override():
            values[key] = [str(override.input_line)]
        elif override.is_discrete_sweep():
            values[key] = [f"{key}={value}" for value in override.sweep_string_iterator()]
        elif "optuna" not in sweeper:
            raise UserError(f"{override.input_line}: an interval is searched, which is said with "
                            "hydra/sweeper=optuna; otherwise list the values")  # fmt: skip
        else:
            intervals.append(override)
    if sweeper == "zip":
        yield from (loader.load_sweep_config(config, list(job)) for job in paired(overrides))
        return
    first = {key: each[0] for key, each in values.items()}
    base = loader.load_sweep_config(config, list(first.values()))
    for override in intervals:
        key = override.get_key_element()
        values[key] = [f"{key}={end}" for end in ends(override, base)]
        first[key] = values[key][0]
    yield loader.load_sweep_config(config, list(first.values())) if intervals else base
    for key, each in values.items():
        for word in each[1:]:
            yield loader.load_sweep_config(config, list((first | {key: word}).values()))


def paired(overrides: "Sequence[Override]") -> list[tuple[str, ...]]:
    """The overrides of each job of a sweep whose lists of values are paired, first with first.

    Args:
        overrides: What was typed; a key without a list is the same in each job.

    Raises:
        UserError: The lists are not equally long, or there is none.
    """
    by_key = {override.get_key_element(): override for override in overrides}
    lists = {
        key: [f"{key}={value}" for value in override.sweep_string_iterator()]
        for key, override in by_key.items()
        if override.is_sweep_override()
    }
    lengths = {len(values) for values in lists.values()}
    if len(lengths) != 1:
        told = ", ".join(f"{key.lstrip('+~')} has {len(each)}" for key, each in lists.items())
        raise UserError(
            "hydra/sweeper=zip pairs lists of the same length: "
            f"{told or 'no key has a list, such as seed=1,2,3'}"
        )
    (jobs,) = lengths
    fixed = {
        key: [f"{key}={override.get_value_element_as_str()}"] * jobs
        for key, override in by_key.items()
        if key not in lists
    }
    return list(zip(*((fixed | lists)[key] for key in by_key), strict=True))


def ends(override: "Override", config: DictConfig) -> tuple[int, int] | tuple[float, float]:
    """The ends of an interval: whole numbers where both are typed so and the key holds no fraction.

    Args:
        override: A key with `interval(low, high)`.
        config: Holds the key.

    Raises:
        UserError: The lower end is the higher one, or has no place on a logarithmic scale.
    """
    interval: Any = override.value()
    low, high = float(interval.start), float(interval.end)
    if low > high or ("log" in interval.tags and low <= 0):
        raise UserError(f"{override.input_line}: an interval goes from the lower number to the "
                        "higher one, on a logarithmic scale from above 0")  # fmt: skip
    typed = re.search(r"interval\(([^)]*)\)", str(override.input_line))
    is_whole = typed is not None and re.fullmatch(r"(\w+=|[-+\d\s,])*", typed.group(1))
    key = override.get_key_element().lstrip("+~")
    if is_whole and not isinstance(OmegaConf.select(config, key, throw_on_missing=False), float):
        return int(low), int(high)
    return low, high


def own(config: DictConfig) -> DictConfig:
    """A configuration without Hydra's own part."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def choices(group: str) -> list[str]:
    """Names of the files in a config group, sorted."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def explain(error: Exception) -> Exception:
    """A Hydra or OmegaConf error about the user's words, said our way; any other stays itself."""
    text = str(error)
    cause = str(error.__cause__) if error.__cause__ else ""
    if match := re.search(r"Could not find '([\w/-]+)/([^'/]+)'", text):
        group, name = match.groups()
        near = nearest(name, choices(group))
        return UserError(f"{group}={name}: no such file in conf/{group}/. {near}")
    if match := re.search(r"Could not (override|append|delete)\w* '([^']+)'", text):
        verb, key = match.group(1), match.group(2).split("@")[0]
        return _no_match(verb, key, "No match in the defaults list" in text)
    if match := re.search(r"Multiple values for ([\w/]+)\.", text):
        return UserError(f"{match.group(1)}: chosen twice; say {match.group(1)}=<name> once")
    if "Key '" in text + cause and "is not in struct" in text + cause:
        key = re.search(r"full_key: (\S+)", text + cause)
        name = key.group(1) if key else text.splitlines()[0]
        return UserError(f"{name}: no such key. {_near_key(name)}")
    ambiguous = re.search(r"Ambiguous value for argument '(.*)'", text)
    if ambiguous or isinstance(error, OverrideParseException):
        said = ambiguous.group(1) if ambiguous else getattr(error, "override", text)
        return UserError(
            f"{said}: cannot be read. Hydra gives commas, brackets and braces a meaning: "
            "put text into quotes of its own, such as 'experiment.question=\"Why, then?\"'"
        )
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        place = mark.name.removeprefix(f"{root()}/")
        return UserError(f"{place}:{mark.line + 1}: this is no YAML: {error.problem}")
    if isinstance(error, PermissionError | FileExistsError | NotADirectoryError):
        return UserError(f"{error.filename}: cannot be written ({error.strerror})")
    if type(error).__module__.partition(".")[0] in ("hydra", "omegaconf"):
        detail = " ".join(line.strip() for line in text.splitlines()[:2])
        return UserError(f"{detail} (python run.py lists what can be typed)")
    return error


def _no_match(verb: str, key: str, is_group: bool) -> UserError:
    if verb == "override" and key in _groups():
        return UserError(
            f"{key}: it is overridden where it cannot be. An experiment's file must open with "
            "'# @package _global_', in its very first line"
        )
    if is_group or (CONF / key).is_dir():
        return UserError(f"{key}: no such group in conf/. {nearest(key, _groups())}")
    # only then something has to be composed to know
    may_hold = verb == "override" and key.partition(".")[0] in TOP_LEVEL
    if may_hold and any(known.startswith(f"{key}.") or known == key for known in _keys()):
        return UserError(f"{key}: say its entries one by one, such as {key}.NAME=VALUE")
    return UserError(f"{key}: no such key. {_near_key(key)}")


def _near_key(key: str) -> str:
    """The nearest key: a sibling where the parent is right, any otherwise."""
    if key.startswith("hydra."):
        return "What launchers and sweepers take stands in conf/hydra/"
    parent = key.rpartition(".")[0]
    if not parent:
        return nearest(key, TOP_LEVEL)
    known = _keys()
    siblings = [one for one in known if one.rpartition(".")[0] == parent]
    return nearest(key, siblings or known)


def _groups() -> list[str]:
    return [
        path.relative_to(CONF).as_posix()
        for path in CONF.rglob("*")
        if path.is_dir() and any(path.glob("*.yaml"))
    ]


def _keys() -> list[str]:
    """Every key of the default configuration, dotted."""
    return _dotted(OmegaConf.to_container(compose(), resolve=False), "")


def _dotted(node: object, path: str) -> list[str]:
    if not isinstance(node, dict):
        return []
    return [
        name
        for key, child in node.items()
        for name in (f"{path}{key}", *_dotted(child, f"{path}{key}."))
    ]
