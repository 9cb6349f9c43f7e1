"""Lightning's own trainer: the whole table is one batch, and a step fits the estimator to it."""

import logging
import warnings

import torch
from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from torch.utils.data import DataLoader

from src.data import TableDataModule
from src.model import TabularModel


class Data(LightningDataModule):
    def __init__(self, data: TableDataModule) -> None:
        super().__init__()
        self.data = data

    def setup(self, stage: str) -> None:
        self.data.setup()

    def train_dataloader(self) -> DataLoader:
        return DataLoader([self.data.part("train")], batch_size=None)

    def test_dataloader(self) -> DataLoader:
        named = [(part, *self.data.part(part)) for part in ("validation", "test")]
        return DataLoader(named, batch_size=None)


class Module(LightningModule):
    def __init__(self, model: TabularModel) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.found: dict[str, float] = {}

    def configure_optimizers(self) -> None:
        return None

    def training_step(self, batch, number: int) -> None:
        self.model.fit(*batch)

    def test_step(self, batch, number: int) -> None:
        part, features, label = batch
        self.found |= self.model.metrics(part, label, self.model.score(features))


class LightningTrainer:
    def __init__(self, default_root_dir: str, callbacks, logger) -> None:
        torch.manual_seed(0)
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", module="lightning")
        self.callbacks = callbacks
        self.logger = logger
        self.trainer = Trainer(
            max_epochs=1, accelerator="cpu", devices=1, default_root_dir=default_root_dir,
            logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False,
        )  # fmt: skip

    def fit(self, model: TabularModel, data: TableDataModule) -> None:
        self.module, self.data = Module(model), Data(data)
        self.trainer.fit(self.module, datamodule=self.data)
        for callback in self.callbacks:
            callback.on_fit_end(self.logger, model, data)

    def test(self, model: TabularModel, data: TableDataModule) -> dict[str, float]:
        self.trainer.test(self.module, datamodule=self.data, verbose=False)
        self.logger.log_metrics(self.module.found)
        for callback in self.callbacks:
            callback.on_test_end(self.logger, model, data)
        return self.module.found
