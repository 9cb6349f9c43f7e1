"""The address of a tracking store: masked in the record, and unmasked from the environment."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ml_experiment_runner.project.secrets import MASK, without_logins
from ml_experiment_runner.record.sync.embedded_store import portable


def store_key(uri: str, outputs: Path | None = None) -> str:
    """Names a store; the name survives a change of its password and a move of the project.

    Args:
        uri: Its real address.
        outputs: The folder for runs, beside which an embedded store moves.
    """
    uri = portable(uri, outputs) if outputs else uri
    return hashlib.sha256(without_logins(uri).encode()).hexdigest()[:16]


def real_address(
    shown: str, is_meant: Callable[[str], bool], outputs: Path | None = None
) -> str | None:
    """The unmasked address, if the environment still has it.

    Args:
        shown: As it is in the record.
        is_meant: Whether a `store_key` is that of the store.
        outputs: The folder for runs, for the `store_key`.
    """
    if MASK not in shown:
        return shown
    known = (uri for uri in _known() if MASK not in uri)
    return next((uri for uri in known if is_meant(store_key(uri, outputs))), None)


def _known() -> Iterator[str]:
    """Addresses in the environment, and those that conf/tracking/ composes from it."""
    yield from os.environ.values()
    from ml_experiment_runner.config.composition import compose
    from ml_experiment_runner.config.options import options
    from ml_experiment_runner.project.errors import UserError

    for name in options("tracking"):
        try:
            yield str(compose("task=ingest", f"tracking={name}").tracking.uri)
        except UserError:
            continue  # its variable is not set
