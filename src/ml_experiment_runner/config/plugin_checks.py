"""Checks the keys of Hydra's launcher and sweeper, which the schema does not hold."""

from collections.abc import Sequence
from typing import Any, get_args

from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.config.schema import PLUGIN_RANGES, is_within
from ml_experiment_runner.config.structure import TYPE_NAMES, shown
from ml_experiment_runner.project.errors import UserError

OUR_PLUGINS = (
    f"hydra_plugins.{__name__.partition('.')[0]}.",
    "hydra._internal.core_plugins.basic_",
)


def check_plugins(config: DictConfig) -> None:
    """Checks launcher and sweeper, and the numbers of our own; a plugin has others.

    Args:
        config: The configuration with Hydra's own section.

    Raises:
        UserError: Names the first wrong key.
    """
    for group in ("launcher", "sweeper", "sweeper.sampler", "sweeper.pruner"):
        plugin = OmegaConf.select(config, f"hydra.{group}", default=DictConfig({"_target_": ""}))
        if not isinstance(plugin, DictConfig) or "_target_" not in plugin:
            option = f"hydra/{group.replace('.', '/')}=NAME"
            raise UserError(f"hydra.{group} must have a _target_, got {shown(plugin)}; choose an "
                            f"option with {option}, or override single keys")  # fmt: skip
    params = OmegaConf.select(config, "hydra.sweeper.params")
    if params is not None and not isinstance(params, DictConfig):
        raise UserError(f"hydra.sweeper.params is a mapping, got {shown(params)}; override single "
                        "keys, such as hydra.sweeper.params.KEY=VALUES")  # fmt: skip
    for key, (number_type, interval) in PLUGIN_RANGES.items():
        plugin = OmegaConf.select(config, key.rpartition(".")[0])
        name = key.rpartition(".")[2]
        if name in plugin and plugin._target_.startswith(OUR_PLUGINS):
            _check_number(key, plugin[name], get_args(number_type) or (number_type,), interval)


def _check_number(key: str, value: Any, types: Sequence[type], interval: str) -> None:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    is_number = is_whole or (float in types and isinstance(value, float))
    may_be_null = type(None) in types
    if (value is None and may_be_null) or (is_number and is_within(interval, value)):
        return
    raise UserError(
        f"{key} must be {TYPE_NAMES[types[0]]} in {interval}{' or null' if may_be_null else ''}, "
        f"got {shown(value)}"
    )
