"""Tells whether the process that writes a record still lives."""

import os
import socket
import sys
import time
import uuid
from pathlib import Path
from typing import Any

STILL = 15 * 60
"""Seconds without a line in its journal after which another machine's run counts as dead."""


def is_at_work(writer: dict[str, Any], journal: Path) -> bool:
    """Whether a run's process lives; on another machine, whether its journal still grows."""
    alive = is_alive(writer)
    if alive is not None:
        return alive
    return journal.exists() and time.time() - journal.stat().st_mtime < STILL


def identity() -> dict[str, Any]:
    """Who this process is, so that another process can tell whether it still lives."""
    pid = os.getpid()
    return {"host": socket.gethostname(), "boot": _boot(), "pid": pid, "started": _started(pid)}


def is_alive(writer: dict[str, Any]) -> bool | None:
    """Whether the process lives; None when it is another machine's and cannot be asked."""
    if writer["host"] != socket.gethostname():
        return None
    return bool(writer["boot"] == _boot() and writer["started"] == _started(writer["pid"]))


def _boot() -> str:
    """Identifies the time since the machine was started."""
    if sys.platform == "linux":
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{uuid.getnode():x}"


def _started(pid: int) -> str | None:
    """When the process was started, in the system's own unit; None if there is no such process."""
    if sys.platform == "linux":  # 20 ms cheaper than importing psutil in every run.
        try:
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return None
        return None if fields[0] in (b"Z", b"X") else fields[19].decode()
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.NoSuchProcess:
        return None
