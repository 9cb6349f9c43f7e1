"""The address of a tracking store: shown without its secret, and found again when it is needed."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ml_experiment_runner.project.secrets import MASK, without_logins
from ml_experiment_runner.record.sync.embedded_store import portable


def store_key(uri: str, outputs: Path | None = None) -> str:
    """Names a store; the same one after its password has changed, or the project's place.

    Args:
        uri: Its real address.
        outputs: The folder for runs, beside which an embedded store moves.
    """
    uri = portable(uri, outputs) if outputs else uri
    return hashlib.sha256(without_logins(uri).encode()).hexdigest()[:16]


def real_address(
    shown: str, is_meant: Callable[[str], bool], outputs: Path | None = None
) -> str | None:
    """The address as it was before it was masked, if the environment still gives it.

    Args:
        shown: As it stands in the record.
        is_meant: Whether an address is the one, by its `store_key`.
        outputs: What the `store_key` is made with.
    """
    if MASK not in shown:
        return shown
    known = (uri for uri in _known() if MASK not in uri)
    return next((uri for uri in known if is_meant(store_key(uri, outputs))), None)


def _known() -> Iterator[str]:
    """Addresses in the environment, and those that conf/tracking/ puts together from it."""
    yield from os.environ.values()
    from ml_experiment_runner.config.composition import compose
    from ml_experiment_runner.config.options import options
    from ml_experiment_runner.project.errors import UserError

    for name in options("tracking"):
        try:
            yield str(compose("task=ingest", f"tracking={name}").tracking.uri)
        except UserError:
            continue  # its variable is not set
