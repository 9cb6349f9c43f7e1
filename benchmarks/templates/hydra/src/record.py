"""What is recorded, inline: every call waits for MLflow's store."""

import random

import mlflow
import numpy as np
from omegaconf import DictConfig, OmegaConf


class MLflowLogger:
    def __init__(self, experiment: str, tracking_uri: str) -> None:
        mlflow.set_tracking_uri(tracking_uri)
        mlflow.set_experiment(experiment)
        self.run = mlflow.start_run()

    def log_hyperparams(self, values: dict) -> None:
        mlflow.log_params(values)

    def log_metrics(self, values: dict[str, float]) -> None:
        mlflow.log_metrics(values)

    def finalize(self, status: str) -> None:
        mlflow.end_run("FINISHED" if status == "success" else "FAILED")


def flat(config: DictConfig) -> dict:
    """Nested keys as `group.key`."""
    result = {}

    def walk(node: dict, prefix: str) -> None:
        for key, value in node.items():
            if isinstance(value, dict):
                walk(value, f"{prefix}{key}.")
            else:
                result[f"{prefix}{key}"] = value

    walk(OmegaConf.to_container(config, resolve=True), "")
    return result


def seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
