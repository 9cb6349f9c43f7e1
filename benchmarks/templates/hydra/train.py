"""Trains what the configuration composes: python train.py data=flights."""

import logging

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig
from src.record import flat, seed_everything

log = logging.getLogger(__name__)


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(config: DictConfig) -> float:
    seed_everything(config.seed)
    log.info("data <%s>", config.data._target_)
    data = instantiate(config.data)
    log.info("model <%s>", config.model._target_)
    model = instantiate(config.model)
    callbacks = [instantiate(one) for one in config.callbacks.values()]
    logger = instantiate(config.logger)
    log.info("trainer <%s>", config.trainer._target_)
    trainer = instantiate(config.trainer, callbacks=callbacks, logger=logger)
    logger.log_hyperparams(flat(config))
    try:
        trainer.fit(model, data)
        metrics = trainer.test(model, data)
    except BaseException:
        logger.finalize("failed")
        raise
    logger.finalize("success")
    return metrics[config.objective]


if __name__ == "__main__":
    main()
