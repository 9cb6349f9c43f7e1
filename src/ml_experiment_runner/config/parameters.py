"""Checks the model's class and its parameters before anything runs."""

import importlib.metadata
import inspect
import re
from collections.abc import Mapping
from typing import Any

from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.config.structure import renamed_key, shown
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.moved_names import refuse_old_name
from ml_experiment_runner.project.suggestions import nearest

KEYS = ("_target_", "_regressor_")


class MissingExtraError(UserError):
    """A model needs a package that comes with an extra only."""


def check_model(config: DictConfig) -> None:
    """Checks the model's parameters against its class.

    Of a model with two classes, one for regression, the label tells which is fitted, and only the
    data tell the label: what one of them takes passes here, and `make` checks it again.

    Raises:
        UserError: The class cannot be imported or does not take a parameter.
    """
    if "model" not in config.task.get("uses", []):
        return
    model = config.model
    if model.get("_target_") is None:
        raise UserError("model._target_ is required: an estimator's class, such as "
                        "sklearn.linear_model.LogisticRegression")  # fmt: skip
    values = OmegaConf.to_container(model, resolve=True)
    assert isinstance(values, dict)
    parameters = {str(key): value for key, value in values.items() if key not in KEYS}
    errors = []
    for estimator in [load(key, str(model[key])) for key in KEYS if model.get(key) is not None]:
        try:
            make(estimator, parameters)
        except UserError as error:
            errors.append(error)
        else:
            return
    raise errors[0]


def check_members(config: DictConfig) -> None:
    """Checks the parameters of an ensemble's members; any other model passes.

    Raises:
        UserError: A member's class does not take a parameter, or is an ensemble itself.
    """
    if not is_ensemble(config.model):
        return
    members = config.model.get("members")
    if not isinstance(members, DictConfig):
        raise UserError(f"model.members is a mapping of groups to models, got {shown(members)}")
    models = {f"members.{group!s}": model for group, model in members.items()}
    for key, model in {"member": config.model.get("member"), **models}.items():
        if not isinstance(model, DictConfig):
            raise UserError(f"model.{key} must be a model with a _target_, got {shown(model)}")
        if is_ensemble(model):
            raise UserError(f"model.{key} must not be an ensemble itself")
        member_config = config.copy()
        member_config.model = model
        try:
            check_model(member_config)
        except UserError as error:
            message = str(error) if str(error).startswith("model") else f"model: {error}"
            raise type(error)(message.replace("model", f"model.{key}", 1)) from None


def is_ensemble(model: DictConfig) -> bool:
    """Whether a model is one of several members."""
    return str(model.get("_target_")).endswith(".models.ensemble.Ensemble")


def make(estimator: type[Any], parameters: Mapping[str, Any]) -> Any:
    """An estimator with these parameters; scikit-learn's check of types and ranges comes first.

    Raises:
        UserError: The class does not take a parameter or its value.
    """
    known = names(estimator)
    for name, value in parameters.items():
        if name not in known:
            raise renamed_key(f"model.{name}") or UserError(
                f"model.{name}: {estimator.__name__} has no parameter '{name}'. "
                f"{nearest(name, known)}"
            )
        if isinstance(value, int) and abs(value) >= 2**63:  # libraries are written in C
            raise UserError(f"model.{name} must be in [-2**63, 2**63), got {value}")
    try:
        made = estimator(**parameters)
        if hasattr(made, "_parameter_constraints"):  # a class of one's own has none
            made._validate_params()
    except (TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        match = re.match(r"The '(\w+)' parameter of ", reason)
        raise UserError(f"model{'.' + match[1] if match else ''}: {reason}") from error
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
        raise UserError(f"model.{key} must be an estimator, but {target} has no method predict")
    return estimator


def names(estimator: type[Any]) -> set[str]:
    """Names that the constructor takes; from `get_params()` too where it takes `**kwargs`."""
    parameters = inspect.signature(estimator).parameters.values()
    known = {p.name for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD}
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        known |= set(estimator().get_params())
        if estimator.__module__.startswith("lightgbm"):  # it hands any other to its core
            from lightgbm.basic import _ConfigAliases

            for name, aliases in _ConfigAliases._get_all_param_aliases().items():
                known |= {name, *aliases}
    return known


def _extra(module: str) -> str | None:
    """The extra whose packages have a module."""
    top = module.partition(".")[0]
    for requirement in importlib.metadata.requires("ml-experiment-runner") or []:
        package = re.split(r"[^\w.-]", requirement)[0]
        extra = re.search(r"extra == ['\"]([\w-]+)", requirement)
        if extra and package in (top, f"{top}-cpu"):
            return extra[1]
    return None
