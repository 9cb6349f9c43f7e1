"""Composes and checks the configuration that overrides choose."""

import secrets
from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.config.checks import check
from ml_experiment_runner.config.hydra_errors import translate
from ml_experiment_runner.config.options import folder, option_file
from ml_experiment_runner.config.overrides import is_group, normalise, typed_overrides
from ml_experiment_runner.config.plugin_checks import check_plugins
from ml_experiment_runner.project.errors import UserError
from ml_experiment_runner.project.repository import read_environment, root
from ml_experiment_runner.project.secrets import watch_resolver


def register_resolvers() -> None:
    """Makes `${root:}`, `${run_id:}` and `${experiment_name:}` known; call it before Hydra."""
    watch_resolver()
    OmegaConf.register_new_resolver("root", lambda: root().as_posix(), replace=True)
    OmegaConf.register_new_resolver("experiment_name", experiment_name, replace=True)
    # cached: a job has one id, however often it is read; its number gives each job its own
    OmegaConf.register_new_resolver(
        "run_id", lambda *_job: secrets.token_hex(4), replace=True, use_cache=True
    )


def experiment_name(experiment: str | None, task: str) -> str:
    """The experiment that a run belongs to: without one, of a task that is not `train`, the task.

    Args:
        experiment: The chosen file of conf/experiment/.
        task: The chosen file of conf/task/.
    """
    return experiment or ("default" if task == "train" else task)


def compose(*overrides: str) -> DictConfig:
    """The configuration that `python run.py <overrides>` would run with, checked.

    Raises:
        UserError: An override has an unknown key, group or option, or a wrong value.
    """
    import hydra
    from hydra.core.global_hydra import GlobalHydra

    read_environment()
    register_resolvers()
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(folder()), version_base="1.3"):
            config = hydra.compose(
                "config", overrides=normalise(overrides), return_hydra_config=True
            )
    except Exception as error:
        raise explain(error, overrides) from error
    return check_composed(config)


def check_composed(config: DictConfig) -> DictConfig:
    """Checks what Hydra composed for a run, before anything runs.

    The model's class, whose import takes seconds, is imported only where a parameter was typed that
    the model's file does not list.

    Args:
        config: The configuration with Hydra's own section.

    Returns:
        The configuration without Hydra's section, with the defaults of keys that no file lists.

    Raises:
        UserError: Names the first wrong key, with the nearest valid name.
    """
    check_plugins(config)
    job = own(config)
    check(job)
    if "model" in job.task.get("uses", []) and _typed_parameters(config) - _listed(config):
        from ml_experiment_runner.config.parameters import check_members, check_model

        check_model(job)
        check_members(job)
    OmegaConf.set_struct(job, True)
    return job


def _typed_parameters(config: DictConfig) -> set[str]:
    keys = (override.lstrip("+").partition("=")[0] for override in typed_overrides(config.hydra))
    return {key.removeprefix("model.") for key in keys if key.startswith("model.")}


def _listed(config: DictConfig) -> set[str]:
    """Parameters in the file of the chosen model."""
    path = option_file("model", str(config.hydra.runtime.choices.get("model")))
    return set(map(str, OmegaConf.load(path))) if path else set()


def own(config: DictConfig) -> DictConfig:
    """A configuration without Hydra's own section."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def explain(error: Exception, overrides: Sequence[str] = ()) -> Exception:
    """A UserError for an error of Hydra or OmegaConf about what was typed; others as they are.

    Args:
        error: What Hydra raised.
        overrides: What was typed: the nearest key is looked for in what they choose.
    """
    return translate(error, overrides, _keys)


def _keys(overrides: Sequence[str]) -> list[str]:
    """Every key, dotted, of the configuration with the chosen options of groups."""
    options = [
        override.partition(",")[0] for override in overrides if is_group(override.partition("=")[0])
    ]
    try:
        config = compose(*options)
    except UserError:  # another mistake
        config = compose()
    return _dotted(OmegaConf.to_container(config, resolve=False), "")


def _dotted(node: object, path: str) -> list[str]:
    if not isinstance(node, dict):
        return []
    return [
        name
        for key, child in node.items()
        for name in (f"{path}{key}", *_dotted(child, f"{path}{key}."))
    ]
