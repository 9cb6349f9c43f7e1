"""Refuses secrets that are typed on the command line: the record and `ps` would show them."""

import re
from collections.abc import Iterator, Sequence

from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.secrets import is_secret_name

_INTERPOLATION = re.compile(r"\$\{.*\}", re.DOTALL)
_LITERAL_DEFAULT = re.compile(r"oc\.env:[^${}]*,(?!\s*(?:null|''|\"\")?\s*\})[^${}]*\}")
_SETTING = re.compile(r"([\w.@/-]+)[\"']?\s*[:=]\s*([^\s,{}\[\]]+)")


def refuse_secrets(overrides: Sequence[str]) -> None:
    """Checks that no override holds a secret.

    Raises:
        UserError: Names the key and what to do instead.
    """
    for override in overrides:
        for key, value in _values(override):
            if _is_secret(key, value):
                variable = "${oc.env:" + re.sub(r"\W+", "_", key).upper() + "}"
                raise UserError(
                    f"{key}: a secret on the command line would stay in the record; set it in the "
                    f"environment and write '{variable}' as its value"
                )


def _values(override: str) -> Iterator[tuple[str, object]]:
    """Keys and single values of an override, with those inside lists and mappings."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import ValueType
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_override(override)
        value = parsed.value()
    except HydraException:  # it is refused later; until then, none of it may be shown
        yield from _SETTING.findall(override.lstrip("+~"))
        return
    key = str(parsed.key_or_group)
    if parsed.is_sweep_override():
        # files of a group, numbers of a range: neither is typed, and there may be many
        is_typed = parsed.value_type not in (ValueType.GLOB_CHOICE_SWEEP, ValueType.RANGE_SWEEP)
        is_listed = parsed.is_discrete_sweep() and is_typed
        value = list(parsed.sweep_iterator()) if is_listed else None
    yield from _leaves(key, value)


def _leaves(key: str, node: object) -> Iterator[tuple[str, object]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _leaves(f"{key}.{name}", value)
    elif isinstance(node, list):
        for value in node:
            yield from _leaves(key, value)
    else:
        yield key, node


def _is_secret(key: str, value: object) -> bool:
    if not any(is_secret_name(name) for name in re.split(r"[./@]", key)):
        return False
    if value is None or isinstance(value, bool | float):
        return False
    if isinstance(value, int):
        return value > 999  # else a place or a count, as in `pad_token=0`
    text = str(value).strip("'\"")
    is_reference = _INTERPOLATION.fullmatch(text) and not _LITERAL_DEFAULT.search(text)
    return bool(text) and not is_reference
