"""A network for tables, in PyTorch, trained with Lightning (the extra `deep`)."""

import atexit
import gc
import hashlib
import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from torch import nn
from torch.utils.data import DataLoader, Sampler, TensorDataset

from ml_experiment_runner.training.arrays import Floats

log = logging.getLogger(__name__)

# the runner freezes what is imported; at the end PyTorch would take that for a leak and say so
atexit.register(gc.unfreeze)

EMBEDDED = 16  # at most so many numbers stand for a category


class _Tabular(nn.Module):
    """Embedded categories and scaled numbers, each with a flag where it is missing, through layers.

    Categories come first in a row, as whole numbers from 0; NaN is a missing value.
    """

    def __init__(self, sizes: Sequence[int], mean: Floats, scale: Floats, hidden: Sequence[int],
                 dropout: float, outputs: int) -> None:  # fmt: skip
        super().__init__()
        # the last one is for what is missing or was never seen
        self.embeddings = nn.ModuleList(
            nn.Embedding(size + 1, min(EMBEDDED, (size + 1) // 2 + 1)) for size in sizes
        )
        self.sizes = list(sizes)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))
        width = sum(each.embedding_dim for each in self.embeddings) + 2 * len(mean)
        layers: list[nn.Module] = []
        for units in hidden:
            layers += [nn.Linear(width, units), nn.ReLU(), nn.Dropout(dropout)]
            width = units
        self.layers = nn.Sequential(*layers, nn.Linear(width, outputs))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Logits or numbers, shape (rows, outputs)."""
        parts = []
        for place, (embedding, size) in enumerate(zip(self.embeddings, self.sizes, strict=True)):
            code = torch.nan_to_num(rows[:, place], nan=float(size))
            known = (code >= 0) & (code < size)
            parts.append(embedding(torch.where(known, code, float(size)).long()))
        numbers = (rows[:, len(self.sizes) :] - self.mean) / self.scale
        parts += [torch.nan_to_num(numbers).clamp(-10, 10), torch.isnan(numbers).float()]
        output: torch.Tensor = self.layers(torch.cat(parts, dim=1))
        return output


class _Shuffled(Sampler[int]):
    """Floats in an order that depends on seed and epoch alone."""

    def __init__(self, rows: int, seed: int) -> None:
        self.rows, self.seed, self.epoch = rows, seed, 0

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, self.epoch])
        return iter(rng.permutation(self.rows).tolist())


class _Training(lightning.LightningModule):
    """The network with its loss; a step draws the same numbers in a fit that was resumed."""

    def __init__(self, network: _Tabular, loss: nn.Module, order: _Shuffled, learning_rate: float,
                 weight_decay: float) -> None:  # fmt: skip
        super().__init__()
        self.network, self.loss, self.order = network, loss, order
        self.learning_rate, self.weight_decay = learning_rate, weight_decay

    def on_train_epoch_start(self) -> None:
        self.order.epoch = self.current_epoch

    def on_train_batch_start(self, _: object, number: int) -> None:
        rng = np.random.default_rng([self.order.seed, self.current_epoch, number])
        torch.manual_seed(int(rng.integers(2**62)))

    def training_step(self, batch: Sequence[torch.Tensor], _: int) -> torch.Tensor:
        rows, label = batch
        loss: torch.Tensor = self.loss(self.network(rows), label)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
        )


class _AfterEpoch(lightning.Callback):
    """Calls a function with each epoch's number, the network ready to predict."""

    def __init__(self, call: Callable[[int], None]) -> None:
        self.call = call

    def on_train_epoch_end(self, trainer: lightning.Trainer, training: Any) -> None:
        training.network.eval()
        self.call(trainer.current_epoch)
        training.network.train()


class _Network(BaseEstimator):
    """What classifier and regressor share.

    Attributes:
        after_epoch: Called with each epoch's number, from 0; then it predicts what it knows so far.

    Args:
        hidden: Units of each hidden layer.
        dropout: Share of units left out in training.
        learning_rate: Of AdamW (Loshchilov and Hutter 2019).
        weight_decay: Of AdamW.
        batch_size: Floats for each step.
        epochs: Times that all rows are seen.
        accelerator: `cpu`, `gpu` or `auto`.
        checkpoints: A folder; a fit of the same rows and parameters that was interrupted goes on
            from there. None for none.
        random_state: Seed.
        n_jobs: Threads; None for all cores.
        categorical_features: Places of the categories, the first ones.
    """

    after_epoch: Callable[[int], None] | None = None

    def __init__(
        self,
        hidden: Sequence[int] = (128, 64),
        dropout: float = 0.1,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-4,
        batch_size: int = 1024,
        epochs: int = 10,
        accelerator: str = "auto",
        checkpoints: str | None = None,
        random_state: int | None = None,
        n_jobs: int | None = None,
        categorical_features: Sequence[int] | None = None,
    ) -> None:
        self.hidden = hidden
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.epochs = epochs
        self.accelerator = accelerator
        self.checkpoints = checkpoints
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.categorical_features = categorical_features

    def _fit(self, rows: Floats, label: torch.Tensor, outputs: int, loss: nn.Module) -> None:
        rows = np.asarray(rows, dtype=np.float64)
        self.n_features_in_ = rows.shape[1]
        seed = self.random_state or 0
        if self.n_jobs is not None:
            torch.set_num_threads(self.n_jobs)
        torch.manual_seed(seed)
        count = len(self.categorical_features or ())
        codes, numbers = rows[:, :count], rows[:, count:]
        sizes = [0 if np.isnan(each).all() else int(np.nanmax(each)) + 1 for each in codes.T]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a column without any value
            mean, scale = np.nanmean(numbers, axis=0), np.nanstd(numbers, axis=0)
        mean, scale = np.nan_to_num(mean), np.where(np.nan_to_num(scale) > 0, scale, 1.0)
        self.network_ = _Tabular(sizes, mean, scale, self.hidden, self.dropout, outputs)
        order = _Shuffled(len(rows), seed)
        training = _Training(self.network_, loss, order, self.learning_rate, self.weight_decay)
        data = TensorDataset(torch.tensor(rows, dtype=torch.float32), label)
        loader = DataLoader(data, batch_size=self.batch_size, sampler=order)
        folder = self._folder(rows, label)
        try:
            self._train(training, loader, folder)
        finally:
            if not self.checkpoints:
                shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        self.network_.cpu().eval()

    def _train(self, training: _Training, loader: Any, folder: Path) -> None:
        for name in ("lightning", "lightning.pytorch", "lightning.pytorch.utilities.rank_zero"):
            logging.getLogger(name).setLevel(logging.ERROR)
        callbacks: list[Any] = [
            ModelCheckpoint(folder, filename="last", enable_version_counter=False)
        ]
        if self.after_epoch is not None:
            callbacks.append(_AfterEpoch(self.after_epoch))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")  # of workers for small tables
            trainer = lightning.Trainer(
                accelerator=self.accelerator,
                devices=1,
                max_epochs=self.epochs,
                callbacks=callbacks,
                logger=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
            last = folder / "last.ckpt"
            if last.exists():
                epoch = torch.load(last, weights_only=False)["epoch"] + 1
                log.info("the fit was interrupted before: it goes on from epoch %d", epoch)
            try:
                trainer.fit(training, loader, ckpt_path=str(last) if last.exists() else None)
            except SystemExit as error:  # what Lightning makes of Ctrl+C
                raise KeyboardInterrupt from error

    def _folder(self, rows: Floats, label: torch.Tensor) -> Path:
        """Of the checkpoints of a fit to just these rows with just these parameters."""
        if not self.checkpoints:
            return Path(tempfile.mkdtemp(prefix="network-"))
        parameters = {
            name: value
            for name, value in self.get_params().items()
            if name not in ("checkpoints", "accelerator")
        }
        digest = hashlib.blake2b(json.dumps(parameters, default=list).encode(), digest_size=8)
        digest.update(np.ascontiguousarray(rows).tobytes())
        digest.update(label.numpy().tobytes())
        return Path(self.checkpoints) / digest.hexdigest()

    def _outputs(self, rows: Floats) -> torch.Tensor:
        if self.n_jobs is not None:
            torch.set_num_threads(self.n_jobs)
        whole = torch.tensor(np.asarray(rows, dtype=np.float64), dtype=torch.float32)
        device = next(self.network_.parameters()).device
        with torch.no_grad():
            return torch.cat([self.network_(part.to(device)).cpu() for part in whole.split(65_536)])


class NetworkClassifier(ClassifierMixin, _Network):
    """Learns chances by cross entropy."""

    def fit(self, rows: Floats, label: NDArray[Any]) -> "NetworkClassifier":
        """Fits to rows, shape (rows, columns), and their classes."""
        self.classes_, codes = np.unique(label, return_inverse=True)
        self._fit(rows, torch.tensor(codes), len(self.classes_), nn.CrossEntropyLoss())
        return self

    def predict_proba(self, rows: Floats) -> Floats:
        """Chance of each class, shape (rows, classes)."""
        chances: Floats = torch.softmax(self._outputs(rows).double(), dim=1).numpy()
        return chances

    def predict(self, rows: Floats) -> NDArray[Any]:
        """The likeliest class."""
        answer: NDArray[Any] = self.classes_[self.predict_proba(rows).argmax(axis=1)]
        return answer


class NetworkRegressor(RegressorMixin, _Network):
    """Learns the mean by squared error, on a label of mean 0 and deviation 1."""

    def fit(self, rows: Floats, label: Floats) -> "NetworkRegressor":
        """Fits to rows, shape (rows, columns), and their numbers."""
        self.mean_, self.scale_ = float(label.mean()), float(label.std()) or 1.0
        scaled = torch.tensor((label - self.mean_) / self.scale_, dtype=torch.float32)
        self._fit(rows, scaled[:, None], 1, nn.MSELoss())
        return self

    def predict(self, rows: Floats) -> Floats:
        """The number, shape (rows,)."""
        answer: Floats = self._outputs(rows)[:, 0].double().numpy() * self.scale_ + self.mean_
        return answer
