"""What a config changes in the defaults."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.config.options import folder, option_file
from ml_experiment_runner.config.schema import TOP_LEVEL, Config

Change = list[str | None]


def changes(config: DictConfig) -> list[Change]:
    """Every key whose value differs from that of a run without any words.

    The defaults are read as plain files: composing a second time would cost ten times as much.

    Args:
        config: A composed config.

    Returns:
        Key, default and value in the order of the config; None where there is none. The keys of
        `experiment` say what the run is for and are left out.
    """
    said = {key: value for key, value in _defaults().items() if key in TOP_LEVEL}
    typed = OmegaConf.merge(OmegaConf.structured(Config), said)
    before, after = (_flat(OmegaConf.to_container(each, resolve=False)) for each in (typed, config))
    return [
        [key, before.get(key), after.get(key)]
        for key in {**after, **before}
        if before.get(key) != after.get(key)
        and before.get(key) != "???"
        and not key.startswith(("experiment.", "hydra."))
    ]


def _defaults() -> dict[str, Any]:
    base = _read(folder() / "config.yaml")
    composed = {}
    for entry in base.pop("defaults", []):
        for group, name in entry.items() if isinstance(entry, dict) else ():
            if isinstance(name, str) and not group.startswith("override "):
                composed[group] = _group(group, name)
    return composed | base


def _group(group: str, name: str) -> dict[str, Any]:
    """One choice of a group, with those of the same group that it builds on."""
    path = option_file(group, name)
    content = _read(path) if path else {}
    for parent in content.pop("defaults", []):
        if isinstance(parent, str) and parent != "_self_":
            content = _group(group, parent) | content
    return content


def _read(path: Path) -> dict[str, Any]:
    import yaml

    # OmegaConf's own loader is written in Python; libyaml's is ten times as fast.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    content = yaml.load(path.read_bytes(), Loader=loader)  # noqa: S506 - both are safe
    return content if isinstance(content, dict) else {}


def _flat(node: Any, prefix: str = "") -> dict[str, str]:
    """Values as text by dotted key."""
    if not isinstance(node, dict) or not node:
        return {} if node is None or node == {} else {prefix: _text(node)}
    flat: dict[str, str] = {}
    for key, value in node.items():
        flat |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_text(one) for one in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)
