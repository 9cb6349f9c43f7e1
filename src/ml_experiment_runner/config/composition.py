"""From words on the command line to a composed configuration, with Hydra's errors in our words."""

import copy
import itertools
import logging
import re
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from hydra.errors import OverrideParseException
from omegaconf import DictConfig, OmegaConf, flag_override

from ml_experiment_runner.config.checks import check, check_plugins, nearest
from ml_experiment_runner.config.options import folder, groups, option_file, options
from ml_experiment_runner.config.schema import TOP_LEVEL
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import read_environment, root
from ml_experiment_runner.project.secrets import watch_resolver

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

REMEMBERED = 256  # compositions of a sweep's jobs
VALUES = 10_000  # of one key in a sweep, each of which is composed and checked first


def normalise(arguments: Sequence[str]) -> list[str]:
    """What Hydra is given for what was typed.

    `experiment=x` stands for `+experiment=x`. A key below a section, such as `model.C`, may be one
    that no file lists: `++` adds it, and the schema or the model's class says whether there is such
    a key. The choice of a group is a name, also where it reads as a number or null. `-m` may stand
    anywhere; Hydra takes no override behind an option that has one before it.
    """
    options = [word for word in arguments if word in ("-m", "--multirun")]
    others = [word for word in arguments if word not in options]
    return [*options, *(_added(_quoted(word)) for word in others)]


def as_typed(word: str) -> str:
    """An override without the `++` that `normalise` adds."""
    return word.removeprefix("++") if _added(word.removeprefix("++")) == word else word


def shown_as_typed(record: logging.LogRecord) -> bool:
    """A filter for what Hydra logs of a job's overrides."""
    record.msg = " ".join(map(as_typed, str(record.msg).split(" ")))
    return True


def _added(word: str) -> str:
    if word.startswith("experiment="):
        return f"+{word}"
    below = re.match(r"\+?(\w+)\.", word)
    # the task's own parameters stand in its file, all of them
    is_open = below is not None and below[1] in TOP_LEVEL and below[1] != "task"
    return f"++{word.removeprefix('+')}" if is_open else word


def _quoted(word: str) -> str:
    key, _, value = word.partition("=")
    names = value.split(",")
    if _is_group(key) and value.startswith("[") and "{" in value:  # Hydra has no line for it
        raise UserError(f"{key} must be the name of a file in conf/{key}/, got {value}")
    if not (_is_group(key) and all(re.fullmatch(r"[\w.+-]+", name) for name in names)):
        return word
    return f"{key}={','.join(name if _is_plain(name) else repr(name) for name in names)}"


def _is_plain(name: str) -> bool:
    """Whether Hydra reads it as a text."""
    is_constant = name.lower() in ("null", "true", "false", "inf", "nan")
    return name[0].isalpha() and not is_constant


def _is_group(key: str) -> bool:
    name = key.lstrip("+").partition("@")[0]
    return re.fullmatch(r"\w+(/\w+)*", name) is not None and name in groups()


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
        with hydra.initialize_config_dir(str(folder()), version_base="1.3"):
            config = hydra.compose(
                "config", overrides=normalise(overrides), return_hydra_config=True
            )
    except Exception as error:
        raise explain(error, overrides) from error
    return check_composed(config)


def check_composed(config: DictConfig) -> DictConfig:
    """Checks what Hydra composed for a run, before anything runs.

    The model's class, whose import takes seconds, is asked only where a parameter was typed that
    the model's file does not list.

    Args:
        config: Holds Hydra's own part too.

    Returns:
        The configuration without Hydra's part, with the defaults of keys that no file lists.

    Raises:
        UserError: Names the first wrong key, with the nearest valid name.
    """
    check_plugins(config)
    job = own(config)
    check(job)
    if "model" in job.task.get("uses", []) and _typed_parameters(config) - _listed(config):
        from ml_experiment_runner.config.parameters import check_members, check_model

        check_model(job)
        check_members(job)
    OmegaConf.set_struct(job, True)
    return job


def _typed_parameters(config: DictConfig) -> set[str]:
    typed = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    assert isinstance(typed, list)
    keys = (word.lstrip("+").partition("=")[0] for word in map(str, typed))
    return {key.removeprefix("model.") for key in keys if key.startswith("model.")}


def _listed(config: DictConfig) -> set[str]:
    """Parameters in the file of the chosen model."""
    path = option_file("model", str(config.hydra.runtime.choices.get("model")))
    return set(map(str, OmegaConf.load(path))) if path else set()


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


def normalise_params(config: DictConfig) -> None:
    """Has the keys of `hydra.sweeper.params` as they would be typed.

    Args:
        config: What Hydra composed for the sweep as a whole.
    """
    params = config.hydra.sweeper.get("params")
    if params:
        written = OmegaConf.to_container(params, resolve=False)
        assert isinstance(written, dict)
        named = {_added(str(key)): value for key, value in written.items()}
        with flag_override(config, ["struct", "readonly"], False):
            config.hydra.sweeper.params = named


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
    parser = OverridesParser.create(config_loader=loader)
    overrides = parser.parse_overrides([*words, *map(str, typed)])
    for override in overrides:
        key = override.get_key_element()
        word = str(override.input_line)
        if not override.is_sweep_override():
            values[key] = [word]
        elif override.is_discrete_sweep():
            listed = itertools.islice(override.sweep_string_iterator(), VALUES + 1)
            values[key] = [f"{key}={value}" for value in listed]
            if len(values[key]) > VALUES:
                raise UserError(f"{as_typed(word)}: a sweep over a key takes at most {VALUES} "
                                "values")  # fmt: skip
        elif "optuna" not in sweeper:
            raise UserError(f"{as_typed(word)}: an interval is searched, which is said with "
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
    word = str(override.input_line)
    interval: Any = override.value()
    low, high = float(interval.start), float(interval.end)
    if low > high or ("log" in interval.tags and low <= 0):
        raise UserError(f"{as_typed(word)}: an interval goes from the lower number to the "
                        "higher one, on a logarithmic scale from above 0")  # fmt: skip
    typed = re.search(r"interval\(([^)]*)\)", word)
    is_whole = typed is not None and re.fullmatch(r"(\w+=|[-+\d\s,])*", typed.group(1))
    key = override.get_key_element().lstrip("+~")
    if is_whole and not isinstance(OmegaConf.select(config, key, throw_on_missing=False), float):
        return int(low), int(high)
    return low, high


def own(config: DictConfig) -> DictConfig:
    """A configuration without Hydra's own part."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def explain(error: Exception, typed: Sequence[str] = ()) -> Exception:
    """A Hydra or OmegaConf error about the user's words, said our way; any other stays itself.

    Args:
        error: What Hydra raised.
        typed: The overrides: the nearest key is looked for in what they choose.
    """
    if isinstance(error, UserError):
        return error
    return _choice(error) or _key(error, typed) or _value(error) or _other(error)


def _choice(error: Exception) -> UserError | None:
    """A choice of a group that is not there, or was made twice."""
    text = str(error)
    if match := re.search(r"Could not (?:find|load) '([^']*)'", text):
        known = (each for each in groups() if match[1].startswith(f"{each}/"))
        if group := max(known, key=len, default=match[1].rpartition("/")[0]):
            name = match[1].removeprefix(f"{group}/")
            near = nearest(name, options(group))
            return UserError(f"{group}={name}: no such file in conf/{group}/. {near}")
    if match := re.search(r"Multiple values for ([\w/]+)\.", text):
        return UserError(f"{match.group(1)}: chosen twice; say {match.group(1)}=<name> once")
    return None


def _key(error: Exception, typed: Sequence[str]) -> UserError | None:
    """A key that is not there."""
    text, cause = str(error), _cause(error)
    if match := re.search(r"Could not (override|append|delete)\w* '([^']+)'", text):
        verb, key = match.group(1), match.group(2).split("@")[0]
        return _no_match(verb, key, "No match in the defaults list" in text, typed)
    if "Key '" in text + cause and "is not in struct" in text + cause:
        place = re.search(r"full_key: (\S+)", text + cause)
        name = place.group(1) if place else text.splitlines()[0]
        return UserError(f"{name}: no such key. {_near_key(name, typed)}")
    return None


def _value(error: Exception) -> UserError | None:
    """A value that cannot be read, or not be taken by its key."""
    text, cause = str(error), _cause(error)
    several = re.match(r"Ambiguous value for argument '(.*)'\n", text) or re.match(
        r"Sweep parameters '(.*)' requires --multirun", text
    )
    if several:
        key, _, value = as_typed(several.group(1)).partition("=")
        return UserError(
            f"{key}: several values ({value}) are a sweep: add -m. Or write a list as {key}=[a,b], "
            f"and a text with a comma in quotes of its own: '{key}=\"a, b\"'"
        )
    if match := re.match(r"Error merging override ([^=]*)", text):
        reason = (cause or "it cannot be read").splitlines()[0]
        return UserError(f"{as_typed(match.group(1))}: {reason}")
    if isinstance(error, OverrideParseException):
        said = as_typed(str(getattr(error, "override", text)))
        return UserError(
            f"{said}: cannot be read. Hydra gives commas, brackets and braces a meaning: "
            "put text into quotes of its own, such as 'experiment.question=\"Why, then?\"'"
        )
    return None


def _cause(error: Exception) -> str:
    return str(error.__cause__) if error.__cause__ else ""


def _other(error: Exception) -> Exception:
    """A file that cannot be read or written; whatever else Hydra refuses."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        place = mark.name.removeprefix(f"{root()}/")
        return UserError(f"{place}:{mark.line + 1}: this is no YAML: {error.problem}")
    if isinstance(error, PermissionError | FileExistsError | NotADirectoryError):
        return UserError(f"{error.filename}: cannot be written ({error.strerror})")
    if "hydra" in _origins(error) or "omegaconf" in _origins(error):
        detail = " ".join(line.strip() for line in (str(error) or _cause(error)).splitlines()[:2])
        return UserError(f"{detail} (python run.py lists what can be typed)")
    return error


def _origins(error: Exception) -> set[str]:
    """Top-level modules of the error's class and of the code that raised it."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    raised = str(place.tb_frame.f_globals.get("__name__", "")) if place is not None else ""
    return {type(error).__module__.partition(".")[0], raised.partition(".")[0]}


def _no_match(verb: str, key: str, is_group: bool, typed: Sequence[str]) -> UserError:
    if verb == "override" and key in groups():
        return UserError(
            f"{key}: it is overridden where it cannot be. An experiment's file must open with "
            "'# @package _global_', in its very first line"
        )
    if is_group or any(group.partition("/")[0] == key for group in groups()):
        return UserError(f"{key}: no such group in conf/. {nearest(key, groups())}")
    # only then something has to be composed to know
    may_hold = verb == "override" and key.partition(".")[0] in TOP_LEVEL
    if may_hold and any(known.startswith(f"{key}.") or known == key for known in _keys(typed)):
        return UserError(f"{key}: say its entries one by one, such as {key}.NAME=VALUE")
    return UserError(f"{key}: no such key. {_near_key(key, typed)}")


def _near_key(key: str, typed: Sequence[str]) -> str:
    """The nearest key: a sibling where the parent is right, any otherwise."""
    if key.startswith("hydra."):
        return "What launchers and sweepers take stands in conf/hydra/"
    parent = key.rpartition(".")[0]
    if not parent:
        return nearest(key, TOP_LEVEL)
    known = _keys(typed)
    siblings = [one for one in known if one.rpartition(".")[0] == parent]
    return nearest(key, siblings or known)


def _keys(typed: Sequence[str]) -> list[str]:
    """Every key of the configuration that the typed choices of groups give, dotted."""
    chosen = [word.partition(",")[0] for word in typed if _is_group(word.partition("=")[0])]
    try:
        config = compose(*chosen)
    except UserError:  # another mistake
        config = compose()
    return _dotted(OmegaConf.to_container(config, resolve=False), "")


def _dotted(node: object, path: str) -> list[str]:
    if not isinstance(node, dict):
        return []
    return [
        name
        for key, child in node.items()
        for name in (f"{path}{key}", *_dotted(child, f"{path}{key}."))
    ]


def quoted(value: Path | str) -> str:
    """A value that Hydra's grammar takes as it is."""
    text = value.as_posix() if isinstance(value, Path) else value
    return "'" + text.replace("'", "\\'") + "'"
