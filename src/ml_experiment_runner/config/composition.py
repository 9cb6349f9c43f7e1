"""Composes and checks the configuration that overrides choose."""

import secrets
from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.config.checks import check, check_plugins
from ml_experiment_runner.config.hydra_errors import plain
from ml_experiment_runner.config.options import folder, option_file
from ml_experiment_runner.config.overrides import is_group, normalise
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
        UserError: An override names no key, group or choice, or has a wrong type.
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

    The model's class, whose import takes seconds, is asked only where a parameter was typed that
    the model's file does not list.

    Args:
        config: Holds Hydra's own part too.

    Returns:
        The configuration without Hydra's part, with the defaults of keys that no file lists.

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
    typed = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    assert isinstance(typed, list)
    keys = (word.lstrip("+").partition("=")[0] for word in map(str, typed))
    return {key.removeprefix("model.") for key in keys if key.startswith("model.")}


def _listed(config: DictConfig) -> set[str]:
    """Parameters in the file of the chosen model."""
    path = option_file("model", str(config.hydra.runtime.choices.get("model")))
    return set(map(str, OmegaConf.load(path))) if path else set()


def own(config: DictConfig) -> DictConfig:
    """A configuration without Hydra's own part."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def explain(error: Exception, typed: Sequence[str] = ()) -> Exception:
    """A Hydra or OmegaConf error about the user's words, said our way; any other stays itself.

    Args:
        error: What Hydra raised.
        typed: The overrides: the nearest key is looked for in what they choose.
    """
    return plain(error, typed, _keys)


def _keys(typed: Sequence[str]) -> list[str]:
    """Every key of the configuration that the typed choices of groups give, dotted."""
    chosen = [word.partition(",")[0] for word in typed if is_group(word.partition("=")[0])]
    try:
        config = compose(*chosen)
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
