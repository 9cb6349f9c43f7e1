"""The models of conf/model, with fewer trees."""

from omegaconf import DictConfig, OmegaConf

from ml_experiment_runner.dataset.task_type import TaskType
from support import SOURCE

CONF = SOURCE / "ml_experiment_runner" / "conf" / "model"
MODELS = sorted(
    path.stem for path in CONF.glob("*.yaml") if path.stem not in ("ensemble", "tabular_network")
)
KINDS = {
    "logistic_regression": (TaskType.BINARY, TaskType.MULTICLASS),
    "ridge": (TaskType.REGRESSION,),
}
PAIRS = [(name, task_type) for name in MODELS for task_type in KINDS.get(name, tuple(TaskType))]
CLASSES = ("early", "late", "on time")


def model(name: str, seed: int = 0, threads: int = 2) -> DictConfig:
    """A model's file as a run composes it, with fewer trees."""
    config = OmegaConf.create(
        {"seed": seed, "threads": threads, "model": OmegaConf.load(CONF / f"{name}.yaml")}
    )
    for few in ("max_iter", "n_estimators", "iterations"):
        if few in config.model and name != "logistic_regression":
            config.model[few] = 20
    OmegaConf.resolve(config)
    return config.model
