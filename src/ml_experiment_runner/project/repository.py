"""The project on disk: its root, its environment variables, and git."""

import os
import subprocess
import sys
from pathlib import Path

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.secrets import PRIVATE, register_environment

ROOT = "ML_EXPERIMENT_ROOT"
"""Environment variable with the project's root, for child processes."""
MARKS = ("run.py", "conf/config.yaml")


def root() -> Path:
    """The project's folder, which contains `run.py` and `conf/config.yaml`.

    It is the folder of the `run.py` that was started, or else the nearest one above the working
    directory.

    Raises:
        UserError: The working directory is not in a project.
    """
    if named := os.environ.get(ROOT):
        return Path(named)
    place = Path.cwd()
    for folder in (place, *place.parents):
        if all((folder / mark).is_file() for mark in MARKS):
            return folder
    raise UserError(
        f"not in a project: neither {place} nor a folder above it contains "
        f"{' and '.join(MARKS)}; cd into a project first"
    )


def enter(project: Path) -> None:
    """Makes a project the current one, for this process and its child processes.

    Args:
        project: The folder that contains `run.py`; its `src` is added to Python's path.
    """
    os.environ[ROOT] = str(project)
    source = str(project / "src")
    if source not in sys.path:
        sys.path.insert(0, source)


def read_environment() -> None:
    """Sets the variables of `.env` that are not set yet, and registers secrets to be masked.

    Child processes mask them too, in any working directory.

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
            raise UserError(f"{path} cannot be read ({error}); see .env.example") from None
        inherited = os.environ.get(PRIVATE, "").split("=")
        os.environ[PRIVATE] = "=".join(sorted({*inherited, *names} - {""}))
    register_environment()


def git(folder: Path, *arguments: str) -> str | None:
    """Git's output in a folder; None if git fails or is not installed."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, encoding="utf-8", check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
