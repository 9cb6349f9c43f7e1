"""Overrides as they are typed, and as Hydra's grammar takes them."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from ml_experiment_runner.config.options import groups
from ml_experiment_runner.config.schema import TOP_LEVEL
from ml_experiment_runner.project.errors import UserError


def normalise(arguments: Sequence[str]) -> list[str]:
    """What Hydra is given for what was typed.

    `experiment=x` stands for `+experiment=x`. A key below a section, such as `model.C`, may be one
    that no file lists: `++` adds it, and the schema or the model's class says whether there is such
    a key. The choice of a group is a name, also where it reads as a number or null. `-m` may stand
    anywhere; Hydra takes no override behind an option that has one before it.
    """
    options = [word for word in arguments if word in ("-m", "--multirun")]
    others = [word for word in arguments if word not in options]
    return [*options, *(added(_quoted(word)) for word in others)]


def as_typed(word: str) -> str:
    """An override without the `++` that `normalise` adds."""
    return word.removeprefix("++") if added(word.removeprefix("++")) == word else word


def shown_as_typed(record: logging.LogRecord) -> bool:
    """A filter for what Hydra logs of a job's overrides."""
    record.msg = " ".join(map(as_typed, str(record.msg).split(" ")))
    return True


def added(word: str) -> str:
    """An override as Hydra takes it, with the signs that let it add a key."""
    if word.startswith("experiment="):
        return f"+{word}"
    below = re.match(r"\+?(\w+)\.", word)
    # the task's own parameters stand in its file, all of them
    is_open = below is not None and below[1] in TOP_LEVEL and below[1] != "task"
    return f"++{word.removeprefix('+')}" if is_open else word


def _quoted(word: str) -> str:
    key, _, value = word.partition("=")
    names = value.split(",")
    if is_group(key) and value.startswith("[") and "{" in value:  # Hydra has no line for it
        raise UserError(f"{key} must be the name of an option, got {value}")
    if not (is_group(key) and all(re.fullmatch(r"[\w.+-]+", name) for name in names)):
        return word
    return f"{key}={','.join(name if _is_plain(name) else repr(name) for name in names)}"


def _is_plain(name: str) -> bool:
    """Whether Hydra reads it as a text."""
    is_constant = name.lower() in ("null", "true", "false", "inf", "nan")
    return name[0].isalpha() and not is_constant


def is_group(key: str) -> bool:
    """Whether an override's key is a group, whose value is the name of a file."""
    name = key.lstrip("+").partition("@")[0]
    return re.fullmatch(r"\w+(/\w+)*", name) is not None and name in groups()


def quoted(value: Path | str) -> str:
    """A value that Hydra's grammar takes as it is."""
    text = value.as_posix() if isinstance(value, Path) else value
    return "'" + text.replace("'", "\\'") + "'"
