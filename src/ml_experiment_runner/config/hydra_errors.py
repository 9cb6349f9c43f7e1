"""Errors of Hydra and OmegaConf about what was typed, as one line that says what to do."""

import re
import traceback
from collections.abc import Callable, Sequence

import yaml
from hydra.errors import OverrideParseException

from ml_experiment_runner.config.options import groups, options
from ml_experiment_runner.config.overrides import as_typed
from ml_experiment_runner.config.schema import TOP_LEVEL
from ml_experiment_runner.config.structure import renamed_key, unknown_key
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import root
from ml_experiment_runner.project.suggestions import nearest

Keys = Callable[[Sequence[str]], list[str]]


def translate(error: Exception, overrides: Sequence[str], keys: Keys) -> Exception:
    """A UserError for an error of Hydra or OmegaConf about what was typed; others as they are.

    Args:
        error: What Hydra raised.
        overrides: What was typed: the nearest key is looked for in what they choose.
        keys: Gives all keys of the configuration that overrides choose.
    """
    if isinstance(error, UserError):
        return error
    return (
        _option_error(error)
        or _key_error(error, overrides, keys)
        or _value_error(error)
        or _other_error(error)
    )


def _option_error(error: Exception) -> UserError | None:
    """An option of a group that does not exist, or was chosen twice."""
    text = str(error)
    if match := re.search(r"Could not (?:find|load) '([^']*)'", text):
        parents = (group for group in groups() if match[1].startswith(f"{group}/"))
        if group := max(parents, key=len, default=match[1].rpartition("/")[0]):
            name = match[1].removeprefix(f"{group}/")
            return UserError(f"unknown option {group}={name}. {nearest(name, options(group))}")
    if match := re.search(r"Multiple values for ([\w/]+)\.", text):
        return UserError(f"{match[1]} is chosen twice; type {match[1]}=<name> once")
    return None


def _key_error(error: Exception, overrides: Sequence[str], keys: Keys) -> UserError | None:
    """A key that does not exist."""
    text, cause = str(error), _cause(error)
    if match := re.search(r"Could not (override|append|delete)\w* '([^']+)'", text):
        verb, key = match[1], match[2].split("@")[0]
        is_group = "No match in the defaults list" in text
        return _no_match(verb, key, is_group, overrides, keys)
    if "Key '" in text + cause and "is not in struct" in text + cause:
        match = re.search(r"full_key: (\S+)", text + cause)
        return _unknown_key(match[1] if match else text.splitlines()[0], overrides, keys)
    return None


def _value_error(error: Exception) -> UserError | None:
    """A value that cannot be parsed, or that its key does not take."""
    text, cause = str(error), _cause(error)
    several = re.match(r"Ambiguous value for argument '(.*)'\n", text) or re.match(
        r"Sweep parameters '(.*)' requires --multirun", text
    )
    if several:
        key, _, value = as_typed(several[1]).partition("=")
        return UserError(
            f"{key} has several values ({value}), which is a sweep: add -m. A list is typed "
            f"{key}=[a,b], a text with a comma in quotes of its own: '{key}=\"a, b\"'"
        )
    if match := re.match(r"Error merging override ([^=]*)", text):
        reason = (cause or "invalid value").splitlines()[0]
        return UserError(f"{as_typed(match[1])}: {reason}")
    if isinstance(error, OverrideParseException):
        override = as_typed(str(getattr(error, "override", text)))
        return UserError(
            f"invalid override {override}: commas, brackets and braces have a meaning in Hydra; "
            "put text into quotes of its own, such as 'experiment.question=\"Why, then?\"'"
        )
    return None


def _other_error(error: Exception) -> Exception:
    """A file that cannot be read or written, or anything else that Hydra refuses."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        file = mark.name.removeprefix(f"{root()}/")
        return UserError(f"{file}:{mark.line + 1}: invalid YAML: {error.problem}")
    if isinstance(error, PermissionError | FileExistsError | NotADirectoryError):
        return UserError(f"{error.filename} cannot be written ({error.strerror})")
    if {"hydra", "omegaconf"} & _origins(error):
        detail = " ".join(line.strip() for line in (str(error) or _cause(error)).splitlines()[:2])
        return UserError(f"{detail} (python run.py lists what can be typed)")
    return error


def _cause(error: Exception) -> str:
    return str(error.__cause__) if error.__cause__ else ""


def _origins(error: Exception) -> set[str]:
    """Top-level modules of the error's class and of the code that raised it."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    modules = [str(frame.f_globals.get("__name__", "")) for frame in frames[-1:]]
    return {module.partition(".")[0] for module in (type(error).__module__, *modules)}


def _no_match(
    verb: str, key: str, is_group: bool, overrides: Sequence[str], keys: Keys
) -> UserError:
    if verb == "override" and key in groups():
        return UserError(
            f"{key} cannot be overridden here: an experiment's file must open with "
            "'# @package _global_', in its very first line"
        )
    if is_group or any(group.partition("/")[0] == key for group in groups()):
        return UserError(f"unknown group '{key}'. {nearest(key, groups())}")
    # only then something has to be composed to know
    may_hold = verb == "override" and key.partition(".")[0] in TOP_LEVEL
    if may_hold and any(f"{known}.".startswith(f"{key}.") for known in keys(overrides)):
        return UserError(f"{key} is a mapping; override single keys, such as {key}.NAME=VALUE")
    return _unknown_key(key, overrides, keys)


def _unknown_key(key: str, overrides: Sequence[str], keys: Keys) -> UserError:
    """Names the nearest key: a sibling where the parent exists, any other where it does not."""
    if key.startswith("hydra."):
        return UserError(f"unknown key '{key}'. `--cfg hydra` shows the keys of the chosen "
                         "launcher and sweeper")  # fmt: skip
    if renamed := renamed_key(key):
        return renamed
    section = key.rpartition(".")[0]
    if not section:
        return unknown_key(key, TOP_LEVEL)
    known = keys(overrides)
    return unknown_key(key, [name for name in known if name.rpartition(".")[0] == section] or known)
