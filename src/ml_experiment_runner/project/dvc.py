"""DVC, which runs in a process of its own."""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PROGRAM = """
import os, sys, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
import psutil
def is_alive(pid):  # a killed process that nobody waits for, as in many containers, holds no lock
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
psutil.pid_exists = is_alive
from dvc.cli import main
sys.exit(main(sys.argv[1:]))
"""

# seconds in which somebody's own `dvc push` or `dvc status` may end
PATIENCE = 30

log = logging.getLogger(__name__)


def run_dvc(root: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Runs this environment's DVC in a project and captures its output.

    It has a process of its own: importing it would cost every run half a second. What an earlier
    kill, another DVC or a missing git repository puts in its way is cleared first.
    """
    done = _call(root, arguments)
    if "Unable to read RWLock-file" in done.stderr:
        # cut off by a kill while DVC wrote it; it only says who is at work, and nobody is
        log.info("DVC was killed while it wrote .dvc/tmp/rwlock: starting that file anew")
        (root / ".dvc" / "tmp" / "rwlock").unlink(missing_ok=True)
        done = _call(root, arguments)
    until = time.monotonic() + PATIENCE
    while " is busy, it is being blocked by" in done.stderr and time.monotonic() < until:
        log.info("waiting for another DVC that is at work here")
        time.sleep(1)
        done = _call(root, arguments)
    if "is not a git repository" in done.stderr:
        log.info("no git repository here: telling DVC to work without (.dvc/config.local)")
        _call(root, ["config", "--local", "core.no_scm", "true"])
        done = _call(root, arguments)
    return done


def _call(root: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Runs DVC once; it ends with this process, however that ends.

    DVC reads a pipe whose other end closes with this process: one that went on alone would track
    what the next run is putting in place.
    """
    reading, writing = os.pipe()
    try:
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments],
            cwd=root,
            env={**os.environ, "DVC_NO_ANALYTICS": "1"},
            stdin=reading,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.close(reading)
        os.close(writing)
