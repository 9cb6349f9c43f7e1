"""Checks a configuration's keys, and the types of their values, against the schema."""

import dataclasses
import functools
import re
from collections.abc import Iterable
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException, ValidationError

from ml_experiment_runner.config.schema import RENAMED_KEYS, Config
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.suggestions import nearest

TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


class UnsetVariableError(UserError):
    """A value refers to an environment variable that is not set."""


def with_schema(config: DictConfig) -> DictConfig:
    """The configuration with the schema's types and defaults.

    Raises:
        UserError: Names the first wrong key, with the nearest valid name.
    """
    _check_shape(config, Config, "")
    _check_references(config)
    try:
        typed = OmegaConf.merge(_schema(), config)
        missing = OmegaConf.missing_keys(typed)
    except ConfigKeyError as error:
        key = str(error.full_key)
        section = key.rpartition(".")[0]
        siblings = [f"{section}.{name}".lstrip(".") for name in get_type_hints(error.object_type)]
        raise unknown_key(key, siblings) from None
    except ValidationError as error:
        key = str(error.full_key)
        value = OmegaConf.select(config, key, throw_on_missing=False)
        raise UserError(f"{key} must be {_type_name(key)}, got {shown(value)}") from None
    if missing:
        raise UserError(f"{min(missing)} is required")
    assert isinstance(typed, DictConfig)
    return typed


def unknown_key(key: str, known: Iterable[str]) -> UserError:
    """The error about a key that does not exist."""
    return renamed_key(key) or UserError(f"unknown key '{key}'. {nearest(key, known)}")


def renamed_key(key: str) -> UserError | None:
    """The error about a key that has another name since; None for any other key."""
    present = RENAMED_KEYS.get(key)
    if present is None:
        return None
    group = key.partition(".")[0]
    return UserError(f"{key} was renamed to {present}: change it in conf/{group}/<name>.yaml, "
                     f"or type {present}=VALUE")  # fmt: skip


def shown(value: object) -> str:
    """A value as messages show it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"'{value}'" if isinstance(value, str) else str(value)


@functools.cache
def _schema() -> DictConfig:
    """The schema as OmegaConf has it; making it takes milliseconds, and a sweep asks often."""
    schema = OmegaConf.structured(Config)
    assert isinstance(schema, DictConfig)
    return schema


def _check_shape(value: Any, type_hint: Any, key: str) -> None:
    """Refuses a mapping, a list or a single value in the place of another.

    OmegaConf takes a list for a single value within a list or mapping, and names no key where it
    cannot merge a mapping with a list.
    """
    type_hint = _without_null(type_hint)
    container = get_origin(type_hint)
    children: dict[Any, Any] = {}
    if dataclasses.is_dataclass(type_hint) or container is dict:
        if not isinstance(value, DictConfig):
            raise UserError(f"{key} is a mapping, got {shown(value)}; override single keys, such "
                            f"as {key}.NAME=VALUE")  # fmt: skip
        children = (
            dict.fromkeys(value, get_args(type_hint)[-1])
            if container is dict
            else get_type_hints(type_hint)
        )
    elif container is list:
        if not isinstance(value, ListConfig):
            raise UserError(f"{key} must be a list, such as {key}=[a,b], got {shown(value)}")
        children = dict.fromkeys(range(len(value)), get_args(type_hint)[-1])
    elif type_hint is not Any and OmegaConf.is_config(value):
        raise UserError(f"{key} must be a single value, got {value}")
    for name, child_hint in children.items():
        is_there = isinstance(value, ListConfig) or name in value
        if is_there and not _is_open(value, name) and value[name] is not None:
            _check_shape(value[name], child_hint, f"{key}.{name}".lstrip("."))


def _is_open(node: Any, name: Any) -> bool:
    """Whether a value is missing (`???`), or refers to another one."""
    return OmegaConf.is_missing(node, name) or OmegaConf.is_interpolation(node, name)


def _check_references(config: DictConfig) -> None:
    """Checks that `${…}` can be resolved everywhere."""
    try:
        OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        variable = re.search(r"Environment variable '(\w+)' not found", reason)
        if variable is None:
            raise UserError(f"{error.full_key}: {reason}") from None
        raise UnsetVariableError(
            f"{error.full_key}: the environment variable {variable[1]} is not set; set it in the "
            "shell or in .env (.env.example lists all)"
        ) from None


def _type_name(key: str) -> str:
    """What the schema asks of a key, such as `a whole number or null`."""
    type_hint: Any = Config
    for name in re.findall(r"[^.\[\]]+", key):
        type_hint = _without_null(type_hint)
        type_hint = (
            get_type_hints(type_hint)[name]
            if dataclasses.is_dataclass(type_hint)
            else get_args(type_hint)[-1]
        )
    inner = _without_null(type_hint)
    name = TYPE_NAMES.get(inner) or ("a list" if get_origin(inner) is list else "a mapping")
    return name if inner is type_hint else f"{name} or null"


def _without_null(type_hint: Any) -> Any:
    """The type of an optional value."""
    types = get_args(type_hint)
    return types[0] if NoneType in types else type_hint
