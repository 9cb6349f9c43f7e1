"""Send what is still pending to MLflow."""

import argparse
import shlex
import time
from pathlib import Path

from ml_experiment_runner.project import repository
from ml_experiment_runner.record.sync.client import SyncClient
from ml_experiment_runner.record.sync.embedded_store import store_file, unported
from ml_experiment_runner.record.sync.markers import failure_reason, is_working, read_json
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
    synced = 0
    for pending in sorted((outputs / ".pending").glob("*/")):
        if not (run_ids := _pending(pending)):
            continue
        shown = unported(read_json(pending / "store.json").get("uri", ""), outputs)
        uri = real_address(shown, lambda key, name=pending.name: key == name, outputs)  # type: ignore[misc]
        reason = _unreachable(shown, uri) or _send(SyncClient(outputs, str(uri), shown), run_ids)
        rest = _pending(pending) & run_ids
        synced += len(run_ids) - len(rest)
        left += len(rest)
        if reason and rest:
            print(f"{len(rest)} pending: {reason}")
    print(f"{synced} synced" + (f", {left} pending" if left else ""))
    return 1 if left else 0


def _unreachable(shown: str, uri: str | None) -> str | None:
    """Why nothing can be sent to a store, and what to do."""
    if uri is None:
        return f"the address of {shown} was in the environment; set the variable again"
    file = store_file(uri)
    if file and not file.parent.is_dir():  # MLflow would create another store there
        return (
            f"the folder {file.parent} of their store does not exist; if it was moved, link it: "
            f"ln -s <where it is> {shlex.quote(str(file.parent))}"
        )
    return None


def _send(client: SyncClient, run_ids: set[str]) -> str | None:
    """Wait for the runs as long as there is progress; returns why something is left."""
    before, moved = set(run_ids), time.monotonic()
    print(f"{len(run_ids)} to send")
    while rest := _pending(client.pending) & run_ids:
        if rest != before:
            before, moved = rest, time.monotonic()
            print(f"{len(run_ids) - len(rest)} of {len(run_ids)} sent", flush=True)
        client.wait(rest, 0.2)
        if client.broken:
            return client.broken
        reason = failure_reason(client.pending, rest)
        if reason and time.monotonic() - moved > _PATIENCE:
            return reason
    return None


def _pending(folder: Path) -> set[str]:
    """The pending runs that have ended; one that still works is synced as it goes."""
    return {path.stem for path in folder.glob("*.run") if not is_working(path)}
