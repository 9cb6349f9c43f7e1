"""Where the project is, and what git says of it."""

import os
import subprocess
from pathlib import Path

from runner.errors import UserError
from runner.secrets import PRIVATE, register_environment


def root() -> Path:
    """The folder that holds `run.py`."""
    return Path(__file__).resolve().parents[2]


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
