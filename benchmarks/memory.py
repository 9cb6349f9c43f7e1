"""The most memory that a process and all that it starts hold at once."""

import threading

import psutil

INTERVAL = 0.1
"""Seconds between looks: often enough for a fit of seconds, and seldom enough not to slow it."""


class Peak(threading.Thread):
    """Looks at a process and its descendants until it is told to stop.

    Attributes:
        value: Bytes, the sum over the processes; what two of them share counts for both.
    """

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self._root = process
        self._stopped = threading.Event()
        self.value = 0

    def stop(self) -> int:
        """The most that was seen."""
        self._stopped.set()
        self.join()
        return self.value

    def run(self) -> None:
        while not self._stopped.is_set():
            self.value = max(self.value, self._held())
            self._stopped.wait(INTERVAL)

    def _held(self) -> int:
        held = 0
        try:
            root = psutil.Process(self._root)
            family = [root, *root.children(recursive=True)]
        except psutil.Error:
            return 0
        for each in family:
            try:
                held += each.memory_info().rss
            except psutil.Error:  # it has just ended
                continue
        return held
