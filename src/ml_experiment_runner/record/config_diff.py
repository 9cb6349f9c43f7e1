"""The config diff: keys whose values differ between two configurations."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.config.options import folder, option_file
from ml_experiment_runner.config.schema import TOP_LEVEL, Config


class ChangedKey(NamedTuple):
    """A key and its two values; None where it has none."""

    key: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        before, after = ("-" if value is None else value for value in self[1:])
        return f"{self.key} {before} → {after}"


def changed_keys(before: Mapping[str, str], after: Mapping[str, str]) -> list[ChangedKey]:
    """The keys whose values differ, in the order of the second mapping."""
    return [
        ChangedKey(key, before.get(key), after.get(key))
        for key in {**after, **before}
        if before.get(key) != after.get(key)
    ]


def changed_defaults(config: DictConfig) -> list[ChangedKey]:
    """The keys of a composed config whose values differ from the defaults.

    The defaults are read as plain files: composing a second time would cost ten times as much.
    The keys of `experiment` say what the run is for and are left out.
    """
    defaults = {key: value for key, value in _defaults().items() if key in TOP_LEVEL}
    typed = OmegaConf.merge(OmegaConf.structured(Config), defaults)
    before, after = (
        {key: _text(value)
         for key, value in flat(OmegaConf.to_container(values, resolve=False)).items()
         if value not in (None, {})}
        for values in (typed, config)
    )  # fmt: skip
    return [
        change
        for change in changed_keys(before, after)
        if change.before != "???" and not change.key.startswith(("experiment.", "hydra."))
    ]


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """Nested keys as `group.key`."""
    if not isinstance(node, dict) or not node:
        return {prefix: node}
    values: dict[str, Any] = {}
    for key, value in node.items():
        values |= flat(value, f"{prefix}.{key}" if prefix else str(key))
    return values


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


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_text(item) for item in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)
