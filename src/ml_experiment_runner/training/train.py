"""The task `train`: fit one model, learn its threshold, evaluate it on the test split."""

import logging
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, NoReturn

import numpy as np
import polars as pl
from omegaconf import DictConfig

from ml_experiment_runner.dataset.dataset import Dataset, Examples, load_dataset
from ml_experiment_runner.dataset.splits import SPLITS
from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.project import repository
from ml_experiment_runner.project.errors import RefusedError
from ml_experiment_runner.record import findings
from ml_experiment_runner.record.experiment_time import overdue
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.training.arrays import Floats
from ml_experiment_runner.training.evaluation import slices
from ml_experiment_runner.training.evaluation.baseline import baseline
from ml_experiment_runner.training.evaluation.callbacks import after_epoch
from ml_experiment_runner.training.evaluation.cross_validation import cross_validate, evaluate_seeds
from ml_experiment_runner.training.evaluation.evaluate import evaluate
from ml_experiment_runner.training.evaluation.importance import importance
from ml_experiment_runner.training.evaluation.predictions import write_predictions
from ml_experiment_runner.training.evaluation.quality_gap import QualityGap, measure_quality_gap
from ml_experiment_runner.training.models.ensemble import Ensemble
from ml_experiment_runner.training.models.fit import fit
from ml_experiment_runner.training.models.pipeline import predict
from ml_experiment_runner.training.thresholds.active import HELD, active_threshold
from ml_experiment_runner.training.thresholds.policies import learn

log = logging.getLogger(__name__)

OVERFIT_ROWS = 16  # rows that debug=overfit memorises
OVERFIT_COPIES = 64  # how often it sees each

Splits = Mapping[str, Examples]
"""Features and label of `train`, `validation` and `test`."""


class _Fitted(NamedTuple):
    """A fitted model.

    Attributes:
        estimator: The model.
        predictions: On the validation and the test split, as `predict` returns them.
        metadata: What is recorded with the model, if it was fitted before the run was resumed.
    """

    estimator: Any
    predictions: dict[str, Floats]
    metadata: dict[str, Any] | None


def train(config: DictConfig, run: Run) -> dict[str, float]:
    """Fits and evaluates the configured model.

    Returns:
        `validation/…` and `test/…` metrics with intervals and the baseline's; for a binary label
        the `threshold` unless none is valid; `seeds/…` and `cv/…` where several models are fitted.

    Raises:
        UserError: The data cannot answer the question (no such signal, one class, an empty split).
        RefusedError: An ensemble's quality gap is too large; everything but a model is recorded.
    """
    with run.stage("data"):
        dataset = load_dataset(config, run)
        splits = _splits(config, dataset)
        slice_columns = None if config.debug.overfit else slices.columns(config, dataset)
    fitted = _fit(config, run, dataset, splits)
    gap = _quality_gap(config, run, dataset, splits, fitted)
    threshold = _threshold(config, run, dataset, splits, fitted, gap)
    if fitted.metadata is None and gap.refusal is None:
        _log_model(config, run, dataset, fitted.estimator, splits["train"][0], threshold)
    with run.stage("evaluate"):
        metrics = _evaluate(config, dataset, splits, fitted, threshold) | gap.metrics
        if "hold" in threshold:
            metrics[HELD] = float(threshold["hold"] is not None)
        write_predictions(run, dataset, splits["test"][1], fitted.predictions["test"])
    weakest, weak = _evaluate_slices(config, run, dataset, slice_columns, splits, fitted, metrics)
    findings.record(run, [*overdue(run.experiment, config), *weak])
    with run.stage("importance"):
        drops = importance(config, dataset, fitted.estimator, splits["test"])
    if config.seeds > 1 and not config.debug.overfit:
        with run.stage("seeds"):
            metrics |= evaluate_seeds(config, run, dataset, fitted.estimator)
    if config.evaluation.folds and not config.debug.overfit:
        with run.stage("cross_validation"):
            metrics |= cross_validate(config, run, dataset)
    with run.stage("plots"):
        from ml_experiment_runner.training.plots.run_plots import log_plots

        labels = {split: splits[split][1] for split in fitted.predictions}
        log_plots(run, dataset, labels, fitted.predictions, metrics, drops, weakest)
    if gap.refusal is not None:
        _refuse(run, metrics, gap.refusal)
    return metrics


def _splits(config: DictConfig, dataset: Dataset) -> Splits:
    """The dataset's splits; for debug=overfit the same few rows in each."""
    if not config.debug.overfit:
        return {split: dataset.split(split) for split in SPLITS}
    features, label = dataset.split("train")
    values, first = np.unique(label, return_index=True)
    if dataset.task_type == TaskType.REGRESSION:
        rows = np.sort(first[np.linspace(0, len(values) - 1, OVERFIT_ROWS).astype(int)])
    else:
        per_class = max(1, OVERFIT_ROWS // len(values))
        rows = np.sort(
            np.concatenate([np.flatnonzero(label == value)[:per_class] for value in values])
        )
    few = (features[rows.tolist()], label[rows])
    # copies, so that an estimator's least number of rows per leaf or category does not bind
    copies = (pl.concat([few[0]] * OVERFIT_COPIES), np.tile(few[1], OVERFIT_COPIES))
    return {"train": copies, "validation": few, "test": few}


def _fit(config: DictConfig, run: Run, dataset: Dataset, splits: Splits) -> _Fitted:
    """Fits the model, or takes it from the record of a run that is resumed."""
    if (recorded := run.recorded_model()) is not None:
        log.info("the model was fitted before the run was resumed, and is taken from the record")
        estimator, metadata = recorded
        return _Fitted(estimator, _predict(estimator, dataset, splits), metadata)
    with run.stage("fit"):
        prediction_time = None if config.debug.overfit else dataset.prediction_times("train")
        callback = after_epoch(config, run, dataset, splits["validation"])
        estimator = fit(config, dataset, splits["train"], prediction_time, callback)
        return _Fitted(estimator, _predict(estimator, dataset, splits), None)


def _predict(estimator: Any, dataset: Dataset, splits: Splits) -> dict[str, Floats]:
    return {
        split: predict(estimator, dataset.task_type, splits[split][0], dataset.classes)
        for split in ("validation", "test")
    }


def _quality_gap(
    config: DictConfig, run: Run, dataset: Dataset, splits: Splits, fitted: _Fitted
) -> QualityGap:
    """The gap of an ensemble to one model; any other model has none."""
    if not isinstance(fitted.estimator, Ensemble):
        return QualityGap({}, None)
    with run.stage("quality_gap"):
        return measure_quality_gap(
            config, run, dataset, splits, fitted.predictions, fitted.estimator
        )


def _threshold(
    config: DictConfig,
    run: Run,
    dataset: Dataset,
    splits: Splits,
    fitted: _Fitted,
    gap: QualityGap,
) -> dict[str, Any]:
    """The threshold as it is recorded with the model; empty unless the label is binary."""
    if fitted.metadata is not None:
        recorded: dict[str, Any] = fitted.metadata.get("threshold", {})
        return recorded
    if dataset.task_type != TaskType.BINARY:
        return {}
    label = splits["validation"][1]
    learned = learn(config.threshold, label, fitted.predictions["validation"])
    if gap.refusal is not None:  # a model that is not kept has no active threshold
        return {"value": learned.value}
    return active_threshold(config, run, dataset, learned, label)


def _log_model(
    config: DictConfig,
    run: Run,
    dataset: Dataset,
    estimator: Any,
    features: pl.DataFrame,
    threshold: dict[str, Any],
) -> None:
    """Records the model with its threshold and an example, blank where values are classified."""
    example = _blank(features.head(5), dataset.classified)
    # the last row says which features may be missing; of an ensemble, every signal may
    optional = features.columns if isinstance(estimator, Ensemble) else _optional(config, dataset)
    if optional:
        example = pl.concat([example, _blank(example.head(1), optional)])
    is_regression = dataset.task_type == TaskType.REGRESSION
    answer = estimator.predict if is_regression else estimator.predict_proba
    metadata: dict[str, Any] = {"task_type": str(dataset.task_type)}
    if dataset.classes:  # in the order of the answer's columns; XGBoost counts them
        metadata["classes"] = [
            dataset.classes[name] if isinstance(name, int) else str(name)
            for name in estimator.classes_.tolist()
        ]
    if threshold:
        metadata["threshold"] = threshold
    run.log_model(estimator, example, answer(example), metadata)


def _optional(config: DictConfig, dataset: Dataset) -> set[str]:
    """Features that may be missing: they are in some row, or the contracts allow it."""
    frame = dataset.frame.select(dataset.features)
    frame = frame.with_columns(pl.selectors.float().fill_nan(None))
    optional = {column.name for column in frame if column.null_count()}
    contracts = read_contracts(repository.root())
    for feature, reads in dataset.reads.items():
        for signal, names in reads.items():
            fields = [contracts[signal].field(name) for name in names]
            is_joined = signal != config.dataset.spine
            if is_joined or not all(field.required or field.key for field in fields):
                optional.add(feature)
    return optional


def _blank(rows: pl.DataFrame, names: Collection[str]) -> pl.DataFrame:
    """The rows without any value in these columns."""
    return rows.with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in rows.schema.items() if name in names
    )


def _evaluate(
    config: DictConfig,
    dataset: Dataset,
    splits: Splits,
    fitted: _Fitted,
    threshold: Mapping[str, Any],
) -> dict[str, float]:
    """Metrics of validation and test split, the baseline's beside them, and the threshold."""
    task_type, classes, active = dataset.task_type, dataset.classes, threshold.get("value")
    metrics = {} if active is None else {"threshold": active}
    for split, prediction in fitted.predictions.items():
        label = splits[split][1]
        on_split = evaluate(
            task_type, label, prediction, active, config.evaluation.bootstrap, config.seed, classes
        )
        on_split |= baseline(task_type, splits["train"][1], label, classes)
        metrics |= {f"{split}/{name}": value for name, value in on_split.items()}
    return metrics


def _evaluate_slices(
    config: DictConfig,
    run: Run,
    dataset: Dataset,
    columns: pl.DataFrame | None,
    splits: Splits,
    fitted: _Fitted,
    metrics: Mapping[str, float],
) -> tuple[list[slices.Slice], list[findings.Finding]]:
    """The groups of test rows, the worst first, and a finding for each that is truly weak."""
    if columns is None or not columns.width:
        return [], []
    with run.stage("slices"):
        evaluated = slices.evaluate_slices(
            dataset.task_type, columns, splits["test"][1], fitted.predictions["test"],
            config.evaluation, config.seed, dataset.classes,
        )  # fmt: skip
        whole = metrics[f"test/{slices.METRIC[dataset.task_type]}"]
        return evaluated, slices.record_slices(run, dataset.task_type, whole, evaluated)


def _refuse(run: Run, metrics: Mapping[str, float], refusal: str) -> NoReturn:
    """Completes the record of a run whose model is not kept, and ends it."""
    from ml_experiment_runner.record.card.page import write_card
    from ml_experiment_runner.training.card.sections import SECTIONS

    run.log_metrics(metrics)
    run.settle()
    run.log_artifact(write_card(run.folder, SECTIONS, refusal), "card.html")
    raise RefusedError(refusal)
