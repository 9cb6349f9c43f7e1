"""The task `train`: fit one model, learn its threshold, judge it on the test part."""

import logging
from collections.abc import Collection
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from omegaconf import DictConfig

from ml_experiment_runner.dataset.dataset import Dataset, Part, load_dataset
from ml_experiment_runner.dataset.task_type import TaskType
from ml_experiment_runner.project import repository
from ml_experiment_runner.project.errors import RefusedError
from ml_experiment_runner.record import findings
from ml_experiment_runner.record.experiment_time import overdue
from ml_experiment_runner.record.run import Run
from ml_experiment_runner.signals.contract.contract_file import read_contracts
from ml_experiment_runner.training.evaluation import slices
from ml_experiment_runner.training.evaluation.baseline import baseline
from ml_experiment_runner.training.evaluation.callbacks import after_epoch
from ml_experiment_runner.training.evaluation.cross_validation import repeated
from ml_experiment_runner.training.evaluation.evaluate import Floats, judge
from ml_experiment_runner.training.evaluation.importance import importance
from ml_experiment_runner.training.evaluation.predictions import write_predictions
from ml_experiment_runner.training.evaluation.quality_gap import price
from ml_experiment_runner.training.models.ensemble import Ensemble
from ml_experiment_runner.training.models.fit import fit
from ml_experiment_runner.training.models.pipeline import predict
from ml_experiment_runner.training.thresholds.active import HELD, in_force
from ml_experiment_runner.training.thresholds.policies import learn

log = logging.getLogger(__name__)

HANDFUL, COPIES = 16, 64  # rows that debug=overfit learns by heart, and how often each


def train(config: DictConfig, run: Run) -> dict[str, float]:
    """Trains and judges the configured model.

    Returns:
        `validation/…` and `test/…` metrics with intervals and the baseline's; of a yes or no the
        `threshold` unless none is valid; `seeds/…` and `cv/…` where several models are judged.

    Raises:
        UserError: The data cannot answer the question (no such signal, one class, an empty part).
        RefusedError: An ensemble costs more than it may; everything but a model is recorded.
    """
    with run.stage("data"):
        dataset = load_dataset(config, run)
        parts = _parts(config, dataset)
        groups = None if config.debug.overfit else slices.columns(config, dataset)
    estimator, noted, predictions = _fitted(config, run, dataset, parts)
    priced: dict[str, float] = {}
    refusal = None
    if isinstance(estimator, Ensemble):
        with run.stage("price"):
            priced, refusal = price(config, run, dataset, parts, predictions, estimator)
    if noted is not None:
        threshold = noted.get("threshold", {})
    else:
        label, prediction = parts["validation"][1], predictions["validation"]
        threshold = _threshold(config, run, dataset, label, prediction, refusal is not None)
        if refusal is None:
            _log_model(config, run, dataset, estimator, parts["train"][0], threshold)
    with run.stage("judge"):
        metrics = _judge(config, dataset, parts, predictions, threshold.get("value")) | priced
        if "hold" in threshold:
            metrics[HELD] = float(threshold["hold"] is not None)
        write_predictions(run, dataset, parts["test"][1], predictions["test"])
    found = overdue(run.experiment, config)
    judged: list[slices.Slice] = []
    if groups is not None and groups.width:
        with run.stage("slices"):
            judged = slices.judge_slices(
                dataset.task_type, groups, parts["test"][1], predictions["test"], config.evaluation,
                config.seed, dataset.classes,
            )  # fmt: skip
            whole = metrics[f"test/{slices.METRIC[dataset.task_type]}"]
            found += slices.record_slices(run, dataset.task_type, whole, judged)
    findings.record(run, found)
    with run.stage("importance"):
        drops = importance(config, dataset, estimator, parts["test"])
    if not config.debug.overfit and (config.seeds > 1 or config.evaluation.folds):
        with run.stage("repeated"):
            metrics |= repeated(config, run, dataset, estimator)
    with run.stage("figures"):
        from ml_experiment_runner.training.plots.run_plots import draw

        labels = {part: parts[part][1] for part in predictions}
        draw(run, dataset, labels, predictions, metrics, drops, judged)
    if refusal is not None:
        from ml_experiment_runner.record.card.page import write_card

        run.log_metrics(metrics)
        run.settle()
        run.log_artifact(write_card(run.folder, refusal), "card.html")
        raise RefusedError(refusal)
    return metrics


def _parts(config: DictConfig, dataset: Dataset) -> dict[str, Part]:
    if not config.debug.overfit:
        return {part: dataset.part(part) for part in ("train", "validation", "test")}
    features, label = dataset.part("train")
    values, first = np.unique(label, return_index=True)
    if dataset.task_type == TaskType.REGRESSION:
        rows = np.sort(first[np.linspace(0, len(values) - 1, HANDFUL).astype(int)])
    else:
        each = max(1, HANDFUL // len(values))
        rows = np.sort(np.concatenate([np.flatnonzero(label == value)[:each] for value in values]))
    handful = (features[rows.tolist()], label[rows])
    # copies, so that an estimator's least number of rows per leaf or category does not bind
    copies = (pl.concat([handful[0]] * COPIES), np.tile(handful[1], COPIES))
    return {"train": copies, "validation": handful, "test": handful}


def _fitted(
    config: DictConfig, run: Run, dataset: Dataset, parts: dict[str, Part]
) -> tuple[Any, dict[str, Any] | None, dict[str, Floats]]:
    """The fitted model, what is noted with it if it is in the record already, its predictions."""
    if (recorded := run.recorded_model()) is not None:
        log.info("the model was fitted before the run was resumed, and is taken from the record")
        return *recorded, _predictions(recorded[0], dataset, parts)
    with run.stage("fit"):
        moment = None if config.debug.overfit else dataset.moments("train")
        watched = after_epoch(config, run, dataset, parts["validation"])
        estimator = fit(config, dataset, parts["train"], moment, watched)
        return estimator, None, _predictions(estimator, dataset, parts)


def _predictions(estimator: Any, dataset: Dataset, parts: dict[str, Part]) -> dict[str, Floats]:
    return {
        part: predict(estimator, dataset.task_type, parts[part][0], dataset.classes)
        for part in ("validation", "test")
    }


def _threshold(
    config: DictConfig,
    run: Run,
    dataset: Dataset,
    label: NDArray[Any],
    prediction: Floats,
    is_refused: bool,
) -> dict[str, Any]:
    """What is kept with the model about its threshold; empty where the label is not binary."""
    if dataset.task_type != TaskType.BINARY:
        return {}
    learned = learn(config.threshold, label, prediction)
    if is_refused:  # of a model that is not kept, none comes into force
        return {"value": learned.value}
    return in_force(config, run, dataset, learned, label)


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
    answer = (
        estimator.predict if dataset.task_type == TaskType.REGRESSION else estimator.predict_proba
    )
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


def _judge(
    config: DictConfig,
    dataset: Dataset,
    parts: dict[str, Part],
    predictions: dict[str, Floats],
    threshold: float | None,
) -> dict[str, float]:
    """Metrics of both parts, the baseline's beside them, and the threshold in force."""
    task_type, classes = dataset.task_type, dataset.classes
    metrics = {} if threshold is None else {"threshold": threshold}
    for part, prediction in predictions.items():
        label = parts[part][1]
        judged = judge(
            task_type,
            label,
            prediction,
            threshold,
            config.evaluation.bootstrap,
            config.seed,
            classes,
        )
        judged |= baseline(task_type, parts["train"][1], label, classes)
        metrics |= {f"{part}/{name}": value for name, value in judged.items()}
    return metrics
