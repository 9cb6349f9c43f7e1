"""An MLflow tracking server that comes and goes."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path


class Server:
    """A real tracking server on this machine."""

    def __init__(self, place: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._place = place
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "mlflow", "server", "--workers", "1"),
                *("--host", "127.0.0.1", "--port", str(self.port)),
                *("--backend-store-uri", f"sqlite:///{self._place}/mlflow.db"),
                *("--artifacts-destination", str(self._place / "server-artifacts")),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        end = time.monotonic() + 90
        while not self._answers():
            assert time.monotonic() < end, "the server does not start"
            time.sleep(0.1)

    def stop(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _answers(self) -> bool:
        """Whether it has come so far as to look into its store."""
        with contextlib.suppress(OSError):
            url = f"{self.uri}/api/2.0/mlflow/experiments/get?experiment_id=0"
            return urllib.request.urlopen(url, timeout=30).status == 200
        return False
