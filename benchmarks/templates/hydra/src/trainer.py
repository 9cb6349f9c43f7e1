"""Lightning's part, without PyTorch: fits, tests, and calls callbacks and logger at their time."""

from src.data import TableDataModule
from src.model import TabularModel


class Trainer:
    def __init__(self, callbacks, logger) -> None:
        self.callbacks = callbacks
        self.logger = logger

    def fit(self, model: TabularModel, data: TableDataModule) -> None:
        data.setup()
        model.fit(*data.part("train"))
        for callback in self.callbacks:
            callback.on_fit_end(self.logger, model, data)

    def test(self, model: TabularModel, data: TableDataModule) -> dict[str, float]:
        metrics: dict[str, float] = {}
        for part in ("validation", "test"):
            features, label = data.part(part)
            metrics |= model.metrics(part, label, model.score(features))
        self.logger.log_metrics(metrics)
        for callback in self.callbacks:
            callback.on_test_end(self.logger, model, data)
        return metrics
