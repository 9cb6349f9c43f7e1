"""Samples CPU, memory and, where there is one, GPU while a run works."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

INTERVAL = 5.0
"""Seconds between samples. A run's journal grows this often: it is also its sign of life."""


class SystemMetrics(threading.Thread):
    """A thread that hands each sample to `log`, the first after a second, the last at the end.

    Args:
        log: Called with name, value and step.
        first_step: Of a run that is resumed, the step after the last that is recorded.
    """

    def __init__(self, log: Callable[[str, float, int], None], first_step: int = 0) -> None:
        super().__init__(name="system-metrics", daemon=True)
        self._log = log
        self._first_step = first_step
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Take the last sample and end."""
        self._stopped.set()
        self.join(timeout=2)

    def run(self) -> None:
        """What the thread does."""
        samples = _samples()
        next(samples)  # The first call starts the interval over which CPU use is measured.
        step, done = self._first_step, False
        while not done:
            done = self._stopped.wait(INTERVAL if step > self._first_step else 1.0)
            with suppress(OSError):  # a full disk, which stops the task too
                for name, value in next(samples).items():
                    self._log(f"system/{name}", value, step)
            step += 1


def _samples() -> Iterator[dict[str, float]]:
    """Load of this process and its machine; percentages of the whole machine, sizes in MiB."""
    import psutil

    process = psutil.Process()
    gpus = _gpus()
    cores = psutil.cpu_count() or 1
    while True:
        sample = {
            "cpu_percent": psutil.cpu_percent(),
            "memory_percent": psutil.virtual_memory().percent,
            "process_cpu_percent": process.cpu_percent() / cores,
            "process_memory_mib": process.memory_info().rss / 2**20,
        }
        for number, (library, gpu) in enumerate(gpus):
            with suppress(Exception):
                sample[f"gpu_{number}_percent"] = library.nvmlDeviceGetUtilizationRates(gpu).gpu
                sample[f"gpu_{number}_memory_mib"] = (
                    library.nvmlDeviceGetMemoryInfo(gpu).used / 2**20
                )
        yield sample


def _gpus() -> list[tuple[Any, Any]]:
    """The NVIDIA library and its devices, if `nvidia-ml-py` is installed and finds any."""
    try:
        import pynvml

        pynvml.nvmlInit()
        return [
            (pynvml, pynvml.nvmlDeviceGetHandleByIndex(number))
            for number in range(pynvml.nvmlDeviceGetCount())
        ]
    except Exception:  # Not installed, no driver, no device: there is none to sample.
        return []
