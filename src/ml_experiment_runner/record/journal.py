"""The journal: one JSON line per event, written so that a killed process loses nothing."""

import errno
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.secrets import mask, mask_within
from ml_experiment_runner.record.names import checked_name
from ml_experiment_runner.record.process_identity import WriterLock, identity

Event = dict[str, Any]

LARGEST_STEP = 2**63 - 1
"""The largest step that an MLflow store holds."""

_CHUNK = 1024 * 1024  # Bytes read at once: about 10,000 metric points.


def now() -> int:
    """Milliseconds since 1970, the unit of every time in a journal."""
    return time.time_ns() // 1_000_000


class Journal:
    """Appends events to a file; one `write` to the operating system each, without a buffer.

    Secrets are masked here, whoever writes.

    A new journal refuses a file that exists: two runs never share a folder. A resumed one needs the
    file, and that no other process writes it.
    """

    def __init__(self, path: Path, resumed: bool = False) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_BINARY", 0)
        if resumed:
            flags &= ~(os.O_CREAT | os.O_EXCL)
        self._path = path
        self._descriptor = os.open(path, flags, 0o666)
        try:
            self._lock = WriterLock(path)
        except OSError:
            os.close(self._descriptor)
            raise
        self._names: dict[str, str] = {}
        # a kill may have torn the last line; read under the lock: before, another may write
        self._is_torn = resumed and not path.read_bytes().endswith(b"\n")

    def write(self, kind: str, **values: Any) -> None:
        """Append an event of any kind."""
        # the runner's own keys stay, also where a secret is the same word
        masked = {name: mask_within(value) for name, value in values.items()}
        event = {"kind": kind, "time": now(), **masked}
        line = json.dumps(event, ensure_ascii=False, default=lambda value: mask(str(value)))
        self._append(line + "\n")

    def metric(self, name: str, value: float, step: int) -> None:
        """Append a metric; the line is formatted by hand because this is called in loops."""
        encoded = self._names.get(name)
        if encoded is None:
            encoded = self._names[name] = json.dumps(checked_name(name, "metric"))
        value, step = float(value), int(step)
        if not -LARGEST_STEP <= step <= LARGEST_STEP:
            raise UserError(f"step of metric {name!r} must be within ±{LARGEST_STEP}, got {step}")
        number = repr(value) if math.isfinite(value) else f'"{value}"'
        self._append(
            '{"kind":"metric",'
            f'"time":{time.time_ns() // 1_000_000},"name":{encoded},'
            f'"value":{number},"step":{step}'
            "}\n"
        )

    def writer(self) -> dict[str, Any]:
        """The identity of the process that writes it."""
        return identity(locks=self._lock.held)

    def touch(self) -> None:
        """Give a sign of life without an event."""
        os.utime(self._path)

    def close(self) -> None:
        """Close the file; events after this are an error."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
        self._lock.release()

    def _append(self, line: str) -> None:
        data = line.encode("utf-8", "replace")
        if self._is_torn:  # end the torn line first, so that this one is not appended to it
            data = b"\n" + data
        written = os.write(self._descriptor, data)
        self._is_torn = written != len(data)
        if self._is_torn:  # the disk is full
            raise OSError(errno.ENOSPC, "no space left for the run's journal")


def read_events(path: Path, offset: int = 0) -> tuple[list[Event], int]:
    """Read complete events from an offset on, about a megabyte at most.

    A last line without its end is left for the next call; a torn one further up is skipped.

    Returns:
        The events and the offset to continue from (the same one when there is nothing new).
    """
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(_CHUNK) + file.readline()
    data = data[: data.rfind(b"\n") + 1]
    events: list[Event] = []
    for line in data.splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            events.append(event)
    return events, offset + len(data)


def all_events(path: Path, offset: int = 0) -> Iterator[Event]:
    """Read all complete events from an offset on."""
    events, end = read_events(path, offset)
    while end > offset:
        yield from events
        offset = end
        events, end = read_events(path, offset)
