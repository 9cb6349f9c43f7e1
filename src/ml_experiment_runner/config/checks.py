"""Checks a composed configuration against its schema."""

import dataclasses
import datetime
import difflib
import keyword
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigTypeError, OmegaConfBaseException, ValidationError

from ml_experiment_runner.config.metrics import COMPARED_ENDS, METRICS, RENAMED, train_objectives
from ml_experiment_runner.config.schema import (
    CHOICES,
    PLUGIN_RANGES,
    RANGES,
    RENAMED_KEYS,
    TOP_LEVEL,
    Config,
    is_within,
)
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.path_names import checked_path
from ml_experiment_runner.project.secrets import is_secret_name

_INTERPOLATION = re.compile(r"\$\{.*\}", re.DOTALL)
_LITERAL_DEFAULT = re.compile(r"oc\.env:[^${}]*,(?!\s*(?:null|''|\"\")?\s*\})[^${}]*\}")
_SETTING = re.compile(r"([\w.@/-]+)[\"']?\s*[:=]\s*([^\s,{}\[\]]+)")

OUR_PLUGINS = (
    f"hydra_plugins.{__name__.partition('.')[0]}.",
    "hydra._internal.core_plugins.basic_",
)


class UnsetVariableError(UserError):
    """A value is to come from an environment variable that is not set."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest known words, or all of them when they are few."""
    names = sorted(known)
    begun = [name for name in names if len(word) > 2 and name.startswith(word)]
    if close := begun or difflib.get_close_matches(word, names, n=1, cutoff=0.6):
        return f"Did you mean '{close[0]}'?"
    if not names:
        return "There is none yet."
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"There is: {shown}."


def renamed(key: str) -> UserError | None:
    """What to say of a key of before; None for any other."""
    present = RENAMED_KEYS.get(key)
    if present is None:
        return None
    group = key.partition(".")[0]
    return UserError(
        f"{key} is called {present} now: write that in conf/{group}/<name>.yaml, or {present}=VALUE"
    )


def check(config: DictConfig) -> None:
    """Checks keys, types and choices without loading data or an estimator; fills in defaults.

    Raises:
        UserError: Names the first wrong key, with the nearest valid name.
    """
    _check_keys(config, Config, "")
    try:
        OmegaConf.to_container(config, resolve=True)
        typed = OmegaConf.merge(OmegaConf.structured(Config), config)
    except (ValidationError, ConfigTypeError) as error:
        key = error.full_key or str(error.key)
        raise UserError(f"{key}: {str(error).splitlines()[0]}") from None
    except OmegaConfBaseException as error:
        missing = re.search(r"Environment variable '(\w+)' not found", str(error))
        if missing:
            raise UnsetVariableError(
                f"{error.full_key}: the environment variable {missing.group(1)} is not set; "
                "set it first, or in .env (.env.example lists all)"
            ) from None
        raise UserError(f"{error.full_key}: {str(error).splitlines()[0]}") from None
    for key, choices in CHOICES.items():
        value = OmegaConf.select(config, key)
        if value is not None and value not in choices:
            raise UserError(f"{key}: '{value}' is no choice. {nearest(str(value), choices)}")
    with open_dict(config):  # from here on values have their types, and defaults are there
        config.merge_with(OmegaConf.to_container(typed, resolve=False))
    _check_values(config)
    _check_objective(config)
    for group in config.task.get("uses", []):
        if group not in TOP_LEVEL:
            raise UserError(f"task.uses: no such key '{group}'. {nearest(group, TOP_LEVEL)}")
        if config.get(group) is None:
            raise UserError(
                f"this task needs a {group} and none is chosen: "
                f"write conf/{group}/<name>.yaml and say {group}=<name> (README.md shows how)"
            )


def check_overrides(overrides: Sequence[str]) -> None:
    """Refuses secrets on the command line: they would stay in the record and in `ps`.

    Raises:
        UserError: Names the key and what to do instead.
    """
    for override in overrides:
        for key, value in _typed(override):
            if _is_typed_secret(key, value):
                variable = "${oc.env:" + re.sub(r"\W+", "_", key).upper() + "}"
                raise UserError(
                    f"{key}: a secret on the command line would stay in the record; "
                    f"set it in the environment and write '{variable}' as its value"
                )


def _typed(override: str) -> Iterator[tuple[str, object]]:
    """Keys and single values of an override, those inside lists and dicts too."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import ValueType
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_override(override)
        value = parsed.value()
    except HydraException:  # it is refused later; until then nothing of it may be shown
        yield from _SETTING.findall(override.lstrip("+~"))
        return
    key = str(parsed.key_or_group)
    if parsed.is_sweep_override():
        # files of a group, numbers of a range: neither is typed, and there may be many
        is_typed = parsed.value_type not in (ValueType.GLOB_CHOICE_SWEEP, ValueType.RANGE_SWEEP)
        is_listed = parsed.is_discrete_sweep() and is_typed
        value = list(parsed.sweep_iterator()) if is_listed else None
    yield from _single(key, value)


def _single(key: str, node: object) -> Iterator[tuple[str, object]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _single(f"{key}.{name}", value)
    elif isinstance(node, list):
        for value in node:
            yield from _single(key, value)
    else:
        yield key, node


def _is_typed_secret(key: str, value: object) -> bool:
    if not any(is_secret_name(name) for name in re.split(r"[./@]", key)):
        return False
    if value is None or isinstance(value, bool | float):
        return False
    if isinstance(value, int):
        return value > 999  # else a place or a count, as in `pad_token=0`
    text = str(value).strip("'\"")
    is_reference = _INTERPOLATION.fullmatch(text) and not _LITERAL_DEFAULT.search(text)
    return bool(text) and not is_reference


def trains(config: DictConfig) -> bool:
    """Whether the task is `train`, whose metrics are known before it runs."""
    return str(config.task._target_).endswith(".training.train.train")


def read_now(config: DictConfig) -> datetime.datetime | None:
    """The moment that the run pretends to live in, with its offset; None for the real one.

    Raises:
        UserError: It is no ISO 8601 time or lies in the future.
    """
    if config.get("now") is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(str(config.now))
    except ValueError:
        raise UserError(
            f"now: '{config.now}' is no ISO 8601 time; write it like 2013-11-30T00:00:00+00:00"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    today = datetime.datetime.now(datetime.UTC)
    if moment > today:
        raise UserError(
            f"now: {config.now} lies in the future; the latest possible is {today:%Y-%m-%dT%H:%MZ}"
        )
    return moment


def read_moment(config: DictConfig) -> datetime.datetime:
    """When the run takes place: `now`, or when the run that it repeats took place, or now."""
    said = os.environ.get("RUNNER_RERUN_AT")
    real = datetime.datetime.fromisoformat(said) if said else datetime.datetime.now(datetime.UTC)
    return read_now(config) or real


def _check_values(config: DictConfig) -> None:
    read_now(config)
    checked_path(config.project, "project:")  # the store's artifacts lie in a folder of this name
    parts = config.package.split(".")
    if not all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        raise UserError(f"package: '{config.package}' is not the name of a Python package")
    until = config.experiment.get("until")
    try:
        datetime.date.fromisoformat(str(until or "2027-01-31"))
    except ValueError:
        raise UserError(
            f"experiment.until: '{until}' is no day; write it like 2027-01-31"
        ) from None
    if config.experiment.status != "active" and not config.experiment.get("conclusion"):
        raise UserError(
            f"experiment.conclusion: missing; an experiment that is {config.experiment.status} "
            "says in a sentence what was learned"
        )
    for key, interval in RANGES.items():
        node = OmegaConf.select(config, key)
        named = {key: node}
        if isinstance(node, DictConfig):
            named = {f"{key}.{name!s}": node[name] for name in node}
        for name, value in named.items():
            if value is not None and not is_within(interval, value):
                raise UserError(f"{name} must be in {interval}, got {value}")
    if config.get("threshold"):
        _check_threshold(config.threshold)


def check_plugins(config: DictConfig) -> None:
    """Checks what the launcher and the sweeper take; the numbers of our own, a plugin has others.

    Args:
        config: Holds Hydra's own part.

    Raises:
        UserError: Names the first key that is not possible.
    """
    for group in ("launcher", "sweeper", "sweeper.sampler", "sweeper.pruner"):
        plugin = OmegaConf.select(config, f"hydra.{group}", default=DictConfig({"_target_": ""}))
        if not isinstance(plugin, DictConfig) or "_target_" not in plugin:
            name = group.replace(".", "/")
            raise UserError(f"hydra.{group}: choose a file, as hydra/{name}=<name>, or change one "
                            f"of its keys, got {_shown(plugin)}")  # fmt: skip
    params = OmegaConf.select(config, "hydra.sweeper.params")
    if params is not None and not isinstance(params, DictConfig):
        raise UserError("hydra.sweeper.params: say its entries one by one, such as "
                        f"hydra.sweeper.params.KEY=VALUES, got {params}")  # fmt: skip
    for key, (kind, interval) in PLUGIN_RANGES.items():
        plugin = OmegaConf.select(config, key.rpartition(".")[0])
        name = key.rpartition(".")[2]
        if name in plugin and plugin._target_.startswith(OUR_PLUGINS):
            _check_number(key, plugin[name], get_args(kind) or (kind,), interval)


def _check_number(key: str, value: Any, kinds: Sequence[type], interval: str) -> None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    is_number = is_whole or (float in kinds and isinstance(value, float))
    may_be_null = type(None) in kinds
    if (value is None and may_be_null) or (is_number and is_within(interval, value)):
        return
    number = "a number" if float in kinds else "a whole number"
    raise UserError(
        f"{key} must be {number} in {interval}{' or null' if may_be_null else ''}, "
        f"got {_shown(value)}"
    )


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)


def _check_objective(config: DictConfig) -> None:
    """The names of `train` are known before it runs; what other tasks return is not."""
    name = config.objective
    if name is None or not trains(config):
        return
    known = train_objectives(config.evaluation.folds, config.seeds)
    end = next((end for end in COMPARED_ENDS if name.endswith(end)), "")
    if name.removesuffix(end) not in known:
        if name in RENAMED:
            raise UserError(f"objective: {name} is called {RENAMED[name]} now")
        metric = METRICS.get(name.rpartition("/")[2])
        if metric is not None and metric.greater_is_better is None:
            raise UserError(f"objective: of '{name}' neither more nor less is better. "
                            f"{nearest(name, known)}")  # fmt: skip
        raise UserError(f"objective: task=train returns no metric '{name}'. {nearest(name, known)}")


def _check_threshold(threshold: DictConfig) -> None:
    policy = threshold.policy
    if policy in ("precision", "recall") and threshold.target is None:
        raise UserError(f"threshold.target is missing: {policy} needs a share, such as 0.8")
    if policy == "top_k" and threshold.capacity is None:
        raise UserError("threshold.capacity is missing: top_k needs the share of rows that can be "
                        "acted upon, such as 0.1")  # fmt: skip
    known = ("false_positive", "false_negative", "true_positive", "true_negative")
    for name in threshold.costs:
        if name not in known:
            raise UserError(f"threshold.costs.{name}: no such key. {nearest(str(name), known)}")
    if policy == "cost" and not {"false_positive", "false_negative"} <= threshold.costs.keys():
        raise UserError("threshold.costs: cost needs false_positive and false_negative, what a "
                        "false alarm and a miss cost")  # fmt: skip


def _check_keys(node: DictConfig, schema: type, path: str) -> None:
    """Walks the configuration beside its schema and stops at the first unknown key."""
    kinds = get_type_hints(schema)
    for key in map(str, node):
        if key not in kinds:
            raise _unknown_key(key, kinds, path)
    for parameter in dataclasses.fields(schema):
        required = (
            parameter.default is dataclasses.MISSING
            and parameter.default_factory is dataclasses.MISSING
        )
        if required and parameter.name not in node:
            raise UserError(f"{path}{parameter.name}: missing; it has to be said")
        kind = next(
            (
                one
                for one in (kinds[parameter.name], *get_args(kinds[parameter.name]))
                if dataclasses.is_dataclass(one)
            ),
            None,
        )
        if OmegaConf.is_missing(node, parameter.name):
            continue
        if kind is None:
            if parameter.name in node:
                key = f"{path}{parameter.name}"
                _check_shape(node, parameter.name, kinds[parameter.name], key)
            continue
        child = node.get(parameter.name)
        if isinstance(child, DictConfig) and isinstance(kind, type):
            _check_keys(child, kind, f"{path}{parameter.name}.")
        elif child is not None:
            key = f"{path}{parameter.name}"
            raise UserError(f"{key}: say its entries one by one, such as {key}.NAME=VALUE")


def _unknown_key(key: str, kinds: Iterable[str], path: str) -> UserError:
    place = f"{path}{key}"
    where = f"under '{path.rstrip('.')}'" if path else "at the top level"
    near = nearest(place, [f"{path}{name}" for name in kinds])
    return renamed(place) or UserError(f"{place}: no such key {where}. {near}")


def _check_shape(node: Any, name: Any, kind: Any, key: str) -> None:
    """Stops where a list, a mapping or a single value stands in the place of another."""
    if OmegaConf.is_missing(node, name):
        raise UserError(f"{key} has no value")
    kinds = get_args(kind)
    value = None if OmegaConf.is_interpolation(node, name) else node[name]
    if value is None:  # the schema tells whether it may be
        return
    kind = kinds[0] if type(None) in kinds else kind
    shape = get_origin(kind)
    if shape is dict and not isinstance(value, DictConfig):
        raise UserError(f"{key} must be a mapping, such as {key}.NAME=VALUE, got {value}")
    if shape is list and not isinstance(value, ListConfig):
        raise UserError(f"{key}: it must be a list, such as {key}=[a,b]")
    if shape is None and kind is not Any and OmegaConf.is_config(value):
        raise UserError(f"{key} must be a single value, got {value}")
    if shape in (dict, list):
        for entry in value if shape is dict else range(len(value)):
            _check_shape(value, entry, get_args(kind)[-1], f"{key}.{entry!s}")
