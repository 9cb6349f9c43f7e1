"""The model's class and its parameters, checked before anything runs."""

import importlib.metadata
import inspect
import re
from collections.abc import Mapping
from typing import Any

from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.config.checks import nearest, renamed
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.moved_names import refuse_old_name

KEYS = ("_target_", "_regressor_")


class MissingExtraError(UserError):
    """A model needs a package that comes with an extra only."""


def check_model(config: DictConfig) -> None:
    """Checks the model's parameters against its class.

    Of a model with two classes, one for labels that are numbers, the label tells which is fitted,
    and only the data tell the label: what one of them takes passes here, and `make` checks it
    again.

    Raises:
        UserError: The class cannot be imported or does not take a parameter.
    """
    if "model" not in config.task.get("uses", []):
        return
    model = config.model
    if model.get("_target_") is None:
        raise UserError("model._target_: missing; name an estimator's class, such as "
                        "sklearn.linear_model.LogisticRegression")  # fmt: skip
    values = OmegaConf.to_container(model, resolve=True)
    assert isinstance(values, dict)
    parameters = {str(key): value for key, value in values.items() if key not in KEYS}
    refusals = []
    for estimator in [load(key, str(model[key])) for key in KEYS if model.get(key) is not None]:
        try:
            make(estimator, parameters)
        except UserError as error:
            refusals.append(error)
        else:
            return
    raise refusals[0]


def check_members(config: DictConfig) -> None:
    """Checks the parameters of an ensemble's members; any other model passes.

    Raises:
        UserError: A member's class does not take a parameter, or is an ensemble itself.
    """
    if not is_ensemble(config.model):
        return
    if not isinstance(config.model.get("members"), DictConfig):
        raise UserError("model.members must be a mapping of groups to models, got "
                        f"{config.model.get('members')}")  # fmt: skip
    members = {f"members.{group}": each for group, each in config.model.members.items()}
    for place, model in {"member": config.model.get("member"), **members}.items():
        if not isinstance(model, DictConfig):
            raise UserError(f"model.{place} must be a model with a _target_, got {model}")
        if is_ensemble(model):
            raise UserError(f"model.{place}: a member cannot be an ensemble itself")
        alone = config.copy()
        alone.model = model
        try:
            check_model(alone)
        except UserError as error:
            words = str(error).removeprefix("model")
            raise type(error)(f"model.{place}{words}") from None


def is_ensemble(model: DictConfig) -> bool:
    """Whether a model is one of several members."""
    return str(model.get("_target_")).endswith(".models.ensemble.Ensemble")


def make(estimator: type[Any], parameters: Mapping[str, Any]) -> Any:
    """An estimator with these parameters; scikit-learn's check of types and ranges comes first.

    Raises:
        UserError: The class does not take a parameter or its value.
    """
    known = names(estimator)
    for name in parameters:
        if name not in known:
            if renamed_error := renamed(f"model.{name}"):
                raise renamed_error
            near = nearest(name, known)
            raise UserError(f"model.{name}: {estimator.__name__} takes no such parameter. {near}")
        value = parameters[name]
        if isinstance(value, int) and abs(value) >= 2**63:  # libraries are written in C
            raise UserError(f"model.{name} must be in [-2**63, 2**63), got {value}")
    try:
        made = estimator(**parameters)
        if hasattr(made, "_parameter_constraints"):  # a class of one's own has none
            made._validate_params()
    except (TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        named = re.match(r"The '(\w+)' parameter of ", reason)
        raise UserError(f"model{'.' + named[1] if named else ''}: {reason}") from error
    return made


def load(key: str, target: str) -> type[Any]:
    """The class that the configuration names.

    Raises:
        UserError: It cannot be imported, or is not an estimator; MissingExtraError where an extra
            has it.
    """
    refuse_old_name(target)
    try:
        estimator = get_class(target)
    except Exception as error:
        cause = error.__cause__ or error
        missing = cause.name if isinstance(cause, ModuleNotFoundError) else None
        if missing and (extra := _extra(missing)):
            raise MissingExtraError(
                f"model: {target} needs {missing}, which is not installed. Type "
                f"`make setup ARGS={extra}` (python tools/setup.py {extra})"
            ) from error
        raise UserError(f"model.{key}: cannot import '{target}' ({cause})") from error
    if not hasattr(estimator, "predict"):
        raise UserError(f"model.{key}: {target} is not an estimator, it has no method predict")
    return estimator


def names(estimator: type[Any]) -> set[str]:
    """Names that the constructor takes; from `get_params()` too where it takes `**kwargs`."""
    parameters = inspect.signature(estimator).parameters.values()
    found = {p.name for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD}
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        found |= set(estimator().get_params())
        if estimator.__module__.startswith("lightgbm"):  # it hands any other to its core
            from lightgbm.basic import _ConfigAliases

            for name, aliases in _ConfigAliases._get_all_param_aliases().items():
                found |= {name, *aliases}
    return found


def _extra(module: str) -> str | None:
    """The extra whose packages have a module."""
    top = module.partition(".")[0]
    for requirement in importlib.metadata.requires("ml-experiment-runner") or []:
        package = re.split(r"[^\w.-]", requirement)[0]
        extra = re.search(r"extra == ['\"]([\w-]+)", requirement)
        if extra and package in (top, f"{top}-cpu"):
            return extra[1]
    return None
