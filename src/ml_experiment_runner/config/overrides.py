"""Overrides as they are typed, and as Hydra takes them."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_experiment_runner.config.options import groups
from ml_experiment_runner.config.schema import SECTIONS, TOP_LEVEL
from ml_experiment_runner.project.errors import UserError


def normalise(arguments: Sequence[str]) -> list[str]:
    """The command line that Hydra gets.

    `experiment=x` stands for `+experiment=x`. A key, such as `model.C` or `seeds`, may be one that
    no file lists: `++` adds it, and the schema or the model's class knows whether it exists.
    The option of a group is a name, also where it reads as a number or null. `-m` may stand
    anywhere; Hydra takes no override behind an option that has one before it.
    """
    options = [word for word in arguments if word in ("-m", "--multirun")]
    overrides = [word for word in arguments if word not in options]
    return [*options, *(added(_quoted(override)) for override in overrides)]


def typed_overrides(hydra: Any) -> list[str]:
    """The overrides of a job, as they were typed, with references to the environment unresolved.

    Args:
        hydra: Hydra's own section of the configuration.
    """
    from omegaconf import OmegaConf

    overrides = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    assert isinstance(overrides, list)
    return [as_typed(str(override)) for override in overrides]


def as_typed(override: str) -> str:
    """An override without the `++` that `normalise` adds."""
    typed = override.removeprefix("++")
    return typed if added(typed) == override else override


def shown_as_typed(record: logging.LogRecord) -> bool:
    """A logging filter for Hydra's line about a job's overrides."""
    record.msg = " ".join(map(as_typed, str(record.msg).split(" ")))
    return True


def added(override: str) -> str:
    """An override with the signs that let Hydra add a key."""
    if override.startswith("experiment="):
        return f"+{override}"
    key, _, below = override.removeprefix("+").partition("=")[0].partition(".")
    # the file of a task lists all of its parameters; a section by itself is the name of a group
    is_open = key in TOP_LEVEL and key != "task" and (below or key not in SECTIONS)
    return f"++{override.removeprefix('+')}" if is_open else override


def _quoted(override: str) -> str:
    """An override whose options of a group are in quotes where Hydra would not read text."""
    key, _, value = override.partition("=")
    names = value.split(",")
    if is_group(key) and value.startswith("[") and "{" in value:  # Hydra has no message for it
        raise UserError(f"{key} must be the name of an option, got {value}")
    if not (is_group(key) and all(re.fullmatch(r"[\w.+-]+", name) for name in names)):
        return override
    return f"{key}={','.join(name if _is_text(name) else repr(name) for name in names)}"


def _is_text(name: str) -> bool:
    """Whether Hydra reads a value as text."""
    is_constant = name.lower() in ("null", "true", "false", "inf", "nan")
    return name[0].isalpha() and not is_constant


def is_group(key: str) -> bool:
    """Whether an override's key is a group, whose value is the name of an option."""
    name = key.lstrip("+").partition("@")[0]
    return re.fullmatch(r"\w+(/\w+)*", name) is not None and name in groups()


def quoted(value: Path | str) -> str:
    """A value in quotes, which Hydra takes as it is."""
    text = value.as_posix() if isinstance(value, Path) else value
    return "'" + text.replace("'", "\\'") + "'"
