"""Keeps secrets out of records: what came from the environment, and passwords in addresses."""

import os
import re
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, OmegaConf

from runner.record.address import MASK, without_password

_ENVIRONMENT = re.compile(r"\$\{oc\.env:\s*([A-Za-z_]\w*)")
_SHORT = 4


class Masking:
    """Knows the values that a config took from environment variables, and masks them anywhere."""

    def __init__(self, config: DictConfig) -> None:
        raw = OmegaConf.to_container(config, resolve=False)
        names = {name for text in _texts(raw) for name in _ENVIRONMENT.findall(text)}
        values = {os.environ.get(name, "") for name in names} - {""}
        self._secrets = sorted(values, key=len, reverse=True)
        store = config.get("tracking")
        uri = "" if store is None else str(store.uri)
        # A path that happens to hold a user's name from the environment has to stay a path.
        said = raw.get("tracking") if isinstance(raw, dict) else None
        secret = any(_ENVIRONMENT.search(text) for text in _texts(said))
        self.address = self.text(uri) if secret else without_password(uri)

    def text(self, text: str) -> str:
        """Mask one text."""
        for secret in self._secrets:
            if text == secret or len(secret) >= _SHORT:
                text = text.replace(secret, MASK)
        return without_password(text)

    def values(self, node: Any) -> Any:
        """Mask every text inside lists and dicts."""
        if isinstance(node, dict):
            return {key: self.values(value) for key, value in node.items()}
        if isinstance(node, list):
            return [self.values(value) for value in node]
        return self.text(node) if isinstance(node, str) else node


def _texts(node: Any) -> Iterator[str]:
    """Every text inside nested lists and dicts."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        for value in node.values() if isinstance(node, dict) else node:
            yield from _texts(value)
