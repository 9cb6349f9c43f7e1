"""What is wrong in the project is told with the file that it is in, and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from ml_experiment_runner.config.composition import explain
from ml_experiment_runner.project.errors import UserError


@contextmanager
def mistakes_in(file: str, then: str = "") -> Iterator[None]:
    """Names the file that is tested in whatever is wrong with it.

    Args:
        file: Its path from the project's root.
        then: What to do about an error that does not say it.

    Raises:
        UserError: Something in the file is wrong; shown without a traceback.
        Exception: The project's own code failed; its traceback ends with the file and `then`.
    """
    try:
        yield
    except Exception as error:
        explained = explain(error)
        if isinstance(explained, UserError):
            if file not in str(explained):
                explained.args = (f"{file}: {explained}",)
            raise explained from None
        error.add_note(f"{file}: {then}" if then else f"{file} is what this test reads")
        raise
