"""Errors of Hydra and OmegaConf about what was typed, said plainly."""

import re
from collections.abc import Callable, Sequence

import yaml
from hydra.errors import OverrideParseException

from ml_experiment_runner.config.checks import nearest, renamed
from ml_experiment_runner.config.options import groups, options
from ml_experiment_runner.config.overrides import as_typed
from ml_experiment_runner.config.schema import TOP_LEVEL
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import root

Keys = Callable[[Sequence[str]], list[str]]


def plain(error: Exception, typed: Sequence[str], keys: Keys) -> Exception:
    """A Hydra or OmegaConf error about the user's words, said our way; any other stays itself.

    Args:
        error: What Hydra raised.
        typed: The overrides: the nearest key is looked for in what they choose.
        keys: Gives all keys of the configuration that overrides choose.
    """
    if isinstance(error, UserError):
        return error
    return _choice(error) or _key(error, typed, keys) or _value(error) or _other(error)


def _choice(error: Exception) -> UserError | None:
    """A choice of a group that is not there, or was made twice."""
    text = str(error)
    if match := re.search(r"Could not (?:find|load) '([^']*)'", text):
        known = (each for each in groups() if match[1].startswith(f"{each}/"))
        if group := max(known, key=len, default=match[1].rpartition("/")[0]):
            name = match[1].removeprefix(f"{group}/")
            near = nearest(name, options(group))
            return UserError(f"{group}={name}: no such option of {group}. {near}")
    if match := re.search(r"Multiple values for ([\w/]+)\.", text):
        return UserError(f"{match.group(1)}: chosen twice; say {match.group(1)}=<name> once")
    return None


def _key(error: Exception, typed: Sequence[str], keys: Keys) -> UserError | None:
    """A key that is not there."""
    text, cause = str(error), _cause(error)
    if match := re.search(r"Could not (override|append|delete)\w* '([^']+)'", text):
        verb, key = match.group(1), match.group(2).split("@")[0]
        return _no_match(verb, key, "No match in the defaults list" in text, typed, keys)
    if "Key '" in text + cause and "is not in struct" in text + cause:
        place = re.search(r"full_key: (\S+)", text + cause)
        name = place.group(1) if place else text.splitlines()[0]
        return renamed(name) or UserError(f"{name}: no such key. {_near_key(name, typed, keys)}")
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


def _no_match(verb: str, key: str, is_group: bool, typed: Sequence[str], keys: Keys) -> UserError:
    if verb == "override" and key in groups():
        return UserError(
            f"{key}: it is overridden where it cannot be. An experiment's file must open with "
            "'# @package _global_', in its very first line"
        )
    if is_group or any(group.partition("/")[0] == key for group in groups()):
        return UserError(f"{key}: no such group in conf/. {nearest(key, groups())}")
    # only then something has to be composed to know
    may_hold = verb == "override" and key.partition(".")[0] in TOP_LEVEL
    if may_hold and any(known.startswith(f"{key}.") or known == key for known in keys(typed)):
        return UserError(f"{key}: say its entries one by one, such as {key}.NAME=VALUE")
    return renamed(key) or UserError(f"{key}: no such key. {_near_key(key, typed, keys)}")


def _near_key(key: str, typed: Sequence[str], keys: Keys) -> str:
    """The nearest key: a sibling where the parent is right, any otherwise."""
    if key.startswith("hydra."):
        return "`--cfg hydra` shows what the chosen launcher and sweeper take"
    parent = key.rpartition(".")[0]
    if not parent:
        return nearest(key, TOP_LEVEL)
    known = keys(typed)
    siblings = [one for one in known if one.rpartition(".")[0] == parent]
    return nearest(key, siblings or known)
