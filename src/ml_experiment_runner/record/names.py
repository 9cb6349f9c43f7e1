"""Names in a record, and what they are in MLflow, which refuses some and would merge others.

A name that MLflow takes is the same there. Elsewhere each character that it refuses is `_xHHHH_`,
its number in Unicode, as Excel and .NET write it; so two names are never one.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.path_names import LENGTH as PART_LENGTH
from ml_experiment_runner.project.path_names import checked_path
from ml_experiment_runner.project.secrets import mask, mask_name

LENGTH = 250
"""Characters of a metric's, param's or tag's name that MLflow takes."""
RESERVED = ("metric.", "provenance.", "record.")
"""What the runner's own tags begin with in MLflow."""

_ESCAPE = r"_(?=x[0-9A-F]{4})"  # itself, or it would be read as one
_REFUSED = re.compile(
    rf"[^\w\-./: ]|{_ESCAPE}"
    r"|\A/|/(?=/|\Z)"  # a path without a name between its slashes
    r"|(?<![^/])\.(?=\.?(?:/|\Z))|\A\.(?=\.)"  # `.` and `..`
)
_REFUSED_IN_PATHS = re.compile(
    rf"[\x00-\x1f\x7f-\x9f\u2028\u2029%#?\\]|{_ESCAPE}"
    r"|(?<![^/])\s|\s(?=/|\Z)"
)  # a server reads these as parts of an address, or drops them


def checked_name(name: str, what: str) -> str:
    """The name of a metric, param or tag without secrets, if it can be one.

    Args:
        name: What was given.
        what: `metric`, `param`, `tag` or `provenance`.

    Raises:
        UserError: It can be no name, or a tag's name is one of the runner's own.
    """
    name = mask_name(name)  # before a message shows a part of it
    if not name:
        raise UserError(f"{what} name is empty; give it at least one character")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError(f"{what} name {name!r} has half a character (a lone surrogate)") from None
    if "\0" in name:
        raise UserError(f"{what} name {name!r} has a NUL character; leave it out")
    if (length := len(mlflow_name(name))) > LENGTH:
        raise UserError(
            f"{what} name {name[:40]!r}… has {length} characters in MLflow, which takes {LENGTH}; "
            "shorten it"
        )
    if what == "tag" and name.startswith(RESERVED):
        raise UserError(
            f"tag name {name!r} is reserved: {', '.join(RESERVED)} begin the runner's own; "
            "take another name"
        )
    return name


def checked_artifact(name: str) -> str:
    """The name of an artifact without secrets, if it can be one here and in MLflow.

    Args:
        name: What was given, a path such as `notes/a.txt`.

    Raises:
        UserError: It would leave the run's artifacts, or a part of it is too long.
    """
    name = checked_path(mask(name), "artifact name")
    for part in mlflow_path(name).split("/"):
        if (length := len(part.encode())) > PART_LENGTH:
            raise UserError(
                f"artifact name {name[:40]!r}… has a part of {length} bytes in MLflow, the most is "
                f"{PART_LENGTH}; shorten it"
            )
    return name


def mlflow_name(name: str) -> str:
    """What a metric, param or tag is called in MLflow."""
    return _REFUSED.sub(_escaped, name)


def mlflow_path(path: str) -> str:
    """Where an artifact is in MLflow."""
    return _REFUSED_IN_PATHS.sub(_escaped, path)


@contextmanager
def named_so(file: Path, name: str) -> Iterator[Path]:
    """The file under another name, where MLflow would not take its own."""
    if file.name == name:
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="runner-") as folder:
        yield Path(shutil.copyfile(file, Path(folder) / name))


def _escaped(found: re.Match[str]) -> str:
    return f"_x{ord(found[0]):04X}_"
