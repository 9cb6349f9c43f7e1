"""What a sweep's overrides stand for: the configurations of its jobs."""

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


REMEMBERED = 256  # compositions of a sweep's jobs


VALUES = 10_000  # of one key in a sweep, each of which is composed and checked first


def remember_compositions() -> None:
    """Hydra composes each job of a sweep twice, beside our check; all but the first is a copy."""
    from hydra.core.global_hydra import GlobalHydra

    loader: Any = GlobalHydra.instance().config_loader()
    compose_job = loader.load_sweep_config
    known: dict[tuple[str, ...], DictConfig] = {}

    def load(master_config: DictConfig, sweep_overrides: Sequence[str]) -> DictConfig:
        words = tuple(sweep_overrides)
        if words not in known:
            if len(known) >= REMEMBERED:  # a search composes each job once
                known.clear()
            known[words] = compose_job(master_config, list(words))
        copied = copy.deepcopy(known[words])
        # what was resolved meanwhile, such as the id of the sweep's run
        OmegaConf.copy_cache(from_config=master_config, to_config=copied)
        return copied

    loader.load_sweep_config = load


def normalise_params(config: DictConfig) -> None:
    """Has the keys of `hydra.sweeper.params` as they would be typed.

    Args:
        config: What Hydra composed for the sweep as a whole.
    """
    params = config.hydra.sweeper.get("params")
    if params:
        written = OmegaConf.to_container(params, resolve=False)
        assert isinstance(written, dict)
        named = {added(str(key)): value for key, value in written.items()}
        with flag_override(config, ["struct", "readonly"], False):
            config.hydra.sweeper.params = named


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
    from hydra.core.override_parser.overrides_parser import OverridesParser

    loader = GlobalHydra.instance().config_loader()
    typed = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    assert isinstance(typed, list)
    words = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
    values: dict[str, list[str]] = {}
    intervals = []
    sweeper = str(config.hydra.sweeper._target_)  # files may be called otherwise
    parser = OverridesParser.create(config_loader=loader)
    overrides = parser.parse_overrides([*words, *map(str, typed)])
    for override in overrides:
        key = override.get_key_element()
        word = str(override.input_line)
        if not override.is_sweep_override():
            values[key] = [word]
        elif override.is_discrete_sweep():
            listed = itertools.islice(override.sweep_string_iterator(), VALUES + 1)
            values[key] = [f"{key}={value}" for value in listed]
            if len(values[key]) > VALUES:
                raise UserError(f"{as_typed(word)}: a sweep over a key takes at most {VALUES} "
                                "values")  # fmt: skip
        elif not sweeper.endswith("OptunaSweeper"):
            raise UserError(f"{as_typed(word)}: an interval is searched, which is said with "
                            "hydra/sweeper=optuna; otherwise list the values")  # fmt: skip
        else:
            intervals.append(override)
    if sweeper.endswith("ZipSweeper"):
        yield from (loader.load_sweep_config(config, list(job)) for job in paired(overrides))
        return
    first = {key: each[0] for key, each in values.items()}
    base = loader.load_sweep_config(config, list(first.values()))
    for override in intervals:
        key = override.get_key_element()
        values[key] = [f"{key}={end}" for end in ends(override, base)]
        first[key] = values[key][0]
    yield loader.load_sweep_config(config, list(first.values())) if intervals else base
    for key, each in values.items():
        for word in each[1:]:
            yield loader.load_sweep_config(config, list((first | {key: word}).values()))


def paired(overrides: "Sequence[Override]") -> list[tuple[str, ...]]:
    """The overrides of each job of a sweep whose lists of values are paired, first with first.

    Args:
        overrides: What was typed; a key without a list is the same in each job.

    Raises:
        UserError: The lists are not equally long, or there is none.
    """
    by_key = {override.get_key_element(): override for override in overrides}
    lists = {
        key: [f"{key}={value}" for value in override.sweep_string_iterator()]
        for key, override in by_key.items()
        if override.is_sweep_override()
    }
    lengths = {len(values) for values in lists.values()}
    if len(lengths) != 1:
        told = ", ".join(f"{key.lstrip('+~')} has {len(each)}" for key, each in lists.items())
        raise UserError(
            "hydra/sweeper=zip pairs lists of the same length: "
            f"{told or 'no key has a list, such as seed=1,2,3'}"
        )
    (jobs,) = lengths
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
        config: Holds the key.

    Raises:
        UserError: The lower end is the higher one, or has no place on a logarithmic scale.
    """
    word = str(override.input_line)
    interval: Any = override.value()
    low, high = float(interval.start), float(interval.end)
    if low > high or ("log" in interval.tags and low <= 0):
        raise UserError(f"{as_typed(word)}: an interval goes from the lower number to the "
                        "higher one, on a logarithmic scale from above 0")  # fmt: skip
    typed = re.search(r"interval\(([^)]*)\)", word)
    is_whole = typed is not None and re.fullmatch(r"(\w+=|[-+\d\s,])*", typed.group(1))
    key = override.get_key_element().lstrip("+~")
    if is_whole and not isinstance(OmegaConf.select(config, key, throw_on_missing=False), float):
        return int(low), int(high)
    return low, high
