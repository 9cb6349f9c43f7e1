"""Copies what a run prints and logs into its console.log."""

import logging
import re
import sys
from pathlib import Path
from typing import Any, TextIO

_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class Console:
    """A copy of stdout, stderr and logging, written line by line."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", errors="replace", buffering=1)
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


class _Copy:
    """A stream that also writes into a file, without colours; everything else is the stream's."""

    def __init__(self, stream: TextIO, file: TextIO) -> None:
        self._stream = stream
        self._file = file
        self.copying = True

    def write(self, text: str) -> int:
        if self.copying:
            self._file.write(_ESCAPES.sub("", text))
        return self._stream.write(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
