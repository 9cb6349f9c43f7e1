"""How far a faulty signal moves a model."""

from dataclasses import dataclass

from ml_experiment_runner.training.analysis.backward_elimination import Loss
from ml_experiment_runner.training.analysis.perturbations import Moved


@dataclass(frozen=True)
class Effect:
    """What a fault of one signal does to one model.

    Attributes:
        signal: The signal.
        fault: One of `Fault`, or `refit`.
        model: `one model` or `ensemble`.
        score: How far logits or numbers have moved.
        answer: How far predictions have moved.
        loss: How much worse the main metric is.
        importance: The mean change of the importance of the features of other signals.
        most: The largest of these changes.
        feature: The feature that it is of.
    """

    signal: str
    fault: str
    model: str
    score: Moved
    answer: Moved
    loss: Loss
    importance: float
    most: float
    feature: str
