"""Where the project is, and what git says of it."""

import os
import subprocess
import sys
from pathlib import Path

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.secrets import PRIVATE, register_environment

ROOT = "ML_EXPERIMENT_ROOT"
"""The variable that tells processes started from a project where it is."""
MARKS = ("run.py", "conf/config.yaml")


def root() -> Path:
    """The project's folder, which holds `run.py` and `conf/config.yaml`.

    It is the one that `run.py` named, or else the nearest above the working directory.

    Raises:
        UserError: There is none.
    """
    if named := os.environ.get(ROOT):
        return Path(named)
    place = Path.cwd()
    for folder in (place, *place.parents):
        if all((folder / mark).is_file() for mark in MARKS):
            return folder
    raise UserError(
        f"no project here: neither {place} nor a folder above it holds {' and '.join(MARKS)}; "
        "cd into a project first"
    )


def enter(project: Path) -> None:
    """Makes a project the one that this process and those that it starts work in.

    Args:
        project: The folder that holds `run.py`; what is in its `src` can be imported from now on.
    """
    os.environ[ROOT] = str(project)
    source = str(project / "src")
    if source not in sys.path:
        sys.path.insert(0, source)


def read_environment() -> None:
    """Sets the variables of `.env` that are not set yet, and has secrets masked from now on.

    Processes that are started from here mask them too, wherever they work.

    Raises:
        UserError: The file cannot be read.
    """
    path = root() / ".env"
    if path.is_file():
        from dotenv import dotenv_values, load_dotenv

        try:
            load_dotenv(path)
            names = dotenv_values(path, interpolate=False).keys()
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: it cannot be read ({error}); see .env.example") from None
        handed_on = os.environ.get(PRIVATE, "").split("=")
        os.environ[PRIVATE] = "=".join(sorted({*handed_on, *names} - {""}))
    register_environment()


def git(folder: Path, *words: str) -> str | None:
    """What git answers in a folder; None if it fails or is not there."""
    try:
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, encoding="utf-8", check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
