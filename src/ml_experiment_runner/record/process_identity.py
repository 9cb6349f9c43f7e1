"""The identity of the process that writes a record, and whether it is still alive."""

import os
import socket
import sys
import time
import uuid
import weakref
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows, where an open file is locked for readers too
    fcntl = None  # type: ignore[assignment]

SILENCE = 15 * 60
"""Seconds without a line in its journal after which another machine's run counts as dead."""
PATIENCE = 1.0  # seconds; a reader that checks the lock holds it for an instant


class WriterLock:
    """A lock on a journal of the process that writes it; the kernel releases it when that ends.

    It is also seen by containers on one machine, which cannot see each other's processes.

    Attributes:
        held: False where the file system has no locks.
    """

    def __init__(self, journal: Path) -> None:
        """Takes the lock.

        Args:
            journal: The file, which exists.

        Raises:
            BlockingIOError: Another process writes this journal.
        """
        self.held = False
        self._descriptor = -1
        if fcntl is None:
            return
        self._descriptor = os.open(journal, os.O_RDWR)
        begin = time.monotonic()
        while not self.held:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.held = True
            except BlockingIOError:
                if time.monotonic() - begin > PATIENCE:
                    self.release()
                    raise
                time.sleep(0.01)
            except OSError:
                self.release()
                return
        _held.add(self)

    def release(self) -> None:
        """Releases it; in a forked process, the copy only."""
        descriptor, self._descriptor = self._descriptor, -1
        self.held = False
        if descriptor >= 0:
            os.close(descriptor)


_held: "weakref.WeakSet[WriterLock]" = weakref.WeakSet()


def _release_all() -> None:
    for lock in list(_held):
        lock.release()


if fcntl is not None:  # a forked worker that outlives the run would make it look alive
    os.register_at_fork(after_in_child=_release_all)


def is_at_work(writer: dict[str, Any], journal: Path) -> bool:
    """Whether a run's process is alive.

    A process of this container or machine is looked up. In another container of this machine, it
    is alive while it holds its journal's lock; on another machine, while its journal grows.

    Args:
        writer: The process's `identity`.
        journal: What it writes.
    """
    here = identity()
    is_same_kernel = writer["boot"] == here["boot"]
    if is_same_kernel and all(writer[key] == here[key] for key in ("host", "namespace")):
        return bool(writer["started"] == _start_time(writer["pid"]))
    if _is_locked(journal):
        return True
    if is_same_kernel and writer["locks"]:
        return False
    return journal.exists() and time.time() - journal.stat().st_mtime < SILENCE


def identity(locks: bool = False) -> dict[str, Any]:
    """The identity of this process, by which another process can tell whether it is alive.

    Args:
        locks: Whether it holds its journal's lock.
    """
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "boot": _boot(),
        "namespace": _namespace(),
        "pid": pid,
        "started": _start_time(pid),
        "locks": locks,
    }


def _is_locked(journal: Path) -> bool:
    if fcntl is None:
        return False
    try:
        descriptor = os.open(journal, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _boot() -> str:
    """Identifies the kernel since it was started; elsewhere than on Linux, the machine."""
    if sys.platform == "linux":
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{uuid.getnode():x}"


def _namespace() -> str:
    """Identifies the processes that can be seen from here: a container has its own."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _start_time(pid: int) -> str | None:
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
