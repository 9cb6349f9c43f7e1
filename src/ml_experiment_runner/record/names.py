"""Names in a record and in MLflow, which refuses some and would merge others.

A name that MLflow accepts is the same there. In any other, each character that it refuses becomes
`_xHHHH_`, its number in Unicode, as in Excel and .NET; so two names never become one.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.path_names import LENGTH as COMPONENT_LENGTH
from ml_experiment_runner.project.path_names import checked_path
from ml_experiment_runner.project.secrets import mask, mask_name

LENGTH = 250
"""The most characters that MLflow accepts in the name of a metric, param or tag."""
RESERVED = ("metric.", "provenance.", "record.")
"""Prefixes of the runner's own tags in MLflow."""

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
    """The name of a metric, param or tag without secrets, if it is valid.

    Args:
        name: What was given.
        what: `metric`, `param`, `tag` or `provenance`.

    Raises:
        UserError: It is no valid name, or a tag's name is reserved.
    """
    name = mask_name(name)  # before a message quotes it
    if not name:
        raise UserError(f"{what} name must not be empty")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UserError(f"{what} name {name!r} has a lone surrogate; write valid Unicode") from None
    if "\0" in name:
        raise UserError(f"{what} name {name!r} has a NUL character; remove it")
    if (length := len(mlflow_name(name))) > LENGTH:
        raise UserError(
            f"{what} name {name[:40]!r}… must have at most {LENGTH} characters in MLflow, got "
            f"{length}; shorten it"
        )
    if what == "tag" and name.startswith(RESERVED):
        raise UserError(
            f"tag name {name!r} is reserved: {', '.join(RESERVED)} are the runner's prefixes; "
            "choose another name"
        )
    return name


def checked_artifact(name: str) -> str:
    """The name of an artifact without secrets, if it is valid here and in MLflow.

    Args:
        name: What was given, a path such as `notes/a.txt`.

    Raises:
        UserError: It would leave the run's artifacts, or a file's or folder's name is too long.
    """
    name = checked_path(mask(name), "artifact name")
    for component in mlflow_path(name).split("/"):
        if (length := len(component.encode())) > COMPONENT_LENGTH:
            raise UserError(
                f"artifact name {name[:40]!r}… must have at most {COMPONENT_LENGTH} bytes between "
                f"slashes in MLflow, got {length}; shorten it"
            )
    return name


def mlflow_name(name: str) -> str:
    """The name of a metric, param or tag in MLflow."""
    return _REFUSED.sub(_escaped, name)


def mlflow_path(path: str) -> str:
    """The path of an artifact in MLflow."""
    return _REFUSED_IN_PATHS.sub(_escaped, path)


@contextmanager
def renamed_copy(file: Path, name: str) -> Iterator[Path]:
    """A file under another name, where MLflow refuses its own."""
    if file.name == name:
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="runner-") as folder:
        yield Path(shutil.copyfile(file, Path(folder) / name))


def _escaped(refused: re.Match[str]) -> str:
    return f"_x{ord(refused[0]):04X}_"
