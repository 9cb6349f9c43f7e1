"""Send what is still pending to MLflow."""

import argparse
import time
from pathlib import Path

from runner import project
from runner.record.address import real_address
from runner.record.delivery import Delivery, is_working, read_json, trouble

_PATIENCE = 6.0  # Seconds without progress in a store that does not answer.


def deliver(arguments: list[str]) -> int:
    """Send what is still pending; exit code 1 if something stays pending."""
    parser = argparse.ArgumentParser("python run.py deliver", description=__doc__)
    parser.add_argument(
        "--outputs", type=Path, default=project.root() / "outputs", help="the folder of runs"
    )
    outputs: Path = parser.parse_args(arguments).outputs.resolve()
    left = 0
    delivered = 0
    for pending in sorted((outputs / ".pending").glob("*/")):
        if not (names := _pending(pending)):
            continue
        shown = read_json(pending / "store.json").get("uri", "")
        uri = real_address(shown, lambda key, name=pending.name: key == name)  # type: ignore[misc]
        if uri is None:
            print(
                f"{len(names)} pending: the address of {shown} was in the environment; "
                "set the variable again"
            )
            left += len(names)
            continue
        reason = _send(Delivery(outputs, uri, shown), names)
        rest = _pending(pending) & names
        delivered += len(names) - len(rest)
        left += len(rest)
        if reason and rest:
            print(f"{len(rest)} pending: {reason}")
    print(f"{delivered} delivered" + (f", {left} pending" if left else ""))
    return 1 if left else 0


def _send(delivery: Delivery, names: set[str]) -> str | None:
    """Wait for the runs as long as there is progress; returns why something is left."""
    before, moved = set(names), time.monotonic()
    print(f"{len(names)} to send")
    while rest := _pending(delivery.pending) & names:
        if rest != before:
            before, moved = rest, time.monotonic()
            print(f"{len(names) - len(rest)} of {len(names)} sent", flush=True)
        delivery.wait(rest, 0.2)
        if delivery.broken:
            return delivery.broken
        reason = trouble(delivery.pending, rest)
        if reason and time.monotonic() - moved > _PATIENCE:
            return reason
    return None


def _pending(folder: Path) -> set[str]:
    """The pending runs that have ended; one that still works is delivered as it goes."""
    return {path.stem for path in folder.glob("*.run") if not is_working(path)}
