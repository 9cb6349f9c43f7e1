"""Copies what a run prints and logs into its console.log."""

import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from ml_experiment_runner.project.secrets import mask, mask_bytes

_LONGEST = 1024 * 1024  # characters of a line that are kept back
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class Console:
    """A copy of stdout, stderr and logging, written line by line.

    Args:
        path: The copy.
        mask: Masks the secrets of a text.
    """

    def __init__(self, path: Path, mask: Callable[[str], str]) -> None:
        self._file = _MaskedFile(path, mask)
        self._streams = sys.stdout, sys.stderr
        self._copies = _Copy(sys.stdout, self._file), _Copy(sys.stderr, self._file)
        sys.stdout, sys.stderr = self._copies
        # Handlers that exist hold the original streams, so what they print has to be copied here.
        self._handler = logging.StreamHandler(self._file)
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logging.getLogger().addHandler(self._handler)

    def stop(self) -> None:
        """Give the streams back."""
        logging.getLogger().removeHandler(self._handler)
        if sys.stdout is self._copies[0]:
            sys.stdout = self._streams[0]
        if sys.stderr is self._copies[1]:
            sys.stderr = self._streams[1]
        for copy in self._copies:
            copy.copying = False
        self._file.close()


def open_standard_streams() -> None:
    """Makes stdin, stdout and stderr usable whatever they are: closed, a pipe, a full disk.

    Where a stream is closed, as by `>&-` or a service manager, the next file that is opened would
    get its number, and what libraries print would go into that file.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # open() takes the lowest free number, which is this
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is None:
            stream = open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        if not isinstance(stream, Output):
            setattr(sys, name, Output(stream))


class _MaskedFile:
    """A text file from which secrets and colours are removed."""

    def __init__(self, path: Path, mask: Callable[[str], str]) -> None:
        self._file = path.open("a", encoding="utf-8", errors="replace", buffering=1)
        self._mask = mask
        self._rest = ""
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Write whole lines, and hold back the rest: a secret may be written in pieces."""
        with self._lock:
            self._rest += text
            end = max(self._rest.rfind("\n"), self._rest.rfind("\r")) + 1
            if not end and len(self._rest) > _LONGEST:
                end = len(self._rest)
            if end:
                lines, self._rest = self._rest[:end], self._rest[end:]
                self._keep(lines)
        return len(text)

    def flush(self) -> None:
        """Write what was kept by the system."""
        with suppress(OSError):
            self._file.flush()

    def close(self) -> None:
        """Write the last, unfinished line, and close."""
        with self._lock, suppress(OSError):
            self._keep(self._rest)
            self._file.close()

    def _keep(self, text: str) -> None:
        with suppress(OSError):  # a full disk, which the run's other files report
            self._file.write(self._mask(_ESCAPES.sub("", text)))


class Output:
    """A standard stream that masks secrets.

    Where its reader goes away, as with `| head`, or its disk is full, the text is dropped.
    """

    def __init__(self, stream: Any, mask: Callable[[Any], Any] = mask) -> None:
        self._stream = stream
        self._mask = mask

    def write(self, text: Any) -> int:
        """Write, or drop the text."""
        try:
            self._stream.write(self._mask(text))
        except OSError:
            self._drop()
        return len(text)

    def writelines(self, lines: Iterable[Any]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    @property
    def buffer(self) -> "Output":
        """The same for bytes."""
        return Output(self._stream.buffer, mask_bytes)

    def detach(self) -> "Output":
        """The same for bytes; this one cannot be used any more."""
        return Output(self._stream.detach(), mask_bytes)

    def flush(self) -> None:
        """Flush, or drop what is left."""
        try:
            self._stream.flush()
        except OSError:
            self._drop()

    def _drop(self) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Copy:
    """A stream that also writes into a file; everything else is the stream's."""

    def __init__(self, stream: TextIO, file: _MaskedFile) -> None:
        self._stream = stream
        self._file = file
        self.copying = True

    def write(self, text: str) -> int:
        if self.copying:
            self._file.write(text)
        return self._stream.write(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
