"""What each contender says at its end."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

COLUMNS = ["amount", *(f"value_{number}" for number in range(1, 6))]


def measure(work: Callable[[], Any]) -> None:
    """Time the work that gives a frame, and print seconds, peak memory and what is in the frame."""
    begin = time.perf_counter()
    frame = work()
    seconds = time.perf_counter() - begin
    # a sum over the values, and how many there are, tell whether two have joined the same
    columns = {name: [float(frame[name].sum()), count(frame[name])] for name in COLUMNS}
    print(json.dumps({"seconds": seconds, "peak": peak(), "rows": len(frame), "columns": columns}))


def count(column: Any) -> int:
    return int(column.count())


def peak() -> int:
    """The most memory that this process has had, in bytes."""
    if sys.platform == "linux":
        # the kernel's own figure: that of getrusage begins with the parent's
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
