"""Runs commands one at a time on a machine on which nothing of ours is left running."""

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from memory import Peak
from projects import environment


@dataclass(frozen=True)
class Call:
    """One finished command.

    Attributes:
        begin: When it was started, in seconds since 1970.
        seconds: How long it took to its return.
        output: What it printed.
        peak: The most memory that it and its children held at once, in bytes; 0 if unwatched.
    """

    begin: float
    seconds: float
    output: str
    peak: int = 0

    def number(self, pattern: str) -> float:
        """The number that it printed."""
        found = re.search(pattern, self.output)
        if found is None:
            sys.exit(f"'{pattern}' is missing in:\n{self.output}")
        return float(found.group(1))


@dataclass
class Sample:
    """Repeated measurements of one thing, in seconds."""

    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        digits = 1 if self.median >= 10 else 2 if self.median >= 0.1 else 4
        if len(self.values) == 1:
            return f"{self.median:.{digits}f} s"
        low, high = min(self.values), max(self.values)
        return f"{self.median:.{digits}f} s ({low:.{digits}f}-{high:.{digits}f})"


class Clock:
    """Times commands whose files all lie in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)

    def run(
        self,
        folder: Path,
        *command: str,
        code: int = 0,
        python: str = sys.executable,
        watch: bool = False,
        **variables: str,
    ) -> Call:
        """Run Python with these arguments and see that it ends with this code."""
        self.wait_for_silence()
        begin, start = time.time(), time.perf_counter()
        process = subprocess.Popen(
            [python, *command],
            cwd=folder,
            env={**environment(), **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        peak = Peak(process.pid)
        if watch:
            peak.start()
        output, _ = process.communicate()
        seconds = time.perf_counter() - start
        if process.returncode != code:
            sys.exit(f"{' '.join(command)} ended with {process.returncode}:\n{output}")
        return Call(begin, seconds, output, peak.stop() if watch else 0)

    def run_two_at_a_time(
        self, folder: Path, commands: Sequence[Sequence[str]], **variables: str
    ) -> float:
        """Run Python with each of these arguments, two at a time; gives the seconds of all."""
        self.wait_for_silence()

        def one(command: Sequence[str]) -> None:
            subprocess.run(
                [sys.executable, *command],
                cwd=folder,
                env={**environment(), **variables},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=True,
            )

        start = time.perf_counter()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(one, commands))
        return time.perf_counter() - start

    def wait_for_silence(self) -> None:
        """Until no process of an earlier measurement lives and what it wrote is on disk."""
        limit = time.monotonic() + 30
        while left := [process for process in psutil.process_iter() if self._is_ours(process)]:
            if time.monotonic() > limit:
                sys.exit(f"still running: {left}")
            time.sleep(0.01)
        if hasattr(os, "sync"):
            os.sync()

    def _is_ours(self, process: psutil.Process) -> bool:
        if process.pid == os.getpid():
            return False
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            return process.cwd().startswith(self._folder) or any(
                self._folder in word for word in process.cmdline()
            )
        except psutil.Error:
            return False
