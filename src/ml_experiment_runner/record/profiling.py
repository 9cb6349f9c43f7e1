"""The profile of a run: `debug=profile` records which functions took the time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ml_experiment_runner.record.run import Run

INTERVAL = 0.002  # seconds between two samples of the call stack


@contextmanager
def profiled(run: "Run") -> Iterator[None]:
    """Records pyinstrument's page `profile.html` if the configuration asks for it.

    The main thread is sampled every 2 ms; the time of other threads, such as a library's, counts
    for the function that waits for them.
    """
    if not run.config.debug.profile:
        yield
        return
    from pyinstrument import Profiler

    profiler = Profiler(interval=INTERVAL)
    profiler.start()
    try:
        yield
    finally:
        profiler.stop()
        run.log_text(profiler.output_html(), "profile.html")
