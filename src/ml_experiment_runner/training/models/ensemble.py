"""The model that is saved for `model=ensemble`: members that see disjoint signals, and their sum.

Imports neither Hydra nor anything that reads data: it goes with a saved model.
"""

import copy
import logging
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, NoReturn

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions

from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.training.arrays import Floats
from ml_experiment_runner.training.models.fusion import Fusion

log = logging.getLogger(__name__)


class Ensemble(BaseEstimator):
    """One model for each group of signals, none of which moves the answer beyond its bound.

    A group's member predicts only rows with a value of the group. So a signal that stops costs one
    member and not the answer.

    Attributes:
        names_: Features by group, in the order of the members.
        texts_: The features that are texts; all others are numbers.
        models_: The members' fitted models by group.
        fusion_: How their answers are put together.
        task_type_: The question, which follows from the label.
        classes_: The classes; of a binary label, 0 and 1.
        left_out_: Groups whose members do not predict.
    """

    # what scikit-learn checks of its own estimators too
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "fusion": [StrOptions({"bounded", "mean"})],
        "blast_radius": [Interval(Real, 0, None, closed="neither")],
        "max_quality_gap": [Interval(Real, None, None, closed="neither"), None],
        "folds": [Interval(Integral, 2, 100, closed="both")],
    }

    def __init__(
        self,
        member: Mapping[str, Any] | None = None,
        members: Mapping[str, Mapping[str, Any]] | None = None,
        groups: Mapping[str, Sequence[str]] | None = None,
        fusion: str = "bounded",
        blast_radius: float = 2.0,
        max_quality_gap: float | None = 0.01,
        folds: int = 3,
    ) -> None:
        """Takes the configuration of `model`.

        Args:
            member: The model of every group: its class as `_target_` and its parameters.
            members: Other models, by group.
            groups: Names of signals or features by group; None for a group by signal.
            fusion: `bounded` or `mean`.
            blast_radius: The most that one group may move the answer, see `fit_fusion`.
            max_quality_gap: The most that the ensemble may be worse than one model; None for no
                limit.
            folds: Fits of each member that weights are learned from.
        """
        self.member = member
        self.members = members
        self.groups = groups
        self.fusion = fusion
        self.blast_radius = blast_radius
        self.max_quality_gap = max_quality_gap
        self.folds = folds

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes a pickle of before, which called some attributes otherwise."""
        renamed = {"kind_": "task_type_", "max_price": "max_quality_gap"}
        super().__setstate__({renamed.get(name, name): value for name, value in state.items()})

    def assembled(
        self,
        task_type: TaskType,
        classes: Sequence[Any],
        names: Mapping[str, Sequence[str]],
        texts: Sequence[str],
        models: Mapping[str, Any],
        fusion: Fusion,
    ) -> "Ensemble":
        """This ensemble, fitted: its members are fitted one by one."""
        self.task_type_ = task_type
        self.classes_ = np.array(classes)
        self.names_ = {group: list(features) for group, features in names.items()}
        self.texts_ = list(texts)
        self.models_ = dict(models)
        self.fusion_ = fusion
        self.left_out_: list[str] = []
        return self

    def without(self, *groups: str) -> "Ensemble":
        """The same ensemble without these members; nothing is fitted again.

        Raises:
            KeyError: There is no such group.
        """
        for group in groups:
            if group not in self.models_:
                raise KeyError(f"no group '{group}'; there is {', '.join(self.models_)}")
        other = copy.copy(self)
        other.left_out_ = sorted({*self.left_out_, *groups})
        return other

    def max_influence(self) -> dict[str, float]:
        """The most that each group can move the answer, see `Fusion.max_influence`."""
        return self.fusion_.max_influence()

    @property
    def reach(self) -> NoReturn:
        """What `max_influence` was called before."""
        raise AttributeError("Ensemble.reach is called max_influence now")

    def scores(self, features: Any) -> Floats:
        """The sum that the bound holds for: logits or numbers, shape (rows, outputs)."""
        return self.fusion_.sum(self.answers(features))

    def predict_proba(self, features: Any) -> Floats:
        """Probabilities of the classes, shape (rows, classes)."""
        if self.task_type_ == TaskType.REGRESSION:
            raise AttributeError("a number has no probabilities")
        chance = self.fusion_.predict(self.answers(features))
        return (
            np.column_stack([1 - chance, chance]) if self.task_type_ == TaskType.BINARY else chance
        )

    def predict(self, features: Any) -> NDArray[Any]:
        """Classes or numbers, shape (rows,)."""
        if self.task_type_ == TaskType.REGRESSION:
            return self.fusion_.predict(self.answers(features))
        answer: NDArray[Any] = self.classes_[np.argmax(self.predict_proba(features), axis=1)]
        return answer

    def answers(self, features: Any) -> dict[str, Floats]:
        """What each member predicts; NaN in rows where it has no value.

        Args:
            features: A frame of polars or pandas. A column that is not there is one without values.
        """
        rows = len(features)
        shape = (rows, len(self.classes_)) if self.task_type_ == TaskType.MULTICLASS else (rows,)
        answers = {}
        for group, model in self.models_.items():
            answers[group] = np.full(shape, np.nan)
            if group in self.left_out_:
                continue
            frame = readable(features, self.names_[group], self.texts_)
            known = has_values(frame)
            if known.any():
                try:
                    answers[group][known] = answer(
                        model, self.task_type_, frame.filter(known), self.classes_
                    )
                except Exception as error:  # what it says may show values
                    name = type(error).__name__
                    log.warning("the member '%s' fails with %s and is left out", group, name)
        return answers


def answer(model: Any, task_type: TaskType, frame: pl.DataFrame, classes: Iterable[Any]) -> Floats:
    """A member's predictions: probability of 1, of each class, or a number."""
    if task_type == TaskType.REGRESSION:
        return np.asarray(model.predict(frame), dtype=np.float64)
    chances = np.asarray(model.predict_proba(frame), dtype=np.float64)
    if task_type == TaskType.BINARY:
        return chances[:, list(model.classes_).index(1)]
    order = [str(name) for name in classes]
    seen = model.classes_
    by_class = np.zeros((len(chances), len(order)))
    # XGBoost counts them
    by_class[:, seen if seen.dtype.kind in "iu" else [order.index(str(name)) for name in seen]] = (
        chances
    )
    return by_class


def readable(features: Any, names: Sequence[str], texts: Sequence[str]) -> pl.DataFrame:
    """The columns as the members know them: texts and finite numbers; null for anything else."""
    columns = []
    for name in names:
        values = features[name] if name in features.columns else pl.Series([None] * len(features))
        if not isinstance(values, pl.Series):  # of pandas
            values = pl.Series(values.astype(object).where(values.notna(), None), strict=False)
        if name in texts:
            values = values.cast(pl.String, strict=False)
        else:
            values = values.cast(pl.Float64, strict=False)
            values = values.set(~values.is_finite().fill_null(True), None)
        columns.append(values.alias(name))
    return pl.DataFrame(columns)


def has_values(frame: pl.DataFrame) -> NDArray[np.bool_]:
    """Rows with a value in any column."""
    known: NDArray[np.bool_] = (
        frame.select(pl.any_horizontal(pl.all().is_not_null())).to_series().to_numpy()
    )
    return known
