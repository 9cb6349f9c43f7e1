"""Adds the file to errors in the project."""

from collections.abc import Iterator
from contextlib import contextmanager

from ml_experiment_runner.config.composition import explain
from ml_experiment_runner.project.errors import UserError


@contextmanager
def mistakes_in(file: str, advice: str = "") -> Iterator[None]:
    """Adds the tested file to every error.

    Args:
        file: Its path from the project's root.
        advice: What to do about an error of the project's code.

    Raises:
        UserError: The file is invalid; shown without a traceback.
        Exception: The project's code failed; its traceback ends with the file and the advice.
    """
    try:
        yield
    except Exception as error:
        explained = explain(error)
        if isinstance(explained, UserError):
            if file not in str(explained):
                explained.args = (f"{file}: {explained}",)
            raise explained from None
        error.add_note(f"{file}: {advice}" if advice else f"this test reads {file}")
        raise
