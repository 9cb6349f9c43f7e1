"""What the overrides of a sweep stand for: the configurations of its jobs."""

import copy
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf, flag_override

from ml_experiment_runner.config.overrides import added, as_typed
from ml_experiment_runner.project.errors import UserError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override


REMEMBERED = 256
"""Configurations of jobs that are kept in memory."""

MAX_VALUES = 10_000
"""Values of one key in a sweep; each is composed and checked before the first job."""


def remember_compositions() -> None:
    """Keeps what Hydra composes: it composes each job of a sweep twice, beside our check."""
    from hydra.core.global_hydra import GlobalHydra

    loader: Any = GlobalHydra.instance().config_loader()
    compose_job = loader.load_sweep_config
    known: dict[tuple[str, ...], DictConfig] = {}

    def load(master_config: DictConfig, sweep_overrides: Sequence[str]) -> DictConfig:
        overrides = tuple(sweep_overrides)
        if overrides not in known:
            if len(known) >= REMEMBERED:  # a search composes each job once
                known.clear()
            known[overrides] = compose_job(master_config, list(overrides))
        config = copy.deepcopy(known[overrides])
        # what was resolved meanwhile, such as the id of the sweep's run
        OmegaConf.copy_cache(from_config=master_config, to_config=config)
        return config

    loader.load_sweep_config = load


def normalise_params(config: DictConfig) -> None:
    """Writes the keys of `hydra.sweeper.params` as `normalise` writes those that are typed.

    Args:
        config: What Hydra composed for the sweep as a whole.
    """
    params = config.hydra.sweeper.get("params")
    if params:
        values = OmegaConf.to_container(params, resolve=False)
        assert isinstance(values, dict)
        normalised = {added(str(key)): value for key, value in values.items()}
        with flag_override(config, ["struct", "readonly"], False):
            config.hydra.sweeper.params = normalised


def parse(config: DictConfig, overrides: Sequence[str]) -> "list[Override]":
    """The overrides of a sweep, those of `hydra.sweeper.params` first.

    Args:
        config: What Hydra composed for the sweep as a whole.
        overrides: What was typed for the jobs.
    """
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.override_parser.overrides_parser import OverridesParser

    params = (config.hydra.sweeper.get("params") or {}).items()
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    return list(parser.parse_overrides([*(f"{key}={value}" for key, value in params), *overrides]))


def swept(config: DictConfig) -> Iterator[DictConfig]:
    """The configurations of a sweep: each value of each key once, the other keys at their first.

    Of an interval, these are its ends. Where lists are paired, these are all jobs.

    Args:
        config: What Hydra composed for the sweep as a whole.

    Raises:
        UserError: An interval is given to a sweeper that does not search, or lists to pair differ
            in length.
        Exception: Hydra's own, for a value that cannot be composed.
    """
    from hydra.core.global_hydra import GlobalHydra

    loader = GlobalHydra.instance().config_loader()
    typed = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    assert isinstance(typed, list)
    overrides = parse(config, list(map(str, typed)))
    sweeper = str(config.hydra.sweeper._target_)  # its file may have any name
    values: dict[str, list[str]] = {}
    intervals = []
    for override in overrides:
        if not override.is_sweep_override() or override.is_discrete_sweep():
            values[override.get_key_element()] = _values(override)
        elif sweeper.endswith("OptunaSweeper"):
            intervals.append(override)
        else:
            raise UserError(f"{as_typed(str(override.input_line))}: an interval needs "
                            "hydra/sweeper=optuna; list the values otherwise")  # fmt: skip
    if sweeper.endswith("ZipSweeper"):
        yield from (loader.load_sweep_config(config, list(job)) for job in paired(overrides))
        return
    first = {key: alternatives[0] for key, alternatives in values.items()}
    base = loader.load_sweep_config(config, list(first.values()))
    for override in intervals:
        key = override.get_key_element()
        values[key] = [f"{key}={end}" for end in ends(override, base)]
        first[key] = values[key][0]
    yield loader.load_sweep_config(config, list(first.values())) if intervals else base
    for key, alternatives in values.items():
        for alternative in alternatives[1:]:
            yield loader.load_sweep_config(config, list((first | {key: alternative}).values()))


def _values(override: "Override") -> list[str]:
    """An override for each value of a key."""
    if not override.is_sweep_override():
        return [str(override.input_line)]
    key = override.get_key_element()
    values = list(itertools.islice(override.sweep_string_iterator(), MAX_VALUES + 1))
    if len(values) > MAX_VALUES:
        raise UserError(f"{as_typed(str(override.input_line))} must have at most {MAX_VALUES} "
                        "values")  # fmt: skip
    return [f"{key}={value}" for value in values]


def paired(overrides: "Sequence[Override]") -> list[tuple[str, ...]]:
    """The overrides of each job of a sweep whose lists of values are paired, first with first.

    Args:
        overrides: What was typed; a key without a list is the same in each job.

    Raises:
        UserError: The lists differ in length, or there is none.
    """
    by_key = {override.get_key_element(): override for override in overrides}
    lists = {
        key: [f"{key}={value}" for value in override.sweep_string_iterator()]
        for key, override in by_key.items()
        if override.is_sweep_override()
    }
    lengths = {key.lstrip("+~"): len(values) for key, values in lists.items()}
    if len(set(lengths.values())) != 1:
        counts = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        raise UserError("hydra/sweeper=zip needs lists of the same length: "
                        f"{counts or 'no key has a list, such as seed=1,2,3'}")  # fmt: skip
    (jobs,) = set(lengths.values())
    fixed = {
        key: [f"{key}={override.get_value_element_as_str()}"] * jobs
        for key, override in by_key.items()
        if key not in lists
    }
    return list(zip(*((fixed | lists)[key] for key in by_key), strict=True))


def ends(override: "Override", config: DictConfig) -> tuple[int, int] | tuple[float, float]:
    """The ends of an interval: whole numbers where both are typed so and the key holds no fraction.

    Args:
        override: A key with `interval(low, high)`.
        config: A configuration that holds the key.

    Raises:
        UserError: The lower end is the higher one, or has no place on a logarithmic scale.
    """
    text = str(override.input_line)
    interval: Any = override.value()
    low, high = float(interval.start), float(interval.end)
    if low > high or ("log" in interval.tags and low <= 0):
        raise UserError(f"{as_typed(text)} must go from the lower number to the higher one, on a "
                        "logarithmic scale from above 0")  # fmt: skip
    numbers = re.search(r"interval\(([^)]*)\)", text)
    is_whole = numbers is not None and re.fullmatch(r"(\w+=|[-+\d\s,])*", numbers[1])
    key = override.get_key_element().lstrip("+~")
    if is_whole and not isinstance(OmegaConf.select(config, key, throw_on_missing=False), float):
        return int(low), int(high)
    return low, high
