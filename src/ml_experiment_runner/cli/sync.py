"""Send what is still pending to MLflow."""

import argparse
import shlex
import time
from pathlib import Path

from ml_experiment_runner.project import repository
from ml_experiment_runner.record.sync.client import Delivery
from ml_experiment_runner.record.sync.embedded_store import store_file, unported
from ml_experiment_runner.record.sync.markers import is_working, read_json, trouble
from ml_experiment_runner.record.sync.store_address import real_address

_PATIENCE = 6.0  # Seconds without progress in a store that does not answer.


def sync(arguments: list[str]) -> int:
    """Send what is still pending; exit code 1 if something stays pending."""
    parser = argparse.ArgumentParser("python run.py sync", description=__doc__)
    parser.add_argument(
        "--outputs", type=Path, default=repository.root() / "outputs", help="the folder of runs"
    )
    outputs: Path = parser.parse_args(arguments).outputs.resolve()
    left = 0
    delivered = 0
    for pending in sorted((outputs / ".pending").glob("*/")):
        if not (names := _pending(pending)):
            continue
        shown = unported(read_json(pending / "store.json").get("uri", ""), outputs)
        uri = real_address(shown, lambda key, name=pending.name: key == name, outputs)  # type: ignore[misc]
        if reason := _unreachable(shown, uri):
            print(f"{len(names)} pending: {reason}")
            left += len(names)
            continue
        delivery = Delivery(outputs, str(uri), shown)
        reason = _send(delivery, _taken(pending, delivery.pending, names))
        pending = delivery.pending
        rest = _pending(pending) & names
        delivered += len(names) - len(rest)
        left += len(rest)
        if reason and rest:
            print(f"{len(rest)} pending: {reason}")
    print(f"{delivered} delivered" + (f", {left} pending" if left else ""))
    return 1 if left else 0


def _unreachable(shown: str, uri: str | None) -> str | None:
    """Why nothing can be sent to a store at all, and what to do."""
    if uri is None:
        return f"the address of {shown} was in the environment; set the variable again"
    file = store_file(uri)
    if file and not file.parent.is_dir():  # it would be made anew, where nobody looks
        return (
            f"the folder {file.parent} of their store is not there; if it was moved, link it: "
            f"ln -s <where it is> {shlex.quote(str(file.parent))}"
        )
    return None


def _taken(before: Path, now: Path, names: set[str]) -> set[str]:
    """Runs whose markers a former version of the runner put elsewhere are brought to the others."""
    if before != now:
        for name in names:
            (before / f"{name}.run").replace(now / f"{name}.run")
    return names


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
