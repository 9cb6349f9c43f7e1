"""Waiting for what another process does."""

import time
from typing import Any


def wait_until(condition: Any, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
